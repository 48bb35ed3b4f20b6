import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from services.server import config
from services.server.config import TOLERANCES, Config, Limits, Peer, Timers, Tolerance
from services.server.config_file import allowed, default, field_hints

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_every_default() -> None:
    defaults = json.loads(msgspec.json.encode(Config(), enc_hook=str))
    assert defaults == {
        "aeTitle": "DICOM_SERVER",
        "host": "127.0.0.1",
        "port": 11112,
        "dataDirectory": "data",
        "database": None,
        "databaseURL": "",
        "durability": "power",
        "duplicates": "keep",
        "workers": 1,
        "maxConcurrentConnections": 200,
        "maxPDUSize": 131072,
        "allowedCallingAETitles": None,
        "blockedCallingAETitles": [],
        "enableTLS": False,
        "tlsCertificate": "",
        "tlsPrivateKey": "",
        "knownDestinations": {},
        "allowAdHocDestinations": False,
        "peers": {},
        "storage": {"acceptPrivateSOPClasses": False, "privateSOPClasses": [], "acceptDeflated": False},
        "retrieve": {
            "parallel": 1,
            "window": 1,
            "retries": 3,
            "connectTimeout": 30,
            "responseTimeout": 60,
            "moveTimeout": 86400,
            "moves": 16,
        },
        "timers": {
            "artim": 30,
            "artimClose": 10,
            "idle": 60,
            "pdu": 60,
            "release": 30,
            "write": 60,
            "tlsHandshake": 10,
            "grace": 10,
        },
        "limits": {
            "associationsPerCaller": None,
            "associationsPerAddress": None,
            "halfOpen": 64,
            "backlog": 1024,
            "aAssociateLength": 1 << 20,
            "commandSetLength": 65536,
            "dataSetDepth": 64,
            "dataSetElements": 1000000,
            "instanceSize": 8 << 30,
            "borrowedBuffers": 256 << 20,
            "minFreeSpace": 256 << 20,
            "identifierLength": 1 << 20,
            "findMatches": None,
        },
        "log": {"format": "text", "level": "info"},
        "trace": {
            "directory": None,
            "redact": False,
            "maxFileSize": 64 << 20,
            "maxFiles": 1000,
            "maxTotalSize": 1 << 30,
        },
        "verbose": False,
    }


def test_the_switches_are_those_the_code_looks_for() -> None:
    assert (
        set(get_args(Tolerance))
        == TOLERANCES
        == {
            "application-context",
            "called-ae-title",
            "ae-title-case",
            "truncated-data",
            "oversized-pdu",
            "context-ids",
            "implementation-class-uid",
            "mismatched-vr",
            "odd-fragments",
        }
    )


def test_a_peer_is_tolerated_what_its_entry_says_and_nobody_else() -> None:
    settings = Config(peers={"OLD_CT": Peer(tolerate=("truncated-data",))})
    assert settings.tolerated("OLD_CT") == {"truncated-data"}
    assert settings.tolerated("old_ct") == frozenset()
    assert settings.tolerated("CT") == frozenset()


def test_verbose_means_level_debug() -> None:
    assert Config().log_level == "info"
    assert Config(verbose=True).log_level == "debug"


def test_tls_needs_both_files() -> None:
    with pytest.raises(ValueError, match="tlsCertificate and tlsPrivateKey"):
        Config(enable_tls=True)
    with pytest.raises(ValueError, match="enableTLS: true needs tlsPrivateKey as well"):
        Config(enable_tls=True, tls_certificate="server.crt")


def test_files_for_tls_without_tls_are_no_silent_downgrade() -> None:
    with pytest.raises(ValueError, match="enableTLS: false, but tlsPrivateKey is set"):
        Config(tls_private_key="server.key")


def test_the_buffers_must_hold_the_longest_pdu() -> None:
    with pytest.raises(ValueError, match=r"limits\.borrowedBuffers.*at least 4194304"):
        Config(limits=Limits(borrowed_buffers=1 << 20))


def test_redacting_needs_something_to_redact() -> None:
    with pytest.raises(ValueError, match=r"trace\.redact: true.*set trace\.directory"):
        Config(trace=config.Trace(redact=True))
    assert Config(trace=config.Trace(directory=Path("traces"), redact=True)).trace.redact


def test_all_recordings_together_must_hold_one() -> None:
    with pytest.raises(ValueError, match=r"trace\.maxTotalSize.*at least trace\.maxFileSize, 2097152"):
        Config(trace=config.Trace(max_file_size=2 << 20, max_total_size=1 << 20))


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Config().timers.idle = 3  # type: ignore[misc]


# -- the documentation


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "The whole": Config,
    "`knownDestinations.<name>`": config.Destination,
    "`peers.<AE title>`": Peer,
    "`storage`": config.Storage,
    "`retrieve`": config.Retrieve,
    "`timers`": Timers,
    "`limits`": Limits,
    "`log`": config.Log,
    "`trace`": config.Trace,
}


def _section(heading: str) -> str:
    return DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def _rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line
    ]


def _written(value: Any) -> str:
    match value:
        case msgspec.NODEFAULT:
            return "required"
        case None:
            return "none"
        case msgspec.Struct():
            return "see below"
        case Path():
            return f"`./{value}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{json.dumps(value)}`"


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_documentation_has_every_field_with_its_default_and_its_range(heading: str) -> None:
    struct = SECTIONS[heading]
    rows = [row for row in _rows(_section(heading)) if len(row) == 4][2:]
    documented = [row[:3] for row in rows]
    assert documented == [
        [f"`{name}`", _written(default(struct, name)), allowed(hint)]
        for name, hint in field_hints(struct).items()
    ]
    assert all(len(row[3]) > 20 for row in rows)


def test_the_documentation_has_a_section_for_every_struct() -> None:
    structs = {
        value
        for value in vars(config).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
    }
    assert structs == set(SECTIONS.values())


def test_the_documentation_has_every_switch() -> None:
    rows = [row for row in _rows(_section("`peers.<AE title>`")) if len(row) == 2][2:]
    assert {row[0].strip("`") for row in rows} == TOLERANCES


def test_the_examples_of_the_documentation_load_and_are_equal() -> None:
    from services.server.config_file import make_config, parse

    examples = re.findall(r"```(?:toml|json)\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    first, second = (make_config(parse(example.encode())) for example in examples)
    assert first == second != Config()
