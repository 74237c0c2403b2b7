# SPDX-License-Identifier: Apache-2.0
"""Scopes: processes that end with a block.

A scope has a guard, a process that is linked with the owner and traps exits. Each child links itself with the guard and names itself to it before
it runs anything else; its owner names it, too, so that one which ends before its first turn is missed.
G1 who links itself with a guard that is gone ends at once. G2 the guard ends last: when its owner is gone or has asked, no child lives, and none has
named itself. So no child outlives the block, whatever ends the owner.
"""
from __future__ import annotations

import sys
import time

from mote import _mote
from mote._errors import Exit, Interrupted, TaskFailed, explain, several
from mote._mote import ANY, Atom, MoteError, NoProc, Pid
from mote._task import Task
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Callable, Coroutine, Optional, TypeVar, overload

    from typing_extensions import ParamSpec

    from mote._mote import Ref
    from mote._wait import Wait

    R = TypeVar("R")
    P = ParamSpec("P")

_DOWN, _EXIT, _KILL, _SHUTDOWN, _KILLED = Atom("DOWN"), Atom("EXIT"), Atom("kill"), Atom("shutdown"), Atom("killed")
_LEAVE, _CANCEL = Atom("leave"), Atom("cancel")
_NEVER = _mote.pattern((Atom("$never"),))  # to look for interrupts


def _orderly(reason: Any) -> bool:
    return reason in ("normal", "shutdown") or (type(reason) is tuple and len(reason) == 2 and reason[0] == "shutdown")


class _Guard:
    """The guard's state, and what it runs."""

    def __init__(self, timeout: Optional[float], grace: float, interrupts: bool):
        self.interrupts = interrupts
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self.grace = grace
        self.named: dict[Pid[Any], int] = {}  # how often those that live have been named
        self.awaited: set[Pid[Any]] = set()   # those that have ended and will be named once more
        self.failures: list[tuple[Pid[Any], Any]] = []
        self.ending = self.killing = self.late = self.owner_gone = False
        self.left: Any = None  # who leaves the block and waits: the reference of its question

    async def run(self, owner: Pid[Any], ready: Ref) -> None:
        _mote.set_trap(True)
        _mote.send(owner, (ready, Atom("ready")))
        while self.named or not (self.owner_gone or self.left):
            timeout = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
            self._take(owner, await _mote.aio_receive(timeout=timeout, default=None))
        if self.left:
            _mote.send(owner, (self.left, self.failures, self.late))
        _mote.unlink(owner)

    def _take(self, owner: Pid[Any], message: Any) -> None:
        if message is None:
            late = not self.ending
            self.late = self.late or late
            self._end(self.ending)
            if late:
                self._interrupt(owner)
        elif type(message) is Pid:
            self._name(message)
        elif message[0] == _EXIT and message[1] == owner:
            self.owner_gone = True
            self._end(False)
        elif message[0] == _EXIT:
            self._ended(owner, message[1], message[2])
        elif message[0] == _DOWN:
            self._ended(owner, message[3], message[4])
        else:
            if message[0] == _LEAVE:
                self.left = message[1]
            if message[2]:
                self._end(False)

    def _name(self, pid: Pid[Any]) -> None:
        if pid in self.awaited:
            self.awaited.discard(pid)
        elif pid in self.named:
            self.named[pid] += 1
        else:
            self.named[pid] = 1
            _mote.monitor(pid)
            if self.ending:
                _mote.exit_send(pid, _KILL if self.killing else _SHUTDOWN)

    def _ended(self, owner: Pid[Any], pid: Pid[Any], reason: Any) -> None:
        """Its exit message or its DOWN, whichever is first: the other finds nothing."""
        times = self.named.pop(pid, 0)
        if times == 1:
            self.awaited.add(pid)
        if times and not _orderly(reason) and not (self.ending and reason == _KILLED):
            self.failures.append((pid, reason))
            self._end(False)
            if len(self.failures) == 1:
                self._interrupt(owner)

    def _interrupt(self, owner: Pid[Any]) -> None:
        """The block is not to wait for what cannot come any more."""
        if self.interrupts and not self.left and not self.owner_gone:
            _mote.interrupt(owner, Interrupted(_mote.self()))

    def _end(self, kill: bool) -> None:
        """Ends all children; who has not ended after the time of grace is killed."""
        if self.killing or (self.ending and not kill):
            return
        self.ending, self.killing = True, kill
        self.deadline = None if kill else time.monotonic() + self.grace
        for pid in self.named:
            _mote.exit_send(pid, _KILL if kill else _SHUTDOWN)


def _body(function: Callable[..., Any], enter: Callable[[], None]) -> Callable[..., Any]:
    """What a child's process runs, in the function's flavour."""
    if _mote.awaits(function):

        async def child(*args: Any, **kwargs: Any) -> None:
            enter()
            await function(*args, **kwargs)

        return child

    def plain_child(*args: Any, **kwargs: Any) -> None:
        enter()
        function(*args, **kwargs)

    return plain_child


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", "child")).encode()[:60].decode(errors="ignore")


def _enter(guard: Pid[Any]) -> Callable[[], None]:
    """What a child does first (G1)."""

    def enter() -> None:
        _mote.send(guard, _mote.self())
        try:
            _mote.link(guard)
        except NoProc:
            raise Exit("shutdown") from None

    return enter


async def _begin(wait: Wait, scope: scope, interrupts: bool) -> None:
    """`interrupts`: not for tasks of asyncio's, which share a mailbox, so that it could be raised in any."""
    if scope._guard is not None:
        raise RuntimeError("the scope is entered already")
    ready = _mote.make_ref()
    guard = _mote.spawn_link(_Guard(scope._timeout, scope._grace, interrupts).run, _mote.self(), ready)
    await wait.receive((ready, ANY))
    scope._guard = guard


async def _through(wait: Wait, guard: Pid[Any], outer: list[Interrupted], what: Any, timeout: Optional[float]) -> Any:
    """Receives; None: in vain. Interrupts by other guards go to `outer`, what its own guard says so is known here."""
    while True:
        try:
            return await wait.receive(what, timeout=timeout, default=None)
        except Interrupted as e:
            if e.scope != guard:
                outer.append(e)
                _mote.send(guard, (_CANCEL, None, True))


async def _leave(wait: Wait, scope: scope, error: Optional[BaseException]) -> None:
    """Waits for the children, after ending them if there was an error; raises what is to be raised instead of it."""
    guard, scope._guard = scope._open(), None
    outer: list[Interrupted] = []
    ref = _mote.monitor(guard)
    await _through(wait, guard, outer, _NEVER, 0)  # what is older than ref
    _mote.send(guard, (_LEAVE, ref, error is not None))
    told = await _through(wait, guard, outer, _mote.any_of((ref, list, bool), (_DOWN, ref, ANY, ANY, ANY)), None)
    _mote.demonitor(ref, True)
    if told[0] == _DOWN:
        raise MoteError(f"mote.scope: its guard was ended, and its children with it: {explain(told[4])[0]}")
    for task in scope._tasks:
        if task._owner == _mote.self() and not task._done:
            task._settle(await _through(wait, guard, outer, task._answers(), None))
    if isinstance(error, Interrupted) and error.scope == guard:
        error = None
    instead = outer.pop(0) if outer and not _goes_before(error) else None
    for e in outer:  # for the blocks around
        _mote.interrupt(_mote.self(), e)
    _judge(instead or error, told[1], told[2], {task.pid for task in scope._tasks})
    if instead:
        raise instead


def _goes_before(error: Optional[BaseException]) -> bool:
    """Whether it is passed on as it is: the process ends, or a block around."""
    return error is not None and (not isinstance(error, Exception) or isinstance(error, Exit))


def _judge(error: Optional[BaseException], failures: list[tuple[Pid[Any], Any]], late: bool, children: set[Pid[Any]]) -> None:
    """Raises what is to be raised instead of the block's error, if it is another."""
    causes: list[Exception] = [TaskFailed(reason, pid) for pid, reason in failures]
    if error is not None and _goes_before(error):
        if sys.version_info >= (3, 11):
            for cause in causes:
                error.add_note(f"A child of the scope has failed: {cause}")
        return
    if late:
        raise TimeoutError("mote.scope: its children had not ended in time") from (error or (causes[0] if causes else None))
    if isinstance(error, TaskFailed) and error.pid in children and causes:
        error = None  # it is one of them, or was ended because of them
    if isinstance(error, Exception):
        causes.insert(0, error)
    if causes:
        first = several("a scope's block or its children have failed", causes)
        raise first from (causes[1] if first is error and len(causes) > 1 else None)


class scope:
    """A block whose processes end with it: none outlives it, whatever happens.

        with mote.scope() as s:
            s.spawn(logger)
            answer = s.task(compute, 7)
        print(answer.result())

    At its end the block waits for its children. When one of them fails, or the block raises, the others are ended (reason shutdown, kill
    after `grace` seconds), and the block ends with an ExceptionGroup of all that failed (before Python 3.11 with the first, which has the others in
    `others`); Exit and what is no Exception pass as they are. A block that receives, calls or sleeps (by mote) meanwhile, or does so next, is left by Interrupted.
    timeout: after so many seconds the children are ended in the same way, and the block ends with TimeoutError. When the owner
    is ended, the children are. In coroutines: `async with mote.aio.scope()`.
    """

    def __init__(self, *, timeout: Optional[float] = None, grace: float = 5.0):
        if grace < 0 or (timeout is not None and timeout < 0):
            raise ValueError("timeout and grace are seconds from 0 on")
        self._timeout, self._grace = timeout, grace
        self._guard: Optional[Pid[Any]] = None
        self._tasks: list[Task[Any]] = []

    def spawn(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Pid[Any]:
        """Starts function(*args, **kwargs) in a process that ends with the block. Never waits. As mote.spawn(). RuntimeError: outside the block."""
        guard = self._open()
        pid = _mote.spawn_opt(_body(function, _enter(guard)), args, kwargs, False, False, _name(function), 0, 0, 0, 0)
        _mote.send(guard, pid)
        child: Pid[Any] = pid
        return child

    if TYPE_CHECKING:  # of an `async def` the result is what it returns

        @overload
        def task(self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...
        @overload
        def task(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    def task(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task[Any]:
        """The same as a Task, whose result can be asked for in the block and after it."""
        guard = self._open()
        task: Task[Any] = Task._begin(function, args, kwargs, False, _enter(guard))
        _mote.send(guard, task.pid)
        self._tasks.append(task)
        return task

    def cancel(self) -> None:
        """Ends all children: with reason shutdown, with kill when the time of grace is over. Never waits; the block goes on."""
        _mote.send(self._open(), (_CANCEL, None, True))

    def _open(self) -> Pid[Any]:
        if self._guard is None:
            raise RuntimeError("a scope's children are started within its block")
        return self._guard

    def __enter__(self) -> scope:
        in_place("scope", _begin, self, True)
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]) -> None:
        in_place("scope", _leave, self, error)

    async def __aenter__(self) -> scope:
        await awaited("scope", _begin, self, _mote.flavour() == "coroutine")
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], traceback: Optional[TracebackType]) -> None:
        await awaited("scope", _leave, self, error)


__all__ = ["scope"]
