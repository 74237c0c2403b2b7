# SPDX-License-Identifier: Apache-2.0
"""This program as a node among others, which may be mote's or Erlang's: connecting, and hearing of nodes that come and go."""
from __future__ import annotations

import os
import sys
from collections import namedtuple

from mote import _mote
from mote._control import HIDDEN
from mote._gen import CALL, ERROR
from mote._mote import ANY, Atom, Pid
from mote._wait import in_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Mapping, NamedTuple, Optional, Union

    from mote._wait import Wait

    class NodeUp(NamedTuple):
        tag: Atom
        node: Atom

    class NodeDown(NamedTuple):
        tag: Atom
        node: Atom

else:
    NodeUp = namedtuple("NodeUp", "tag node", module=__name__)
    NodeDown = namedtuple("NodeDown", "tag node", module=__name__)
NodeUp.__doc__ = """A node is connected: `case NodeUp(node=name)`, or `case ("nodeup", name)`. See mote.monitor_nodes()."""
NodeDown.__doc__ = """The connection to a node has ended, or cannot be made: `case NodeDown(node=name)`, or `case ("nodedown", name)`. See mote.monitor_node()."""

_CONNECTED = Atom("mote_node")
RIGHTS = {"exit": 1, "spawn": 2, "rpc": 4, "system": 8}
LIMITS = ("atoms", "processes", "relations", "message", "queue")  # in the order of net_start()
_PATIENCE = 30.0  # longer than the steps of a connection may take


def _check_cookie(cookie: Optional[str]) -> None:
    """Says what is wrong with a cookie, and not what it is."""
    if cookie is not None and not (isinstance(cookie, str) and cookie.isascii() and cookie.isprintable() and 1 <= len(cookie) <= 255):
        raise ValueError("a cookie is a str of 1 to 255 printable ASCII characters")


def _rights(given: Iterable[str]) -> int:
    names = frozenset((given,) if isinstance(given, str) else given)
    if not names <= RIGHTS.keys():
        raise ValueError(f"rights are of {', '.join(RIGHTS)}, not {', '.join(sorted(map(repr, names - RIGHTS.keys())))}")
    return sum(RIGHTS[name] for name in names)


def _limits(given: Mapping[str, int]) -> tuple[int, int, int, int, int]:
    wrong = [name for name in given if name not in LIMITS]
    if wrong:
        raise ValueError(f"limits are of {', '.join(LIMITS)}, not {', '.join(sorted(map(repr, wrong)))}")
    for name, most in given.items():
        if not 1 <= most < 1 << (63 if name in ("message", "queue") else 32):
            raise ValueError(f"the limit {name!r} is a number from 1 on, not {most!r}")
    atoms, processes, relations, message, queue = (given.get(name, 0) for name in LIMITS)
    return atoms, processes, relations, message, queue


def _check_port(what: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"{what} is a number from 1 to 65535, not {port!r}")


def begin(
    name: str,
    cookie: Optional[str],
    cookie_file: Optional[str],
    address: Optional[str],
    port: int,
    epmd: Union[int, bool, None],
    visible: bool,
    global_names: bool,
    insecure: bool,
    rights: Union[Iterable[str], Mapping[str, Iterable[str]]],
    limits: Mapping[str, int],
    tick: float,
    tls: Union[str, os.PathLike[str], None],
) -> None:
    """Makes the node that runs one among others. See mote.Node."""
    each = {node: _rights(given) for node, given in (rights if isinstance(rights, dict) else {"*": rights}).items()}
    most = _limits(limits)
    if not 1 <= tick <= 86400:
        raise ValueError(f"tick is seconds from 1 to 86400, not {tick!r}")
    _check_cookie(cookie)
    _check_port("port", port)
    _check_port("epmd", int(epmd or 0))
    if epmd is True:
        epmd = None
    mask = each.pop("*", 0)
    _mote.net_start(name, cookie, cookie_file, address, port, epmd or 0, epmd is False, visible, insecure, mask, int(tick * 1000), None if tls is None else os.path.abspath(tls), *most, global_names)
    for node, own in each.items():
        _mote.node_rights(node, own)
    together = sys.modules.get("mote._together")
    if together is not None:
        together.begin()


async def _connector() -> None:
    """Answers one call to connect. So who asks may give up, and nothing comes late."""
    _, caller, node = await _mote.aio_receive((CALL, ANY, ANY))
    try:
        ref = _mote.connect_start(node)
    except Exception as e:
        _mote.reply(caller, (ERROR, f"{e}", type(e).__name__))
        return
    connected = ref is None or (await _mote.aio_receive((_CONNECTED, ref, ANY), timeout=_PATIENCE, default=(None, None, False)))[2]
    _mote.reply(caller, connected)


def _connecting() -> Pid[Any]:
    """Here, where the connections are, and not in another worker."""
    return _mote.spawn_opt(_connector, (), {}, *HIDDEN)  # type: ignore[no-any-return]


def _took(answer: Any, node: str) -> None:
    if isinstance(answer, tuple):
        raise {"ValueError": ValueError, "TypeError": TypeError}.get(answer[2], _mote.MoteError)(answer[1])
    if not answer:
        raise ConnectionError(f"mote.connect: no connection to {node}: the log says why")


async def _connect(wait: Wait, node: str, timeout: Optional[float]) -> None:
    _took(await wait.call(_connecting(), node, timeout), node)


def connect(node: str, timeout: Optional[float] = 15.0) -> None:
    """Connects to a node, unless it is connected. Nobody needs to: whoever sends there does. Waits so many seconds, then TimeoutError; ConnectionError when
    it cannot be: the log says why. RuntimeError in a coroutine process. As net_kernel:connect_node/1."""
    in_place("connect", _connect, node, timeout)


async def _ping(wait: Wait, node: str, timeout: Optional[float]) -> bool:
    try:
        await _connect(wait, node, timeout)
    except (ConnectionError, TimeoutError):
        return False
    return True


def ping(node: str, timeout: Optional[float] = 15.0) -> bool:
    """Whether a node is connected, or can be within so many seconds. RuntimeError in a coroutine process. As net_adm:ping/1."""
    return in_place("ping", _ping, node, timeout)


def nodes(*, hidden: bool = False) -> list[Atom]:
    """The nodes that are connected; `hidden`: those that Erlang does not count among the visible ones, too. As Erlang's nodes/0 and nodes/1."""
    return _mote.nodes(hidden)


def monitor_node(node: str, on: bool = True) -> None:
    """NodeDown(node) comes once, when the connection to a node ends, or cannot be made. Each call counts: False undoes one. Never waits. As Erlang's
    monitor_node/2."""
    _mote.monitor_node(node, on)


def monitor_nodes(on: bool = True) -> None:
    """NodeUp(node) and NodeDown(node) come for every node, hidden ones too, until False, or the caller's end. Never waits. As net_kernel:monitor_nodes/1."""
    _mote.monitor_node(None, on)


def set_cookie(node: str, cookie: str) -> None:
    """The secret for one node, instead of this node's own. ValueError. Never waits. As erlang:set_cookie/2."""
    _check_cookie(cookie)
    _mote.node_cookie(node, cookie)


def allow(node: str, *rights: str) -> None:
    """What one node may do, besides sending, linking and monitoring, instead of the `rights` of mote.Node: "exit" (end processes that it has no link with), "spawn", "rpc", "system" (link with
    processes that mote.protect() protects, and with "exit" end them); none of them without. It is known by the name that it has proved; what it does next is held to that. ValueError. Never waits."""
    _mote.node_rights(node, _rights(rights))
