# SPDX-License-Identifier: Apache-2.0
"""The main program of a worker: joins the node, and does what the hub says until that ends, or says stop. See _hub.py."""
from __future__ import annotations

import os
import signal
import socket

from mote import _hub, _mote, _stock, _travel, _workers
from mote._mote import Atom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Started with the control channel as descriptor 3."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal all get it; the hub says what it means
    sock = socket.socket(fileno=3)
    os.set_inheritable(3, False)
    hello, fds, _, _ = socket.recv_fds(sock, 65536, 4)
    _, peer, spreads, kind, where = _hub.unpack(hello)
    _travel.program = (kind, where)
    _mote.start(0, 0.1, 0, 0, int(peer) & 255)
    membership, _, event, blobs = _mote.worker_join(int(peer), fds[0])
    _hub.open_channel(membership, 0, fds[2], fds[1], fds[3])
    _workers.membership = membership
    _stock.others.add(0)
    _stock.start_keeper()
    if spreads == "1":
        _mote._set("place", _workers.place)
    _hub.send(sock, _hub.pack("ready"), [event, blobs])
    while obey(sock, membership):
        pass
    _mote.stop()
    os._exit(0)


def obey(sock: socket.socket, membership: object) -> bool:
    """What the hub says next; False: that it is over, or nothing any more."""
    try:
        message, fds, _, _ = socket.recv_fds(sock, 65536, 4)
    except OSError:
        return False
    what, *fields = _hub.unpack(message) if message else ["stop"]
    if what == "open":
        _hub.open_channel(membership, int(fields[0]), fds[0], fds[1], fds[2])
        _stock.others.add(int(fields[0]) % _hub.WORKERS_MAX)
    elif what == "lost":
        peer, how, value = int(fields[0]), fields[1], fields[2]
        cause = (Atom(how), int(value) if value.lstrip("-").isdigit() else Atom(value))
        _stock.gone(peer % _hub.WORKERS_MAX)
        _mote.worker_lost(membership, peer, (Atom("worker_died"), peer % _hub.WORKERS_MAX, cause))
    return what != "stop"
