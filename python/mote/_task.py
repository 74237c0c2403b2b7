# SPDX-License-Identifier: Apache-2.0
"""Tasks: a function that runs in a process of its own while the caller does something else, and then asks for its result.

As include/mote/task.h. A task says its result through an alias that takes one message, (alias, result); its end without one is the DOWN of a monitor.
K1 a task that has a result takes its link back before it ends. K2 after a task is done with, alias and monitor are gone and none of its messages
is in the mailbox.
"""
from __future__ import annotations

import time
from types import GenericAlias

from mote import _mote
from mote._errors import TaskFailed, several
from mote._mote import ANY, Atom, Ref
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Generator, Generic, Iterable, Optional, Sequence, TypeVar, Union, overload

    from typing_extensions import ParamSpec

    from mote import _workers
    from mote._mote import Pid
    from mote._wait import Wait

    T = TypeVar("T")
    R = TypeVar("R")
    P = ParamSpec("P")

    class _Of(Generic[T]):
        """A class of what a task gives."""

else:

    class _Of:
        __slots__ = ()
        __class_getitem__ = classmethod(GenericAlias)


_DOWN, _EXIT, _KILL, _SHUTDOWN = Atom("DOWN"), Atom("EXIT"), Atom("kill"), Atom("shutdown")
_NOTHING: Any = object()


def _body(function: Callable[..., Any], alias: Ref, owner: Pid[Any], enter: Callable[[], None]) -> Callable[..., Any]:
    """What a task's process runs, in the function's flavour."""
    if _mote.awaits(function):

        async def task(*args: Any, **kwargs: Any) -> None:
            enter()
            _mote.send(alias, (alias, await function(*args, **kwargs)))
            _mote.unlink(owner)  # K1

        return task

    def plain_task(*args: Any, **kwargs: Any) -> None:
        enter()
        _mote.send(alias, (alias, function(*args, **kwargs)))
        _mote.unlink(owner)

    return plain_task


def _alone() -> None:
    """What a task does first that belongs to no scope."""


def _there(alias: Ref, owner: Pid[Any], path: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """What the process of a task in another worker runs."""
    from mote._travel import function_of

    _mote.send(alias, (alias, function_of(*path)(*args, **kwargs)))
    _mote.unlink(owner)  # K1


async def _aio_there(alias: Ref, owner: Pid[Any], path: tuple[str, str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    from mote._travel import function_of

    _mote.send(alias, (alias, await function_of(*path)(*args, **kwargs)))
    _mote.unlink(owner)


class Task(_Of["T"]):
    """A function's result to come: `task = mote.Task.start(f, 1)`, then `task.result()`, in a coroutine `await task`.

    Only the process that started a task may ask for its result. Between its end and the question its answer, (Ref, result) or a Down, lies in the
    mailbox: who receives messages of all kinds meanwhile shows them to answer(). As Elixir's Task.
    """

    __slots__ = ("_alias", "_failure", "_linked", "_monitor", "_owner", "_value", "pid")
    pid: Pid[Any]
    _alias: Ref
    _failure: Any
    _linked: bool
    _monitor: Ref
    _owner: Pid[Any]
    _value: Any

    @classmethod
    def _new(cls, linked: bool) -> Task[Any]:
        """One whose process is to be started."""
        task: Task[Any] = object.__new__(cls)
        task._owner, task._linked, task._alias = _mote.self(), linked, _mote.alias(True)
        task._value = task._failure = _NOTHING
        return task

    @classmethod
    def _begin(cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], linked: bool, enter: Callable[[], None] = _alone) -> Task[Any]:
        task = cls._new(linked)
        name = str(getattr(function, "__name__", "task")).encode()[:60].decode(errors="ignore")
        try:
            body = _body(function, task._alias, task._owner, enter)
            task.pid, task._monitor = _mote.spawn_opt(body, args, kwargs, linked, True, name, 0, 0, 0, 0)
        except BaseException:
            _mote.unalias(task._alias)
            raise
        return task

    if TYPE_CHECKING:  # of an `async def` the result is what it returns

        @overload
        @classmethod
        def start(cls, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
        @overload
        @classmethod
        def start(cls, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    @classmethod
    def start(cls, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Starts function(*args, **kwargs), a plain function or an `async def`, linked with the caller: when one of them fails, so does the
        other, unless it traps exits. Never waits. As mote.spawn()."""
        return cls._begin(function, args, kwargs, True)

    if TYPE_CHECKING:  # of an `async def` the result is what it returns

        @overload
        @classmethod
        def start_nolink(cls, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
        @overload
        @classmethod
        def start_nolink(cls, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    @classmethod
    def start_nolink(cls, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """The same without a link: its failure is told by result() alone, and it outlives its caller."""
        return cls._begin(function, args, kwargs, False)

    @staticmethod
    def options(*, place: Union[str, int]) -> TaskOptions:
        """Where a task runs, as in mote.options(): `mote.Task.options(place="any").start(f, 1)`. Arguments and result are messages then."""
        return TaskOptions(place)

    def result(self, timeout: Optional[float] = None) -> T:
        """Waits for the result, `timeout` seconds at most. TaskFailed: the task ended without one. TimeoutError: it is ended, too, and nothing of it arrives
        any more; see wait(). Asked again it gives the same at once. RuntimeError: it is another process's task."""
        steps: Callable[..., Coroutine[Any, Any, T]] = _result
        return in_place("result", steps, self, timeout)

    def wait(self, timeout: Optional[float] = None) -> bool:
        """Whether the task has ended after `timeout` seconds; if not it goes on, and can be asked again."""
        return in_place("wait", _wait, self, timeout)

    def shutdown(self, timeout: Optional[float] = 5.0) -> None:
        """Ends the task with reason shutdown, after `timeout` seconds with kill, and waits for that. What result it had result() gives."""
        in_place("shutdown", _shutdown, self, timeout)

    def answer(self, message: Any) -> bool:
        """For who receives messages of all kinds: whether this one is about the task, which is then done: result() does not wait."""
        self._check()
        is_ours = not self._done and _about([self])(message) is not _mote.SKIP
        if is_ours:
            self._settle(message)
        return is_ours

    @property
    def aio(self) -> _Aio[T]:
        """The same methods, to be awaited by coroutines."""
        return _Aio(self)

    def __await__(self) -> Generator[Any, None, T]:
        return self.aio.result().__await__()

    def _check(self) -> None:
        if _mote.self() != self._owner:
            raise RuntimeError("a task's result is for the process that started it")

    @property
    def _done(self) -> bool:
        return self._value is not _NOTHING or self._failure is not _NOTHING

    def _answers(self) -> Any:
        """The pattern of its two words."""
        return _mote.any_of((self._alias, ANY), (_DOWN, self._monitor, ANY, ANY, ANY))

    def _settle(self, message: Any) -> None:
        """The task has said one of its two words: no other comes (K2)."""
        if len(message) == 2:
            self._value = message[1]
            _mote.demonitor(self._monitor, True)
            return
        self._failure = message[4]
        _mote.unalias(self._alias)
        if self._linked:
            _mote.unlink(self.pid)

    def _discard(self) -> None:
        """Ends a task of which nothing is wanted any more; a result that came in the last moment may still be in the mailbox."""
        if self._linked:
            _mote.unlink(self.pid)
        _mote.exit_send(self.pid, _SHUTDOWN)
        _mote.exit_send(self.pid, _KILL)  # for one that traps exits
        _mote.demonitor(self._monitor, True)
        _mote.unalias(self._alias)
        self._failure = _SHUTDOWN

    def _outcome(self) -> T:
        if self._failure is not _NOTHING:
            raise TaskFailed(self._failure, self.pid)
        value: T = self._value
        return value

    def __repr__(self) -> str:
        return f"<mote.Task {self.pid!r}>"


class _Aio(_Of["T"]):
    """`task.aio`: what waits, for coroutines."""

    __slots__ = ("_task",)

    def __init__(self, task: Task[T]):
        self._task = task

    def result(self, timeout: Optional[float] = None) -> Coroutine[Any, Any, T]:
        """As Task.result()."""
        return awaited("result", _result, self._task, timeout)

    def wait(self, timeout: Optional[float] = None) -> Coroutine[Any, Any, bool]:
        """As Task.wait()."""
        return awaited("wait", _wait, self._task, timeout)

    def shutdown(self, timeout: Optional[float] = 5.0) -> Coroutine[Any, Any, None]:
        """As Task.shutdown()."""
        return awaited("shutdown", _shutdown, self._task, timeout)


class TaskOptions:
    """What starts tasks somewhere else; made by Task.options()."""

    __slots__ = ("_place",)

    def __init__(self, place: Union[str, int]):
        self._place = place

    def start(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """As Task.start(). Waits for the place, if it has to."""
        return self._begin(function, args, kwargs, True)

    def start_nolink(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """As Task.start_nolink(). Waits for the place, if it has to."""
        return self._begin(function, args, kwargs, False)

    @property
    def aio(self) -> _AioTaskOptions:
        """The same for coroutine processes, to be awaited."""
        return _AioTaskOptions(self)

    def _begin(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], linked: bool) -> Task[Any]:
        from mote import _workers

        start = _workers.start_of(self._place, function, args, kwargs)
        return self._order(start, _workers.granted_now(start), function, args, kwargs, linked)

    @staticmethod
    def _order(
        start: _workers.Start, pid: Optional[Pid[Any]], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], linked: bool
    ) -> Task[Any]:
        from mote import _stock

        if pid is None:
            return Task._begin(function, args, kwargs, linked)
        assert start.call is not None
        task = Task._new(linked)
        try:
            runs = (__name__, "_aio_there" if start.coroutine else "_there")
            task.pid, task._monitor = _stock.order(pid, runs, (task._alias, task._owner, *start.call), {}, linked, True)
        except BaseException:
            _mote.unalias(task._alias)
            raise
        return task


class _AioTaskOptions:
    __slots__ = ("_options",)

    def __init__(self, how: TaskOptions):
        self._options = how

    async def start(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """As Task.start()."""
        return await self._begin(function, args, kwargs, True)

    async def start_nolink(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """As Task.start_nolink()."""
        return await self._begin(function, args, kwargs, False)

    async def _begin(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], linked: bool) -> Task[Any]:
        from mote import _workers

        how = self._options
        start = _workers.start_of(how._place, function, args, kwargs)
        return how._order(start, await _workers.aio_granted(start), function, args, kwargs, linked)


# ------------------------------------------------------------------------------------------- what is waited for


async def _take(wait: Wait, task: Task[Any], message: Any) -> None:
    """The task's word has come. Who traps exits has got the exit message of one that failed, too."""
    task._settle(message)
    if task._linked and len(message) == 5:
        await wait.receive((_EXIT, task.pid, ANY), timeout=0, default=None)


async def _wait(wait: Wait, task: Task[Any], timeout: Optional[float]) -> bool:
    task._check()
    if not task._done:
        message = await wait.receive(task._answers(), timeout=timeout, default=None)
        if message is None:
            return False
        await _take(wait, task, message)
    return True


async def _forget(wait: Wait, tasks: Iterable[Task[Any]]) -> None:
    """Ends what is not done, at once, and takes what it may have said out of the mailbox."""
    tasks = [task for task in tasks if not task._done]
    for task in tasks:
        task._discard()
    for task in tasks:
        await wait.receive((task._alias, ANY), timeout=0, default=None)


async def _result(wait: Wait, task: Task[T], timeout: Optional[float]) -> T:
    if not await _wait(wait, task, timeout):
        await _forget(wait, [task])
        raise TimeoutError("mote.Task: it had no result in time, and is ended")
    return task._outcome()


async def _shutdown(wait: Wait, task: Task[Any], timeout: Optional[float]) -> None:
    task._check()
    if task._done:
        return
    if task._linked:
        _mote.unlink(task.pid)  # it is not to end the caller
    _mote.exit_send(task.pid, _SHUTDOWN)
    if not await _wait(wait, task, timeout):
        _mote.exit_send(task.pid, _KILL)
        await _wait(wait, task, None)


def _about(tasks: Sequence[Task[Any]]) -> Callable[[Any], Any]:
    """A handler for what any of these says: gives (task, message)."""
    known = {ref: task for task in tasks if not task._done for ref in (task._alias, task._monitor)}

    def handler(message: Any) -> Any:
        if isinstance(message, tuple) and len(message) in (2, 5):
            ref = message[0] if len(message) == 2 else message[1]
            if type(ref) is Ref and ref in known:
                return known[ref], message
        return _mote.SKIP

    return handler


def _left(deadline: Optional[float]) -> Optional[float]:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _deadline(timeout: Optional[float]) -> Optional[float]:
    return None if timeout is None else time.monotonic() + timeout


async def _next(wait: Wait, handler: Callable[[Any], Any], deadline: Optional[float]) -> Optional[Task[Any]]:
    """The task that ends next; None: none in time."""
    came = await wait.receive(handler, timeout=_left(deadline), default=None)
    if came is None:
        return None
    task: Task[Any] = came[0]
    await _take(wait, task, came[1])
    return task


async def _first(wait: Wait, tasks: Iterable[Task[T]], timeout: Optional[float]) -> T:
    all_tasks, deadline = list(tasks), _deadline(timeout)
    if not all_tasks:
        raise ValueError("mote.first() of no tasks")
    for task in all_tasks:
        task._check()
    handler = _about(all_tasks)
    running = sum(not task._done for task in all_tasks)
    found = next((task for task in all_tasks if task._value is not _NOTHING), None)
    try:
        while running and found is None:
            ended = await _next(wait, handler, deadline)
            if ended is None:
                raise TimeoutError("mote.first: no task had a result in time; they are ended")
            running -= 1
            if ended._value is not _NOTHING:
                found = ended
    finally:
        await _forget(wait, all_tasks)
    if found is not None:
        return found._outcome()
    raise several("no task has a result", [TaskFailed(task._failure, task.pid) for task in all_tasks])


async def _gather(wait: Wait, tasks: Iterable[Task[T]], timeout: Optional[float]) -> list[T]:
    all_tasks, deadline = list(tasks), _deadline(timeout)
    for task in all_tasks:
        task._check()
    handler = _about(all_tasks)
    for _ in range(sum(not task._done for task in all_tasks)):
        if await _next(wait, handler, deadline) is None:
            await _forget(wait, all_tasks)
            raise TimeoutError("mote.gather: some tasks had no result in time; they are ended")
    failures = [TaskFailed(task._failure, task.pid) for task in all_tasks if task._failure is not _NOTHING]
    if failures:
        raise several("tasks have failed", failures)
    return [task._outcome() for task in all_tasks]


# ----------------------------------------------------------------------------------------------- what is seen


def first(tasks: Iterable[Task[T]], timeout: Optional[float] = None) -> T:
    """The result of the task that has one first; the others are ended. ValueError: there are no tasks.

    TimeoutError: none had one in time, `timeout` seconds: all are ended. When all have failed: an ExceptionGroup of TaskFailed (before Python 3.11
    the first one, with the others in `others`)."""
    return in_place("first", _first, tasks, timeout)


def gather(tasks: Iterable[Task[T]], timeout: Optional[float] = None) -> list[T]:
    """Waits until all tasks have ended, and gives their results in order.

    When some have failed: an ExceptionGroup of TaskFailed (before Python 3.11 the first one, with the others in `others`). TimeoutError: some had not
    ended in time, `timeout` seconds for all of them, and are ended. The results of the rest are still theirs. As Elixir's Task.await_many."""
    return in_place("gather", _gather, tasks, timeout)


__all__ = ["Task", "first", "gather"]
