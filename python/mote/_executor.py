# SPDX-License-Identifier: Apache-2.0
"""What people call already: an Executor of concurrent.futures, pool(), pmap(), on the node's workers.

E1 a task is dispatched to one slot, once; a slot is a process in a worker that runs one task after the other. E2 what comes of a task is told once: by its slot, or
when the slot has ended. E3 when shutdown(wait=True) returns, all futures are done and the slots are gone.
"""
from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import deque
from concurrent.futures import BrokenExecutor, Executor as _Base, Future

from mote import _hub, _mote, _stock, _travel, _workers, aio
from mote._errors import WorkerDied, trace_of
from mote._mote import ANY, Atom, NotSendable, Pid, Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

    T = TypeVar("T")
    Task = tuple[Future[Any], tuple[str, str], tuple[Any, ...], dict[str, Any]]

_TASKS, _RESULTS, _LOOK, _DOWN, _SHUTDOWN = Atom("$mote_tasks"), Atom("$mote_results"), Atom("$mote_look"), Atom("DOWN"), Atom("shutdown")
_SECONDS = 0.005  # of work that a slot may have in hand: to ask for each of many small tasks would take longer than they do
_WINDOW_MAX = 1000


WorkerDied.__bases__ = (BrokenExecutor,)


class RemoteTraceback(Exception):
    """The cause of an exception that a task has raised: the traceback in the other worker."""

    def __init__(self, text: str):
        self.text = text

    def __str__(self) -> str:
        return "\n" + self.text


# -------------------------------------------------------------------------------------------- in the workers


def _failure(error: BaseException) -> tuple[Any, ...]:
    """An exception as data: class, arguments if they can be sent, text, traceback."""
    args: Any = error.args
    try:
        _mote.encode(args, form="mote")
    except Exception:
        args = None
    return (type(error).__module__, type(error).__qualname__, args, str(error), trace_of(error))


def _error_of(failure: tuple[Any, ...]) -> BaseException:
    """The exception again: of its own class where that is known here and takes the arguments, else a RuntimeError with its text."""
    module, name, args, text, trace = failure
    kind: Any = sys.modules.get(module)
    for part in name.split("."):
        kind = getattr(kind, part, None)
    error: Optional[BaseException] = None
    if isinstance(kind, type) and issubclass(kind, Exception) and args is not None:
        try:
            error = kind(*args)
        except Exception:
            pass
    if error is None:
        error = RuntimeError(f"{name}: {text}")
    error.__cause__ = RemoteTraceback(trace)
    return error


def _tell(owner: Pid[Any], results: list[tuple[int, bool, Any]], seconds: float) -> None:
    try:
        _mote.send(owner, (_RESULTS, _mote.self(), seconds, tuple(results)))
    except NotSendable as error:
        if len(results) == 1:
            _tell(owner, [(results[0][0], False, _failure(error))], seconds)
        else:
            for one in results:
                _tell(owner, [one], seconds / len(results))


def _slot(owner: Pid[Any], initializer: Optional[tuple[str, str]], initargs: tuple[Any, ...]) -> None:
    """A process that runs tasks for an executor, and ends with it."""
    _mote.link(owner)
    _mote.may_hold()
    if initializer is not None:
        _travel.function_of(*initializer)(*initargs)
    while True:
        results: list[tuple[int, bool, Any]] = []
        begin = time.monotonic()
        for number, (module, name), args, kwargs in _mote.receive((_TASKS, ANY))[1]:
            try:
                results.append((number, True, _travel.function_of(module, name)(*args, **kwargs)))
            except Exception as error:
                results.append((number, False, _failure(error)))
            now = time.monotonic()
            if now - begin > _SECONDS:
                _tell(owner, results, now - begin)
                results, begin = [], now
        if results:
            _tell(owner, results, time.monotonic() - begin)


def _map_chunk(path: tuple[str, str], items: tuple[Any, ...]) -> list[Any]:
    function = _travel.function_of(*path)
    return [function(*item) for item in items]


# ------------------------------------------------------------------------------------------------ in the hub


class _Slot:
    def __init__(self, place: int):
        self.place = place
        self.pid: Optional[Pid[Any]] = None
        self.number = 0  # of the worker that it is in
        self.left: Optional[int] = None  # how many tasks it may still be given
        self.worn = 0  # the number of the worker that another is to take the place of
        self.ref: Optional[Ref] = None
        self.tasks: dict[int, Future[Any]] = {}
        self.window = 1
        self.proved = False  # it has done a task


class Executor(_Base):
    """`with mote.Executor() as executor: executor.submit(f, x).result()`: an Executor of concurrent.futures, with the node's workers.

    `max_workers`: how many tasks run at once, each in a worker of its own (None: one for each core); those workers are started if they have not been. `initializer(*initargs)` is
    called in each before its first task. `max_tasks_per_child`: a worker that has done so many is replaced by a new one, see recycle_after of mote.Node. Functions travel as module and name, arguments and results as messages: NotSendable at once for what cannot go; nothing is pickled. A task's
    exception is raised by result(), with the traceback from there as its cause. A worker that dies costs the tasks it had: their futures get WorkerDied, a BrokenExecutor; it is started again
    and the others go on. BrokenExecutor for all when the initializer fails. In a process of mote wait for a future by `mote.blocking(future.result)` or `await asyncio.wrap_future(future)`.
    """

    def __init__(
        self,
        max_workers: Optional[int] = None,
        *,
        initializer: Optional[Callable[..., object]] = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: Optional[int] = None,
    ):
        count = _workers.cores() if max_workers is None else max_workers
        if not 1 <= count < _hub.WORKERS_MAX:
            raise ValueError(f"max_workers is a number from 1 to {_hub.WORKERS_MAX - 1}")
        if max_tasks_per_child is not None and max_tasks_per_child < 1:
            raise ValueError("max_tasks_per_child is a number from 1 on, or None")
        self._max_tasks = max_tasks_per_child
        self._initializer = None if initializer is None else _travel.sendable_path(initializer)
        self._initargs = initargs
        self._hub = _workers.start(count + 1)
        self._lock = threading.Lock()
        self._pending: deque[Task] = deque()  # lock
        self._looks = False  # lock: it has been told that there is something to look at
        self._closed = False  # lock
        self._broken: Optional[str] = None
        self._numbers = itertools.count()
        self._slots = [_Slot(place) for place in range(1, count + 1)]
        self._paths: dict[Any, tuple[str, str]] = {}
        self._pid = _mote.spawn_opt(self._serve, (), {}, *_stock.HERE)

    # ----------------------------------------------------------------------------------------- what users call

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future of fn(*args, **kwargs), which runs in a worker. Never waits. RuntimeError after shutdown(), BrokenExecutor, NotSendable (also later, by the future, for arguments)."""
        path = self._paths.get(fn)
        if path is None:
            path = self._paths[fn] = _travel.sendable_path(fn)
        future: Future[T] = Future()
        with self._lock:
            if self._broken:
                raise BrokenExecutor(self._broken)
            if self._closed:
                raise RuntimeError("mote: this executor has been shut down")
            self._pending.append((future, path, args, kwargs))
            looks, self._looks = self._looks, True
        if not looks:
            _mote.send(self._pid, _LOOK)
        return future

    def map(self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: Optional[float] = None, chunksize: int = 1) -> Iterator[T]:
        """As Executor.map(): results in the order of the items. Small tasks travel together whatever `chunksize` is; with more than 1 that many are one task."""
        if chunksize < 1:
            raise ValueError("chunksize is a number from 1 on")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout)
        return self._map_chunks(fn, zip(*iterables), chunksize, timeout)

    def _map_chunks(self, fn: Callable[..., T], items: Iterator[tuple[Any, ...]], size: int, timeout: Optional[float]) -> Iterator[T]:
        path = _travel.sendable_path(fn)
        chunks = iter(lambda: tuple(itertools.islice(items, size)), ())
        return itertools.chain.from_iterable(super().map(_map_chunk, itertools.repeat(path), chunks, timeout=timeout))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more tasks; with `wait` returns when all that were submitted are done. `cancel_futures` cancels those that have not begun."""
        with self._lock:
            self._closed = True
            cancelled = list(self._pending) if cancel_futures else []
            if cancel_futures:
                self._pending.clear()
        for future, *_ in cancelled:
            future.cancel()
            future.set_running_or_notify_cancel()
        ref = _mote.monitor(self._pid)
        _mote.send(self._pid, _LOOK)
        if wait:
            _mote.receive((_DOWN, ref, ANY, ANY, ANY))
        else:
            _mote.demonitor(ref, True)

    # ---------------------------------------------------------------------------------------- its own process

    async def _serve(self) -> None:
        _mote.set_trap(True)
        _stock.listeners.add(_mote.self())
        try:
            await self._serve_tasks()
        finally:
            _stock.listeners.discard(_mote.self())
        for slot in self._slots:
            self._release(slot)

    async def _serve_tasks(self) -> None:
        refs: dict[Any, _Slot] = {}
        while not self._is_over():
            for slot in self._slots:
                if slot.pid is not None and not slot.tasks and self._is_done_with(slot):
                    self._renew(slot, refs)
                if slot.pid is None and not self._broken:
                    self._start(slot, refs)
            self._dispatch()
            missing = any(slot.pid is None for slot in self._slots) and not self._broken
            message = await aio.receive(timeout=0.005 if missing else None, default=_LOOK)
            if message == _LOOK or message == _stock.MOVED:
                with self._lock:
                    self._looks = False
            elif message[0] == _RESULTS:
                self._done(message)
            elif message[0] == _DOWN and message[1] in refs:
                self._ended(refs.pop(message[1]), message[4])

    def _is_done_with(self, slot: _Slot) -> bool:
        """Whether it gets no more tasks, for it has had all that one may have, or its worker takes no more."""
        return slot.left == 0 or _stock.others.get(slot.place) != slot.number

    def _renew(self, slot: _Slot, refs: dict[Any, _Slot]) -> None:
        if slot.left == 0:
            slot.worn = slot.number
            self._hub.ask(self._hub.recycle_place, slot.place, slot.number)
        assert slot.ref is not None
        del refs[slot.ref]
        _mote.demonitor(slot.ref, True)
        self._release(slot)

    def _release(self, slot: _Slot) -> None:
        if slot.pid is not None:
            _mote.unlink(slot.pid)
            _mote.exit_send(slot.pid, _SHUTDOWN)
            slot.pid = None

    def _is_over(self) -> bool:
        with self._lock:
            return self._closed and not self._pending and not any(slot.tasks for slot in self._slots)

    def _start(self, slot: _Slot, refs: dict[Any, _Slot]) -> None:
        number = _stock.others.get(slot.place)
        if number is None:
            slot.worn = 0
            failure = self._hub.failure()
            if failure is not None:
                self._break(f"mote: {failure}")
            return
        if number == slot.worn:
            return
        try:
            started = _stock.spawn(number, _slot, (self._pid, self._initializer, self._initargs), {}, False, True)
        except NotSendable as error:
            self._break(f"mote: the initializer's arguments cannot be sent: {error}")
            return
        if started is not None:
            slot.pid, slot.ref = started
            slot.window, slot.proved, slot.number, slot.worn, slot.left = 1, False, number, 0, self._max_tasks
            refs[slot.ref] = slot

    def _dispatch(self) -> None:
        """Each slot gets one task before any gets two; of many small ones as many as its window has room for, but no more than its share."""
        ready = [slot for slot in self._slots if slot.pid is not None and not self._is_done_with(slot)]
        for share in (False, True):
            for slot in ready:
                room = slot.window - len(slot.tasks) if share else 1 - len(slot.tasks)
                if room > 0:
                    self._give(slot, min(room, -(-len(self._pending) // len(ready))) if share else room)

    def _give(self, slot: _Slot, room: int) -> None:
        if slot.left is not None:
            room = min(room, slot.left)
        tasks: list[tuple[Any, ...]] = []
        while len(tasks) < room:
            with self._lock:
                if not self._pending:
                    break
                future, path, args, kwargs = self._pending.popleft()
            if future.set_running_or_notify_cancel():
                number = next(self._numbers)
                slot.tasks[number] = future
                tasks.append((number, path, args, kwargs))
                slot.left = slot.left and slot.left - 1
        if tasks:
            self._send(slot, tasks)

    def _send(self, slot: _Slot, tasks: list[tuple[Any, ...]]) -> None:
        assert slot.pid is not None
        try:
            _mote.send(slot.pid, (_TASKS, tuple(tasks)))
        except NotSendable as error:
            if len(tasks) == 1:
                slot.tasks.pop(tasks[0][0]).set_exception(error)
            else:
                for task in tasks:
                    self._send(slot, [task])

    def _done(self, message: tuple[Any, ...]) -> None:
        _, pid, seconds, results = message
        for slot in self._slots:
            if slot.pid == pid:
                slot.proved = True
                slot.window = max(1, min(_WINDOW_MAX, int(2 * _SECONDS * len(results) / max(seconds, 1e-9))))
                for number, ok, value in results:
                    future = slot.tasks.pop(number)
                    future.set_result(value) if ok else future.set_exception(_error_of(value))

    def _ended(self, slot: _Slot, reason: Any) -> None:
        tasks, slot.tasks, slot.pid = slot.tasks, {}, None
        for future in tasks.values():
            future.set_exception(WorkerDied(f"mote: what ran this task has ended: {reason!r}"))
        if self._initializer is not None and not slot.proved and not tasks:
            self._break(f"mote: the initializer has failed: {reason!r}")

    def _break(self, why: str) -> None:
        with self._lock:
            self._broken = why
            pending = list(self._pending)
            self._pending.clear()
        for future, *_ in pending:
            if future.set_running_or_notify_cancel():
                future.set_exception(BrokenExecutor(why))


def pool(workers: Optional[int] = None, **how: Any) -> Executor:
    """mote.Executor(workers): so many tasks run at once. `with mote.pool(4) as pool: pool.map(f, items)`."""
    return Executor(workers, **how)


def pmap(function: Callable[[Any], T], items: Iterable[Any], *, workers: Optional[int] = None, progress: Optional[bool] = None) -> list[T]:
    """[function(item) for item in items], on all cores. Waits. `progress`: a bar on stderr (None: where that is a terminal). The first exception is raised when all
    items before it are done. As map() of Executor.
    """
    todo = list(items)
    show = sys.stderr.isatty() if progress is None else progress
    results: list[T] = []
    shown = 0.0
    with Executor(workers) as executor:
        try:
            for result in executor.map(function, todo):
                results.append(result)
                if show and (time.monotonic() - shown > 0.1 or len(results) == len(todo)):
                    shown = time.monotonic()
                    _draw(len(results), len(todo))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            if show:
                sys.stderr.write("\n")
    return results


def _draw(done: int, total: int) -> None:
    filled = 40 * done // max(total, 1)
    sys.stderr.write(f"\r[{'#' * filled}{'.' * (40 - filled)}] {done}/{total}")
    sys.stderr.flush()
