"""What a server can be told: the configuration as it is spelled in a file, with defaults and ranges.

The names on the wire of a file are the ones users know (`databaseURL`, not `databaseUrl`), so each is written
out. `services.server.config_file` reads a file into these types; `docs/configuration.md` explains each field
and a test holds the two equal. Nothing here touches the disk or the network.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from msgspec import Meta, Struct, field

Tolerance: TypeAlias = Literal[
    "ae-title-case",
    "application-context",
    "called-ae-title",
    "context-ids",
    "implementation-class-uid",
    "mismatched-vr",
    "odd-fragments",
    "oversized-pdu",
    "truncated-data",
]
"""A departure from the standard that can be let pass, peer by peer."""

TOLERANCES: frozenset[str] = frozenset(get_args(Tolerance))
"""The name of every switch that `peers.<AE>.tolerate` may hold."""

# Meta.description says what is allowed: in the error of a refused value, and in the documentation's table.
AETitle: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?! )(?!\*\Z)[\x20-\x5b\x5d-\x7e]{1,16}(?<! )\Z",
        description="1 to 16 ASCII characters, no backslash, no space at either end",
    ),
]
AETitleOrAny: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?! )[\x20-\x5b\x5d-\x7e]{1,16}(?<! )\Z",
        description='an AE title, or "*" for every caller',
    ),
]
Host: TypeAlias = Annotated[
    str,
    Meta(
        # One colon alone would be a port that got in; two or more are an IPv6 address.
        pattern=r"^(?![^:]*:[^:]*\Z)[^\s\[\]/\\@\x00-\x1f\x7f]{1,255}\Z",
        description="a host name or an IP address, without a port",
    ),
]
PrivateUID: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?!1\.2\.840\.10008\.)(?=[0-9.]{1,64}\Z)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+\Z",
        description="a UID of at most 64 characters, not under 1.2.840.10008",
    ),
]
FileName: TypeAlias = Annotated[str, Meta(pattern=r"^[^\x00]*\Z", description="the name of a PEM file")]
DatabaseURL: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(sqlite:///[^\x00?#]+|postgres(ql)?(\+psycopg)?://[^\x00]+)?\Z",
        description="empty, sqlite:///FILE, or postgresql://user:password@host:port/name",
    ),
]
Directory: TypeAlias = Annotated[Path, Meta(description="the name of a directory")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86400, description="seconds, above 0 and at most 86400")]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=65535, description="1 to 65535")]

KiB = 1 << 10
MiB = 1 << 20
GiB = 1 << 30


class Destination(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A peer we may send to; its key in `knownDestinations` is how others ask for it (PS3.4 C.4.2.1.5)."""

    host: Host
    port: Annotated[int, Meta(ge=1, le=65535, description="1 to 65535")]
    ae_title: AETitle = field(name="aeTitle")


class Timers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long a peer may take, in seconds.

    Attributes:
        artim: from the connection to a whole A-ASSOCIATE-RQ (Sta2).
        artim_close: for the peer to close the connection (Sta13).
        idle: an association on which nothing happens.
        pdu: a PDU that has begun must be complete.
        release: our operations still running when the peer asks for release.
        write: the peer must take what we sent.
        tls_handshake: from the connection to the end of the TLS handshake.
        grace: the associations that are open when the server is told to stop.
    """

    artim: Seconds = 30.0
    artim_close: Seconds = field(default=10.0, name="artimClose")
    idle: Seconds = 60.0
    pdu: Seconds = 60.0
    release: Seconds = 30.0
    write: Seconds = 60.0
    tls_handshake: Seconds = field(default=10.0, name="tlsHandshake")
    grace: Seconds = 10.0


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much a peer may take; lengths and sizes in bytes.

    Attributes:
        associations_per_caller: at one time from one calling AE title; None is off.
        associations_per_address: at one time from one address; None is off.
        half_open: connections that have sent no whole A-ASSOCIATE-RQ; above it the oldest is closed.
        backlog: connections the kernel holds before we accept them.
        a_associate_length: of an A-ASSOCIATE PDU.
        command_set_length: of a command set.
        data_set_depth: sequences inside sequences.
        data_set_elements: elements of one data set that are looked at.
        instance_size: of a stored instance.
        borrowed_buffers: memory lent to PDUs that are not complete, over all associations.
        min_free_space: what storing must leave free in the data directory's file system; 0 is off.
        identifier_length: of the identifier of a C-FIND, C-GET or C-MOVE.
        find_matches: responses to one C-FIND; None is off.
    """

    associations_per_caller: Count | None = field(default=None, name="associationsPerCaller")
    associations_per_address: Count | None = field(default=None, name="associationsPerAddress")
    half_open: Count = field(default=64, name="halfOpen")
    backlog: Count = 1024
    a_associate_length: Annotated[
        int, Meta(ge=4 * KiB, le=16 * MiB, description="4096 to 16777216 bytes")
    ] = field(default=MiB, name="aAssociateLength")
    command_set_length: Annotated[int, Meta(ge=KiB, le=MiB, description="1024 to 1048576 bytes")] = field(
        default=64 * KiB, name="commandSetLength"
    )
    data_set_depth: Annotated[int, Meta(ge=1, le=512, description="1 to 512")] = field(
        default=64, name="dataSetDepth"
    )
    data_set_elements: Annotated[int, Meta(ge=1, le=100_000_000, description="1 to 100000000")] = field(
        default=1_000_000, name="dataSetElements"
    )
    instance_size: Annotated[int, Meta(ge=KiB, le=1024 * GiB, description="1024 to 1099511627776 bytes")] = (
        field(default=8 * GiB, name="instanceSize")
    )
    borrowed_buffers: Annotated[
        int, Meta(ge=MiB, le=64 * GiB, description="1048576 to 68719476736 bytes")
    ] = field(default=256 * MiB, name="borrowedBuffers")
    identifier_length: Annotated[int, Meta(ge=KiB, le=16 * MiB, description="1024 to 16777216 bytes")] = (
        field(default=MiB, name="identifierLength")
    )
    find_matches: Annotated[int, Meta(ge=1, le=1_000_000_000, description="1 to 1000000000")] | None = field(
        default=None, name="findMatches"
    )
    min_free_space: Annotated[int, Meta(ge=0, le=1024 * GiB, description="0 to 1099511627776 bytes")] = field(
        default=256 * MiB, name="minFreeSpace"
    )


class Retrieve(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How instances are sent to those who retrieve them; times in seconds.

    Attributes:
        parallel: associations of one C-MOVE to its destination.
        window: operations to have outstanding on each of them, where the destination grants as many.
        retries: further tries of what may pass, each after a longer delay.
        connect_timeout: from the connection to the destination's answer.
        response_timeout: for the response to one C-STORE, of a C-GET too.
        move_timeout: of a whole C-MOVE.
        moves: C-MOVEs at one time; one more is refused.
    """

    parallel: Annotated[int, Meta(ge=1, le=16, description="1 to 16")] = 1
    window: Annotated[int, Meta(ge=1, le=64, description="1 to 64")] = 1
    retries: Annotated[int, Meta(ge=0, le=100, description="0 to 100")] = 3
    connect_timeout: Seconds = field(default=30.0, name="connectTimeout")
    response_timeout: Seconds = field(default=60.0, name="responseTimeout")
    move_timeout: Seconds = field(default=86400.0, name="moveTimeout")
    moves: Count = 16


class Peer(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is particular to one peer, known by its calling AE title."""

    tolerate: tuple[Tolerance, ...] = ()


class Storage(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is taken into storage beyond the standard's storage SOP classes and the usual transfer syntaxes.

    Attributes:
        accept_private_sop_classes: every SOP class outside 1.2.840.10008.
        private_sop_classes: these SOP classes, whatever the switch above says.
        accept_deflated: Deflated Explicit VR Little Endian.
    """

    accept_private_sop_classes: bool = field(default=False, name="acceptPrivateSOPClasses")
    private_sop_classes: tuple[PrivateUID, ...] = field(default=(), name="privateSOPClasses")
    accept_deflated: bool = field(default=False, name="acceptDeflated")


LogFormat: TypeAlias = Literal["text", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


class Log(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the log is written, and from which level on."""

    format: LogFormat = "text"
    level: LogLevel = "info"


class Trace(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is recorded of every association, for `dicom-trace read` and Wireshark; sizes in bytes.

    Attributes:
        directory: where to, one file for each association; None records nothing.
        redact: identifiers are blanked.
        max_file_size: of one recording; the association goes on without it.
        max_files: in the directory; the oldest is deleted.
        max_total_size: of all of them; the oldest are deleted.
    """

    directory: Directory | None = None
    redact: bool = False
    max_file_size: Annotated[
        int, Meta(ge=64 * KiB, le=1024 * GiB, description="65536 to 1099511627776 bytes")
    ] = field(default=64 * MiB, name="maxFileSize")
    max_files: Count = field(default=1000, name="maxFiles")
    max_total_size: Annotated[
        int, Meta(ge=64 * KiB, le=1024 * GiB, description="65536 to 1099511627776 bytes")
    ] = field(default=GiB, name="maxTotalSize")


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a server can be told.

    Values are checked when they are read (`services.server.config_file`); what is made in code is trusted
    except for what several fields must agree on.

    Raises:
        ValueError: fields contradict each other; the message names them as they are spelled in a file.
    """

    ae_title: AETitle = field(default="DICOM_SERVER", name="aeTitle")
    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="0 to 65535; 0 takes any free port")] = 11112
    data_directory: Directory = field(default=Path("data"), name="dataDirectory")
    database: Literal["sqlite", "postgres", "none"] | None = None
    database_url: DatabaseURL = field(default="", name="databaseURL")
    durability: Literal["process", "power"] = "power"
    duplicates: Literal["keep", "replace", "reject"] = "keep"
    workers: Annotated[int, Meta(ge=1, le=64, description="1 to 64")] = 1
    max_concurrent_connections: Count = field(default=200, name="maxConcurrentConnections")
    max_pdu_size: Annotated[int, Meta(ge=4 * KiB, le=MiB, description="4096 to 1048576 bytes")] = field(
        default=128 * KiB, name="maxPDUSize"
    )
    allowed_calling_ae_titles: (
        Annotated[tuple[AETitleOrAny, ...], Meta(min_length=1, description='at least one AE title, or "*"')]
        | None
    ) = field(default=None, name="allowedCallingAETitles")
    blocked_calling_ae_titles: tuple[AETitle, ...] = field(default=(), name="blockedCallingAETitles")
    enable_tls: bool = field(default=False, name="enableTLS")
    tls_certificate: FileName = field(default="", name="tlsCertificate")
    tls_private_key: FileName = field(default="", name="tlsPrivateKey")
    known_destinations: dict[AETitle, Destination] = field(default_factory=dict, name="knownDestinations")
    allow_ad_hoc_destinations: bool = field(default=False, name="allowAdHocDestinations")
    peers: dict[AETitle, Peer] = field(default_factory=dict)
    storage: Storage = Storage()
    retrieve: Retrieve = Retrieve()
    timers: Timers = Timers()
    limits: Limits = Limits()
    log: Log = Log()
    trace: Trace = Trace()
    verbose: bool = False

    def __post_init__(self) -> None:
        self._check_database()
        self._check_tls()
        self._check_trace()
        longest = max(self.max_pdu_size, self.limits.a_associate_length)
        if self.limits.borrowed_buffers < 4 * longest:
            raise ValueError(
                f"limits.borrowedBuffers: {self.limits.borrowed_buffers} bytes are too few for PDUs of "
                f"{longest} bytes (maxPDUSize, limits.aAssociateLength); allowed: at least {4 * longest}"
            )

    def _check_database(self) -> None:
        of_url = self.database_url.partition(":")[0].partition("+")[0].replace("postgresql", "postgres")
        match self.database:
            case "postgres" if not self.database_url:
                raise ValueError(
                    'database: "postgres" needs databaseURL as well: postgresql://user@host/name'
                )
            case "none" if self.database_url:
                raise ValueError('database: "none", but databaseURL is set; leave one of the two out')
            case "sqlite" | "postgres" if of_url not in ("", self.database):
                raise ValueError(f'database: "{self.database}", but databaseURL begins with {of_url}')

    def _check_tls(self) -> None:
        files = {"tlsCertificate": self.tls_certificate, "tlsPrivateKey": self.tls_private_key}
        if self.enable_tls and not all(files.values()):
            missing = " and ".join(name for name, value in files.items() if not value)
            raise ValueError(f"enableTLS: true needs {missing} as well: the name of a PEM file")
        if not self.enable_tls and any(files.values()):
            given = " and ".join(name for name, value in files.items() if value)
            raise ValueError(
                f"enableTLS: false, but {given} is set; set enableTLS to true, or leave {given} out"
            )

    def _check_trace(self) -> None:
        trace = self.trace
        if trace.redact and trace.directory is None:
            raise ValueError("trace.redact: true, but nothing is recorded; set trace.directory as well")
        if trace.max_total_size < trace.max_file_size:
            raise ValueError(
                f"trace.maxTotalSize: {trace.max_total_size} bytes are fewer than one recording may have; "
                f"allowed: at least trace.maxFileSize, {trace.max_file_size}"
            )

    @property
    def has_index(self) -> bool:
        """Whether what is stored can be found and retrieved."""
        return self.database != "none"

    @property
    def log_level(self) -> LogLevel:
        """The lowest level that is logged: `verbose` means debug."""
        return "debug" if self.verbose else self.log.level

    def tolerated(self, calling_ae_title: str) -> frozenset[str]:
        """The switches that are open for a caller, by its AE title without padding."""
        peer = self.peers.get(calling_ae_title)
        return frozenset(peer.tolerate) if peer is not None else frozenset()
