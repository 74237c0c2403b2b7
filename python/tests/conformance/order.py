# SPDX-License-Identifier: Apache-2.0
"""A: signals from one process to another arrive in the order sent, whatever their kind and address."""
import mote

from conformance.tools import LIMIT, NODE, NOTHING, raised, returned, rounds, scenario, violations


async def take_numbers(f, n):
    """Takes 1 to n; the number of those that were not next."""
    return sum([await f.msg() != i for i in range(1, n + 1)])


def spam(addresses, n):
    """Sends 1 to n by each address in turn."""
    for i in range(n):
        mote.send(addresses[i % len(addresses)], i + 1)


@scenario
async def a01_one_sender(f):
    async def sends(to):
        spam([to], 100000)

    await f.spawn(sends, mote.self())
    return violations(await take_numbers(f, 100000))


@scenario
async def a02_exit_in_order(f):
    async def wants_may():
        while await f.receive(timeout=0, default=NOTHING) != "mustnot":
            pass
        raise mote.Exit("bad")

    bad = 0
    for i in range(rounds()):
        pid, ref = await f.spawn_monitor(wants_may)
        if i % 2:
            await f.sleep(0)  # it has begun
        for message in ("may", "may"):
            mote.send(pid, message)
        mote.exit(pid, "good")
        for message in ("mustnot", "mustnot"):
            mote.send(pid, message)
        bad += await f.down(ref) != "good"
    return violations(bad)


@scenario
async def a03_messages_then_exit(f):
    async def one_two(to):
        spam([to], 2)
        raise mote.Exit("bye")

    mote.trap_exit()
    bad = 0
    for _ in range(rounds()):
        child = await f.spawn_link(one_two, mote.self())
        bad += [await f.msg(), await f.msg(), await f.msg()] != [1, 2, ("EXIT", child, "bye")]
    return violations(bad)


@scenario
async def a04_messages_then_down(f):
    async def one_two(to):
        spam([to], 2)

    bad = 0
    for _ in range(rounds()):
        child, ref = await f.spawn_monitor(one_two, mote.self())
        bad += [await f.msg(), await f.msg(), await f.msg()] != [1, 2, ("DOWN", ref, "process", child, "normal")]
    return violations(bad)


@scenario
async def a05_eight_senders(f):
    each = 5000

    async def sends_pairs(to):
        for i in range(each):
            mote.send(to, (mote.self(), i + 1))

    last = {await f.spawn(sends_pairs, mote.self()): 0 for _ in range(8)}
    bad = 0
    for _ in range(8 * each):
        sender, n = await f.receive((mote.Pid, int), timeout=LIMIT, default=(None, 0))
        bad += n != last.get(sender, n) + 1
        last[sender] = n
    return violations(bad)


@scenario
async def a06_four_addresses(f):
    async def spams(to, alias):
        spam([to, "conf_a06", ("conf_a06", NODE), alias], 2000)

    mote.register("conf_a06")
    await f.spawn(spams, mote.self(), mote.alias())
    bad = await take_numbers(f, 2000)
    mote.unregister("conf_a06")
    return violations(bad)


@scenario
async def a07_first_match(f):
    for i in range(5):
        await f.say(mote.self(), i + 1)
    for wanted in (3, 5):
        assert await f.receive(wanted, timeout=LIMIT) == wanted
    return await f.rest()


@scenario
async def a08_send_to_dead(f):
    return returned(mote.send, await f.dead(), "x", value="x")


@scenario
async def a09_send_to_nobody(f):
    """Erlang's badarg is mote's NoProc here."""
    return [raised(mote.send, "conf_nobody", "x", nobody="badarg"), returned(mote.send, ("conf_nobody", NODE), "y", value="y")]


@scenario
async def a10_link_unlink_exit(f):
    async def links_and_unlinks(victim):
        mote.link(victim)
        mote.unlink(victim)
        raise mote.Exit("boom")

    bad = 0
    for _ in range(rounds()):
        victim = f.idle_here()
        assert await f.die(links_and_unlinks, victim) == "boom"
        bad += not await f.is_alive(victim)
        mote.kill(victim)
    return violations(bad)


@scenario
async def a11_link_exit(f):
    async def links_and_exits(to):
        mote.link(to)
        raise mote.Exit("boom")

    mote.trap_exit()
    bad = 0
    for _ in range(rounds()):
        child = await f.spawn(links_and_exits, mote.self())
        bad += await f.msg() != ("EXIT", child, "boom")
    return violations(bad)


@scenario
async def a12_kill_then_look(f):
    bad = 0
    for i in range(rounds()):
        pid = await f.idle()
        if i % 2:
            await f.sleep(0)  # it waits
        mote.kill(pid)
        bad += await f.is_alive(pid)
    return violations(bad)


async def down_after_all(f, alias):
    async def registers_and_spams(to, alias):
        mote.register("conf_a13s")
        mote.send(to, "up")
        _, ref = await f.receive(("go", mote.Ref))
        spam([to, "conf_a13", alias, ref], 100)

    pid = await f.spawn(registers_and_spams, mote.self(), alias)
    assert await f.msg() == "up"
    ref = mote.monitor("conf_a13s", alias="explicit_unalias")
    mote.send(pid, ("go", ref))
    in_order = await take_numbers(f, 100) == 0
    last = await f.msg() == ("DOWN", ref, "process", ("conf_a13s", NODE), "normal")
    mote.unalias(ref)
    return in_order and last


@scenario
async def a13_down_comes_last(f):
    mote.register("conf_a13")
    alias = mote.alias()
    bad = sum([not await down_after_all(f, alias) for _ in range(rounds(200))])
    mote.unregister("conf_a13")
    return violations(bad)


@scenario
async def a14_to_oneself(f):
    bad = 0
    for i in range(rounds()):
        await f.say(mote.self(), i)
        bad += await f.receive(i, timeout=0, default=NOTHING) != i
    return violations(bad)
