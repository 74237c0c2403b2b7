# SPDX-License-Identifier: Apache-2.0
"""Tasks and scopes: results, failures, time limits, ends; from functions, coroutines and threads."""
import gc
import os
import random
import sys
import time
import unittest

import mote
from both import PATIENCE, Plain, everywhere, only_in_processes, with_asyncio

ANY = mote.ANY
Task = mote.Task


# Each behaviour twice: as a function and as a coroutine.


def f_add(a, b=1):
    return a + b


async def c_add(a, b=1):
    await mote.aio.sleep(0)
    return a + b


def f_fails(text):
    raise ValueError(text)


async def c_fails(text):
    raise ValueError(text)


def f_waits(*args):
    return mote.receive()


async def c_waits(*args):
    return await mote.aio.receive()


def f_stubborn(to):
    mote.trap_exit()
    mote.send(to, ("up", mote.self()))
    while True:
        mote.receive()


async def c_stubborn(to):
    mote.trap_exit()
    mote.send(to, ("up", mote.self()))
    while True:
        await mote.aio.receive()


def f_tells(to):
    try:
        mote.send(to, ("up", mote.self()))
        mote.receive()
    finally:
        mote.send(to, ("end", mote.self()))


async def c_tells(to):
    mote.send(to, ("up", mote.self()))
    try:
        await mote.aio.receive()
    finally:
        mote.send(to, ("end", mote.self()))


def of(a, name):
    return globals()[f"{a.flavour}_{name}"]


async def ends(a, ref):
    return (await a.receive(("DOWN", ref, ANY, ANY, ANY)))[4]


async def clean(a):
    """No message is left."""
    left = await a.poll(ANY)
    assert left is None, left


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as e:
        return e
    raise AssertionError(f"{kind} was not raised")


def all_of(e):
    """What has failed together."""
    return list(e.exceptions) if hasattr(e, "exceptions") else [e, *e.others]


def notes(e):
    return "".join(getattr(e, "__notes__", [str(e)]))


# ------------------------------------------------------------------------------------------------------ tasks


async def results(a):
    given = [1]
    tasks = [Task.start(f_add, 1), Task.start(c_add, 1, b=2), Task.start_nolink(lambda: [{"x": b"y"}]), Task.start(of(a, "add"), given, [2])]
    given.append(3)
    assert [await a.do(task, "result") for task in tasks] == [2, 3, [{"x": b"y"}], [1, 2]]
    assert await a.do(tasks[1], "result", 0) == 3  # again
    assert await a.do(tasks[1], "wait", 0) is True
    assert await a.do(Task.start(lambda: None), "result") is None
    await a.do(tasks[0], "shutdown")
    await clean(a)


async def failures(a):
    task = Task.start_nolink(of(a, "fails"), "no good")
    for _ in range(2):
        e = await raises(mote.TaskFailed, a.do(task, "result", PATIENCE))
        assert e.reason[:1] == ("error",) and e.reason[1][:2] == ("ValueError", "no good") and e.pid == task.pid
        assert str(e).startswith("ValueError: no good") and f"in {a.flavour}_fails" in notes(e)
    e = await raises(mote.TaskFailed, a.do(Task.start_nolink(lambda: open), "result"))
    assert e.reason[1][0] == "mote.NotSendable"
    task = Task.start_nolink(of(a, "waits"))
    mote.kill(task.pid)
    assert (await raises(mote.TaskFailed, a.do(task, "result"))).reason == "killed"
    await clean(a)


async def linked(a):
    """A linked task that fails ends its owner, unless that traps exits; and the other way round."""

    def owner(to):
        task = Task.start(f_fails, "both")
        mote.send(to, ("task", task.pid))
        task.result()

    async def aowner(to):
        task = Task.start(c_fails, "both")
        mote.send(to, ("task", task.pid))
        await task

    def waits(to):
        mote.send(to, ("task", Task.start(f_waits).pid))
        mote.receive()

    _, ref = mote.options(monitor=True).spawn(owner if a is Plain else aowner, mote.self())
    assert (await ends(a, ref))[1][1] == "both"
    await a.poll(("task", ANY))  # unless it was ended before
    pid = mote.options().spawn(waits, mote.self())
    ref = mote.monitor((await a.receive(("task", ANY)))[1])
    mote.exit(pid, "over")
    assert await ends(a, ref) == "over"
    with mote.trap_exit():
        task = Task.start(of(a, "fails"), "told")
        assert (await raises(mote.TaskFailed, a.do(task, "result"))).reason[1][1] == "told"
        await clean(a)  # nor is there an exit message
        task = Task.start(of(a, "add"), 1)
        ref = mote.monitor(task.pid)
        await ends(a, ref)
        assert await a.do(task, "result", 0) == 2  # its end went well: no exit message
        await clean(a)


async def time_limits(a):
    task = Task.start(of(a, "waits"))
    ref = mote.monitor(task.pid)
    assert await a.do(task, "wait", 0) is False
    assert await a.do(task, "wait", 0.01) is False
    mote.send(task.pid, "answer")
    assert await a.do(task, "result", PATIENCE) == "answer"
    await ends(a, ref)
    task = Task.start(of(a, "waits"))
    ref = mote.monitor(task.pid)
    await raises(TimeoutError, a.do(task, "result", 0.01))
    assert await ends(a, ref) == "shutdown"
    assert (await raises(mote.TaskFailed, a.do(task, "result"))).reason == "shutdown"
    task = Task.start(of(a, "stubborn"), mote.self())
    ref = mote.monitor((await a.receive(("up", ANY)))[1])
    await raises(TimeoutError, a.do(task, "result", 0))
    assert await ends(a, ref) == "killed"
    await clean(a)


async def shutdown(a):
    for name, reason in (("waits", "shutdown"), ("stubborn", "killed")):
        task = Task.start(of(a, name), mote.self())
        if name == "stubborn":
            await a.receive(("up", ANY))
        ref = mote.monitor(task.pid)
        await a.do(task, "shutdown", 0.02 if name == "stubborn" else PATIENCE)
        assert await ends(a, ref) == reason
        assert (await raises(mote.TaskFailed, a.do(task, "result"))).reason == reason
    task = Task.start(of(a, "add"), 1)
    ref = mote.monitor(task.pid)
    await ends(a, ref)
    await a.do(task, "shutdown")
    assert await a.do(task, "result") == 2
    await clean(a)


async def answers(a):
    """Who receives everything shows it to the task."""
    good, bad = Task.start(of(a, "add"), 1), Task.start_nolink(of(a, "fails"), "x")
    mote.send(mote.self(), ("other", 1))
    others = []
    for _ in range(3):
        message = await a.receive(ANY)
        if not good.answer(message) and not bad.answer(message):
            others.append(message)
    assert others == [("other", 1)]
    assert await a.do(good, "result", 0) == 2
    assert (await raises(mote.TaskFailed, a.do(bad, "result", 0))).reason[1][1] == "x"
    assert not good.answer(("other", 2)) and not good.answer(None)
    await clean(a)


async def first(a):
    tasks = [Task.start(of(a, "waits")), Task.start_nolink(of(a, "fails"), "x"), Task.start(of(a, "add"), 1), Task.start(of(a, "waits"))]
    refs = [mote.monitor(task.pid) for task in (tasks[0], tasks[3])]
    assert await a.first(tasks) == 2
    assert [await ends(a, ref) for ref in refs] == ["shutdown", "shutdown"]
    assert await a.first([tasks[2]]) == 2  # it has one already
    tasks = [Task.start_nolink(of(a, "fails"), str(i)) for i in range(3)]
    kind = mote.TaskFailed if sys.version_info < (3, 11) else Exception
    assert [e.reason[1][1] for e in all_of(await raises(kind, a.first(tasks)))] == ["0", "1", "2"]
    tasks = [Task.start(of(a, "waits")) for _ in range(3)]
    refs = [mote.monitor(task.pid) for task in tasks]
    await raises(TimeoutError, a.first(tasks, 0.01))
    assert [await ends(a, ref) for ref in refs] == ["shutdown"] * 3
    await raises(ValueError, a.first([]))
    await clean(a)


async def gather(a):
    assert await a.gather([Task.start(f_add if i % 2 else c_add, i) for i in range(1000)]) == list(range(1, 1001))
    assert await a.gather([]) == []
    tasks = [Task.start(of(a, "add"), 1), *(Task.start_nolink(of(a, "fails"), str(i)) for i in range(2)), Task.start(of(a, "add"), 2)]
    kind = mote.TaskFailed if sys.version_info < (3, 11) else Exception
    found = all_of(await raises(kind, a.gather(tasks, PATIENCE)))
    assert [e.reason[1][1] for e in found] == ["0", "1"] and all(type(e) is mote.TaskFailed for e in found)
    assert await a.do(tasks[3], "result") == 3
    tasks = [Task.start(of(a, "add"), 1), Task.start(of(a, "waits"))]
    ref = mote.monitor(tasks[1].pid)
    await ends(a, mote.monitor(tasks[0].pid))  # its result is there
    await raises(TimeoutError, a.gather(tasks, 0.05))
    assert await ends(a, ref) == "shutdown"
    assert await a.do(tasks[0], "result", 0) == 2
    await clean(a)


class Tasks(unittest.TestCase):
    test_results = everywhere(results)
    test_failures = everywhere(failures)
    test_linked = everywhere(linked)
    test_time_limits = everywhere(time_limits)
    test_shutdown = everywhere(shutdown)
    test_answers = everywhere(answers)
    test_first = everywhere(first)
    test_gather = everywhere(gather)

    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def test_await(self):
        async def waits(to):
            mote.send(to, ("sum", await Task.start(f_add, 1) + await Task.start(c_add, 2)))

        mote.spawn(waits, mote.self())
        self.assertEqual(mote.receive(("sum", int), timeout=PATIENCE)[1], 5)

    def test_the_wrong_flavour_or_owner(self):
        task = Task.start(f_add, 1)
        told = []

        def function():
            try:
                task.aio.result()
            except RuntimeError as e:
                told.append(str(e))

        _, ref = mote.spawn_monitor(function)
        mote.receive(("DOWN", ref, ANY, ANY, ANY), timeout=PATIENCE)
        self.assertIn("in a function use result()", told.pop())

        async def wrong():
            for call in (task.result, task.wait, lambda: mote.first([task]), lambda: mote.gather([task])):
                try:
                    call()
                except RuntimeError as e:
                    told.append(str(e))
            try:
                await task
            except RuntimeError as e:
                told.append(str(e))

        _, ref = mote.spawn_monitor(wrong)
        mote.receive(("DOWN", ref, ANY, ANY, ANY), timeout=PATIENCE)
        names = [".aio.result()", ".aio.wait()", ".aio.first()", ".aio.gather()", "the process that started it"]
        self.assertEqual([name in text for name, text in zip(names, told)], [True] * 5, told)
        self.assertEqual(task.result(), 2)

    def test_what_is_refused(self):
        with self.assertRaises(TypeError):
            Task.start(3)
        with self.assertRaises(mote.NotSendable):
            Task.start(f_add, open)
        self.assertIsNone(mote.receive(timeout=0, default=None))
        self.assertEqual(Task[int].__origin__, Task)


# ----------------------------------------------------------------------------------------------------- scopes


async def in_scope(a, block, **options):
    """Runs block(scope) in one."""
    if a is Plain:
        with mote.scope(**options) as s:
            await block(s)
    else:
        async with mote.aio.scope(**options) as s:
            await block(s)


async def group(a, block, **options):
    """The failures with which such a scope ends."""
    return all_of(await raises(Exception, in_scope(a, block, **options)))


async def waits_for_all(a):
    me, held = mote.self(), {}

    async def block(s):
        held["pid"] = s.spawn(of(a, "tells"), me)
        s.spawn(c_add if a is Plain else f_add, 1)
        await a.receive(("up", held["pid"]))
        await clean(a)  # the scope itself puts nothing into its owner's mailbox
        held["task"] = s.task(of(a, "add"), 1)
        mote.send_after(0.02, held["pid"], "go on")

    await in_scope(a, block)
    assert (await a.poll(("end", held["pid"]))) is not None  # before the block has ended
    assert await a.do(held["task"], "result", 0) == 2
    await clean(a)


async def one_fails(a):
    """The others are ended; all failures are told."""
    me = mote.self()

    async def block(s):
        s.spawn(of(a, "tells"), me)
        s.task(of(a, "tells"), me)
        await a.receive(("up", ANY)), await a.receive(("up", ANY))
        s.spawn(of(a, "fails"), "broken")

    failures = await group(a, block)
    assert [e.reason[1][1] for e in failures] == ["broken"] and type(failures[0]) is mote.TaskFailed
    assert await a.poll(("end", ANY)) and await a.poll(("end", ANY))
    await clean(a)


async def several_fail(a):
    """Also those that fail while they are ended."""
    me = mote.self()

    async def block(s):
        for i in "12":
            s.spawn(of(a, "fails_at_its_end"), me, i)
            await a.receive(("up", ANY))
        s.spawn(of(a, "fails"), "0")

    assert [e.reason[1][1] for e in await group(a, block)][0] == "0"
    assert {e.reason[1][1] for e in await group(a, block)} == {"0", "1", "2"}
    await clean(a)


def f_fails_at_its_end(to, text):
    mote.trap_exit()
    mote.send(to, ("up", mote.self()))
    mote.receive(mote.ExitSignal)
    raise ValueError(text)


async def c_fails_at_its_end(to, text):
    mote.trap_exit()
    mote.send(to, ("up", mote.self()))
    await mote.aio.receive(mote.ExitSignal)
    raise ValueError(text)


async def block_fails(a):
    me = mote.self()

    async def block(s):
        s.spawn(of(a, "tells"), me)
        await a.receive(("up", ANY))
        raise ZeroDivisionError("in the block")

    kinds = [type(e) for e in all_of(await raises(Exception, in_scope(a, block)))] if sys.version_info >= (3, 11) else [ZeroDivisionError]
    if sys.version_info < (3, 11):
        await raises(ZeroDivisionError, in_scope(a, block))
    assert kinds == [ZeroDivisionError]
    assert await a.poll(("end", ANY))

    async def exits(s):
        s.spawn(of(a, "waits"))
        raise mote.Exit("reason")

    assert (await raises(mote.Exit, in_scope(a, exits))).reason == "reason"

    async def both(s):
        ref = mote.monitor(s.spawn(of(a, "fails"), "besides"))
        try:
            await ends(a, ref)
        except mote.Interrupted:
            await ends(a, ref)
        raise mote.Exit("reason")

    e = await raises(mote.Exit, in_scope(a, both))
    assert e.reason == "reason" and (sys.version_info < (3, 11) or "ValueError: besides" in notes(e))

    async def interrupted(s):
        s.spawn(of(a, "waits"))
        raise KeyboardInterrupt

    await raises(KeyboardInterrupt, in_scope(a, interrupted))
    await clean(a)


async def task_fails_in_block(a):
    """A wait for a task ends when another child fails; the failure is told once."""

    async def block(s):
        waiting = s.task(of(a, "waits"))
        s.spawn(of(a, "fails"), "cause")
        await a.do(waiting, "result")

    assert [e.reason[1][1] for e in await group(a, block)] == ["cause"]

    async def itself(s):
        await a.do(s.task(of(a, "fails"), "once"), "result")

    assert [e.reason[1][1] for e in await group(a, itself)] == ["once"]
    await clean(a)


async def grace(a):
    """A child that does not end is killed after the time of grace."""
    me, held = mote.self(), {}

    async def block(s):
        held["ref"] = mote.monitor(s.spawn(of(a, "stubborn"), me))
        await a.receive(("up", ANY))
        raise mote.Exit("enough")

    start = time.monotonic()
    await raises(mote.Exit, in_scope(a, block, grace=0.05))
    assert time.monotonic() - start >= 0.05
    assert await ends(a, held["ref"]) == "killed"


async def timeout(a):
    me, held = mote.self(), {}

    async def block(s):
        held["ref"] = mote.monitor(s.spawn(of(a, "waits"), me))

    await raises(TimeoutError, in_scope(a, block, timeout=0.02))
    assert await ends(a, held["ref"]) in ("shutdown", "noproc")

    async def in_time(s):
        s.spawn(of(a, "add"), 1)

    await in_scope(a, in_time, timeout=PATIENCE)

    async def asks(s):
        await a.do(s.task(of(a, "waits")), "result")

    await raises(TimeoutError, in_scope(a, asks, timeout=0.02))
    for wrong in ({"timeout": -1}, {"grace": -1}):
        await raises(ValueError, in_scope(a, asks, **wrong))
    await clean(a)


@only_in_processes
async def interrupted_block(a):
    """A block that waits for what cannot come any more does not wait on; afterwards it can wait again."""
    held = {"seen": [], "finally": []}

    def waits():
        return a.receive("never"), a.call(held["silent"], "silence"), a.sleep(PATIENCE), a.receive(ANY)

    async def block(s):
        s.spawn(of(a, "fails"), "cause")
        try:
            for i, one in enumerate(waits()):
                if i == held["which"]:
                    await one
                else:
                    one.close() if hasattr(one, "close") else None
        except mote.Interrupted as e:
            held["seen"].append(e.scope == s._guard)
            raise
        finally:
            mote.send(mote.self(), "a message")
            held["finally"].append(await a.receive("a message"))

    held["silent"] = mote.options().spawn(silence)
    for held["which"] in range(4):
        assert [e.reason[1][1] for e in await group(a, block)] == ["cause"]
    assert held["seen"] == [True] * 4 and held["finally"] == ["a message"] * 4
    mote.kill(held["silent"])

    async def late(s):
        s.spawn(of(a, "waits"))
        await a.receive("never")

    await raises(TimeoutError, in_scope(a, late, timeout=0.02))

    async def swallowed(s):
        ref = mote.monitor(s.spawn(of(a, "fails"), "cause"))
        try:
            await a.receive("never")
        except mote.Interrupted:
            pass
        reason = await ends(a, ref)
        assert reason == "noproc" or reason[0] == "error"

    assert [e.reason[1][1] for e in await group(a, swallowed)] == ["cause"]

    async def never_waits(s):
        ref = mote.monitor(s.spawn(of(a, "fails"), "cause"))
        mote.demonitor(ref)

    assert [e.reason[1][1] for e in await group(a, never_waits)] == ["cause"]
    await clean(a)


def silence():
    while True:
        mote.receive()


@only_in_processes
async def interrupted_inner(a):
    """The outer scope's failure leads out of the inner one, and ends its children."""
    me, held = mote.self(), {}

    async def outer(s):
        s.spawn(of(a, "waits_and_fails"), me)
        held["pid"] = (await a.receive(("up", ANY)))[1]
        await in_scope(a, inner)

    async def inner(s):
        held["ref"] = mote.monitor(s.spawn(of(a, "waits")))
        mote.send(held["pid"], "now")
        await a.receive("never")

    assert [e.reason[1][1] for e in await group(a, outer)] == ["outer"]
    assert await ends(a, held["ref"]) == "shutdown"

    async def leaves(s):  # the inner block is at its end already
        held["ref"] = mote.monitor(s.spawn(of(a, "waits")))
        mote.send_after(0.01, held["pid"], "now")

    inner = leaves
    assert [e.reason[1][1] for e in await group(a, outer)] == ["outer"]
    assert await ends(a, held["ref"]) == "shutdown"
    await clean(a)


@only_in_processes
async def interrupted_twice(a):
    """Failures in two blocks around: each leads out of its own."""
    me, held = mote.self(), {}

    async def outermost(s):
        s.spawn(of(a, "waits_and_fails"), me)
        held["first"] = (await a.receive(("up", ANY)))[1]
        held["outermost"] = await group(a, middle)
        await a.receive("never")

    async def middle(s):
        s.spawn(of(a, "waits_and_fails"), me)
        held["second"] = (await a.receive(("up", ANY)))[1]
        await in_scope(a, inner, grace=0.05)

    async def inner(s):
        held["ref"] = mote.monitor(s.spawn(of(a, "stubborn"), me))
        await a.receive(("up", ANY))
        for pid in (held["first"], held["second"]):
            ref = mote.monitor(pid)
            mote.send(pid, "now")
            held[pid] = ref
        raise ZeroDivisionError  # so it is at its end when the others fail

    assert [e.reason[1][1] for e in await group(a, outermost)] == ["outer"]
    assert await ends(a, held["ref"]) == "killed"
    for pid in (held["first"], held["second"]):
        assert (await ends(a, held[pid]))[0] == "error"
    await clean(a)


def f_waits_and_fails(to):
    mote.send(to, ("up", mote.self()))
    mote.receive("now")
    raise ValueError("outer")


async def c_waits_and_fails(to):
    mote.send(to, ("up", mote.self()))
    await mote.aio.receive("now")
    raise ValueError("outer")


async def cancelled(a):
    me, held = mote.self(), {}

    async def block(s):
        held["ref"] = mote.monitor(s.spawn(of(a, "waits"), me))
        s.cancel()
        held["late"] = s.task(of(a, "waits"))  # who comes now is ended, too

    await in_scope(a, block)
    assert await ends(a, held["ref"]) in ("shutdown", "noproc")
    assert (await raises(mote.TaskFailed, a.do(held["late"], "result"))).reason == "shutdown"


async def nested(a):
    """An inner scope's failure is the outer block's."""
    me = mote.self()

    async def outer(s):
        s.spawn(of(a, "tells"), me)
        await a.receive(("up", ANY))
        await in_scope(a, inner)

    async def inner(s):
        s.spawn(of(a, "fails"), "within")

    if sys.version_info >= (3, 11):
        (within,) = await group(a, outer)
        assert within.exceptions[0].reason[1][1] == "within"
    else:
        assert (await raises(mote.TaskFailed, in_scope(a, outer))).reason[1][1] == "within"
    assert await a.poll(("end", ANY))


async def killed_early(a):
    """A child that is killed before its first turn is missed, not waited for."""

    async def block(s):
        mote.kill(s.spawn(of(a, "waits")))

    (failure,) = await group(a, block)
    assert failure.reason in ("killed", "noproc")


async def owner_ends(a):
    """Children end with their owner, however it ends, also those that trap exits and those that have not begun."""

    def owner(to, late):
        with mote.scope(grace=0.02) as s:
            pids = [s.spawn(f_waits), s.spawn(c_stubborn, to), s.spawn(f_stubborn, to)]
            mote.send(to, ("children", pids))
            mote.receive()
            if late:
                mote.send(to, ("late", [s.spawn(f_stubborn, to), s.spawn(c_stubborn, to)]))
                mote.kill(mote.self())

    async def aowner(to, late):
        async with mote.aio.scope(grace=0.02) as s:
            pids = [s.spawn(f_waits), s.spawn(c_stubborn, to), s.spawn(f_stubborn, to)]
            mote.send(to, ("children", pids))
            await mote.aio.receive()
            if late:
                mote.send(to, ("late", [s.spawn(f_stubborn, to), s.spawn(c_stubborn, to)]))
                mote.kill(mote.self())
                await mote.aio.receive()

    for end in (mote.kill, lambda pid: mote.exit(pid, "over"), lambda pid: mote.exit(pid, ("shutdown", 1)), None):
        pid = mote.options().spawn(owner if a is Plain else aowner, mote.self(), end is None)
        _, children = await a.receive(("children", ANY))
        await a.receive(("up", ANY)), await a.receive(("up", ANY))
        refs = [mote.monitor(child) for child in children]
        if end:
            end(pid)
        else:
            mote.send(pid, "go")
            refs += [mote.monitor(child) for child in (await a.receive(("late", ANY)))[1]]
        for ref in refs:
            assert await ends(a, ref) in ("shutdown", "killed", "noproc")
        while await a.poll(("up", ANY)):
            pass


async def guard_killed(a):
    """Without its guard a scope has no children."""
    held = {}

    async def block(s):
        held["refs"] = [mote.monitor(s.spawn(of(a, "waits"))), mote.monitor(s._guard)]
        mote.kill(s._guard)
        for ref in held["refs"]:
            assert await ends(a, ref) in ("killed", "noproc", "shutdown")

    with mote.trap_exit():
        assert "guard was ended" in str(await raises(mote.MoteError, in_scope(a, block)))
        await a.receive(("EXIT", ANY, "killed"))
    await clean(a)


async def outside(a):
    s = mote.scope() if a is Plain else mote.aio.scope()
    for call in (lambda: s.spawn(f_waits), lambda: s.task(f_waits), s.cancel):
        try:
            call()
            raise AssertionError
        except RuntimeError as e:
            assert "within its block" in str(e)
    async def block(s):
        held["scope"] = s

    held = {}
    await in_scope(a, block)
    try:
        held["scope"].spawn(f_waits)
        raise AssertionError
    except RuntimeError:
        pass


class Scopes(unittest.TestCase):
    test_waits_for_all = everywhere(waits_for_all)
    test_one_fails = everywhere(one_fails)
    test_several_fail = everywhere(several_fail)
    test_block_fails = everywhere(block_fails)
    test_task_fails_in_block = everywhere(task_fails_in_block)
    test_grace = everywhere(grace)
    test_timeout = everywhere(timeout)
    test_interrupted_block = everywhere(interrupted_block)
    test_interrupted_inner = everywhere(interrupted_inner)
    test_interrupted_twice = everywhere(interrupted_twice)
    test_cancelled = everywhere(cancelled)
    test_nested = everywhere(nested)
    test_killed_early = everywhere(killed_early)
    test_owner_ends = everywhere(owner_ends)
    test_guard_killed = everywhere(guard_killed)
    test_outside = everywhere(outside)

    def test_the_wrong_flavour(self):
        told = []

        async def wrong():
            try:
                with mote.scope():
                    pass
            except RuntimeError as e:
                told.append(str(e))

        _, ref = mote.spawn_monitor(wrong)
        mote.receive(("DOWN", ref, ANY, ANY, ANY), timeout=PATIENCE)
        self.assertIn("use `await` and .aio.scope()", told[0])


class Leaks(unittest.TestCase):
    def test_a_thousand_of_each(self):
        def round():
            with mote.scope() as s:
                s.spawn(f_add, 1)
                task = s.task(c_add, 1)
            self.assertEqual(task.result(), 2)
            self.assertEqual(mote.gather([Task.start(f_add, 1), Task.start(c_add, 2)]), [2, 3])
            Task.start(f_waits).shutdown()

        before, blocks = set(mote.processes()), []
        for _ in range(10):
            for _ in range(100):
                round()
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        self.assertEqual(set(mote.processes()), before)
        self.assertLess(min(later - earlier for earlier, later in zip(blocks[4:], blocks[5:])), 50)
        self.assertIsNone(mote.receive(timeout=0, default=None))


def f_scoped(to, depth):
    with mote.scope(grace=0.05) as s:
        s.spawn(f_stubborn, to)
        s.spawn(c_waits)
        s.task(f_waits)
        if depth:
            s.spawn(c_scoped, to, depth - 1)
        s.spawn(c_stubborn, to)
        mote.receive()


async def c_scoped(to, depth):
    async with mote.aio.scope(grace=0.05) as s:
        s.spawn(c_stubborn, to)
        s.spawn(f_waits)
        s.task(c_waits)
        if depth:
            s.spawn(f_scoped, to, depth - 1)
        s.spawn(f_stubborn, to)
        await mote.aio.receive()


class Chaos(unittest.TestCase):
    seed = int(os.environ.get("MOTE_TEST_SEED") or time.time())

    def test_random_ends(self):
        """Scopes within scopes, of which somebody ends processes at random (but no guards): when the owners have ended nobody is left."""
        before, dice = set(mote.processes()), random.Random(self.seed)
        print("seed", self.seed, file=sys.stderr)
        owners = []
        for _ in range(60 if "MOTE_TEST_UNDER" not in os.environ else 20):
            owners.append(mote.spawn(dice.choice([f_scoped, c_scoped]), mote.self(), 2))
            for pid in dice.sample(owners, dice.randrange(min(4, len(owners)))):
                mote.exit(pid, dice.choice(["kill", "x", ("shutdown", 1)]))
            up = mote.receive(("up", ANY), timeout=0, default=None)
            if up and dice.random() < 0.3:
                mote.kill(up[1])
        refs = [mote.monitor(pid) for pid in owners]
        for pid in owners:
            mote.kill(pid)
        for ref in refs:
            mote.receive(("DOWN", ref, ANY, ANY, ANY), timeout=PATIENCE)
        while set(mote.processes()) - before:  # some may begin meanwhile
            for pid in set(mote.processes()) - before:
                mote.receive(("DOWN", mote.monitor(pid), ANY, ANY, ANY), timeout=PATIENCE)
        while mote.receive(timeout=0, default=None) is not None:
            pass


class WithAsyncio(unittest.TestCase):
    test_all = with_asyncio(Scopes, Tasks)

    def test_tasks_that_share_a_mailbox(self):
        """A failing child ends the block of its own scope, not what another task waits for."""
        import asyncio

        async def scoped(told):
            async with mote.aio.scope() as s:
                s.spawn(f_waits)
                s.spawn(f_fails, "cause")
                told.append(await mote.aio.receive("go on"))

        async def others(told):
            await mote.aio.sleep(0.05)
            told.append(await mote.aio.receive("never", timeout=0.05, default="in peace"))
            mote.send(mote.self(), "go on")

        async def main(told):
            return await asyncio.gather(scoped(told), others(told), return_exceptions=True)

        told = []
        failure, fine = asyncio.run(main(told))
        self.assertEqual(told, ["in peace", "go on"])
        self.assertEqual([e.reason[1][1] for e in all_of(failure)], ["cause"])
        self.assertIsNone(fine)


if __name__ == "__main__":
    unittest.main()
