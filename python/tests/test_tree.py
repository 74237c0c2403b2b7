# SPDX-License-Identifier: Apache-2.0
"""Supervisors: strategies, rules, limits, trees, children that come and go; from functions, coroutines and threads."""
import contextvars
import functools
import gc
import os
import random
import sys
import time
import unittest

import mote
from both import PATIENCE, Plain, everywhere, only_in_processes, with_asyncio

ANY = mote.ANY
who = contextvars.ContextVar("who")


# A child tells that it is up, with what it was given, and does what it is told.


def f_kid(to, id, *args, **kwargs):
    mote.send(to, ("up", id, mote.self(), list(args), kwargs))
    while True:
        f_obey(to, id, mote.receive())


def f_obey(to, id, message):
    if message[0] == "die":
        raise mote.Exit(message[1])
    if message[0] == "fail":
        raise ValueError(message[1])
    mote.send(to, message)


async def c_kid(to, id, *args, **kwargs):
    mote.send(to, ("up", id, mote.self(), list(args), kwargs))
    while True:
        f_obey(to, id, await mote.aio.receive())


def f_trapping(to, id):
    mote.trap_exit()
    mote.send(to, ("up", id, mote.self(), [], {}))
    reason = mote.receive(mote.ExitSignal).reason
    mote.send(to, ("term", id, reason))
    raise mote.Exit(reason)


async def c_trapping(to, id):
    mote.trap_exit()
    mote.send(to, ("up", id, mote.self(), [], {}))
    reason = (await mote.aio.receive(mote.ExitSignal)).reason
    mote.send(to, ("term", id, reason))
    raise mote.Exit(reason)


def f_stubborn(to, id):
    mote.trap_exit()
    mote.send(to, ("up", id, mote.self(), [], {}))
    while True:
        mote.receive()


async def c_stubborn(to, id):
    mote.trap_exit()
    mote.send(to, ("up", id, mote.self(), [], {}))
    while True:
        await mote.aio.receive()


def f_waits(*args):
    mote.receive()


async def c_waits(*args):
    await mote.aio.receive()


class Counter(mote.Server):
    def init(self, n=0, step=1):
        if n < 0:
            raise ValueError("negative")
        self.n, self.step = n, step

    @mote.call
    def add(self, k=1):
        self.n += k * self.step
        return self.n


def kid(a, id, *args, name=None, kind="kid", **kwargs):
    """A Child of the scenario's flavour."""
    return mote.Child(globals()[f"{a.flavour}_{kind}"], mote.self(), id, *args, **kwargs).options(id=id, name=name)


async def up(a, id):
    """Waits until that child has told that it is up; gives its Pid."""
    return (await a.receive(("up", id, ANY, ANY, ANY)))[2]


async def gone(a, pid):
    ref = mote.monitor(pid)
    return (await a.receive(("DOWN", ref, ANY, ANY, ANY)))[4]


async def ends(a, ref):
    """The reason of an end that was monitored before."""
    return (await a.receive(("DOWN", ref, ANY, ANY, ANY)))[4]


async def quiet(a, tree):
    """The supervisor is through with all it was told before, and no child has said more."""
    await a.do(tree, "which_children")
    assert await a.poll(("up", ANY, ANY, ANY, ANY)) is None


async def three(a, **options):
    tree = await a.start([kid(a, "a"), kid(a, "b"), kid(a, "c")], **{"max_restarts": 3, **options})
    return tree, [await up(a, id) for id in ("a", "b", "c")]


async def stopped(a, tree, *pids):
    """Stops it; its children have ended with it."""
    refs = [mote.monitor(pid) for pid in pids]
    await a.do(tree, "stop")
    for ref in refs:
        assert await ends(a, ref) in ("shutdown", "noproc")


async def raised(a, kind, one, name, *args, **kwargs):
    """What a call raises."""
    try:
        await a.do(one, name, *args, **kwargs)
    except kind as e:
        return e
    raise AssertionError(f"{name} has not raised {kind.__name__}")


async def one_for_one(a):
    tree, (pa, pb, pc) = await three(a)
    mote.send(pb, ("die", "x"))
    assert await up(a, "b") != pb
    await quiet(a, tree)
    assert (await a.do(tree, "whereis", "a"), await a.do(tree, "whereis", "c")) == (pa, pc)
    await stopped(a, tree, pa, pc)


async def one_for_all(a):
    tree, pids = await three(a, strategy="one_for_all")
    mote.send(pids[1], ("die", "x"))
    assert not {await up(a, id) for id in ("a", "b", "c")} & set(pids)
    await stopped(a, tree)


async def rest_for_one(a):
    tree, (pa, pb, pc) = await three(a, strategy="rest_for_one")
    mote.send(pb, ("die", "x"))
    assert not {await up(a, "b"), await up(a, "c")} & {pb, pc}
    await quiet(a, tree)
    assert await a.do(tree, "whereis", "a") == pa
    await stopped(a, tree)


async def order(a):
    """Children are stopped in reverse order, by shutdown."""
    tree = await a.start([kid(a, "a", kind="trapping"), kid(a, "b", kind="trapping")])
    await up(a, "a"), await up(a, "b")
    await a.do(tree, "stop")
    assert [(await a.receive(("term", ANY, ANY)))[1:] for _ in range(2)] == [("b", "shutdown"), ("a", "shutdown")]


async def intensity(a):
    tree, (pa, pb, pc) = await three(a, max_restarts=2, max_seconds=3600)
    mote.unlink(tree.pid)
    ref, last = mote.monitor(tree.pid), mote.monitor(pc)
    for _ in range(2):
        mote.send(pa, ("fail", "again"))
        pa = await up(a, "a")
    assert (await a.do(tree, "count_children"))["restarts"] == 2
    mote.send(pa, ("fail", "too often"))
    assert await ends(a, ref) == "shutdown"
    assert await ends(a, last) == "shutdown"
    assert isinstance(await raised(a, mote.NoProc, tree, "which_children"), mote.NoProc)


async def no_restarts(a):
    tree, pids = await three(a, max_restarts=0)
    mote.unlink(tree.pid)
    ref = mote.monitor(tree.pid)
    mote.send(pids[0], ("die", "normal"))
    assert await ends(a, ref) == "shutdown"


async def rules(a):
    """When a child is restarted."""
    tree = await a.start([kid(a, rule).options(restart=rule) for rule in ("permanent", "transient", "temporary")], max_restarts=10)
    pids = {rule: await up(a, rule) for rule in ("permanent", "transient", "temporary")}
    mote.send(pids["permanent"], ("die", "normal"))
    mote.send(pids["transient"], ("die", "x"))
    pids = {"permanent": await up(a, "permanent"), "transient": await up(a, "transient"), "temporary": pids["temporary"]}
    for rule, reason in (("transient", ("shutdown", "enough")), ("temporary", "x")):
        ref = mote.monitor(pids[rule])
        mote.send(pids[rule], ("die", reason))
        await ends(a, ref)
    await quiet(a, tree)
    assert [(c.id, c.pid) for c in await a.do(tree, "which_children")] == [("transient", None), ("permanent", pids["permanent"])]
    await stopped(a, tree)


async def fresh_arguments(a):
    """A restarted child never sees what its predecessor has done to its arguments, nor does the supervisor's caller."""
    mine = [1, [2]]
    child = mote.Child(mutating, mote.self(), mine, deep={"x": [0]}) if a is Plain else mote.Child(amutating, mote.self(), mine, deep={"x": [0]})
    mine.append("later")
    tree = await a.start([child], max_restarts=5)
    for _ in range(3):
        _, pid, args, deep = await a.receive(("got", ANY, ANY, ANY))
        assert (args, deep) == ([1, [2]], {"x": [0]}), (args, deep)
        mote.send(pid, ("die", "x"))
    await a.receive(("got", ANY, ANY, ANY))
    await stopped(a, tree)


def mutate(to, args, deep):
    mote.send(to, ("got", mote.self(), args, deep))
    args[1].append(3)
    args.append(4)
    deep["x"].append(1)
    deep["y"] = 2


def mutating(to, args, deep):
    mutate(to, args, deep)
    f_obey(to, None, mote.receive())


async def amutating(to, args, deep):
    mutate(to, args, deep)
    f_obey(to, None, await mote.aio.receive())


async def servers(a):
    """Servers are ready when they are started; start_child and whereis give proxies."""
    tree = await a.start([mote.Child(Counter, 10), mote.Child(Counter, 0, step=2).options(id="other", name="counting")])
    counter, other = await a.do(tree, "whereis", "Counter"), await a.do(tree, "whereis", "other")
    assert isinstance(counter, mote.Proxy) and isinstance(other, mote.Proxy)
    assert await a.call(counter.pid, ("add", 5)) == 15
    assert await a.call("counting", ("add", 5)) == 10
    if a is Plain:
        assert other.add(1) == 12
    more = await a.do(tree, "start_child", mote.Child(Counter, 1).options(id=("more", 1)))
    assert await a.call(more.pid, "add") == 2
    mote.kill(other.pid)
    await gone(a, other.pid)
    await a.do(tree, "which_children")
    assert await a.call("counting", ("add", 1)) == 2
    await stopped(a, tree)


class AsyncCounter(mote.Server):
    async def init(self, n):
        self.n = n

    @mote.call
    async def add(self, k=1):
        self.n += k
        return self.n


class Door(mote.Machine):
    def init(self, code):
        self.code = code
        return self.locked

    @mote.state
    def locked(self, event):
        self.reply(event.content == self.code)


async def all_kinds_of_children(a):
    """Servers that are coroutine processes, machines, registries and groups; restarted they are new ones."""
    tree = await a.start(
        [mote.Child(AsyncCounter, 10), mote.Child(Door, "1"), mote.Child(mote.Registry, name="names", duplicate=True), mote.Child(mote.Group, "groups")],
        max_restarts=10,
    )
    counter, door = await a.do(tree, "whereis", "AsyncCounter"), await a.do(tree, "whereis", "Door")
    registry, group = await a.do(tree, "whereis", "names"), await a.do(tree, "whereis", "groups")
    assert await a.call(counter.pid, ("add", 5)) == 15 and await a.call(door.pid, "1") is True
    assert isinstance(registry, mote.Registry) and isinstance(group, mote.Group)
    assert await a.call("names", mote.Atom("count")) == (0, 0)
    for child in (counter, door, registry, group):
        mote.kill(child.pid)
        await gone(a, child.pid)
    await a.do(tree, "which_children")
    again = await a.do(tree, "whereis", "AsyncCounter")
    assert again != counter and await a.call(again.pid, ("add", 5)) == 15
    assert await a.call("groups", mote.Atom("names")) == (0, [])
    await stopped(a, tree)
    assert mote.whereis("names") is None and mote.whereis("groups") is None


async def start_failures(a):
    """What a start raises; those before it have been stopped."""
    try:
        await a.start([mote.Child(Tells, mote.self()), mote.Child(Counter, -1).options(id="bad"), kid(a, "c")])
        raise AssertionError
    except mote.StartFailed as e:
        assert e.child == "bad" and e.reason[0] == "error" and e.reason[1][:2] == ("ValueError", "negative")
        assert "child 'bad': ValueError: negative" in str(e)
        assert "in init" in "".join(getattr(e, "__notes__", [str(e)]))
    assert await gone(a, (await a.receive(("init", ANY)))[1]) == "noproc"
    assert await a.poll(("up", "c", ANY, ANY, ANY)) is None
    tree = await a.start([], name="the_tree")
    try:
        await a.start([], name="the_tree")
        raise AssertionError
    except ValueError as e:
        assert "the_tree" in str(e)
    failed = await raised(a, mote.StartFailed, tree, "start_child", mote.Child(Counter, -1).options(id="bad"))
    assert failed.reason[1][1] == "negative"
    assert await a.do(tree, "which_children") == []
    assert "no parameter" not in str(await a.do(tree, "start_child", mote.Child(Counter).options(id="good")))
    wrong = await raised(a, mote.StartFailed, tree, "start_child", mote.Child(Counter, 1, 2, 3).options(id="bad"))
    assert wrong.reason[1][0] == "TypeError"
    await stopped(a, mote.Supervisor("the_tree"))


async def live(a):
    """Children that are added, stopped, started and forgotten."""
    tree = await a.start()
    pid = await a.do(tree, "start_child", kid(a, "x"))
    assert await up(a, "x") == pid
    assert "runs as" in str(await raised(a, ValueError, tree, "start_child", kid(a, "x")))
    for name in ("restart_child", "delete_child"):
        assert "runs" in str(await raised(a, ValueError, tree, name, "x"))
    for name in ("terminate_child", "restart_child", "delete_child", "whereis"):
        assert "no child 'y'" in str(await raised(a, LookupError, tree, name, "y"))
    ref = mote.monitor(pid)
    await a.do(tree, "terminate_child", "x")
    assert await ends(a, ref) == "shutdown"
    assert await a.do(tree, "whereis", "x") is None
    assert "does not run" in str(await raised(a, ValueError, tree, "start_child", kid(a, "x")))
    await a.do(tree, "terminate_child", "x")
    again = await a.do(tree, "restart_child", "x")
    assert again == await up(a, "x") != pid
    await a.do(tree, "terminate_child", "x", timeout=PATIENCE)
    await a.do(tree, "delete_child", "x")
    assert await a.do(tree, "count_children") == {"specs": 0, "active": 0, "supervisors": 0, "workers": 0, "restarts": 0}
    assert isinstance(await raised(a, ValueError, tree, "start_child", 1, 2), ValueError)
    await stopped(a, tree)


async def nested(a):
    """A tree of two levels: the inner supervisor is started anew, with all its children, when it is killed or gives up."""
    inner = mote.Child(mote.Supervisor, [kid(a, "a"), kid(a, "b")], strategy="one_for_all", max_restarts=1, max_seconds=3600, name="inner")
    tree = await a.start([inner, kid(a, "c")], max_restarts=10)
    pa, pb, pc = await up(a, "a"), await up(a, "b"), await up(a, "c")
    info = {child.id: child for child in await a.do(tree, "which_children")}
    assert (info["inner"].type, info["c"].type) == ("supervisor", "worker")
    assert info["inner"].pid == mote.whereis("inner")
    refs = [mote.monitor(pid) for pid in (pa, pb)]
    mote.kill("inner")
    assert [await ends(a, ref) for ref in refs] == ["killed", "killed"]
    pa, pb = await up(a, "a"), await up(a, "b")
    first = mote.whereis("inner")
    for _ in range(2):  # the second is too many for the inner one
        mote.send(pb, ("die", "x"))
        pa, pb = await up(a, "a"), await up(a, "b")
    assert mote.whereis("inner") != first
    assert await a.do(mote.Supervisor("inner"), "whereis", "b") == pb
    assert await a.do(tree, "whereis", "c") == pc
    await stopped(a, tree, pa, pb, pc)
    assert mote.whereis("inner") is None


async def nested_failure(a):
    """What fails far below is told above."""
    bad = mote.Child(mote.Supervisor, [mote.Child(mote.Supervisor, [mote.Child(Counter, -1)], name="lower")], name="upper")
    try:
        await a.start([bad])
        raise AssertionError
    except mote.StartFailed as e:
        assert e.child == "upper" and "negative" in str(e), e
    assert mote.whereis("upper") is None


async def killed_supervisor(a):
    tree = await a.start_alone([kid(a, "a"), kid(a, "b", kind="trapping")])
    pids = [await up(a, "a"), await up(a, "b")]
    refs = [mote.monitor(pid) for pid in pids]
    mote.kill(tree.pid)
    assert [await ends(a, ref) for ref in refs] == ["killed", "killed"]
    assert (await a.receive(("term", "b", ANY)))[2] == "killed"


async def parent_ends(a):
    """The tree ends with who has started it."""

    def owner(to):
        tree = mote.Supervisor.start_link([mote.Child(f_kid, to, "a")])
        mote.send(to, ("tree", tree.pid))
        mote.receive()

    async def aowner(to):
        tree = await mote.Supervisor.aio.start_link([mote.Child(c_kid, to, "a")])
        mote.send(to, ("tree", tree.pid))
        await mote.aio.receive()

    for end in (lambda pid: mote.kill(pid), lambda pid: mote.exit(pid, "x"), lambda pid: mote.send(pid, "return")):
        pid = mote.options().spawn(owner if a is Plain else aowner, mote.self())
        _, tree = await a.receive(("tree", ANY))
        refs = [mote.monitor(tree), mote.monitor(await up(a, "a"))]
        end(pid)
        assert (await ends(a, refs[0])) in ("killed", "x", "normal")
        assert (await ends(a, refs[1])) == "shutdown"


@only_in_processes
async def start_interrupted(a):
    """A start that its caller does not wait for to its end leaves nothing."""

    async def block(s):
        breaks = s.spawn(globals()[a.flavour + "_breaks_in"])
        await a.start([mote.Child(Slow, mote.self(), breaks)])

    try:
        if a is Plain:
            with mote.scope() as s:
                await block(s)
        else:
            async with mote.aio.scope() as s:
                await block(s)
        raise AssertionError
    except Exception as e:
        assert "broken in" in str(getattr(e, "exceptions", [e])[0]), e
    slow = (await a.receive(("init", ANY)))[1]
    ref = mote.monitor(slow)
    mote.send(slow, "go")
    assert await ends(a, ref) == "shutdown"


class Tells(mote.Server):
    def init(self, to):
        mote.send(to, ("init", mote.self()))


class Slow(mote.Server):
    def init(self, to, other=None):
        mote.send(to, ("init", mote.self()))
        if other:
            mote.send(other, "now")
        mote.receive("go")


def f_breaks_in():
    mote.receive("now")
    raise ValueError("broken in")


async def c_breaks_in():
    await mote.aio.receive("now")
    raise ValueError("broken in")


async def stop_times(a):
    """A child that does not stop is killed after its time; one may be killed at once."""
    tree = await a.start([kid(a, "a", kind="stubborn").options(shutdown=0.05), kid(a, "b", kind="stubborn").options(shutdown="kill")])
    refs = [mote.monitor(await up(a, id)) for id in ("a", "b")]
    start = time.monotonic()
    await a.do(tree, "stop", timeout=PATIENCE)
    assert time.monotonic() - start >= 0.05
    assert [await ends(a, ref) for ref in refs] == ["killed", "killed"]


async def stop_reasons(a):
    tree = await a.start_alone([kid(a, "a", kind="stubborn").options(shutdown=None)])
    pid, ref = await up(a, "a"), mote.monitor(tree.pid)
    try:
        await a.do(tree, "stop", timeout=0.02)
        raise AssertionError
    except TimeoutError:
        pass
    mote.kill(pid)
    assert await ends(a, ref) == "normal"  # it went on
    tree = await a.start_alone([kid(a, "a")])
    ref = mote.monitor(tree.pid)
    await a.do(tree, "stop", ("shutdown", "enough"))
    assert await ends(a, ref) == ("shutdown", "enough")
    assert (await raised(a, mote.NoProc, tree, "stop")).args[0] == "noproc"


async def significant(a):
    children = [kid(a, "a").options(restart="transient", significant=True), kid(a, "b").options(restart="temporary", significant=True), kid(a, "c")]
    for when, needed in (("any_significant", 1), ("all_significant", 2)):
        tree = await a.start_alone(children, auto_shutdown=when)
        pids, ref = [await up(a, id) for id in ("a", "b", "c")], mote.monitor(tree.pid)
        for pid in pids[:needed]:
            mote.send(pid, ("die", "normal"))
        assert await ends(a, ref) == "shutdown"


async def dynamic(a):
    """simple_one_for_one: the arguments of each start stand behind those of the model, also when it is started anew."""
    tree = await a.start([mote.Child(globals()[a.flavour + "_kid"], mote.self(), "z", 1, x=1).options(restart="transient")],
                         strategy="simple_one_for_one", max_restarts=5)
    pids = [await a.do(tree, "start_child"), await a.do(tree, "start_child", 2, [3], x=2, y=3)]
    told = sorted([await a.receive(("up", "z", ANY, ANY, ANY)) for _ in pids], key=lambda t: pids.index(t[2]))
    assert [(t[2], t[3], t[4]) for t in told] == [(pids[0], [1], {"x": 1}), (pids[1], [1, 2, [3]], {"x": 2, "y": 3})]
    mote.send(pids[1], ("die", "x"))
    again = await a.receive(("up", "z", ANY, ANY, ANY))
    assert again[2] != pids[1] and again[3:] == ([1, 2, [3]], {"x": 2, "y": 3})
    assert {child.pid for child in await a.do(tree, "which_children")} == {pids[0], again[2]}
    await a.do(tree, "terminate_child", pids[0])
    assert await gone(a, pids[0]) == "noproc"
    assert isinstance(await raised(a, LookupError, tree, "terminate_child", pids[0]), LookupError)
    for name in ("terminate_child", "restart_child", "delete_child"):
        assert "by their Pids" in str(await raised(a, ValueError, tree, name, "z"))
    assert isinstance(await raised(a, ValueError, tree, "start_child", kid(a, "y")), ValueError)
    assert isinstance(await raised(a, mote.NotSendable, tree, "start_child", open), TypeError)
    await stopped(a, tree, again[2])


async def dynamic_servers(a):
    tree = await a.start([mote.Child(Counter, 10)], strategy="simple_one_for_one")
    one, two = await a.do(tree, "start_child"), await a.do(tree, "start_child", step=2)
    assert (await a.call(one.pid, "add"), await a.call(two.pid, "add")) == (11, 12)
    assert (await raised(a, mote.StartFailed, tree, "start_child", 1, 2, 3)).reason[1][0] == "TypeError"
    assert (await a.do(tree, "count_children"))["active"] == 2
    await stopped(a, tree, one.pid, two.pid)


async def crowd(a):
    """Thousands of dynamic children."""
    n = 2000
    tree = await a.start([mote.Child(globals()[a.flavour + "_kid"], mote.self(), "z").options(restart="transient")], strategy="simple_one_for_one")
    pids = [await a.do(tree, "start_child", i) for i in range(n)]
    told = {(await a.receive(("up", ANY, ANY, ANY, ANY)))[2] for _ in range(n)}
    assert told == set(pids) and len(pids) == len(told)
    refs = [mote.monitor(pid) for pid in pids[::2]]
    for pid in pids[::2]:
        mote.send(pid, ("die", "normal"))
    for ref in refs:
        await ends(a, ref)
    assert (await a.do(tree, "count_children"))["active"] == n // 2
    await stopped(a, tree, *pids[1::2])


async def names(a):
    """A child's name is registered anew at each start; one that is taken is no start."""
    tree = await a.start([kid(a, "a", name="named_kid")])
    pid = await up(a, "a")
    assert mote.whereis("named_kid") == pid
    assert "name is taken" in str(await raised(a, ValueError, tree, "start_child", kid(a, "b", name="named_kid")))
    mote.send("named_kid", ("die", "x"))
    again = await up(a, "a")
    assert mote.whereis("named_kid") == again != pid
    await stopped(a, tree)
    assert mote.whereis("named_kid") is None


async def contexts(a):
    """A child begins with the context variables of who has written its specification."""
    who.set("first")

    def tell(to):
        mote.send(to, ("who", who.get()))
        who.set("changed")
        mote.receive()

    async def atell(to):
        mote.send(to, ("who", who.get()))
        who.set("changed")
        await mote.aio.receive()

    tree = await a.start_alone([mote.Child(tell if a is Plain else atell, mote.self())], max_restarts=3)
    for _ in range(2):
        assert (await a.receive(("who", ANY)))[1] == "first"
        mote.kill(await a.do(tree, "whereis", "tell" if a is Plain else "atell"))
        who.set("second")
    assert (await a.receive(("who", ANY)))[1] == "first"
    await stopped(a, tree)


class Strategies(unittest.TestCase):
    test_one_for_one = everywhere(one_for_one)
    test_one_for_all = everywhere(one_for_all)
    test_rest_for_one = everywhere(rest_for_one)
    test_order = everywhere(order)


class Rules(unittest.TestCase):
    test_intensity = everywhere(intensity)
    test_no_restarts = everywhere(no_restarts)
    test_rules = everywhere(rules)
    test_significant = everywhere(significant)
    test_stop_times = everywhere(stop_times)
    test_stop_reasons = everywhere(stop_reasons)
    test_fresh_arguments = everywhere(fresh_arguments)
    test_names = everywhere(names)
    test_contexts = everywhere(contexts)


class Trees(unittest.TestCase):
    test_servers = everywhere(servers)
    test_all_kinds_of_children = everywhere(all_kinds_of_children)
    test_start_failures = everywhere(start_failures)
    test_live = everywhere(live)
    test_nested = everywhere(nested)
    test_nested_failure = everywhere(nested_failure)
    test_killed_supervisor = everywhere(killed_supervisor)
    test_parent_ends = everywhere(parent_ends)
    test_start_interrupted = everywhere(start_interrupted)


class Dynamic(unittest.TestCase):
    test_dynamic = everywhere(dynamic)
    test_servers = everywhere(dynamic_servers)
    test_crowd = everywhere(crowd)


def rss():
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


class Holder:
    def __init__(self, to):
        self.to = to

    def method(self, what):
        mote.send(self.to, ("method", what))
        mote.receive()


class Uses(unittest.TestCase):
    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def receive(self, what):
        return mote.receive(what, timeout=PATIENCE)

    def test_blocks(self):
        with mote.Supervisor.start_link([mote.Child(f_kid, mote.self(), "a")]) as tree:
            ref = mote.monitor(self.receive(("up", "a", ANY, ANY, ANY))[2])
        self.assertEqual(self.receive(("DOWN", ref, ANY, ANY, ANY)).reason, "shutdown")
        with self.assertRaises(ZeroDivisionError), mote.Supervisor.start_link() as tree:
            1 / 0
        self.assertFalse(mote.is_alive(tree.pid))
        with mote.Supervisor.start_link() as tree:  # one that has ended already is no error
            tree.stop()

        async def block(to):
            async with await mote.Supervisor.aio.start_link([mote.Child(c_kid, to, "b")]) as tree:
                mote.send(to, ("tree", tree.pid, await mote.aio.receive("go", timeout=0, default="waits")))

        mote.spawn(block, mote.self())
        _, tree, waits = self.receive(("tree", ANY, ANY))
        self.assertEqual(waits, "waits")
        ref = mote.monitor(tree)
        self.assertIn(self.receive(("DOWN", ref, ANY, ANY, ANY)).reason, ("normal", "noproc"))

    def test_what_a_child_may_be(self):
        me = mote.self()
        children = [
            mote.Child(lambda to: mote.send(to, "lambda"), me).options(restart="temporary"),
            mote.Child(Holder(me).method, "bound"),
            mote.Child(functools.partial(f_kid, me), "partial").options(id=1),
        ]
        with mote.Supervisor.start_link(children) as tree:
            self.receive("lambda")
            self.receive(("method", "bound"))
            self.receive(("up", "partial", ANY, ANY, ANY))
            self.assertEqual([child.id for child in tree.which_children() if child.pid], [1, "method"])
        with mote.Supervisor.start_link([f_waits, Counter]) as tree:  # what needs no arguments
            self.assertEqual(tree.whereis("Counter").add(2), 2)

    def test_what_is_refused(self):
        for wrong in (3, "f", None):
            with self.assertRaises(TypeError):
                mote.Child(wrong)
        with self.assertRaises(mote.NotSendable):
            mote.Child(f_kid, [open])
        one = mote.Child(f_kid)
        for options in ({"restart": "always"}, {"shutdown": -1}, {"shutdown": "soon"}):
            with self.assertRaises(ValueError, msg=options):
                one.options(**options)
        for id in (1.5, None, [1], ("a", {})):
            with self.assertRaises(TypeError, msg=id):
                one.options(id=id)
        with self.assertRaisesRegex(ValueError, "own argument"):
            mote.Child(mote.Supervisor, []).options(name="x")
        wrong = (
            ("several children have the id 'f_kid'", [one, one], {}),
            ("none of one_for_one", [one], {"strategy": "all"}),
            ("none of never", [one], {"auto_shutdown": "often"}),
            ("one child, the model", [], {"strategy": "simple_one_for_one"}),
            ("one child, the model", [one, one], {"strategy": "simple_one_for_one"}),
            ("max_restarts", [one], {"max_restarts": -1}),
            ("max_restarts", [one], {"max_restarts": 1.5}),
            ("max_restarts", [one], {"max_seconds": 0}),
            ("significant", [one.options(significant=True)], {"auto_shutdown": "any_significant"}),
            ("significant", [one.options(significant=True, restart="transient")], {}),
        )
        for text, children, options in wrong:
            with self.subTest(text), self.assertRaisesRegex(ValueError, text):
                mote.Supervisor.start_link(children, **options)
        self.assertEqual(repr(one), "<mote.Child 'f_kid'>")

    def test_the_wrong_flavour(self):
        tree = mote.Supervisor.start()

        def wrong_too(to, pid):
            tree = mote.Supervisor(pid)
            for call in (tree.aio.which_children, mote.Supervisor.aio.start_link, lambda: tree.aio.start_child(f_waits)):
                try:
                    call()
                except RuntimeError as e:
                    mote.send(to, ("wrong", str(e)))

        mote.spawn(wrong_too, mote.self(), tree.pid)
        for name in ("which_children", "start_link", "start_child"):
            self.assertIn(f".aio.{name}() is for coroutines: in a function use {name}()", self.receive(("wrong", str))[1])
        with self.assertRaisesRegex(RuntimeError, "is for coroutines"):
            tree.aio.stop()

        async def wrong(to, pid):
            tree = mote.Supervisor(pid)
            for call in (tree.which_children, mote.Supervisor.start_link, tree.stop):
                try:
                    call()
                except RuntimeError as e:
                    mote.send(to, ("wrong", str(e)))

        mote.spawn(wrong, mote.self(), tree.pid)
        for name in ("which_children", "start_link", "stop"):
            self.assertIn(f"use `await` and .aio.{name}()", self.receive(("wrong", str))[1])
        tree.stop()

    def test_calls_that_fail_in_the_child(self):
        """A child that cannot be called ends as one that raises: in its own process."""

        async def wants_none():
            pass

        with mote.trap_exit():
            tree = mote.Supervisor.start_link([mote.Child(wants_none, 1), mote.Child(f_waits, 1).options(restart="temporary")], max_restarts=2, max_seconds=3600)
            self.assertEqual(self.receive(mote.ExitSignal).reason, "shutdown")
            self.assertFalse(mote.is_alive(tree.pid))

    def test_who_asks_is_ended(self):
        """A caller that is ended while it waits for a start takes the supervisor with it, as soon as the child in hand is ready."""

        def owner(to):
            mote.Supervisor.start_link([mote.Child(Slow, to)])

        async def aowner(to):
            await mote.Supervisor.aio.start_link([mote.Child(Slow, to)])

        for body in (owner, aowner):
            with self.subTest(body.__name__):
                pid = mote.spawn(body, mote.self())
                slow = self.receive(("init", ANY))[1]
                refs = [mote.monitor(pid), mote.monitor(slow)]
                mote.kill(pid)
                self.assertEqual(self.receive(("DOWN", refs[0], ANY, ANY, ANY)).reason, "killed")
                mote.send(slow, "go")
                self.assertEqual(self.receive(("DOWN", refs[1], ANY, ANY, ANY)).reason, "shutdown")


class Leaks(unittest.TestCase):
    def test_a_thousand_supervisors(self):
        def children():
            return [mote.Child(f_waits), mote.Child(c_waits, [1, 2]), mote.Child(Counter, 1), mote.Child(mote.Supervisor, [mote.Child(c_waits)])]

        def round():
            with mote.Supervisor.start_link(children(), max_restarts=5) as tree:
                mote.kill(tree.whereis("f_waits"))
                mote.kill(tree.whereis("Counter").pid)
                self.assertEqual(tree.count_children()["specs"], 4)

        before, blocks = set(mote.processes()), []
        for _ in range(10):
            for _ in range(100):
                round()
            gc.collect()
            blocks.append(sys.getallocatedblocks())
            memory = rss() if len(blocks) == 1 else memory
        self.assertEqual(set(mote.processes()), before)
        self.assertLess(min(later - earlier for earlier, later in zip(blocks[4:], blocks[5:])), 50)  # less than one for two trees
        if "MOTE_TEST_UNDER" not in os.environ:
            self.assertLess(rss(), memory + (8 << 20))


class Chaos(unittest.TestCase):
    """Somebody ends processes of a tree at random; it mends itself, and leaves nothing."""

    seed = int(os.environ.get("MOTE_TEST_SEED") or time.time())

    def test_random_ends(self):
        before, dice = set(mote.processes()), random.Random(self.seed)
        print("seed", self.seed, file=sys.stderr)
        tree = mote.Supervisor.start([self.branch(f"branch{i}") for i in range(3)], max_restarts=10**6)
        for _ in range(400 if "MOTE_TEST_UNDER" not in os.environ else 100):
            victims = [pid for pid in mote.processes() if pid not in before and pid != tree.pid]
            for victim in dice.sample(victims, min(dice.randrange(4), len(victims))):
                mote.exit(victim, dice.choice(["kill", "kill", "x", "shutdown", ("shutdown", 1)]))
            if dice.random() < 0.3:
                mote.receive("never", timeout=0.001, default=None)
        self.whole(tree, 3)
        tree.stop(timeout=PATIENCE)
        self.assertEqual(set(mote.processes()), before)
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def branch(self, name):
        leaves = [mote.Child(f_waits, [1]), mote.Child(c_waits, {}), mote.Child(Counter, 1)]
        lower = mote.Child(mote.Supervisor, leaves, strategy="one_for_all", max_restarts=10**6).options(id="lower")
        rest = [mote.Child(f_trapping, mote.self(), name).options(shutdown="kill"), mote.Child(Counter, 2, step=3), mote.Child(c_waits)]
        return mote.Child(mote.Supervisor, [lower, *rest], strategy="rest_for_one", max_restarts=10**6, name=name)

    def whole(self, tree, branches):
        """Waits until all that should run runs, and answers."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                tops = [mote.Supervisor(child.pid) for child in tree.which_children(timeout=PATIENCE)]
                lowers = [mote.Supervisor(top.whereis("lower")) for top in tops]
                if [one.count_children(timeout=PATIENCE)["active"] for one in (tree, *tops, *lowers)] == [branches] + [4] * branches + [3] * branches:
                    counters = [one.whereis("Counter") for one in (*tops, *lowers)]
                    self.assertEqual([mote.call(pid, ("add", 0), PATIENCE) for pid in counters], [2] * branches + [1] * branches)
                    return
            except (mote.NoProc, TypeError):  # it ends, or has no Pid, at the moment
                pass
            mote.receive("never", timeout=0.01, default=None)
        self.fail("the tree has not mended itself")


class WithAsyncio(unittest.TestCase):
    test_all = with_asyncio(Dynamic, Rules, Strategies, Trees)


if __name__ == "__main__":
    unittest.main()
