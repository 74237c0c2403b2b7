# SPDX-License-Identifier: Apache-2.0
"""G: timers, and the time limits of receives."""
import time

import mote

from conformance.tools import LIMIT, NOTHING, Race, error_of, raised, rounds, scenario, violations


@scenario
async def g01_never_early(f):
    bad = 0
    for i in range(100):
        seconds = (0, 0.001, 0.005, 0.02, 0.05)[i % 5]
        since = time.monotonic()
        await f.say_after(seconds, "t")
        assert await f.msg() == "t"
        bad += time.monotonic() - since < seconds
    return violations(bad)


@scenario
async def g02_both_forms(f):
    """A message that names its timer has a reference of the sender's own in it."""
    ref = mote.make_ref()
    await f.say_after(0.001, ("timeout", ref, "m"))
    named = await f.receive(("timeout", ref, "m"), timeout=LIMIT, default="no")
    await f.say_after(0.001, "b")
    return ["no" if named == "no" else "ok", await f.msg()]


@scenario
async def g03_cancel_before(f):
    seconds = 0.06
    left = mote.cancel(await f.say_after(seconds, "t"))
    while left is None and seconds < LIMIT:  # a thread that stands still for longer tries with a longer one
        assert await f.msg() == "t"
        seconds *= 4
        left = mote.cancel(await f.say_after(seconds, "t"))
    await f.sleep(seconds + 0.03)
    await f.hear()
    return [left is not None and 0 <= left <= seconds, len(await f.rest())]


@scenario
async def g04_cancel_after(f):
    timer = await f.say_after(0.001, "t")
    await f.settle(1)
    first = mote.cancel(timer) is not None
    return [first, len(await f.rest()), mote.cancel(timer) is not None]


@scenario
async def g05_cancel_race(f):
    race = Race()
    for i in range(1, rounds() + 1):
        timer = await f.say_after(0.001, "t")
        await f.busy(i * 1237 % 3000 / 1e6)
        fired = mote.cancel(timer) is None
        await f.sleep(0 if i % 20 else 0.005)
        await f.hear()
        once = not fired or await f.msg() == "t"
        race.round(fired, once and await f.msg(0) == NOTHING)
    return race.result()


@scenario
async def g06_to_name(f):
    async def takes_name(to):
        mote.register("conf_g6")
        mote.send(to, "named")
        mote.send(to, await f.msg())

    seconds, in_time = 0.05, False
    while not in_time and seconds < 4 * LIMIT:
        since = time.monotonic()
        mote.send_after(seconds, "conf_g6", "t")
        pid = await f.spawn(takes_name, mote.self())
        assert await f.msg() == "named"
        in_time = time.monotonic() - since < seconds
        if not in_time:
            mote.kill(pid)
            await f.gone(pid)
            await f.rest()
            seconds *= 4
    came = await f.msg()
    mote.send_after(0.001, "conf_g6_none", "t")
    await f.settle()
    return [came, len(await f.rest())]


@scenario
async def g07_receiver_dies(f):
    pid = f.idle_here()
    timer = mote.send_after(100, pid, "t")
    assert 0 < mote.read_timer(timer) <= 100
    mote.kill(pid)
    await f.gone(pid)
    await f.settle()
    return False if mote.read_timer(timer) is None else "number"


@scenario
async def g08_not_restarted(f):
    async def makes_noise(to):
        while True:
            mote.send(to, "noise")
            await f.sleep(0.01)

    noisy = await f.spawn(makes_noise, mote.self())
    since = time.monotonic()
    assert await f.receive("never", timeout=0.15, default=NOTHING) == NOTHING
    seconds = time.monotonic() - since
    mote.kill(noisy)
    return [seconds >= 0.15, seconds < LIMIT]


@scenario
async def g09_zero_still_takes(f):
    await f.say(mote.self(), "x")
    await f.say(mote.self(), "y")
    return "found" if await f.receive("y", timeout=0, default=NOTHING) == "y" else "missed"


async def receive_error(f, seconds):
    try:
        await f.receive(timeout=seconds)
    except Exception as error:
        return error_of(error, "noproc")
    return "no_error"


@scenario
async def g10_refused_times(f):
    """None waits for ever; there is no largest limit."""
    refused = [raised(mote.send_after, -1, mote.self(), "x"), await receive_error(f, -1)]
    mote.send(mote.self(), "x")
    return refused + [await receive_error(f, 0x100000000 / 1000)]


@scenario
async def g11_outlives_starter(f):
    async def starts_timer(to):
        mote.send_after(0.03, to, "t")

    await f.spawn(starts_timer, mote.self())
    return await f.msg()


@scenario
async def g12_deadline_order(f):
    for _ in range(20):  # set within 20 ms in one of them
        for ms in (60, 20, 40, 80):
            await f.say_after(ms / 1000, ms)
        got = [await f.msg() for _ in range(4)]
        if got == sorted(got):
            break
    return got


@scenario
async def g13_many_cancelled(f):
    seconds, cancelled = 0.5, 0
    while cancelled < 10000 and seconds < LIMIT:  # long enough to start and cancel them all
        seconds *= 2
        timers = [await f.say_after(seconds, "t") for _ in range(10000)]
        cancelled = sum(mote.cancel(timer) is not None for timer in timers)
        await f.sleep(seconds + 0.05)
        await f.hear()
        rest = len(await f.rest())
    return [cancelled, rest]
