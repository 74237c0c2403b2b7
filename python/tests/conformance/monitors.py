# SPDX-License-Identifier: Apache-2.0
"""D: monitors."""
import mote

from conformance.tools import LIMIT, NODE, Race, returned, rounds, scenario, violations

MANY = 5000


@scenario
async def d01_of_dead(f):
    return await f.gone(await f.dead())


@scenario
async def d02_of_nobody(f):
    ref = mote.monitor("conf_nobody")
    down = await f.receive(("DOWN", ref, "process", ("conf_nobody", NODE), mote.ANY), timeout=LIMIT)
    return ("named", down.reason)


@scenario
async def d03_three(f):
    pid = await f.idle()
    refs = [mote.monitor(pid) for _ in range(3)]
    mote.exit(pid, "x")
    return [await f.down(ref) for ref in refs] + [len(await f.rest())]


@scenario
async def d04_one_way(f):
    async def monitors_and_exits(pid):
        mote.monitor(pid)
        raise mote.Exit("boom")

    pid = f.idle_here()
    assert await f.die(monitors_and_exits, pid) == "boom"
    await f.settle()
    return ("alive", await f.is_alive(pid))


@scenario
async def d05_demonitor_race(f):
    race = Race()
    for i in range(1, rounds(3000, 100) + 1):
        pid = await f.racer(i, "normal")
        ref = mote.monitor(pid)
        await f.let_see(pid, i)
        mote.send(pid, "go")
        await f.sweep(i, race)
        active = mote.demonitor(ref, flush=True)
        await f.gone(pid)
        race.round(not active, await f.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=0, default=None) is None)
    return race.result()


@scenario
async def d06_queued_down_stays(f):
    ref = mote.monitor(await f.dead())
    await f.settle(1)
    mote.demonitor(ref)
    down = await f.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=0.05, default=None)
    return down.reason if down else "none"


@scenario
async def d07_demonitor_tells(f):
    pid = await f.idle()
    active = mote.demonitor(mote.monitor(pid))
    ref = mote.monitor(pid)
    mote.exit(pid, "x")
    await f.settle(1)
    return [active, mote.demonitor(ref), mote.demonitor(ref, flush=True), len(await f.rest())]


@scenario
async def d08_unknown_reference(f):
    return returned(mote.demonitor, mote.make_ref())


@scenario
async def d09_reasons(f):
    pid, ref = await f.spawn_monitor(f.forever)
    mote.kill(pid)
    return [await f.die(f.ends), await f.die(f.exits, "r"), await f.down(ref), await f.die(f.fails, "e")]


@scenario
async def d10_of_oneself(f):
    mote.monitor(mote.self())
    await f.settle()
    return await f.rest()


@scenario
async def d11_of_name(f):
    first = await f.idle()
    await f.there(mote.register, "conf_d11", first)
    ref = mote.monitor("conf_d11")
    mote.unregister("conf_d11")
    second = f.idle_here()
    mote.register("conf_d11", second)
    mote.exit(second, "q")
    await f.settle()
    nothing = len(await f.rest())
    mote.exit(first, "p")
    return [nothing, await f.down(ref)]


@scenario
async def d12_never_noproc(f):
    return violations(sum([await f.die(f.exits, "x") != "x" for _ in range(rounds(3000))]))


@scenario
async def d13_tagged(f):
    pid = await f.dead()
    ref = mote.monitor(pid, tag=mote.Atom("mytag"))
    tag, _, _, _, reason = await f.receive((mote.ANY, ref, "process", pid, mote.ANY), timeout=LIMIT)
    return (tag, reason)


@scenario
async def d14_many(f):
    pid = await f.idle()
    refs = [mote.monitor(pid) for _ in range(MANY)]
    mote.exit(pid, "x")
    return (sum([await f.down(ref) == "x" for ref in refs]), len(await f.rest()))


@scenario
async def d15_with_link(f):
    mote.trap_exit()
    pid = await f.idle()
    mote.link(pid)
    ref = mote.monitor(pid)
    mote.exit(pid, "x")
    return [await f.down(ref), (await f.receive(("EXIT", pid, mote.ANY), timeout=LIMIT)).reason]
