"""`dicom-conformance serve`: an acceptor that plays scripts to the SCUs that call it, and judges what they do.

    options = ServeOptions(port=11114, called_ae=b"TESTER", count=1)
    await serve(options, ["reject-1-1-3"], on_result)

* `services.conformance.scripts` has the scripts: `scripts()`, `find(names)`, `list_lines`, `explain_lines`.
* Each association plays one script: those named, in turn, and from the first one on again. Connections on which
  nothing is said (something looks whether the port is open) play none and count for nothing.
* `on_result` is told a `ScuResult` for each association, as it ends. It is a `CaseResult`, whose `case` is the
  `Script`: what prints or stores results of cases does so with these.
* `as_run(results, options)` makes a `Run` of them, for the reports.
* `serve` returns once `count` associations have ended, or when it is cancelled; then no connection is left open.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from dul.pdus import AAssociateRQ, ImplementationClassUIDSubItem, ImplementationVersionNameSubItem
from services.conformance.accepted import AcceptedConnection, Association
from services.conformance.connection import OVER, SILENCE
from services.conformance.conversation import Over
from services.conformance.results import CaseResult, PlayedConnection, Run
from services.conformance.script import Script, Topic
from services.conformance.scripts import DEFAULT, find
from services.conformance.target import Offer, Target
from services.conformance.verdict import Finding, Verdict

_BACKLOG = 64


class ServeOptions(Struct, kw_only=True):
    """How to serve.

    Attributes:
        host: where to listen; "0.0.0.0" for all addresses.
        port: 0 for any that is free: `on_listening` is told which.
        called_ae: the title we answer to; others are rejected 1/1/7. Empty: to any.
        tls: to listen with TLS.
        count: associations after which to end; None for no end.
        at_once: associations at a time; a connection above them is closed at once.
        timeout: how long an SCU may take to react, in seconds.
        idle: how long it may take until it makes its next request, in seconds.
        late: by how much late answers are late, in seconds.
        patience: how long to stay silent where no answer ever comes, in seconds.
        longest: after it an association is given up, in seconds.
        on_listening: told the port once connections are taken.
    """

    host: str = "127.0.0.1"
    port: int = 11114
    called_ae: bytes = b""
    tls: ssl.SSLContext | None = None
    count: int | None = None
    at_once: int = 16
    timeout: float = 10.0
    idle: float = 60.0
    late: float = 2.0
    patience: float = 60.0
    longest: float = 600.0
    on_listening: Callable[[int], None] = lambda port: None


class ScuResult(CaseResult, frozen=True):
    """What an SCU did on one association.

    Attributes:
        number: of the association, from 1.
        address: where it called from.
        called_ae, calling_ae: the titles it used, without padding.
        offer: what its A-ASSOCIATE-RQ said of it; `accepted` has the contexts it proposed.
        did: what it did, in order: "associate", "C-ECHO-RQ 1", "abort 0/0", "closed".
    """

    number: int = 0
    address: str = ""
    called_ae: str = ""
    calling_ae: str = ""
    offer: Offer = field(default_factory=Offer)
    did: tuple[str, ...] = ()


OnResult = Callable[[ScuResult], None]


async def serve(options: ServeOptions, script_names: Sequence[str], on_result: OnResult) -> None:
    """Listen, and play a script on each association.

    Args:
        options: where and how.
        script_names: as for `scripts.find`; none stand for "conforming".
        on_result: told each result as an association ends.

    Raises:
        KeyError: a name no script has.
        OSError: the port cannot be listened on.
    """
    acceptor = _Acceptor(options, find(script_names) or [DEFAULT], on_result)
    server = await asyncio.start_server(
        acceptor.take,
        options.host,
        options.port,
        backlog=_BACKLOG,
        ssl=options.tls,
        ssl_handshake_timeout=None if options.tls is None else options.timeout,
    )
    try:
        options.on_listening(server.sockets[0].getsockname()[1])
        await acceptor.done.wait()
    finally:
        server.close()
        await acceptor.close()


class _Acceptor:
    def __init__(self, options: ServeOptions, scripts: Sequence[Script], on_result: OnResult) -> None:
        self.done = asyncio.Event()
        self._options = options
        self._scripts = scripts
        self._on_result = on_result
        self._tasks: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._ended = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play a script on a connection; `asyncio` runs this as a task of its own."""
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= self._options.at_once or self.done.is_set():
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._take(AcceptedConnection(reader, writer), writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # and no more: nobody awaits this task but `close`
        finally:
            self._tasks.discard(task)

    async def _take(self, connection: AcceptedConnection, writer: asyncio.StreamWriter) -> None:
        options = self._options
        host, port = (writer.get_extra_info("peername") or ("", 0))[:2]
        association = Association(
            Target(host=host, port=port, called_ae=options.called_ae, timeout=options.timeout),
            connection,
            idle=options.idle,
            late=options.late,
            patience=options.patience,
        )
        first = await association.next(options.timeout)
        if first is SILENCE or first in OVER or self._begun == options.count:
            await connection.close()
            return
        association.hold(first)
        script = self._scripts[self._begun % len(self._scripts)]
        self._begun += 1
        number = self._begun
        try:
            result = await _play(script, association, options.longest)
            self._on_result(_with_scu(result, association, number, f"{host}:{port}"))
        finally:
            self._ended += 1
            if self._ended == options.count:
                self.done.set()

    async def close(self) -> None:
        """End every association that is left."""
        self.done.set()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _play(script: Script, association: Association, longest: float) -> CaseResult:
    association.asks = script.asks
    association.is_thorough = script.topic is Topic.CONFORMING
    if not association.is_thorough:
        association.findings[:] = [each for each in association.findings if each.verdict is Verdict.FAIL]
    begun = time.monotonic()
    reached = 0
    try:
        async with asyncio.timeout(longest):
            for step in script.steps:
                await step.run(association)
                reached += 1
    except Over:
        pass
    except TimeoutError:
        finding = Finding(Verdict.INCONCLUSIVE, "an end", f"none within {longest:g} s")
        association.findings.append(finding)
    finally:
        with contextlib.suppress(OSError):
            await association.end()
    return CaseResult(
        script,
        association.verdict,
        tuple(association.findings),
        tuple(
            PlayedConnection(c.number, c.started, tuple(c.exchanges), c.cut) for c in association.connections
        ),
        time.monotonic() - begun,
        reached,
    )


def _with_scu(result: CaseResult, association: Association, number: int, address: str) -> ScuResult:
    request = association.request
    return ScuResult(
        result.case,
        result.verdict,
        result.findings,
        result.connections,
        result.seconds,
        result.reached,
        number=number,
        address=address,
        called_ae=request.called_ae if request else "",
        calling_ae=request.calling_ae if request else "",
        offer=_offer(request, association.agreed.peer_maximum),
        did=tuple(association.did),
    )


def _offer(request: AAssociateRQ | None, maximum: int) -> Offer:
    offer = Offer(maximum_length=maximum)
    if request is None:
        return offer
    for context in request.presentation_contexts:
        abstract = context.abstract_syntax.encode("latin-1")
        syntaxes = tuple(name.encode("latin-1") for name in context.transfer_syntaxes)
        offer.accepted[abstract] = tuple(dict.fromkeys((*offer.accepted.get(abstract, ()), *syntaxes)))
    for item in request.user_data:
        match item:
            case ImplementationClassUIDSubItem(implementation_class_uid=uid):
                offer.implementation_class_uid = uid
            case ImplementationVersionNameSubItem(implementation_version_name=name):
                offer.implementation_version_name = name
            case _:
                pass
    return offer


def as_run(results: Sequence[ScuResult], options: ServeOptions, *, started: float, command: str = "") -> Run:
    """The results as a run, for the reports: of the SCU that called last, where several did.

    Args:
        results: of all associations.
        options: how they were served.
        started: when, in seconds since the epoch.
        command: how to run the same again.
    """
    last = results[-1] if results else None
    titles = sorted({result.calling_ae for result in results})
    remarks = [
        f"Association {r.number}, from {r.calling_ae or 'nobody'}: {', '.join(r.did)}." for r in results
    ]
    if len(titles) > 1:
        remarks.insert(0, f"{len(titles)} SCUs called: {', '.join(titles)}.")
    return Run(
        address=last.address if last else f"{options.host}:{options.port}",
        called_ae=last.called_ae if last else options.called_ae.decode("latin-1"),
        calling_ae=last.calling_ae if last else "",
        offer=last.offer if last else Offer(),
        started=started,
        seconds=time.time() - started,
        results=list(results),
        remarks=remarks,
        command=command,
    )
