"""What is measured, and who takes part: the targets' works in the order of their table, then a few beside them."""

from dataclasses import dataclass, replace

OURS, TWO_WORKERS = "ours", "ours, 2 workers"
STORESCP, DCMQRSCP, ORTHANC, PYNETDICOM = "storescp", "dcmqrscp", "Orthanc", "pynetdicom"
DCMSEND, STORESCU = "dcmsend", "storescu"
DESTINATION = "storescp"
"""AE title that C-MOVEs go to."""

KIB, MB = 1 << 10, 1_000_000
_MOST_ASSOCIATIONS = 10_000  # one after the other: each keeps a port of the client busy for a while
_UNITS = {
    "memory": "KiB",
    "latency": "ms",
    "help": "s",
    "get": "images/s",
    "move": "images/s",
    "send": "files/s",
    "window": "objects/s",
}
_LESS_IS_BETTER = ("KiB", "ms", "s")
_OF_ARCHIVES = ("find", "get", "move")
_STORING = ("store", "crowd", "latency")
_OF_COMMANDS = ("send", "window", "help")
_CROWD_PROCESSES = 2


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        kind: what is done: `echo`, `associate`, `store`, `crowd`, `latency` and `memory` to servers that start empty;
            `find`, `get` and `move` to those that hold something; `send`, `window` and `help` by commands.
        servers: those that take part, by name (`benchmarks.contenders`).
        contexts: presentation contexts of each association.
        size: bytes of a data set, 0 without.
        associations: how many are active at a time.
        idle: further ones that are open and do nothing (`crowd`).
        window: C-STOREs under way at a time (`window`).
        most: messages after which an association stops.
        asks: what a C-FIND looks for, or where a C-MOVE sends.
        power: whether durability is `power`, and files are on a disk.
        tls: whether associations are TLS (`memory`).
        beside: works of the same name here are measured in turn within a round, since they are compared.
    """

    name: str
    kind: str
    servers: tuple[str, ...]
    contexts: int = 2
    size: int = 0
    associations: int = 1
    idle: int = 0
    window: int = 1
    most: int = 1 << 30
    asks: str = ""
    power: bool = False
    tls: bool = False
    beside: str = ""

    @property
    def is_of_archive(self) -> bool:
        """Whether it asks what is held, and needs a server that holds it."""
        return self.kind in _OF_ARCHIVES

    @property
    def is_of_command(self) -> bool:
        """Whether one of the commands is what is measured, and no server."""
        return self.kind in _OF_COMMANDS

    @property
    def stores(self) -> bool:
        """Whether the load generator stores images in a server that starts empty."""
        return self.kind in _STORING

    @property
    def has_sink(self) -> bool:
        """Whether the load generator's own figure is measured. A disk's figures are far from it."""
        return not (
            self.is_of_command or self.kind in ("memory", "crowd") or (self.power and self.kind == "store")
        )

    @property
    def on_one_core(self) -> bool:
        """Whether load and server share a core: small messages one at a time. On two cores each message would
        wake an idle one, which takes longer than the message, or does not, as the scheduler places them."""
        alone = self.associations == 1 and not (self.is_of_archive or self.is_of_command)
        return alone and self.size < 1 << 16

    @property
    def processes(self) -> int:
        """Of the load: one an association, but for a crowd, which few of them drive."""
        return _CROWD_PROCESSES if self.kind == "crowd" else self.associations

    @property
    def unit(self) -> str:
        """Of a figure."""
        return "matches/s" if self.asks == "images" else _UNITS.get(self.kind, "/s")

    @property
    def less_is_better(self) -> bool:
        """Whether it is no rate."""
        return self.unit in _LESS_IS_BETTER


def bounded(work: Work, budget: int) -> Work:
    """The same work, stopped where its files would take more than `budget` bytes.

    What is timed while others store is bounded by its time alone: it would be alone once they stopped.
    """
    if not work.size or work.kind == "latency":
        return work
    return replace(work, most=max(3, budget // work.size // work.associations))


_STORES = (OURS, STORESCP, ORTHANC, PYNETDICOM)
_WINDOW = Work("dicom-send --window 8, 64 KiB, round trip 20 ms", "window", (OURS,), size=64 * KIB, window=8)
_CROWD = Work("50 associations storing 8 KiB, 950 more open", "crowd", (OURS,), size=8 * KIB, associations=50)

WORKS = (
    Work("C-STORE 512 KiB x1", "store", _STORES, size=512 * KIB),
    Work(
        "C-STORE 512 KiB x4", "store", (OURS, TWO_WORKERS, STORESCP, ORTHANC), size=512 * KIB, associations=4
    ),
    Work("C-STORE 8 KiB x1", "store", _STORES, size=8 * KIB),
    Work("C-STORE 8 KiB x8", "store", (OURS, TWO_WORKERS, STORESCP, ORTHANC), size=8 * KIB, associations=8),
    Work("C-STORE 200 MB x1", "store", (OURS, STORESCP, ORTHANC), size=200 * MB),
    Work("C-STORE 512 KiB x1, power", "store", (OURS, ORTHANC), size=512 * KIB, power=True),
    Work("C-STORE 512 KiB x4, power", "store", (OURS, ORTHANC), size=512 * KIB, associations=4, power=True),
    Work("C-ECHO", "echo", _STORES),
    Work(
        "associate + echo + release, 64 contexts", "associate", _STORES, contexts=64, most=_MOST_ASSOCIATIONS
    ),
    Work("C-GET 512 KiB x1", "get", (OURS, DCMQRSCP, ORTHANC), most=1, beside="retrieval"),
    Work("C-MOVE 512 KiB x1", "move", (OURS, ORTHANC), most=1, asks=DESTINATION, beside="retrieval"),
    Work("C-FIND, streamed matches", "find", (OURS, ORTHANC, DCMQRSCP), asks="images"),
    Work("C-FIND, one match", "find", (OURS, ORTHANC, DCMQRSCP), asks="study"),
    Work("memory per idle association, 64 contexts", "memory", (OURS, STORESCP, ORTHANC), contexts=64),
    Work("memory per idle association, 64 contexts, TLS", "memory", (OURS,), contexts=64, tls=True),
    replace(_CROWD, idle=950, beside="crowd"),
    replace(_CROWD, name="50 associations storing 8 KiB", beside="crowd"),
    Work("p99 of C-ECHO beside 512 KiB x4", "latency", (OURS,), size=512 * KIB, associations=5),
    Work(
        "p99 of C-ECHO beside 512 KiB x4, power",
        "latency",
        (OURS,),
        size=512 * KIB,
        associations=5,
        power=True,
    ),
    Work("512 KiB files to storescp", "send", (OURS, DCMSEND, STORESCU), size=512 * KIB),
    replace(_WINDOW, beside="window"),
    replace(_WINDOW, name="dicom-send, 64 KiB, round trip 20 ms", window=1, beside="window"),
    Work("dicom-echo --help", "help", (OURS,)),
)
KINDS = tuple(dict.fromkeys(work.kind for work in WORKS))
