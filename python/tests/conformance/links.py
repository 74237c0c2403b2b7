# SPDX-License-Identifier: Apache-2.0
"""C: links."""
import mote

from conformance.tools import LIMIT, UNDER_TOOL, Race, exit_of, raised, returned, rounds, scenario, violations

MANY = 500 if UNDER_TOOL else 5000


async def obedient(f):
    """A process that exits with x when it is told to."""
    return await f.spawn(f.obeys, "x")


@scenario
async def c01_one_unlink(f):
    mote.trap_exit()
    pid = await obedient(f)
    mote.link(pid)
    mote.link(pid)
    mote.unlink(pid)
    mote.send(pid, "go")
    await f.settle()
    return await f.rest()


@scenario
async def c02_one_exit(f):
    mote.trap_exit()
    pid = await obedient(f)
    mote.link(pid)
    mote.link(pid)
    mote.send(pid, "go")
    await f.settle(1)
    return len(await f.rest())


@scenario
async def c03_other_side(f):
    async def unlinks_its_parent(parent):
        mote.unlink(parent)
        mote.send(parent, "off")
        raise mote.Exit("x")

    mote.trap_exit()
    child = await f.spawn_link(unlinks_its_parent, mote.self())
    return [await f.msg(), exit_of(child, await f.msg(0.06))]


@scenario
async def c04_link_to_dead(f):
    first = raised(mote.link, await f.dead_here())  # of another worker it is not known: the link is made, and the exit signal comes
    mote.trap_exit()
    pid = await f.dead()
    return [first, returned(mote.link, pid), exit_of(pid, await f.msg())]


@scenario
async def c05_no_link(f):
    return [returned(mote.unlink, pid) for pid in (await f.idle(), await f.dead(), mote.self())]


@scenario
async def c06_unlink_race(f):
    race = Race()
    mote.trap_exit()
    for i in range(1, rounds(3000, 100) + 1):
        pid = await f.racer(i, "x")
        mote.link(pid)
        await f.let_see(pid, i)
        mote.send(pid, "go")
        await f.sweep(i, race)
        mote.unlink(pid)
        came = await f.receive(("EXIT", pid, mote.ANY), timeout=0, default=None) is not None
        await f.gone(pid)
        race.round(came, await f.receive(("EXIT", pid, mote.ANY), timeout=0, default=None) is None)
    return race.result()


@scenario
async def c07_always_told(f):
    mote.trap_exit()
    bad = 0
    for _ in range(rounds(3000)):
        child = await f.spawn_link(f.exits, "x")
        bad += await f.msg() != ("EXIT", child, "x")
    return violations(bad)


@scenario
async def c08_link_to_oneself(f):
    return [returned(mote.link, mote.self()), ("links", (await f.info(mote.self())).links)]


@scenario
async def c09_link_again(f):
    mote.trap_exit()
    pid = await obedient(f)
    mote.link(pid)
    mote.unlink(pid)
    mote.link(pid)
    mote.send(pid, "go")
    return exit_of(pid, await f.msg())


async def link_at_random(f, pid, seed):
    for i in range(1, 13):
        if (seed * 31 + i * 17) % 3 == 0:
            mote.unlink(pid)
        else:
            mote.link(pid)
        if (seed + i) % 5 == 0:
            await f.sleep(0)  # so that the two mix


async def both_ends_agree(f, seed):
    async def other_end(peer, seed):
        mote.trap_exit()
        await f.receive(("a", peer))
        await link_at_random(f, peer, seed)
        mote.send(peer, "b_done")
        await f.receive("fin")
        mote.link(peer)
        mote.send(peer, "b_linked")
        await f.receive("die")
        raise mote.Exit("agree")

    peer = await f.spawn(other_end, mote.self(), seed)
    mote.send(peer, ("a", mote.self()))
    await link_at_random(f, peer, seed + 1)
    assert await f.msg() == "b_done"
    mote.link(peer)
    mote.send(peer, "fin")
    assert await f.msg() == "b_linked"
    mote.send(peer, "die")
    told = await f.msg() == ("EXIT", peer, "agree")
    assert await f.rest() == []
    return told


@scenario
async def c10_random_links(f):
    mote.trap_exit()
    return violations(sum([not await both_ends_agree(f, i + 1) for i in range(rounds(500))]))


@scenario
async def c11_queued_exit_stays(f):
    mote.trap_exit()
    child = await f.spawn_link(f.exits, "x")
    await f.settle(1)
    mote.unlink(child)
    return exit_of(child, await f.msg(0.05))


async def await_up(f):
    for _ in range(MANY):
        assert await f.receive("up", timeout=LIMIT) == "up"


@scenario
async def c12_many_links(f):
    async def tells_of_hub(to, hub):
        mote.trap_exit()
        mote.link(hub)
        mote.send(to, "up")
        mote.send(to, ("got", (await f.receive(("EXIT", hub, mote.ANY))).reason))
        if await f.receive(("EXIT", hub, mote.ANY), timeout=0.05, default=None):
            mote.send(to, "dup")

    hub = f.idle_here()
    for _ in range(MANY):
        await f.spawn(tells_of_hub, mote.self(), hub)
    await await_up(f)
    mote.exit(hub, "bye")
    got = sum([await f.receive(("got", mote.ANY), timeout=LIMIT, default=None) == ("got", "bye") for _ in range(MANY)])
    for _ in range(3):
        await f.settle()
    return (got * 5000 // MANY, len(await f.rest()))


@scenario
async def c13_crash_of_set(f):
    async def links_to_hub(to, hub):
        mote.link(hub)
        mote.send(to, "up")
        await f.forever()

    hub = f.idle_here()
    refs = [(await f.spawn_monitor(links_to_hub, mote.self(), hub))[1] for _ in range(MANY)]
    await await_up(f)
    mote.exit(hub, "bye")
    same = sum([await f.down(ref) == "bye" for ref in refs])
    return ("same", same * 5000 // MANY)
