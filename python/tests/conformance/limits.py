# SPDX-License-Identifier: Apache-2.0
"""J: fairness and limits."""
import sys
import time

import mote

from conformance.tools import LIMIT, UNDER_TOOL, UNTESTED, reason, scenario

MANY = 10000 if UNDER_TOOL else 100000
QUEUED = 100000 if UNDER_TOOL else 1000000
DEPTH = 1000000
STACK = 1 << 30


async def ping_pongs(f):
    """200 with a new server: how many went wrong, and whether in no more than a minute."""

    async def echo():
        while True:
            sender, what = await f.receive((mote.Pid, mote.ANY))
            mote.send(sender, what)

    server = await f.spawn(echo)
    since = time.monotonic()
    wrong = 0
    for i in range(200):
        mote.send(server, (mote.self(), i))
        wrong += await f.msg() != i
    mote.kill(server)
    return [wrong, time.monotonic() - since < 60]


@scenario
async def j01_among_spinners(f):
    """Python's processes are preempted where they call mote, as C's are."""

    async def spins():
        while True:
            await f.sleep(0)

    spinners = [await f.spawn(spins), f.spawn_here(spins)]  # two per scheduler
    result = await ping_pongs(f)
    for pid in spinners:
        mote.kill(pid)
    return result


@scenario
async def j02_long_queue(f):
    full = await f.idle()
    for i in range(QUEUED):
        mote.send(full, i)
    result = await ping_pongs(f)
    mote.kill(full)
    await f.gone(full)
    return result


@scenario
async def j03_offender_ends(f):
    """What grows from outside is a mailbox, and that has a limit that can end its process."""
    other = f.idle_here()
    offender, ref = mote.options(mailbox=10000, policy="end", monitor=True).spawn(f.body(f.forever))
    for _ in range(20000):
        mote.send(offender, [1, 2, 3])
    return [await f.down(ref), await f.is_alive(other)]


@scenario
async def j04_many_at_once(f):
    before = len(await f.processes())
    started = dict([await f.spawn_monitor(f.forever) for _ in range(MANY)])
    for pid in started:
        mote.kill(pid)
    refs = set(started.values())
    downs = [await f.receive(("DOWN", mote.Ref, mote.ANY, mote.ANY, "killed"), timeout=LIMIT, default=None) for _ in range(MANY)]
    await f.settle()
    killed = len({down.ref for down in downs if down} & refs)
    return [killed * 100000 // MANY, abs(len(await f.processes()) - before) < 5]


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


@scenario
async def j05_recursion(f):
    """With the usual limit, and with one that is large enough: of stack, and of Python's own."""

    async def dives():
        raise mote.Exit(("depth", deep(DEPTH)))

    _, ref = await f.spawn_monitor(dives)
    usual = reason(await f.down(ref))
    if UNDER_TOOL or not (f.own_stacks or sys.version_info >= (3, 11)):
        return [usual, UNTESTED]  # each call of Python's takes C stack there, and a coroutine has no stack to enlarge
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH + 1000)
    try:
        _, ref = mote.options(stack=STACK if f.own_stacks else 0, monitor=True).spawn(f.body(dives))
        return [usual, reason(await f.down(ref))]
    finally:
        sys.setrecursionlimit(before)
