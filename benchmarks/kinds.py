"""What each process of the load does to a server that starts empty: `act_of` for every such kind of work."""

from benchmarks import messages
from benchmarks.load import (
    SUCCESS,
    Act,
    Association,
    LoadError,
    Window,
    connect,
    place_of_status,
    receive_pdu,
)
from benchmarks.works import Work


def act_of(work: Work, port: int, called_ae: str) -> Act:
    """What a process of the load is to do.

    Raises:
        LoadError: the server, asked how long its P-DATA-TFs may be, takes no association.
    """
    if not work.size:
        alone = _echo if work.kind == "echo" else _associate
        return lambda _number, window: alone(work, port, called_ae, window)
    with Association(port, called_ae) as probe:
        longest = probe.maximum_length
    instances = messages.Instances(work.size, longest)  # forked with the process, and so its own

    def act(number: int, window: Window) -> None:
        if work.kind == "crowd":
            _crowd(work, port, called_ae, window, number, longest)
        elif work.kind == "latency" and number == 0:
            _echo_timed(port, called_ae, window)
        else:
            instances.become(number)
            _store(work, port, called_ae, window, instances)

    return act


def _echo(_work: Work, port: int, called_ae: str, window: Window) -> None:
    with Association(port, called_ae) as association:
        window.run(association.exchange(messages.c_echo()), warm_up=50)


def _echo_timed(port: int, called_ae: str, window: Window) -> None:
    """One after the other, each as soon as the one before is answered."""
    with Association(port, called_ae) as association:
        window.run_timed(association.exchange(messages.c_echo()), warm_up=50)


def _associate(work: Work, port: int, called_ae: str, window: Window) -> None:
    """Connect, associate, C-ECHO, release, close: the answers are as long each time."""
    request, echo = messages.associate_rq(called_ae, work.contexts), messages.c_echo()
    answers = []
    sock = connect(port)
    for message in (request, echo, messages.RELEASE_RQ):
        sock.sendall(message)
        answers.append(receive_pdu(sock))
    sock.close()
    lengths = [6 + len(body) for _, body in answers]
    _, status = place_of_status(*answers[1])
    # Of each answer: how long it is, and bytes of it that have to be there.
    steps = (
        (request, lengths[0], slice(0, 1), b"\x02"),
        (echo, lengths[1], status, SUCCESS),
        (messages.RELEASE_RQ, lengths[2], slice(0, 1), b"\x06"),
    )

    def once() -> None:
        sock = connect(port)
        for message, length, place, expected in steps:
            sock.sendall(message)
            answer = sock.recv(length)
            while len(answer) < length and (more := sock.recv(length - len(answer))):
                answer += more
            if len(answer) != length or answer[place] != expected:
                raise LoadError(f"unexpected answer {answer[:200].hex()}")
        sock.close()

    window.run(once, warm_up=3)


def _store(work: Work, port: int, called_ae: str, window: Window, instances: messages.Instances) -> None:
    buffer = memoryview(instances.buffer)
    first, second = instances.counters
    number = 0
    with Association(port, called_ae) as association:
        send = association.exchange(instances.buffer)

        def store() -> None:
            nonlocal number
            number += 1
            buffer[first] = buffer[second] = b"%011d" % number
            send()

        window.run(store, warm_up=0 if work.size > 1 << 24 else 10)


def _crowd(work: Work, port: int, called_ae: str, window: Window, number: int, longest: int) -> None:
    """This process's share of the associations: each of the active ones has a C-STORE under way, the others rest."""
    share = range(number, work.associations, work.processes)
    resting = [Association(port, called_ae) for _ in range(number, work.idle, work.processes)]
    active = [
        _Storing(Association(port, called_ae), messages.Instances(work.size, longest), n) for n in share
    ]

    def store_all() -> None:
        for each in active:
            each.send()
        for each in active:
            each.receive()

    window.run(store_all, warm_up=2)
    window.done *= len(active)
    for association in (*resting, *(each.association for each in active)):
        association.release()


class _Storing:
    """An association of a crowd: stores one instance after the other, and need not wait for its answer at once."""

    def __init__(self, association: Association, instances: messages.Instances, number: int) -> None:
        instances.become(number)
        self.association = association
        self.receive = association.receiver(instances.buffer)
        self._buffer = instances.buffer
        self._counters = instances.counters
        self._number = 0

    def send(self) -> None:
        self._number += 1
        first, second = self._counters
        self._buffer[first] = self._buffer[second] = b"%011d" % self._number
        self.association.sock.sendall(self._buffer)
