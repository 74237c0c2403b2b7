# SPDX-License-Identifier: Apache-2.0
"""mote.Node: options, figures, stopping; what many runtimes and many processes leave behind. In interpreters of their own, where no node runs yet."""
import os
import subprocess
import sys
import unittest

import quick

PATIENCE = 60
LONG = bool(os.environ.get("MOTE_TEST_LONG"))
PROCESSES = 1_000_000 if LONG else 20_000 if quick.QUICK else 100_000
MEASURED = not os.environ.get("MOTE_TEST_UNDER")

BODIES = """
import gc, mote, os, sys, threading, time
def f_waits(to):
    mote.send(to, "on")
    mote.receive()
async def c_waits(to):
    mote.send(to, "on")
    await mote.aio.receive()
def f_ends(): pass
async def c_ends(): pass
def rss(): return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024
def tasks():
    end = time.monotonic() + 30  # a thread that was joined may take a moment to be gone
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end: time.sleep(0.001)
    return len(os.listdir("/proc/self/task"))
def fds(): return len(os.listdir("/proc/self/fd"))
"""


class Program(unittest.TestCase):
    def ends(self, program, timeout=PATIENCE):
        done = subprocess.run([sys.executable, "-c", BODIES + program], capture_output=True, text=True, timeout=timeout, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()


class Nodes(Program):
    def test_a_block(self):
        program = (
            "with mote.Node() as node:\n"
            "    pid = mote.spawn(f_waits, mote.self()); mote.receive('on', timeout=60)\n"
            "    aid = mote.spawn(c_waits, mote.self()); mote.receive('on', timeout=60)\n"
            "    info = node.info()\n"
            "    print(info.processes, info.processes_started, info.messages_sent >= 2, 0 < info.uptime < 60, info.hogs, info.messages_dropped)\n"
            "print(tasks())\n"
            "try: node.info()\n"
            "except mote.MoteError as e: print(e)\n"
            "node.stop()\n"
        )
        self.assertEqual(self.ends(program), ["3 2 True True 0 0", "1", "mote: this node has stopped"])

    def test_one_at_a_time(self):
        program = (
            "def refused():\n"
            "    try: mote.Node()\n"
            "    except mote.MoteError as e: print(str(e)[:26])\n"
            "with mote.Node():\n"
            "    refused()\n"
            "with mote.Node() as second: print(second.info().processes)\n"
            "mote.self()\n"  # starts one by itself
            "refused()\n"
            "second.stop()\n"  # is not that one
            "print(len(mote.processes()))\n"
        )
        self.assertEqual(self.ends(program), ["mote: a node runs already:", "1", "mote: a node runs already:", "1"])

    def test_options(self):
        program = (
            "with mote.Node(processes_max=20):\n"
            "    try:\n"
            "        for n in range(100): mote.spawn(c_waits, mote.self())\n"
            "    except mote.MoteError as e: print(n < 21, str(e)[:11])\n"
            "def deep(n):\n"
            "    return 0 if n == 0 else max(map(deep, [n - 1]))\n"
            "def tries(to):\n"
            "    try: deep(100000)\n"
            "    except RecursionError: mote.send(to, 'deep')\n"
            "for stack in (100_000, 16 << 20):\n"
            "    with mote.Node(stack=stack):\n"
            "        mote.spawn(tries, mote.self()); print(mote.receive(timeout=60))\n"
            "for wrong in ({'processes_max': 0}, {'hog': 0}, {'hog': -1}, {'stack': 0}):\n"
            "    try: mote.Node(**wrong)\n"
            "    except ValueError: print('wrong')\n"
            "for start in (mote.Node, lambda stack: mote.options(stack=stack).spawn(f_ends)):\n"
            "    try: start(stack=65535)\n"
            "    except ValueError as e: print(e)\n"
        )
        self.assertEqual(self.ends(program), ["True mote.spawn:", "deep", "deep", *["wrong"] * 4, *["stack is at least 65536 bytes"] * 2])

    def test_stop_runs_clean_ups_and_is_bounded(self):
        program = (
            "def cleans(to):\n"
            "    mote.send(to, 'on')\n"
            "    try: mote.receive()\n"
            "    finally: print('clean', flush=True)\n"
            "def blocked(to):\n"
            "    mote.send(to, 'on')\n"
            "    time.sleep(1000)\n"
            "node = mote.Node(hog=None)\n"
            "mote.spawn(cleans, mote.self()); mote.receive('on', timeout=60)\n"
            "mote.spawn(blocked, mote.self()); mote.receive('on', timeout=60)\n"
            "begin = time.monotonic()\n"
            "try: node.stop(0.3)\n"
            "except TimeoutError as e: print(e)\n"
            "print(time.monotonic() - begin < 30)\n"
            "try: mote.self()\n"
            "except mote.MoteError as e: print(e)\n"
            "node.stop()\n"
            "for wrong in (lambda: node.stop(-1), lambda: node.stop(drain=-1)):\n"
            "    try: wrong()\n"
            "    except ValueError: print('wrong')\n"
        )
        self.assertEqual(
            self.ends(program),
            [
                "mote: a process could not be ended in time; the node is left behind",
                "True",
                "mote: a node was left behind with a process that could not be ended: no other can start",
                "wrong",
                "wrong",
            ],
        )

    def test_drain(self):
        program = (
            "def works(to):\n"
            "    mote.send(to, 'on'); mote.sleep(0.05); print('done', flush=True)\n"
            "node = mote.Node()\n"
            "mote.spawn(works, mote.self()); mote.receive('on', timeout=60)\n"
            "begin = time.monotonic()\n"
            "node.stop(drain=50)\n"
            "print(time.monotonic() - begin < 40)\n"
        )
        self.assertEqual(self.ends(program), ["done", "True"])

    def test_not_by_a_process(self):
        program = (
            "node = mote.Node()\n"
            "def stops(to):\n"
            "    try: node.stop()\n"
            "    except mote.MoteError as e: mote.send(to, str(e))\n"
            "mote.spawn(stops, mote.self()); print(mote.receive(timeout=60))\n"
        )
        self.assertEqual(self.ends(program), ["mote: a process cannot stop its own node"])

    def test_other_threads_that_wait(self):
        program = (
            "node = mote.Node()\n"
            "main, ends = mote.self(), []\n"
            "def waits():\n"
            "    mote.send(main, mote.self())\n"
            "    try: mote.receive()\n"
            "    except (mote.ProcessExit, mote.MoteError) as e: ends.append(type(e).__name__)\n"
            "threads = [threading.Thread(target=waits) for _ in range(4)]\n"
            "for t in threads: t.start()\n"
            "pids = [mote.receive(mote.Pid, timeout=60) for t in threads]\n"
            "while any(mote.info(pid).state != 'waiting' for pid in pids): time.sleep(0.001)\n"
            "node.stop()\n"
            "for t in threads: t.join(60)\n"
            "print(len(ends))\n"
            "with mote.Node(): print(len(mote.processes()))\n"
        )
        self.assertEqual(self.ends(program), ["4", "1"])

    def test_threads_that_start_one_at_once(self):
        program = (
            "for _ in range(20):\n"
            "    threads = [threading.Thread(target=lambda: mote.spawn(f_ends)) for _ in range(8)]\n"
            "    for t in threads: t.start()\n"
            "    for t in threads: t.join(60)\n"
            "    mote._mote.stop()\n"
            "print(tasks())\n"
        )
        self.assertEqual(self.ends(program), ["1"])


class Leaves(Program):
    """Memory in MiB, descriptors, threads."""

    def test_200_runtimes(self):
        out = self.ends(
            "for i in range(200):\n"
            "    with mote.Node():\n"
            "        for body in (f_waits, c_waits):\n"
            "            for _ in range(5): mote.spawn(body, mote.self())\n"
            "            for _ in range(5): mote.receive('on', timeout=60)\n"
            "        t = threading.Thread(target=mote.self); t.start(); t.join()\n"
            "    if i == 50: before = rss(), fds(), tasks()\n"
            "print(rss() - before[0]); print(fds() - before[1]); print(tasks() - before[2], tasks())\n"
        )
        self.assertEqual(out[1:], ["0", "0 1"])
        if MEASURED:
            self.assertLess(int(out[0]), 6)

    def many(self, body, batch):
        """Processes started and ended, `batch` alive at once; how many MiB more after all than after the first tenth."""
        out = self.ends(
            f"def round(n):\n"
            f"    for _ in range(n // {batch}):\n"
            f"        refs = [mote.spawn_monitor({body})[1] for _ in range({batch})]\n"
            f"        for ref in refs: mote.receive(('DOWN', ref, mote.ANY, mote.ANY, mote.ANY), timeout=60)\n"
            f"round({PROCESSES // 10}); gc.collect(); before = rss()\n"
            f"round({PROCESSES}); gc.collect(); print(rss() - before)\n",
            timeout=20 * PATIENCE,
        )
        if MEASURED:
            self.assertLess(int(out[0]), 6)

    def test_many_functions(self):
        self.many("f_ends", 1000)

    def test_many_coroutines(self):
        self.many("c_ends", 1000)

    def test_many_failures(self):
        """Each with its traceback; told of at a rate."""
        out = self.ends(
            "def fails(): raise ValueError('x' * 1000)\n"
            "async def afails(): raise ValueError('x' * 1000)\n"
            "def round(n):\n"
            "    for body in (fails, afails):\n"
            "        for _ in range(n): mote.receive(('DOWN', mote.spawn_monitor(body)[1], mote.ANY, mote.ANY, mote.ANY), timeout=60)\n"
            "round(500); gc.collect(); before = rss()\n"
            "round(3000); gc.collect(); print(rss() - before)\n"
        )
        if MEASURED:
            self.assertLess(int(out[0]), 6)


if __name__ == "__main__":
    unittest.main()
