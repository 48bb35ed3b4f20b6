"""The conformance statement is what the server runs on."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from dimse import status
from services.query.keys import MODELS, SUPPORTED
from services.retrieve.selection import negotiate_retrieve
from services.retrieve.sub_operations import INDEX_FAILED
from services.server.config import Config, Limits, Storage
from services.server.conformance_statement import conformance_statement
from services.server.services import services_of, storage_contexts, supported_contexts

DOCUMENT = Path(__file__).parents[3] / "docs" / "conformance-statement.md"


def test_the_document_is_what_the_program_prints() -> None:
    program = "from services.cli.server import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, "conformance-statement"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert DOCUMENT.read_text() == done.stdout, "say make conformance-statement"


@pytest.mark.parametrize("config", [Config(), Config(database="none")], ids=["index", "none"])
def test_the_contexts_are_those_of_the_services(config: Config) -> None:
    index = object() if config.has_index else None
    services = services_of(config, object(), index)  # type: ignore[arg-type]
    offered = {uid: context for service in services for uid, context in service.sop_classes.items()}
    assert dict(supported_contexts(config)) == offered


def test_every_sop_class_syntax_and_key_is_named() -> None:
    text = conformance_statement(Config())
    for uid, context in supported_contexts(Config()).items():
        assert f"`{uid}`" in text
        assert all(f"(`{syntax}`)" in text for syntax in context.transfer_syntaxes)
    for key in SUPPORTED.values():
        assert f"| {key.level.value} | {key.keyword} |" in text


def test_what_a_retrieval_negotiates_and_ends_with_is_named() -> None:
    model = next(iter(MODELS.values()))
    assert negotiate_retrieve(model.get, b"\1\1") == b"\1\0"  # relational, and not enhanced
    text = conformance_statement(Config())
    for service in ("Retrieve (C-MOVE)", "Retrieve (C-GET)"):
        (row,) = [line for line in text.splitlines() if line.startswith(f"| those of {service} |")]
        assert row.endswith("| see 4.2.4.4 |")
    section = text.partition("##### 4.2.4.4")[2].partition("\n### ")[0]
    assert "relational retrieval" in section
    for code in (
        status.UNABLE_TO_CALCULATE_NUMBER_OF_MATCHES,
        status.UNABLE_TO_PERFORM_SUBOPERATIONS,
        INDEX_FAILED,
    ):
        assert f"\n| {code:04X} |" in section
    assert "`retrieve.moves`" in section


def test_a_configuration_shows() -> None:
    base = conformance_statement(Config())
    changed = msgspec.structs.replace(
        Config(),
        ae_title="MY_PACS",
        limits=Limits(find_matches=500),
        storage=Storage(private_sop_classes=("1.2.3.4",)),
        allow_ad_hoc_destinations=True,
    )
    text = conformance_statement(changed)
    for piece in ("MY_PACS", "more than 500 matches", "`1.2.3.4`", "host:port:AE"):
        assert piece in text
        assert piece not in base
    without = conformance_statement(Config(database="none"))
    assert "C-FIND" not in without.partition("## 5")[0].partition("### 4.2")[2]
    assert "Retrieve (C-GET)" not in without


def test_no_table_is_broken() -> None:
    lines = conformance_statement(Config()).splitlines()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        if line.startswith("|---"):
            assert before.count("|") == line.count("|") == after.count("|")
        if before.startswith("|") and not line.startswith("|"):
            assert line == "", "a table ends with an empty line"


def test_storage_is_what_the_configuration_takes() -> None:
    assert "1.2.840.10008.1.2.1.99" not in conformance_statement(Config())
    deflated = Config(storage=Storage(accept_deflated=True))
    assert "1.2.840.10008.1.2.1.99" in conformance_statement(deflated)
    assert (
        "1.2.840.10008.1.2.1.99" in storage_contexts(deflated)["1.2.840.10008.5.1.4.1.1.2"].transfer_syntaxes
    )
