# SPDX-License-Identifier: Apache-2.0
"""H: aliases."""
import mote

from conformance.tools import LIMIT, NOTHING, raised, returned, scenario


@scenario
async def h01_open_and_closed(f):
    alias = mote.alias()
    await f.say(alias, "one")
    first, closed = await f.msg(), mote.unalias(alias)
    await f.say(alias, "two")
    await f.settle()
    return [first, closed, mote.unalias(alias), len(await f.rest())]


@scenario
async def h02_first_reply_closes(f):
    alias = mote.alias(reply=True)
    await f.say(alias, "one")
    await f.say(alias, "two")
    await f.settle(1)
    return await f.rest()


@scenario
async def h03_reply_demonitor(f):
    pid = await f.idle()
    alias = mote.monitor(pid, alias="reply_demonitor")
    await f.say(alias, "r1")
    await f.say(alias, "r2")
    await f.settle(1)
    mote.exit(pid, "x")
    await f.settle()
    return await f.rest()


@scenario
async def h04_down_closes(f):
    pid = await f.idle()
    alias = mote.monitor(pid, alias="demonitor")
    mote.exit(pid, "x")
    why = await f.down(alias)
    await f.say(alias, "late")
    await f.settle()
    return [why, len(await f.rest())]


@scenario
async def h05_outlives_down(f):
    pid = await f.idle()
    alias = mote.monitor(pid, alias="explicit_unalias")
    mote.exit(pid, "x")
    why = await f.down(alias)
    await f.say(alias, "late")
    return [why, await f.msg(), mote.unalias(alias)]


@scenario
async def h06_of_dead(f):
    async def gives_alias(to):
        mote.send(to, mote.alias())

    pid = await f.spawn(gives_alias, mote.self())
    alias = await f.receive(mote.Ref, timeout=LIMIT)
    await f.gone(pid)
    return returned(mote.send, alias, "x", value="x")


@scenario
async def h07_only_its_own(f):
    async def closes_others(to, alias):
        mote.send(to, ("u", mote.unalias(alias)))

    alias = mote.alias()
    await f.spawn(closes_others, mote.self(), alias)
    _, closed = await f.receive(("u", bool), timeout=LIMIT)
    await f.say(alias, "x")
    return [closed, await f.msg()]


@scenario
async def h08_no_late_reply(f):
    async def replies_late(to):
        """When it is told that the caller has given up: no timing decides how late that is."""
        _, alias = await f.receive(("q", mote.Ref))
        await f.receive("late")
        mote.send(alias, ("reply", alias))
        mote.send(to, "replied")

    server = await f.spawn(replies_late, mote.self())
    alias = mote.monitor(server, alias="reply_demonitor")
    mote.send(server, ("q", alias))
    got = await f.receive(("reply", alias), timeout=0.005, default=NOTHING)
    mote.demonitor(alias, flush=True)
    mote.send(server, "late")
    await f.receive("replied", timeout=LIMIT)
    return ["timeout" if got == NOTHING else "got", len(await f.rest())]


@scenario
async def h09_queued_stay(f):
    alias = mote.alias()
    await f.say(alias, "x")
    await f.settle(1)
    mote.unalias(alias)
    return await f.rest()


@scenario
async def h10_messages_only(f):
    alias = mote.alias()
    return [raised(mote.link, alias), raised(mote.monitor, alias), raised(mote.exit, alias, "x")]
