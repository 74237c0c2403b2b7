# SPDX-License-Identifier: Apache-2.0
"""Registries and groups: every request, in both flavours; entries go with their processes; what listeners and watchers are told."""
import inspect
import unittest

import both
import mote

PATIENCE = 60


async def maybe(value):
    """Each test is written once: in functions requests give values, in coroutines what is to be awaited."""
    return await value if inspect.isawaitable(value) else value


def in_function(test, *args):
    """Runs an async test in a function process, where nothing of it ever waits by `await`."""

    def body(to):
        try:
            test(Function, *args).send(None)
        except StopIteration as end:
            mote.send(to, ("result", end.value))

    return both.result_of(body)


def in_coroutine(test, *args):
    return both.in_coroutine(test, Coroutine, *args)


class Function:
    @staticmethod
    def of(client):
        return client

    @staticmethod
    async def receive(*what, **how):
        return mote.receive(*what, timeout=PATIENCE, **how)


class Coroutine:
    @staticmethod
    def of(client):
        return client.aio

    @staticmethod
    async def receive(*what, **how):
        return await mote.aio.receive(*what, timeout=PATIENCE, **how)


async def started(flavour, client, how, *args):
    pid = mote.spawn(member_of(client, how, args), mote.self())
    await flavour.receive("ready")
    return pid


def member_of(client, how, args):
    """A process that registers or joins, says so, and waits."""

    async def body(to):
        await getattr(client.aio, how)(*args)
        mote.send(to, "ready")
        await mote.aio.receive("end")

    return body


async def ended(flavour, pid):
    ref = mote.monitor(pid)
    mote.send(pid, "end")
    await flavour.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY))


async def registry_requests(flavour, registry):
    r, me = flavour.of(registry), mote.self()
    await maybe(r.register("me", {"x": [1, "y"]}))
    await maybe(r.register(("room", 1)))
    await maybe(r.register(1.0, b"bytes"))
    assert await maybe(r.lookup("me")) == [(me, {"x": [1, "y"]})]
    assert await maybe(r.lookup(1)) == [], "1 is not 1.0"
    assert await maybe(r.lookup(mote.Atom("me"))) == [], "an atom is no text"
    assert await maybe(r.whereis(("room", 1))) == me
    assert await maybe(r.whereis("nobody")) is None
    assert await maybe(r.keys()) == ["me", ("room", 1), 1.0]
    assert await maybe(r.count()) == 3
    assert await maybe(r.select((("room", mote.ANY), mote.ANY, mote.ANY))) == [(("room", 1), me, None)]
    assert await maybe(r.select((mote.ANY, me, {"x": [mote.ANY, "y"]}))) == [("me", me, {"x": [1, "y"]})]
    assert len(await maybe(r.select())) == 3
    await maybe(r.unregister("me"))
    try:
        await maybe(r.unregister("me"))
        return "no LookupError"
    except LookupError:
        pass
    other = await started(flavour, registry, "register", "other", 5)
    try:
        await maybe(r.register("other"))
        return "no ValueError"
    except ValueError as e:
        assert e.holder == other
    assert await maybe(r.keys(other)) == ["other"]
    await ended(flavour, other)
    assert await maybe(r.lookup("other")) == []
    await maybe(r.register("other", 6))
    return "done"


async def listening(flavour, registry):
    r = flavour.of(registry)
    await maybe(r.listen())
    other = await started(flavour, registry, "register", ("key", "text"), {"a": "b"})
    told = [await flavour.receive(("register", mote.ANY, mote.ANY, mote.ANY, mote.ANY))]
    await ended(flavour, other)
    told.append(await flavour.receive(("unregister", mote.ANY, mote.ANY, mote.ANY)))
    await maybe(r.listen(False))
    await maybe(r.register("quiet"))
    where = registry.pid if isinstance(registry.pid, mote.Pid) else mote.whereis(registry.pid)
    assert told == [("register", where, ("key", "text"), other, {"a": "b"}), ("unregister", where, ("key", "text"), other)], told
    mote.send(mote.self(), "last")
    assert await flavour.receive() == "last"
    return "done"


async def group_requests(flavour, group):
    g, me = flavour.of(group), mote.self()
    await maybe(g.join("room"))
    await maybe(g.join("room", me))
    other = await started(flavour, group, "join", "room")
    await maybe(g.join(("else", 1)))
    assert await maybe(g.members("room")) == [me, me, other]
    assert await maybe(g.members("nobody")) == []
    assert sorted(await maybe(g.names()), key=str) == [("else", 1), "room"]
    assert await maybe(g.broadcast(("else", 1), "hello")) == 1
    assert await flavour.receive() == "hello"
    await maybe(g.leave("room"))
    await maybe(g.leave("room", me))
    try:
        await maybe(g.leave("room"))
        return "no LookupError"
    except LookupError:
        pass
    await ended(flavour, other)
    assert await maybe(g.members("room")) == []
    return "done"


async def watching(flavour, group):
    g = flavour.of(group)
    first = await started(flavour, group, "join", "room")
    ref, members = await maybe(g.monitor("room"))
    assert members == [first]
    all_ref, groups = await maybe(g.monitor_scope())
    assert groups == {"room": [first]}
    second = await started(flavour, group, "join", "room")
    third = await started(flavour, group, "join", "other")
    await ended(flavour, first)
    told = [await flavour.receive((ref, mote.ANY, mote.ANY, mote.ANY)) for _ in range(2)]
    assert told == [(ref, "join", "room", [second]), (ref, "leave", "room", [first])]
    told = [await flavour.receive((all_ref, mote.ANY, mote.ANY, mote.ANY)) for _ in range(3)]
    assert told == [(all_ref, "join", "room", [second]), (all_ref, "join", "other", [third]), (all_ref, "leave", "room", [first])]
    fourth = await started(flavour, group, "join", "room")
    await maybe(g.demonitor(ref))
    await maybe(g.demonitor(all_ref))
    try:
        await maybe(g.demonitor(ref))
        return "no LookupError"
    except LookupError:
        pass
    for pid in (second, third, fourth):
        await ended(flavour, pid)
    mote.send(mote.self(), "last")
    assert await flavour.receive() == "last"
    return "done"


class Base(unittest.TestCase):
    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def tearDown(self):
        self.assertEqual(mote.receive(timeout=0, default="clean"), "clean")

    def both(self, test, make):
        for run in (in_function, in_coroutine):
            with self.subTest(run.__name__):
                client = make()
                self.assertEqual(run(test, client), "done")
                client.stop()


class Registries(Base):
    def test_requests(self):
        self.both(registry_requests, mote.Registry.start)

    def test_by_name(self):
        def make():
            mote.Registry.start(name="names")
            return mote.Registry("names")

        self.both(registry_requests, make)
        self.both(listening, make)

    def test_listening(self):
        self.both(listening, mote.Registry.start)

    def test_duplicates(self):
        registry = mote.Registry.start(duplicate=True)
        registry.register("key", 1)
        registry.register("key", 2)
        me = mote.self()
        self.assertEqual(registry.lookup("key"), [(me, 1), (me, 2)])
        self.assertEqual((len(registry), registry.keys(), registry.whereis("key")), (2, ["key", "key"], me))
        registry.unregister("key")
        self.assertEqual(len(registry), 0)
        registry.stop()

    def test_starting_and_ending(self):
        registry = mote.Registry.start_link(name="names")
        with self.assertRaisesRegex(ValueError, "'names' is taken"):
            mote.Registry.start(name="names")
        self.assertEqual(registry, mote.Registry(mote.whereis("names")))
        registry.stop()
        with self.assertRaises(mote.NoProc):
            registry.lookup("key")
        with self.assertRaises(mote.NoProc):
            mote.Registry("names").lookup("key")
        with self.assertRaises(mote.NoProc):
            mote.Registry("names").stop()

        def owner(to):
            mote.send(to, mote.Registry.start_link(name="names").pid)
            mote.receive("end")
            raise mote.Exit("shutdown")

        pid = mote.spawn(owner, mote.self())
        ref = mote.monitor(mote.receive(mote.Pid, timeout=PATIENCE))
        mote.send(pid, "end")
        self.assertEqual(mote.receive(mote.Down, timeout=PATIENCE)[1:5:3], (ref, "shutdown"))
        self.assertIsNone(mote.whereis("names"))

    def test_what_is_no_term(self):
        registry = mote.Registry.start()
        with self.assertRaises(mote.NotSendable):
            registry.register("key", {1, 2})
        with self.assertRaises(mote.MoteError):
            deep = mote.ANY
            for _ in range(100):
                deep = (deep,)
            registry.select((deep, mote.ANY, mote.ANY))
        registry.stop()

    def test_the_wrong_flavour_is_told_so(self):
        registry = mote.Registry.start()
        for wrong in (registry.aio.count, lambda: registry.aio.register("key"), registry.aio.stop):
            with self.assertRaises(RuntimeError):
                wrong()

        async def look(flavour):
            for wrong in (registry.count, registry.stop):
                try:
                    wrong()
                    return wrong
                except RuntimeError:
                    pass
            await registry.aio.stop()
            return "refused"

        self.assertEqual(in_coroutine(look), "refused")

    def test_many(self):
        registry = mote.Registry.start()
        pids = [mote.spawn(member_of(registry, "register", (n, str(n))), mote.self()) for n in range(1000)]
        for _ in pids:
            mote.receive("ready", timeout=PATIENCE)
        self.assertEqual(len(registry), 1000)
        self.assertEqual(registry.lookup(500), [(pids[500], "500")])
        for pid in pids:
            ref = mote.monitor(pid)
            mote.send(pid, "end")
            mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)
        self.assertEqual(registry.select(), [])
        registry.stop()


class Groups(Base):
    def test_requests(self):
        self.both(group_requests, mote.Group.start)

    def test_watching(self):
        self.both(watching, mote.Group.start)

    def test_names(self):
        group = mote.Group.start_link("scope")
        with self.assertRaisesRegex(ValueError, "'scope' is taken"):
            mote.Group.start("scope")
        mote.Group("scope").join("room")
        self.assertEqual(group.members("room"), [mote.self()])
        self.assertEqual(repr(group), f"Group({group.pid!r})")
        group.stop()


if __name__ == "__main__":
    unittest.main()
