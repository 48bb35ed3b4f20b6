"""What a configuration offers: the services of the server, and the presentation contexts that they accept."""

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import cast

from dimse.operation import Operation
from dimse.service import Service
from dul.negotiation import SupportedContext
from services.find import Find, negotiate_find
from services.retrieve.destinations import Destinations, MoveDestination
from services.retrieve.get import Get
from services.retrieve.move import Move, MoveOptions, Places
from services.retrieve.selection import negotiate_retrieve
from services.server.archive_index import ArchiveIndex
from services.server.config import Config
from services.server.log import get_logger
from services.sop_classes import StorageContexts
from services.storage import ArchiveStorage, InstanceStore
from services.verification import Verification


def services_of(
    config: Config,
    store: InstanceStore,
    index: ArchiveIndex | None,
    sent: Callable[[int], object] = lambda count: None,
    moves: Places | None = None,
) -> Sequence[Service]:
    """The services of a server.

    Args:
        config: whose.
        store: keeps what is stored.
        index: finds it; None where there is none, and nothing can be queried or retrieved.
        sent: told how many instances a C-GET or a C-MOVE has sent.
        moves: the C-MOVEs of all processes; by default there is this one.
    """
    services: list[Service] = [Verification(), ArchiveStorage(store, storage_contexts(config))]
    if index is not None:
        services += [
            Find(
                index,
                config.ae_title,
                maximum_matches=config.limits.find_matches,
                maximum_identifier=config.limits.identifier_length,
            ),
            Get(
                index,
                response_timeout=config.retrieve.response_timeout,
                maximum_identifier=config.limits.identifier_length,
                failed=_not_sent,
                sent=sent,
            ),
            Move(
                index,
                _destinations(config),
                config.ae_title,
                options=_move_options(config),
                failed=_not_sent,
                sent=sent,
                places=moves,
            ),
        ]
    return services


def _destinations(config: Config) -> Destinations:
    known = {
        name: MoveDestination(each.host, each.port, each.ae_title)
        for name, each in config.known_destinations.items()
    }
    return Destinations(known, allow_ad_hoc=config.allow_ad_hoc_destinations)


def _move_options(config: Config) -> MoveOptions:
    retrieve = config.retrieve
    return MoveOptions(
        parallel=retrieve.parallel,
        window=retrieve.window,
        retries=retrieve.retries,
        connect_timeout=retrieve.connect_timeout,
        response_timeout=retrieve.response_timeout,
        move_timeout=retrieve.move_timeout,
        moves=retrieve.moves,
        maximum_identifier=config.limits.identifier_length,
    )


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
        offered += [Find.sop_classes, Get.sop_classes, Move.sop_classes]
    return ChainMap(*(cast(MutableMapping[str, SupportedContext], each) for each in offered))


def negotiate_extended(sop_class_uid: str, information: bytes) -> bytes | None:
    """Our answer to a SOP Class Extended Negotiation Sub-item; None for none (PS3.7 D.3.3.5)."""
    answer = negotiate_find(sop_class_uid, information)
    return negotiate_retrieve(sop_class_uid, information) if answer is None else answer


def _not_sent(operation: Operation, sop_instance_uid: str, reason: str) -> None:
    log = get_logger(association=operation.association.number, peer=operation.association.provider.peer)
    if sop_instance_uid:
        log.warning("instance not sent", sop_instance_uid=sop_instance_uid, cause=reason)
    else:
        log.warning("C-MOVE", note=reason)
