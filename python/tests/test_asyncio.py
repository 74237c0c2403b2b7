# SPDX-License-Identifier: Apache-2.0
"""asyncio within coroutine processes, and mote within asyncio's tasks."""
import asyncio
import gc
import importlib.util
import os
import subprocess
import sys
import threading
import time
import unittest

import mote
from said import but_hogs

PATIENCE = 60


def clear():
    while mote.receive(timeout=0, default=None) is not None:
        pass


def run(body, *args):
    """What an async function gives, in a process of its own; its error is raised here."""

    async def process(out):
        mote.send(out, ("result", await body(*args)))

    pid, ref = mote.spawn_monitor(process, mote.self())
    got = mote.receive(mote.any_of(("result", mote.ANY), ("DOWN", ref, mote.ANY, mote.ANY, mote.ANY)), timeout=PATIENCE)
    if got[0] == "DOWN":
        raise AssertionError(got)
    mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)
    return got[1]


async def echo():
    while True:
        message = await mote.aio.receive()
        if type(message) is tuple and message[0] == "$gen_call":
            mote.reply(message[1], message[2])


class InProcesses(unittest.TestCase):
    def setUp(self):
        clear()

    def test_sleep_and_order(self):
        async def body():
            begin = time.monotonic()
            await asyncio.sleep(0.02)
            await asyncio.sleep(0)
            return time.monotonic() - begin

        self.assertGreaterEqual(run(body), 0.02)

    def test_others_run_meanwhile(self):
        async def body():
            friend = mote.spawn(echo)
            mote.link(friend)
            task = asyncio.ensure_future(asyncio.sleep(PATIENCE))
            for n in range(21):
                await mote.aio.call(friend, n)
            return task.done(), task.cancel()

        self.assertEqual(run(body), (False, True))

    def test_gather_and_to_thread(self):
        async def body():
            async def child(n):
                await asyncio.sleep(0.001 * n)
                return n

            loop = asyncio.get_running_loop()
            thread = await loop.run_in_executor(None, threading.get_ident)
            return (await asyncio.gather(child(3), child(1)), thread != threading.get_ident())

        self.assertEqual(run(body), ([3, 1], True))

    def test_wait_for(self):
        async def body():
            try:
                await asyncio.wait_for(asyncio.sleep(PATIENCE), 0.01)
            except asyncio.TimeoutError:
                return "late"

        self.assertEqual(run(body), "late")

    @unittest.skipIf(sys.version_info < (3, 11), "asyncio.timeout() came with 3.11")
    def test_timeout_around_mote(self):
        async def body():
            try:
                async with asyncio.timeout(0.01):
                    await mote.aio.receive()
            except TimeoutError:
                pass
            async with asyncio.timeout(PATIENCE):
                mote.send(mote.self(), "there")
                first = await mote.aio.receive()
            try:
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(PATIENCE)
            except TimeoutError:
                return first

        self.assertEqual(run(body), "there")

    @unittest.skipIf(sys.version_info < (3, 11), "asyncio.TaskGroup came with 3.11")
    def test_task_group(self):
        async def child(n):
            await asyncio.sleep(0.001)
            return n

        async def fails():
            raise ValueError("on purpose")

        async def body():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(child(n)) for n in range(5)]
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(PATIENCE))
                    group.create_task(fails())
            except BaseException as e:
                return ([t.result() for t in tasks], type(e).__name__, len(e.exceptions))

        self.assertEqual(run(body), ([0, 1, 2, 3, 4], "ExceptionGroup", 1))

    def test_locks_queues_events(self):
        async def body():
            queue, event = asyncio.Queue(1), asyncio.Event()

            async def producer():
                for i in range(100):
                    await queue.put(i)
                event.set()

            task = asyncio.ensure_future(producer())
            got = [await queue.get() for _ in range(100)]
            await event.wait()
            await task
            async with asyncio.Lock():
                return sum(got)

        self.assertEqual(run(body), 4950)

    def test_streams(self):
        async def serve(reader, writer):
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        async def body():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            answers = []
            for word in (b"one\n", b"two\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(word)
                answers.append(await reader.readline())
                writer.close()
            server.close()
            return answers

        self.assertEqual(run(body), [b"ONE\n", b"TWO\n"])

    def test_subprocess(self):
        async def body():
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=subprocess.PIPE)
            out, _ = await process.communicate()
            return out.strip()

        self.assertEqual(run(body), b"42")

    def test_many_sleepers(self):
        async def sleeper(out, n):
            await asyncio.sleep(0.001 * (n % 10))
            mote.send(out, n)

        me = mote.self()
        for n in range(2000):
            mote.spawn(sleeper, me, n)
        self.assertEqual(sorted(mote.receive(timeout=PATIENCE) for _ in range(2000)), list(range(2000)))

    def test_current_task_is_the_process(self):
        async def body():
            mine = asyncio.current_task()
            await asyncio.sleep(0)
            seen = [mine is asyncio.current_task(), mine.pid == mote.self(), mine.done()]

            async def other():
                return asyncio.current_task() is not mine

            seen.append(await asyncio.ensure_future(other()))
            return seen

        self.assertEqual(run(body), [True, True, False, True])

    def test_cancel_of_the_process(self):
        async def body():
            task = asyncio.current_task()
            seen = []
            for wait in (lambda: asyncio.sleep(PATIENCE), mote.aio.receive):
                asyncio.get_running_loop().call_later(0.005, task.cancel)
                try:
                    await wait()
                except asyncio.CancelledError:
                    seen.append("cancelled")
            task.cancel()
            try:
                await mote.aio.receive()
            except asyncio.CancelledError:
                seen.append("by itself")
            return seen

        self.assertEqual(run(body), ["cancelled", "cancelled", "by itself"])

    def test_what_is_neither(self):
        class Odd:
            def __await__(self):
                yield 17

        async def body():
            try:
                await Odd()
            except mote.MoteError as e:
                return str(e)

        self.assertIn("awaited 17", run(body))

    def test_future_of_another_loop(self):
        other = asyncio.new_event_loop()
        future = other.create_future()

        async def body():
            try:
                await future
            except RuntimeError as e:
                return str(e)

        self.assertIn("another event loop", run(body))
        other.close()

    def test_errors_of_what_is_awaited(self):
        async def body():
            def fails():
                raise KeyError("in the thread")

            try:
                await asyncio.get_running_loop().run_in_executor(None, fails)
            except KeyError as e:
                return str(e)

        self.assertEqual(run(body), "'in the thread'")

    def test_generators_are_closed(self):
        async def body():
            closed = []

            async def numbers():
                try:
                    yield 1
                finally:
                    await asyncio.sleep(0)
                    closed.append(True)

            async for n in numbers():
                break
            gc.collect()
            while not closed:
                await asyncio.sleep(0.001)
            return n

        self.assertEqual(run(body), 1)

    def test_functions_have_no_loop(self):
        def function(out):
            mote.receive()
            try:
                asyncio.get_running_loop()
                found = True
            except RuntimeError:
                found = False
            mote.send(out, (found, asyncio.run(asyncio.sleep(0.001, "ran"))))

        async def body(pid):
            await asyncio.sleep(0)
            mote.send(pid, "go")

        pid = mote.spawn(function, mote.self())
        mote.spawn(body, pid)
        self.assertEqual(mote.receive(timeout=PATIENCE), (False, "ran"))


class Ends(unittest.TestCase):
    def setUp(self):
        clear()

    def end_of(self, body, how, *, says_so=False):
        async def process(out):
            if not says_so:
                mote.send(out, "begun")
            await body(out)

        pid, ref = mote.spawn_monitor(process, mote.self())
        mote.receive("begun", timeout=PATIENCE)
        mote.exit(pid, how) if how != "kill" else mote.kill(pid)
        return mote.receive(mote.Down, timeout=PATIENCE).reason

    def test_exit_while_it_sleeps(self):
        async def body(out):
            try:
                await asyncio.sleep(PATIENCE)
            except mote.ProcessExit as e:
                mote.send(out, ("told", e.reason, isinstance(e, asyncio.CancelledError)))
                await asyncio.sleep(0.001)
                mote.send(out, "cleaned")
                raise

        self.assertEqual(self.end_of(body, "enough"), "enough")
        self.assertEqual(mote.receive(timeout=0), ("told", "enough", True))
        self.assertEqual(mote.receive(timeout=0), "cleaned")

    def test_kill_while_it_sleeps(self):
        async def body(out):
            try:
                await asyncio.sleep(PATIENCE)
            except mote.ProcessExit:
                mote.send(out, "told")

        self.assertEqual(self.end_of(body, "kill"), "killed")
        self.assertEqual(mote.receive(timeout=0, default=None), None)

    def test_told_it_may_not_wait_for_mote(self):
        async def body(out):
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                await mote.aio.receive()
                mote.send(out, "received")

        self.assertEqual(self.end_of(body, "enough"), "enough")
        self.assertEqual(mote.receive(timeout=0, default=None), None)

    @unittest.skipIf(sys.version_info < (3, 11), "asyncio.TaskGroup came with 3.11")
    def test_exit_in_a_task_group(self):
        async def child(out):
            try:
                mote.send(out, "begun")
                await asyncio.sleep(PATIENCE)
            finally:
                mote.send(out, "child ended")

        async def body(out):
            async with asyncio.TaskGroup() as group:
                group.create_task(child(out))
                await asyncio.sleep(PATIENCE)

        self.assertEqual(self.end_of(body, "enough", says_so=True), "enough")
        self.assertEqual(mote.receive(timeout=PATIENCE), "child ended")

    def test_nothing_is_left(self):
        async def body(n):
            await asyncio.sleep(0.001 if n % 2 else 0)

        def batch(n):
            refs = [mote.spawn_monitor(body, i)[1] for i in range(n)]
            for ref in refs:
                mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=PATIENCE)

        batch(200)
        gc.collect()
        before = len(gc.get_objects())
        batch(2000)
        gc.collect()
        self.assertLess(len(gc.get_objects()) - before, 200)


class FromAsyncio(unittest.TestCase):
    def setUp(self):
        clear()
        self.echo = mote.spawn(echo)

    def tearDown(self):
        mote.kill(self.echo)

    def test_calls(self):
        async def main():
            one = await mote.aio.call(self.echo, 1)
            many = await asyncio.gather(*[mote.aio.call(self.echo, n) for n in range(50)])
            return one, many

        self.assertEqual(asyncio.run(main()), (1, list(range(50))))

    def test_receive(self):
        async def main():
            me = mote.self()
            mote.send_after(0.005, me, ("late", 1))
            got = [await mote.aio.receive(("late", int))]
            begin = time.monotonic()
            try:
                await mote.aio.receive(timeout=0.01)
            except TimeoutError:
                got.append(time.monotonic() - begin >= 0.01)
            got.append(await mote.aio.receive(timeout=0.001, default="none"))
            return got

        self.assertEqual(asyncio.run(main()), [("late", 1), True, "none"])

    def test_several_wait_at_once(self):
        async def main():
            waiting = [asyncio.ensure_future(mote.aio.call(self.echo, n)) for n in range(3)]
            tagged = [asyncio.ensure_future(take(n)) for n in range(3)]
            me = mote.self()
            for n in (2, 0, 1):
                await asyncio.sleep(0.001)
                mote.send(me, ("for", n))
            return await asyncio.gather(*waiting), await asyncio.gather(*tagged)

        async def take(n):
            return (await mote.aio.receive(("for", n)))[1]

        self.assertEqual(asyncio.run(main()), ([0, 1, 2], [0, 1, 2]))

    def test_cancelled_call_is_given_up(self):
        async def silent():
            message = await mote.aio.receive()
            await mote.aio.receive("go")
            mote.reply(message[1], "too late")

        async def main():
            pid = mote.spawn(silent)
            call = asyncio.ensure_future(mote.aio.call(pid, "x", timeout=None))
            await asyncio.sleep(0.005)
            call.cancel()
            try:
                await call
            except asyncio.CancelledError:
                mote.send(pid, "go")
            return await mote.aio.receive(timeout=0.05, default="nothing came")

        self.assertEqual(asyncio.run(main()), "nothing came")

    def test_loop_after_loop(self):
        fds = len(os.listdir("/proc/self/fd"))
        for n in range(20):
            self.assertEqual(asyncio.run(self.call(n)), n)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), fds + 1)

    async def call(self, n):
        return await mote.aio.call(self.echo, n)

    def test_in_a_thread(self):
        got = []
        thread = threading.Thread(target=lambda: got.append(asyncio.run(self.call("thread"))))
        thread.start()
        thread.join(PATIENCE)
        self.assertEqual(got, ["thread"])

    def test_tasks_of_a_process(self):
        async def body(pid):
            async def task():
                me = mote.self()
                mote.send(me, "to the loop's own process")
                return [await mote.aio.call(pid, "call"), await mote.aio.receive(timeout=PATIENCE), me != main]

            main = mote.self()
            return await asyncio.ensure_future(task())

        self.assertEqual(run(body, self.echo), ["call", "to the loop's own process", True])

    def test_of_a_process_in_a_task(self):
        async def body():
            try:
                await asyncio.ensure_future(mote.aio.receive(timeout=PATIENCE))
            except RuntimeError as e:
                return str(e)

        self.assertIn("await it in the process", run(body))

    def test_wrong_ones(self):
        async def body():
            async def task():
                try:
                    mote.receive(timeout=0)
                except RuntimeError as e:
                    return str(e)

            return await asyncio.ensure_future(task())

        self.assertIn("mote.aio.receive", run(body))

    def test_exit_signal(self):
        async def main():
            me = mote.self()
            mote.spawn(lambda: mote.exit(me, "enough"))
            try:
                await mote.aio.receive(timeout=PATIENCE)
            except mote.ProcessExit as e:
                return e.reason

        got = []
        thread = threading.Thread(target=lambda: got.append(asyncio.run(main())))
        thread.start()
        thread.join(PATIENCE)
        self.assertEqual(got, ["enough"])


class Blocking(unittest.TestCase):
    def setUp(self):
        clear()

    def test_in_functions_and_coroutines(self):
        def function(out):
            mote.send(out, mote.blocking(threading.get_ident))

        async def coroutine(out):
            mote.send(out, await mote.aio.blocking(threading.get_ident))

        mine = set()
        for body in (function, coroutine):
            mote.spawn(body, mote.self())
            mine.add(mote.receive(timeout=PATIENCE))
        self.assertTrue(all(ident not in (0, threading.get_ident()) for ident in mine))
        self.assertEqual(mote.blocking(sum, [1, 2]), 3)

    def test_others_run_meanwhile(self):
        gate = threading.Event()

        def blocked(out):
            mote.blocking(gate.wait, PATIENCE)
            mote.send(out, "through")

        pids = [mote.spawn(blocked, mote.self()) for _ in range(10)]
        friend = mote.spawn(echo)
        self.assertEqual(mote.call(friend, "alive"), "alive")
        self.assertTrue(all(mote.is_alive(p) for p in pids))
        gate.set()
        for _ in pids:
            self.assertEqual(mote.receive(timeout=PATIENCE), "through")
        mote.kill(friend)

    def test_errors_and_context(self):
        with self.assertRaises(ZeroDivisionError):
            mote.blocking(lambda: 1 / 0)

    def test_killed_while_it_blocks(self):
        gate = threading.Event()
        pid, ref = mote.spawn_monitor(lambda: mote.blocking(gate.wait, PATIENCE))
        mote.kill(pid)
        self.assertEqual(mote.receive(mote.Down, timeout=PATIENCE).reason, "killed")
        gate.set()

    def test_it_does_not_hold_up_the_end(self):
        text = "import mote, threading\nmote.spawn(lambda: mote.blocking(threading.Event().wait))\nmote.receive(timeout=0.05, default=None)"
        done = subprocess.run([sys.executable, "-c", text], timeout=PATIENCE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.assertEqual(done.returncode, 0)


class Mailboxes(unittest.TestCase):
    def test_for(self):
        clear()
        for n in range(3):
            mote.send(mote.self(), ("n", n))
        self.assertEqual([m[1] for m in mote.mailbox(timeout=0)], [0, 1, 2])

    def test_async_for(self):
        async def body():
            for n in range(3):
                mote.send(mote.self(), n)
                mote.send(mote.self(), str(n))
            return [m async for m in mote.aio.mailbox(int, timeout=0)], await mote.aio.receive()

        self.assertEqual(run(body), ([0, 1, 2], "0"))


class Programs(unittest.TestCase):
    """What has to begin with a fresh interpreter."""

    def program(self, text):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", text], timeout=PATIENCE, env=env, capture_output=True, text=True)
        self.assertEqual((done.returncode, but_hogs(done.stderr)), (0, ""))
        return done.stdout.strip()

    def test_imported_within_a_process(self):
        out = self.program(
            "import mote\nasync def f(to):\n    import asyncio\n    await asyncio.sleep(0.001)\n    mote.send(to, 'slept')\n"
            "mote.spawn(f, mote.self())\nprint(mote.receive(timeout=30))"
        )
        self.assertEqual(out, "slept")

    def test_not_loaded_without_need(self):
        out = self.program(
            "import mote, sys\nasync def f(to):\n    mote.send(to, await mote.aio.receive())\n"
            "mote.send(mote.spawn(f, mote.self()), 1)\nmote.receive(timeout=30)\nprint('asyncio' in sys.modules, len(mote.processes()))"
        )
        self.assertEqual(out, "False 1")

    def test_end_with_tasks_that_run(self):
        out = self.program(
            "import mote, asyncio\nasync def f(to):\n    asyncio.ensure_future(asyncio.sleep(1000))\n    mote.send(to, 'begun')\n    await asyncio.sleep(1000)\n"
            "mote.spawn(f, mote.self())\nprint(mote.receive(timeout=30))"
        )
        self.assertEqual(out, "begun")

    @unittest.skipUnless(importlib.util.find_spec("uvloop"), "no uvloop here")
    def test_uvloop(self):
        out = self.program(
            "import mote, asyncio, uvloop\nuvloop.install()\nasync def f(to):\n    await asyncio.sleep(0.001)\n    loop = asyncio.get_running_loop()\n"
            "    r = await loop.run_in_executor(None, lambda: 7)\n    mote.send(to, (type(loop).__mro__[1].__module__, loop.is_running(), r))\n"
            "mote.spawn(f, mote.self())\nprint(mote.receive(timeout=30))"
        )
        self.assertEqual(out, "('uvloop', True, 7)")

    @unittest.skipUnless(importlib.util.find_spec("aiohttp"), "no aiohttp here")
    def test_aiohttp(self):
        out = self.program(
            "import mote, asyncio\nfrom aiohttp import web, ClientSession\n"
            "async def page(request):\n    return web.Response(text='hello ' + request.match_info['name'])\n"
            "async def f(to):\n    app = web.Application()\n    app.router.add_get('/{name}', page)\n    runner = web.AppRunner(app)\n    await runner.setup()\n"
            "    site = web.TCPSite(runner, '127.0.0.1', 0)\n    await site.start()\n    port = site._server.sockets[0].getsockname()[1]\n"
            "    async with ClientSession() as session:\n        async with session.get(f'http://127.0.0.1:{port}/mote') as answer:\n"
            "            mote.send(to, await answer.text())\n    await runner.cleanup()\n"
            "mote.spawn(f, mote.self())\nprint(mote.receive(timeout=30))"
        )
        self.assertEqual(out, "hello mote")
