# SPDX-License-Identifier: Apache-2.0
"""What people call already: an Executor of concurrent.futures, pool(), pmap(), on the node's workers.

E1 a task is dispatched to one slot, once, unless that one gives it back before it has begun; a slot is a process in a worker that runs one task after the other. It has one batch at a time.
E2 what comes of a task is told once: by its slot, or when the slot has ended. E3 when shutdown(wait=True) returns, all futures are done and the slots are told to end. E4 nothing here
refers to an Executor: one that nobody has any more ends when its tasks are done. Nor to an argument or a result, longer than it takes to pass it on.
"""
from __future__ import annotations

import atexit
import itertools
import os
import sys
import threading
import time
import weakref
from collections import deque
from concurrent.futures import BrokenExecutor, Executor as _Base, Future, TimeoutError as _TimeoutError
from concurrent.futures._base import FINISHED as _FINISHED
from types import FunctionType

from mote import _hub, _mote, _stock, _travel, _workers, aio
from mote._control import HIDDEN
from mote._errors import ProcessExit, WorkerDied, explain, text_of, trace_of
from mote._mote import ANY, Atom, NotSendable, Pid, Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar

    from mote._travel import Call, Path

    T = TypeVar("T")
    Task = tuple["_Future", Path, tuple[Any, ...], dict[str, Any]]

_TASKS, _BACK, _RESULTS, _READY = Atom("$mote_tasks"), Atom("$mote_undone"), Atom("$mote_results"), Atom("$mote_ready")
_LOOK, _DONE, _DOWN, _SHUTDOWN = Atom("$mote_look"), Atom("$mote_future"), Atom("DOWN"), Atom("shutdown")
_SECONDS = 0.005  # how often a slot tells what it has done
_BATCH_SECONDS = 0.02  # of work that a slot may have in hand: to ask for each of many small tasks would take longer than they do
_COST_MIN = _BATCH_SECONDS / 1000  # of a task, so that a batch has a limit
_DEATHS_MAX = 3  # of a worker whose initializer has not come to its end
_BAR_SECONDS = 0.1  # how often it is drawn
_PATHS_MAX = 1000  # that are remembered: programs have fewer functions


class RemoteTraceback(Exception):
    """The cause of an exception that a task has raised: the traceback in the other worker."""

    def __init__(self, text: str):
        self.text = text

    def __str__(self) -> str:
        return "\n" + self.text


def _broken_class() -> type[BrokenExecutor]:
    """BrokenProcessPool for programs that know it (importing it takes multiprocessing), which WorkerDied is then, too."""
    process = sys.modules.get("concurrent.futures.process")
    kind: type[BrokenExecutor] = getattr(process, "BrokenProcessPool", BrokenExecutor)
    if WorkerDied.__bases__ != (kind,):
        WorkerDied.__bases__ = (kind,)
    return kind


_broken_class()


# ------------------------------------------------------------------------------------- exceptions, as data


def _can_go(value: object) -> bool:
    try:
        _mote.encode(value, form="mote")
        return True
    except Exception:
        return False


def _failure(error: BaseException) -> tuple[Any, ...]:
    """An exception as data: what makes it and with what, its attributes, those that a group has; and for who cannot make it, its name and text; its traceback."""
    kind: Any = type(error)
    parts = tuple(map(_failure, error.exceptions)) if _is_group(error) else ()  # type: ignore[attr-defined]
    args: Any = (error.args[0],) if parts else error.args
    state: Any = error.__dict__
    if not parts:
        try:
            kind, args, *more = error.__reduce__()  # type: ignore[misc]
            state = more[0] if more else None
        except Exception:
            pass
    path = _travel.path_of(kind)
    state = {name: value for name, value in state.items() if _can_go(value)} if type(state) is dict else {}
    return (path if _can_go(args) else None, args if _can_go(args) else (), state, parts, type(error).__qualname__, text_of(error), trace_of(error))


def _is_group(error: BaseException) -> bool:
    return sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup)


def _error_of(failure: tuple[Any, ...]) -> BaseException:
    """The exception again: of its own class where that can be imported here and takes the arguments, else a RuntimeError with its text."""
    path, args, state, parts, name, text, trace = failure
    error: Any = None
    if path is not None:
        try:
            error = _made(_found(*path), (*args, list(map(_error_of, parts))) if parts else args)
            if state:
                error.__setstate__(state)
        except Exception:
            pass
    if not isinstance(error, BaseException) or isinstance(error, ProcessExit):
        error = RuntimeError(f"{name}: {text}")
    error.__cause__ = RemoteTraceback(trace)
    return error  # type: ignore[no-any-return]


def _made(kind: Any, args: tuple[Any, ...]) -> Any:
    try:
        return kind(*args)
    except Exception:  # its __init__ takes others than those that it gives to Exception's
        error = kind.__new__(kind, *args)
        error.args = args
        return error


def _found(module: str, name: str) -> Any:
    """What has that name in the module, which in a worker has another name if it is the program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    is_program = spec is not None and spec.name == module
    return _travel.function_of("__main__" if is_program else module, name)


# -------------------------------------------------------------------------------------------- in the workers


def _outcome(number: int, path: Path, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, bool, Any]:
    try:
        return (number, True, _travel.function_of(*path)(*args, **kwargs))
    except ProcessExit:
        raise
    except BaseException as error:
        return (number, False, _failure(error))


class _Hand:
    """The batch that a slot has in hand. When one of its tasks takes long, a thread tells what has been done before, and gives back what has not begun."""

    def __init__(self, owner: Pid[Any]):
        self.owner = owner
        self.pid: Pid[Any] = _mote.self()
        self.todo: deque[tuple[Any, ...]] = deque()  # both sides take from these, and each task and result is taken by one
        self.results: deque[tuple[int, bool, Any]] = deque()
        self.begun = self.told = 0.0  # the task that runs; what has been done
        self.some = threading.Event()
        self.thread: Optional[threading.Thread] = None
        self.ended = threading.Event()

    def work(self, tasks: tuple[tuple[Any, ...], ...]) -> None:
        self.begun = self.told = time.monotonic()
        self.todo.extend(tasks)
        del tasks
        if len(self.todo) > 1:
            self.watch()
        while self.todo:
            try:
                task = self.todo.popleft()
            except IndexError:
                break
            self.results.append(_outcome(*task))
            del task
            self.begun = time.monotonic()
            if self.begun - self.told > _SECONDS:
                self.tell()
        self.tell()

    def tell(self) -> None:
        """What has been done is told to the executor."""
        results = _all_of(self.results)
        seconds, self.told = self.begun - self.told, self.begun
        if results:
            self.tell_of(results, seconds)

    def tell_of(self, results: list[Any], seconds: float) -> None:
        try:
            _mote.send(self.owner, (_RESULTS, self.pid, seconds, tuple(results)))
        except NotSendable as error:
            if len(results) == 1:
                self.tell_of([(results[0][0], False, _failure(error))], seconds)
            else:
                for one in results:
                    self.tell_of([one], seconds / len(results))

    def watch(self) -> None:
        if self.thread is None:
            self.thread = threading.Thread(target=self.watches, name="mote-executor", daemon=True)
            self.thread.start()
        self.some.set()

    def watches(self) -> None:
        while self.some.wait() and not self.ended.is_set():
            begun = self.begun
            if not self.ended.wait(_BATCH_SECONDS) and self.begun == begun:
                try:
                    self.give_back()
                except (ProcessExit, _mote.MoteError):  # the worker ends
                    return
            if not self.todo and not self.results:
                self.some.clear()
                if self.todo:  # since
                    self.some.set()

    def give_back(self) -> None:
        back = [task[0] for task in _all_of(self.todo)]
        results = _all_of(self.results)
        if results:
            self.tell_of(results, self.begun - self.told)
        if back:
            _mote.send(self.owner, (_BACK, self.pid, tuple(back)))

    def end(self) -> None:
        self.ended.set()
        self.some.set()


def _all_of(some: deque[T]) -> list[T]:
    taken: list[T] = []
    while some:
        try:
            taken.append(some.popleft())
        except IndexError:  # the other thread
            break
    return taken


def _slot(owner: Pid[Any], initializer: Optional[Call]) -> None:
    """A process that runs tasks for an executor, and ends with it."""
    _mote.link(owner)
    _mote.may_hold()
    if initializer is not None:
        path, args, kwargs = initializer
        _travel.function_of(*path)(*args, **kwargs)
        _mote.send(owner, (_READY, _mote.self()))
    hand = _Hand(owner)
    try:
        while True:
            hand.work(_mote.receive((_TASKS, ANY))[1])
    finally:
        hand.end()


_stock.hidden.append(_slot)


def _map_chunk(path: Path, args: tuple[Any, ...], kwargs: dict[str, Any], items: tuple[Any, ...]) -> list[Any]:
    function = _travel.function_of(*path)
    return [function(*args, *item, **kwargs) for item in items]


# ------------------------------------------------------------------------------------------------ in the hub


class _Future(Future):  # type: ignore[type-arg]
    """A Future of concurrent.futures that a process of mote can wait for: to wait as threads do would stop what it waits for."""

    def result(self, timeout: Optional[float] = None) -> Any:
        if self._state != _FINISHED:  # type: ignore[attr-defined]  # done() takes a lock
            timeout = self._wait("result", timeout)
        try:
            return super().result(timeout)
        finally:
            self = None  # type: ignore[assignment]  # an exception's traceback has this frame

    def exception(self, timeout: Optional[float] = None) -> Optional[BaseException]:
        return super().exception(self._wait("exception", timeout))

    def _wait(self, name: str, timeout: Optional[float]) -> Optional[float]:
        """Waits in a function's process, which may not wait as a thread does; gives the time that is left."""
        if self.done():
            return timeout
        flavour = _mote.flavour()
        if flavour == "thread":
            return timeout
        if flavour != "function":
            raise RuntimeError(f"mote: {name}() of a future that is not done would stop the coroutine and all others: `await asyncio.wrap_future(future)`")
        alias = _mote.alias()
        self.add_done_callback(lambda _: _mote.send(alias, (_DONE, alias)))
        try:
            _mote.receive((_DONE, alias), timeout=timeout)
        except TimeoutError:
            raise _TimeoutError() from None
        finally:
            _mote.unalias(alias)
        return timeout


class _Slot:
    def __init__(self, place: int):
        self.place = place
        self.pid: Optional[Pid[Any]] = None
        self.ref: Optional[Ref] = None
        self.number = 0  # of the worker that it is in
        self.left: Optional[int] = None  # how many tasks it may still be given
        self.worn = 0  # the number of the worker that another is to take the place of
        self.tasks: dict[int, Task] = {}
        self.ready = False  # its initializer has come to its end
        self.deaths = 0  # how often in a row it has not


_leases = [0] * _hub.WORKERS_MAX  # how many executors use each place of the pool
_leasing = threading.Lock()
_live: set[_Core] = set()  # what has not ended


def _lease(count: int) -> list[int]:
    """So many places, of which no other executor has any while there are such."""
    with _leasing:
        found = sorted(sorted(range(1, _hub.WORKERS_MAX), key=_leases.__getitem__)[:count])
        for place in found:
            _leases[place] += 1
        return found


def _unlease(places: Iterable[int]) -> None:
    with _leasing:
        for place in places:
            _leases[place] -= 1


class _Process:
    """Is there as long as a core's process, which may end before its first step: with its node."""

    def __init__(self, core: _Core):
        self.core = core

    async def serve(self) -> None:
        await self.core.serve()


class _Core:
    """All of an Executor but itself. Its process, a coroutine, hands out the tasks."""

    def __init__(self, places: list[int], initializer: Optional[Callable[..., object]], initargs: tuple[Any, ...], tasks_max: Optional[int]):
        self.hub = _workers.start(max(places) + 1)
        self.tasks_max = tasks_max  # that a worker may do
        self.initializer = None if initializer is None else _travel.call_of(initializer, initargs, {})
        self.lock = threading.Lock()
        self.pending: deque[Task] = deque()  # lock: to add one; its process takes them without, so as not to wait for a thread that is not running
        self.looks = False  # lock: it has been told that there is something to look at
        self.closed: Optional[str] = None  # why there are no more tasks
        self.cancels = False  # lock: what no slot has is to be cancelled
        self.broken: Optional[str] = None
        self.trace: Optional[str] = None  # of its cause, in the worker
        self.back: deque[Task] = deque()  # its process: given back by slots
        self.costs: dict[Path, float] = {}  # its process: how many seconds a task of this function took last
        self.numbers = itertools.count()
        self.slots = [_Slot(place) for place in places]
        self.over = threading.Event()
        self.os_pid = os.getpid()
        self.handle: Any = None  # a weak reference to the Executor
        process = _Process(self)
        self.end = weakref.finalize(process, self.finish)
        self.end.atexit = False
        self.pid = _mote.spawn_opt(process.serve, (), {}, *HIDDEN)

    def submit(self, future: _Future, path: Path, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self.lock:
            if self.broken:
                raise self.broken_error(self.broken)
            if self.closed:
                raise RuntimeError(self.closed)
            self.pending.append((future, path, args, kwargs))
            looks, self.looks = self.looks, True
        if not looks:
            _mote.send(self.pid, _LOOK)

    def close(self, why: str) -> None:
        """Takes no more tasks. Takes no lock: it may be called from anywhere, by the garbage collector."""
        self.closed = self.closed or why
        _mote.send(self.pid, _LOOK)

    def left(self, _: object) -> None:
        if self.over.is_set():  # to send something would start another node
            return
        try:
            self.close("cannot schedule new futures after shutdown")
        except Exception:  # the node is not there any more
            pass

    def cancel(self) -> None:
        """Those that no slot has: the first ones have been handed out before, if a slot was idle."""
        with self.lock:
            self.cancels = False
            cancelled = list(self.pending)
            self.pending.clear()
        for future, *_ in cancelled:
            future.cancel()
            future.set_running_or_notify_cancel()

    def wait(self) -> None:
        """Returns when it is over, which it is soon after close()."""
        flavour = "thread" if self.over.is_set() or self.os_pid != os.getpid() else _mote.flavour()
        if flavour == "thread":
            if self.os_pid == os.getpid():
                self.over.wait()
        elif flavour == "function":
            ref = _mote.monitor(self.pid)
            _mote.receive((_DOWN, ref, ANY, ANY, ANY))
        elif not self.is_done():
            raise RuntimeError(
                "mote: shutdown() would stop this coroutine, and what it waits for, until all tasks are done: await their futures first, or use shutdown(wait=False)"
            )

    # ---------------------------------------------------------------------------------------- its own process

    async def serve(self) -> None:
        self.pid = _mote.self()  # it may be here before the thread that has started it goes on
        _mote.set_trap(True)
        refs: dict[Any, _Slot] = {}
        _stock.listeners.add(_mote.self())
        try:
            while not self.is_over():
                for slot in self.slots:
                    if slot.pid is not None and not slot.tasks and self.is_done_with(slot) and slot.number in _stock.present:  # else its death will be told
                        self.renew(slot, refs)
                    if slot.pid is None and not self.broken:
                        self.start(slot, refs)
                self.dispatch()
                if self.cancels:
                    self.cancel()
                if self.is_over():  # also when what was left had been cancelled
                    break
                missing = any(slot.pid is None for slot in self.slots) and not self.broken
                self.heard(await aio.receive(timeout=0.005 if missing else None, default=_LOOK), refs)
            for slot in self.slots:
                self.release(slot)
        finally:  # the slots are linked
            _stock.listeners.discard(_mote.self())
            self.end()

    def is_done_with(self, slot: _Slot) -> bool:
        """Whether it gets no more tasks, for it has had all that one may have, or its worker takes no more."""
        return slot.left == 0 or _stock.others.get(slot.place) != slot.number

    def renew(self, slot: _Slot, refs: dict[Any, _Slot]) -> None:
        if slot.left == 0:
            slot.worn = slot.number
            self.hub.ask(self.hub.recycle_place, slot.place, slot.number)
        assert slot.ref is not None
        del refs[slot.ref]
        _mote.demonitor(slot.ref, True)
        self.release(slot)

    def release(self, slot: _Slot) -> None:
        if slot.pid is not None:
            _mote.unlink(slot.pid)
            _mote.exit_send(slot.pid, _SHUTDOWN)
            slot.pid = None

    def heard(self, message: Any, refs: dict[Any, _Slot]) -> None:
        if message == _LOOK or message == _stock.MOVED:
            with self.lock:
                self.looks = False
        elif message[0] == _DOWN and message[1] in refs:
            self.ended(refs.pop(message[1]), message[4])
        elif message[0] in (_RESULTS, _BACK, _READY):
            for slot in self.slots:
                if slot.pid == message[1]:
                    self.told(slot, *message)

    def told(self, slot: _Slot, what: Atom, _: Any, *more: Any) -> None:
        if what == _RESULTS:
            seconds, results = more
            cost = max(seconds / len(results), _COST_MIN)
            paths = set()
            for number, ok, value in results:
                task = slot.tasks.pop(number, None)
                if task is not None:  # it has not been given up
                    paths.add(task[1])
                    task[0].set_result(value) if ok else task[0].set_exception(_error_of(value))
            for path in paths:  # batches grow step by step: if the worker dies there, one has lost little
                self.costs[path] = max(cost, self.costs.get(path, _BATCH_SECONDS) / 2)
        elif what == _BACK:
            undone = [slot.tasks.pop(number) for number in more[0] if number in slot.tasks]
            self.back.extend(undone)
            self.not_given(slot, len(undone))
            self.costs.update((path, _BATCH_SECONDS) for _, path, *_ in slot.tasks.values())
        else:
            slot.ready, slot.deaths = True, 0

    def is_over(self) -> bool:
        return self.closed is not None and self.is_done()

    def is_done(self) -> bool:
        with self.lock:
            return not self.pending and not self.back and not any(slot.tasks for slot in self.slots)

    def start(self, slot: _Slot, refs: dict[Any, _Slot]) -> None:
        number = _stock.others.get(slot.place)
        if number is None:
            slot.worn = 0
            failure = self.hub.failure(slot.place)
            if failure is not None:
                self.break_down(f"mote: {failure}")
            return
        if number == slot.worn:
            return
        try:
            started = _stock.spawn(number, _slot, (self.pid, self.initializer), {}, False, True)
        except NotSendable as error:
            self.break_down(f"mote: the initializer's arguments cannot be sent: {error}")
            return
        if started is not None:
            slot.pid, slot.ref = started
            slot.number, slot.worn, slot.left, slot.ready = number, 0, self.tasks_max, False
            refs[slot.ref] = slot

    def dispatch(self) -> None:
        """A slot that has nothing to do gets one task, or of many small ones a batch, but no more than its share."""
        slots = [slot for slot in self.slots if slot.pid is not None and not self.is_done_with(slot)]
        for slot in slots:
            if not slot.tasks:
                share = -(-(len(self.pending) + len(self.back)) // len(slots))
                self.give(slot, share)

    def give(self, slot: _Slot, room: int) -> None:
        if slot.left is not None:
            room = min(room, slot.left)
        tasks: list[tuple[Any, ...]] = []
        seconds = 0.0
        while len(tasks) < room and seconds < _BATCH_SECONDS:
            if self.back:
                task = self.back.popleft()
            else:
                try:
                    task = self.pending.popleft()
                except IndexError:
                    break
                if not task[0].set_running_or_notify_cancel():
                    continue
            number = next(self.numbers)
            slot.tasks[number] = task
            _, path, args, kwargs = task
            tasks.append((number, path, args, kwargs))
            seconds += self.costs.get(path, _BATCH_SECONDS)
        if tasks:
            self.not_given(slot, -len(tasks))
            self.send(slot, tasks)

    def not_given(self, slot: _Slot, count: int) -> None:
        """So many that it has been given do not count among those that it may have."""
        if slot.left is not None:
            slot.left += count

    def send(self, slot: _Slot, tasks: list[tuple[Any, ...]]) -> None:
        assert slot.pid is not None
        try:
            _mote.send(slot.pid, (_TASKS, tuple(tasks)))
        except NotSendable as error:
            if len(tasks) == 1:
                slot.tasks.pop(tasks[0][0])[0].set_exception(error.with_traceback(None))  # whose frames know the arguments
                self.not_given(slot, 1)
                if not slot.tasks:
                    _mote.send(self.pid, _LOOK)
            else:
                for task in tasks:
                    self.send(slot, [task])

    def ended(self, slot: _Slot, reason: Any) -> None:
        tasks, slot.tasks, slot.pid = slot.tasks, {}, None
        if self.initializer is None or slot.ready:
            _broken_class()
            self.costs.update((path, _BATCH_SECONDS) for _, path, *_ in tasks.values())  # they go alone again
            for future, *_ in tasks.values():
                future.set_exception(WorkerDied(f"mote: what ran this task has ended: {reason!r}"))
            return
        self.back.extendleft(reversed(tasks.values()))  # none of them has begun
        slot.deaths += 1
        is_death = type(reason) is tuple and reason[0] == "worker_died"
        if not is_death or slot.deaths == _DEATHS_MAX:
            text, trace = explain(reason)
            self.break_down(f"mote: the initializer has failed: {text}", trace)

    def break_down(self, why: str, trace: Optional[str] = None) -> None:
        with self.lock:
            self.broken, self.trace = why, trace
        self.give_up(why)

    def broken_error(self, why: str) -> BrokenExecutor:
        error = _broken_class()(why)
        error.__cause__ = RemoteTraceback(self.trace) if self.trace else None
        return error

    def give_up(self, why: str) -> None:
        """The futures that are not done get a BrokenExecutor."""
        with self.lock:
            pending = list(self.pending)
            self.pending.clear()
        begun = [*self.back, *(task for slot in self.slots for task in slot.tasks.values())]
        self.back.clear()
        for slot in self.slots:
            slot.tasks = {}
        for future, *_ in [*(task for task in pending if task[0].set_running_or_notify_cancel()), *begun]:
            future.set_exception(self.broken_error(why))

    def finish(self) -> None:
        """Its process ends: because it is over, or with its node."""
        with self.lock:
            self.closed = self.closed or "cannot schedule new futures: the executor's node has stopped"
        try:
            self.give_up("mote: the executor's process has ended before its tasks, with its node or by an exit signal")
        finally:
            _unlease(slot.place for slot in self.slots)
            _live.discard(self)
            self.over.set()


def _at_exit() -> None:
    """The program ends: what has been submitted is done, as with the executors of concurrent.futures, before the workers are ended."""
    live = [core for core in _live if core.os_pid == os.getpid()]
    for core in live:
        core.left(None)
        core.closed = "cannot schedule new futures after interpreter shutdown"
    for core in live:
        core.over.wait()


class Executor(_Base):
    """`with mote.Executor() as executor: executor.submit(f, x).result()`: an Executor of concurrent.futures, with the node's workers.

    `max_workers`: how many tasks run at once, each in a worker of its own (None: one for each core); those workers are started if they have not been. `initializer(*initargs)` is
    called in each before its first task. `max_tasks_per_child`: a worker that has done so many is replaced by a new one, see recycle_after of mote.Node. Functions travel as module and name, see mote.options(place=), arguments and results as messages: NotSendable for what cannot go; nothing is pickled. A task's
    exception is raised by result(), with the traceback from there as its cause. A worker that dies costs the tasks it had: their futures get WorkerDied, a BrokenExecutor (and a
    BrokenProcessPool where that has been imported); it is started again and the others go on. BrokenExecutor for all when the initializer fails. An executor that nobody has any more ends
    when its tasks are done, and the program waits for those at its end. In a function's process wait for futures by result() or `mote.blocking(concurrent.futures.wait, futures)`, in a coroutine by `await asyncio.wrap_future(future)`.
    """

    def __init__(
        self,
        max_workers: Optional[int] = None,
        *,
        initializer: Optional[Callable[..., object]] = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: Optional[int] = None,
    ):
        count = min(_workers.cores(), _hub.WORKERS_MAX - 1) if max_workers is None else max_workers
        if count <= 0:
            raise ValueError("max_workers must be greater than 0")
        if count >= _hub.WORKERS_MAX:
            raise ValueError(f"max_workers must be less than {_hub.WORKERS_MAX}: a node has no more workers")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if max_tasks_per_child is not None and not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child is not None and max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        places = _lease(count)
        try:
            self._core = _Core(places, initializer, tuple(initargs), max_tasks_per_child)
        except BaseException:
            _unlease(places)
            raise
        self._max_workers = count
        self._paths: dict[Any, Path] = {}
        self._core.handle = weakref.ref(self, self._core.left)
        _live.add(self._core)
        atexit.unregister(_at_exit)  # it is called before what ends the workers
        atexit.register(_at_exit)

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future of fn(*args, **kwargs), which runs in a worker. Never waits. RuntimeError after shutdown(), BrokenExecutor, NotSendable (also later, by the future, for arguments)."""
        path = self._paths.get(fn) if isinstance(fn, FunctionType) else None
        if path is None:
            path, args, kwargs = self._travel(fn, args, kwargs)
        future = _Future()
        self._core.submit(future, path, args, kwargs)
        return future

    def _travel(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        path, args, kwargs = _travel.call_of(fn, args, kwargs)
        if isinstance(fn, FunctionType) and len(self._paths) < _PATHS_MAX:
            self._paths[fn] = path
        return path, args, kwargs

    def map(
        self, fn: Callable[..., T], *iterables: Iterable[Any], timeout: Optional[float] = None, chunksize: int = 1, buffersize: Optional[int] = None
    ) -> Iterator[T]:
        """As Executor.map(): results in the order of the items. Small tasks travel together whatever `chunksize` is; with more than 1 that many are one task. All items are
        submitted at once, or, with `buffersize`, so many tasks before the first result is taken, and then one for each.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        end = None if timeout is None else time.monotonic() + timeout
        items: Any = zip(*iterables)
        if chunksize == 1:
            todo: Any = (self.submit(fn, *item) for item in items)
        else:
            call = _travel.call_of(fn, (), {})
            todo = (self.submit(_map_chunk, *call, chunk) for chunk in iter(lambda: tuple(itertools.islice(items, chunksize)), ()))
        futures = deque(itertools.islice(todo, buffersize))
        results = _results(futures, None if buffersize is None else todo, end)
        return results if chunksize == 1 else _flat(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more tasks; with `wait` returns when all that were submitted are done. `cancel_futures` cancels those that have not begun."""
        core = self._core
        with core.lock:
            core.closed = core.closed or "cannot schedule new futures after shutdown"
            core.cancels = core.cancels or cancel_futures
        if not core.over.is_set():
            core.left(None)
            if wait:
                core.wait()


def _results(futures: deque[Future[Any]], more: Optional[Iterator[Future[Any]]], end: Optional[float]) -> Iterator[Any]:
    """What map() gives, which keeps no result. Those that are not taken are cancelled."""
    try:
        while futures:
            if more is not None:
                futures.extend(itertools.islice(more, 1))
            yield futures.popleft().result(None if end is None else end - time.monotonic())
    finally:
        for one in futures:
            one.cancel()


def _flat(lists: Iterator[list[Any]]) -> Iterator[Any]:
    for results in lists:
        results.reverse()
        while results:
            yield results.pop()


def pool(workers: Optional[int] = None, **how: Any) -> Executor:
    """mote.Executor(workers): so many tasks run at once. `with mote.pool(4) as pool: pool.map(f, items)`."""
    return Executor(workers, **how)


def pmap(function: Callable[[Any], T], items: Iterable[Any], *, workers: Optional[int] = None, progress: Optional[bool] = None) -> list[T]:
    """[function(item) for item in items], on all cores. Waits. `progress`: a bar on stderr (None: where that is a terminal). The first exception is raised when all
    items before it are done. As map() of Executor.
    """
    todo = list(items)
    if progress is None:
        progress = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    with Executor(max(1, min(_workers.cores(), len(todo))) if workers is None else workers) as executor:
        try:
            return _pmap_shown(executor, function, todo) if progress and todo else list(executor.map(function, todo))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise


def _pmap_shown(executor: Executor, function: Callable[[Any], T], items: list[Any]) -> list[T]:
    bar = _Bar(len(items))
    results: list[T] = []
    try:
        futures = deque(executor.submit(function, item) for item in items)
        for future in futures:
            future.add_done_callback(bar.count)
        while futures:
            try:
                results.append(futures[0].result(_BAR_SECONDS))
            except _TimeoutError:
                if not futures[0].done():  # or it is the task's own
                    bar.draw()
                    continue
                raise
            futures.popleft()
            bar.draw()
        bar.done = bar.total  # the last one's result may be had before it has been counted
        return results
    finally:
        bar.end()


class _Bar:
    """How many are done of all, in one line of the terminal, which is left when that is over."""

    def __init__(self, total: int):
        self.total = total
        self.numbers = itertools.count(1)
        self.done = 0
        self.drawn: Optional[float] = None
        self.draw()

    def count(self, _: object) -> None:
        self.done = next(self.numbers)

    def draw(self, last: bool = False) -> None:
        now = time.monotonic()
        if last or self.drawn is None or now - self.drawn > _BAR_SECONDS:
            self.drawn = now
            sys.stderr.write("\r" + self.line())
            sys.stderr.flush()

    def line(self) -> str:
        """As wide as the terminal has room for, without its last column, where some begin a new line."""
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except (OSError, ValueError):
            columns = 80
        count = f"{self.done:{len(str(self.total))}}/{self.total}"
        width = min(40, columns - len(count) - 4)
        filled = width * self.done // self.total
        return f"[{'#' * filled}{'.' * (width - filled)}] {count}" if width >= 4 else count[: max(columns - 1, 0)]

    def end(self) -> None:
        self.draw(last=True)
        sys.stderr.write("\n")
        sys.stderr.flush()
