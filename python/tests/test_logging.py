# SPDX-License-Identifier: Apache-2.0
"""What is told of processes: records that carry them, and ends that nobody has planned. In interpreters of their own, for what they write."""
import subprocess
import sys
import time
import unittest

from said import but_hogs

PATIENCE = 60

FAILING = """
import mote
def fails(what): raise ValueError(what)
async def afails(what): raise ValueError(what)
def end(pid_ref): return mote.receive(("DOWN", pid_ref[1], mote.ANY, mote.ANY, mote.ANY), timeout=60).reason
"""


class Program(unittest.TestCase):
    def ends(self, program, expected=0):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, expected, done.stderr)
        done.stderr = but_hogs(done.stderr)
        return done


class Records(Program):
    FORMAT = "logging.basicConfig(format='%(mote_pid)s|%(mote_name)s|%(message)s', level=logging.INFO)\n"
    LOGS = (
        "def logs(to):\n"
        "    logging.info('in a function'); mote.send(to, 1)\n"
        "async def alogs(to):\n"
        "    logging.info('in a coroutine'); mote.send(to, 1)\n"
        "for body in (logs, alogs):\n"
        "    mote.spawn(body, mote.self()); mote.receive(timeout=60)\n"
        "    mote.options(name='writer').spawn(body, mote.self()); mote.receive(timeout=60)\n"
        "def registered(to):\n"
        "    mote.register('the one'); logging.info('x'); mote.send(to, 1)\n"
        "mote.spawn(registered, mote.self()); mote.receive(timeout=60)\n"
        "logging.info('in the main program')\n"
    )

    def check(self, program):
        lines = [line.split("|") for line in self.ends(program).stderr.splitlines()]
        for pid, *_ in lines:
            self.assertRegex(pid, r"^(-|<0\.\d+\.\d+>)$")
        return [(name, text) for _, name, text in lines]

    def test_every_order_of_imports(self):
        expected = [("logs", "in a function"), ("writer", "in a function"), ("alogs", "in a coroutine"), ("writer", "in a coroutine"), ("the one", "x"),
                    ("thread", "in the main program")]
        self.assertEqual(self.check("import logging, mote\n" + self.FORMAT + self.LOGS), expected)
        self.assertEqual(self.check("import mote, logging\n" + self.FORMAT + self.LOGS), expected)
        self.assertEqual(self.check("import mote\nmote.self()\nimport logging\nmote.log_processes()\nmote.log_processes()\n" + self.FORMAT + self.LOGS), expected)

    def test_outside_processes(self):
        self.assertEqual(self.check("import logging, mote\n" + self.FORMAT + "logging.info('before')\n"), [("-", "before")])
        self.ends("import logging, mote\n" + self.FORMAT + "logging.info('before')\nassert mote._mote.node_info(0) is None, 'it has started a node'\n")

    def test_a_factory_of_the_programs_own(self):
        program = (
            "import logging\n"
            "class Record(logging.LogRecord):\n"
            "    def __init__(self, *args, **kwargs): super().__init__(*args, **kwargs); self.own = 'mine'\n"
            "logging.setLogRecordFactory(Record)\n"
            "import mote\n"
            "logging.basicConfig(format='%(mote_pid)s|%(own)s|%(message)s')\n"
            "logging.warning('x')\n"
        )
        self.assertEqual(self.check(program), [("mine", "x")])

    def test_importing_mote_imports_no_logging(self):
        self.ends("import mote, sys\nassert 'logging' not in sys.modules\nmote.self()\nassert 'logging' not in sys.modules\n")


class Ends(Program):
    def test_uncaught_exceptions_on_stderr(self):
        for body in ("fails", "afails"):
            err = self.ends(FAILING + f"print(end(mote.options(name='worker', monitor=True).spawn({body}, 'no good'))[0])\n").stderr
            lines = err.splitlines()
            self.assertRegex(lines[0], r"^mote: process <0\.\d+\.\d+> \(worker\) has ended with an uncaught exception:$")
            self.assertEqual(lines[1], "Traceback (most recent call last):")
            self.assertIn(f", in {body}", err)
            self.assertEqual(lines[-1], "ValueError: no good")
            self.assertEqual(err.count("mote:"), 1)

    def test_uncaught_exceptions_by_logging(self):
        program = (
            "import logging\n"
            "class Keeps(logging.Handler):\n"
            "    def emit(self, record): kept.append(record)\n"
            "kept = []\n"
            "logging.getLogger().addHandler(Keeps())\n" + FAILING +
            "for body in (fails, afails): end(mote.options(name='worker', monitor=True).spawn(body, 'no good'))\n"
            "for r in kept:\n    if 'has held' not in r.getMessage(): print(r.name, r.levelname, r.mote_name, type(r.exc_info[1]).__name__, r.getMessage().split('> ')[1])\n"
        )
        done = self.ends(program)
        self.assertEqual(done.stdout, "mote ERROR worker ValueError (worker) has ended with an uncaught exception:\n" * 2)
        self.assertEqual(done.stderr, "")

    def test_logging_without_handlers_is_not_configured(self):
        self.assertIn("mote: process", self.ends("import logging\n" + FAILING + "end(mote.spawn_monitor(fails, 1))\n").stderr)

    def test_planned_ends_are_not_told_of(self):
        program = (
            "import mote\n"
            "def exits(reason): raise mote.Exit(reason)\n"
            "async def aexits(reason): raise mote.Exit(reason)\n"
            "for body in (exits, aexits):\n"
            "    for reason in ('normal', 'shutdown', ('shutdown', 1)):\n"
            "        mote.receive(('DOWN', mote.spawn_monitor(body, reason)[1], mote.ANY, mote.ANY, mote.ANY), timeout=60)\n"
        )
        self.assertEqual(self.ends(program).stderr, "")

    def test_other_ends_are(self):
        program = (
            "import mote\n"
            "def f(to): mote.send(to, 'on'); mote.receive()\n"
            "async def c(to): mote.send(to, 'on'); await mote.aio.receive()\n"
            "def exits(): raise mote.Exit('broken')\n"
            "for body in (f, c):\n"
            "    for reason in ('kill', ('odd', 1)):\n"
            "        pid, ref = mote.spawn_monitor(body, mote.self()); mote.receive('on', timeout=60)\n"
            "        mote.exit(pid, reason); mote.receive(mote.Down, timeout=60)\n"
            "mote.spawn_monitor(exits); mote.receive(mote.Down, timeout=60)\n"
        )
        told = [line.split("> ")[1] for line in self.ends(program).stderr.splitlines()]
        expected = [f"({name}) has ended: {reason}" for name in "fc" for reason in ("killed", "(Atom('odd'), 1)")]
        self.assertEqual(told, [*expected, "(exits) has ended: broken"])

    def test_by_a_link(self):
        program = FAILING + (
            "def linked(): mote.spawn_link(fails, 'no good'); mote.receive()\n"
            "end(mote.spawn_monitor(linked))\n"
        )
        err = self.ends(program).stderr
        self.assertEqual(err.count("ValueError: no good"), 2, err)
        self.assertIn("(linked) has ended with another that has failed: ValueError: no good", err)

    def test_a_clean_up_that_fails(self):
        program = (
            "import mote\n"
            "def cleans(to):\n"
            "    try: mote.send(to, 'on'); mote.receive()\n"
            "    finally: 1/0\n"
            "pid, ref = mote.spawn_monitor(cleans, mote.self()); mote.receive('on', timeout=60)\n"
            "mote.exit(pid, 'shutdown'); print(mote.receive(mote.Down, timeout=60).reason)\n"
        )
        done = self.ends(program)
        self.assertEqual(done.stdout, "Atom('shutdown')\n" if "Atom(" in done.stdout else "shutdown\n")
        self.assertIn("ZeroDivisionError", done.stderr)

    def test_at_most_so_many_a_second(self):
        program = FAILING + "refs = [mote.spawn_monitor(fails, n) for n in range(500)]\nfor r in refs: end(r)\n"
        begin = time.monotonic()
        count = self.ends(program).stderr.count("has ended with an uncaught exception")
        self.assertGreaterEqual(count, 20)
        self.assertLess(count, 20 * (2 + time.monotonic() - begin))

    def test_what_cannot_be_told(self):
        program = (
            "import mote, sys\n"
            "class Bad(Exception):\n"
            "    def __str__(self): raise RuntimeError('no text')\n"
            "def fails(): raise Bad\n"
            "def deep():\n"
            "    error = None\n"
            "    for n in range(20000):\n"
            "        try: raise ValueError(n) from error\n"
            "        except ValueError as e: error = e\n"
            "    raise error\n"
            "for body in (fails, deep):\n"
            "    _, ref = mote.spawn_monitor(body); print(mote.receive(mote.Down, timeout=60).reason[1][0])\n"
            "sys.stderr = None\n"
            "_, ref = mote.spawn_monitor(fails); print(mote.receive(mote.Down, timeout=60).reason[1][0])\n"
        )
        self.assertEqual(self.ends(program).stdout.splitlines(), ["__main__.Bad", "ValueError", "__main__.Bad"])


if __name__ == "__main__":
    unittest.main()
