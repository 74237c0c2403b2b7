# SPDX-License-Identifier: Apache-2.0
"""The main program of a worker: joins the node, and does what the hub says until that ends, or says stop. See _hub.py."""
from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time

from mote import _hub, _mote, _stock, _travel, _workers
from mote._control import HERE
from mote._mote import ANY, Atom, Pid, Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

FLUSH_SECONDS = 5.0  # for what has been sent and waits for room


class Main:
    """This program as a worker."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.leaves = False
        hello, fds = _hub.receive(sock)
        if hello is None:  # the hub has ended
            os._exit(0)
        _, self.peer, secret, self.node, _stock.place, self.spreads, self.hook, _stock.recycle_after, kind, where = hello
        _stock.share(secret)
        _travel.program = (kind, os.fsdecode(where))
        _mote.start(0, 0.1, 0, 0, self.peer & 255)
        self.membership, _, event, blobs = _mote.worker_join(self.peer, fds[0])
        _hub.open_channel(self.membership, 0, fds[2], fds[1], fds[3])
        _workers.membership = self.membership
        _stock.worn = lambda: _hub.send(sock, "worn")
        _stock.came(0, 0)
        _stock.start_keeper()
        _hub.send(sock, "joined", fds=(event, blobs))

    def begin(self) -> None:
        """Ready, once the program's own function has said so."""
        while _mote.node() != self.node and not select.select([self.sock], [], [], 0.001)[0]:
            pass  # what the hub says of the node is the first in its channel; the hub itself may be about to end, and answers nothing
        if self.hook is not None:
            try:
                _travel.function_of(*self.hook)()
            except BaseException as error:
                self.fail(error)
        if self.spreads:
            _mote._set("place", _workers.place)
        self.base = set(_mote.processes())
        _hub.send(self.sock, "ready")

    def fail(self, error: BaseException) -> None:
        from mote._errors import trace_of

        trace = trace_of(error)
        sys.stderr.write(f"mote: on_worker_start has failed\n{trace}")
        sys.stderr.flush()
        _hub.send(self.sock, "failed", "on_worker_start has failed\n" + trace[-30_000:])
        os._exit(1)

    def obey(self) -> bool:
        """What the hub says next; False: that it is over, or nothing any more."""
        message, fds = _hub.receive(self.sock)
        what, *fields = message or ("stop",)
        if what == "open":
            peer, place = fields
            _hub.open_channel(self.membership, peer, fds[0], fds[1], fds[2])
            _stock.came(peer % _hub.NUMBERS, place)
            _hub.send(self.sock, "opened", peer)
        elif what == "opened":
            _hub.send(self.sock, "opened", self.peer)
        elif what == "lost":
            peer, reason = fields
            _stock.gone(peer % _hub.NUMBERS)
            _mote.worker_lost(self.membership, peer, reason)
        elif what == "retire" and fields[0] == self.peer % _hub.NUMBERS:
            _stock.stop_granting()
            _mote.spawn_opt(self.outlast, (), {}, *HERE)
        elif what == "retire":
            _stock.retired(fields[0])
        elif what == "serve":
            self.serve(*fields)
        return what != "stop"

    def serve(self, asker: Pid[Any], alias: Ref, coroutine: bool) -> None:
        """Of a worker that is dedicated to a process: here it is."""
        pid = _stock.grant(asker, coroutine)
        _mote.spawn_opt(self.outlast, (pid,), {}, *HERE)
        _mote.send(alias, (alias, _hub.GRANTED, pid))

    async def outlast(self, one: Optional[Pid[Any]] = None) -> None:
        """Ends the worker when this process has ended; without it when all have that were not there from the beginning."""
        from mote import aio

        mine: set[Optional[Pid[Any]]] = {*self.base, _mote.self()}
        while True:
            mine.add(_mote.asyncio_process())  # who imports asyncio has it from then on
            pids = [one] if one is not None else [pid for pid in _mote.processes() if pid not in mine]
            for ref in [_mote.monitor(pid) for pid in pids]:
                await aio.receive((Atom("DOWN"), ref, ANY, ANY, ANY))
            if one is not None or not pids:
                break
        self.leaves = True
        _hub.send(self.sock, "leaves")
        self.sock.shutdown(socket.SHUT_RD)  # which ends the main loop

    def end(self) -> None:
        """Of one that leaves the others all that was sent goes out, also what is told of its last processes."""
        _mote.stop()
        deadline = time.monotonic() + (FLUSH_SECONDS if self.leaves else 0.0)
        while not _mote.worker_flush(self.membership) and time.monotonic() < deadline:
            time.sleep(0.001)
        os._exit(0)


def main() -> None:
    """Started with the control channel as descriptor 3."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal all get it; the hub says what it means
    os.set_inheritable(3, False)
    program = Main(socket.socket(fileno=3))
    program.begin()
    while program.obey():
        pass
    program.end()
