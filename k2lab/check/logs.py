"""Findings for tools that show them beside the file: SARIF 2.1.0, and the annotations of GitHub's workflows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from k2lab.check.records import Checked, Found
from k2lab.findings import CATALOGUE, Finding
from k2lab.legible import one_line, visible

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_TEXT = 1000
STDIN = "-"


def sarif(values: Sequence[Checked]) -> dict[str, Any]:
    """A log of SARIF 2.1.0 with one run: a result for each finding that is present, a notification for what failed."""
    codes = sorted({one.finding.code for value in values for one in value.present})
    places = {code: number for number, code in enumerate(codes)}
    driver = {
        "name": "k2lab",
        "version": version("k2lab"),
        "rules": [_rule(code) for code in codes],
    }
    failed = [_notification(value.name, why) for value in values for why in value.unread]
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": not failed, "toolExecutionNotifications": failed}],
        "results": [_result(value.name, one, places) for value in values for one in value.present],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def workflow_commands(values: Sequence[Checked]) -> Iterator[str]:
    """Commands of a GitHub workflow, a line each: an annotation for each finding and for what could not be read."""
    for value in values:
        for one in value.present:
            finding = one.finding
            told = f"{finding.place + ': ' if finding.place else ''}{finding.evidence}\n{finding.fix}"
            title = f"{finding.code} {finding.problem}"
            yield _command(finding.level, value.name, one.line, title, told)
        for why in value.unread:
            yield _command("error", value.name, None, "could not look", why)


def _command(level: str, name: str, line: int | None, title: str, told: str) -> str:
    properties = {"file": name, "line": line, "title": title}
    said = ",".join(f"{key}={_property(str(held))}" for key, held in properties.items() if held is not None)
    return f"::{level} {said}::{_data(told[:MOST_TEXT])}"


def _data(text: str) -> str:
    """A message as a workflow command carries it: what would end the line, or hide, is written out."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _rule(code: str) -> dict[str, Any]:
    entry = next(entry for entry in CATALOGUE.values() if entry.code == code)
    rule = {
        "id": code,
        "name": entry.name,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.why},
        "help": {"text": entry.fix},
        "defaultConfiguration": {"level": entry.level},
        "properties": {"layers": list(entry.layers), "sources": list(entry.sources)},
    }
    return {**rule, "helpUri": entry.sources[0]} if entry.sources else rule


def _result(name: str, one: Found, places: dict[str, int]) -> dict[str, Any]:
    finding = one.finding
    where: dict[str, Any] = {"artifactLocation": {"uri": _uri(name)}}
    if one.line:
        where["region"] = {"startLine": one.line}
    location: dict[str, Any] = {"physicalLocation": where}
    if finding.place:
        location["logicalLocations"] = [{"fullyQualifiedName": one_line(finding.place, MOST_TEXT)}]
    return {
        "ruleId": finding.code,
        "ruleIndex": places[finding.code],
        "level": finding.level,
        "message": {"text": one_line(f"{finding.problem}: {finding.evidence}", MOST_TEXT)},
        "locations": [location],
        "partialFingerprints": {"k2lab/v1": _fingerprint(finding)},
    }


def _fingerprint(finding: Finding) -> str:
    """The same finding in the same place, whatever lines were put before it."""
    told = f"{finding.code}\0{finding.place}\0{finding.evidence}"
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _notification(name: str, why: str) -> dict[str, Any]:
    where = {"physicalLocation": {"artifactLocation": {"uri": _uri(name)}}}
    return {"level": "error", "message": {"text": one_line(why, MOST_TEXT)}, "locations": [where]}


def _uri(name: str) -> str:
    return "stdin" if name == STDIN else quote(name.encode("utf-8", "surrogateescape"), safe="/")
