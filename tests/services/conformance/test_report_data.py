"""The reports for programs."""

import json
import xml.etree.ElementTree as ET

from raw_bytes import abort
from runs import HOSTILE, a_run
from services.conformance.report_data import as_json, as_junit


def test_json_has_everything() -> None:
    document = json.loads(as_json(a_run()))
    assert document["peer"]["implementationVersionName"] == HOSTILE
    assert document["peer"]["acceptedContexts"]["1.2.840.10008.1.1"] == ["1.2.840.10008.1.2"]
    assert document["peer"]["services"] == ["storage", "verification"]
    assert document["summary"] == {
        "pass": 1, "not applicable": 1, "tolerated": 1, "inconclusive": 1, "fail": 1
    }  # fmt: skip
    assert document["started"] == "2023-11-14T22:13:20.000+00:00"
    failed = document["cases"][1]
    assert (failed["id"], failed["suite"], failed["verdict"]) == ("ul-2a", "ul", "fail")
    assert failed["findings"][0]["expected"] == "abort 2/1"
    assert failed["steps"][2] == "sends a byte"
    exchanges = failed["connections"][0]["exchanges"]
    assert [exchange["what"] for exchange in exchanges] == [
        "opened",
        "sent",
        "received",
        "closed by the peer",
    ]
    assert bytes.fromhex(exchanges[2]["bytes"]) == abort(2, 2)
    assert "bytes" not in exchanges[0]


def test_junit_is_what_test_reporters_read() -> None:
    root = ET.fromstring(as_junit(a_run()))
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["ul", "dimse", "storage"]
    ul = suites["ul"]
    assert (ul.get("tests"), ul.get("failures"), ul.get("errors"), ul.get("skipped")) == ("2", "1", "0", "0")
    storage = suites["storage"]
    assert (storage.get("errors"), storage.get("skipped")) == ("1", "1")
    kinds = [[child.tag for child in case] for suite in root for case in suite]
    assert kinds == [[], ["failure"], ["system-out"], ["skipped"], ["error"]]
    failure = ul[1][0]
    assert failure.get("message", "").startswith("expected abort 2/1, got garbage: <script>")
    assert failure.text == "PS3.8 9.2: Evt19 in Sta6, AA-8"
