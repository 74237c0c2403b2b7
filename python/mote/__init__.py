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

from mote import _errors, _mote
from mote._errors import Exit, ProcessExit
from mote._mote import (
    ANY,
    SKIP,
    Atom,
    MailboxFull,
    MoteError,
    NoProc,
    NotSendable,
    Pid,
    Ref,
    make_ref,
    receive,
    self,
    send,
    spawn,
    spawn_link,
    spawn_monitor,
)

_mote._set("Exit", Exit)
_mote._set("ProcessExit", ProcessExit)
_atexit.register(_mote.stop)

from mote import aio  # noqa: E402  (it needs what stands above)

__version__ = "0.1.0"
__all__ = [
    "ANY",
    "SKIP",
    "Atom",
    "Exit",
    "MailboxFull",
    "MoteError",
    "NoProc",
    "NotSendable",
    "Pid",
    "ProcessExit",
    "Ref",
    "aio",
    "make_ref",
    "receive",
    "send",
    "spawn",
    "spawn_link",
    "spawn_monitor",
]
