"""Files of expectations, one directory an application: which business data is read, and what must hold of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from changeover.adapters.check_files import read_directory, unusable
from changeover.adapters.schema_faults import add_faults
from changeover.adapters.yaml_text import YamlText
from changeover.domain.estate import Document, Name
from changeover.domain.plan import Line, VersionText
from changeover.domain.version import SchemeName, VersionError, older, parse

ROW_COUNT_AS_BEFORE = "expect_table_row_count_to_equal_before"
VALUES_AS_BEFORE = "expect_column_values_to_equal_before"
SUM_AS_BEFORE = "expect_column_sum_to_equal_before"
AS_BEFORE = (ROW_COUNT_AS_BEFORE, VALUES_AS_BEFORE, SUM_AS_BEFORE)

Query = Annotated[str, StringConstraints(strip_whitespace=True, min_length=8, max_length=4000)]


class Dataset(Document):
    """Rows of business data. `key` are the columns that name a row, before and after."""

    query: Query
    key: tuple[Name, ...] = ()
    query_from: Mapping[VersionText, Query] = Field(default_factory=dict)
    """Version → the query to use from that version on."""
    version_scheme: SchemeName = "pep440"
    """How the versions of `query_from` are ordered; the one of the application's role."""
    may_be_empty: Line | None = None
    """Why no rows are fine; without a reason no rows are a "no"."""

    def query_at(self, version: str) -> str:
        """The query of the newest version that is not newer than `version`."""
        query, since = self.query, ""
        for start, newer in self.query_from.items():
            newest = not since or older(since, start, self.version_scheme)
            if newest and not older(version, start, self.version_scheme):
                query, since = newer, start
        return query


class Expectation(BaseModel):
    """One expectation; keys that are not ours are handed to Great Expectations as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    dataset: Name
    type: Annotated[str, StringConstraints(pattern=r"^expect_[a-z0-9_]+$", max_length=120)]
    column: Name | None = None
    may_be_null: Line | None = None
    """Why null is fine; without a reason a null is a "no", whatever the library makes of it."""
    read_as: Literal["text", "number"] = "text"
    """`number`: 1.50 equals 1.5. Texts are compared letter by letter."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        return self.model_extra or {}

    @property
    def columns(self) -> tuple[str, ...]:
        more = self.arguments
        several = more.get("column_list") or more.get("column_set") or ()
        named = (self.column, more.get("column_A"), more.get("column_B"), *several)
        return tuple(str(name) for name in named if name)

    @property
    def key(self) -> str:
        return ".".join(part for part in (self.dataset, self.type, "-".join(self.columns)) if part)


class ExpectationFile(Document):
    schema_version: Literal[1]
    datasets: Mapping[Name, Dataset] = Field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()


class Expectations(Document):
    """All files of one application taken together."""

    datasets: Mapping[str, Dataset]
    expectations: tuple[Expectation, ...]


def load_expectations(directory: Path) -> Expectations:
    """Raise `PlanError` with every fault of every file."""
    files = read_directory(directory, ExpectationFile, what="expectations", also=_file_faults)
    names = [name for file in files for name in file.datasets]
    found = tuple(expectation for file in files for expectation in file.expectations)
    keys = [expectation.key for expectation in found]
    datasets = {name: dataset for file in files for name, dataset in file.datasets.items()}
    faults = [f"dataset {name} is described twice" for name in _twice(names)]
    faults += [f"{key} is expected twice" for key in _twice(keys)]
    faults += [f"{e.key}: no dataset is called {e.dataset}" for e in found if e.dataset not in datasets]
    faults += [
        f"{e.key}: rows are compared by their key, and dataset {e.dataset} has none"
        for e in found
        if e.type == VALUES_AS_BEFORE and e.dataset in datasets and not datasets[e.dataset].key
    ]
    if faults:
        raise unusable("expectations", directory, tuple(faults))
    return Expectations(datasets=datasets, expectations=found)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _file_faults(document: YamlText, file: ExpectationFile) -> None:
    faults = []
    for name, dataset in file.datasets.items():
        for version in dataset.query_from:
            try:
                parse(version, dataset.version_scheme)
            except VersionError as exc:
                faults.append(f"datasets.{name}.query_from: {exc}")
    for index, expectation in enumerate(file.expectations):
        where = f"expectations.{index}"
        if expectation.type in (VALUES_AS_BEFORE, SUM_AS_BEFORE) and expectation.column is None:
            faults.append(f"{where}: {expectation.type} needs a column")
        if expectation.type.endswith("_before") and expectation.type not in AS_BEFORE:
            faults.append(f"{where}.type: known comparisons with before are {', '.join(AS_BEFORE)}")
        if expectation.type in AS_BEFORE and expectation.arguments:
            faults.append(f"{where}: {expectation.type} does not take {', '.join(sorted(expectation.arguments))}")
    add_faults(document, tuple(faults))
