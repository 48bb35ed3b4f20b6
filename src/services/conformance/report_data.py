"""The report of a run for programs: JSON, and JUnit XML for those that show test results."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from typing import Any

import msgspec

from services.conformance.probe import describe_services
from services.conformance.results import CaseResult, Run
from services.conformance.verdict import Verdict
from services.printable import printable


def as_json(run: Run) -> bytes:
    """The run as one JSON object: `peer`, `summary`, `remarks`, and `cases` with every byte in hexadecimal."""
    offer = run.offer
    document = {
        "peer": {
            "address": run.address,
            "calledAETitle": run.called_ae,
            "callingAETitle": run.calling_ae,
            "implementationClassUID": offer.implementation_class_uid,
            "implementationVersionName": offer.implementation_version_name,
            "maximumLength": offer.maximum_length,
            "services": describe_services(offer),
            "acceptedContexts": {
                abstract.decode("latin-1"): [syntax.decode("latin-1") for syntax in syntaxes]
                for abstract, syntaxes in offer.accepted.items()
            },
        },
        "started": _time(run.started),
        "seconds": round(run.seconds, 3),
        "command": run.command,
        "summary": {verdict.value: run.count(verdict) for verdict in Verdict},
        "remarks": run.remarks,
        "cases": [_case(result) for result in run.results],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _case(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "id": case.id,
        "suite": case.suite.value,
        "title": case.title,
        "clause": case.clause,
        "verdict": result.verdict.value,
        "seconds": round(result.seconds, 3),
        "steps": [step.describe() for step in case.steps],
        "findings": [
            {"verdict": f.verdict.value, "expected": f.expected, "got": f.got, "why": f.why}
            for f in result.findings
        ],
        "connections": [
            {
                "number": connection.number,
                "started": _time(connection.started),
                "complete": not connection.cut,
                "exchanges": [
                    {
                        "at": round(e.at, 6),
                        "what": e.move.value,
                        **({"bytes": e.data.hex()} if e.data else {}),
                    }
                    for e in connection.exchanges
                ],
            }
            for connection in result.connections
        ],
    }


def as_junit(run: Run) -> bytes:
    """The run as JUnit XML: a test suite for each suite; tolerated cases pass, and say so in their output."""
    root = ET.Element("testsuites", name="dicom-conformance", time=f"{run.seconds:.3f}")
    for suite in run.suites:
        results = [result for result in run.results if result.case.suite is suite]
        element = ET.SubElement(
            root,
            "testsuite",
            name=suite.value,
            tests=str(len(results)),
            failures=str(run.count(Verdict.FAIL, suite)),
            errors=str(run.count(Verdict.INCONCLUSIVE, suite)),
            skipped=str(run.count(Verdict.NOT_APPLICABLE, suite)),
            time=f"{sum(result.seconds for result in results):.3f}",
            timestamp=_time(run.started),
        )
        for result in results:
            _test_case(element, result)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


_ELEMENTS = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error", Verdict.NOT_APPLICABLE: "skipped"}


def _test_case(parent: ET.Element, result: CaseResult) -> None:
    case = result.case
    element = ET.SubElement(
        parent,
        "testcase",
        classname=case.suite.value,
        name=f"{case.id} {case.title}",
        time=f"{result.seconds:.3f}",
    )
    text = printable("; ".join(map(str, result.findings)))
    if result.verdict in _ELEMENTS:
        problem = ET.SubElement(element, _ELEMENTS[result.verdict], message=text)
        problem.text = case.clause
    elif text:
        ET.SubElement(element, "system-out").text = f"{result.verdict.value}: {text} [{case.clause}]"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
