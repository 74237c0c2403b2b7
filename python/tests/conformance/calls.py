# SPDX-License-Identifier: Apache-2.0
"""K: calls."""
import mote

from conformance.tools import LIMIT, scenario


async def called(f, to, timeout=LIMIT):
    """The reason with which Erlang's call exits."""
    try:
        await f.call(to, "x", timeout)
    except mote.NoProc as error:
        return error.reason
    except TimeoutError:
        return "timeout"
    except mote.MoteError:
        return "calling_self"
    return "no_error"


@scenario
async def k01_nobody_there(f):
    return [await called(f, await f.dead()), await called(f, "conf_nobody")]


@scenario
async def k02_too_late(f):
    async def replies_late(to):
        """When it is told that the caller has given up: no timing decides how late that is."""
        _, caller, _ = await f.receive(("$gen_call", mote.ANY, mote.ANY))
        await f.receive("late")
        mote.reply(caller, "late")
        mote.send(to, "replied")
        await f.forever()

    server = await f.spawn(replies_late, mote.self())
    outcome = await called(f, server, 0.005)
    mote.send(server, "late")
    await f.receive("replied", timeout=LIMIT)
    return [outcome, len(await f.rest())]


@scenario
async def k03_server_dies(f):
    async def crashes():
        await f.receive(("$gen_call", mote.ANY, mote.ANY))
        raise mote.Exit("crashed")

    return [await called(f, await f.spawn(crashes)), len(await f.rest())]


@scenario
async def k04_to_oneself(f):
    mote.register("conf_k4")
    outcomes = {await called(f, to) for to in (mote.self(), "conf_k4", ("conf_k4", "nonode@nohost"))}
    mote.unregister("conf_k4")
    return outcomes.pop() if len(outcomes) == 1 else sorted(outcomes)
