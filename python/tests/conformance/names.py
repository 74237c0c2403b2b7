# SPDX-License-Identifier: Apache-2.0
"""E: registered names. F: what is gone when a process is."""
import importlib

import mote

from conformance.tools import LIMIT, UNDER_TOOL, raised, returned, rounds, scenario, violations

PIDS = 10000 if UNDER_TOOL else 100000


@scenario
async def e01_come_and_go(f):
    pid = await f.idle()
    made = await f.there(returned, mote.register, "conf_e1", pid)
    return [made, mote.whereis("conf_e1") == pid, returned(mote.unregister, "conf_e1"), mote.whereis("conf_e1")]


def refused(name, pid):
    return raised(mote.register, name, pid, nobody="badarg")


@scenario
async def e02_refused(f):
    """Erlang's badarg is ValueError here, and NoProc where a process or a name is not there."""
    first, second = await f.idle(), f.idle_here()
    await f.there(mote.register, "conf_e2", first)
    said = [raised(mote.register, "conf_e2", second)]
    for name, pid in (("conf_e2b", first), ("conf_e2c", await f.dead())):
        said.append(await f.there(refused, name, pid))
    said.append(raised(mote.register, "undefined", second))
    mote.kill(first)
    return said + [raised(mote.unregister, "conf_e2d", nobody="badarg")]


@scenario
async def e03_free_at_down(f):
    bad = 0
    for _ in range(rounds()):
        pid, ref = await f.spawn_monitor(f.obeys, "normal")
        await f.there(mote.register, "conf_e3", pid)
        mote.send(pid, "go")
        await f.down(ref)
        bad += mote.whereis("conf_e3") is not None
    return violations(bad)


@scenario
async def e04_free_at_exit(f):
    mote.trap_exit()
    bad = 0
    for _ in range(rounds()):
        pid = await f.spawn_link(f.obeys, "normal")
        await f.there(mote.register, "conf_e4", pid)
        mote.send(pid, "go")
        assert await f.msg() == ("EXIT", pid, "normal")
        following = f.idle_here()
        bad += returned(mote.register, "conf_e4", following) is not True
        mote.kill(following)
        await f.is_alive(following)
    return violations(bad)


@scenario
async def e05_free_when_not_alive(f):
    bad = 0
    for _ in range(rounds()):
        pid = await f.idle()
        await f.there(mote.register, "conf_e5", pid)
        mote.kill(pid)
        assert not await f.is_alive(pid)
        bad += mote.whereis("conf_e5") is not None
    return violations(bad)


async def one_wins(f):
    async def wants_the_name(to):
        await f.receive("go")
        mote.send(to, ("w", returned(mote.register, "conf_e6") is True))
        await f.receive("stop")

    rivals = [await f.spawn(wants_the_name, mote.self()), f.spawn_here(wants_the_name, mote.self())]
    for pid in rivals:
        mote.send(pid, "go")
    winners = sum([(await f.receive(("w", bool), timeout=LIMIT))[1] for _ in rivals])
    for pid in rivals:
        mote.send(pid, "stop")
        await f.gone(pid)
    return winners == 1


@scenario
async def e06_name_race(f):
    return violations(sum([not await one_wins(f) for _ in range(rounds())]))


# ------------------------------------------------------------------------------------------------------------ F


async def is_known(f, pid):
    try:
        await f.info(pid)
    except mote.NoProc:
        return False
    return True


@scenario
async def f01_nothing_left(f):
    bad = 0
    for _ in range(rounds()):
        pid, ref = await f.spawn_monitor(f.ends)
        await f.down(ref)
        bad += await f.is_alive(pid) or await is_known(f, pid) or pid in await f.processes()
    return violations(bad)


given = []  # to processes of this interpreter


def is_given():
    return bool(given)


@scenario
async def f02_resources_gone(f):
    """What a process owns here: a name, and what its `finally` gives back."""

    async def takes():
        given.append(mote.self())
        try:
            mote.register("conf_f2")
            await f.sleep(0)
        finally:
            given.pop()

    bad = 0
    for _ in range(rounds()):
        assert await f.die(takes) == "normal"
        bad += await f.there(is_given) or mote.whereis("conf_f2") is not None
    return violations(bad)


@scenario
async def f03_unread_vanish(f):
    pid = await f.idle()
    for i in range(1000):
        mote.send(pid, i)
    mote.kill(pid)
    await f.gone(pid)
    await f.settle()
    return await f.rest()


@scenario
async def f04_pids_are_new(f):
    old = await f.dead()
    pids = set()
    for _ in range(PIDS // 1000):
        pids.update([await f.spawn(f.ends) for _ in range(1000)])
        await f.sleep(0)
    return [len(pids) * 100000 // PIDS, await f.is_alive(old), old in pids]


@scenario
async def f05_no_leak(f):
    """A process has no dictionary here: its name, its priority and its relations are what could leak."""

    async def tells_what_it_has(to):
        info = await f.info(mote.self())
        bare = not (info.name or info.links or info.monitors or info.aliases) and info.priority == "normal"
        mote.send(to, (None if bare else "leaks", mote.trap_exit(False).before))

    async def has_everything(to):
        mote.trap_exit()
        mote.register("conf_f5")
        mote.alias()
        mote.link(await f.idle())
        mote.monitor(to)
        assert (await f.info(mote.self())).priority == "high"
        await f.spawn(tells_what_it_has, to)

    mote.options(priority="high").spawn(f.body(has_everything), mote.self())
    return await f.msg()


@scenario
async def f06_no_function(f):
    """Python looks a function up when it calls it: what it does not find is the new process's error."""

    async def of_no_module():
        importlib.import_module("conf_no_such_module").f()

    return await f.die(of_no_module)
