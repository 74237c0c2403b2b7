# SPDX-License-Identifier: Apache-2.0
"""Servers: calls, casts, starting and ending."""
import unittest

import mote

PATIENCE = 60


class Counter(mote.Server):
    def init(self, start=0, told=None):
        if start < 0:
            raise mote.Exit("negative")
        self.n, self.told = start, told

    @mote.handles_call
    def add(self, k=1, *, twice=False):
        self.n += 2 * k if twice else k
        return self.n

    @mote.handles_call
    def later(self):
        mote.send(mote.self(), ("reply", self.caller))
        return mote.NoReply

    @mote.handles_call
    def fail(self):
        raise ValueError("on request")

    @mote.handles_cast
    def reset(self, n=0):
        self.n = n

    def info(self, message):
        what, caller = message
        mote.reply(caller, what)

    def terminate(self, reason):
        if self.told:
            mote.send(self.told, ("terminated", reason))


class Servers(unittest.TestCase):
    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def test_calls_and_casts(self):
        counter = Counter.start(10)
        self.assertEqual(counter.add(5), 15)
        self.assertEqual(counter.add(5, twice=True), 25)
        counter.cast.reset()
        self.assertEqual(counter.add(), 1)
        self.assertEqual(counter.later(timeout=PATIENCE), "reply")
        counter.stop()
        with self.assertRaises(mote.NoProc):
            counter.add()
        self.assertEqual(mote.receive(timeout=0, default="clean"), "clean")

    def test_requests_as_erlang_has_them(self):
        counter = Counter.start_named("counting")
        self.assertEqual(mote.call("counting", ("add", 3)), 3)
        self.assertEqual(mote.call("counting", "add"), 4)
        mote.cast("counting", ("reset", 40))
        self.assertEqual(mote.call(counter.pid, "add"), 41)
        counter.stop()

    def test_init_that_fails(self):
        with self.assertRaises(mote.NoProc) as caught:
            Counter.start(-1)
        self.assertEqual(caught.exception.args[0], "negative")

    def test_a_crash_ends_it(self):
        counter = Counter.start(0, mote.self())
        with self.assertRaises(mote.NoProc) as caught:
            counter.fail()
        self.assertEqual(caught.exception.args[0][0], "error")
        self.assertEqual(mote.receive(("terminated", mote.ANY), timeout=PATIENCE)[0], "terminated")

    def test_links(self):
        with mote.trap_exit():
            counter = Counter.start_link()
            mote.kill(counter.pid)
            self.assertEqual(mote.receive(("EXIT", counter.pid, mote.ANY), timeout=PATIENCE).reason, "killed")

    def test_unknown_requests(self):
        counter = Counter.start()
        with self.assertRaises(AttributeError) as caught:
            counter.subtract(1)
        self.assertIn("it has add, fail, later", str(caught.exception))
        with self.assertRaises(AttributeError):
            counter.cast.add(1)
        with self.assertRaises(mote.NoProc) as gone:
            mote.call(counter.pid, ("subtract", 1))
        self.assertEqual(gone.exception.args[0], ("bad_call", ("subtract", 1)))

    def test_coroutine_methods_are_refused(self):
        with self.assertRaises(TypeError):

            class Wrong(mote.Server):
                @mote.handles_call
                async def method(self):
                    pass


if __name__ == "__main__":
    unittest.main()
