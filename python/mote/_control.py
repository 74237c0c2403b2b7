# SPDX-License-Identifier: Apache-2.0
"""Failing, watching, calling, starting with options: what has defaults, or undoes itself."""
from __future__ import annotations

from collections import namedtuple

from mote import _mote
from mote._errors import Exit, reason_of
from mote._mote import Atom, Pid, Ref

TYPE_CHECKING = False  # as that of typing, which takes longer to import than all of mote
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator, NamedTuple, Optional, TypeVar, Union

    T = TypeVar("T")
    Destination = Union[Pid, Ref, str]


if TYPE_CHECKING:

    class Down(NamedTuple):
        tag: Atom
        ref: Ref
        type: Atom
        process: Any
        reason: Any

    class ExitSignal(NamedTuple):
        tag: Atom
        sender: Pid
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


def kill(to: Destination) -> None:
    """Ends a process that is waiting, or as soon as it waits, whatever it traps or catches; who watches it is told `killed`. Never waits for that.
    As Erlang's exit(Pid, kill).
    """
    _mote.exit_send(to, Atom("kill"))


class trap_exit:
    """Exit signals become ExitSignal messages from now on: `trap_exit()`, or `with trap_exit():` for a while. As Erlang's
    process_flag(trap_exit, true).
    """

    def __init__(self, on: bool = True):
        self._before = _mote.set_trap(on)

    def __enter__(self) -> trap_exit:
        return self

    def __exit__(self, *_: object) -> None:
        _mote.set_trap(self._before)


class monitoring:
    """`with monitoring(pid) as ref:` a monitor that ends with the block, its Down taken out of the mailbox."""

    def __init__(self, process: Destination):
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


def register(name: str, pid: Optional[Pid] = None) -> None:
    """Gives a process (the caller) a name, which stands wherever a Pid may, and is free again when it ends. ValueError when the name is taken or the
    process has one, NoProc when it has ended. As Erlang's register/2.
    """
    _mote.register(name, _mote.self() if pid is None else pid)


def _skip(_: Any) -> Any:
    return _mote.SKIP


def sleep(seconds: float) -> None:
    """Lets others run for a while; messages stay where they are. 0: whoever can run has a turn first."""
    if seconds == 0:
        _mote.end_turn()
    _mote.receive(_skip, timeout=seconds, default=None)


def blocking(function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Gives function(*args, **kwargs), which runs on a thread of its own: for what blocks without mote's knowledge (files, databases, long C
    calls). The caller waits, all others run. An exit signal ends the wait, not the call."""
    from mote import _blocking  # and threading, which not everybody needs

    job = _blocking.start(function, args, kwargs)
    _mote.receive(job.done)
    return job.result()


def mailbox(what: Any = _mote.ANY, *, timeout: Optional[float] = None) -> Iterator[Any]:
    """`for message in mote.mailbox():` takes each message that comes (or fits `what`), until none came for `timeout` seconds."""
    while True:
        try:
            message = _mote.receive(what, timeout=timeout)
        except TimeoutError:
            return
        yield message


def call(to: Destination, request: Any, timeout: Optional[float] = 5.0) -> Any:
    """Asks a server (a Pid, an alias or a name; of any language) and waits for its answer, so many seconds (None: for ever). TimeoutError, after which
    no late answer comes; NoProc(reason) when it ends instead of answering. RuntimeError in a coroutine process. As gen_server:call/3.
    """
    return _mote.call(to, request, timeout)


_POLICIES = {"suspend": 0, "drop": 1, "end": 2}
_PRIORITIES = {"normal": 0, "high": 1, "low": 2}


class options:
    """`mote.options(name="reader", mailbox=1000).spawn(f, *args)`: how a process is started.

    `link`, `monitor`: by the caller, from its first moment. `name`: what reports call it. `mailbox`: messages that it may have unread (0: no limit);
    then, by `policy`, a sender stands still (`suspend`), is told MailboxFull (`drop`), or the process ends (`end`). `priority`: normal, high or low.
    `stack`: bytes for a function's C frames (0: 4 MiB of address space, of which it takes what it touches). ValueError for what is none of these.
    As Erlang's spawn_opt/2.
    """

    __slots__ = ("_how",)

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
    ):
        if policy not in _POLICIES or priority not in _PRIORITIES:
            wrong, known = (policy, _POLICIES) if policy not in _POLICIES else (priority, _PRIORITIES)
            raise ValueError(f"{wrong!r} is none of {', '.join(known)}")
        self._how = (link, monitor, name, mailbox, _POLICIES[policy], _PRIORITIES[priority], stack)

    def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As mote.spawn(): its Pid, or with `monitor` (Pid, Ref)."""
        return _mote.spawn_opt(function, args, kwargs, *self._how)
