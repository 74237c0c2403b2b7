# SPDX-License-Identifier: Apache-2.0
"""Failing, watching, calling, starting with options: what has defaults, or undoes itself."""
from __future__ import annotations

import sys
from collections import namedtuple

from mote import _mote
from mote._errors import Exit, reason_of
from mote._mote import Atom, Pid, Ref
from mote._wait import in_place

TYPE_CHECKING = False  # as that of typing, which takes longer to import than all of mote
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Iterator, NamedTuple, Optional, TypeVar, Union, overload

    from typing_extensions import Concatenate, ParamSpec

    from mote import _workers

    Process = Union[Pid[Any], str, tuple[str, str]]  # (name, node), as in the Down of a named process
    Destination = Union[Process, Ref]
    F = TypeVar("F", bound=Callable[..., Any])
    P = ParamSpec("P")
    R = TypeVar("R")
    S = TypeVar("S")
    T = TypeVar("T")
else:

    def overload(function):
        return None


if TYPE_CHECKING:

    class Down(NamedTuple):
        tag: Atom
        ref: Ref
        type: Atom
        process: Any
        reason: Any

    class ExitSignal(NamedTuple):
        tag: Atom
        sender: Pid[Any]
        reason: Any

else:
    Down = namedtuple("Down", "tag ref type process reason", module=__name__)
    ExitSignal = namedtuple("ExitSignal", "tag sender reason", module=__name__)
Down.__doc__ = """A monitored process has ended: `case Down(ref=r, reason=why)`, or `case ("DOWN", ref, _, pid, why)`."""
ExitSignal.__doc__ = """What a process that traps exits gets when one it is linked with ends, or sends it an exit signal."""


def exit(*args: Any) -> None:
    """`exit(reason)` ends the caller: it raises Exit. `exit(to, reason)` sends an exit signal: the receiver ends with that reason, or gets an
    ExitSignal when it traps exits; `normal` ends only the caller itself. A str is an atom here. Never waits. As Erlang's exit/1 and exit/2.
    """
    if len(args) == 1:
        raise Exit(args[0])
    to, reason = args
    _mote.exit_send(to, reason_of(reason))


def kill(to: Process) -> None:
    """Ends a process that is waiting, or as soon as it waits, whatever it traps or catches; who watches it is told `killed`. Never waits for that.
    As Erlang's exit(Pid, kill).
    """
    _mote.exit_send(to, Atom("kill"))


class trap_exit:
    """Exit signals become ExitSignal messages from now on: `trap_exit()`, or `with trap_exit():` for a while. `before`: whether they did
    already. As Erlang's process_flag(trap_exit, true).
    """

    def __init__(self, on: bool = True):
        self.before = _mote.set_trap(on)

    def __enter__(self) -> trap_exit:
        return self

    def __exit__(self, *_: object) -> None:
        _mote.set_trap(self.before)


def protect(on: bool = True, *, hide: bool = False) -> None:
    """From now on other nodes cannot end the caller: their links and exit signals do nothing, unless they have the right "system". `hide`: nothing of theirs reaches it, as if it had
    ended, but what answers to its own links and monitors, and messages through an alias it gave away. False: all that their rights allow does. Never waits."""
    _mote.set_reach(0 if not on else 2 if hide else 1)


class monitoring:
    """`with monitoring(pid) as ref:` a monitor that ends with the block, its Down taken out of the mailbox."""

    def __init__(self, process: Process):
        self._ref = _mote.monitor(process)

    def __enter__(self) -> Ref:
        return self._ref

    def __exit__(self, *_: object) -> None:
        _mote.demonitor(self._ref, True)


def demonitor(ref: Ref, *, flush: bool = False) -> bool:
    """Ends a monitor of the caller's; `flush` takes its Down out of the mailbox if it is there. Whether it was active. Never waits. As Erlang's
    demonitor/2.
    """
    return _mote.demonitor(ref, flush)


def register(name: str, pid: Optional[Pid[Any]] = None, *, remote: bool = True) -> None:
    """Gives a process (the caller) a name, which stands wherever a Pid may, and is free again when it ends. ValueError when the name is taken or the
    process has one, NoProc when it has ended. A process of another worker is given it there, which waits: RuntimeError in a coroutine, TimeoutError. `remote` False: other nodes
    do not reach it by that name (ValueError for another worker's; of a node with workers it has to be one of worker 0). As Erlang's register/2.
    """
    if pid is None or not _is_far(pid):
        _mote.register(name, _mote.self() if pid is None else pid, remote)
        return
    if not remote:
        raise ValueError("remote=False is for processes of this worker")
    from mote import _stock

    in_place("register", _stock.register_there, name, pid)


def _is_far(pid: Pid[Any]) -> bool:
    return _mote.worker_of(pid) != _mote.worker_of(_mote.self())


def processes(*, timeout: Optional[float] = 5.0) -> list[Pid[Any]]:
    """All processes of the node, of C too and of the threads that call mote, in no order. Where there are other workers it waits for them: TimeoutError when
    one does not answer in time, RuntimeError in a coroutine: mote.aio.processes(). As Erlang's processes/0.
    """
    stock = sys.modules.get("mote._stock")
    if stock is None or not stock.present:
        return _mote.processes()
    return in_place("processes", stock.all_processes, timeout)


def blocking(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Gives function(*args, **kwargs), which runs on a thread of its own: for what blocks without mote's knowledge (files, databases, long C
    calls). The caller waits, all others run. An exit signal ends the wait, not the call."""
    from mote import _blocking  # and threading, which not everybody needs

    job = _blocking.start(function, args, kwargs)
    _mote.receive(job.done)
    result: T = job.result()
    return result


def mailbox(what: Any = _mote.ANY, *, timeout: Optional[float] = None) -> Iterator[Any]:
    """`for message in mote.mailbox():` takes each message that comes (or fits `what`), until none came for `timeout` seconds."""
    while True:
        try:
            message = _mote.receive(what, timeout=timeout)
        except TimeoutError:
            return
        yield message


# ------------------------------------------------------------------- calls, casts, and who answers them in a Server

_function = type(lambda: None)
_nothing = object()


def _mark(method: Any, kind: str) -> Any:
    if not isinstance(method, _function):
        raise TypeError(f"mote.{kind}(to, request) needs both; as a decorator it stands before a method")
    setattr(method, f"_mote_{kind}", True)
    return method


@overload
def call(  # type: ignore
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, R]], /
) -> Callable[Concatenate[S, P], R]: ...
@overload
def call(method: F, /) -> F: ...
@overload
def call(to: Destination, request: Any, timeout: Optional[float] = 5.0) -> Any: ...
def call(to: Any, request: Any = _nothing, timeout: Optional[float] = 5.0) -> Any:
    """Asks a server (a Pid, an alias or a name; of any language) and waits for its answer, so many seconds (None: for ever). TimeoutError, after which
    no late answer comes; NoProc(reason) when it ends instead of answering. RuntimeError in a coroutine process. As gen_server:call/3.

    `@mote.call` before a method of a Server: others may call it, and get what it returns.
    """
    return _mark(to, "call") if request is _nothing else _mote.call(to, request, timeout)


@overload
def cast(method: F, /) -> F: ...
@overload
def cast(to: Destination, message: Any) -> None: ...
def cast(to: Any, message: Any = _nothing) -> Any:
    """Tells a server (a Pid, an alias or a name, of any language) something; nothing comes back, also when it has ended. NoProc when nobody has the
    name. Never waits. As gen_server:cast/2.

    `@mote.cast` before a method of a Server: others may tell it, `server.cast.method()`; nothing comes back.
    """
    return _mark(to, "cast") if message is _nothing else _mote.cast(to, message)


if TYPE_CHECKING:

    class Info(NamedTuple):
        pid: Pid[Any]
        name: Optional[Atom]
        label: str
        state: str
        priority: str
        messages: int
        mailbox: int
        dropped: int
        reductions: int
        memory: int
        trap_exit: bool
        links: int
        monitors: int
        monitored_by: int
        aliases: int
        lived: float

else:
    Info = namedtuple(
        "Info",
        "pid name label state priority messages mailbox dropped reductions memory trap_exit links monitors monitored_by aliases lived",
        module=__name__,
    )
Info.__doc__ = """What is known of a process: its registered name (or None), its label for reports, its state ("runnable", "running", "waiting",
"suspended"), messages in its mailbox, the mailbox's limit (0: none) and what that has dropped, reductions, memory in bytes (of the core's side:
Python's objects are not in it), the numbers of its links, monitors, monitors of it and aliases, and the seconds it has lived."""


@overload
def info(pid: Pid[Any], /, timeout: Optional[float] = 5.0) -> Info: ...  # type: ignore
@overload
def info(method: F, /) -> F: ...
@overload
def info(pattern: object, /) -> Callable[[F], F]: ...
def info(what: Any, /, timeout: Optional[float] = 5.0) -> Any:
    """What is known of a process, after it has seen all that the caller has sent it before. Waits until it says so, which it does when it waits
    itself. NoProc, TimeoutError; RuntimeError in a coroutine, but about itself. As Erlang's process_info/1.

    Before a method of a Server: `@mote.info(pattern)`: it gets the messages that are neither calls nor casts and fit the pattern;
    `@mote.info`: all the others. The first that fits is taken, those of a subclass before its base's.
    """
    if type(what) is Pid:
        return _mote.info(what, timeout)
    if isinstance(what, _function):
        return _take(_mote.ANY)(what)
    return _take(what)


def _take(spec: Any) -> Any:
    def mark(method: Any) -> Any:
        method._mote_info = (*getattr(method, "_mote_info", ()), spec)
        return method

    return mark


_POLICIES = {"suspend": 0, "drop": 1, "end": 2}
_PRIORITIES = {"normal": 0, "high": 1, "low": 2}
HERE = (False, False, None, 0, 0, 0, 0)  # of spawn_opt(): no link, no monitor, no name, no limit, ...
HIDDEN = (*HERE, True)  # other nodes do not reach it: what it is told to do is for this node alone


class options:
    """`mote.options(name="reader", mailbox=1000).spawn(f, *args)`: how a process is started.

    `link`, `monitor`: by the caller, from its first moment. `name`: what reports call it. `mailbox`: messages that it may have unread (0: no limit);
    then, by `policy`, a sender stands still (`suspend`), is told MailboxFull (`drop`), or the process ends (`end`). `priority`: normal, high or low.
    `place`: in which interpreter it runs: "here"; "any": in an idle worker, if there is one; or a worker's number; or "dedicated", in a
    worker that is started for it, and ends with it. The first use of another than "here" and "dedicated" starts
    the workers, one for each core, and waits for them. In a coroutine what has to be waited for is MoteError: `await mote.options(...).aio.spawn(f)`. A function travels there as its module and name: NotSendable, but with "any", which lets it stay here.
    `stack`: bytes for a function's C frames (0: 4 MiB of address space, of which it takes what it touches). ValueError for what is none of these.
    As Erlang's spawn_opt/2.
    """

    __slots__ = ("_how", "_place")

    def __init__(
        self,
        *,
        link: bool = False,
        monitor: bool = False,
        name: Optional[str] = None,
        mailbox: int = 0,
        policy: str = "suspend",
        priority: str = "normal",
        stack: int = 0,
        place: Union[str, int, None] = None,
    ):
        if policy not in _POLICIES or priority not in _PRIORITIES:
            wrong, known = (policy, _POLICIES) if policy not in _POLICIES else (priority, _PRIORITIES)
            raise ValueError(f"{wrong!r} is none of {', '.join(known)}")
        self._place = place
        self._how = (link, monitor, name, mailbox, _POLICIES[policy], _PRIORITIES[priority], stack)

    def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As mote.spawn(): its Pid, or with `monitor` (Pid, Ref)."""
        if self._place is not None and self._place != "here":
            from mote import _workers

            start = self._start_of(function, args, kwargs)
            pid = _workers.granted_now(start)
            if pid is not None:
                return self._order(pid, start)
        return _mote.spawn_opt(function, args, kwargs, *self._how)

    @property
    def aio(self) -> _AioOptions:
        """The same for coroutine processes, whose spawn is awaited: a place may have to be waited for."""
        return _AioOptions(self)

    def _start_of(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> _workers.Start:
        from mote import _workers

        start = _workers.start_of(self._place, function, args, kwargs)
        if not start.stays and self._how[2:] != HERE[2:]:
            raise ValueError("place= goes with link= and monitor= alone: the process itself sets the rest where it runs")
        return start

    def _order(self, pid: Pid[Any], start: _workers.Start) -> Any:
        from mote import _stock

        assert start.call is not None
        return _stock.order(pid, *start.call, self._how[0], self._how[1])


class _AioOptions:
    """`mote.options(...).aio.spawn(f, *args)`, to be awaited."""

    __slots__ = ("_options",)

    def __init__(self, how: options):
        self._options = how

    async def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As mote.options(...).spawn()."""
        how = self._options
        if how._place is not None and how._place != "here":
            from mote import _workers

            start = how._start_of(function, args, kwargs)
            pid = await _workers.aio_granted(start)
            if pid is not None:
                return how._order(pid, start)
        return _mote.spawn_opt(function, args, kwargs, *how._how)
