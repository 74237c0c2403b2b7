# SPDX-License-Identifier: Apache-2.0
"""examples/census.py: the tests of census, which it stands beside, and the two compared."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import unittest

import mote

if sys.version_info < (3, 10):
    raise unittest.SkipTest("the example uses match, which Python 3.10 brought")

TREE = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = pathlib.Path(mote.__file__).resolve().parents[2] / "examples"  # as built
sys.path.insert(0, str(TREE / "tests"))

import census_reference
import census_test

census_test.CENSUS = [sys.executable, str(TREE / "examples" / "census.py")]
census_test.FAULTS = str(EXAMPLES / "census_faults.so")


class Part:
    """Tests that take long are left out where run.py is told to be quick: what they are about is no matter of the interpreter."""

    long = ()

    def setUp(self):
        if os.environ.get("MOTE_TEST_QUICK") and self._testMethodName in self.long:
            self.skipTest("another interpreter runs it")
        super().setUp()


class Counts(Part, census_test.Counts):
    long = ("test_min_length", "test_top", "test_max_files", "test_real_tree")
    test_compare = test_chaos = None  # options of census alone
    many_words = 20000

    def test_tree(self):
        options, how = self.make_tree()
        reference = census_reference.census([self.tree], **how)
        for readers in ("1", "3", "100"):
            with self.subTest(readers=readers):
                r = self.json("--max-readers", readers, *options, self.tree)
                self.agree(r, reference)
                self.assertLessEqual(r["in_flight"], int(readers))
                self.assertGreater(r["processes"], reference.counted)
        told = subprocess.run([EXAMPLES / "census", "--json", "--top", "0", "--examples", "1000000", *options, self.tree], capture_output=True, check=True)
        theirs = json.loads(told.stdout)
        for key in ("found", "counted", "skipped", "directories", "bytes", "words", "distinct", "top"):
            self.assertEqual(r[key], theirs[key], key)

    def test_real_tree(self):
        for name in ("asyncio", "email", "json", "unittest"):
            shutil.copytree(pathlib.Path(os.__file__).parent / name, os.fsdecode(self.tree) + "/" + name, ignore=shutil.ignore_patterns("__pycache__"))
        r = self.json(self.tree)
        self.assertGreater(r["counted"], 50)
        self.agree(r, census_reference.census([self.tree]))


class Trouble(Part, census_test.Trouble):
    long = ("test_race", "test_few_descriptors", "test_permissions", "test_deeper_than_a_path_can_be", "test_proc")
    races, large_words = 5, 4000

    def test_reader_crashes(self):
        """A bug in one reader costs its file, and is told."""
        for name in ("good-1", "bad", "good-2"):
            self.write(name, b"words of " + name.encode())
        code = (
            "import sys; sys.path.insert(0, sys.argv.pop(1)); import census, census_files, census_show\n"
            "words = census_files.Text.words\n"
            "census_files.Text.words = lambda text: 1 / 0 if text.path.endswith(b'bad') else words(text)\n"
            "sys.exit(census_show.main(sys.argv[1:], census.reduce))\n"
        )
        p = subprocess.run([sys.executable, "-c", code, str(TREE / "examples"), "--json", "--top", "0", self.tree], capture_output=True, timeout=60, check=False)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(b"ZeroDivisionError", p.stderr)
        r = json.loads(p.stdout)
        self.assertEqual((r["found"], r["counted"], r["skipped"]["crashed"]), (3, 2, 1))
        self.assertEqual(r["examples"]["crashed"], [os.fsdecode(self.tree) + "/bad"])
        self.assertEqual(dict(r["top"]), {"words": 2, "good": 2})

    def test_faults(self):
        for i in range(40):
            self.write(f"good-{i}", b"good words")
            self.write(f"vanish-{i}", b"these words never count")
            self.write(f"denied-{i}", b"these words never count")
            self.write(f"broken-{i}", b"only  ten, the rest of it is lost")
        for vanished in (40, 0):
            r = self.json(self.tree, faults=True)
            expected = {"vanished": vanished, "unreadable": 40, "cut_short": 40}
            self.assertEqual({why: count for why, count in r["skipped"].items() if count}, {why: count for why, count in expected.items() if count})
            self.assertEqual(dict(r["top"]), {"good": 40, "words": 40, "only": 40})
        p = census_test.run(self.tree, faults=True)
        self.assertIn(b"Permission denied", p.stdout)
        self.assertIn(b"Input/output error", p.stdout)


class Command(Part, census_test.Command):
    long = ("test_defaults", "test_usage", "test_terminal", "test_plain_output")

    def test_defaults(self):
        p = census_test.run("--max-files", "300")
        self.assertEqual(p.returncode, 0, p.stderr)  # a slow disk is reported on stderr
        self.assertIn(b"300 found", p.stdout)

    def test_usage(self):
        for arguments, message in (
            (["/no/such/path"], b"No such file"),
            (["--wrong"], b"--wrong"),
            (["--top", "x", "/"], b"--top"),
            (["--min-length", "65", "/"], b"--min-length"),
            (["--max-readers", "0", "/"], b"--max-readers"),
            (["--max-size", "1.5M", "/"], b"--max-size"),
        ):
            p = census_test.run(*arguments)
            self.assertEqual((p.returncode, p.stdout), (2, b""), arguments)
            self.assertIn(message, p.stderr)

    def test_plain_output(self):
        self.write("\x1b[31m\r\n\x07\u202e\u009b31m", b"\0")
        self.write("text", "some words \u009b31m \u202ertl\n".encode() * 100)
        for encoding in ("utf-8", "ascii"):
            p = census_test.run(self.tree, env={"TERM": "xterm", "PYTHONIOENCODING": encoding})
            self.assertEqual((p.returncode, p.stderr), (0, b""))
            self.assertFalse(set(p.stdout) & (set(range(32)) - {10}), p.stdout)
            self.assertNotIn("\u009b", p.stdout.decode())
            self.assertIn(b"\\x1b[31m\\r\\n", p.stdout)
            self.assertIn(b"2 found = 1 counted + 1 skipped", p.stdout)
        self.assertTrue(p.stdout.isascii())
        self.assertIn(b"####", p.stdout)


class Signals(Part, census_test.Signals):
    long = ("test_interrupt_says_so",)
    cores = []

    @staticmethod
    def signal_is_taken(p):
        """The first one makes the next one end the program: then SIGINT or SIGTERM is not caught any more."""
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            caught = next(int(line.split()[1], 16) for line in f if line.startswith("SigCgt"))
        return any(not caught & 1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM))


if __name__ == "__main__":
    unittest.main()
