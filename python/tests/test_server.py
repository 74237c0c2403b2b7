# SPDX-License-Identifier: Apache-2.0
"""Servers: calls, casts, messages, time limits, starting and ending, and system messages; in both flavours."""
import asyncio
import gc
import sys
import unittest

import mote
from both import Clean, in_coroutine
from mote._mote import _testing

PATIENCE = 60


class Counter(mote.Server):
    def init(self, start=0, told=None):
        if start < 0:
            raise mote.Exit("negative")
        self.n, self.told = start, told

    @mote.call
    def add(self, k=1, *, twice=False):
        self.n += 2 * k if twice else k
        return self.n

    @mote.call
    def later(self):
        mote.send(mote.self(), ("reply", self.caller))
        return mote.NoReply

    @mote.call
    def fail(self):
        raise ValueError("on request")

    @mote.call
    def waiting(self, pid):
        return mote.call(pid, "add")

    @mote.call
    def end(self, reason):
        self.stop(reason)

    @mote.cast
    def reset(self, n=0):
        self.n = n

    @mote.info(("reply", mote.ANY))
    def on_reply(self, message):
        mote.reply(message[1], message[0])

    def terminate(self, reason):
        if self.told:
            mote.send(self.told, ("terminated", reason))


class Slow(mote.Server):
    """The same, as a coroutine process."""

    async def init(self, start=0, told=None):
        if start < 0:
            raise mote.Exit("negative")
        self.n, self.told = start, told

    @mote.call
    async def add(self, k=1, *, twice=False):
        await mote.aio.sleep(0)
        self.n += 2 * k if twice else k
        return self.n

    @mote.call
    def later(self):
        mote.send(mote.self(), ("reply", self.caller))
        return mote.NoReply

    @mote.call
    async def fail(self):
        raise ValueError("on request")

    @mote.call
    async def waiting(self, pid):
        return await mote.aio.call(pid, "add")

    @mote.call
    def end(self, reason):
        self.stop(reason)

    @mote.cast
    async def reset(self, n=0):
        self.n = n

    @mote.info(("reply", mote.ANY))
    async def on_reply(self, message):
        mote.reply(message[1], message[0])

    async def terminate(self, reason):
        if self.told:
            mote.send(self.told, ("terminated", reason))


class Idle(mote.Server):
    def init(self, told, seconds=None, then=None):
        self.told = told
        self.set_timeout(seconds)
        if then is not None:
            self.continue_with(then)

    def timeout(self):
        mote.send(self.told, "timeout")

    def continue_(self, what):
        mote.send(self.told, ("continued", what))
        if what > 0:
            self.continue_with(what - 1)

    @mote.call
    def wait(self, seconds):
        self.set_timeout(seconds)

    @mote.call
    def touch(self):
        return "touched"

    def format_state(self):
        agenda = self._mote_agenda
        return "without limit" if agenda is None or agenda.deadline is None else "with a limit"


class AsyncIdle(mote.Server):
    async def init(self, told, seconds=None, then=None):
        Idle.init(self, told, seconds, then)

    async def timeout(self):
        Idle.timeout(self)

    async def continue_(self, what):
        Idle.continue_(self, what)

    @mote.call
    def wait(self, seconds):
        self.set_timeout(seconds)

    @mote.call
    def touch(self):
        return "touched"

    format_state = Idle.format_state


class Servers(Clean):
    flavours = Counter, Slow

    def each(self):
        for cls in self.flavours:
            print(cls.__name__)  # which is shown when the test fails
            yield cls

    def test_calls_and_casts(self):
        for cls in self.each():
            counter = cls.start(10)
            self.assertEqual(counter.add(5), 15)
            self.assertEqual(counter.add(5, twice=True), 25)
            counter.cast.reset()
            self.assertEqual(counter.add(), 1)
            counter.cast.reset(n=8)
            self.assertEqual(counter.add(k=2), 10)
            self.assertEqual(counter.within(PATIENCE).later(), "reply")
            counter.stop()
            with self.assertRaises(mote.NoProc) as gone:
                counter.add()
            self.assertEqual(gone.exception.reason, "noproc")
            counter.cast.reset()

    def test_from_coroutines(self):
        async def use(cls):
            counter = await cls.aio.start(10)
            told = [await counter.aio.add(5), await counter.aio.add(5, twice=True), await counter.aio.within(PATIENCE).later()]
            counter.cast.reset()
            told.append(await counter.aio.add())
            await counter.aio.stop()
            try:
                await counter.aio.add()
            except mote.NoProc as e:
                told.append(e.reason)
            return told

        for cls in self.each():
            self.assertEqual(in_coroutine(lambda cls=cls: use(cls)), [15, 25, "reply", 1, "noproc"])

    def test_from_asyncio(self):
        """In the loop of a thread, and in a task beside a process."""

        async def use(cls):
            counter = await cls.aio.start(10)
            told = await asyncio.gather(counter.aio.add(1), counter.aio.add(2), counter.aio.add(3))
            told.append((await mote.aio.get_state(counter))["n"])
            await counter.aio.stop()
            return told

        async def in_a_task(cls):
            return await asyncio.create_task(use(cls))

        for cls in self.each():
            self.assertEqual(asyncio.run(use(cls)), [11, 13, 16, 16])
            self.assertEqual(in_coroutine(lambda cls=cls: in_a_task(cls)), [11, 13, 16, 16])

    def test_methods_may_await_asyncio(self):
        class Awaiting(mote.Server):
            @mote.call
            async def work(self, n):
                return sum(await asyncio.gather(*(asyncio.sleep(0.001, k) for k in range(n))))

        server = Awaiting.start()
        self.assertEqual(server.work(5), 10)
        server.stop()

    def test_methods_may_wait(self):
        for cls in self.each():
            one, other = cls.start(1), Counter.start(2)
            self.assertEqual(one.waiting(other.pid), 3)
            one.stop()
            other.stop()

    def test_the_wrong_flavour_is_told_so(self):
        async def wrong(counter):
            for what in (counter.add, Counter.start, counter.stop, lambda: mote.get_state(counter)):
                try:
                    what()
                except RuntimeError:
                    continue
                return what
            return "all"

        counter = Counter.start()
        with self.assertRaisesRegex(RuntimeError, r"for coroutines: in a function use add\(\) without"):
            counter.aio.add(1)
        for what in (Counter.aio.start, Counter.aio.start_link, counter.aio.stop):
            with self.assertRaisesRegex(RuntimeError, "for coroutines"):
                what()
        before = len(mote.processes())
        self.assertEqual(in_coroutine(lambda: wrong(counter)), "all")
        self.assertLessEqual(len(mote.processes()), before + 1, "start() has started something")
        counter.stop()

    def test_asking_oneself(self):
        for cls in self.each():
            counter = cls.start()
            with self.assertRaises(mote.NoProc) as caught:
                counter.waiting(counter.pid)
            self.assertIn("asks itself", caught.exception.reason[1][1])

    def test_requests_as_erlang_has_them(self):
        for cls in self.each():
            counter = cls.options(name="counting").start()
            self.assertEqual(mote.call("counting", ("add", 3)), 3)
            self.assertEqual(mote.call("counting", "add"), 4)
            mote.cast("counting", ("reset", 40))
            self.assertEqual(mote.call(counter.pid, mote.Atom("add")), 41)
            self.assertEqual(cls.at("counting").add(1), 42)
            counter.stop()

    def test_names_that_are_taken(self):
        for cls in self.each():
            counter = cls.options(name="counting").start()
            with self.assertRaisesRegex(ValueError, "'counting' is taken, by <"):
                cls.options(name="counting").start()
            with mote.trap_exit(), self.assertRaises(ValueError):
                cls.options(name="counting", link=True).start()
            counter.stop()
            cls.options(name="counting").start().stop()

    def test_init_that_fails(self):
        async def fails(cls):
            try:
                await cls.aio.start(-1)
            except mote.NoProc as e:
                return e.reason

        for cls in self.each():
            with self.assertRaises(mote.NoProc) as caught:
                cls.start(-1)
            self.assertEqual(caught.exception.reason, "negative")
            self.assertEqual(in_coroutine(lambda cls=cls: fails(cls)), "negative")
            with mote.trap_exit(), self.assertRaises(mote.NoProc):
                cls.start_link(-1)

    def test_init_that_takes_too_long(self):
        class Stuck(mote.Server):
            def init(self):
                mote.receive(("never",))

        class AsyncStuck(mote.Server):
            async def init(self):
                await mote.aio.receive(("never",))

        for cls in (Stuck, AsyncStuck):
            before = len(mote.processes())
            with mote.trap_exit(), self.assertRaisesRegex(TimeoutError, r"init\(\) has taken longer than 0.01 s"):
                cls.options(link=True, timeout=0.01).start()
            self.assertEqual(len(mote.processes()), before)

    def test_a_crash_ends_it(self):
        for cls in self.each():
            counter = cls.start(0, mote.self())
            with self.assertRaises(mote.NoProc) as caught:
                counter.fail()
            self.assertEqual(caught.exception.reason[0], "error")
            self.assertEqual(mote.receive(("terminated", mote.ANY), timeout=PATIENCE)[1][0], "error")

    def test_ends(self):
        for cls in self.each():
            counter = cls.start(0, mote.self())
            counter.stop()
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", "normal"))
            counter = cls.start(0, mote.self())
            counter.stop(("shutdown", "enough"))
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", ("shutdown", "enough")))
            with self.assertRaises(mote.NoProc) as gone:
                counter.stop()
            self.assertEqual(gone.exception.reason, "noproc")
            counter = cls.start(0, mote.self())
            with self.assertRaises(mote.NoProc) as gone:
                counter.end("shutdown")
            self.assertEqual(gone.exception.reason, "shutdown")
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", "shutdown"))

    def test_exit_signals(self):
        for cls in self.each():
            with mote.trap_exit():
                counter = cls.start_link()
                mote.kill(counter.pid)
                self.assertEqual(mote.receive(("EXIT", counter.pid, mote.ANY), timeout=PATIENCE).reason, "killed")
            counter, ref = cls.start(0, mote.self()), None
            ref = mote.monitor(counter.pid)
            mote.exit(counter.pid, "shutdown")
            self.assertEqual(mote.receive(mote.Down, timeout=PATIENCE).ref, ref)
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", "shutdown"))

    def test_the_parents_end_ends_who_traps_exits(self):
        class Stubborn(mote.Server):
            def init(self, told):
                mote.trap_exit()
                self.told = told

            @mote.info
            def on_any(self, message):
                mote.send(self.told, message)

            def terminate(self, reason):
                mote.send(self.told, ("terminated", reason))

        class AsyncStubborn(Stubborn):
            async def terminate(self, reason):
                mote.send(self.told, ("terminated", reason))

        def parent(told, cls):
            mote.send(told, ("child", cls.start_link(told).pid))
            mote.receive("end")
            raise mote.Exit("shutdown")

        for cls in (Stubborn, AsyncStubborn):
            mother = mote.spawn(lambda to, cls=cls: parent(to, cls), mote.self())
            child = mote.receive(("child", mote.Pid), timeout=PATIENCE)[1]
            ref = mote.monitor(child)
            mote.exit(child, "shutdown")  # of somebody else: a message
            self.assertEqual(mote.receive(mote.ExitSignal, timeout=PATIENCE).reason, "shutdown")
            mote.suspend(child)
            mote.send(mother, "end")
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", "shutdown"))
            self.assertEqual(mote.receive(mote.Down, timeout=PATIENCE)[1:5:3], (ref, "shutdown"))

    def test_unknown_requests(self):
        for cls in self.each():
            counter = cls.start()
            with self.assertRaises(AttributeError) as caught:
                counter.subtract(1)
            self.assertIn("it has add, end, fail, later, waiting", str(caught.exception))
            with self.assertRaises(AttributeError):
                counter.cast.add(1)
            with self.assertRaises(mote.NoProc) as gone:
                mote.call(counter.pid, ("subtract", 1))
            self.assertEqual(gone.exception.reason, ("bad_call", ("subtract", 1)))
            counter = cls.start(0, mote.self())
            mote.cast(counter.pid, [1])
            self.assertEqual(mote.receive(timeout=PATIENCE), ("terminated", ("bad_cast", [1])))

    def test_replies_that_nobody_waits_for(self):
        for cls in self.each():
            counter = cls.start()
            mote.suspend(counter)
            with self.assertRaises(TimeoutError):
                counter.within(0).add()
            mote.resume(counter)
            self.assertEqual(counter.add(), 2)
            counter.stop()

    def test_thousands_of_coroutine_servers(self):
        many = [Slow.start(n) for n in range(2000)]
        self.assertEqual(sum(server.add(0) for server in many), sum(range(2000)))
        for server in many:
            server.stop()

    def test_proxies(self):
        counter = Counter.start(1)
        self.assertEqual(counter, Counter.at(counter.pid))
        self.assertEqual(len({counter, Counter.at(counter.pid)}), 1)
        self.assertEqual(repr(counter), f"<Counter server {counter.pid!r}>")
        self.assertEqual(repr(counter.add), f"<call add of {counter.pid!r}>")
        self.assertEqual(counter.add.__name__, "add")
        self.assertIs(counter.add, counter.add)
        self.assertIn("add", dir(counter))
        self.assertIn("reset", dir(counter.cast))
        with self.assertRaises(mote.NotSendable):
            counter.add(object())
        with self.assertRaises(ValueError):
            counter.within(-1).add(1)
        counter.stop()


class Classes(Clean):
    def test_messages(self):
        class Base(mote.Server):
            def init(self, told):
                self.told = told

            @mote.info
            def on_rest(self, message):
                mote.send(self.told, ("rest", message))

            @mote.info("tick")
            @mote.info(("tick", int))
            def on_tick(self, message):
                mote.send(self.told, ("tick", message))

        class Derived(Base):
            @mote.info(("tick", 2))
            def on_two(self, message):
                mote.send(self.told, ("two", message))

            @mote.info(mote.Down)
            def on_down(self, message):
                mote.send(self.told, ("down", message.reason))

        server = Derived.start(mote.self())
        for message in ("tick", ("tick", 1), ("tick", 2), "else", ()):
            mote.send(server.pid, message)
        told = [mote.receive(timeout=PATIENCE) for _ in range(5)]
        self.assertEqual(told, [("tick", "tick"), ("tick", ("tick", 1)), ("two", ("tick", 2)), ("rest", "else"), ("rest", ())])
        server.stop()

    def test_a_server_without_messages_drops_them(self):
        counter = Counter.start()
        mote.send(counter.pid, "what is this")
        self.assertEqual(counter.add(), 1)
        counter.stop()

    def test_overriding(self):
        class Twice(Counter):
            def add(self, k=1):
                return super().add(k) + super().add(k)

            @mote.call
            def get(self):
                return self.n

        twice = Twice.start()
        self.assertEqual((twice.add(1), twice.get()), (3, 2))
        twice.stop()

    def test_what_cannot_be(self):
        with self.assertRaisesRegex(TypeError, "every server has a stop of its own"):

            class Wrong(mote.Server):
                @mote.call
                def stop(self):
                    pass

        with self.assertRaisesRegex(TypeError, "every server has a terminate of its own"):

            class Worse(mote.Server):
                @mote.cast
                def terminate(self, reason):
                    pass

        for decorator in (mote.call, mote.cast):
            with self.assertRaisesRegex(TypeError, "needs both"):
                decorator(5)

    def test_mixed_methods(self):
        class Mixed(Counter):
            @mote.call
            async def slowly(self):
                await mote.aio.sleep(0.001)
                return self.add(10)

        mixed = Mixed.start(1)
        self.assertEqual((mixed.add(1), mixed.slowly()), (2, 12))
        with self.assertRaises(mote.NoProc) as caught:
            mixed.waiting(mote.self())  # a plain method must not wait there
        self.assertIn("await mote.aio.call()", caught.exception.reason[1][1])


class Times(Clean):
    def test_timeout(self):
        for cls in (Idle, AsyncIdle):
            with self.subTest(cls.__name__):
                idle = cls.start(mote.self(), 0.001)
                self.assertEqual(mote.receive(timeout=PATIENCE), "timeout")
                idle.wait(0)
                self.assertEqual(mote.receive(timeout=PATIENCE), "timeout")
                self.assertEqual(mote.get_state(idle), "without limit")
                idle.wait(3600)
                self.assertEqual(mote.get_state(idle), "with a limit")  # which system messages leave as it is
                mote.suspend(idle)
                mote.resume(idle)
                self.assertEqual(mote.get_state(idle), "with a limit")
                self.assertEqual(idle.touch(), "touched")  # any other message ends it
                self.assertEqual(mote.get_state(idle), "without limit")
                idle.wait(3600)
                idle.wait(None)
                self.assertEqual(mote.get_state(idle), "without limit")
                idle.stop()

    def test_continue(self):
        for cls in (Idle, AsyncIdle):
            with self.subTest(cls.__name__):
                idle = cls.start(mote.self(), None, 2)
                self.assertEqual([mote.receive(timeout=PATIENCE) for _ in range(3)], [("continued", 2), ("continued", 1), ("continued", 0)])
                idle.stop()


class Versioned(mote.Server):
    def init(self, told=None):
        self.n = 1
        self.lock = object()  # cannot be sent

    @mote.call
    def get(self):
        return self.n

    def replace_state(self, state):
        if not isinstance(state, dict):
            raise TypeError("a dict is needed")
        super().replace_state(state)

    def upgrade(self, old_version, extra):
        self.n = 0
        if extra == "fail":
            raise ValueError("no way")
        self.n, self.old = extra, old_version
        self.__class__ = Newer


class Newer(Versioned):
    @mote.call
    def get(self):
        return ("newer", self.n)


class AsyncVersioned(Versioned):
    @mote.call
    async def get(self):
        return self.n

    def upgrade(self, old_version, extra):
        super().upgrade(old_version, extra)
        self.__class__ = AsyncNewer


class AsyncNewer(Versioned):
    @mote.call
    async def get(self):
        return ("newer", self.n)


class SystemMessages(Clean):
    def test_state(self):
        for cls in (Versioned, AsyncVersioned):
            with self.subTest(cls.__name__):
                server = cls.options(name="versioned").start()
                state = mote.get_state(server)
                self.assertEqual((state["n"], state["lock"][:14]), (1, "<object object"))
                self.assertEqual(mote.replace_state("versioned", {"n": 5})["n"], 5)
                self.assertEqual(server.get(), 5)
                with self.assertRaisesRegex(mote.MoteError, "TypeError: a dict is needed"):
                    mote.replace_state(server.pid, 7)
                self.assertEqual(server.get(), 5)
                server.stop()

    def test_suspension(self):
        for cls in (Versioned, AsyncVersioned):
            with self.subTest(cls.__name__):
                server = cls.start()
                mote.suspend(server)
                self.assertEqual(mote.get_status(server), (server.pid, cls.__name__, "suspended", None, mote.get_state(server)))
                with self.assertRaises(TimeoutError):
                    server.within(0.01).get()
                mote.resume(server)
                self.assertEqual(mote.get_status(server).phase, "running")
                self.assertEqual(server.get(), 1)
                mote.suspend(server)
                server.stop()

    def test_statistics(self):
        for cls in (Versioned, AsyncVersioned):
            with self.subTest(cls.__name__):
                server = cls.start()
                self.assertIsNone(mote.statistics(server))
                mote.statistics(server, True)
                server.get()
                mote.send(server.pid, "message")
                server.get()
                counts = mote.statistics(server)
                self.assertEqual((counts["messages_in"], counts["messages_out"]), (3, 2))
                self.assertGreaterEqual(counts["current_time"], counts["start_time"])
                mote.statistics(server, False)
                self.assertIsNone(mote.statistics(server))
                server.stop()

    def test_upgrade(self):
        for cls in (Versioned, AsyncVersioned):
            with self.subTest(cls.__name__):
                server = cls.start()
                with self.assertRaisesRegex(mote.MoteError, "ValueError: no way"):
                    mote.upgrade(server, 1, "fail")
                self.assertEqual(server.get(), 1)
                mote.upgrade(server, 1, 10)
                self.assertEqual(server.get(), ("newer", 10))
                self.assertEqual(mote.get_state(server)["old"], 1)
                server.stop()

    def test_from_coroutines(self):
        async def look(server):
            aio = mote.aio
            told = [await aio.get_state(server), (await aio.replace_state(server, {"n": 3}))["n"]]
            await aio.suspend(server)
            told.append((await aio.get_status(server)).phase)
            await aio.resume(server)
            await aio.statistics(server, True)
            told.append((await aio.statistics(server))["messages_in"])
            await aio.upgrade(server, 1, 2)
            return [told[0]["n"], *told[1:], await server.aio.get()]

        server = Versioned.start()
        self.assertEqual(in_coroutine(lambda: look(server)), [1, 3, "suspended", 0, ("newer", 2)])
        server.stop()

    def test_unknown(self):
        server = Versioned.start()
        self.assertEqual(mote._mote.system(server.pid, "what", PATIENCE), ("error", ("unknown_system_msg", "what")))
        self.assertEqual(server.get(), 1)
        server.stop()
        with self.assertRaises(mote.NoProc):
            mote.get_state(server)


class WithC(Clean):
    """Servers of C's asked from Python, and Python's from C."""

    def test_c_server(self):
        server = _testing.c_server()
        self.assertEqual(mote.call(server, (mote.Atom("add"), 4)), 5)
        self.assertEqual(mote.get_state(server), 5)
        self.assertEqual(mote.replace_state(server, 7), 7)
        with self.assertRaises(mote.MoteError):
            mote.replace_state(server, "seven")
        mote.suspend(server)
        status = mote.get_status(server)
        self.assertEqual((status.pid, status.module, status.phase, status.state), (server, "sum", "suspended", 7))
        mote.resume(server)
        self.assertIsNone(mote.statistics(server))
        mote.statistics(server, True)
        self.assertEqual(mote.statistics(server)["messages_in"], 0)
        mote.upgrade(server)
        Counter.at(server).stop()
        with self.assertRaises(mote.NoProc):
            mote.get_state(server)

    def test_c_server_from_coroutines(self):
        async def look(server):
            return [await mote.aio.get_state(server), await mote.aio.replace_state(server, 2), (await mote.aio.get_status(server)).phase]

        server = _testing.c_server()
        self.assertEqual(in_coroutine(look, server), [1, 2, "running"])
        mote.kill(server)

    def test_c_clients(self):
        for cls in (Counter, Slow):
            with self.subTest(cls.__name__):
                server = cls.start(3)
                self.assertEqual(_testing.c_ask("add", server.pid), 4)
                self.assertEqual(_testing.c_ask("state", server.pid), {"n": 4, "told": None})
                _testing.c_ask("suspend", server.pid)
                status = _testing.c_ask("status", server.pid)
                self.assertEqual((status[:3], status[3][1]), (("status", server.pid, ("module", cls.__name__)), "suspended"))
                _testing.c_ask("resume", server.pid)
                self.assertEqual(_testing.c_ask("statistics", server.pid), "no_statistics")
                mote.statistics(server, True)
                self.assertIn(("messages_in", 0), _testing.c_ask("statistics", server.pid))
                _testing.c_ask("upgrade", server.pid)
                _testing.c_ask("stop", server.pid)
                self.assertFalse(mote.is_alive(server.pid))
        server = Versioned.start()
        self.assertEqual(_testing.c_ask("state", server.pid)["n"], 1)  # with what cannot be sent
        server.stop()


class Looking(Clean):
    def test_info(self):
        server = Counter.options(name="looked_at").start()
        info = mote.info(server.pid)
        self.assertEqual((info.pid, info.name, info.label, info.messages), (server.pid, "looked_at", "Counter", 0))
        self.assertIn(info.state, ("waiting", "runnable"))
        self.assertGreater(info.reductions, 0)
        ref = mote.monitor(server.pid)
        self.assertEqual(mote.info(server.pid).monitored_by, 1)
        mote.demonitor(ref)
        mote.suspend(server)
        for _ in range(3):
            server.cast.reset()
        self.assertEqual(mote.info(server.pid).messages, 3)
        mote.resume(server)
        server.stop()
        with self.assertRaises(mote.NoProc):
            mote.info(server.pid)
        self.assertEqual(mote.info(mote.self()).state, "running")
        with self.assertRaises(ValueError):
            mote.info(mote.self(), timeout=-1)

    def test_info_in_coroutines(self):
        async def look(pid):
            told = [(await mote.aio.info(pid))[:3], (await mote.aio.info(mote.self())).state, mote.info(mote.self()).state]
            try:
                mote.info(pid)
            except RuntimeError:
                told.append("refused")
            return told

        async def gone(pid):
            try:
                await mote.aio.info(pid)
            except mote.NoProc as e:
                return e.reason

        server = Slow.start()
        self.assertEqual(in_coroutine(look, server.pid), [(server.pid, None, "Slow"), "running", "running", "refused"])
        server.stop()
        self.assertEqual(in_coroutine(gone, server.pid), "noproc")


class Leaks(Clean):
    """What a server, its calls and its failures leave behind: nothing that grows."""

    def check(self, function, rounds=300):
        for _ in range(rounds):  # caches fill up
            function()
        grown = min(self.growth(function, rounds) for _ in range(4))  # caches go on filling up for a while
        self.assertLess(grown[0], rounds // 2)
        self.assertLess(grown[1], 50)

    def growth(self, function, rounds):
        gc.collect()
        objects, blocks = len(gc.get_objects()), sys.getallocatedblocks()
        for _ in range(rounds):
            function()
        gc.collect()
        return sys.getallocatedblocks() - blocks, len(gc.get_objects()) - objects

    def test_calls(self):
        for cls in (Counter, Slow):
            counter = cls.start()

            def use(counter=counter):
                counter.add(1)
                counter.add(k=1, twice=True)
                counter.cast.reset(n=5)
                cls.at(counter.pid).within(PATIENCE).add(1)
                mote.get_state(counter)
                for wrong in (lambda: counter.add(object()), lambda: counter.within(0).later(), lambda: counter.aio.add(1)):
                    try:
                        wrong()
                    except (mote.NotSendable, TimeoutError, RuntimeError):
                        pass

            self.check(use)
            counter.stop()

    def test_starts_and_ends(self):
        def use():
            for cls in (Counter, Slow):
                cls.start(1).stop()
                try:
                    cls.start(-1)
                except mote.NoProc:
                    pass

        before = len(mote.processes())
        self.check(use)
        self.assertEqual(len(mote.processes()), before)


if __name__ == "__main__":
    unittest.main()
