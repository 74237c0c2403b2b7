# SPDX-License-Identifier: Apache-2.0
"""Life among nodes: Cluster, which finds nodes and stays connected with them, starts functions there and calls groups; and what other nodes may start and call here.

What waits is written once for both flavours: see _wait.py.
"""
from __future__ import annotations

from mote import _cluster, _mote
from mote._control import HERE, ExitSignal
from mote._errors import Exit, RpcError, TaskFailed
from mote._mote import ANY, Atom, MoteError, NoProc, Pid
from mote._registry import Group, _answer
from mote._task import Task
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Iterable, Optional, TypeVar, Union, overload

    from mote._gen import Place
    from mote._mote import Ref
    from mote._wait import Wait

    F = TypeVar("F", bound=Callable[..., Any])

_A = {name: Atom(name) for name in "DOWN error forget members noconnection nodes noproc ok spawn_reply timeout wait want denied".split()}
_LINK, _MONITOR = 1, 2
_exports: dict[tuple[str, str], tuple[Any, Any]] = {}  # of this program, for each node that it becomes: the function, and what is exported for it


# ---------------------------------------------------------------------------------------------------------- exports


def _path(function: Any) -> tuple[str, str]:
    if isinstance(function, str):
        module, colon, name = function.partition(":")
        if not (module and colon and name):
            raise ValueError(f"a function of another program is 'module:name', not {function!r}")
        return module, name
    where, called = getattr(function, "__module__", None), getattr(function, "__qualname__", None)  # @export sees it before its module has it
    if not isinstance(where, str) or not isinstance(called, str) or "<" in called or getattr(function, "__self__", None) is not None:
        raise ValueError(f"{function!r} has no name for other nodes: it has to be a function at the top level of a module")
    return where, called


def _done_elsewhere(function: Callable[..., Any], place: Optional[Union[str, int]]) -> Callable[..., Any]:
    """What is exported for a function: another that has it done by a task, and gives it what comes for it."""
    start = Task.start if place is None else Task.options(place=place).start

    def exported(*args: Any) -> Any:
        _mote.set_trap(True)
        task: Task[Any] = start(function, *args)
        message = _mote.receive()
        while not task.answer(message):
            if not isinstance(message, ExitSignal):
                _mote.send(task.pid, message)
            elif message.sender != task.pid:
                _mote.exit_send(task.pid, message.reason)
            message = _mote.receive()
        try:
            return task.result()
        except TaskFailed as error:
            raise Exit(error.reason) from None  # as if it had failed here

    return exported


if TYPE_CHECKING:

    @overload
    def export(function: F, name: Optional[str] = None, *, place: Optional[Union[str, int]] = None) -> F: ...
    @overload
    def export(*, name: Optional[str] = None, place: Optional[Union[str, int]] = None) -> Callable[[F], F]: ...


def export(function: Any = None, name: Optional[str] = None, *, place: Optional[Union[str, int]] = None) -> Any:
    """Lets other nodes start a function (with rights="spawn" of this node) and call it ("rpc"), as module:function; or as `name`, "module:name". Nothing else of the program can be. Gives the
    function, so `@mote.export` does, and `@mote.export(place="any")`. Who calls it gets what it returns; its arguments come as messages from there do, text as bytes.

    An `async def`, and with `place` (see mote.options()) a function that is to use other cores, is done by a task, which ends with the process that others start: they get its result, and what they send to that process, messages and exit signals, comes to the task. ValueError: it has no name, or
    another one is exported as that. From Erlang: `rpc:call(Node, module, function, Args)`, `spawn(Node, module, function, Args)`."""
    if function is None:
        return lambda function: export(function, name, place=place)
    path = _path(function if name is None else name)
    made = _exports.get(path)
    if made is None:
        made = function, _done_elsewhere(function, place) if place is not None or _mote.awaits(function) else function
    elif made[0] is not function:
        raise ValueError(f"another function is exported as {path[0]}:{path[1]}")
    if _mote.node() != "nonode@nohost" and _mote.worker_of(_mote.self()) == 0:  # others have no connections
        _mote.export(*path, made[1])
    _exports[path] = made
    return function


def begin() -> None:
    """A node has begun: what was exported before is exported there."""
    for path, (_, exported) in _exports.items():
        _mote.export(*path, exported)


# --------------------------------------------------------------------------------------------------------- steps


async def _ask(wait: Wait, cluster: Pid[Any], request: Any) -> Any:
    try:
        return _answer(await wait.call(cluster, request, None))
    except MoteError as error:
        if "MOTE_TIMEOUT" in str(error):
            raise TimeoutError("mote.Cluster.wait: there are fewer nodes") from None
        raise


async def _connect(wait: Wait, cluster: Pid[Any], node: str, timeout: Optional[float]) -> None:
    await _ask(wait, cluster, (_A["want"], Atom(node)))
    if node != _mote.node():
        await _cluster._connect(wait, node, timeout)


async def _wait_for(wait: Wait, cluster: Pid[Any], count: int, timeout: Optional[float]) -> None:
    await _ask(wait, cluster, (_A["wait"], count, -1 if timeout is None else int(timeout * 1000 + 0.999)))


def _not_started(what: Any, node: str, reason: Any) -> Exception:
    if reason == "noconnection":
        return ConnectionError(f"mote.Cluster.spawn: there is no connection to {node}")
    if reason == "denied":
        return PermissionError(f"mote.Cluster.spawn: {node} gives no right to start processes (rights=\"spawn\")")
    return MoteError(f"mote.Cluster.spawn: {node} does not start {what!r}: {_mote.term_text(reason)}")


async def _spawn(wait: Wait, function: Any, args: tuple[Any, ...], node: str, options: int, timeout: Optional[float]) -> Any:
    ref = _mote.spawn_request(node, *_path(function), list(args), options)
    reply = await wait.receive((_A["spawn_reply"], ref, ANY, ANY), timeout=timeout, default=None)
    if reply is None:
        _mote.demonitor(ref, True)
        raise TimeoutError(f"mote.Cluster.spawn: {node} has not answered")
    if reply[2] != "ok":
        raise _not_started(function, node, reply[3])
    return (reply[3], ref) if options & _MONITOR else reply[3]


def _not_returned(what: Any, node: str, kind: str, reason: Any) -> Exception:
    if reason == "noconnection":
        return ConnectionError(f"mote.rpc: there is no connection to {node}")
    if reason == "denied":
        return PermissionError(f'mote.rpc: {node} gives no right to call functions (rights="rpc")')
    name = "%s:%s" % _path(what)
    if kind == "error" and reason == "undef":
        return RpcError(f"mote.rpc: {node} has no function {name} of so many arguments: ", kind, reason)
    return RpcError(f"mote.rpc: {name} at {node} has ended with {kind}: ", kind, reason)


async def _rpc(wait: Wait, node: str, function: Any, args: tuple[Any, ...], timeout: Optional[float]) -> Any:
    ref = _mote.rpc_start(node, *_path(function), list(args))
    told = await wait.receive(_mote.any_of((_A["DOWN"], ref, ANY, ANY, ANY), (_A["spawn_reply"], ref, _A["error"], ANY)), timeout=timeout, default=None)
    if told is None:
        _mote.demonitor(ref, True)
        raise TimeoutError(f"mote.rpc: {node} has not answered")
    reason = told[-1]
    if len(told) == 5 and isinstance(reason, tuple) and len(reason) >= 3 and reason[0] == ref:
        if reason[1] == "return":
            return reason[2]
        raise _not_returned(function, node, str(reason[1]), reason[2])
    raise _not_returned(function, node, "signal" if len(told) == 5 else "refused", reason)


def rpc(node: str, function: Union[str, Callable[..., object]], /, *args: Any, timeout: Optional[float] = 5.0) -> Any:
    """Calls a function at a node, in a process of its own there, and gives what it returns: "module:name", of Erlang's or exported (mote.export()), where this node has the right to (rights="rpc"). Arguments are sent as messages. RpcError: it has not
    returned; ConnectionError; PermissionError; TimeoutError: the function may go on. RuntimeError in a coroutine process: there it is `await mote.aio.rpc(...)`. As erpc:call/5."""
    return in_place("rpc", _rpc, node, function, args, timeout)


async def _members(wait: Wait, scope: Place, group: Any) -> list[Pid[Any]]:
    return _answer(await wait.call(scope, (_A["members"], group), None))  # type: ignore[no-any-return]


async def _call_any(wait: Wait, scope: Place, group: Any, request: Any, timeout: Optional[float]) -> Any:
    import random

    members = await _members(wait, scope, group)
    random.shuffle(members)
    for pid in members:
        try:
            return await wait.call(pid, request, timeout)
        except NoProc as error:
            if error.reason != "noproc":  # it may have been at work
                raise
    raise LookupError(f"the group {group!r} has no member")


async def _asker(to: Pid[Any], ref: Ref, pid: Pid[Any], request: Any, timeout: Optional[float]) -> None:
    """Makes one of several calls."""
    try:
        to.send((ref, pid, True, await _mote.aio_call(pid, request, timeout)))
    except (NoProc, TimeoutError) as error:
        to.send((ref, pid, False, _A["timeout"] if isinstance(error, TimeoutError) else getattr(error, "reason", _A["noproc"])))


async def _call_all(wait: Wait, scope: Place, group: Any, request: Any, timeout: Optional[float]) -> dict[Pid[Any], Any]:
    members = dict.fromkeys(await _members(wait, scope, group))
    ref, me = _mote.make_ref(), _mote.self()
    for pid in members:
        _mote.spawn_opt(_asker, (me, ref, pid, request, timeout), {}, *HERE)  # not hidden: others answer it
    answers: dict[Pid[Any], Any] = dict(members)
    for _ in members:
        _, pid, fine, value = await wait.receive((ref, ANY, ANY, ANY))
        answers[pid] = value if fine else TimeoutError("no answer in time") if value == "timeout" else _gone(value)
    return answers


def _gone(reason: Any) -> NoProc:
    error = NoProc(_mote.term_text(reason))
    error.reason = reason
    return error


# -------------------------------------------------------------------------------------------------------- Cluster


def _texts(given: Union[str, Iterable[str]]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


class _Calls:
    """What both flavours have."""

    __slots__ = ("pid", "scope")

    def __init__(self, pid: Pid[Any], scope: Place):
        self.pid, self.scope = pid, scope

    def _do(self, name: str, steps: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        raise NotImplementedError

    def connect(self, node: str, timeout: Optional[float] = 15.0) -> Any:
        """Connects to a node, and stays connected with it from now on. As mote.connect(): with ConnectionError and TimeoutError, too, it is tried again."""
        return self._do("connect", _connect, self.pid, node, timeout)

    def forget(self, node: str) -> Any:
        """Stays connected with a node no longer that was named; a connection that there is stays. LookupError: it was not named."""
        return self._do("forget", _ask, self.pid, (_A["forget"], Atom(node)))

    def wanted(self) -> Any:
        """The nodes that it knows of: a dict of whether each is connected."""
        return self._do("wanted", _ask, self.pid, _A["nodes"])

    def wait(self, count: int, timeout: Optional[float] = None) -> Any:
        """Waits until so many of them are connected. TimeoutError."""
        return self._do("wait", _wait_for, self.pid, count, timeout)

    def spawn(self, function: Union[str, Callable[..., object]], /, *args: Any, on: str, link: bool = False, monitor: bool = False, timeout: Optional[float] = 15.0) -> Any:
        """Starts function(*args) as a process of the node `on`, and gives its Pid; with `monitor` (Pid, Ref). The function is found there by its module and name, "module:name", where it has been exported
        (mote.export(), C's mote_export(), or any of Erlang's), and the node has to give the right to (rights="spawn"). One that is not exported is started and ends at once, with `undef`. Arguments are sent as messages.
        ConnectionError; PermissionError; TimeoutError: what starts later is ended if it is linked; MoteError. As Erlang's spawn/4."""
        return self._do("spawn", _spawn, function, args, on, _LINK * link | _MONITOR * monitor, timeout)

    def call(self, group: Any, request: Any, timeout: Optional[float] = 5.0, *, to: str = "any") -> Any:
        """Calls a group's members, on whatever node they are, as mote.call() does. To any: one at random, whose answer it gives; those that are gone already are passed over; LookupError: there is none. To "all", at once: a
        dict of what each Pid has answered, in which an exception (NoProc, TimeoutError) stands for an answer that has not come."""
        if to not in ("any", "all"):
            raise ValueError(f'to is "any" or "all", not {to!r}')
        return self._do("call", _call_any if to == "any" else _call_all, self.scope, group, request, timeout)


class Cluster(_Calls):
    """Finds nodes, and keeps this one connected with them: from now on, until stop() or the end of its block.

        with mote.Node("app@10.0.0.7", cookie_file="/etc/app/cookie", address="0.0.0.0", insecure=True):
            with mote.Cluster(dns="app@app-headless.default.svc.cluster.local") as cluster:
                cluster.wait(2)
                print(cluster.nodes(), cluster.call("workers", ("status",), to="all"))

    `nodes` are names, alive@host. `dns` is alive@name: each address that the name has is the node alive@address. Of the `hosts` the port mappers are asked: all nodes there whose names begin with
    `prefix`. `dns` and `hosts` are asked again every `look` seconds. Who is found and not connected is dialled, and again after 0.1 s, 0.2 s and so on to 10 s, each a quarter longer or shorter at random. Every method waits; in coroutine processes:
    `await cluster.aio.connect(node)`. `scope` is that of call(): the Group of that name, which is started if there is none (None: that is left to the program). ValueError; MoteError: this is no node with a name. In C: mote/cluster.h.
    """

    __slots__ = ()

    def __init__(
        self,
        nodes: Union[str, Iterable[str]] = (),
        *,
        dns: Union[str, Iterable[str]] = (),
        hosts: Union[str, Iterable[str]] = (),
        prefix: str = "",
        look: float = 5.0,
        scope: Optional[str] = "pg",
    ):
        if not 0.01 <= look <= 86400:
            raise ValueError(f"look is seconds from 0.01 to 86400, not {look!r}")
        pid = _mote.cluster_start(_texts(nodes), _texts(dns), _texts(hosts), prefix, int(look * 1000), 0, 0)
        _mote.unlink(pid)
        super().__init__(pid, scope or "pg")
        if scope is not None and _mote.whereis(scope) is None:
            Group.start(scope)

    def _do(self, name: str, steps: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        return in_place(f"Cluster.{name}", steps, *args)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finds and dials no longer. Connections, and the scope, stay as they are."""
        _mote.exit_send(self.pid, Atom("shutdown"))

    def nodes(self) -> list[Atom]:
        """The nodes that are connected, hidden ones too, whoever has connected them. Never waits."""
        return _cluster.nodes(hidden=True)

    @property
    def groups(self) -> Group:
        """The scope of its groups."""
        return Group(self.scope)

    @property
    def aio(self) -> AioCluster:
        """The same methods, to be awaited in coroutine processes."""
        return AioCluster(self.pid, self.scope)


class AioCluster(_Calls):
    """A cluster's methods as Cluster has them, to be awaited."""

    __slots__ = ()

    def _do(self, name: str, steps: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        return awaited(f"Cluster.{name}", steps, *args)


__all__ = ["Cluster", "export", "rpc"]
