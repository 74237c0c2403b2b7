# SPDX-License-Identifier: Apache-2.0
"""mote.Executor is an Executor of concurrent.futures, as CPython's own tests expect of it, and says what it cannot do."""
import asyncio
import concurrent.futures
import concurrent.futures.process
import dataclasses
import functools
import gc
import math
import operator
import os
import pathlib
import pty
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import weakref

import mote
import quick
from said import but_hogs

quick.for_the_ends()

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


def crashes():
    os._exit(4)


def dies_at(n, at):
    if n == at:
        os._exit(6)
    return n


def waits_for(path):
    """Runs until that file is there."""
    until = time.monotonic() + 30
    while not pathlib.Path(path).exists():
        if time.monotonic() > until:
            raise TimeoutError(f"{path} has not come")
        os.sched_yield()
    return path


def waits_where(path):
    waits_for(path)
    return os.getpid()


def prepared_where(_):
    return prepared()[-1], os.getpid()


def all_of(*args, **kwargs):
    return (args, kwargs)


@mote.message
@dataclasses.dataclass(frozen=True)
class Scale:
    by: int

    def __call__(self, x):
        return self.by * x

    def over(self, x):
        return x / self.by

    @classmethod
    def name_of(cls, suffix):
        return cls.__name__ + suffix

    @staticmethod
    def half(x):
        return x / 2


class Local:
    def method(self):
        return 1


class Odd(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first, self.socket = first, threading.Lock()  # the second cannot be sent


def raises_odd():
    raise Odd(1, 2)


def raises(name, *args):
    raise getattr(__import__("builtins"), name)(*args)


def opens(path):
    open(path)


def raises_strange():
    import wave

    raise wave.Error("no sound")


def raises_with_note():
    error = ValueError("noted")
    error.add_note("of the other worker")
    raise error


def raises_group():
    raise ExceptionGroup("two", [KeyError("a"), ExceptionGroup("one", [OSError(2, "none", "file")])])


kept = None


def keeps_a_weak_one(value):
    global kept
    kept = weakref.ref(value)
    return True


def is_kept():
    return kept() is not None


def nests():
    with mote.Executor(1) as executor:
        return executor.submit(square, 1).result()


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
        self.assertEqual(list(self.executor.map(sleeps, [0.0, 0.0], timeout=PATIENCE)), [0.0, 0.0])
        with self.assertRaises(concurrent.futures.TimeoutError):
            next(self.executor.map(sleeps, [2.0], timeout=0.05))

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
            first = executor.submit(sleeps, 2.0)
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
        futures = [executor.submit(sleeps, 1.0 if n == 0 else 0.2) for n in range(5)]
        executor.shutdown(cancel_futures=True)
        self.assertTrue(all(f.done() for f in futures))
        self.assertTrue(futures[-1].cancelled())

    def test_its_process_is_faster(self):
        """It is at work before it is known which it is."""
        spawn = mote._mote.spawn_opt

        def slow(*args):
            started = spawn(*args)
            mote.info(started)  # answered when it waits
            self.assertEqual(args[0].__self__.core.pid, started)
            return started

        with unittest.mock.patch.object(mote._mote, "spawn_opt", slow):
            executor = mote.Executor(1)
        self.assertEqual(executor.submit(square, 5).result(PATIENCE), 25)
        executor.shutdown()

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

    def test_a_death_costs_few(self):
        with mote.Executor(1) as executor:
            futures = [executor.submit(dies_at, n, 3) for n in range(1000)]
            dead = [n for n, future in enumerate(futures) if isinstance(future.exception(PATIENCE), mote.WorkerDied)]
        self.assertIn(3, dead)
        self.assertLess(len(dead), 50)
        self.assertEqual([future.result() for n, future in enumerate(futures) if n not in dead], [n for n in range(1000) if n not in dead])

    def test_an_initializer_fails_in_one_worker(self):
        with tempfile.TemporaryDirectory() as folder, mote.Executor(2, initializer=os.mkdir, initargs=(os.path.join(folder, "new"),)) as executor:
            futures = []
            with self.assertRaises(concurrent.futures.BrokenExecutor):
                while True:
                    futures.append(executor.submit(square, 1))
                    futures[-1].result(PATIENCE)
            for future in futures:
                self.assertIn(type(future.exception(PATIENCE)), (type(None), concurrent.futures.process.BrokenProcessPool))

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

    def test_pmap_of_nothing(self):
        self.assertEqual(mote.pmap(square, [], workers=1, progress=True), [])

    def test_wrong_sizes(self):
        for size in (0, -1):
            with self.assertRaisesRegex(ValueError, "max_workers must be greater than 0"):
                mote.Executor(size)
        with self.assertRaisesRegex(ValueError, "less than 63"):
            mote.Executor(63)
        with self.assertRaises(TypeError):
            mote.Executor(1, initializer=5)
        with self.assertRaises(TypeError):
            self.executor.submit(fn=square)

    def test_what_can_be_called(self):
        for function, args, kwargs, result in (
            (functools.partial(all_of, 1, a=2), (3,), {"b": 4}, ((1, 3), {"a": 2, "b": 4})),
            (functools.partial(functools.partial(all_of, 1), 2), (), {}, ((1, 2), {})),
            (all_of, (1,), {"self": 2, "fn": 3}, ((1,), {"self": 2, "fn": 3})),
            (operator.add, (1, 2), {}, 3), (math.sqrt, (4.0,), {}, 2.0), (len, ([1],), {}, 1), (int, ("12",), {}, 12),
            (str.upper, ("a",), {}, "A"), ("{}-{}".format, (1, 2), {}, "1-2"), ({1: 2}.get, (1,), {}, 2), (int.from_bytes, (b"ab", "big"), {}, 24930),
            (Scale.name_of, ("!",), {}, "Scale!"), (Scale.half, (3,), {}, 1.5), (Scale(2).half, (3,), {}, 1.5), (Scale(2).name_of, ("?",), {}, "Scale?"),
            (Scale(2).over, (3,), {}, 1.5), (Scale(2), (3,), {}, 6), (functools.partial(Scale(2), 4), (), {}, 8),
        ):
            with self.subTest(function=function):
                self.assertEqual(self.executor.submit(function, *args, **kwargs).result(PATIENCE), result)
        self.assertEqual(list(self.executor.map(functools.partial(power, to=3), range(9), chunksize=2)), [n**3 for n in range(9)])
        for function in (lambda: 1, Local().method, operator.itemgetter(1)):
            with self.assertRaises(mote.NotSendable):
                self.executor.submit(function, [1, 2]).result(PATIENCE)

    def test_exceptions_arrive_whole(self):
        with self.assertRaises(Odd) as caught:
            self.executor.submit(raises_odd).result(PATIENCE)
        self.assertEqual((caught.exception.args, caught.exception.first), (("1 and 2",), 1))
        with self.assertRaises(FileNotFoundError) as caught:
            self.executor.submit(opens, "/no/such/file").result(PATIENCE)
        self.assertEqual((caught.exception.errno, caught.exception.filename), (2, "/no/such/file"))
        for name, args in (("SystemExit", (3,)), ("KeyboardInterrupt", ()), ("UnicodeDecodeError", ("utf-8", b"x", 0, 1, "why")), ("StopIteration", (1,))):
            error = self.executor.submit(raises, name, *args).exception(PATIENCE)
            self.assertEqual((type(error).__name__, error.args), (name, args))
        self.assertNotIn("wave", sys.modules)
        self.assertEqual(repr(self.executor.submit(raises_strange).exception(PATIENCE)), "Error('no sound')")
        self.assertIsInstance(self.executor.submit(raises_strange).exception(PATIENCE), sys.modules["wave"].Error)
        self.assertEqual(self.executor.submit(square, 3).result(PATIENCE), 9)

    @unittest.skipIf(sys.version_info < (3, 11), "exceptions have no notes and groups")
    def test_notes_and_groups(self):
        self.assertEqual(self.executor.submit(raises_with_note).exception(PATIENCE).__notes__, ["of the other worker"])
        group = self.executor.submit(raises_group).exception(PATIENCE)
        self.assertEqual(repr(group), repr(self.group_here()))
        self.assertEqual(group.exceptions[1].exceptions[0].filename, "file")

    def group_here(self):
        try:
            raises_group()
        except Exception as error:
            return error

    def test_map_with_a_buffer(self):
        taken = []

        def items():
            for n in range(10):
                taken.append(n)
                yield n

        results = self.executor.map(square, items(), buffersize=3)
        self.assertEqual(taken, [0, 1, 2])
        self.assertEqual(next(results), 0)
        self.assertEqual(taken, [0, 1, 2, 3])
        self.assertEqual(list(results), [n * n for n in range(1, 10)])
        self.assertEqual(list(self.executor.map(square, items(), buffersize=2, chunksize=3)), [n * n for n in range(10)])
        with self.assertRaises(ValueError):
            self.executor.map(square, [1], buffersize=0)
        with self.assertRaises(TypeError):
            self.executor.map(square, [1], buffersize=1.0)

    def test_nothing_is_kept(self):
        value = Scale(3)
        here = weakref.ref(value)
        with mote.Executor(1) as executor:
            self.assertTrue(executor.submit(keeps_a_weak_one, value).result(PATIENCE))
            del value
            self.assertFalse(executor.submit(is_kept).result(PATIENCE))
            self.assertIsNone(here())
            for chunksize in (1, 3):
                there = [weakref.ref(result) for result in executor.map(Scale, range(10), chunksize=chunksize)]
                executor.submit(square, 1).result(PATIENCE)  # what has passed the results on has gone on, too
                self.assertEqual([one() for one in there], [None] * 10)
            local = Local()
            here = weakref.ref(local)
            executor.submit(local.method)  # it cannot be sent
            del local
            executor.submit(square, 1).result(PATIENCE)
            self.assertIsNone(here())

    def test_large_results(self):
        results = self.executor.map(bytes, [3 << 20] * 4)
        self.assertEqual([bytes(r) == bytes(3 << 20) for r in results], [True] * 4)

    def test_a_long_task_holds_up_no_other(self):
        with tempfile.TemporaryDirectory() as folder:
            there, path = str(pathlib.Path(folder, "there")), str(pathlib.Path(folder, "awaited"))
            pathlib.Path(there).touch()
            list(self.executor.map(waits_for, [there] * 50))  # so it is known as one of those that take no time
            list(self.executor.map(square, range(500)))
            long = self.executor.submit(waits_for, path)
            rest = [self.executor.submit(square, n) for n in range(500)]
            self.assertEqual([f.result(PATIENCE) for f in rest], [n * n for n in range(500)])
            self.assertFalse(long.done())
            pathlib.Path(path).touch()
            self.assertEqual(long.result(PATIENCE), path)

    def test_two_executors_have_their_own_workers(self):
        with tempfile.TemporaryDirectory() as folder, mote.Executor(1) as one, mote.Executor(1) as two:
            futures = [executor.submit(meets, folder, n, 1 - n) for n, executor in enumerate((one, two))]
            self.assertEqual([f.result(PATIENCE) for f in futures], [True, True])
        first, second = (mote.Executor(1) for _ in range(2))
        first.shutdown()
        with mote.Executor(1) as third:  # has the first one's
            self.assertEqual(third._core.slots[0].place, first._core.slots[0].place)
        second.shutdown()

    def test_tasks_of_a_child_are_those_that_it_has_done(self):
        """Not what it has given back, nor what could not be sent to it."""
        with tempfile.TemporaryDirectory() as folder, mote.Executor(1, max_tasks_per_child=20) as executor:
            first, second = (str(pathlib.Path(folder, name)) for name in ("first", "second"))
            where_it_is = executor.submit(where).result(PATIENCE)
            with self.assertRaises(mote.NotSendable):
                executor.submit(square, Local()).result(PATIENCE)
            before = executor.submit(waits_for, first)
            executor._core.costs[(__name__, "waits_where")] = 0.0001
            futures = [executor.submit(waits_where, second) for _ in range(18)]
            pathlib.Path(first).touch()  # now they are sent together
            before.result(PATIENCE)
            until = time.monotonic() + PATIENCE
            while len(executor._core.back) < 17:
                self.assertLess(time.monotonic(), until, "they have not been given back")
                os.sched_yield()
            pathlib.Path(second).touch()
            self.assertEqual({f.result(PATIENCE) for f in futures}, {where_it_is})
            self.assertNotEqual(executor.submit(where).result(PATIENCE), where_it_is)

    def test_initializer_of_each_child(self):
        with mote.Executor(2, initializer=prepare, initargs=("ready",), max_tasks_per_child=2) as executor:
            results = list(executor.map(prepared_where, range(9)))
        self.assertEqual({text for text, _ in results}, {"ready"})
        self.assertGreaterEqual(len({pid for _, pid in results}), 5)
        with self.assertRaisesRegex(ValueError, "max_tasks_per_child must be >= 1"):
            mote.Executor(1, max_tasks_per_child=0)
        with self.assertRaisesRegex(TypeError, "max_tasks_per_child must be an integer"):
            mote.Executor(1, max_tasks_per_child=1.5)

    def test_from_callbacks(self):
        results, over = [], threading.Event()

        def again(future):
            results.append(future.result())
            if len(results) < 100:
                self.executor.submit(square, len(results)).add_done_callback(again)
            else:
                over.set()

        self.executor.submit(square, 0).add_done_callback(again)
        self.assertTrue(over.wait(PATIENCE))
        self.assertEqual(results, [n * n for n in range(100)])

    def test_a_callback_may_not_wait(self):
        errors, over = [], threading.Event()
        with mote.Executor(1) as executor, tempfile.TemporaryDirectory() as folder:
            paths = [str(pathlib.Path(folder, name)) for name in ("first", "second")]
            first, second = (executor.submit(waits_for, path) for path in paths)

            def waits(_):
                for call in (second.result, second.exception, executor.shutdown):
                    try:
                        call()
                    except RuntimeError as error:
                        errors.append(str(error))
                over.set()

            first.add_done_callback(waits)
            pathlib.Path(paths[0]).touch()
            self.assertTrue(over.wait(PATIENCE))
            pathlib.Path(paths[1]).touch()
            self.assertEqual(second.result(PATIENCE), paths[1])
        for error, text in zip(errors, (r"result\(\).*wrap_future", r"exception\(\).*wrap_future", r"shutdown\(wait=False\)")):
            self.assertRegex(error, text)
        self.assertEqual(len(errors), 3)

    def test_from_many_threads(self):
        sums = []

        def submits():
            sums.append(sum(f.result(PATIENCE) for f in [self.executor.submit(square, n) for n in range(300)]))

        threads = [threading.Thread(target=submits) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(sums, [sum(n * n for n in range(300))] * 8)

    def test_within_a_task(self):
        with self.assertRaisesRegex(mote.MoteError, "not a worker"):
            self.executor.submit(nests).result(PATIENCE)

    def test_in_functions_and_coroutines(self):
        me = mote.self()
        with tempfile.TemporaryDirectory() as folder, mote.Executor(1) as executor:
            path = str(pathlib.Path(folder, "awaited"))

            def function():
                future = executor.submit(waits_for, path)
                try:
                    future.result(timeout=0.01)
                except concurrent.futures.TimeoutError:
                    mote.send(me, "late")
                pathlib.Path(path).touch()
                mote.send(me, (future.result(), future.exception(), list(executor.map(square, range(3)))))
                with mote.Executor(1) as own:
                    rest = own.submit(square, 7)
                mote.send(me, rest.done())

            mote.options(place="here").spawn(function)
            self.assertEqual([mote.receive(timeout=PATIENCE) for _ in range(3)], ["late", (path, None, [0, 1, 4]), True])
            os.remove(path)

            async def coroutine():
                future = executor.submit(waits_for, path)
                try:
                    future.result()
                except RuntimeError as error:
                    mote.send(me, str(error))
                pathlib.Path(path).touch()
                mote.send(me, await asyncio.wrap_future(future))

            mote.options(place="here").spawn(coroutine)
            self.assertIn("await asyncio.wrap_future", mote.receive(timeout=PATIENCE))
            self.assertEqual(mote.receive(timeout=PATIENCE), path)

    def test_with_in_asyncio(self):
        async def main(path):
            with mote.Executor(2) as executor:
                loop = asyncio.get_running_loop()
                results = await asyncio.gather(*(loop.run_in_executor(executor, square, n) for n in range(2000)))
                futures = [loop.run_in_executor(executor, waits_for, path) for _ in range(6)]
                while not all(slot.tasks for slot in executor._core.slots):
                    await asyncio.sleep(0)
                for future in futures[2:]:
                    future.cancel()
                pathlib.Path(path).touch()
                return results, await asyncio.gather(*futures, return_exceptions=True)

        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder, "awaited"))
            results, rest = asyncio.run(main(path))
        self.assertEqual(results, [n * n for n in range(2000)])
        self.assertEqual([type(one) for one in rest], [str] * 2 + [asyncio.CancelledError] * 4)

    def test_nobody_has_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder, "awaited"))
            executor = mote.Executor(1)
            core = executor._core
            results = executor.map(waits_for, [path] * 3)
            del executor
            gc.collect()
            pathlib.Path(path).touch()
            self.assertEqual(list(results), [path] * 3)
            self.assertTrue(core.over.wait(PATIENCE))
        self.assertNotIn(core, mote._executor._live)

    def test_what_is_left_has_been_cancelled(self):
        with tempfile.TemporaryDirectory() as folder:
            path = str(pathlib.Path(folder, "awaited"))
            executor = mote.Executor(1)
            long, rest = executor.submit(waits_for, path), executor.submit(square, 1)
            self.assertTrue(rest.cancel())
            executor.shutdown(wait=False)
            pathlib.Path(path).touch()
            self.assertEqual(long.result(PATIENCE), path)
            self.assertTrue(executor._core.over.wait(PATIENCE))

    def test_shutdown_texts(self):
        executor = mote.Executor(1)
        executor.shutdown(wait=False)
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            executor.submit(square, 1)
        with self.assertRaisesRegex(RuntimeError, "after shutdown"):
            executor.map(square, [1])
        executor.shutdown()

    def test_broken_as_process_pools_are(self):
        broken = concurrent.futures.process.BrokenProcessPool
        with mote.Executor(1) as executor:
            with self.assertRaises(broken) as caught:
                executor.submit(dies).result(PATIENCE)
            self.assertIsInstance(caught.exception, mote.WorkerDied)
        for initializer, text in ((cannot_prepare, "OSError: not today"), (crashes, "worker_died")):
            with mote.Executor(2, initializer=functools.partial(initializer)) as executor:
                future = None
                try:
                    future = executor.submit(square, 1)
                except broken:
                    pass
                if future is not None:
                    self.assertIsInstance(future.exception(PATIENCE), broken)
                with self.assertRaisesRegex(broken, text) as caught:
                    executor.submit(square, 1)
                if initializer is cannot_prepare:
                    self.assertIn("in cannot_prepare", str(caught.exception.__cause__))

    def test_as_joblib_does(self):
        """A backend that is given batches of calls and a callback for each, and may have to give up."""

        class Backend:
            def __init__(self, executor):
                self.executor = executor

            def submit(self, calls, callback):
                futures = [self.executor.submit(function, *args, **kwargs) for function, args, kwargs in calls]
                for future in futures:
                    future.add_done_callback(callback)
                return futures

        done = []
        backend = Backend(self.executor)
        batches = [[(functools.partial(power, to=2), (n,), {}), (math.sqrt, (n,), {})] for n in range(50)]
        futures = [backend.submit(batch, done.append) for batch in batches]
        results = [future.result(PATIENCE) for batch in futures for future in batch]
        self.assertEqual(results, [value for n in range(50) for value in (n * n, math.sqrt(n))])
        self.executor.submit(square, 1).result(PATIENCE)
        self.assertEqual(len(done), 100)


PROGRAM = """
import sys, threading, time
import mote

class Mine(Exception):
    pass

def fails():
    raise Mine("of the program")

def prints(text):
    time.sleep(0.1)
    print(text)

def slowly(n):
    time.sleep(0.02)
    if n < 0:
        raise ValueError("below 0")
    return n

if __name__ == "__main__":
    CODE
"""


class Programs(unittest.TestCase):
    def run_program(self, code, *, terminal=False):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "program.py")
            path.write_text(PROGRAM.replace("CODE", code.strip().replace("\n", "\n    ")))
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
            if terminal:
                return self.on_terminal([sys.executable, str(path)], env)
            done = subprocess.run([sys.executable, str(path)], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
            return done.stdout, but_hogs(done.stderr)

    def on_terminal(self, argv, env):
        ours, theirs = pty.openpty()
        with subprocess.Popen(argv, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as program:
            os.close(theirs)
            written = b""
            while True:
                try:
                    more = os.read(ours, 4096)
                except OSError:  # the other side is closed
                    break
                written += more
            os.close(ours)
        self.assertEqual(program.returncode, 0, written)
        return written.decode()

    def test_what_was_submitted_is_done_at_the_end(self):
        for end in ("", "executor.shutdown(wait=False)", "del executor", "sys.exit()"):
            out, err = self.run_program(f"executor = mote.Executor(2)\nfor n in range(4): executor.submit(prints, 'done')\n{end}")
            self.assertEqual((out.count("done"), err), (4, ""), end)

    def test_submit_after_the_end(self):
        out, err = self.run_program(
            """
import atexit
@atexit.register
def last():
    try:
        executor.submit(prints, "never")
    except RuntimeError as error:
        print(error)
executor = mote.Executor(1)
"""
        )
        self.assertEqual((out, err), ("cannot schedule new futures after interpreter shutdown\n", ""))

    def test_the_node_stops(self):
        out, err = self.run_program(
            """
import concurrent.futures
node = mote.Node()
executor = mote.Executor(1)
futures = [executor.submit(time.sleep, 30) for _ in range(3)]
node.stop()
print({isinstance(f.exception(10), concurrent.futures.BrokenExecutor) for f in futures})
try:
    executor.submit(prints, "never")
except RuntimeError as error:
    print(error)
executor.shutdown()
with mote.Executor(1) as executor:
    print(executor.submit(pow, 2, 3).result(10))
"""
        )
        self.assertEqual((out, err), ("{True}\ncannot schedule new futures: the executor's node has stopped\n8\n", ""))

    def test_the_node_stops_before_it_begins(self):
        """The executor's process has not made its first step: another holds the interpreter."""
        out, err = self.run_program(
            """
import concurrent.futures
holds = threading.Event()
async def hold():
    holds.set()
    while True:
        pass
node = mote.Node(hog=None)
mote.spawn(hold)
holds.wait()
executor = mote.Executor(1)
futures = [executor.submit(prints, "never") for _ in range(3)]
node.stop()
print({isinstance(f.exception(10), concurrent.futures.BrokenExecutor) for f in futures})
executor.shutdown()
"""
        )
        self.assertEqual((out, err), ("{True}\n", ""))

    def test_exceptions_of_the_program(self):
        out, err = self.run_program("try: mote.Executor(1).submit(fails).result(30)\nexcept Mine as error: print(repr(error))")
        self.assertEqual((out, err), ("Mine('of the program')\n", ""))

    def test_bar(self):
        written = self.run_program("print(mote.pmap(slowly, range(20), workers=2)[-1])", terminal=True)
        first, *rest, last = written.replace("\r\n", "\n").split("\r")
        self.assertEqual((first, last), ("", f"[{'#' * 40}] 20/20\n19\n"))
        self.assertEqual({len(line) for line in rest}, {len("[] 20/20") + 40})
        written = self.run_program("try: mote.pmap(slowly, [1, -1], workers=1)\nexcept ValueError as error: print(error)", terminal=True)
        self.assertRegex(written.rpartition("\r[")[2], r"^#*\.*\] [12]/2\r\nbelow 0\r\n$")

    def test_bar_without_a_terminal(self):
        self.assertEqual(self.run_program("print(mote.pmap(slowly, range(3), workers=1))"), ("[0, 1, 2]\n", ""))

    def test_bar_on_a_narrow_terminal(self):
        code = """
import fcntl, struct, termios
def widths(columns):
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    bar = mote._executor._Bar.__new__(mote._executor._Bar)
    bar.total = bar.done = 20
    return len(bar.line())
mote.Executor
import mote._executor
print([widths(n) for n in (200, 48, 20, 12, 8, 4)])
"""
        self.assertTrue(self.run_program(code, terminal=True).strip().endswith("[48, 47, 19, 5, 5, 3]"))


if __name__ == "__main__":
    unittest.main()
