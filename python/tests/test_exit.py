# SPDX-License-Identifier: Apache-2.0
"""The interpreter's end with processes alive, Ctrl-C, and os.fork(): each program in an interpreter of its own."""
import concurrent.futures
import os
import signal
import subprocess
import sys
import unittest

import quick
from said import but_hogs

PATIENCE = 60
FEW = hasattr(sys, "gettotalrefcount") or quick.QUICK  # a debug build is slow
EXITS = 500 if os.environ.get("MOTE_TEST_LONG") else 25 if FEW else 100
UNDER_ASAN = os.environ.get("MOTE_TEST_UNDER") == "asan"

BODIES = """
import mote, sys, threading, time
main = mote.self()
def spin():
    n = 0
    while True: n += 1
def f_waits(to):
    mote.send(to, "on")
    mote.receive()
async def c_waits(to):
    mote.send(to, "on")
    await mote.aio.receive()
def f_hog(to):
    mote.send(to, "on")
    spin()
async def c_hog(to):
    mote.send(to, "on")
    spin()
def f_stubborn(to):
    mote.send(to, "on")
    while True:
        try: spin()
        except BaseException: pass
async def c_stubborn(to):
    mote.send(to, "on")
    while True:
        try: spin()
        except BaseException: pass
def f_blocked(to):
    try: mote.send(to, "on"); mote.receive()
    finally: time.sleep(1000)
async def c_blocked(to):
    try: mote.send(to, "on"); await mote.aio.receive()
    finally: time.sleep(1000)
def f_cleans(to):
    try: mote.send(to, "on"); mote.receive()
    finally: print("clean", flush=True)
async def c_cleans(to):
    try: mote.send(to, "on"); await mote.aio.receive()
    finally: print("clean", flush=True)
def start(body, count=1):
    for _ in range(count): mote.spawn(body, main)
    for _ in range(count): mote.receive("on", timeout=60)
"""

MANY = [
    "start(f_waits, 30); start(c_waits, 30)",
    "start(c_hog)",
    "start(f_waits, 5); start(f_hog)",
    "start(c_cleans, 20); start(f_cleans, 20)",
    "for _ in range(3): threading.Thread(target=lambda: (mote.send(main, 'on'), mote.receive()), daemon=True).start()\n"
    "for _ in range(3): mote.receive('on', timeout=60)",
    "mote.send_after(0.001, main, 1); mote.send_after(1000, mote.spawn(f_waits, main), 1); mote.receive('on', timeout=60)",
    "for _ in range(30): mote.spawn(f_waits, main); mote.spawn(c_waits, main)",
    "def sends(to):\n    for _ in range(100000): mote.send(to, (1, [2])); mote.sleep(0)\nmote.spawn(sends, main); mote.receive(timeout=60)",
]


def run(program, timeout=PATIENCE):
    return subprocess.run([sys.executable, "-c", BODIES + program], capture_output=True, text=True, timeout=timeout, check=False)


class Exits(unittest.TestCase):
    def ends(self, program, code=0):
        done = run(program)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_many(self):
        """Nobody hangs, nobody crashes, nobody complains."""

        def one(n):
            return n, run(MANY[n % len(MANY)])

        with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            for n, done in pool.map(one, range(EXITS)):
                self.assertEqual((done.returncode, but_hogs(done.stderr)), (0, ""), MANY[n % len(MANY)])

    def test_clean_ups_run(self):
        self.assertEqual(self.ends("start(f_cleans, 10); start(c_cleans, 10)").stdout, "clean\n" * 20)

    def test_who_will_not_end(self):
        for body in ("f_stubborn", "c_stubborn"):
            done = self.ends(f"start({body}); sys.exit(3)", 3)
            self.assertIn(f"({body}) has caught its own end again and again", done.stderr)

    def test_who_is_blocked_is_left_behind(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for body, done in pool.map(lambda body: (body, run(f"start({body}); sys.exit(3)")), ("f_blocked", "c_blocked")):
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertRegex(done.stderr, rf"\({body}\) could not be ended in time, and is left behind; where it is:\n  File .*, in {body}\n")
                self.assertNotIn("Fatal", done.stderr)

    def test_at_exit_handlers(self):
        program = (
            "import atexit\n"
            "def early():\n"
            "    start(f_cleans); start(c_cleans); print('early', flush=True)\n"
            "atexit.register(early)\n"
            "start(f_waits); start(c_waits)\n"
        )
        self.assertEqual(self.ends(program).stdout, "early\nclean\nclean\n")

    def test_after_the_node_has_stopped(self):
        program = (
            "import atexit\n"
            "def late():\n"
            "    try: mote.self()\n"
            "    except mote.MoteError as e: print(e)\n"
            "atexit.register(late)\n"
            "import mote\n"
            "pid = mote.spawn(print, 'ran')\n"
            "ref = mote.monitor(pid); mote.receive(mote.Down, timeout=60)\n"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "ran\nmote: the interpreter ends, and the node has stopped\n"), done.stderr)

    def test_exit_codes_and_exceptions(self):
        self.ends("start(f_waits); start(c_waits); sys.exit(7)", 7)
        self.assertIn("ZeroDivisionError", self.ends("start(f_waits); start(c_waits); 1/0", 1).stderr)
        self.ends("start(f_hog); import os; os._exit(5)", 5)

    def test_a_process_that_exits_does_not_end_the_program(self):
        self.assertEqual(self.ends("pid, ref = mote.spawn_monitor(sys.exit, 3); print(mote.receive(mote.Down, timeout=60).reason[1])").stdout, "3\n")


class CtrlC(unittest.TestCase):
    """SIGINT in a program that waits in mote.receive()."""

    def start(self, program):
        p = subprocess.Popen([sys.executable, "-c", BODIES + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.communicate)
        self.addCleanup(p.kill)
        self.assertEqual(p.stdout.readline(), "ready\n")
        return p

    def test_an_orderly_end(self):
        p = self.start("start(f_cleans); start(c_cleans)\nprint('ready', flush=True)\nmote.receive()\n")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=PATIENCE)
        self.assertEqual(out, "clean\nclean\n", err)
        self.assertEqual(p.returncode, -signal.SIGINT)
        self.assertEqual(err.splitlines()[-1], "KeyboardInterrupt")

    def test_with_a_limit_with_a_pattern_with_a_call(self):
        for wait in ("mote.receive(timeout=1000)", "mote.receive(('x', int))", "mote.call(mote.spawn(mote.sleep, 1000), 1, timeout=1000)", "mote.sleep(1000)"):
            p = self.start(f"try:\n    print('ready', flush=True)\n    {wait}\nexcept KeyboardInterrupt: print('interrupted', flush=True)\n")
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=PATIENCE)
            self.assertEqual((out, p.returncode), ("interrupted\n", 0), err)

    def test_while_a_process_hogs(self):
        p = self.start("start(f_hog)\ntry:\n    print('ready', flush=True)\n    mote.receive()\nexcept KeyboardInterrupt: print('interrupted', flush=True)\n")
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=PATIENCE)
        self.assertEqual((out, p.returncode), ("interrupted\n", 0), err)

    def test_the_second_is_hard(self):
        program = (
            "def slow(to):\n"
            "    mote.send(to, 'on')\n"
            "    try: mote.receive()\n"
            "    finally:\n"
            "        print('ending', flush=True)\n"
            "        time.sleep(1000)\n"
            "start(slow)\nprint('ready', flush=True)\nmote.receive()\n"
        )
        p = self.start(program)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.stdout.readline(), "ending\n")
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=PATIENCE)
        self.assertEqual(p.returncode, 130, err)
        self.assertIn("ended at once", err)


@unittest.skipIf(UNDER_ASAN, "in the child, the sanitizer's allocator waits for a lock of the parent's threads")
class Fork(unittest.TestCase):
    CHILD = "import os\ndef fork(child):\n    pid = os.fork()\n    if pid == 0: return child()\n    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
    CHILDREN = [
        ("lambda: sys.exit(3)", 3),
        ("lambda: os._exit(4)", 4),
        ("lambda: os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(5)'])", 5),
        ("lambda: 1 / 0", 1),
    ]

    def ends(self, program):
        done = run(self.CHILD + program)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_from_the_main_program(self):
        for child, code in self.CHILDREN:
            out = self.ends(f"start(f_waits, 5); start(c_waits, 5); print(fork({child})); start(f_waits); start(c_waits)")
            self.assertEqual(out, f"{code}\n", child)

    def test_from_a_process(self):
        for start in ("def p(to):", "async def p(to):"):
            for child, code in [*self.CHILDREN, ("lambda: None", 0)]:
                out = self.ends(f"start(f_waits, 5)\n{start}\n    code = fork({child})\n    if code is not None: mote.send(to, code)\nmote.spawn(p, main)\nprint(mote.receive(int, timeout=60)); start(f_waits); start(c_waits)")
                self.assertEqual(out, f"{code}\n", child)

    def test_calls_in_the_child_say_so(self):
        program = (
            "def child():\n"
            "    told = 0\n"
            "    for f in (mote.self, mote.receive, lambda: mote.send(main, 1), lambda: mote.spawn(f_waits, main), mote.processes, mote.make_ref):\n"
            "        try: f()\n"
            "        except mote.MoteError as e: told += 'child of os.fork()' in str(e)\n"
            "    os._exit(told)\n"
            "start(f_waits); print(fork(child))\n"
            "def p(to): mote.send(to, fork(child))\n"
            "mote.spawn(p, main); print(mote.receive(int, timeout=60))\n"
        )
        self.assertEqual(self.ends(program), "6\n6\n")

    def test_awaiting_in_the_child_says_so(self):
        program = (
            "async def p(to):\n"
            "    pid = os.fork()\n"
            "    if pid:\n"
            "        mote.send(to, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
            "        return\n"
            "    try: await mote.aio.receive()\n"
            "    except mote.MoteError as e: os._exit(7 if 'child of os.fork()' in str(e) else 8)\n"
            "mote.spawn(p, main); print(mote.receive(int, timeout=60))\n"
        )
        self.assertEqual(self.ends(program), "7\n")


if __name__ == "__main__":
    unittest.main()
