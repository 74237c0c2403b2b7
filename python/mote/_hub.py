# SPDX-License-Identifier: Apache-2.0
"""The hub: the program the user has started, which starts the workers, gives descriptors around, and tells everybody when one has died; a thread of its own does
that. Between workers nothing goes through the hub. docs/design/workers.md says how it works.

H1 all that the hub knows of workers is its thread's own; others put what they want into `requests`. H2 a worker that leaves in order has told all that its processes had to tell, so
nobody hears of it: who still asks for a process of it is told noproc. H3 a place of the pool has a worker that takes processes, or one that is being started: a worn worker goes on until
its successor is there.
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
from collections import deque

from mote import _mote, _stock
from mote._mote import Atom, Pid, Ref
from mote._travel import main_of_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

NUMBERS = 64  # a worker is known by its number plus this times its incarnation
WORKERS_MAX = NUMBERS - 1  # the last number stands for the processes of other nodes
START_SECONDS = 30.0  # until a worker must be there
TRIES = 5  # to start a worker, before who waits for it is told why it does not
LOOK_SECONDS = 1.0  # how often the hub looks for workers that send nonsense, and at their memory
HEARD_SECONDS = 0.25  # for the others to hear of a new worker
DELAY_MAX = 5.0  # seconds: who does not even get to begin is tried again more slowly each time
FULL = f"a node has at most {WORKERS_MAX - 1} workers besides the program itself"
_PROGRAM = "import sys; sys.path[:] = sys.argv.pop().split(%r); from mote._worker import main; main()"
_PATHS = "\n"
_PAGE = os.sysconf("SC_PAGE_SIZE")
GRANTED, REFUSED = Atom("granted"), Atom("refused")


def send(sock: socket.socket, *message: object, fds: tuple[int, ...] = ()) -> None:
    """Sends a message of the control channel with copies of descriptors; who has died is told of by its pidfd."""
    try:
        socket.send_fds(sock, [_mote.encode(message, form="mote")], list(fds))
    except OSError:
        pass


def receive(sock: socket.socket, flags: int = 0) -> tuple[Any, list[int]]:
    """The next message of the control channel; (None, []): there are no more. ValueError: it is none."""
    try:
        message, fds, _, _ = socket.recv_fds(sock, 65536, 4, flags | socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None, []
    return (_mote.decode(message, form="mote"), fds) if message else (None, [])


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


class Plan:
    """What workers are started with, and when one is worn: after so many processes, or with so many bytes of memory of its own (0: never)."""

    def __init__(self, spreads: bool = False, hook: Optional[tuple[str, str]] = None, recycle_after: int = 0, recycle_memory: int = 0):
        self.spreads, self.hook, self.recycle_after, self.recycle_memory = spreads, hook, recycle_after, recycle_memory


class Worker:
    """One worker, as the hub knows it. Its place is what users call it: a successor has the place of the one it replaces, and another number."""

    def __init__(self, number: int, peer: int, place: Optional[int], wish: Optional[tuple[Pid[Any], Ref, bool]] = None):
        self.number = number
        self.peer = peer  # number and incarnation
        self.place = place  # None: it is dedicated to one process
        self.wish = wish  # of a dedicated one: who has asked, where the answer goes, whether it is for a coroutine
        self.pid = 0
        self.process = -1  # its pidfd
        self.event = -1
        self.blobs = -1  # its big binaries
        self.channel = -1  # ours with it, until it is there
        self.sock: Optional[socket.socket] = None
        self.joined = False  # we reach its processes
        self.told = False  # everybody has been told of it
        self.awaits: set[int] = set()  # told: who has not said yet that he has heard
        self.until = 0.0  # told: how long they are waited for
        self.up = False  # everybody does
        self.leaves = False  # it has said that it ends in order
        self.worn = False
        self.successor: Optional[Worker] = None
        self.tries = 0
        self.cause = ""  # why it did not start
        self.began = 0.0
        self.due = time.monotonic()  # when to start it (again); 0: not


class Hub:
    """The node's workers, from the hub, which is worker 0."""

    def __init__(self, plan: Plan):
        self.membership, self.board, self.event, self.blobs = _mote.worker_join(0, -1)
        self.plan = plan
        self.workers: dict[int, Worker] = {}  # by their numbers
        self.places: dict[int, Worker] = {}  # of the pool: who takes processes there, or will
        self.incarnations = [0] * NUMBERS
        self.requests: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.selector = selectors.DefaultSelector()
        self.wake_in, self.wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.selector.register(self.wake_in, selectors.EVENT_READ, None)
        self.looked = 0.0
        self.wanted = 1  # places of the pool, and the hub
        self.stopping = False
        self.main = main_of_program()
        self.secret = os.urandom(16)
        _stock.share(self.secret)
        _stock.start_keeper()
        self.thread = threading.Thread(target=self.run, name="mote-workers", daemon=True)
        self.thread.start()

    # ------------------------------------------------------------------------------------- the hub's thread

    def run(self) -> None:
        while not self.stopping:
            while self.requests:
                function, args = self.requests.popleft()
                function(*args)
            self.start_due()
            self.go_on()
            self.look()
            for key, _ in self.selector.select(self.next_due()):
                if key.fileobj == self.wake_in:
                    os.read(self.wake_in, 4096)
                else:
                    worker, is_process = key.data
                    self.ended(worker) if is_process else self.heard(worker)

    def next_due(self) -> float:
        now = time.monotonic()
        times = [worker.due or worker.until for worker in self.workers.values() if worker.due or worker.awaits]
        return max(0.0, min([LOOK_SECONDS, *(one - now for one in times)]))

    def start_due(self) -> None:
        for worker in list(self.workers.values()):
            if worker.due and worker.due <= time.monotonic():
                worker.due = 0.0
                try:
                    self.start(worker)
                except (OSError, _mote.MoteError) as error:
                    worker.cause = f"it cannot be started: {error}"
                    self.reap(worker)
                    self.not_started(worker)

    def start(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker.began = time.monotonic()
        worker.sock = ours
        with theirs:
            flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
            argv = [sys.executable, *flags, "-c", _PROGRAM % _PATHS, _PATHS.join(sys.path)]
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3), (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
            worker.pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions)
        worker.process = os.pidfd_open(worker.pid)
        worker.channel = _mote.worker_channel()
        self.selector.register(worker.process, selectors.EVENT_READ, (worker, True))
        self.selector.register(ours, selectors.EVENT_READ, (worker, False))
        plan = (self.plan.spreads, self.plan.hook, self.plan.recycle_after if worker.place is not None else 0)
        main = (self.main[0], os.fsencode(self.main[1]))
        send(ours, "hello", worker.peer, self.secret, _mote.node(), worker.place, *plan, *main, fds=(self.board, self.event, worker.channel, self.blobs))

    def heard(self, worker: Worker) -> None:
        """A child of a worker may have the channel open after its death, so this does not wait. Who sends nonsense here is ended as one who does so elsewhere."""
        assert worker.sock
        try:
            message, fds = receive(worker.sock, socket.MSG_DONTWAIT)
            if message is not None:
                self.obey(worker, fds, *message)
                return
        except (TypeError, ValueError, IndexError, _mote.MoteError) as error:
            worker.cause = worker.cause or f"it has sent what no worker sends ({error})"
            self.kill(worker)
        self.selector.unregister(worker.sock)

    def obey(self, worker: Worker, fds: list[int], what: str, *rest: Any) -> None:
        if what == "joined":
            self.joined(worker, *fds)
        elif what == "ready":
            self.ready(worker)
        elif what == "opened":
            self.hears(worker, *rest)
        elif what == "failed":
            worker.cause = rest[0]
        elif what == "worn":
            worker.worn = True
            self.recycle(worker)
        elif what == "leaves":
            worker.leaves = True

    def joined(self, worker: Worker, event: int, blobs: int) -> None:
        """It runs: we reach its processes, and they us."""
        worker.event, worker.blobs = event, blobs
        open_channel(self.membership, worker.peer, worker.channel, os.dup(event), os.dup(blobs))
        worker.channel = -1
        worker.joined = True
        _stock.present.add(worker.number)

    def ready(self, worker: Worker) -> None:
        """It takes processes: it and all others learn of each other. Nobody gets a process there before that, whom he might tell to one who knows nothing of it."""
        assert worker.sock
        worker.tries, worker.cause = 0, ""
        worker.told = True
        for other in sorted(self.workers.values(), key=lambda one: not one.up):  # the last of a place has it
            if other.told and other.sock and other is not worker:
                channel = _mote.worker_channel()
                send(other.sock, "open", worker.peer, worker.place, fds=(channel, worker.event, worker.blobs))
                takes = other.place is not None and other.successor is not worker and (self.places.get(other.place) is other or not other.up)
                send(worker.sock, "open", other.peer, other.place if takes else None, fds=(channel, other.event, other.blobs))
                os.close(channel)
                worker.awaits |= {other.number, worker.number}
        worker.until = time.monotonic() + HEARD_SECONDS
        if worker.awaits:
            send(worker.sock, "opened")  # when it has done so
        self.met(worker)

    def hears(self, worker: Worker, peer: int) -> None:
        for other in self.workers.values():
            if other.peer == peer:
                other.awaits.discard(worker.number)
                self.met(other)

    def go_on(self) -> None:
        """Who holds his interpreter for long does not hold up others."""
        now = time.monotonic()
        for worker in list(self.workers.values()):
            if worker.awaits and worker.until <= now:
                worker.awaits.clear()
                self.met(worker)

    def met(self, worker: Worker) -> None:
        if worker.awaits or worker.up or not worker.told:
            return
        assert worker.sock
        worker.up = True  # who waits for that finds nothing half done
        if worker.wish is not None:
            send(worker.sock, "serve", *worker.wish)
        else:
            assert worker.place is not None
            before = self.places[worker.place]
            self.places[worker.place] = worker
            if before is not worker:
                self.retire(before)
        _stock.came(worker.number, worker.place)

    def ended(self, worker: Worker) -> None:
        """It has died, or left: everybody is told why, and the next incarnation is started."""
        while worker.sock and worker.sock.fileno() in self.selector.get_map():
            self.heard(worker)  # what it has still said
        cause = cause_of(worker.process)
        reason: Any = Atom("noproc") if worker.leaves else (Atom("worker_died"), worker.place or worker.number, cause)
        was_joined, was_told = worker.joined, worker.told
        worker.joined = worker.told = worker.up = False  # before anybody hears of it, who may look
        self.forget(worker)
        if was_joined:
            _stock.gone(worker.number)
            _mote.worker_lost(self.membership, worker.peer, reason)
        worker.awaits.clear()
        for other in list(self.workers.values()):
            if was_told and other.told and other.sock:
                send(other.sock, "lost", worker.peer, reason)
            other.awaits.discard(worker.number)
            self.met(other)
        if not was_told:
            worker.cause = worker.cause or f"it has ended before it was ready: {cause[0]} {cause[1]}"
            self.not_started(worker)
        else:
            self.replace(worker, 0.0)
        self.relieve()

    def not_started(self, worker: Worker) -> None:
        self.forget(worker)
        worker.tries += 1
        self.replace(worker, min(0.05 * 2 ** (worker.tries - 1), DELAY_MAX))

    def replace(self, worker: Worker, delay: float) -> None:
        """The next incarnation, unless nobody needs it."""
        self.incarnations[worker.number] += 1
        if worker.wish is not None:
            why = worker.cause or "it has died before it took the process"
            _mote.send(worker.wish[1], (worker.wish[1], REFUSED, why))  # unless it has been answered: this alias takes one
        if worker.successor is not None and self.places[worker.successor.place or 0] is worker:
            self.places[worker.successor.place or 0] = worker.successor
        if worker.place is None or self.places[worker.place] is not worker and worker.successor is not None:
            del self.workers[worker.number]
            return
        worker.leaves = False
        worker.peer = worker.number + NUMBERS * self.incarnations[worker.number]
        worker.worn = False
        worker.due = time.monotonic() + delay

    def reap(self, worker: Worker) -> None:
        """Of a start that was not finished."""
        if worker.pid:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)

    def forget(self, worker: Worker) -> None:
        worker.pid = 0
        if worker.process >= 0:
            if worker.process in self.selector.get_map():
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

    # ------------------------------------------------------------------------------------------- recycling

    def look(self) -> None:
        """What nobody tells: who sends nonsense, takes too much memory, or does not begin."""
        now = time.monotonic()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        cut = _mote.worker_cut(self.membership)
        for worker in list(self.workers.values()):
            late = worker.wish is not None and not worker.up and now - worker.began > START_SECONDS
            if worker.process >= 0 and (cut and worker.peer == cut or late):
                worker.cause = f"it has not been ready within {START_SECONDS:.0f} s" if late else ""
                self.kill(worker)
            elif worker.up and worker.place is not None and 0 < self.plan.recycle_memory < memory_of(worker.pid):
                worker.worn = True
        self.relieve()

    def relieve(self) -> None:
        for worker in list(self.workers.values()):
            if worker.worn:
                self.recycle(worker)

    def recycle(self, worker: Worker) -> None:
        """Starts the successor of one that is worn. When no number is free it goes on until there is one."""
        if worker.place is None or worker.successor is not None or not worker.up:
            return
        worker.successor = self.new_worker(worker.place, None)

    def retire(self, worker: Worker) -> None:
        """It takes no more processes, and leaves when those that it has are done."""
        _stock.retired(worker.number)
        for other in self.workers.values():
            if other.told and other.sock:
                send(other.sock, "retire", worker.number)

    def recycle_place(self, place: int, number: int) -> None:
        """Somebody wants another worker there instead of this one."""
        worker = self.places.get(place)
        if worker is not None and worker.number == number:
            worker.worn = True
            self.recycle(worker)
            if worker.successor is None and worker.up:  # no number is free; it is wanted now, so the next incarnation does it
                worker.worn = False
                self.retire(worker)

    def kill(self, worker: Worker) -> None:
        if worker.process >= 0:
            signal.pidfd_send_signal(worker.process, signal.SIGKILL)

    # --------------------------------------------------------------------------------------------- starting

    def new_worker(self, place: Optional[int], wish: Optional[tuple[Pid[Any], Ref, bool]]) -> Optional[Worker]:
        """One that will be started, with a number that is free: of the pool its place's if that is. None: there is none."""
        free = [number for number in range(WORKERS_MAX - 1, 0, -1) if number not in self.workers]
        if not free:
            return None
        number = place if place in free else free[0]
        assert number is not None
        worker = Worker(number, number + NUMBERS * self.incarnations[number], place, wish)
        self.workers[number] = worker
        return worker

    def add(self) -> None:
        for place in range(len(self.places) + 1, self.wanted):
            worker = self.new_worker(place, None)
            if worker is not None:
                self.places[place] = worker

    def dedicate(self, asker: Pid[Any], alias: Ref, coroutine: bool) -> None:
        if self.new_worker(None, (asker, alias, coroutine)) is None:
            _mote.send(alias, (alias, REFUSED, FULL))

    def cancel(self, alias: Ref) -> None:
        for worker in self.workers.values():
            if worker.wish is not None and worker.wish[1] == alias:
                self.kill(worker)
                worker.cause = "nobody waits for it any more"

    # ----------------------------------------------------------------------------------------- from outside

    def ask(self, function: Callable[..., None], *args: Any) -> None:
        """Has the hub's thread do something."""
        self.requests.append((function, args))
        if not self.stopping:
            os.write(self.wake_out, b"x")

    def missing(self) -> Optional[str]:
        """Which of the pool's places has no worker that is there, and why; None: all have."""
        for place in range(1, self.wanted):
            worker = self.places.get(place)
            if worker is None or not worker.up:
                cause = worker.cause if worker else FULL
                return f"worker {place}" + (f": {cause}" if cause else "")
        return None

    def failure(self, only: Optional[int] = None) -> Optional[str]:
        """Why a worker of the pool (or of this place alone) does not start, after some tries; None: they do."""
        for place, worker in tuple(self.places.items()):
            if worker.tries >= TRIES and only in (None, place):
                return f"worker {place} has not started in {worker.tries} tries: {worker.cause}"
        return None

    def stop(self, seconds: float) -> None:
        """Ends all workers: in order, and who does not end within so many seconds at once."""
        if self.stopping:
            return
        self.stopping = True
        os.write(self.wake_out, b"x")
        self.thread.join(seconds)
        for worker in self.workers.values():
            if worker.sock:
                send(worker.sock, "stop")
        deadline = time.monotonic() + seconds
        for worker in self.workers.values():
            if worker.process >= 0:
                self.end(worker, deadline)
        self.selector.close()
        os.close(self.wake_in)
        os.close(self.wake_out)

    def end(self, worker: Worker, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(worker.process, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                self.kill(worker)
            selector.select()
        cause_of(worker.process)
        self.forget(worker)


def memory_of(pid: int) -> int:
    """The bytes of memory that an OS process has for itself; 0: it has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    except (OSError, IndexError):
        return 0


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
