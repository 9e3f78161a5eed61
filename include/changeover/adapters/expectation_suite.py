"""Business data before and after, held against an application's expectation files by Great Expectations."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from changeover.adapters import bounded_process
from changeover.adapters.expectation_files import Expectation, Expectations, load_expectations
from changeover.adapters.expectation_process import ANSWER, PREFIX
from changeover.adapters.whole_file import write_whole
from changeover.domain.acceptance import SuiteRun
from changeover.domain.gate import CheckResult, CheckState
from changeover.errors import GateError
from changeover.ports import Comparison, Datasets

IDLE_LIMIT = timedelta(minutes=30)
"""A process that was warmed and is not used ends after this time, or with us."""


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def console(self) -> Path:
        return self.directory / "console.txt"


class GreatExpectationsSuite:
    """Implements `ports.ExpectationSuite` over `root/<application>/*.yaml`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._warm: list[_Child] = []
        self._lock = threading.Lock()

    def queries(self, application: str, version: str) -> Mapping[str, Mapping[str, Any]]:
        """Raise `PlanError` when the files are faulty."""
        found = load_expectations(self._root / application)
        return {
            name: {"query": dataset.query_at(version), "key": list(dataset.key)}
            for name, dataset in found.datasets.items()
        }

    def warm(self) -> None:
        """Start a process now that `run` will use: its start costs seconds, which pass beside other work.

        One that waits already is enough.
        """
        with self._lock:
            if not any(child.process.poll() is None for child in self._warm):
                self._warm.append(_start(IDLE_LIMIT))

    def run(
        self,
        application: str,
        *,
        before: Datasets,
        after: Datasets,
        environment: str,
        evidence: Path,
        timeout: timedelta,
        host: str = "",
    ) -> SuiteRun:
        """`host` names where the data came from; results are told under it."""
        return self.run_many(
            application,
            (Comparison(host, before, after),),
            environment=environment,
            evidence=evidence,
            timeout=timeout,
        )

    def run_many(
        self,
        application: str,
        comparisons: Sequence[Comparison],
        *,
        environment: str,
        evidence: Path,
        timeout: timedelta,
    ) -> SuiteRun:
        """Several hosts in one process; every expectation is declared for each of them."""
        wanted = load_expectations(self._root / application)
        hosts = [comparison.host for comparison in comparisons]
        if len(set(hosts)) != len(hosts):
            raise GateError(f"two comparisons of {environment} go by the same name", where=", ".join(hosts))
        declared = tuple((expectation.key, host) for host in hosts for expectation in wanted.expectations)
        answers = self._ask(wanted, comparisons, environment, evidence, timeout) if declared else []
        results = tuple(
            CheckResult(found["check"], host, CheckState(found["state"]), found["message"])
            for host, answer in zip(hosts, answers, strict=False)
            for found in answer["results"]
        )
        files = _keep(evidence, environment, hosts, answers)
        return SuiteRun(declared, results, tuple(sorted({r.host for r in results if r.host})), files)

    def _ask(
        self,
        wanted: Expectations,
        comparisons: Sequence[Comparison],
        environment: str,
        evidence: Path,
        timeout: timedelta,
    ) -> list[dict[str, Any]]:
        child = self._take(timeout)
        try:
            request = child.directory / "request.json"
            request.write_text(json.dumps(_request(wanted, comparisons), default=str), encoding="utf-8")
            status = _finish(child, request, environment, timeout)
            answer = child.directory / ANSWER
            if status != 0 or not answer.exists():
                raise GateError(
                    f"Great Expectations ended with {_how(status)} and gave no answer: {_tail(child.console)}",
                    where=environment,
                    then="look at the message; the gate's answer is unknown, never passed",
                )
            answered: list[dict[str, Any]] = json.loads(answer.read_text(encoding="utf-8"))
            return answered
        finally:
            evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(child.console, evidence / "expectations-console.txt")
            _discard(child)

    def _take(self, limit: timedelta) -> _Child:
        with self._lock:
            while self._warm:
                child = self._warm.pop()
                if child.process.poll() is None:
                    return child
                _discard(child)
        return _start(limit)

    def close(self) -> None:
        """End what was warmed and not used."""
        with self._lock:
            children, self._warm = self._warm, []
        for child in children:
            _discard(child)


def _start(limit: timedelta) -> _Child:
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    environment = bounded_process.plain_environment(directory, GX_ANALYTICS_ENABLED="False", DO_NOT_TRACK="true")
    seconds = str(int(limit.total_seconds()) + 60)
    argv = [sys.executable, "-m", "changeover.adapters.expectation_process", seconds]
    output = directory / "console.txt"
    process = bounded_process.start(argv, environment=environment, directory=directory, output=output)
    return _Child(process, directory)


def _finish(child: _Child, request: Path, environment: str, limit: timedelta) -> int:
    try:
        return bounded_process.finish(child.process, line=f"{request}\n", limit=limit)
    except bounded_process.TimeOutError as exc:
        raise GateError(
            f"the comparison of business data did not end within {limit} and was stopped",
            where=environment,
            then="the gate's answer is unknown, never passed; look at the size of the datasets",
        ) from exc


def _discard(child: _Child) -> None:
    with contextlib.suppress(BrokenPipeError):
        if child.process.stdin is not None:
            child.process.stdin.close()
    bounded_process.end_group(child.process)
    shutil.rmtree(child.directory, ignore_errors=True)


def _request(wanted: Expectations, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    return {
        "datasets": {name: dataset.model_dump(mode="json") for name, dataset in wanted.datasets.items()},
        "expectations": [_spelled_out(expectation) for expectation in wanted.expectations],
        "comparisons": [{"before": each.before, "after": each.after} for each in comparisons],
    }


def _spelled_out(expectation: Expectation) -> dict[str, Any]:
    return {
        "key": expectation.key,
        "dataset": expectation.dataset,
        "type": expectation.type,
        "column": expectation.column,
        "columns": list(expectation.columns),
        "read_as": expectation.read_as,
        "may_be_null": expectation.may_be_null is not None,
        "arguments": dict(expectation.arguments),
    }


def _keep(
    evidence: Path, environment: str, hosts: Sequence[str], answers: Sequence[Mapping[str, Any]]
) -> dict[str, Path]:
    evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    words = "".join(
        f"{environment}{f' ({host})' if host else ''}\n" + "".join(f"  {line}\n" for line in answer["words"])
        for host, answer in zip(hosts, answers, strict=False)
    )
    texts = {
        "expectations.json": json.dumps(dict(zip(hosts, answers, strict=False)), indent=1),
        "expectations.txt": words or "no expectation is declared\n",
    }
    for name, text in texts.items():
        write_whole(evidence / name, text)
    console = evidence / "expectations-console.txt"
    return {name: evidence / name for name in texts} | ({console.name: console} if console.exists() else {})


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit code {status}"


def _tail(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
