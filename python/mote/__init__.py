# SPDX-License-Identifier: Apache-2.0
"""Erlang's way of being concurrent: processes that share nothing and talk by messages.

    import mote

    def greeter():
        sender, name = mote.receive()
        mote.send(sender, f"hello, {name}")

    pid = mote.spawn(greeter)
    mote.send(pid, (mote.self(), "world"))
    print(mote.receive(timeout=1))

A plain function runs on a stack of its own and uses `mote.receive()`; an `async def` uses `await mote.aio.receive()`.
"""
import atexit as _atexit
import os as _os

from mote import _imports, _mote, aio
from mote._cluster import NodeDown, NodeUp, allow, connect, monitor_node, monitor_nodes, nodes, ping, set_cookie
from mote._control import (
    Down,
    ExitSignal,
    Info,
    blocking,
    call,
    cast,
    demonitor,
    exit,
    info,
    kill,
    mailbox,
    monitoring,
    options,
    processes,
    protect,
    register,
    trap_exit,
)
from mote._errors import Exit, Interrupted, ProcessExit, RpcError, StartFailed, TaskFailed, Told as _Told, WorkerDied
from mote._gen import Status, get_state, get_status, replace_state, resume, statistics, suspend, upgrade
from mote._log import log_processes, started as _started
from mote._machine import Event, Machine, state
from mote._mote import (
    ANY,
    SKIP,
    Atom,
    Buffer,
    MailboxFull,
    MoteError,
    NoProc,
    NotSendable,
    Pattern,
    Pid,
    Ref,
    SharedBytes,
    Term,
    alias,
    any_of,
    buffer,
    cancel,
    decode,
    disconnect,
    encode,
    is_alive,
    link,
    make_ref,
    message,
    monitor,
    node,
    node_at,
    pattern,
    read_timer,
    receive,
    registered,
    reply,
    self,
    send,
    send_after,
    send_nosuspend,
    sleep,
    spawn,
    spawn_link,
    spawn_monitor,
    unalias,
    unlink,
    unregister,
    whereis,
)
from mote._node import Node, NodeInfo
from mote._registry import GlobalNames, Group, Registry, global_names, pg
from mote._scope import scope
from mote._server import NoReply, Proxy, Server
from mote._task import Task, first, gather
from mote._tree import Child, ChildInfo, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mote._executor import Executor as Executor, pmap as pmap, pool as pool
    from mote._together import Cluster as Cluster, export as export, rpc as rpc
else:
    from mote._late import Cluster, Executor, export, pmap, pool, rpc

_mote._set("Exit", Exit)
_mote._set("ProcessExit", ProcessExit)
_mote._set("Down", Down)
_mote._set("ExitSignal", ExitSignal)
_mote._set("Info", Info)
_mote._set("NodeUp", NodeUp)
_mote._set("NodeDown", NodeDown)
_mote._set("Told", _Told)
if not _mote.OWN_STACKS or _os.environ.get("MOTE_STACKS") == "greenlet":
    from mote import _greenlets

    _mote._set("green", _greenlets.wrap)
_imports.watch()
_started()
_atexit.register(_mote.at_exit)
_os.register_at_fork(after_in_child=_mote.forked)


__version__ = "0.1.0"
__all__ = [
    "ANY",
    "Atom",
    "Buffer",
    "Child",
    "ChildInfo",
    "Cluster",
    "Down",
    "Event",
    "Executor",
    "Exit",
    "ExitSignal",
    "GlobalNames",
    "Group",
    "Info",
    "Interrupted",
    "Machine",
    "MailboxFull",
    "MoteError",
    "NoProc",
    "NoReply",
    "Node",
    "NodeDown",
    "NodeInfo",
    "NodeUp",
    "NotSendable",
    "Pattern",
    "Pid",
    "ProcessExit",
    "Proxy",
    "Ref",
    "Registry",
    "RpcError",
    "SKIP",
    "Server",
    "SharedBytes",
    "StartFailed",
    "Status",
    "Supervisor",
    "Task",
    "TaskFailed",
    "Term",
    "WorkerDied",
    "aio",
    "alias",
    "allow",
    "any_of",
    "blocking",
    "buffer",
    "call",
    "cancel",
    "cast",
    "connect",
    "decode",
    "demonitor",
    "disconnect",
    "encode",
    "export",
    "first",
    "gather",
    "get_state",
    "get_status",
    "global_names",
    "info",
    "is_alive",
    "kill",
    "link",
    "log_processes",
    "mailbox",
    "make_ref",
    "message",
    "monitor",
    "monitor_node",
    "monitor_nodes",
    "monitoring",
    "node",
    "node_at",
    "nodes",
    "options",
    "pattern",
    "pg",
    "ping",
    "pmap",
    "pool",
    "processes",
    "protect",
    "read_timer",
    "receive",
    "register",
    "registered",
    "replace_state",
    "reply",
    "resume",
    "rpc",
    "scope",
    "send",
    "send_after",
    "send_nosuspend",
    "set_cookie",
    "sleep",
    "spawn",
    "spawn_link",
    "spawn_monitor",
    "state",
    "statistics",
    "suspend",
    "trap_exit",
    "unalias",
    "unlink",
    "unregister",
    "upgrade",
    "whereis",
]
