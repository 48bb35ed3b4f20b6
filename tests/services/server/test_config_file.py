import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.server.config import Config, Destination, Limits, Peer, Storage, Timers
from services.server.config_file import ConfigError, field_hints, load_config, make_config, parse

USAGE_CONTRACT = Path(__file__).parent / "usage_contract"


def refused(raw: dict[str, Any], **overrides: object) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(raw, overrides)
    return str(caught.value)


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    result: dict[str, Any] = value
    return result


# -- the two files users have


def test_the_first_file_of_the_usage_contract_loads() -> None:
    settings = load_config(USAGE_CONTRACT / "with_two_destinations.json")
    assert settings == Config(
        ae_title="MY_SCP",
        data_directory=Path("/var/lib/dicom"),
        known_destinations={
            "WORKSTATION": Destination(host="192.168.1.100", port=104, ae_title="WORKSTATION"),
            "PACS": Destination(host="pacs.hospital.local", port=11112, ae_title="ORTHANC"),
        },
    )


def test_the_second_file_of_the_usage_contract_loads() -> None:
    settings = load_config(USAGE_CONTRACT / "verbose.json")
    assert (settings.ae_title, settings.verbose, list(settings.known_destinations)) == (
        "MY_PACS",
        True,
        ["WORKSTATION"],
    )


def test_the_name_of_the_file_says_nothing_about_its_format(tmp_path: Path) -> None:
    for content in (b'{"port": 104}', b"port = 104", b'\xef\xbb\xbf \n{"port": 104}'):
        file = tmp_path / "dicom-server.conf"
        file.write_bytes(content)
        assert load_config(file).port == 104


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    assert load_config(file) == load_config() == Config()


# -- formats

AS_JSON = """
{
  "aeTitle": "MY_PACS", "port": 104, "host": "::", "dataDirectory": "/srv/dicom", "databaseURL": "",
  "durability": "process", "duplicates": "reject", "verbose": true,
  "allowedCallingAETitles": ["CT1", "*"], "blockedCallingAETitles": ["BAD"],
  "enableTLS": true, "tlsCertificate": "a.crt", "tlsPrivateKey": "a.key",
  "knownDestinations": {"W S": {"host": "w", "port": 1, "aeTitle": "W"}},
  "peers": {"CT1": {"tolerate": ["oversized-pdu", "context-ids"]}},
  "timers": {"idle": 0.5, "artimClose": 5, "tlsHandshake": 3},
  "limits": {"associationsPerCaller": 3, "halfOpen": 8, "minFreeSpace": 0},
  "storage": {"acceptPrivateSOPClasses": true, "privateSOPClasses": ["1.3.12.2.1107.5.9.1"]},
  "log": {"format": "json", "level": "warning"}
}
"""
AS_TOML = """
aeTitle = "MY_PACS"
port = 104
host = "::"
dataDirectory = "/srv/dicom"
databaseURL = ""
durability = "process"
duplicates = "reject"
verbose = true
allowedCallingAETitles = ["CT1", "*"]
blockedCallingAETitles = ["BAD"]
enableTLS = true
tlsCertificate = "a.crt"
tlsPrivateKey = "a.key"
knownDestinations."W S" = {host = "w", port = 1, aeTitle = "W"}
peers.CT1.tolerate = ["oversized-pdu", "context-ids"]
timers = {idle = 0.5, artimClose = 5, tlsHandshake = 3}
log = {format = "json", level = "warning"}
[limits]
associationsPerCaller = 3
halfOpen = 8
minFreeSpace = 0
[storage]
acceptPrivateSOPClasses = true
privateSOPClasses = ["1.3.12.2.1107.5.9.1"]
"""


def test_json_and_toml_say_the_same() -> None:
    from_json = make_config(parse(AS_JSON.encode()))
    assert from_json == make_config(parse(AS_TOML.encode()))
    assert from_json == Config(
        ae_title="MY_PACS",
        port=104,
        host="::",
        data_directory=Path("/srv/dicom"),
        durability="process",
        duplicates="reject",
        verbose=True,
        allowed_calling_ae_titles=("CT1", "*"),
        blocked_calling_ae_titles=("BAD",),
        enable_tls=True,
        tls_certificate="a.crt",
        tls_private_key="a.key",
        known_destinations={"W S": Destination(host="w", port=1, ae_title="W")},
        peers={"CT1": Peer(tolerate=("oversized-pdu", "context-ids"))},
        timers=Timers(idle=0.5, artim_close=5, tls_handshake=3),
        limits=Limits(associations_per_caller=3, half_open=8, min_free_space=0),
        storage=Storage(accept_private_sop_classes=True, private_sop_classes=("1.3.12.2.1107.5.9.1",)),
        log=from_json.log,
    )
    assert (from_json.log.format, from_json.log.level) == ("json", "warning")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"port": 1,}', "wrong JSON"),
        (b'{"port": 1, "port": 2}', "the field 'port' is given more than once"),
        (b'{"limits": {"backlog": 1, "backlog": 1}}', "'backlog' is given more than once"),
        (b"port: 11112", "neither JSON, which begins with {, nor TOML"),
        (b"[1, 2]", "nor TOML"),
        (b"port = 1\nport = 2", "nor TOML"),
        (b"\xff\xfe{", "not UTF-8 text at byte 0"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_a_document_that_is_neither(content: bytes, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(content, "server.conf")
    assert str(caught.value).startswith("server.conf: ")
    assert text in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.conf: cannot read the configuration: No such file"):
        load_config(tmp_path / "no.conf")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: longer than 1048576 bytes"):
        load_config(Path("/dev/zero"))


# -- values that are not allowed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("aeTitle", ""),
        ("aeTitle", " "),
        ("aeTitle", "SEVENTEEN_LETTERS"),
        ("aeTitle", "BACK\\SLASH"),
        ("aeTitle", "TAB\tTITLE"),
        ("aeTitle", "LINE\n"),
        ("aeTitle", " PADDED"),
        ("aeTitle", "PADDED "),
        ("aeTitle", "MÜLLER"),
        ("aeTitle", "*"),
        ("aeTitle", 5),
        ("aeTitle", None),
        ("host", ""),
        ("host", "localhost:104"),
        ("host", "[::1]"),
        ("host", "a host"),
        ("port", -1),
        ("port", 65536),
        ("port", "11112"),
        ("port", True),
        ("port", 104.5),
        ("port", 10**30),
        ("dataDirectory", ""),
        ("dataDirectory", "a\0b"),
        ("dataDirectory", 3),
        ("databaseURL", "sqlite:x.db"),
        ("databaseURL", "mysql://host/x"),
        ("database", "oracle"),
        ("retrieve.parallel", 17),
        ("retrieve.retries", -1),
        ("limits.findMatches", 0),
        ("durability", "none"),
        ("duplicates", "Keep"),
        ("maxConcurrentConnections", 0),
        ("maxConcurrentConnections", 65536),
        ("maxPDUSize", 0),
        ("maxPDUSize", 4095),
        ("maxPDUSize", 1048577),
        ("allowedCallingAETitles", []),
        ("allowedCallingAETitles", "CT1"),
        ("blockedCallingAETitles", None),
        ("enableTLS", "yes"),
        ("enableTLS", 1),
        ("tlsCertificate", 3),
        ("tlsCertificate", "a\0b"),
        ("knownDestinations", ["WORKSTATION"]),
        ("knownDestinations.WORKSTATION", "host:104"),
        ("peers", 3),
        ("peers.CT1.tolerate", "truncated-data"),
        ("storage.acceptPrivateSOPClasses", "no"),
        ("storage.acceptDeflated", 0),
        ("timers", 30),
        ("timers.artim", 0),
        ("timers.artimClose", -1),
        ("timers.idle", "60"),
        ("timers.pdu", float("nan")),
        ("timers.release", float("inf")),
        ("timers.write", 86401),
        ("timers.tlsHandshake", None),
        ("timers.grace", True),
        ("limits.associationsPerCaller", 0),
        ("limits.associationsPerAddress", -1),
        ("limits.halfOpen", 0),
        ("limits.backlog", 65536),
        ("limits.aAssociateLength", 4095),
        ("limits.commandSetLength", 0),
        ("limits.dataSetDepth", 513),
        ("limits.dataSetElements", 0),
        ("limits.instanceSize", 1023),
        ("limits.borrowedBuffers", 0),
        ("limits.minFreeSpace", -1),
        ("log.format", "xml"),
        ("log.level", "trace"),
        ("verbose", "true"),
    ],
)
def test_a_bad_value_names_its_field_and_what_is_allowed(path: str, value: Any) -> None:
    text = refused(nested(path, value))
    assert text.startswith(f"{path}: ")
    assert "is not allowed; allowed: " in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"allowedCallingAETitles": ["CT1", ""]}, "allowedCallingAETitles[1]"),
        ({"blockedCallingAETitles": ["*"]}, "blockedCallingAETitles[0]"),
        ({"peers": {"CT1": {"tolerate": ["context-ids", "everything"]}}}, "peers.CT1.tolerate[1]"),
        ({"peers": {"*": {}}}, "peers.*"),
        ({"knownDestinations": {"": {"host": "h", "port": 1, "aeTitle": "A"}}}, "knownDestinations."),
        (
            {"knownDestinations": {"W": {"host": "h", "port": 0, "aeTitle": "A"}}},
            "knownDestinations.W.port",
        ),
        ({"storage": {"privateSOPClasses": ["1.2.840.10008.5.1.4.1.1.2"]}}, "storage.privateSOPClasses[0]"),
        ({"storage": {"privateSOPClasses": ["1.2.03"]}}, "storage.privateSOPClasses[0]"),
        ({"storage": {"privateSOPClasses": ["1." + "2" * 63]}}, "storage.privateSOPClasses[0]"),
    ],
)
def test_a_bad_entry_names_its_place(raw: dict[str, Any], field: str) -> None:
    assert refused(raw).startswith(f"{field}: ")


def test_a_value_is_shown_as_it_was_given() -> None:
    assert (
        refused({"port": "11112"})
        == 'port: "11112" is not allowed; allowed: 0 to 65535; 0 takes any free port'
    )
    assert "1979-05-27" in refused(parse(b"port = 1979-05-27"))


def test_a_value_cannot_write_lines_of_its_own() -> None:
    assert "\x1b" not in refused({"aeTitle": "\x1b[2J\n", "peers": {"A\nB": {}}})


def test_null_is_a_value_only_where_a_field_may_be_left_open() -> None:
    open_ones = {"allowedCallingAETitles": None, "limits": {"associationsPerCaller": None}}
    assert make_config(open_ones) == Config()
    assert refused({**open_ones, "port": None}) == (
        "port: null is not allowed; allowed: 0 to 65535; 0 takes any free port"
    )


def test_a_password_is_not_shown() -> None:
    text = refused({"databaseURL": "mysql://me:se/cret@host/db"})
    assert "cret" not in text
    assert "postgresql://user:password@host:port/name" in text


def test_every_mistake_is_named_at_once() -> None:
    lines = refused({"port": -1, "timers": {"idle": 0, "idel": 3}, "knownDestinations": {"W": {}}}).split(
        "\n"
    )
    assert {line.split(":")[0] for line in lines} == {
        "port",
        "timers.idle",
        "timers.idel",
        "knownDestinations.W.host",
        "knownDestinations.W.port",
        "knownDestinations.W.aeTitle",
    }


def test_fields_that_contradict_each_other_are_named() -> None:
    text = refused({"enableTLS": True, "tlsCertificate": "a.crt"})
    assert text == "enableTLS: true needs tlsPrivateKey as well: the name of a PEM file"


# -- unknown fields

PLACES = {
    "": Config,
    "storage": Storage,
    "timers": Timers,
    "limits": Limits,
    "log": type(Config().log),
    "peers.CT1": Peer,
    "knownDestinations.W": Destination,
}


@given(st.sampled_from(sorted(PLACES)), st.text(min_size=1, max_size=20))
def test_an_unknown_field_is_refused_anywhere(place: str, name: str) -> None:
    if name in field_hints(PLACES[place]):
        return
    whole = {"host": "h", "port": 1, "aeTitle": "A"} if place == "knownDestinations.W" else {}
    raw = nested(place, {**whole, name: 1}) if place else {name: 1}
    with pytest.raises(ConfigError) as caught:
        make_config(raw)
    (problem,) = caught.value.problems
    assert problem.field.startswith(f"{place}." if place else "")
    assert problem.text.startswith("unknown field")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("aetitle", "aeTitle"),
        ("databaseUrl", "databaseURL"),
        ("maxPduSize", "maxPDUSize"),
        ("maxConcurrentConnection", "maxConcurrentConnections"),
        ("allowedCallingAeTitles", "allowedCallingAETitles"),
    ],
)
def test_a_misspelled_field_is_told_the_right_one(name: str, meant: str) -> None:
    assert refused({name: 1}) == f"{name}: unknown field; did you mean {meant}?"


def test_a_field_like_no_other_is_told_all_there_are() -> None:
    assert refused({"log": {"zzz": 1}}) == "log.zzz: unknown field; known here are format, level"


# -- the command line


def test_overrides_win_over_the_file() -> None:
    raw = {"port": 1, "timers": {"idle": 5, "pdu": 6}}
    settings = make_config(raw, {"port": 2, "timers.idle": 7, "log.format": "json"})
    assert (settings.port, settings.timers.idle, settings.timers.pdu, settings.log.format) == (
        2,
        7,
        6,
        "json",
    )
    assert raw == {"port": 1, "timers": {"idle": 5, "pdu": 6}}


def test_an_override_mends_a_bad_value() -> None:
    assert make_config({"port": -1}, {"port": 104}).port == 104


def test_an_override_inside_something_that_is_no_table_leaves_the_mistake_to_be_named() -> None:
    with pytest.raises(ConfigError, match="log: 3 is not allowed"):
        make_config({"log": 3}, {"log.format": "json"})


def test_loading_touches_no_disk_but_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.conf"
    file.write_text(json.dumps({"dataDirectory": str(tmp_path / "data")}))
    load_config(file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.conf"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"database": "postgres"}, 'database: "postgres" needs databaseURL as well'),
        ({"database": "none", "databaseURL": "sqlite:////x.db"}, 'database: "none", but databaseURL is set'),
        (
            {"database": "sqlite", "databaseURL": "postgresql://h/d"},
            'database: "sqlite", but databaseURL begins with',
        ),
        (
            {"database": "postgres", "databaseURL": "sqlite:////x"},
            'database: "postgres", but databaseURL begins with',
        ),
    ],
)
def test_database_and_its_url_must_agree(given: dict[str, object], text: str) -> None:
    assert text in refused(given)


@pytest.mark.parametrize(
    "given",
    [
        {"database": "none"},
        {"database": "sqlite", "databaseURL": ""},
        {"database": "sqlite", "databaseURL": "sqlite:////srv/index.db"},
        {"databaseURL": "postgres://user@host/name"},
        {"database": "postgres", "databaseURL": "postgresql+psycopg://user:password@host:5432/name"},
    ],
)
def test_databases_that_can_be_named(given: dict[str, object]) -> None:
    config = make_config(given)
    assert config.has_index is (config.database != "none")
