# SPDX-License-Identifier: Apache-2.0
"""I: the mailbox, and large binaries in it."""
import resource
import time

import mote

from conformance.tools import LIMIT, UNDER_TOOL, UNTESTED, rounds, scenario, violations

MILLION = 1000000


@scenario
async def i01_length_seen(f):
    bad = 0
    for i in range(rounds(200)):
        pid = await f.idle()
        if i % 2:
            await f.sleep(0)  # it waits
        await f.has_begun(pid)
        for k in range(50):
            mote.send(pid, k)
        bad += (await f.info(pid)).messages != 50
        mote.kill(pid)
    return violations(bad)


@scenario
async def i02_timeout_takes_nothing(f):
    await f.say(mote.self(), "a")
    await f.say(mote.self(), "b")
    assert await f.receive("zz", timeout=0.005, default=None) is None
    return await f.rest()


@scenario
async def i03_outlives_sender(f):
    async def sends_binary(to):
        mote.send(to, b"x" * MILLION)

    _, ref = await f.spawn_monitor(sends_binary, mote.self())
    await f.down(ref)
    binary = await f.msg()
    return (len(binary), binary == b"x" * MILLION)


def resident():
    """Bytes in memory."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@scenario
async def i04_fan_out(f):
    async def keeps_binary(to):
        binary = await f.msg()
        mote.send(to, (len(binary), id(binary)))
        await f.forever()

    pids = [f.spawn_here(keeps_binary, mote.self()) for _ in range(200)]
    binary = bytes([7]) * MILLION
    before = resident()
    for pid in pids:
        mote.send(pid, binary)
    told = [await f.receive((int, int), timeout=LIMIT) for _ in pids]
    grown = not UNDER_TOOL and resident() - before >= 20 * MILLION
    for pid in pids:
        mote.kill(pid)
    shared = {place for _, place in told} == {id(binary)}
    return [sum(size for size, _ in told), shared and not grown]


@scenario
async def i05_freed_with_holder(f):
    """Memory is all there is to see of that."""

    async def holds_binary(to):
        binary = bytes([7]) * (50 * MILLION)
        mote.send(to, ("ready", len(binary)))
        await f.receive("go")
        assert binary

    await f.settle()
    before = await f.there(resident)
    pid = await f.spawn(holds_binary, mote.self())
    _, size = await f.receive(("ready", mote.ANY), timeout=LIMIT)
    full = await f.there(resident)
    mote.kill(pid)
    await f.gone(pid)
    since = time.monotonic()
    after = await f.there(resident)
    while after - before >= 5 * MILLION and not UNDER_TOOL and time.monotonic() - since < LIMIT:
        await f.settle()
        after = await f.there(resident)
    if UNDER_TOOL:  # AddressSanitizer keeps what is freed for a while, and gives it back when it likes
        return [size == 50 * MILLION, UNTESTED]
    return [full - before > 40 * MILLION, after - before < 5 * MILLION]
