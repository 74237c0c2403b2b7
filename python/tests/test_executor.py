# SPDX-License-Identifier: Apache-2.0
"""mote.Executor is an Executor of concurrent.futures, as CPython's own tests expect of it, and says what it cannot do."""
import asyncio
import concurrent.futures
import os
import pathlib
import tempfile
import threading
import time
import unittest

import mote

PATIENCE = 60


def square(x):
    return x * x


def power(x, *, to=2):
    return x**to


def fails(x):
    raise KeyError("no", x)


def where():
    return os.getpid()


def sleeps(seconds):
    time.sleep(seconds)
    return seconds


def meets(folder, me, other):
    """Whether the other one runs at the same time."""
    pathlib.Path(folder, str(me)).touch()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if pathlib.Path(folder, str(other)).exists():
            return True
        os.sched_yield()
    return False


def dies():
    os._exit(5)


def adds(a, b):
    return a + b


def gives_an_object():
    return object()


state = []


def prepare(value):
    state.append(value)


def prepared():
    return list(state)


def cannot_prepare():
    raise OSError("not today")


class Executors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.executor = mote.Executor(2)

    @classmethod
    def tearDownClass(cls):
        cls.executor.shutdown()
        mote._workers.end()

    def test_is_one(self):
        self.assertIsInstance(self.executor, concurrent.futures.Executor)

    def test_submit(self):
        futures = [self.executor.submit(square, n) for n in range(10)]
        self.assertEqual([f.result(PATIENCE) for f in futures], [n * n for n in range(10)])
        self.assertEqual(self.executor.submit(power, 2, to=10).result(PATIENCE), 1024)
        self.assertNotEqual(self.executor.submit(where).result(PATIENCE), os.getpid())

    def test_two_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            futures = [self.executor.submit(meets, folder, n, 1 - n) for n in range(2)]
            self.assertEqual([f.result(PATIENCE) for f in futures], [True, True])

    def test_map(self):
        self.assertEqual(list(self.executor.map(square, range(1000))), [n * n for n in range(1000)])
        self.assertEqual(list(self.executor.map(adds, range(10), range(10, 30))), [10 + 2 * n for n in range(10)])
        for size in (1, 3, 10, 5000):
            self.assertEqual(list(self.executor.map(square, range(100), chunksize=size)), [n * n for n in range(100)])
        self.assertEqual(list(self.executor.map(square, [])), [])
        with self.assertRaises(ValueError):
            self.executor.map(square, [1], chunksize=0)
        results = self.executor.map(sleeps, [0.0, 0.0, 4.0], timeout=2.0)
        self.assertEqual([next(results), next(results)], [0.0, 0.0])
        with self.assertRaises(concurrent.futures.TimeoutError):
            next(results)

    def test_exceptions(self):
        with self.assertRaises(KeyError) as caught:
            self.executor.submit(fails, 3).result(PATIENCE)
        self.assertEqual(caught.exception.args, ("no", 3))
        self.assertIn("in fails", str(caught.exception.__cause__))
        with self.assertRaises(KeyError):
            list(self.executor.map(fails, [1]))

    def test_callbacks_and_waiting(self):
        called = threading.Event()
        future = self.executor.submit(square, 3)
        future.add_done_callback(lambda f: called.set())
        self.assertTrue(called.wait(PATIENCE))
        futures = [self.executor.submit(square, n) for n in range(5)]
        self.assertEqual(sorted(f.result() for f in concurrent.futures.as_completed(futures, PATIENCE)), [0, 1, 4, 9, 16])
        done, rest = concurrent.futures.wait(futures, PATIENCE)
        self.assertEqual((len(done), len(rest)), (5, 0))

    def test_cancel(self):
        with mote.Executor(1) as executor:
            first = executor.submit(sleeps, 0.3)
            rest = [executor.submit(square, n) for n in range(10)]
            self.assertTrue(rest[-1].cancel())
            self.assertTrue(rest[-1].cancelled())
            self.assertEqual(rest[0].result(PATIENCE), 0)
            self.assertFalse(first.cancel())

    def test_shutdown(self):
        executor = mote.Executor(1)
        futures = [executor.submit(sleeps, 0.05) for _ in range(5)]
        executor.shutdown()
        self.assertTrue(all(f.done() for f in futures))
        with self.assertRaises(RuntimeError):
            executor.submit(square, 1)
        executor.shutdown()
        executor = mote.Executor(1)
        futures = [executor.submit(sleeps, 0.2) for _ in range(5)]
        executor.shutdown(cancel_futures=True)
        self.assertTrue(all(f.done() for f in futures))
        self.assertTrue(futures[-1].cancelled())

    def test_what_cannot_go(self):
        with self.assertRaises(mote.NotSendable):
            self.executor.submit(lambda: 1)
        with self.assertRaises(mote.NotSendable):
            self.executor.submit(square, object()).result(PATIENCE)
        with self.assertRaises(Exception) as caught:
            self.executor.submit(gives_an_object).result(PATIENCE)
        self.assertIn("object", str(caught.exception))
        self.assertEqual(self.executor.submit(square, 4).result(PATIENCE), 16)

    def test_a_worker_dies(self):
        with mote.Executor(1) as executor:
            with self.assertRaises(mote.WorkerDied) as caught:
                executor.submit(dies).result(PATIENCE)
            self.assertIsInstance(caught.exception, concurrent.futures.BrokenExecutor)
            self.assertIn("exit", str(caught.exception))
            self.assertEqual(executor.submit(square, 5).result(PATIENCE), 25)

    def test_initializer(self):
        with mote.Executor(1, initializer=prepare, initargs=("ready",)) as executor:
            self.assertIn("ready", executor.submit(prepared).result(PATIENCE))
        with mote.Executor(1, initializer=cannot_prepare) as executor:
            with self.assertRaises(concurrent.futures.BrokenExecutor):
                executor.submit(square, 1).result(PATIENCE)

    def test_in_asyncio(self):
        async def main():
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(self.executor, square, n) for n in range(5)))

        self.assertEqual(asyncio.run(main()), [0, 1, 4, 9, 16])

    def test_in_processes(self):
        executor = self.executor

        def waits(to):
            mote.send(to, mote.blocking(executor.submit(square, 6).result))

        mote.options(place="here").spawn(waits, mote.self())
        self.assertEqual(mote.receive(int, timeout=PATIENCE), 36)

    def test_pmap(self):
        self.assertEqual(mote.pmap(square, range(20), workers=2, progress=False), [n * n for n in range(20)])
        with self.assertRaises(KeyError):
            mote.pmap(fails, range(3), workers=2)
        with mote.pool(1) as pool:
            self.assertEqual(list(pool.map(square, [1, 2])), [1, 4])

    def test_wrong_sizes(self):
        for size in (0, -1, 63):
            with self.assertRaises(ValueError):
                mote.Executor(size)


if __name__ == "__main__":
    unittest.main()
