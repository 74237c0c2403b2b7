# SPDX-License-Identifier: Apache-2.0
"""The hub: the program the user has started, which starts the workers, gives descriptors around, and tells everybody when one has died; a thread of its own does
that. Between workers nothing goes through the hub. docs/design/workers.md says how it works.
"""
from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

from mote import _mote
from mote._mote import Atom
from mote._stock import gone, others, start_keeper
from mote._travel import main_of_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional


WORKERS_MAX = 64
START_SECONDS = 30.0  # until a worker must be there
LOOK_SECONDS = 1.0  # how often the hub looks for workers that send nonsense
DELAY_MAX = 5.0  # seconds: who does not even get to begin is tried again more slowly each time
_PROGRAM = "import sys; sys.path[:] = sys.argv.pop().split(%r); from mote._worker import main; main()"
_SEPARATOR = "\0"
_PATHS = "\n"


def pack(*fields: object) -> bytes:
    return _SEPARATOR.join(map(str, fields)).encode("utf-8", "surrogateescape")


def unpack(message: bytes) -> list[str]:
    return message.decode("utf-8", "surrogateescape").split(_SEPARATOR)


def send(sock: socket.socket, message: bytes, fds: list[int]) -> None:
    """Sends a message of the control channel with copies of descriptors; who has died is told of by its pidfd."""
    try:
        socket.send_fds(sock, [message], fds)
    except OSError:
        pass


def open_channel(member: object, peer: int, channel: int, event: int, blobs: int) -> None:
    """worker_open(), as soon as all that the incarnation before has sent is delivered."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            _mote.worker_open(member, peer, channel, event, blobs)
            return
        except _mote.MoteError as error:
            if "MOTE_EBUSY" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.001)


class Worker:
    """One worker, as the hub knows it."""

    def __init__(self, number: int):
        self.number = number
        self.lives = 0  # how many incarnations came before this one
        self.pid = 0
        self.process = -1  # its pidfd
        self.event = -1
        self.blobs = -1  # its big binaries
        self.channel = -1  # ours with it, until it is there
        self.sock: Optional[socket.socket] = None
        self.up = False
        self.delay = 0.0
        self.due = 0.0  # when to start it (again); 0: not

    @property
    def peer(self) -> int:
        return self.number + WORKERS_MAX * self.lives


class Hub:
    """The node's workers, from the hub. `count` includes the hub itself, which is worker 0. `spreads`: plain spawns may go to others."""

    def __init__(self, count: int, spreads: bool):
        self.membership, self.board, self.event, self.blobs = _mote.worker_join(0, -1)
        self.count = count
        self.spreads = spreads
        self.workers = [Worker(number) for number in range(1, count)]
        self.lock = threading.Condition()
        self.selector = selectors.DefaultSelector()
        self.wake_in, self.wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.selector.register(self.wake_in, selectors.EVENT_READ, None)
        self.stopping = False
        self.main = main_of_program()
        start_keeper()
        for worker in self.workers:
            worker.due = time.monotonic()
        self.thread = threading.Thread(target=self.run, name="mote-workers", daemon=True)
        self.thread.start()

    # ------------------------------------------------------------------------------------- the hub's thread

    def run(self) -> None:
        while not self.stopping:
            self.start_due()
            self.end_cut()
            for key, _ in self.selector.select(self.next_due()):
                if key.fileobj == self.wake_in:
                    os.read(self.wake_in, 4096)
                else:
                    worker, is_process = key.data
                    self.ended(worker) if is_process else self.heard(worker)

    def next_due(self) -> float:
        now = time.monotonic()
        return max(0.0, min([LOOK_SECONDS, *(worker.due - now for worker in self.workers if worker.due)]))

    def end_cut(self) -> None:
        """A worker that has sent what no worker would is not to be trusted with anything."""
        cut = _mote.worker_cut(self.membership)
        for worker in self.workers:
            if cut and worker.peer == cut and worker.process >= 0:
                signal.pidfd_send_signal(worker.process, signal.SIGKILL)

    def start_due(self) -> None:
        for worker in self.workers:
            if worker.due and worker.due <= time.monotonic():
                worker.due = 0.0
                self.start(worker)

    def start(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        argv = [sys.executable, *flags, "-c", _PROGRAM % _PATHS, _PATHS.join(sys.path)]
        actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3), (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
        worker.pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
        theirs.close()
        worker.process = os.pidfd_open(worker.pid)
        worker.sock = ours
        self.selector.register(worker.process, selectors.EVENT_READ, (worker, True))
        self.selector.register(ours, selectors.EVENT_READ, (worker, False))
        worker.channel = _mote.worker_channel()
        send(ours, pack("hello", worker.peer, int(self.spreads), *self.main), [self.board, self.event, worker.channel, self.blobs])

    def heard(self, worker: Worker) -> None:
        assert worker.sock
        try:
            message, fds, _, _ = socket.recv_fds(worker.sock, 65536, 4)
        except OSError:
            message, fds = b"", []
        if not message:
            self.selector.unregister(worker.sock)
        elif unpack(message)[0] == "ready":
            self.ready(worker, *fds)

    def ready(self, worker: Worker, event: int, blobs: int) -> None:
        """It runs: it and all others learn of each other."""
        assert worker.sock
        worker.event, worker.blobs = event, blobs
        open_channel(self.membership, worker.peer, worker.channel, os.dup(event), os.dup(blobs))
        worker.channel = -1
        others.add(worker.number)
        for other in self.workers:
            if other.up and other.sock:
                channel = _mote.worker_channel()
                send(other.sock, pack("open", worker.peer), [channel, worker.event, worker.blobs])
                send(worker.sock, pack("open", other.peer), [channel, other.event, other.blobs])
                os.close(channel)
        with self.lock:
            worker.up = True
            self.lock.notify_all()

    def ended(self, worker: Worker) -> None:
        """It has died: everybody is told why, and the next incarnation is started."""
        with self.lock:
            was_up, worker.up = worker.up, False
        cause = cause_of(worker.process)
        self.forget(worker)
        gone(worker.number)
        if was_up:
            reason = (Atom("worker_died"), worker.number, cause)
            _mote.worker_lost(self.membership, worker.peer, reason)
            for other in self.workers:
                if other.up and other.sock and other is not worker:
                    send(other.sock, pack("lost", worker.peer, *cause), [])
        with self.lock:
            worker.delay = 0.0 if was_up else min(2 * worker.delay + 0.05, DELAY_MAX)
            worker.lives += 1
            worker.due = time.monotonic() + worker.delay
            self.lock.notify_all()

    def forget(self, worker: Worker) -> None:
        self.selector.unregister(worker.process)
        os.close(worker.process)
        if worker.sock:
            if worker.sock.fileno() in self.selector.get_map():
                self.selector.unregister(worker.sock)
            worker.sock.close()
        for fd in (worker.event, worker.blobs, worker.channel):
            if fd >= 0:
                os.close(fd)
        worker.process = worker.event = worker.blobs = worker.channel = -1
        worker.sock = None

    # ----------------------------------------------------------------------------------------- from outside

    def grow(self, count: int) -> None:
        """Sees that there are so many workers, the hub included."""
        with self.lock:
            for number in range(len(self.workers) + 1, count):
                worker = Worker(number)
                worker.due = time.monotonic()
                self.workers.append(worker)
        os.write(self.wake_out, b"x")

    def wait(self, seconds: float) -> bool:
        """Whether all workers are there, after so many seconds at most."""
        with self.lock:
            return self.lock.wait_for(lambda: all(worker.up for worker in self.workers), seconds)

    def stop(self, seconds: float) -> None:
        """Ends all workers: in order, and who does not end within so many seconds at once."""
        if self.stopping:
            return
        self.stopping = True
        os.write(self.wake_out, b"x")
        self.thread.join(seconds)
        for worker in self.workers:
            if worker.sock:
                send(worker.sock, pack("stop"), [])
        deadline = time.monotonic() + seconds
        for worker in self.workers:
            if worker.process >= 0:
                self.end(worker, deadline)
        self.selector.close()
        os.close(self.wake_in)
        os.close(self.wake_out)

    def end(self, worker: Worker, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(worker.process, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                signal.pidfd_send_signal(worker.process, signal.SIGKILL)
            selector.select()
        cause_of(worker.process)
        self.forget(worker)


def cause_of(process: int) -> tuple[Atom, Any]:
    """How a child has ended; frees its pid."""
    try:
        end = os.waitid(os.P_PIDFD, process, os.WEXITED)
    except ChildProcessError:  # somebody else has waited for it
        return (Atom("exit"), None)
    assert end
    if end.si_code == os.CLD_EXITED:
        return (Atom("exit"), end.si_status)
    return (Atom("signal"), Atom(signal.Signals(end.si_status).name))
