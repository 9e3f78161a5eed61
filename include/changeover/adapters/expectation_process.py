"""The process that holds Great Expectations: importing it costs seconds, so one process answers for a whole gate.

`python -m changeover.adapters.expectation_process LIMIT` imports first, then reads one line from standard input: the
path of the request (JSON). The answer is written beside it. Connections to anywhere are refused inside this process.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from changeover.adapters.expectation_files import ROW_COUNT_AS_BEFORE, SUM_AS_BEFORE, VALUES_AS_BEFORE
from changeover.adapters.expectation_rows import NotComparableError, Rows, column, decimal, differences, pairs, total

ANSWER = "answer.json"
PREFIX = "changeover-gx-"
"""Of the private directory that such a process lives in."""
_NULL_IS_THE_QUESTION = (
    "expect_column_to_exist",
    "expect_column_values_to_be_null",
    "expect_column_values_to_not_be_null",
    "expect_column_proportion_of_non_null_values_to_be_between",
)


class Asked(NamedTuple):
    """One expectation of the library; several may stand behind one check, which passes when all of them do."""

    check: str
    type: str
    arguments: Mapping[str, Any]
    explain: str = ""
    """Our words for a "no"; without them the library's numbers are told."""


class Frame(NamedTuple):
    """Columns of equal length, and what is asked of them."""

    columns: Mapping[str, Sequence[Any]]
    asked: list[Asked]


@dataclass
class Answers:
    """Check → its answers so far, and the numbers in words."""

    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    validations: list[Any] = field(default_factory=list)

    def say(self, check: str, state: str, message: str) -> None:
        """The gravest answer of a check stays."""
        gravity = ("passed", "failed", "error")
        known = self.states.get(check)
        if known is None or gravity.index(state) > gravity.index(known[0]):
            self.states[check] = (state, message)


def compare(request: Mapping[str, Any], before: Mapping[str, Rows], after: Mapping[str, Rows]) -> dict[str, Any]:
    """Every expectation of the request on one pair of snapshots; checks the library did not answer are left out."""
    answers = Answers()
    for name, dataset in request["datasets"].items():
        wanted = [e for e in request["expectations"] if e["dataset"] == name]
        frames = _frames(name, dataset, wanted, before.get(name), after.get(name), answers)
        for frame in frames:
            if frame.asked:
                _validate(name, frame, answers)
    results = [{"check": check, "state": state, "message": why} for check, (state, why) in answers.states.items()]
    return {"results": results, "words": answers.words, "validations": answers.validations}


def _frames(
    name: str,
    dataset: Mapping[str, Any],
    wanted: Sequence[Mapping[str, Any]],
    before: Rows | None,
    after: Rows | None,
    answers: Answers,
) -> Iterable[Frame]:
    """Turn expectations into frames the library is asked about; what it would wave through is answered here."""
    if before is None or after is None:
        when = "before" if before is None else "after"
        _all(answers, wanted, "failed", f"{name} was not read {when} the change")
        return
    answers.words.append(f"{name}: {len(before)} rows before, {len(after)} after")
    if not dataset["may_be_empty"] and not (before and after):
        when = "after" if before else "before"
        _all(answers, wanted, "failed", f"{name} has 0 rows {when} the change: nothing checked")
        return
    whole = Frame(_columns(after), [])
    for expectation in wanted:
        try:
            if expectation["type"] in (VALUES_AS_BEFORE, SUM_AS_BEFORE):
                yield _as_before(name, dataset["key"], expectation, before, after, answers)
            elif expectation["type"] == ROW_COUNT_AS_BEFORE:
                count = {"value": len(before)}
                whole.asked.append(Asked(expectation["key"], "expect_table_row_count_to_equal", count,
                                         f"{len(before)} rows before, {len(after)} after"))  # fmt: skip
            else:
                yield from _plain(expectation, after, whole, answers)
        except NotComparableError as exc:
            answers.say(expectation["key"], "failed", str(exc))
    yield whole


def _all(answers: Answers, wanted: Sequence[Mapping[str, Any]], state: str, why: str) -> None:
    for expectation in wanted:
        answers.say(expectation["key"], state, why)


def _columns(rows: Rows) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _as_before(
    name: str, key: Sequence[str], expectation: Mapping[str, Any], before: Rows, after: Rows, answers: Answers
) -> Frame:
    """Both values of each row (or both sums) side by side, as text: the library compares, and nothing is rounded."""
    check, subject = expectation["key"], expectation["column"]
    if expectation["type"] == VALUES_AS_BEFORE:
        found = pairs(before, after, key=key, name=subject, number=expectation["read_as"] == "number")
        equal = sum(pair.equal for pair in found)
        answers.words.append(f"{name}: {subject} equal in {equal} of {len(found)} rows")
        sides = {"before": [pair.before for pair in found], "after": [pair.after for pair in found]}
        explain = differences(found)
    else:
        old, new = total(before, subject, "before"), total(after, subject, "after")
        sign = "=" if old[0] == new[0] else "≠"
        answers.words.append(f"{name}: sum({subject}) {old[0]:f} {sign} {new[0]:f}")
        sides = {"before": [f"{old[0]:f}", f"{old[1]} nulls"], "after": [f"{new[0]:f}", f"{new[1]} nulls"]}
        explain = f"{old[0]:f} before ({old[1]} nulls), {new[0]:f} after ({new[1]} nulls)"
    arguments = {"column_A": "before", "column_B": "after", "ignore_row_if": "neither"}
    return Frame(sides, [Asked(check, "expect_column_pair_values_to_be_equal", arguments, explain)])


def _plain(expectation: Mapping[str, Any], after: Rows, whole: Frame, answers: Answers) -> Iterable[Frame]:
    """An expectation of the library's own, with the nulls and missing columns it would ignore taken as a "no"."""
    check, kind, columns = expectation["key"], expectation["type"], expectation["columns"]
    arguments = {**expectation["arguments"], **({"column": expectation["column"]} if expectation["column"] else {})}
    if not after and columns:
        seen = "failed" if kind == "expect_column_to_exist" else "passed"
        answers.say(check, seen, "there are no rows to see it in")
        return
    if kind == "expect_column_to_exist":
        whole.asked.append(Asked(check, kind, arguments, f"column {expectation['column']} is missing"))
        return
    values = {name: column(after, name, "after") for name in columns}
    asked = [Asked(check, kind, arguments)]
    if kind not in _NULL_IS_THE_QUESTION:
        if empty := [name for name, found in values.items() if all(value is None for value in found)]:
            raise NotComparableError(f"column {', '.join(empty)} is null in every row: nothing checked")
        if not expectation["may_be_null"]:
            asked += [Asked(check, "expect_column_values_to_not_be_null", {"column": name}) for name in columns]
    if expectation["read_as"] == "number":
        numbers = {name: [None if v is None else decimal(v) for v in found] for name, found in values.items()}
        yield Frame({**whole.columns, **numbers}, asked)
    else:
        whole.asked.extend(asked)


def _validate(name: str, frame: Frame, answers: Answers) -> None:
    """Ask the library. What it gives no result for stays without an answer, and the gate misses it."""
    import great_expectations as gx
    import pandas

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    suite = context.suites.add(gx.ExpectationSuite(name))
    for index, asked in enumerate(frame.asked):
        try:
            suite.add_expectation(_expectation(asked, index))
        except Exception as exc:  # noqa: BLE001 - whatever the library dislikes about an expectation is told, not raised
            answers.say(asked.check, "error", f"{asked.type} cannot be used: {_in_one_line(exc)}")
    if not suite.expectations:
        return
    data = pandas.DataFrame({n: pandas.Series(list(v), dtype=object) for n, v in frame.columns.items()})
    definition = gx.ValidationDefinition(name=name, data=asset.add_batch_definition_whole_dataframe(name), suite=suite)
    outcome: Any = definition.run(batch_parameters={"dataframe": data}, result_format="SUMMARY")
    answers.validations.append(_without_traces(outcome.to_json_dict()))
    for result in outcome.results:
        asked = frame.asked[int(result.expectation_config.meta["changeover"])]
        answers.say(asked.check, *_meaning(asked, result))


def _expectation(asked: Asked, index: int) -> Any:
    from great_expectations import expectations

    name = "".join(part.capitalize() for part in asked.type.split("_"))
    if not hasattr(expectations, name):
        raise ValueError("Great Expectations has no such expectation")
    return getattr(expectations, name)(**asked.arguments, meta={"changeover": index})


def _meaning(asked: Asked, result: Any) -> tuple[str, str]:
    if trouble := _exceptions(result.exception_info):
        return "error", f"{asked.type}: {trouble}"
    if result.success is True:
        return "passed", ""
    found = result.result or {}
    if asked.explain:
        return "failed", asked.explain
    if "unexpected_count" in found:
        examples = ", ".join(repr(value) for value in found.get("partial_unexpected_list", [])[:5])
        what = "null" if asked.type == "expect_column_values_to_not_be_null" else f"unexpected: {examples}"
        where = asked.arguments.get("column", "")
        return "failed", f"{where} {found['unexpected_count']} of {found['element_count']} rows {what}".strip()
    return "failed", f"{found.get('observed_value', 'no value')} observed"


def _exceptions(info: Any) -> str:
    """Either one description, or one for each of the library's metrics."""
    several = [info] if "raised_exception" in (info or {}) else list((info or {}).values())
    messages = [_in_one_line(one.get("exception_message")) for one in several if one.get("raised_exception")]
    return "; ".join(dict.fromkeys(messages))


def _in_one_line(what: object) -> str:
    return (" ".join(str(what).split()) or type(what).__name__)[:300]


def _without_traces(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_traces(item) for key, item in value.items() if key != "exception_traceback"}
    return [_without_traces(item) for item in value] if isinstance(value, list | tuple) else value


def _refuse_connections(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        sys.stderr.write(f"refused: {event} {arguments[1:]!r}\n")
        raise PermissionError("this process opens no connection")


def main() -> None:
    signal.alarm(int(sys.argv[1]))
    sys.addaudithook(_refuse_connections)
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    gc.disable()  # nothing that is imported is garbage: looking for it took a quarter of the time
    import great_expectations  # noqa: F401 - while the hosts are still being read, not after

    gc.freeze()
    gc.enable()

    path = Path(sys.stdin.readline().strip())
    if not path.name:  # whoever warmed this process is gone, and its directory is left to us
        if Path.cwd().name.startswith(PREFIX):
            shutil.rmtree(Path.cwd(), ignore_errors=True)
        return
    request = json.loads(path.read_text(encoding="utf-8"))
    answer = [compare(request, each["before"], each["after"]) for each in request["comparisons"]]
    part = path.with_name(f"{ANSWER}.part")
    part.write_text(json.dumps(answer, default=str), encoding="utf-8")
    part.replace(path.with_name(ANSWER))


if __name__ == "__main__":
    main()
