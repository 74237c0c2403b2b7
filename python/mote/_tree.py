# SPDX-License-Identifier: Apache-2.0
"""Supervisors: processes that start others, start them anew when they fail, and stop them in reverse order, as Erlang's.

The supervisor's process is the core's (include/mote/supervisor.h); here are its callers, and the specifications of its children.
"""
from __future__ import annotations

from collections import namedtuple

from mote import _mote
from mote._errors import StartFailed, reason_of, shown
from mote._gen import Behaviour
from mote._mote import ANY, Atom, NoProc, Pid, Ref
from mote._registry import Group, Registry
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Iterable, NamedTuple, Optional, Union, overload

    from mote._control import Process
    from mote._travel import Call
    from mote._wait import Wait

    Shutdown = Union[float, str, None]

    class ChildInfo(NamedTuple):
        id: Any
        pid: Any
        type: Atom
        modules: Any

else:
    ChildInfo = namedtuple("ChildInfo", "id pid type modules", module="mote")
ChildInfo.__doc__ = """A child as which_children() tells of it: `pid` is its Pid, None when it does not run, `restarting` while it waits for that."""

_STRATEGIES = {"one_for_one": 0, "one_for_all": 1, "rest_for_one": 2, "simple_one_for_one": 3}
_RESTARTS = {"permanent": 0, "transient": 1, "temporary": 2}
_AUTO_SHUTDOWNS = {"never": 0, "any_significant": 1, "all_significant": 2}
_SIMPLE, _PERMANENT, _SUPERVISING = 3, 0, 2
_DEFAULT, _INFINITY, _BRUTAL_KILL = 0, -1, -2  # of shutdown_ms in supervisor.h
_NO_RESTARTS = -1
_KEEP: Any = object()

_MOTE, _DOWN, _SHUTDOWN, _SYSTEM, _TERMINATE, _UNDEFINED = map(Atom, ("mote", "DOWN", "shutdown", "system", "terminate", "undefined"))
_WRONG = {
    "already_present": "a child of that id is there, and does not run: restart or delete it",
    "badarg": "the supervisor's strategy does not allow it",
    "simple_one_for_one": "a simple_one_for_one supervisor knows its children by their Pids, and does not restart or delete them",
    "running": "the child runs",
    "restarting": "the child is being restarted",
}


def _one_of(what: str, value: str, known: dict[str, int]) -> int:
    if value not in known:
        raise ValueError(f"{what}={value!r} is none of {', '.join(known)}")
    return known[value]


def _id(value: Any) -> Any:
    """An id as the supervisor has it: a str is an atom."""
    if type(value) is str:
        return Atom(value)
    if type(value) is tuple:
        return tuple(_id(one) for one in value)
    if type(value) in (Atom, int, Pid, Ref):
        return value
    raise TypeError(f"a child's id is a str, an int, or a tuple of such, not {value!r}")


def _shutdown_ms(shutdown: Shutdown) -> int:
    if shutdown is None:
        return _INFINITY
    if shutdown == "kill":
        return _BRUTAL_KILL
    if isinstance(shutdown, str) or not 0 <= shutdown < 1e9:
        raise ValueError(f'shutdown={shutdown!r} is neither seconds nor None nor "kill"')
    return max(1, int(shutdown * 1000))


class Child:
    """How a supervisor starts a child: `mote.Child(function, *args, **kwargs)` is what mote.spawn_link() would start.

    Instead of a function a Server or Machine, which is ready when its init has returned, or mote.Supervisor, Registry or Group with what its
    start_link() takes. All arguments are the callee's, and follow the rule for messages; each start gets copies of its own. How it is restarted and
    stopped is said apart from them, `mote.Child(f, 1).options(restart="transient")`, so that no name of the function's own arguments is taken.
    """

    __slots__ = ("_id", "_name", "_place", "_restart", "_server", "_shutdown", "_significant", "_start", "_what")

    def __init__(self, what: Callable[..., Any], /, *args: Any, **kwargs: Any):
        self._restart, self._shutdown, self._significant = _PERMANENT, _DEFAULT, False
        self._name: Optional[str] = None
        self._server: Optional[type[Any]] = None
        self._place: Optional[tuple[Any, Optional[Call], bool]] = None  # where; how it travels; whether it is a Server or Machine
        self._what: Any = what  # what travels
        function: Any = what
        if isinstance(what, type) and issubclass(what, Supervisor):
            plan = _Plan(*args, **kwargs)
            self._id = _id(plan.name or what.__name__)
            self._start: tuple[Any, ...] = (_SUPERVISING, plan.options, (), None, None)
            return
        if isinstance(what, type) and issubclass(what, (Registry, Group)):
            self._server = what
            roster, options = what._mote_child(*args, **kwargs)
            self._id = _id(options[0] or what.__name__)
            self._start = (roster, options, (), None, None)
            return
        if isinstance(what, type) and issubclass(what, Behaviour):
            self._server, function = what, what._mote_child()
            self._what = what._mote_body()
        self._id = _id(str(getattr(what, "__name__", type(what).__name__)))
        self._start = _mote.child(function, args, kwargs)

    def options(
        self,
        *,
        id: Any = _KEEP,
        restart: str = _KEEP,
        shutdown: Shutdown = _KEEP,
        significant: bool = _KEEP,
        name: Optional[str] = _KEEP,
        place: Union[str, int, None] = _KEEP,
    ) -> Child:
        """The same child with options.
        id: its name among its siblings (that of the function). restart: "permanent" (the default: always), "transient" (unless its reason was normal,
        shutdown or ("shutdown", ...)) or "temporary" (never). shutdown: seconds that it gets to stop before it is killed (5 for processes, None, no
        limit, for supervisors), or "kill". significant: its end by itself may end the supervisor, see auto_shutdown. name: registered
        for it, at each start. place: in which worker each start is to be, as in mote.options(); for functions, Servers and Machines.
        NotSendable, ValueError, TypeError. As the map of supervisor:start_link/2.
        """
        new: Child = object.__new__(Child)
        for slot in Child.__slots__:
            if hasattr(self, slot):
                setattr(new, slot, getattr(self, slot))
        if id is not _KEEP:
            new._id = _id(id)
        if restart is not _KEEP:
            new._restart = _one_of("restart", restart, _RESTARTS)
        if shutdown is not _KEEP:
            new._shutdown = _shutdown_ms(shutdown)
        if significant is not _KEEP:
            new._significant = bool(significant)
        if name is not _KEEP:
            new._name = name
        if place is not _KEEP:
            new._set_place(place)
        if new._name is not None and new._start[0] >= _SUPERVISING:
            raise ValueError("its name is its own argument, as in mote.Child(mote.Supervisor, children, name=...)")
        return new

    def _set_place(self, place: Union[str, int, None]) -> None:
        self._place = None
        if place is None or place == "here":
            return
        if self._start[0] >= _SUPERVISING:
            raise ValueError("place= is for functions, Servers and Machines; a supervisor, registry or group elsewhere is started by a function that runs there")
        from mote import _workers

        self._place = (place, _workers.call_for(place, self._what, (), {}), self._server is not None)

    def _spec(self) -> tuple[Any, ...]:
        """As tree.c reads it."""
        if self._place is not None and _mote.worker_of(_mote.self()) == 0:
            from mote import _workers

            _workers.start(1)  # it needs the keeper
        report = str(self._id).encode()[:60].decode(errors="ignore")
        rules = (self._name, report, self._restart, self._shutdown, self._significant, self._server is not None and self._start[0] < _SUPERVISING)
        return (self._id, *self._start, *rules, self._place)

    def __repr__(self) -> str:
        return f"<mote.Child {shown(self._id)}>"


class _Plan:
    """What a supervisor is started with, checked."""

    __slots__ = ("name", "options", "servers")
    name: Optional[str]
    options: tuple[Any, ...]

    def __init__(
        self,
        children: Iterable[Any] = (),
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 1,
        max_seconds: int = 5,
        auto_shutdown: str = "never",
        name: Optional[str] = None,
    ):
        kind, auto = _one_of("strategy", strategy, _STRATEGIES), _one_of("auto_shutdown", auto_shutdown, _AUTO_SHUTDOWNS)
        made = [one if isinstance(one, Child) else Child(one) for one in children]
        if type(max_restarts) is not int or max_restarts < 0 or type(max_seconds) is not int or max_seconds < 1:
            raise ValueError("max_restarts is a number from 0 on, max_seconds one from 1 on")
        if kind == _SIMPLE and len(made) != 1:
            raise ValueError("a simple_one_for_one supervisor has one child, the model of all that are started")
        ids = set()
        for child in made:
            if child._id in ids:
                raise ValueError(f"several children have the id {shown(child._id)}: give them others with mote.Child(...).options(id=...)")
            if child._significant and (child._restart == _PERMANENT or not auto):
                raise ValueError(f"child {shown(child._id)}: a significant child is transient or temporary, and its supervisor has an auto_shutdown")
            ids.add(child._id)
        self.name = name
        self.servers = {None if kind == _SIMPLE else child._id: child._server for child in made if child._server}
        self.options = (kind, max_restarts or _NO_RESTARTS, max_seconds, auto, name, tuple(child._spec() for child in made))


# ------------------------------------------------------------------------------------------- what is waited for


def _refusal(code: int, reason: Any, what: Any) -> Exception:
    """What an answer other than MOTE_OK means; `what` it was about."""
    name, word = _mote.err_name(code), reason[0] if type(reason) is tuple and reason else reason
    child = "" if what is None else f"child {shown(what)}: "
    if name == "MOTE_NOMATCH":
        return LookupError(f"the supervisor has no child {shown(what)}")
    if name in ("MOTE_EBUSY", "MOTE_EARG"):
        if word == "already_started":
            return ValueError(f"{child}one of that id runs as {reason[1]!r}")
        if word in _WRONG:
            return ValueError(child + _WRONG[word])
        if word == "mote_error":
            return ValueError(f"{child}its name is taken, or it is none")
    return StartFailed(what, reason)


def _start_refusal(code: int, reason: Any, name: Optional[str]) -> Exception:
    """Why a supervisor did not start: its reason is ("shutdown", Why)."""
    why = reason[1] if type(reason) is tuple and len(reason) == 2 and reason[0] == "shutdown" else reason
    if type(why) is tuple and len(why) == 3 and why[0] == "failed_to_start_child":
        return _refusal(code, why[2], why[1])
    if type(why) is tuple and len(why) == 2 and (why[0] == "already_started" or why[1] == "MOTE_ENAME"):
        return ValueError(f"{name!r} is taken, or cannot be a name")
    return StartFailed(name, why)


async def _start(wait: Wait, cls: type[Supervisor], plan: _Plan, linked: bool) -> Supervisor:
    pid, ref = _mote.supervisor(plan.options)
    down = (_DOWN, ref, ANY, ANY, ANY)
    try:
        told = await wait.receive(_mote.any_of((ref, int), down))
        if told[0] == _DOWN:
            raise StartFailed(plan.name, told[4])
        if told[1]:
            raise _start_refusal(told[1], (await wait.receive(down))[4], plan.name)
    except BaseException:  # also one from outside: nobody will know of the supervisor
        _mote.unlink(pid)
        _mote.exit_send(pid, _SHUTDOWN)
        raise
    finally:
        _mote.demonitor(ref, True)
    if not linked:
        _mote.unlink(pid)
    supervisor = cls(pid)
    supervisor._servers.update(plan.servers)
    return supervisor


async def _ask(wait: Wait, supervisor: Supervisor, request: Any, what: Any, timeout: Optional[float]) -> Any:
    code, answer = await wait.call(supervisor.pid, (_MOTE, request), timeout)
    if code:
        raise _refusal(code, answer, what)
    return answer


async def _start_child(wait: Wait, supervisor: Supervisor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    child = args[0] if len(args) == 1 and isinstance(args[0], Child) else None
    more = (args, kwargs) if not child and (args or kwargs) else None
    code, answer = await wait.start_child(supervisor.pid, child._spec() if child else None, more, None)
    if code:
        raise _refusal(code, answer, child._id if child else None)
    if child and child._server:
        supervisor._servers[child._id] = child._server
    return supervisor._child(child._id if child else None, answer[1])


async def _restart_child(wait: Wait, supervisor: Supervisor, id: Any, timeout: Optional[float]) -> Any:
    return supervisor._child(id, (await _ask(wait, supervisor, (Atom("restart_child"), id), id, timeout))[1])


async def _do_child(wait: Wait, supervisor: Supervisor, request: str, id: Any, timeout: Optional[float]) -> None:
    await _ask(wait, supervisor, (Atom(request), id), id, timeout)


async def _which_children(wait: Wait, supervisor: Supervisor, timeout: Optional[float]) -> list[ChildInfo]:
    found = await _ask(wait, supervisor, Atom("which_children"), None, timeout)
    return [ChildInfo(id, None if pid == _UNDEFINED else pid, kind, modules) for id, pid, kind, modules in found]


async def _count_children(wait: Wait, supervisor: Supervisor, timeout: Optional[float]) -> dict[str, int]:
    counts, restarts = await _ask(wait, supervisor, Atom("count_children"), None, timeout)
    return {**{str(what): count for what, count in counts}, "restarts": restarts}


async def _whereis(wait: Wait, supervisor: Supervisor, id: Any, timeout: Optional[float]) -> Any:
    for child in await _which_children(wait, supervisor, timeout):
        if child.id == id:
            return supervisor._child(id, child.pid)
    raise LookupError(f"the supervisor has no child {shown(id)}")


async def _stop(wait: Wait, to: Process, reason: Any, timeout: Optional[float]) -> None:
    ref, reason = _mote.monitor(to), reason_of(reason)
    try:
        _mote.send(to, (_SYSTEM, (_mote.self(), _mote.make_ref()), (_TERMINATE, reason)))
        down = await wait.receive((_DOWN, ref, ANY, ANY, ANY), timeout=timeout)
    finally:
        _mote.demonitor(ref, True)
    if down[4] != reason:
        raise NoProc(down[4])


async def _end(wait: Wait, supervisor: Supervisor) -> None:
    """At the end of a block."""
    try:
        await _stop(wait, supervisor.pid, "normal", None)
    except NoProc:
        pass


# ----------------------------------------------------------------------------------------------- what is seen


class _AioStarts:
    """`Supervisor.aio`: how coroutines start one."""

    __slots__ = ("_cls",)

    def __init__(self, cls: type[Supervisor]):
        self._cls = cls

    def start_link(
        self,
        children: Iterable[Any] = (),
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 1,
        max_seconds: int = 5,
        auto_shutdown: str = "never",
        name: Optional[str] = None,
    ) -> Coroutine[Any, Any, Supervisor]:
        """As Supervisor.start_link()."""
        plan = _Plan(children, strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, auto_shutdown=auto_shutdown, name=name)
        return awaited("start_link", _start, self._cls, plan, True)

    def start(
        self,
        children: Iterable[Any] = (),
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 1,
        max_seconds: int = 5,
        auto_shutdown: str = "never",
        name: Optional[str] = None,
    ) -> Coroutine[Any, Any, Supervisor]:
        """As Supervisor.start()."""
        plan = _Plan(children, strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, auto_shutdown=auto_shutdown, name=name)
        return awaited("start", _start, self._cls, plan, False)


class _Aio:
    """`supervisor.aio`: what waits, for coroutines."""

    __slots__ = ("_supervisor",)

    def __init__(self, supervisor: Supervisor):
        self._supervisor = supervisor

    def start_child(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """As Supervisor.start_child()."""
        return awaited("start_child", _start_child, self._supervisor, args, kwargs)

    def terminate_child(self, id: Any, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, None]:
        """As Supervisor.terminate_child()."""
        return awaited("terminate_child", _do_child, self._supervisor, "terminate_child", _id(id), timeout)

    def restart_child(self, id: Any, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, Any]:
        """As Supervisor.restart_child()."""
        return awaited("restart_child", _restart_child, self._supervisor, _id(id), timeout)

    def delete_child(self, id: Any, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, None]:
        """As Supervisor.delete_child()."""
        return awaited("delete_child", _do_child, self._supervisor, "delete_child", _id(id), timeout)

    def which_children(self, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, list[ChildInfo]]:
        """As Supervisor.which_children()."""
        return awaited("which_children", _which_children, self._supervisor, timeout)

    def count_children(self, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, dict[str, int]]:
        """As Supervisor.count_children()."""
        return awaited("count_children", _count_children, self._supervisor, timeout)

    def whereis(self, id: Any, *, timeout: Optional[float] = None) -> Coroutine[Any, Any, Any]:
        """As Supervisor.whereis()."""
        return awaited("whereis", _whereis, self._supervisor, _id(id), timeout)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = None) -> Coroutine[Any, Any, None]:
        """As Supervisor.stop()."""
        return awaited("stop", _stop, self._supervisor.pid, reason, timeout)


class _AioView:
    """The view of the class, or of one of it."""

    if TYPE_CHECKING:

        @overload
        def __get__(self, one: None, cls: type[Supervisor]) -> _AioStarts: ...
        @overload
        def __get__(self, one: Supervisor, cls: type[Supervisor]) -> _Aio: ...

    def __get__(self, one: Optional[Supervisor], cls: type[Supervisor]) -> Union[_AioStarts, _Aio]:
        return _AioStarts(cls) if one is None else _Aio(one)


class Supervisor:
    """A supervisor as its callers see it: `mote.Supervisor.start_link([...])` starts one, `mote.Supervisor(pid_or_name)` is one that runs.

        with mote.Supervisor.start_link([mote.Child(Counter, 10), mote.Child(worker)], strategy="one_for_all") as tree:
            tree.whereis("Counter").add(5)

    Its methods ask the supervisor and wait for its answer, without limit unless `timeout` gives one in seconds (TimeoutError); NoProc: it has ended.
    In a coroutine: `await tree.aio.start_child(...)`, `await mote.Supervisor.aio.start_link(...)`, `async with`. As Erlang's supervisor.
    """

    __slots__ = ("_servers", "pid")
    aio = _AioView()

    def __init__(self, pid: Process):
        self.pid = pid
        self._servers: dict[Any, type[Any]] = {}  # of those started through this object: id, or None for all

    @classmethod
    def start_link(
        cls,
        children: Iterable[Any] = (),
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 1,
        max_seconds: int = 5,
        auto_shutdown: str = "never",
        name: Optional[str] = None,
    ) -> Supervisor:
        """Starts a supervisor that is linked with the caller, and its children in order (mote.Child, or what it takes); waits until all run.
        strategy: who is started anew with a child: "one_for_one" (nobody else), "one_for_all", "rest_for_one" (those after it), or
        "simple_one_for_one" (all children are made of the one given, by start_child()). More than max_restarts within max_seconds seconds: it stops
        its children and ends with reason shutdown. auto_shutdown: it does so when "any_significant" or "all_significant" children
        have ended by themselves. name: registered. When the caller ends, so does it, and its children are stopped.
        StartFailed: a child did not start, those before it have been stopped. ValueError, TypeError: wrong options. As supervisor:start_link/2.
        """
        plan = _Plan(children, strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, auto_shutdown=auto_shutdown, name=name)
        return in_place("start_link", _start, cls, plan, True)

    @classmethod
    def start(
        cls,
        children: Iterable[Any] = (),
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 1,
        max_seconds: int = 5,
        auto_shutdown: str = "never",
        name: Optional[str] = None,
    ) -> Supervisor:
        """The same without a link: it lives until it is stopped."""
        plan = _Plan(children, strategy=strategy, max_restarts=max_restarts, max_seconds=max_seconds, auto_shutdown=auto_shutdown, name=name)
        return in_place("start", _start, cls, plan, False)

    def start_child(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a mote.Child and starts it. Of a simple_one_for_one supervisor: starts one more child, with these arguments behind those of its Child.
        Gives its Pid; of a Server started through this object its proxy. StartFailed; ValueError: a child of that id is there, or the strategy does
        not allow it. As supervisor:start_child/2.
        """
        return in_place("start_child", _start_child, self, args, kwargs)

    def terminate_child(self, id: Any, *, timeout: Optional[float] = None) -> None:
        """Stops a child by its id (of simple_one_for_one by its Pid); its specification stays, unless it is temporary. LookupError: there is none.
        As supervisor:terminate_child/2."""
        in_place("terminate_child", _do_child, self, "terminate_child", _id(id), timeout)

    def restart_child(self, id: Any, *, timeout: Optional[float] = None) -> Any:
        """Starts a child that does not run; gives what start_child() does. LookupError; ValueError: it runs; StartFailed. As supervisor:restart_child/2."""
        return in_place("restart_child", _restart_child, self, _id(id), timeout)

    def delete_child(self, id: Any, *, timeout: Optional[float] = None) -> None:
        """Forgets a child that does not run. LookupError; ValueError: it runs. As supervisor:delete_child/2."""
        in_place("delete_child", _do_child, self, "delete_child", _id(id), timeout)

    def which_children(self, *, timeout: Optional[float] = None) -> list[ChildInfo]:
        """The children, newest first: a list of (id, Pid or None or "restarting", "worker" or "supervisor", []). As supervisor:which_children/1."""
        return in_place("which_children", _which_children, self, timeout)

    def count_children(self, *, timeout: Optional[float] = None) -> dict[str, int]:
        """How many `specs`, `active`, `supervisors`, `workers` and `restarts` there are. As supervisor:count_children/1."""
        return in_place("count_children", _count_children, self, timeout)

    def whereis(self, id: Any, *, timeout: Optional[float] = None) -> Any:
        """The Pid of a child, or the proxy of a Server started through this object; None: it does not run. LookupError: there is no such child."""
        return in_place("whereis", _whereis, self, _id(id), timeout)

    def stop(self, reason: Any = "normal", timeout: Optional[float] = None) -> None:
        """Stops the children in reverse order and ends, with a reason; waits for that, `timeout` seconds. TimeoutError: not yet, it goes on;
        NoProc(reason): it has ended in another way. Who is linked with it dies of a reason that is not normal. As gen_server:stop/3."""
        in_place("stop", _stop, self.pid, reason, timeout)

    def _child(self, id: Any, pid: Any) -> Any:
        if not isinstance(pid, Pid):
            return None
        server = self._servers.get(id) or self._servers.get(None)
        return server._mote_proxy(pid) if server else pid

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        in_place("stop", _end, self)

    async def __aenter__(self) -> Supervisor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await awaited("stop", _end, self)

    def __repr__(self) -> str:
        return f"<mote.Supervisor {self.pid!r}>"


__all__ = ["Child", "ChildInfo", "Supervisor"]
