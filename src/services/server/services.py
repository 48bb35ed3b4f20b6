"""What a configuration offers: the services of the server, and the presentation contexts that they accept."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping, Sequence
from typing import cast

from dimse.service import Service
from dul.negotiation import SupportedContext
from services.find import Find, negotiate_find
from services.server.archive_index import ArchiveIndex
from services.server.config import Config
from services.sop_classes import StorageContexts
from services.storage import ArchiveStorage, InstanceStore
from services.verification import Verification


def services_of(config: Config, store: InstanceStore, index: ArchiveIndex | None) -> Sequence[Service]:
    """The services of a server.

    Args:
        config: whose.
        store: keeps what is stored.
        index: finds it; None where there is none, and nothing can be queried or retrieved.
    """
    services: list[Service] = [Verification(), ArchiveStorage(store, storage_contexts(config))]
    if index is not None:
        services += [
            Find(index, config.ae_title, maximum_matches=config.limits.find_matches),
        ]
    return services


def storage_contexts(config: Config) -> StorageContexts:
    """What is taken into storage."""
    return StorageContexts(
        deflated=config.storage.accept_deflated,
        private=config.storage.private_sop_classes,
        any_private=config.storage.accept_private_sop_classes,
    )


def supported_contexts(config: Config) -> Mapping[str, SupportedContext]:
    """Every abstract syntax that is accepted, and how."""
    offered: list[Mapping[str, SupportedContext]] = [Verification.sop_classes, storage_contexts(config)]
    if config.has_index:
        offered += [Find.sop_classes]
    return ChainMap(*(cast(MutableMapping[str, SupportedContext], each) for each in offered))


def negotiate_extended(sop_class_uid: str, information: bytes) -> bytes | None:
    """Our answer to a SOP Class Extended Negotiation Sub-item; None for none (PS3.7 D.3.3.5)."""
    return negotiate_find(sop_class_uid, information)
