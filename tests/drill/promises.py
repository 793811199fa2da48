"""What a client may rely on: one answer to a key, in time, and nothing done behind its back."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx

from tests.drill.evidence import Evidence
from tests.drill.history import Line
from tests.drill.load import Asked
from tests.drill.truth import NOTED, Found, stored_versions, utc, version_of

# Of the statement that was under way when its caller left, and of a machine that is busy.
LATE_SECONDS = 1.0
WAIT_SLACK_SECONDS = 1.0
# DELETE: what is gone is gone, whoever asks again.
UNKEYED = ("cancel", "erase")


def one_answer(evidence: Evidence) -> Found:
    """All that a key was settled with; and what it is told now, once more."""
    answers: dict[str, set[str]] = defaultdict(set)
    for line in evidence.lines:
        if line.key and line.settled and line.op not in UNKEYED and not _gone(evidence, line):
            told = {name: line.told[name] for name in line.told if name != "replayed"}
            answers[line.key].add(f"{line.status} {line.code} {sorted(told.items())}")
    findings = [f"key {key}: {sorted(each)}" for key, each in answers.items() if len(each) > 1]
    with evidence.stage.system.client() as client:
        for asked in evidence.world.settled:
            if not _erased_since(evidence, asked):
                findings += _asked_again(client, asked)
    return len(answers), findings


def _gone(evidence: Evidence, line: Line) -> bool:
    """Answers about somebody who was erased are given to nobody any more."""
    number = line.told.get("id") if line.op == "register" else None
    people = {number, line.asked.get("patientId"), line.told.get("patientId")}
    return bool(people & evidence.world.erased)


def _erased_since(evidence: Evidence, asked: Asked) -> bool:
    told = asked.answer if isinstance(asked.answer, dict) else {}
    number = told.get("id") if asked.op == "register" else None
    people = {number, (asked.body or {}).get("patientId"), told.get("patientId")}
    return bool(people & evidence.world.erased)


def _asked_again(client: httpx.Client, asked: Asked) -> Iterator[str]:
    again = client.request(asked.method, asked.path, json=asked.body, headers=asked.headers)
    told = again.json() if again.content else None
    if (again.status_code, _kept(told)) != (asked.status, _kept(asked.answer)):
        key = asked.headers["Idempotency-Key"]
        yield f"{asked.op} {key}: {asked.status} at first, {again.status_code} now"


def _kept(answer: Any) -> Any:
    """But for what belongs to the one request."""
    if not isinstance(answer, dict):
        return answer
    return {name: answer[name] for name in answer if name != "correlationId"}


def in_time(evidence: Evidence) -> Found:
    """A change was made while somebody waited for it, or had just stopped to."""
    asked: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    attempts: dict[str, list[float]] = defaultdict(list)
    for line in evidence.lines:
        if line.op in NOTED:
            attempts[line.key].append(line.at)
    for line in evidence.lines:
        if line.op in NOTED and "etag" in line.told:
            asked[NOTED[line.op], line.told["id"], version_of(line)] += attempts[line.key]
    stored, _ = stored_versions(evidence)
    findings = []
    for (number, version), row in stored.items():
        times, at = asked.get((row.what, number, version), []), utc(row.at).timestamp()
        # None at all is told of elsewhere.
        longest = evidence.call_seconds + LATE_SECONDS
        if times and not any(begun - 0.5 <= at <= begun + longest for begun in times):
            late = at - max(times)
            findings.append(f"appointment {number}, version {version}: {late:.1f} s after the call")
    return len(stored), findings


def waited(evidence: Evidence) -> Found:
    longest = 1000 * (evidence.call_seconds + WAIT_SLACK_SECONDS)
    return len(evidence.lines), [
        f"{line.op} by client {line.client} at {line.at:.1f}: {line.ms:.0f} ms, then {line.status}"
        for line in evidence.lines
        if line.ms > longest
    ]
