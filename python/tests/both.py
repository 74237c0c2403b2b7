# SPDX-License-Identifier: Apache-2.0
"""Scenarios for tests, written once and run by each kind of process.

A scenario is a coroutine function of one argument, which does what waits: for coroutine processes by awaiting; for functions and threads in
place, so that it runs to its end at one step, and waits on the process's own stack.
"""
import threading
import traceback
import unittest

import mote

PATIENCE = 60
ANY = mote.ANY


class Plain:
    """How functions and threads do what waits. Scenarios are written once, as coroutines, and run to their end at one step with this."""

    flavour = "f"

    @staticmethod
    async def start(*args, **kwargs):
        return mote.Supervisor.start_link(*args, **kwargs)

    @staticmethod
    async def start_alone(*args, **kwargs):
        return mote.Supervisor.start(*args, **kwargs)

    @staticmethod
    async def receive(what, **kwargs):
        return mote.receive(what, timeout=PATIENCE, **kwargs)

    @staticmethod
    async def poll(what):
        return mote.receive(what, timeout=0, default=None)

    @staticmethod
    async def do(one, name, *args, **kwargs):
        return getattr(one, name)(*args, **kwargs)

    @staticmethod
    async def call(*args):
        return mote.call(*args)

    @staticmethod
    async def sleep(seconds):
        mote.sleep(seconds)

    @staticmethod
    async def first(*args):
        return mote.first(*args)

    @staticmethod
    async def gather(*args):
        return mote.gather(*args)


class Awaited:
    flavour = "c"

    @staticmethod
    async def start(*args, **kwargs):
        return await mote.Supervisor.aio.start_link(*args, **kwargs)

    @staticmethod
    async def start_alone(*args, **kwargs):
        return await mote.Supervisor.aio.start(*args, **kwargs)

    @staticmethod
    async def receive(what, **kwargs):
        return await mote.aio.receive(what, timeout=PATIENCE, **kwargs)

    @staticmethod
    async def poll(what):
        return await mote.aio.receive(what, timeout=0, default=None)

    @staticmethod
    async def do(one, name, *args, **kwargs):
        return await getattr(one.aio, name)(*args, **kwargs)

    @staticmethod
    async def call(*args):
        return await mote.aio.call(*args)

    @staticmethod
    async def sleep(seconds):
        await mote.aio.sleep(seconds)

    @staticmethod
    async def first(*args):
        return await mote.aio.first(*args)

    @staticmethod
    async def gather(*args):
        return await mote.aio.gather(*args)


def in_place(scenario):
    try:
        scenario(Plain).send(None)
    except StopIteration:
        return
    raise AssertionError("the scenario has waited for something else")


def in_process(test, body):
    """Runs a function or a coroutine in a process of its own."""
    with test.subTest(flavour=body.__name__):
        _, ref = mote.options(monitor=True).spawn(body)
        reason = mote.receive(("DOWN", ref, ANY, ANY, ANY), timeout=PATIENCE).reason
        test.assertEqual(reason, "normal", reason[1][2] if isinstance(reason, tuple) and reason[0] == "error" else reason)


def in_thread(test, body):
    failures = []

    def thread():
        try:
            body()
        except BaseException:
            failures.append(traceback.format_exc())

    with test.subTest(flavour="thread"):
        one = threading.Thread(target=thread)
        one.start()
        one.join(PATIENCE)
        test.assertFalse(one.is_alive())
        test.assertEqual(failures, [])


def only_in_processes(scenario):
    """Marks a scenario that is not for tasks of asyncio's."""
    scenario.only_in_processes = True
    return scenario


def everywhere(scenario):
    """A test of a scenario in a function's process, a coroutine's, the main program and a thread."""

    def test(self):
        def function():
            in_place(scenario)

        async def coroutine():
            await scenario(Awaited)

        in_process(self, function)
        in_process(self, coroutine)
        with self.subTest(flavour="main program"), mote.trap_exit():
            while mote.receive(timeout=0, default=None) is not None:
                pass
            in_place(scenario)
        in_thread(self, lambda: in_place(scenario))

    test.__doc__ = scenario.__doc__
    test.scenario = scenario
    return test


def with_asyncio(*cases):
    """A test of all scenarios of these test cases in tasks of asyncio's, and in coroutine processes beside asyncio. To be run after all others."""

    def test(self):
        import asyncio  # from here on the node has a loop

        for name, one in ((name, one) for case in cases for name, one in sorted(vars(case).items()) if hasattr(one, "scenario")):

            async def coroutine(scenario=one.scenario):
                await scenario(Awaited)

            with self.subTest(name):
                in_process(self, coroutine)
                if not hasattr(one.scenario, "only_in_processes"):
                    in_thread(self, lambda: asyncio.run(coroutine()))

    return test


def result_of(body):
    """What body(to) sends to `to` as ("result", value), from a process of its own; its end instead is an error here."""
    pid, ref = mote.spawn_monitor(body, mote.self())
    answer = mote.receive(mote.any_of(("result", ANY), ("DOWN", ref, ANY, ANY, ANY)), timeout=PATIENCE)
    mote.demonitor(ref, flush=True)
    if answer[0] == "DOWN":
        raise AssertionError(answer[4])
    return answer[1]


def in_coroutine(function, *args):
    """What an async function gives in a coroutine process."""

    async def body(to):
        mote.send(to, ("result", await function(*args)))

    return result_of(body)


class Clean(unittest.TestCase):
    """Tests that begin with an empty mailbox, and leave it so."""

    def setUp(self):
        while mote.receive(timeout=0, default=None) is not None:
            pass

    def tearDown(self):
        self.assertEqual(mote.receive(timeout=0, default="clean"), "clean")
