"""The DICOM conformance statement of a configuration, in the shape of PS3.2 Annex A, as Markdown.

Everything in it that a table can say is taken from what the server runs on: the registry of services, the keys of
queries, the configuration. A test holds the registry equal to that of a running server.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from dul.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dul.negotiation import SupportedContext
from services.character_sets import UTF_8
from services.query.keys import MODELS, SUPPORTED, Level, Usage
from services.query.options import OFFERED
from services.server.config import Config, Timers
from services.server.services import supported_contexts
from services.server.tls import TLS_1_2_SUITES
from services.sop_classes import UNCOMPRESSED, VERIFICATION, name_of, storage_sop_classes

_WHAT_TIMERS_DO = {
    "artim": "ARTIM in Sta2: from the connection to a whole A-ASSOCIATE-RQ",
    "artimClose": "ARTIM in Sta13: for the peer to close the connection",
    "idle": "an association on which nothing happens is aborted",
    "pdu": "a PDU that has begun must be complete",
    "release": "our operations still running when the peer asks for release",
    "write": "the peer must take what we sent",
    "tlsHandshake": "from the connection to the end of the TLS handshake",
    "grace": "for open associations, when the server is told to stop",
}
_DURABLE = {
    "process": "kept so that it survives the death of the server",
    "power": "on stable storage and in the index",
}
_DUPLICATES = {
    "keep": "another instance is stored under this SOP Instance UID, and stays (the same one again is a success)",
    "replace": "the SOP Instance UID is held under another study or series",
    "reject": "an instance is stored under this SOP Instance UID",
}


class _Row(Struct):
    """A SOP class in a table."""

    name: str
    uid: str
    scu: str
    scp: str


def conformance_statement(config: Config) -> str:
    """The statement of a server with this configuration.

    Args:
        config: whose.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("services.server"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, and nothing in it comes from the wire
    )
    template = environment.get_template("conformance_statement.md.j2")
    return template.render(**_facts(config))


def _facts(config: Config) -> dict[str, Any]:
    supported = supported_contexts(config)
    groups = _groups(supported, config.has_index)
    limit = config.limits.find_matches
    return {
        "described": "the defaults" if config == Config() else "the configuration it was made for",
        "ae_title": config.ae_title,
        "port": config.port,
        "has_index": config.has_index,
        "index_is": "and writes down in an index" if config.has_index else "without an index",
        "durable": _DURABLE[config.durability],
        "duplicates": _DUPLICATES[config.duplicates],
        "instance_size": config.limits.instance_size,
        "maximum_length": config.max_pdu_size,
        "associations": config.max_concurrent_connections,
        "window": (8, 8),
        "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
        "destinations": (
            "and whatever `host:port:AE` a peer asks for (`allowAdHocDestinations`)"
            if config.allow_ad_hoc_destinations
            else "and nothing else"
        ),
        "retries": config.retrieve.retries,
        "most_matches": limit or "`limits.findMatches` (not set, so any number of)",
        "overview": _overview(groups),
        "groups": groups,
        "private": _private(config),
        "contexts": _contexts(supported, groups),
        "syntaxes": _syntaxes(supported),
        "models": [
            {"name": model.name, "levels": ", ".join(level.value for level in model.levels)}
            for model in MODELS.values()
        ],
        "keys": list(_keys()),
        "find_information": " ".join(f"{offered:02X}" for offered in OFFERED),
        "timers": _timers(config.timers),
        "character_sets": list(_character_sets()),
        "tls": "TLS only." if config.enable_tls else "Plain TCP; TLS by configuration.",
        "ciphers": f": {', '.join(TLS_1_2_SUITES)} and those of TLS 1.3",
    }


def _groups(supported: Mapping[str, SupportedContext], has_index: bool) -> list[dict[str, Any]]:
    verification = [_Row(name_of(VERIFICATION), VERIFICATION, "No", "Yes")]
    scu = "Yes" if has_index else "No"
    storage = [_Row(name_of(uid), uid, scu, "Yes") for uid in storage_sop_classes() if uid in supported]
    groups = [{"title": "Verification", "rows": verification}, {"title": "Storage", "rows": storage}]
    for title, attribute in (("Query", "find"), ("Retrieve (C-MOVE)", "move"), ("Retrieve (C-GET)", "get")):
        uids = [getattr(model, attribute) for model in MODELS.values()]
        rows = [_Row(name_of(uid), uid, "No", "Yes") for uid in uids if uid in supported]
        if rows:
            groups.append({"title": title, "rows": rows})
    return groups


def _overview(groups: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "service": group["title"],
            "sop_classes": f"{len(group['rows'])}" if len(group["rows"]) > 3 else _names(group["rows"]),
            "scu": group["rows"][0].scu,
            "scp": group["rows"][0].scp,
        }
        for group in groups
    ]


def _names(rows: Iterable[_Row]) -> str:
    return ", ".join(row.name for row in rows)


def _private(config: Config) -> str:
    if config.storage.accept_private_sop_classes:
        return "Every private SOP class is taken into storage as well."
    if config.storage.private_sop_classes:
        listed = ", ".join(f"`{uid}`" for uid in config.storage.private_sop_classes)
        return f"Private SOP classes taken into storage as well: {listed}."
    return "Private SOP classes are taken into storage where the configuration names them."


def _contexts(
    supported: Mapping[str, SupportedContext], groups: Iterable[dict[str, Any]]
) -> Iterable[dict[str, str]]:
    for group in groups:
        context = supported[group["rows"][0].uid]
        uncompressed = set(context.transfer_syntaxes) <= set(UNCOMPRESSED)
        yield {
            "name": f"those of {group['title']}",
            "transfer_syntaxes": "uncompressed" if uncompressed else "all below",
            "role": "SCP; the requestor may be SCP, too (C-GET)" if context.scu_role else "SCP",
            "extended": _extended(group["title"]),
        }


def _extended(title: str) -> str:
    """Where the statement says what extended negotiation of a group of SOP classes agrees to."""
    if title == "Query":
        return "see 4.2.4.3"
    return "see 4.2.4.4" if title.startswith("Retrieve") else "none"


def _syntaxes(supported: Mapping[str, SupportedContext]) -> list[dict[str, Any]]:
    storage = supported[storage_sop_classes()[0]].transfer_syntaxes
    others = [uid for uid in storage if uid not in UNCOMPRESSED]
    return [
        {"title": title, "rows": [{"name": name_of(uid), "uid": uid} for uid in uids]}
        for title, uids in (("Uncompressed", UNCOMPRESSED), ("Compressed, storage only", others))
    ]


def _keys() -> Iterable[dict[str, str]]:
    for level in Level:
        for key in SUPPORTED.values():
            if key.level is not level:
                continue
            kind = key.usage.value if not key.computed else f"{Usage.OPTIONAL.value}, computed"
            yield {
                "level": level.value,
                "keyword": key.keyword,
                "tag": f"{key.tag >> 16:04X},{key.tag & 0xFFFF:04X}",
                "vr": key.vr,
                "type": kind,
            }


def _timers(timers: Timers) -> list[dict[str, str]]:
    from msgspec import to_builtins

    values = to_builtins(timers)
    assert values.keys() == _WHAT_TIMERS_DO.keys(), "a timer without a description"
    return [
        {"name": f"timers.{name}", "seconds": f"{values[name]:g}", "what": what}
        for name, what in _WHAT_TIMERS_DO.items()
    ]


def _character_sets() -> Iterable[str]:
    from pydicom.charset import python_encoding

    for term in sorted(python_encoding):
        if term.startswith(("ISO", "GB")):
            yield f"{term}, used for answers that the request's own cannot carry" if term == UTF_8 else term
