# SPDX-License-Identifier: Apache-2.0
"""M: supervisors."""
import time

import mote

from conformance.tools import LIMIT, reason, scenario


class Kid(mote.Server):
    """Its start returns when it is up: what several children tell somebody else has no order by itself, not in Erlang either. It dies of any cast."""

    def init(self, log, name):
        self.log, self.name = log, name
        mote.trap_exit()
        mote.send(log, ("up", name, mote.self()))

    def terminate(self, reason):
        if reason == "shutdown":
            mote.send(self.log, ("term", self.name, reason))


class AsyncKid(Kid):
    """The same as a coroutine."""

    async def terminate(self, reason):
        Kid.terminate(self, reason)


def child(f, name, stubborn=False, shutdown=LIMIT, restart="permanent"):
    """Tells its start and the exit signals it traps to who is supervising. It dies of ("die", Reason)."""

    async def kid(log):
        mote.trap_exit()
        mote.send(log, ("up", name, mote.self()))
        while True:
            message = await f.receive()
            if message[0] == "die":
                raise mote.Exit(message[1])
            if not isinstance(message, mote.ExitSignal):
                continue
            mote.send(log, ("term", name, message.reason))
            if not stubborn:
                raise mote.Exit(message.reason)

    return mote.Child(f.body(kid), mote.self()).options(id=name, shutdown=shutdown, restart=restart)


async def supervise_abc(f, strategy):
    mote.trap_exit()
    kid = Kid if f.own_stacks else AsyncKid
    return await f.supervise([mote.Child(kid, mote.self(), name).options(id=name) for name in "abc"], strategy=strategy, max_restarts=3)


async def wait_up(f, name):
    return (await f.receive(("up", name, mote.ANY), timeout=LIMIT))[2]


async def events(f, least=0):
    """What is told: what has to come, and then whatever more comes until nothing does for 80 ms."""
    found = []
    wanted = mote.any_of(("up", str, mote.Pid), ("term", str, mote.ANY))
    while True:
        event = await f.receive(wanted, timeout=LIMIT if len(found) < least else 0.08, default=None)
        if event is None:
            return found
        found.append(event[:2] if event[0] == "up" else event)


async def stop(f, supervisor):
    mote.unlink(supervisor.pid)
    ref = mote.monitor(supervisor.pid)
    mote.exit(supervisor.pid, "shutdown")
    await f.down(ref)


def die(pid, why):
    mote.send(pid, ("die", mote.Atom(why)))


@scenario
async def m01_order(f):
    supervisor = await supervise_abc(f, "one_for_one")
    up = await events(f, 3)
    await stop(f, supervisor)
    return up + await events(f, 3)


async def crash_b(f, strategy, least):
    """The second of three children crashes."""
    supervisor = await supervise_abc(f, strategy)
    pids = {name: await wait_up(f, name) for name in "abc"}
    mote.cast(pids["b"], "x")
    told = await events(f, least)
    await stop(f, supervisor)
    return told


@scenario
async def m02_one_for_one(f):
    return await crash_b(f, "one_for_one", 1)


@scenario
async def m03_one_for_all(f):
    return await crash_b(f, "one_for_all", 5)


@scenario
async def m04_rest_for_one(f):
    return await crash_b(f, "rest_for_one", 3)


@scenario
async def m05_gives_up(f):
    mote.trap_exit()
    supervisor = await f.supervise([child(f, name) for name in "ab"], max_restarts=2, max_seconds=3600)
    for name in "ab":
        await wait_up(f, name)
    for i in range(3):
        die(await f.child_of(supervisor, "a"), "x")
        if i < 2:
            await wait_up(f, "a")
    signal = await f.receive(("EXIT", supervisor.pid, mote.ANY), timeout=LIMIT)
    return [reason(signal.reason)] + await events(f, 1)


async def restarts(f, restart, why, least):
    """How many events follow when a child of that kind ends with a reason."""
    mote.trap_exit()
    supervisor = await f.supervise([child(f, "a", restart=restart)], max_restarts=3)
    die(await wait_up(f, "a"), why)
    n = len(await events(f, least))
    await stop(f, supervisor)
    await events(f, least)  # of the one that runs again
    return (why, n)


@scenario
async def m06_kinds(f):
    kinds = [("transient", "x", 1), ("transient", "normal", 0), ("transient", "shutdown", 0), ("temporary", "x", 0), ("permanent", "normal", 1)]
    return [await restarts(f, *kind) for kind in kinds]


async def stop_one(f, stubborn, shutdown):
    """Stops the supervisor of one child: the child's reason, and the seconds it took."""
    mote.trap_exit()
    supervisor = await f.supervise([child(f, "a", stubborn, shutdown)])
    ref = mote.monitor(await wait_up(f, "a"))
    since = time.monotonic()
    await stop(f, supervisor)
    seconds = time.monotonic() - since
    return await f.down(ref), seconds


@scenario
async def m07_killed_in_the_end(f):
    why, seconds = await stop_one(f, True, 0.1)
    return [why, seconds >= 0.095, seconds < LIMIT]


@scenario
async def m08_brutal_kill(f):
    why, _ = await stop_one(f, False, "kill")
    told = await events(f)
    return [why, *told] if told else [why, "none"]
