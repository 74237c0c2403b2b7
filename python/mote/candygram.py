# SPDX-License-Identifier: Apache-2.0
"""The interface of Candygram 1.0 on mote's processes: programs written for it run with `from mote.candygram import *`.

    from mote.candygram import Message, Process, Receiver, self, spawn

    def greeter():
        r = Receiver()
        r["hello", Process] = lambda message: message[1] | ("hello to you", self()), Message
        for _ in r:
            pass

    spawn(greeter) | ("hello", self())

Times are milliseconds, reasons and errors are plain values. What differs from Candygram, and why: docs/from-candygram.md.

How exit signals come: mote's own end a process for good; here a program may catch ExitError and go on. So each process traps mote's, and raises what
it got in its next call; only kill is left to mote. S1: what a process knows of another that it is linked with is the other's _State, which outlives
it: a reason is any object, and mote would carry only terms. S2: a _State's box, signals and traps belong to its own process.
"""
from __future__ import annotations

import collections
import contextvars
import copy
import dataclasses
import threading
import time
import weakref
from typing import Any as Whatever
from typing import Callable, NamedTuple, NoReturn, Optional

from mote import _mote
from mote._control import ExitSignal
from mote._errors import Exit, ProcessExit, reason_of
from mote._mote import Atom, NotSendable, Pid

__all__ = [
    "spawn",
    "spawnLink",
    "self",
    "self_",
    "exit",
    "link",
    "unlink",
    "processFlag",
    "processes",
    "isProcessAlive",
    "send",
    "ExitError",
    "Process",
    "Receiver",
    "Message",
    "Any",
]


class _Named:
    """A value that is only itself."""

    def __init__(self, name: str):
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __reduce__(self) -> str:
        return self._name


Any = _Named("Any")
Message = _Named("Message")
_NOTHING = _Named("_NOTHING")


class ExitError(Exception):
    """An exit signal, or exit(reason), or a wrong argument ("badarg"): `reason`, and `proc`, the process it began with."""

    def __init__(self, reason: Whatever, proc: Optional[Process] = None):
        super().__init__(reason, proc)
        self.reason = reason
        self.proc = proc

    def __str__(self) -> str:
        return str(self.reason)


class ExceptionReason:
    """The reason of a process that has ended with an exception. Processes linked with it get the exception."""

    def __init__(self, error: BaseException):
        self.excInfo = type(error), error, error.__traceback__

    def __str__(self) -> str:
        return f"<exception: {self.excInfo[1]}>"

    __repr__ = __str__

    def again(self) -> BaseException:
        """The exception for one more process: a copy where it can be copied, as two must not share one."""
        kind, error, trace = self.excInfo
        try:
            another = copy.copy(error)
        except Exception:
            another = error
        if type(another) is not kind or another is error:
            return error.with_traceback(trace)
        another.__cause__, another.__suppress_context__ = error.__cause__, error.__suppress_context__
        return another.with_traceback(trace)

    def __deepcopy__(self, memo: object) -> ExceptionReason:
        return self


# ----------------------------------------------------------------------------------------------- processes


@dataclasses.dataclass(frozen=True, eq=False, repr=False, init=False)
class Process:
    """A process, as others see it. Made by spawn() only; it can be sent. A subclass may override send(), and be given as _processClass."""

    __slots__ = ("_pid",)
    _pid: Pid[Whatever]

    def __init__(self, *_: Whatever, **__: Whatever):
        """Nothing: for subclasses that call it."""

    def __init_subclass__(cls, **kwargs: Whatever):
        super().__init_subclass__(**kwargs)
        try:
            _mote.message(cls, tag=f"{cls.__module__}.{cls.__qualname__}"[-255:])
        except TypeError:
            pass  # it has more base classes: sent by _Carrier

    @property
    def pid(self) -> Pid[Whatever]:
        """The mote.Pid, for everything that is mote's and not Candygram's."""
        return self._pid

    def send(self, message: Whatever) -> Whatever:
        _me().check()
        _deliver(self._pid, message)
        return message

    def __or__(self, message: Whatever) -> Whatever:
        return self.send(message)

    def isProcessAlive(self) -> bool:
        _me().check()
        state = _states.get(self._pid)
        return not (state and state.ended) and _mote.is_alive(self._pid)

    def isAlive(self) -> bool:
        return self.isProcessAlive()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Process) and self._pid == other._pid

    def __hash__(self) -> int:
        return hash(self._pid)

    def __repr__(self) -> str:
        return f"<PID {str(self._pid).strip('<>')}>"

    def __copy__(self) -> Process:
        return self

    def __deepcopy__(self, memo: object) -> Process:
        return self

    def __getattr__(self, name: str) -> Whatever:
        """A subclass's objects may lose their attributes on the way (mote makes them anew): the first one has them."""
        state = None if name.startswith("__") or name == "_pid" else _states.get(self._pid)
        if state is None or state.process is self:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(state.process, name)


_mote.message(Process, tag="candygram_process")


class RootProcess(Process):
    """The main program, and other threads that spawn() has not made."""

    __slots__ = ()


@_mote.message
class _Signal(NamedTuple):
    """exit(proc, reason) on its way."""

    sender: Process
    reason: Whatever


@_mote.message
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class _Carrier:
    """A copy of something that mote does not send, for one receiver. What is no field is no part of the message for mote: it stays the same."""

    __slots__ = ("value",)


class _Pending(NamedTuple):
    reason: Whatever
    origin: Process
    link: Optional[Pid[Whatever]]  # None: from exit()


class _State:
    """A process that uses this interface (S1, S2)."""

    __slots__ = ("__weakref__", "box", "ended", "links", "nobody", "origin", "pid", "process", "reason", "searching", "signals", "traps")

    def __init__(self, process_class: type[Process]):
        self.pid: Optional[Pid[Whatever]] = None
        self.process = process_class.__new__(process_class)
        self.box: collections.deque[Whatever] = collections.deque()  # messages not yet received
        self.signals: collections.deque[_Pending] = collections.deque()  # still to be raised
        self.links: dict[Pid[Whatever], _State] = {}
        self.traps = False
        self.searching = False
        self.ended = False
        self.reason: Whatever = None
        self.origin = self.process
        self.nobody: Whatever = None

    def bind(self, pid: Pid[Whatever]) -> None:
        """By the process itself and by who has spawned it, whoever is first."""
        if self.pid is None:
            object.__setattr__(self.process, "_pid", pid)
            self.pid = pid
            _states[pid] = self

    def enter(self, traps: bool = False) -> None:
        """By the process itself: exit signals come as messages from now on."""
        self.nobody = _mote.make_ref()
        self.traps = _mote.set_trap(True) or traps
        _current.set(self)

    def end(self, reason: Whatever, origin: Optional[Process] = None) -> None:
        self.reason, self.origin = reason, origin or self.process
        self.ended = True
        self.links.clear()
        self.box.clear()
        self.signals.clear()

    def check(self) -> None:
        """At the beginning of each call: takes what has come, and raises the first exit signal."""
        self.fetch()
        if self.signals:
            self.raise_signal()

    def fetch(self) -> None:
        try:
            while (message := _mote.receive(timeout=0, default=_NOTHING)) is not _NOTHING:
                self.take(message)
        finally:
            _mote.send(self.nobody, None)  # a program that calls again and again, and waits never, lets others run: sending counts

    def take(self, message: Whatever) -> None:
        if type(message) is _Carrier:
            message = message.value  # type: ignore[attr-defined]
        if type(message) is ExitSignal:
            self.signal(*self.told(message.sender, _plain(message.reason)), message.sender)
        elif type(message) is _Signal:
            self.signal(message.sender, message.reason, message.sender, None)
        else:
            self.box.append(message)

    def told(self, sender: Pid[Whatever], reason: Whatever) -> tuple[Process, Whatever, Process]:
        """From whom a signal of mote's is, its reason, and where that began: from the one who has ended, if it knew this interface."""
        other = self.links.get(sender) or _states.get(sender)
        process = other.process if other else _process_of(sender)
        if other and not other.ended and _mote.is_alive(sender):
            return process, reason, process  # somebody's mote.exit()
        self.links.pop(sender, None)
        if not other or not other.ended or _is(reason, "killed") or _is(reason, "noproc"):
            return process, reason, process
        return process, _copied(other.reason), other.origin

    def signal(self, process: Process, reason: Whatever, origin: Process, link_with: Optional[Pid[Whatever]]) -> None:
        if self.traps:
            self.box.append(("EXIT", process, reason))
        elif not _is(reason, "normal"):
            self.signals.append(_Pending(reason, origin, link_with))

    def raise_signal(self) -> NoReturn:
        reason, origin, _ = self.signals.popleft()
        if isinstance(reason, ExceptionReason):
            raise reason.again()
        raise ExitError(reason, origin)


_states: weakref.WeakValueDictionary[Pid[Whatever], _State] = weakref.WeakValueDictionary()
_current: contextvars.ContextVar[Optional[_State]] = contextvars.ContextVar("candygram", default=None)
_thread = threading.local()


def _me() -> _State:
    """The caller; a thread or a process of mote's becomes one of Candygram's with its first call."""
    pid = _mote.self()
    state = _current.get()
    return state if state is not None and state.pid == pid else _adopt(pid)


def _adopt(pid: Pid[Whatever]) -> _State:
    state = _states.get(pid)  # it is, in another context
    if state is None:
        state = _State(RootProcess)
        state.bind(pid)
        state.enter()
        _thread.state = state  # a thread's; a process has it in its context
    _current.set(state)
    return state


def _process_of(pid: Pid[Whatever]) -> Process:
    process = Process.__new__(Process)
    object.__setattr__(process, "_pid", pid)
    return process


def _badarg() -> ExitError:
    return ExitError("badarg", _me().process)


def _is(reason: Whatever, name: str) -> bool:
    return isinstance(reason, str) and reason == name


def _plain(reason: Whatever) -> Whatever:
    """mote's atoms, also at the head of a tuple, as the str that they are here."""
    if isinstance(reason, Atom):
        return reason.name
    if type(reason) is tuple and reason and isinstance(reason[0], Atom):
        return (reason[0].name, *reason[1:])
    return reason


# ------------------------------------------------------------------------------------------------ messages


def _copied(value: Whatever) -> Whatever:
    """A copy of anything; what cannot be copied (a lock, a socket) is itself."""
    try:
        return copy.deepcopy(value)
    except Exception:
        kind = type(value)
        if kind in (tuple, list, set, frozenset):
            return kind([_copied(one) for one in value])
        return {_copied(key): _copied(one) for key, one in value.items()} if kind is dict else value


def _deliver(pid: Pid[Whatever], message: Whatever) -> None:
    try:
        _mote.send(pid, message)
    except (NotSendable, RecursionError):
        carrier = _Carrier()
        object.__setattr__(carrier, "value", _copied(message))
        _mote.send(pid, carrier)


def send(proc: Process, message: Whatever) -> Whatever:
    """Sends a copy of a message, and gives the message. The same: proc | message."""
    if not isinstance(proc, Process):
        raise _badarg()
    return proc.send(message)


# ---------------------------------------------------------------------------------------- starting, ending


def spawn(func: Callable[..., Whatever], *args: Whatever, _processClass: type[Process] = Process, **kwargs: Whatever) -> Process:
    """Starts a process that runs func(*args, **kwargs), the arguments copied as messages are."""
    return _start(func, args, kwargs, _processClass, False)


def spawnLink(func: Callable[..., Whatever], *args: Whatever, _processClass: type[Process] = Process, **kwargs: Whatever) -> Process:
    """As spawn(), linked with the caller from the first moment on."""
    return _start(func, args, kwargs, _processClass, True)


def _start(
    func: Callable[..., Whatever], args: tuple[Whatever, ...], kwargs: dict[str, Whatever], process_class: type[Process], linked: bool
) -> Process:
    me = _me()
    me.check()
    if not callable(func) or not (isinstance(process_class, type) and issubclass(process_class, Process)):
        raise _badarg()
    state = _State(process_class)
    process_class.__init__(state.process)
    start = _mote.spawn_link if linked else _mote.spawn

    def body(args: tuple[Whatever, ...], kwargs: dict[str, Whatever]) -> None:
        _run(state, me if linked else None, func, args, kwargs)

    try:
        pid = start(body, args, kwargs)
    except (NotSendable, RecursionError):
        copies = _copied((args, kwargs))
        pid = start(lambda: body(*copies))
    state.bind(pid)
    return state.process


def _run(state: _State, parent: Optional[_State], func: Callable[..., Whatever], args: tuple[Whatever, ...], kwargs: dict[str, Whatever]) -> None:
    """A process's life, from within."""
    state.bind(_mote.self())
    state.enter()
    if parent is not None:
        _tie(state, parent)
    try:
        func(*args, **kwargs)
        state.end("normal")
        return
    except ExitError as error:
        state.end(error.reason, error.proc)
    except (Exit, ProcessExit) as error:
        state.end(_plain(error.reason))
        raise
    except BaseException as error:
        state.end(ExceptionReason(error))
        raise
    raise _exit_of(state.reason)


def _exit_of(reason: Whatever) -> Exit:
    """What mote is told of a reason."""
    try:
        return Exit(reason)
    except ValueError:  # no name for an atom
        error = Exit()
        error.reason = reason
        return error


def exit(*args: Whatever) -> bool:
    """exit(reason) ends the caller; exit(proc, reason) sends an exit signal. "kill" to another is certain."""
    me = _me()
    me.check()
    if len(args) == 1:
        raise ExitError(args[0], me.process)
    if len(args) != 2 or not isinstance(args[0], Process):
        raise _badarg()
    pid, reason = args[0]._pid, args[1]
    if _is(reason, "kill"):
        _mote.exit_send(pid, Atom("kill"))
    elif pid == me.pid:
        _exit_self(me, reason)
    else:
        _exit_other(me, pid, reason)
    return True


def _exit_self(me: _State, reason: Whatever) -> None:
    if not me.traps and _is(reason, "normal"):
        raise ExitError(reason, me.process)  # as Erlang: to oneself even this is one's end
    me.signal(me.process, _copied(reason), me.process, None)
    me.check()


def _exit_other(me: _State, pid: Pid[Whatever], reason: Whatever) -> None:
    state = _states.get(pid)
    if state is None:
        try:
            _mote.exit_send(pid, reason_of(reason))  # a process of mote's alone
        except (NotSendable, ValueError):
            _mote.exit_send(pid, repr(reason))
    elif not state.ended:
        _deliver(pid, _Signal(me.process, reason))


# ------------------------------------------------------------------------------------------ links, looking


def _tie(a: _State, b: _State) -> None:
    if a.pid is not None and b.pid is not None:
        a.links[b.pid] = b
        b.links[a.pid] = a


def link(proc: Process) -> bool:
    """The end of one of the two is told the other. Of one that is no more: "noproc"."""
    me = _me()
    me.check()
    if not isinstance(proc, Process):
        raise _badarg()
    if proc._pid == me.pid:
        return True
    state = _states.get(proc._pid)
    if (state and state.ended) or not _mote.is_alive(proc._pid):
        me.signal(proc, "noproc", proc, None)
    else:
        if state:
            _tie(me, state)
        _mote.link(proc._pid)
    me.check()
    return True


def unlink(proc: Process) -> bool:
    """No end of one is told the other any more."""
    me = _me()
    me.check()
    if not isinstance(proc, Process):
        raise _badarg()
    _mote.unlink(proc._pid)
    state = me.links.pop(proc._pid, None)
    if state and me.pid is not None:
        state.links.pop(me.pid, None)
    me.fetch()
    for pending in [one for one in me.signals if one.link == proc._pid]:
        me.signals.remove(pending)  # it has ended just now
    return True


def processFlag(flag: str, option: bool) -> bool:
    """processFlag("trap_exit", True): exit signals become ("EXIT", proc, reason) messages. Gives what was before."""
    me = _me()
    me.check()
    if not _is(flag, "trap_exit") or not isinstance(option, bool):
        raise _badarg()
    before, me.traps = me.traps, option
    return before


def processes() -> list[Process]:
    me = _me()
    me.check()
    alive = set(_mote.processes())
    return [state.process for state in list(_states.values()) if state.pid in alive and not state.ended]


def isProcessAlive(proc: Process) -> bool:
    if not isinstance(proc, Process):
        raise _badarg()
    return proc.isProcessAlive()


def self(noCheck: bool = False) -> Process:
    """The calling process."""
    me = _me()
    if not noCheck:
        me.check()
    return me.process


self_ = self


# ------------------------------------------------------------------------------------------------ patterns

_Test = Callable[[Whatever], Whatever]


def _test_of(pattern: Whatever) -> _Test:
    """What tells whether a message matches."""
    if pattern is Any:
        return lambda message: True
    if isinstance(pattern, tuple):
        return _tuple_test([_test_of(one) for one in pattern])
    if isinstance(pattern, list):
        return _list_test([_test_of(one) for one in pattern])
    if isinstance(pattern, dict):
        return _dict_test({key: _test_of(one) for key, one in pattern.items()})
    if isinstance(pattern, type):
        return lambda message: isinstance(message, pattern)
    if callable(pattern):
        test: Callable[[Whatever], Whatever] = pattern
        return test
    return lambda message: message == pattern


def _tuple_test(tests: list[_Test]) -> _Test:
    def test(message: Whatever) -> bool:
        if not isinstance(message, tuple) or len(message) != len(tests):
            return False
        return all(one(value) for one, value in zip(tests, message))

    return test


def _list_test(tests: list[_Test]) -> _Test:
    """The last stands for any number of elements."""
    first, rest = tests[:-1], tests[-1:]

    def test(message: Whatever) -> bool:
        if not isinstance(message, list) or len(message) < len(first) or (len(message) > len(first) and not rest):
            return False
        tail = message[len(first) :]
        return all(one(value) for one, value in zip(first, message)) and all(rest[0](value) for value in tail)

    return test


def _dict_test(tests: dict[Whatever, _Test]) -> _Test:
    def test(message: Whatever) -> bool:
        return isinstance(message, dict) and all(key in message and one(message[key]) for key, one in tests.items())

    return test


# ----------------------------------------------------------------------------------------------- receiving


class _Action(NamedTuple):
    """What is done with a message, or at a timeout."""

    func: Optional[Callable[..., Whatever]]
    args: tuple[Whatever, ...]
    kwargs: dict[str, Whatever]

    def run(self, message: Whatever = Message) -> Whatever:
        if self.func is None:
            return None
        args = [message if one is Message else one for one in self.args]
        return self.func(*args, **{name: message if one is Message else one for name, one in self.kwargs.items()})


class _Handler(NamedTuple):
    reference: int
    test: _Test
    action: _Action


def _action(func: Whatever, args: tuple[Whatever, ...], kwargs: dict[str, Whatever]) -> _Action:
    if func is not None and not callable(func):
        raise _badarg()
    return _Action(func, args, kwargs)


def _seconds(timeout_ms: Whatever) -> float:
    if not isinstance(timeout_ms, int) or timeout_ms < 0:
        raise _badarg()
    return timeout_ms / 1000


def _search(box: collections.deque[Whatever], start: int, end: int, handlers: tuple[_Handler, ...]) -> Optional[tuple[_Action, Whatever]]:
    """Takes the first message from `start` to `end` that matches, with what its first match wants done."""
    for at in range(start, end):
        message = box[at]
        for handler in handlers:
            if handler.test(message):
                del box[at]
                return handler.action, message
    return None


class Receiver:
    """Patterns, and what to do with messages that match them. Several processes may use one, even at once: it keeps nothing of a search."""

    def __init__(self) -> None:
        self._handlers: tuple[_Handler, ...] = ()  # replaced, never changed
        self._references = 0
        self._after: Optional[tuple[float, _Action]] = None

    def __copy__(self) -> Receiver:
        return self

    def __deepcopy__(self, memo: object) -> Receiver:
        return self  # as code is: an argument of spawn() may be one

    def addHandler(self, pattern: Whatever, func: Optional[Callable[..., Whatever]] = None, *args: Whatever, **kwargs: Whatever) -> int:
        """func(*args, **kwargs) for messages that match, `Message` among the arguments replaced by the message. Gives a reference."""
        return self._add(_test_of(pattern), _action(func, args, kwargs))

    def _add(self, test: _Test, action: _Action) -> int:
        self._references += 1
        self._handlers += (_Handler(self._references, test, action),)
        return self._references

    def __setitem__(self, pattern: Whatever, func: Whatever) -> None:
        """r[pattern] = func, or = func, arg, ..."""
        if isinstance(func, tuple):
            self.addHandler(pattern, *func)
        else:
            self.addHandler(pattern, func)

    def __getitem__(self, pattern: Whatever) -> int:
        """r[pattern]: such messages are taken, and nothing is done."""
        return self.addHandler(pattern)

    def addHandlers(self, receiver: Receiver) -> list[int]:
        """Another's handlers, without its timeout."""
        if not isinstance(receiver, Receiver):
            raise _badarg()
        return [self._add(handler.test, handler.action) for handler in receiver._handlers]

    def removeHandler(self, reference: int) -> None:
        rest = tuple(handler for handler in self._handlers if handler.reference != reference)
        if len(rest) == len(self._handlers):
            raise _badarg()
        self._handlers = rest

    def after(self, timeout: int, func: Optional[Callable[..., Whatever]] = None, *args: Whatever, **kwargs: Whatever) -> None:
        """What every receive() does when nothing matches for so many milliseconds."""
        if self._after is not None:
            raise AssertionError("this receiver has its timeout already")
        self._after = _seconds(timeout), _action(func, args, kwargs)

    def receive(self, timeout: Optional[int] = None, func: Optional[Callable[..., Whatever]] = None, *args: Whatever, **kwargs: Whatever) -> Whatever:
        """Waits for a message that matches, takes it, gives what its handler gives; after so many milliseconds, what func gives."""
        if timeout is not None and self._after is not None:
            raise AssertionError("this receiver has its timeout already")
        late = self._after if timeout is None else (_seconds(timeout), _action(func, args, kwargs))
        me = _me()
        if me.searching:
            raise AssertionError("receive within a pattern")
        deadline = None if late is None else time.monotonic() + late[0]
        action, message = self._wait(me, deadline) or (late[1] if late else None, Message)
        return action.run(message) if action else None

    def _wait(self, me: _State, deadline: Optional[float]) -> Optional[tuple[_Action, Whatever]]:
        """None: the time is up. Messages that nothing matched are tested again only when the handlers have changed meanwhile."""
        handlers: Optional[tuple[_Handler, ...]] = None
        start = 0
        while True:
            me.check()
            if handlers is not self._handlers:
                handlers, start = self._handlers, 0
            end = len(me.box)
            me.searching = True
            try:
                found = _search(me.box, start, end, handlers)
            finally:
                me.searching = False
            left = None if deadline is None else deadline - time.monotonic()
            if found or (left is not None and left <= 0):
                return found
            start = end
            message = _mote.receive(timeout=left, default=_NOTHING)
            if message is not _NOTHING:
                me.take(message)

    def __iter__(self) -> Receiver:
        return self

    def __next__(self) -> Whatever:
        return self.receive()

    __call__ = receive
    next = receive
