# SPDX-License-Identifier: Apache-2.0
"""B: exit signals, exit reasons, trapping, clean-ups."""
import mote

from conformance.tools import LIMIT, Thrown, exit_of, returned, scenario


async def trapped(f, why):
    """What a process that traps gets of an exit signal of ours."""

    async def traps_and_tells(to):
        mote.trap_exit()
        mote.send(to, "up")
        mote.send(to, ("got", await f.msg()))

    pid = await f.spawn(traps_and_tells, mote.self())
    assert await f.msg() == "up"
    mote.exit(pid, why)
    _, got = await f.receive(("got", mote.ANY), timeout=LIMIT)
    return exit_of(mote.self(), got)


async def of_child(f, body, *args):
    """The exit of a linked child, trapped."""
    mote.trap_exit()
    return exit_of(await f.spawn_link(body, *args), await f.msg())


@scenario
async def b01_normal_peer(f):
    async def has_normal_child():
        await f.spawn_link(f.ends)
        await f.settle()
        raise mote.Exit(("alive", len(await f.rest())))

    return await f.die(has_normal_child)


async def die_by_child(f, why):
    async def has_child():
        await f.spawn_link(f.exits, why)
        await f.forever()

    return await f.die(has_child)


@scenario
async def b02_abnormal_peer(f):
    return await die_by_child(f, "boom")


@scenario
async def b03_trap_normal(f):
    return await of_child(f, f.ends)


@scenario
async def b04_trap_abnormal(f):
    return await of_child(f, f.exits, "boom")


@scenario
async def b05_normal_is_ignored(f):
    pid = await f.idle()
    mote.exit(pid, "normal")
    await f.settle()
    return ("alive", await f.is_alive(pid))


@scenario
async def b06_normal_trapped(f):
    return await trapped(f, "normal")


@scenario
async def b07_normal_to_oneself(f):
    async def exits_itself():
        mote.exit(mote.self(), "normal")
        raise mote.Exit("still_alive")

    return await f.die(exits_itself)


@scenario
async def b08_normal_to_oneself_trapped(f):
    mote.trap_exit()
    mote.exit(mote.self(), "normal")
    return exit_of(mote.self(), await f.msg())


@scenario
async def b09_kill_not_trapped(f):
    async def traps_forever(to):
        mote.trap_exit()
        mote.send(to, "up")
        await f.forever()

    pid, ref = await f.spawn_monitor(traps_forever, mote.self())
    assert await f.msg() == "up"
    mote.kill(pid)
    return await f.down(ref)


@scenario
async def b10_killed_peers(f):
    async def links_and_waits(to, pid):
        mote.link(pid)
        mote.send(to, "linked")
        await f.forever()

    mote.trap_exit()
    victim = await f.idle()
    mote.link(victim)
    ref = mote.monitor(f.spawn_here(links_and_waits, mote.self(), victim))
    assert await f.msg() == "linked"
    mote.kill(victim)
    signal = await f.receive(mote.ExitSignal, timeout=LIMIT)  # of two senders: the Down may come first
    return [exit_of(victim, signal), await f.down(ref)]


@scenario
async def b11_exit_kill_by_itself(f):
    return await of_child(f, f.exits, "kill")


@scenario
async def b12_kill_over_link(f):
    return await die_by_child(f, "kill")


@scenario
async def b13_kill_to_oneself(f):
    async def kills_itself():
        mote.trap_exit()
        mote.kill(mote.self())
        await f.forever()

    return await f.die(kills_itself)


@scenario
async def b14_chain_of_links(f):
    async def chain(n):
        if n == 0:
            await f.obeys("boom")
        child = await f.spawn_link(chain, n - 1)
        await f.receive("go")
        mote.send(child, "go")
        await f.forever()

    mote.trap_exit()
    pid = await f.spawn_link(chain, 10)
    mote.send(pid, "go")
    return exit_of(pid, await f.msg())


@scenario
async def b15_exit_without_link(f):
    caught = await trapped(f, "why")
    pid, ref = await f.spawn_monitor(f.forever)
    mote.exit(pid, "why")
    return [caught, await f.down(ref)]


@scenario
async def b16_exit_to_dead(f):
    return returned(mote.exit, await f.dead(), "x")


@scenario
async def b17_trap_flag(f):
    return [mote.trap_exit(True).before, mote.trap_exit(False).before]


@scenario
async def b18_trap_off_keeps(f):
    mote.trap_exit()
    child = await f.spawn_link(f.exits, "x")
    await f.settle(1)
    mote.trap_exit(False)
    return exit_of(child, await f.msg())


@scenario
async def b19_reasons(f):
    async def throws():
        raise Thrown("t")

    return [await f.die(f.ends), await f.die(f.fails, "bang"), await f.die(throws), await f.die(f.exits, "t")]


@scenario
async def b20_others_live(f):
    pid = await f.idle()
    assert await f.die(f.fails, "bang") == ("error", "bang")
    return ("alive", await f.is_alive(pid))


async def cleanup(f, body, ended):
    """What becomes of `finally` when a process ends: by itself, or `ended` by a signal once it is up."""

    async def cleans_up(to):
        try:
            await body(to)
        finally:
            mote.send(to, "cleanup_ran")

    pid, ref = await f.spawn_monitor(cleans_up, mote.self())
    if ended:
        assert await f.receive("up", timeout=LIMIT) == "up"
        mote.exit(pid, "shutdown")
    return [await f.down(ref), await f.rest()]


@scenario
async def b21_cleanup_of_killed(f):
    async def waits(to):
        mote.send(to, "up")
        await f.forever()

    return await cleanup(f, waits, True)


@scenario
async def b22_cleanup_of_exit(f):
    async def exits(to):
        raise mote.Exit("shutdown")

    return await cleanup(f, exits, False)


@scenario
async def b23_hits_computing(f):
    async def spins():
        while True:
            await f.sleep(0)  # a computation lets others run now and then; see docs/design/semantics.md

    pid, ref = await f.spawn_monitor(spins)
    await f.settle()
    mote.exit(pid, "stop")
    return await f.down(ref)
