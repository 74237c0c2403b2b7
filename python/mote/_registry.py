# SPDX-License-Identifier: Apache-2.0
"""Registry, Group and GlobalNames: the core's, which are C processes. Their requests are calls, so they are asked from both flavours, and by C programs too.

Keys, values and names of groups are terms: they are compared as Erlang does (1 is not 1.0), and come back as the values that terms are (a set is none).
"""
from __future__ import annotations

import time

from mote import _mote
from mote._errors import reason_of
from mote._mote import ANY, Atom, MoteError, NoProc, Pid
from mote._wait import awaited, in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Iterable, Optional, TypeVar

    from mote._gen import Place
    from mote._mote import Ref
    from mote._wait import Wait

    C = TypeVar("C", bound="_Client")

_NAMES = "count del_lock demonitor global_name_server join keys leave listen local_members lookup members monitor monitor_scope names nodes register select set_lock sync unregister whereis"
_A = {name: Atom(name) for name in _NAMES.split()}
_WILD = Atom("_")


def _answer(answer: tuple[int, Any]) -> Any:
    """The term of {Code, Term}; a code is an error."""
    code, term = answer
    if code == 0:
        return term
    name = _mote.error_name(code)
    if name == "MOTE_EBUSY":
        error = ValueError(f"the key is taken, by {term!r}")
        error.holder = term  # type: ignore[attr-defined]
        raise error
    if name == "MOTE_NOMATCH":
        raise LookupError("there is no such entry")
    if name == "MOTE_ENOMEM":
        raise MemoryError
    raise MoteError(f"the request is refused ({name})")


def _wild(pattern: Any) -> Any:
    """The core's patterns have the atom _ for anything."""
    if pattern is ANY:
        return _WILD
    if type(pattern) in (tuple, list):
        return type(pattern)(map(_wild, pattern))
    return {key: _wild(value) for key, value in pattern.items()} if type(pattern) is dict else pattern


class _Client:
    """Where a registry or a scope is: its pid or its name."""

    __slots__ = ("pid",)

    def __init__(self, where: Place):
        self.pid = where

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _Client) and self.pid == other.pid

    def __hash__(self) -> int:
        return hash(self.pid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.pid!r})"


class _Now(_Client):
    """For functions and threads."""

    __slots__ = ()

    @classmethod
    def _mote_proxy(cls: type[C], where: Place) -> C:
        return cls(where)

    def _ask(self, *request: Any) -> Any:
        return _answer(_mote.call(self.pid, request if len(request) > 1 else request[0], None))

    def stop(self, reason: Any = "shutdown", timeout: Optional[float] = 5.0) -> None:
        """Ends it, and waits for that; a link with the caller goes before. NoProc: it had ended."""
        _mote.may_wait("stop", False)
        _mote.receive(_end(self.pid, reason), timeout=timeout)


class _Awaited(_Client):
    """For coroutine processes."""

    __slots__ = ()

    def _ask(self, *request: Any) -> Awaitable[Any]:
        return _then(_answer, _mote.aio_call(self.pid, request if len(request) > 1 else request[0], None))

    def stop(self, reason: Any = "shutdown", timeout: Optional[float] = 5.0) -> Awaitable[Any]:
        _mote.may_wait("stop", True)
        return _mote.aio_receive(_end(self.pid, reason), timeout=timeout)


def _me(pid: Optional[Pid[Any]]) -> Pid[Any]:
    return _mote.self() if pid is None else pid


async def _then(take: Callable[[Any], Any], call: Awaitable[Any]) -> Any:
    return take(await call)


def _end(to: Place, reason: Any) -> Any:
    """Its Down, which comes."""
    pid = _mote.whereis(to) if isinstance(to, str) else to
    if pid is None:
        raise NoProc(to)
    if isinstance(pid, Pid):
        _mote.unlink(pid)
    ref = _mote.monitor(pid)
    _mote.exit_send(pid, reason_of(reason))
    return (Atom("DOWN"), ref, ANY, ANY, ANY)


# ----------------------------------------------------------------------------------------------------- registries


class Registry(_Now):
    """Which processes have which keys, with a value each: Elixir's Registry. `Registry(where)` is one that runs: its pid, or its name.

    An entry goes with its process: who has learnt of that one's end finds it no more. In coroutine processes: `await registry.aio.lookup(key)`;
    only start and start_link do not wait. NoProc: there is no such registry.
    """

    __slots__ = ()

    @classmethod
    def start_link(cls, *, name: Optional[str] = None, duplicate: bool = False) -> Registry:
        """Starts one that is linked with the caller. duplicate: a key may be had by many; else by one process at most. ValueError: the name is
        taken."""
        return cls(_mote.registry_start(name, duplicate))

    @classmethod
    def start(cls, *, name: Optional[str] = None, duplicate: bool = False) -> Registry:
        """The same, not linked."""
        return _unlinked(cls.start_link(name=name, duplicate=duplicate))

    @staticmethod
    def _mote_child(*, name: Optional[str] = None, duplicate: bool = False) -> tuple[int, tuple[Optional[str], bool]]:
        """What a supervisor needs to know (see tree.c)."""
        return 3, (name, bool(duplicate))

    def register(self, key: Any, value: Any = None) -> None:
        """Gives the calling process a key. ValueError: it is taken; its attribute `holder` is by whom."""
        self._ask(_A["register"], key, _mote.self(), value)

    def unregister(self, key: Any) -> None:
        """Takes the calling process's entries under a key away. LookupError: it has none."""
        self._ask(_A["unregister"], key, _mote.self())

    def lookup(self, key: Any) -> list[tuple[Pid[Any], Any]]:
        """Who has a key: a list of (pid, value), first come first."""
        return self._ask(_A["lookup"], key)  # type: ignore[no-any-return]

    def whereis(self, key: Any) -> Optional[Pid[Any]]:
        """Who has a key, the first one; None: nobody."""
        entries = self.lookup(key)
        return entries[0][0] if entries else None

    def keys(self, pid: Optional[Pid[Any]] = None) -> list[Any]:
        """The keys of a process (the caller), in the order in which it got them."""
        return self._ask(_A["keys"], _me(pid))  # type: ignore[no-any-return]

    def select(self, pattern: Any = ANY) -> list[tuple[Any, Pid[Any], Any]]:
        """All entries (key, pid, value) that fit such a tuple, in which mote.ANY is anything, also within tuples, lists and dicts."""
        return self._ask(_A["select"], _wild(pattern))  # type: ignore[no-any-return]

    def count(self) -> int:
        """The number of entries."""
        return self._ask(_A["count"])  # type: ignore[no-any-return]

    __len__ = count

    def listen(self, on: bool = True) -> None:
        """The caller is told of changes (or no more): ("register", registry, key, pid, value) and ("unregister", registry, key, pid)."""
        self._ask(_A["listen"], _mote.self(), on)

    @property
    def aio(self) -> AioRegistry:
        """The same for coroutine processes."""
        return AioRegistry(self.pid)


class AioRegistry(_Awaited):
    """A registry's methods as Registry has them, to be awaited."""

    __slots__ = ()

    def register(self, key: Any, value: Any = None) -> Awaitable[None]:
        return self._ask(_A["register"], key, _mote.self(), value)

    def unregister(self, key: Any) -> Awaitable[None]:
        return self._ask(_A["unregister"], key, _mote.self())

    def lookup(self, key: Any) -> Awaitable[list[tuple[Pid[Any], Any]]]:
        return self._ask(_A["lookup"], key)

    def whereis(self, key: Any) -> Awaitable[Optional[Pid[Any]]]:
        return _then(lambda entries: entries[0][0] if entries else None, self._ask(_A["lookup"], key))

    def keys(self, pid: Optional[Pid[Any]] = None) -> Awaitable[list[Any]]:
        return self._ask(_A["keys"], _me(pid))

    def select(self, pattern: Any = ANY) -> Awaitable[list[tuple[Any, Pid[Any], Any]]]:
        return self._ask(_A["select"], _wild(pattern))

    def count(self) -> Awaitable[int]:
        return self._ask(_A["count"])

    def listen(self, on: bool = True) -> Awaitable[None]:
        return self._ask(_A["listen"], _mote.self(), on)


# --------------------------------------------------------------------------------------------------------- groups


class Group(_Now):
    """A scope of process groups, Erlang's pg: which processes are in which groups, named by any terms. `Group(where)` is one that runs.

    A process may be in many, and several times in one, and leaves with its end: who has learnt of that finds it no more. In a node with a name, scopes of one name on all connected nodes, mote's and Erlang's, are one: each has the
    processes of its own node, and members() are all. `mote.pg` is that of Erlang's default name, "pg". To other nodes a str is bytes: here, too, "a" and b"a" are one group. In coroutine processes:
    `await group.aio.join(name)`; only start and start_link do not wait. NoProc: there is no such scope.
    """

    __slots__ = ()

    @classmethod
    def start_link(cls, name: Optional[str] = None) -> Group:
        """Starts a scope that is linked with the caller. ValueError: the name is taken."""
        return cls(_mote.group_start(name))

    @classmethod
    def start(cls, name: Optional[str] = None) -> Group:
        """The same, not linked."""
        return _unlinked(cls.start_link(name))

    @staticmethod
    def _mote_child(name: Optional[str] = None) -> tuple[int, tuple[Optional[str], bool]]:
        """What a supervisor needs to know (see tree.c)."""
        return 4, (name, False)

    def join(self, group: Any, pid: Optional[Pid[Any]] = None) -> None:
        """Puts a process (the caller; one of this node) into a group, once more if it is there already. As pg:join."""
        self._ask(_A["join"], group, _me(pid))

    def leave(self, group: Any, pid: Optional[Pid[Any]] = None) -> None:
        """Takes it out again, once. LookupError: it is not there. As pg:leave."""
        self._ask(_A["leave"], group, _me(pid))

    def members(self, group: Any) -> list[Pid[Any]]:
        """A group's processes, on all nodes, those of this first, as often as they joined. As pg:get_members."""
        return self._ask(_A["members"], group)  # type: ignore[no-any-return]

    def local_members(self, group: Any) -> list[Pid[Any]]:
        """Those of this node. As pg:get_local_members."""
        return self._ask(_A["local_members"], group)  # type: ignore[no-any-return]

    def names(self) -> list[Any]:
        """The groups that have members. As pg:which_groups."""
        return self._ask(_A["names"])  # type: ignore[no-any-return]

    def broadcast(self, group: Any, message: Any) -> int:
        """Sends a message to each of a group's processes; their number."""
        return _send_all(message, self.members(group))

    def monitor(self, group: Any) -> tuple[Ref, list[Pid[Any]]]:
        """The caller is told of changes of a group from now on: (ref, "join" or "leave", group, pids). Gives the ref, and the members before the
        first change. As pg:monitor."""
        ref = _mote.make_ref()
        return ref, self._ask(_A["monitor"], group, _mote.self(), ref)

    def monitor_scope(self) -> tuple[Ref, dict[Any, list[Pid[Any]]]]:
        """The same for all groups, with a dict of their members. As pg:monitor_scope."""
        ref = _mote.make_ref()
        return ref, self._ask(_A["monitor_scope"], _mote.self(), ref)

    def demonitor(self, ref: Ref) -> None:
        """Ends that, and takes its messages out of the mailbox. LookupError: the ref is none of the caller's. As pg:demonitor."""
        self._ask(_A["demonitor"], _mote.self(), ref)
        while _mote.receive((ref, ANY, ANY, ANY), timeout=0, default=None) is not None:
            pass

    @property
    def aio(self) -> AioGroup:
        """The same for coroutine processes."""
        return AioGroup(self.pid)


class AioGroup(_Awaited):
    """A scope's methods as Group has them, to be awaited."""

    __slots__ = ()

    def join(self, group: Any, pid: Optional[Pid[Any]] = None) -> Awaitable[None]:
        return self._ask(_A["join"], group, _me(pid))

    def leave(self, group: Any, pid: Optional[Pid[Any]] = None) -> Awaitable[None]:
        return self._ask(_A["leave"], group, _me(pid))

    def members(self, group: Any) -> Awaitable[list[Pid[Any]]]:
        return self._ask(_A["members"], group)

    def local_members(self, group: Any) -> Awaitable[list[Pid[Any]]]:
        return self._ask(_A["local_members"], group)

    def names(self) -> Awaitable[list[Any]]:
        return self._ask(_A["names"])

    def broadcast(self, group: Any, message: Any) -> Awaitable[int]:
        return _then(lambda pids: _send_all(message, pids), self.members(group))

    def monitor(self, group: Any) -> Awaitable[tuple[Ref, list[Pid[Any]]]]:
        ref = _mote.make_ref()
        return _then(lambda members: (ref, members), self._ask(_A["monitor"], group, _mote.self(), ref))

    def monitor_scope(self) -> Awaitable[tuple[Ref, dict[Any, list[Pid[Any]]]]]:
        ref = _mote.make_ref()
        return _then(lambda groups: (ref, groups), self._ask(_A["monitor_scope"], _mote.self(), ref))

    def demonitor(self, ref: Ref) -> Awaitable[None]:
        return _flush(self._ask(_A["demonitor"], _mote.self(), ref), ref)


pg: Group = Group("pg")


# ---------------------------------------------------------------------------------------------------- global names

_CONFLICTS = {"exit": 0, "notify": 1, "notify_all": 2}


def _named(answer: tuple[int, Any]) -> Any:
    code, term = answer
    name = _mote.error_name(code) if code else ""
    if name == "MOTE_EBUSY":
        raise ValueError("the name is taken")
    if name == "MOTE_ELIMIT":
        raise ValueError("the name is too long, or there are too many")
    if name == "MOTE_TIMEOUT":
        raise TimeoutError("the other nodes do not let the name be registered")
    return _answer(answer)


def _found(answer: tuple[int, Any]) -> Any:
    return None if answer[0] and _mote.error_name(answer[0]) == "MOTE_NOMATCH" else _named(answer)


def _conflict(how: str) -> int:
    if how not in _CONFLICTS:
        raise ValueError(f"conflict is one of {', '.join(_CONFLICTS)}, not {how!r}")
    return _CONFLICTS[how]


# Locks are set by the caller himself, whom the nodes' servers of global names watch.
_SILENT_S = 5.0  # a node that does not answer has refused
_PAUSE_S, _PAUSES_DOUBLED = 0.01, 7


async def _nodes(wait: Wait, own: Any, nodes: Optional[Iterable[str]]) -> list[str]:
    """Those that are to have a lock, the greatest first: who wants it, too, begins there as well, and one of both gets no further."""
    if isinstance(nodes, str):
        raise TypeError(f"nodes is a list of names, not {nodes!r} alone")
    names = _named(await wait.call(own, _A["nodes"], None)) if nodes is None else nodes
    return sorted(map(str, names), reverse=True)


async def _ask(wait: Wait, own: Any, what: str, lock: tuple[Any, Any], node: str) -> bool:
    here = node == _mote.node()
    try:
        return bool(await wait.call(own if here else (_A["global_name_server"], Atom(node)), (_A[what], lock), _SILENT_S))
    except TimeoutError:
        return False
    except NoProc:
        if here:
            raise
        return True  # who is gone does not count


async def _set_lock(wait: Wait, own: Any, resource: Any, requester: Any, nodes: Optional[Iterable[str]], timeout: Optional[float]) -> bool:
    lock, tries, start = (resource, _me(requester)), 0, time.monotonic()
    names = await _nodes(wait, own, nodes)
    while True:
        asked = 0
        while asked < len(names) and await _ask(wait, own, "set_lock", lock, names[asked]):
            asked += 1
        if asked == len(names):
            return True
        for name in names[: asked + 1]:  # the one that has refused, too: it may have been silent
            await _ask(wait, own, "del_lock", lock, name)
        pause = time.monotonic_ns() % 1000 / 1000 * _PAUSE_S * 2 ** min(tries, _PAUSES_DOUBLED)  # as good as at random
        if timeout is not None:
            pause = min(pause, start + timeout - time.monotonic())
        if pause <= 0:
            return False
        await wait.sleep(pause)
        tries += 1


async def _del_lock(wait: Wait, own: Any, resource: Any, requester: Any, nodes: Optional[Iterable[str]]) -> None:
    for name in await _nodes(wait, own, nodes):
        await _ask(wait, own, "del_lock", (resource, _me(requester)), name)


class _Locking:
    """What is done while a lock is had."""

    __slots__ = ("names", "nodes", "requester", "resource", "timeout")

    def __init__(self, names: Any, resource: Any, requester: Any, nodes: Optional[Iterable[str]], timeout: Optional[float]):
        self.names, self.resource, self.requester, self.timeout = names, resource, requester, timeout
        self.nodes = nodes if nodes is None or isinstance(nodes, str) else list(nodes)

    def _begun(self, had: bool) -> None:
        if not had:
            raise TimeoutError(f"the lock of {self.resource!r} was not to be had in {self.timeout} seconds")


class _Locked(_Locking):
    __slots__ = ()

    def __enter__(self) -> None:
        self._begun(self.names.set_lock(self.resource, self.requester, nodes=self.nodes, timeout=self.timeout))

    def __exit__(self, *_: object) -> None:
        self.names.del_lock(self.resource, self.requester, nodes=self.nodes)


class _AioLocked(_Locking):
    __slots__ = ()

    async def __aenter__(self) -> None:
        self._begun(await self.names.set_lock(self.resource, self.requester, nodes=self.nodes, timeout=self.timeout))

    async def __aexit__(self, *_: object) -> None:
        await self.names.del_lock(self.resource, self.requester, nodes=self.nodes)


def _send_to(pid: Optional[Pid[Any]], name: Any, message: Any) -> None:
    if pid is None:
        raise LookupError(f"nobody has the global name {name!r}")
    _mote.send(pid, message)


class GlobalNames(_Now):
    """Names of processes that all nodes of a cluster know, Erlang's global: `mote.global_names`, in a node that was started with `global_names=True`.

    A name is any term, as an Atom or a str (which is bytes to others, so here, too, "a" and b"a" are one); it goes with its process, and with the node of that. `conflict` is what becomes of two processes that have one name when their clusters meet: it stays
    with the one whose node's name is smaller, and the other is killed ("exit") or sent ("global_name_conflict", name) ("notify"); or both lose it and are sent ("global_name_conflict", name, pid of the other) ("notify_all"). In coroutine processes:
    `await mote.global_names.aio.whereis(name)`. NoProc: this node has no global names.
    """

    __slots__ = ()

    def register(self, name: Any, pid: Optional[Pid[Any]] = None, *, conflict: str = "exit") -> None:
        """Gives a process (the caller; of any node) a name, on all nodes. ValueError: it is taken; TimeoutError: the others did not let it be for 30 seconds. As global:register_name."""
        _named(self._call(_A["register"], name, _me(pid), _conflict(conflict), False))

    def reregister(self, name: Any, pid: Optional[Pid[Any]] = None, *, conflict: str = "exit") -> None:
        """The same, whoever has the name now. As global:re_register_name."""
        _named(self._call(_A["register"], name, _me(pid), _conflict(conflict), True))

    def unregister(self, name: Any) -> None:
        """Takes a name away, on all nodes; one that nobody has is no error. As global:unregister_name."""
        _named(self._call(_A["unregister"], name))

    def whereis(self, name: Any) -> Optional[Pid[Any]]:
        """Who has a name; None: nobody. As global:whereis_name."""
        return _found(self._call(_A["whereis"], name))  # type: ignore[no-any-return]

    def send(self, name: Any, message: Any) -> None:
        """Sends to who has a name. LookupError: nobody. As global:send."""
        _send_to(self.whereis(name), name, message)

    def names(self) -> list[Any]:
        """All names. As global:registered_names."""
        return _named(self._call(_A["names"]))  # type: ignore[no-any-return]

    def sync(self, timeout: Optional[float] = None) -> None:
        """Waits until names have been exchanged with all visible nodes that are connected. TimeoutError. As global:sync."""
        _named(_mote.call(self.pid, _A["sync"], timeout))

    def set_lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None, timeout: Optional[float] = None) -> bool:
        """Sets a lock on nodes (this one and all that are known), for the calling process: nobody with another requester (the caller's pid) gets the resource there until it is taken back, or the caller has ended. Several may set the same lock. Tries again and
        again, after pauses of up to a second at random; False: in `timeout` seconds (0: at once) it was not to be had. A node that is gone does not count; one that is silent for 5 seconds has refused. As global:set_lock."""
        return in_place("set_lock", _set_lock, self.pid, resource, requester, nodes, timeout)

    def del_lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None) -> None:
        """Takes a lock back, if the caller has set it: with the same arguments. As global:del_lock."""
        in_place("del_lock", _del_lock, self.pid, resource, requester, nodes)

    def lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None, timeout: Optional[float] = None) -> _Locked:
        """`with mote.global_names.lock("table"): ...` has the lock while it runs; `async with mote.global_names.aio.lock("table"): ...`. TimeoutError. As global:trans."""
        return _Locked(self, resource, requester, nodes, timeout)

    def _call(self, *request: Any) -> tuple[int, Any]:
        return _mote.call(self.pid, request if len(request) > 1 else request[0], None)  # type: ignore[no-any-return]

    @property
    def aio(self) -> AioGlobalNames:
        """The same for coroutine processes."""
        return AioGlobalNames(self.pid)


class AioGlobalNames(_Awaited):
    """The methods as GlobalNames has them, to be awaited."""

    __slots__ = ()

    def register(self, name: Any, pid: Optional[Pid[Any]] = None, *, conflict: str = "exit") -> Awaitable[None]:
        return _then(_named, self._call(_A["register"], name, _me(pid), _conflict(conflict), False))

    def reregister(self, name: Any, pid: Optional[Pid[Any]] = None, *, conflict: str = "exit") -> Awaitable[None]:
        return _then(_named, self._call(_A["register"], name, _me(pid), _conflict(conflict), True))

    def unregister(self, name: Any) -> Awaitable[None]:
        return _then(_named, self._call(_A["unregister"], name))

    def whereis(self, name: Any) -> Awaitable[Optional[Pid[Any]]]:
        return _then(_found, self._call(_A["whereis"], name))

    def send(self, name: Any, message: Any) -> Awaitable[None]:
        return _then(lambda pid: _send_to(pid, name, message), self.whereis(name))

    def names(self) -> Awaitable[list[Any]]:
        return _then(_named, self._call(_A["names"]))

    def sync(self, timeout: Optional[float] = None) -> Awaitable[None]:
        return _then(_named, _mote.aio_call(self.pid, _A["sync"], timeout))

    def set_lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None, timeout: Optional[float] = None) -> Awaitable[bool]:
        return awaited("set_lock", _set_lock, self.pid, resource, requester, nodes, timeout)

    def del_lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None) -> Awaitable[None]:
        return awaited("del_lock", _del_lock, self.pid, resource, requester, nodes)

    def lock(self, resource: Any, requester: Any = None, *, nodes: Optional[Iterable[str]] = None, timeout: Optional[float] = None) -> _AioLocked:
        return _AioLocked(self, resource, requester, nodes, timeout)

    def _call(self, *request: Any) -> Awaitable[Any]:
        return _mote.aio_call(self.pid, request if len(request) > 1 else request[0], None)


global_names: GlobalNames = GlobalNames("mote_global")


async def _flush(call: Awaitable[Any], ref: Ref) -> None:
    await call
    while await _mote.aio_receive((ref, ANY, ANY, ANY), timeout=0, default=None) is not None:
        pass


def _send_all(message: Any, pids: list[Pid[Any]]) -> int:
    for pid in pids:
        _mote.send(pid, message)
    return len(pids)


def _unlinked(client: C) -> C:
    _mote.unlink(client.pid)  # type: ignore[arg-type]
    return client


__all__ = ["GlobalNames", "Group", "Registry", "global_names", "pg"]
