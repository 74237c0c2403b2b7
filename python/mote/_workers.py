# SPDX-License-Identifier: Apache-2.0
"""Workers: more interpreters of the node, each an OS process, so that Python uses all cores. Imported when the first is wanted.

The hub (the program the user has started) starts them, gives descriptors around, and tells everybody when one has died; a thread of its own does that.
Between workers nothing goes through the hub. docs/design/workers.md says how it works.
"""
from __future__ import annotations

import atexit
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque

from mote import _mote
from mote._mote import Atom, NotSendable, Pid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

WORKERS_MAX = 64
START_SECONDS = 30.0  # until a worker must be there
LOOK_SECONDS = 1.0  # how often the hub looks for workers that send nonsense
DELAY_MAX = 5.0  # seconds: who does not even get to begin is tried again more slowly each time
_PROGRAM = "import sys; sys.path[:] = sys.argv.pop().split(%r); from mote._worker import main; main()"
_SEPARATOR = "\0"
_PATHS = "\n"
_ORDER = Atom("$mote_spawn")


def cores() -> int:
    """The cores that this program may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


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


def main_of_program() -> tuple[str, str]:
    """How a worker finds the program's main module: ("name", module), ("path", file) or ("", ""): there is none."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return ("name", spec.name)
    path = getattr(main, "__file__", None)
    if path is None or getattr(sys, "ps1", None) or not os.path.exists(path):
        return ("", "")
    return ("path", os.path.abspath(path))


# ------------------------------------------------------------------------------------------- starting processes there

BATCH, BATCH_MAX = 128, 4096
WAIT_SECONDS = 10.0
_MORE, _PIDS = Atom("more"), Atom("pids")


class Stock:
    """Processes of another worker that wait for us to say what they are: functions, and coroutines."""

    def __init__(self, number: int):
        self.number = number
        self.kinds: tuple[deque[Pid[Any]], deque[Pid[Any]]] = (deque(), deque())
        self.asked = [0.0, 0.0]  # when, last, for what has not come yet
        self.batch = [BATCH, BATCH]

    def ask(self, coroutine: bool) -> None:
        now = time.monotonic()
        if now - self.asked[coroutine] < 1.0:
            return
        try:
            _mote.send(_keeper_name(self.number), (_MORE, _mote.whereis(_keeper_name(number())), coroutine, self.batch[coroutine]))
            self.asked[coroutine] = now
        except _mote.NoProc:  # it is being started
            pass

    def take(self, coroutine: bool) -> Optional[Pid[Any]]:
        pids = self.kinds[coroutine]
        if len(pids) < self.batch[coroutine] // 2:
            self.ask(coroutine)
        try:
            return pids.popleft()
        except IndexError:
            self.batch[coroutine] = min(2 * self.batch[coroutine], BATCH_MAX)
            return None

    def add(self, coroutine: bool, pids: tuple[Pid[Any], ...]) -> None:
        self.kinds[coroutine].extend(pids)
        self.asked[coroutine] = 0.0

    def clear(self) -> None:
        self.asked = [0.0, 0.0]
        for pids in self.kinds:
            pids.clear()


_stocks: dict[int, Stock] = {}


def number() -> int:
    """This interpreter's number among the workers; 0: the hub."""
    return _mote.worker_of(_mote.self())


def stock_of(worker: int) -> Stock:
    stock = _stocks.get(worker)
    if stock is None:
        stock = _stocks[worker] = Stock(worker)
    return stock


def _keeper_name(worker: int) -> str:
    return f"mote keeper {worker}"


async def keeper() -> None:
    """Gives processes to the keepers of other workers, and takes theirs."""
    from mote import aio

    me = number()
    while True:
        message = await aio.receive()
        if message[0] == _MORE:
            _, asker, coroutine, count = message
            body = _becomes_coroutine if coroutine else _becomes_function
            try:
                pids = tuple(_mote.spawn_opt(body, (asker,), {}, *HERE) for _ in range(min(count, BATCH_MAX)))
            except _mote.MoteError as error:
                if "MOTE_ESTOPPED" not in str(error):
                    raise
                return  # the node is being ended, and nobody needs them
            _mote.send(asker, (_PIDS, me, coroutine, pids))
        elif message[0] == _PIDS:
            _, worker, coroutine, pids = message
            stock_of(worker).add(coroutine, pids)


def start_keeper() -> None:
    _mote.register(_keeper_name(number()), _mote.spawn_opt(keeper, (), {}, *HERE))


HERE = (False, False, None, 0, 0, 0, 0)  # of spawn_opt(): no link, no monitor, no name, no limit, ...

_ordered = _mote.any_of((_ORDER, _mote.ANY, _mote.ANY, _mote.ANY, _mote.ANY), (Atom("DOWN"), _mote.ANY, Atom("process"), _mote.ANY, _mote.ANY))


def _becomes_function(asker: Pid[Any]) -> None:
    """A process that waits to be told what it is; without the one who has the right to say so it ends."""
    watch = _mote.monitor(asker)
    order = _mote.receive(_ordered)
    if order[0] == _ORDER:
        _mote.demonitor(watch, True)
        _, module, name, args, kwargs = order
        function_of(module, name)(*args, **kwargs)


async def _becomes_coroutine(asker: Pid[Any]) -> None:
    from mote import aio

    watch = _mote.monitor(asker)
    order = await aio.receive(_ordered)
    if order[0] == _ORDER:
        _mote.demonitor(watch, True)
        _, module, name, args, kwargs = order
        await function_of(module, name)(*args, **kwargs)


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function of that name, its module imported."""
    import importlib

    if module in (_MAIN, "__main__"):
        load_main()
        module = "__main__"
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


# The program's main module, of which a worker has its own under another name.
_MAIN = "__mote_main__"
program = ("", "")  # in a worker: main_of_program() of the hub


def load_main() -> None:
    """Imports the program's main module in a worker, once; what stands below its guard does not run."""
    global program
    kind, where = program
    if not kind:
        return
    _mote._set("loading", _mote.self())
    try:
        import importlib.util

        if kind == "name":
            module: Any = importlib.import_module(where)
        else:
            spec = importlib.util.spec_from_file_location(_MAIN, where)
            if spec is None or spec.loader is None:
                raise ImportError(f"mote: {where} cannot be imported by a worker")
            module = importlib.util.module_from_spec(spec)
            sys.modules[_MAIN] = module
            spec.loader.exec_module(module)
    finally:
        _mote._set("loading", None)
    sys.modules[_MAIN] = sys.modules["__main__"] = module
    program = ("", "")


def path_of(function: Callable[..., Any]) -> Optional[tuple[str, str]]:
    """Module and name by which another interpreter finds this very function; None: it cannot."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is function or found == function else None


def sendable_path(function: Callable[..., Any]) -> tuple[str, str]:
    """path_of(), or NotSendable."""
    path = path_of(function)
    if path is None:
        raise NotSendable(
            f"mote: {function!r} cannot run in another worker: it travels as module and name, so it has to be a function at the top level of a module"
        )
    return path


def spawn(worker: int, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """Starts a process in another worker: its Pid, or (Pid, Ref). None: none is to be had now."""
    path = sendable_path(function)
    pid = stock_of(worker).take(_mote.awaits(function))
    if pid is None:
        return None
    ref = _mote.monitor(pid) if monitor else None
    if link:
        _mote.link(pid)
    _mote.send(pid, (_ORDER, *path, args, kwargs))
    return (pid, ref) if monitor else pid


# ---------------------------------------------------------------------------------------------------- where to

membership: Any = None
others: set[int] = set()  # numbers of the other workers that are there
hub: Optional[Hub] = None


def gone(worker: int) -> None:
    others.discard(worker)
    stock_of(worker).clear()


def idle() -> Optional[int]:
    """Another worker that has nothing to do, if there is one."""
    for worker in others:
        if _mote.worker_idle(membership, worker):
            return worker
    return None


def place(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Optional[dict[str, Any]], link: bool, monitor: bool) -> Any:
    """A plain spawn, where they may go to other workers: to one that is idle. None: it stays."""
    worker = idle() if path_of(function) else None
    return None if worker is None else spawn(worker, function, args, kwargs or {}, link, monitor)


def begin(count: Optional[int] = None, spreads: bool = False) -> Hub:
    """The hub of the running node, whose workers are started if they have not been. Waits for them."""
    global hub, membership
    if number() != 0:
        raise _mote.MoteError("mote: only the program itself can start workers, not a worker")
    if hub is None:
        count = cores() if count is None else count
        if not 1 < count <= WORKERS_MAX:
            raise ValueError(f"workers is a number from 2 to {WORKERS_MAX}")
        hub = Hub(count, spreads)
        membership = hub.membership
        atexit.register(end)
        if spreads:
            _mote._set("place", place)
    elif count is not None:
        hub.grow(count)
    if not hub.wait(START_SECONDS):
        raise TimeoutError(f"mote: the workers have not started within {START_SECONDS:.0f} s; what they have written says why")
    return hub


def end(seconds: float = 5.0) -> Optional[Callable[[], None]]:
    """Ends the workers, if there are any. Gives what has to be called when the node has stopped."""
    global hub, membership
    if hub is None:
        return None
    _mote._set("place", None)
    hub.stop(seconds)
    left, hub, membership = membership, None, None
    others.clear()
    _stocks.clear()
    atexit.unregister(end)

    def leave() -> None:
        _mote.worker_leave(left)

    return leave


def spawn_at(where: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], link: bool, monitor: bool) -> Any:
    """For options(place=). None: it stays here."""
    me = number()
    if where == "here" or where == me:
        return None
    if me == 0 and hub is None:
        begin()
    if where == "any":
        return place(function, args, kwargs, link, monitor)
    if where not in others and where not in _stocks:  # one that is being started again is waited for
        raise ValueError(f"there is no worker {where!r}: place is 'here', 'any' or the number of a worker, of which there are {sorted({me, *others})}")
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        started = spawn(where, function, args, kwargs, link, monitor) if where in others else None
        if started is not None:
            return started
        if _mote.is_awaiting():
            raise _mote.MoteError(f"mote: worker {where} is not ready for so many processes at once; await something, mote.aio.sleep(0.01), and try again")
        if time.monotonic() > deadline:
            raise TimeoutError(f"mote: worker {where} has not taken a process within {WAIT_SECONDS:.0f} s")
        _mote.sleep(0.001)
