# SPDX-License-Identifier: Apache-2.0
"""The node: the runtime that the processes of an interpreter live in."""
from __future__ import annotations

from collections import namedtuple

from mote import _mote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, Callable, Iterable, NamedTuple, Optional, Union

    from mote._mote import Atom

    class NodeInfo(NamedTuple):
        processes: int
        processes_started: int
        messages_sent: int
        messages_dropped: int
        messages_dead: int
        uptime: float
        hogs: int

else:
    NodeInfo = namedtuple(
        "NodeInfo", "processes processes_started messages_sent messages_dropped messages_dead uptime hogs", module=__name__
    )
NodeInfo.__doc__ = """Figures of a node, since it started: `processes` live now (threads that are processes too), `messages_dropped` were refused by full
mailboxes, `messages_dead` were for processes that had ended, `uptime` is in seconds, `hogs` is how often a process held the interpreter for long."""


def _end_workers(seconds: float) -> Optional[Callable[[], None]]:
    """Ends the workers, if there are any; gives what is to be done when the node has stopped."""
    import sys

    module = sys.modules.get("mote._workers")
    return module.end(seconds) if module is not None else None


of_command: Optional[Node] = None  # that of `mote run`, until the program makes its own


class Node:
    """Starts a node with options, instead of the one that starts with mote's first use; an interpreter has one at a time.

        with mote.Node(processes_max=100_000, hog=0.5) as node:
            ...
            print(node.info().processes)

    `workers` is how many interpreters it has, each an OS process: with more than one, mote.spawn() of a function at a module's top level goes to one that is
    idle, if there is one. The program's own is worker 0; the others are started now, and again when they die. `on_worker_start`, a function at the top level of a module, is called in each before its
    first process, at each start; MoteError with its traceback when it has failed five times. A worker that has been given `recycle_after` processes, or takes `recycle_memory` bytes, is
    replaced by a new one, and ends when its processes have. `processes_max` is how many processes may live at once (None: 2**25; more are MoteError). `hog` is after how many seconds a process that holds
    the interpreter, and lets no other run, is told of with its stack (None: never). `stack` is how many bytes of stack a plain function's process
    has (None: 4 MiB; of address space: memory is what it uses). MoteError when a node runs already, or when the runtime cannot start.

    With a `name`, alive@host, it is a node among others, of mote or Erlang:

        with mote.Node("py@127.0.0.1", cookie=secret):
            mote.send(("counter", "erl@127.0.0.1"), mote.self())

    `cookie` is the secret that all of them share (None: that of `cookie_file`, which by default is MOTE_COOKIE_FILE of the environment or ~/.erlang.cookie, and is
    made when it is missing). `tls` is a folder of certificates, ca.pem, cert.pem and key.pem, as `mote cert` makes them: connections are TLS then, with certificates on both sides, and
    nothing else. It listens at `address` (IPv4 or IPv6, `::` is both; None: the loopback address in its name, else 127.0.0.1; others need `tls`, or `insecure`, for without TLS everybody on the way can read and take over) and `port` (0: one that is free). `epmd` is the port of the port mapper (None: ERL_EPMD_PORT of the environment, or 4369; where none runs, this node becomes one);
    False: none, see mote.node_at(). `visible`: Erlang's nodes() shows it; `global_names`: such a one takes part in Erlang's global, see mote.global_names. `rights` of others, besides sending, linking and monitoring: "exit" (ending processes that
    they have no link with), "spawn", "rpc", "system" (see mote.allow()); a dict has those of each by its name, and of all that it does not name by "*". `limits` of what one of them may have here: "atoms" (65536),
    "processes" (1000, by spawn and rpc), "relations" (links and monitors: 1000000), "message" (bytes: 256 MiB), "queue" (bytes that wait for one that takes nothing: 64 MiB); who wants more is given up, or refused processes. After `tick` seconds of silence a node is given up. ValueError for what cannot be, MoteError; both say why in words.

    In a program that `mote run` has started, the first Node is the one that runs: its name and all that is of others are what the command says.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        *,
        workers: int = 1,
        processes_max: Optional[int] = None,
        hog: Optional[float] = 0.1,
        stack: Optional[int] = None,
        on_worker_start: Optional[Callable[[], object]] = None,
        recycle_after: Optional[int] = None,
        recycle_memory: Optional[int] = None,
        cookie: Optional[str] = None,
        cookie_file: Optional[str] = None,
        address: Optional[str] = None,
        port: int = 0,
        epmd: Union[int, bool, None] = None,
        visible: bool = False,
        global_names: bool = False,
        insecure: bool = False,
        rights: Union[Iterable[str], dict[str, Iterable[str]]] = (),
        limits: Optional[dict[str, int]] = None,
        tick: float = 60.0,
        tls: Union[str, PathLike[str], None] = None,
    ):
        if name is None and (cookie is not None or cookie_file or address or port or epmd is not None or visible or global_names or insecure or rights or limits or tls is not None):
            raise ValueError("cookie, cookie_file, address, port, epmd, visible, global_names, insecure, rights, limits, tick and tls are of a node with a name")
        if processes_max is not None and processes_max < 1 or stack is not None and stack < 1:
            raise ValueError("processes_max and stack are numbers from 1 on, or None")
        if hog is not None and not hog > 0:
            raise ValueError("hog is a number of seconds above 0, or None")
        if not 1 <= workers <= 63:
            raise ValueError("workers is a number from 1 to 63")
        if recycle_after is not None and recycle_after < 1 or recycle_memory is not None and recycle_memory < 1:
            raise ValueError("recycle_after is a number of processes, recycle_memory one of bytes, from 1 on, or None")
        taken = self._take_command(processes_max, hog, stack)
        if not taken:
            self._number = _mote.start(processes_max or 0, -1.0 if hog is None else hog, stack or 0)
        if name is not None and not taken:
            self._begin_cluster(name, cookie, cookie_file, address, port, epmd, visible, global_names, insecure, rights, limits or {}, tick, tls)
        if workers > 1 or on_worker_start or recycle_after or recycle_memory:
            self._begin_workers(workers, on_worker_start, recycle_after, recycle_memory)

    def _take_command(self, *fixed: Any) -> bool:
        """Under `mote run` the program's first is the one that runs. What cannot be changed in it is told of."""
        global of_command
        if of_command is None:
            return False
        self._number, of_command = of_command._number, None
        if fixed != (None, 0.1, None):
            from mote import _log

            _log.tell(30, "mote.Node: the node of `mote run` has started before: processes_max, hog and stack are what they are by default")
        return True

    def _begin_workers(self, workers: int, hook: Optional[Callable[[], object]], after: Optional[int], memory: Optional[int]) -> None:
        from mote import _hub, _travel, _workers

        try:
            path = None if hook is None else _travel.sendable_path(hook)
            _workers.begin(workers, _hub.Plan(workers > 1, path, after or 0, memory or 0))
        except BaseException:
            self.stop()
            raise

    def _begin_cluster(self, *options: Any) -> None:
        from mote import _cluster

        try:
            _cluster.begin(*options)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, timeout: Optional[float] = 5.0, *, drain: float = 0.0) -> None:
        """Ends the node: its processes, other threads' too, find ProcessExit("killed") raised (coroutines are closed), and clean up. Waits until
        all have ended. `drain` is for how many seconds they may end by themselves before. A process that has not ended `timeout` seconds later
        (None: no limit) is ended as it stands; if it is blocked outside Python even that cannot be: TimeoutError, and no other node can start.
        Ctrl-C meanwhile ends the program at once, with code 130, unless it has a handler of its own. Does nothing when the node has stopped.
        Not for processes: MoteError.
        """
        if timeout is not None and not timeout >= 0 or not drain >= 0:
            raise ValueError("timeout and drain are seconds from 0 on")
        leave = _end_workers(5.0 if timeout is None else timeout)
        _mote.stop(self._number, -1.0 if timeout is None else timeout, drain)
        if leave:
            leave()

    @property
    def name(self) -> Atom:
        """Its name among others: nonode@nohost, it has none."""
        return _mote.node()

    @property
    def port(self) -> int:
        """Where it listens; 0: it has no name."""
        return _mote.node_port()

    def reload_tls(self) -> None:
        """Reads the files of `tls` again, for connections that are made from now on; of those that are there each ends whose peer's certificate does not hold by
        them any more. ValueError, OSError when they will not do: then all is as before. MoteError: this node has no TLS."""
        _mote.tls_reload()

    def info(self) -> NodeInfo:
        """Its figures. MoteError when it has stopped."""
        figures = _mote.node_info(self._number)
        if figures is None:
            raise _mote.MoteError("mote: this node has stopped")
        return NodeInfo(*figures)
