# SPDX-License-Identifier: Apache-2.0
"""examples/census.py: the tests of census, which it stands beside, and the two compared."""
import json
import itertools
import os
import pathlib
import random
import select
import shutil
import signal
import subprocess
import sys
import unittest
import unittest.mock

import mote
import quick

if sys.version_info < (3, 10):
    raise unittest.SkipTest("the example uses match, which Python 3.10 brought")

quick.for_the_ends()

TREE = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = pathlib.Path(mote.__file__).resolve().parents[2] / "examples"  # as built
sys.path[:0] = [str(TREE / "tests"), str(TREE / "examples")]

import census_ledger
import census_reference
import census_test
from said import but_hogs

census_test.CENSUS = [sys.executable, str(TREE / "examples" / "census.py")]
census_test.FAULTS = str(EXAMPLES / "census_faults.so")


class Part:
    """Tests that take long are left out where run.py is told to be quick: what they are about is no matter of the interpreter."""

    long = ()

    def setUp(self):
        if quick.QUICK and self._testMethodName in self.long:
            self.skipTest("another interpreter runs it")
        super().setUp()


def marked(mark):
    """The processes that have this in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark.encode() in pathlib.Path("/proc", name, "environ").read_bytes():
                found.append(int(name))
        except OSError:
            pass  # it has just ended
    return found


class Counts(Part, census_test.Counts):
    long = ("test_min_length", "test_top", "test_max_files", "test_real_tree", "test_kill_workers")
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

    def runs(self, enough, *args, **how):
        """One run after the other, until they are enough: each has to be right, whoever got a processor meanwhile. Nothing of them is left."""
        options, facts = self.make_tree()
        for i in range(120):
            self.write(f"copies/{i}", b"many words of copy number %d " % i * 2000)
        reference = census_reference.census([self.tree], **facts)
        results, mark = [], f"CENSUS_MARK={self.dir}"
        while not enough(results):
            self.assertLess(len(results), 20)
            r = self.json(*args, *options, self.tree, env=dict([mark.split("=")]), **how)
            results.append(r)
            self.agree(r, reference)
            self.assertEqual(sum(worker["files"] for worker in r["workers"]) + r["skipped"]["symlink"] + r["skipped"]["special"], r["found"])
            self.assertEqual(marked(mark), [])
        return results

    def test_workers(self):
        """On several cores: the counts of one, and each has had its part of the work."""
        results = self.runs(lambda rs: rs and all(worker["files"] for worker in rs[-1]["workers"]), "--workers", "3", "--max-readers", "12")
        for r in results:
            self.assertEqual((len(r["workers"]), r["shot"], r["done_again"]), (3, 0, 0))
            self.assertLessEqual(r["in_flight"], 12)

    def test_kill_workers(self):
        """Workers are shot while they count: what they had in hand is done again, and counts once."""
        results = self.runs(lambda rs: sum(r["shot"] for r in rs) >= 5 and sum(r["done_again"] for r in rs) >= 20, "--workers", "3", "--kill-workers=0.05")
        for r in results:
            self.assertEqual(r["shot"], sum(worker["deaths"] for worker in r["workers"]))
            self.assertEqual(r["workers"][0]["deaths"], 0)
        p = census_test.run("--kill-workers", self.tree)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertRegex(p.stdout, rb"workers were shot (\d+ times|once|twice): [\d,]+ files that they had in hand were done again, and each counts once")

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
        p = subprocess.run([sys.executable, "-c", code, str(TREE / "examples"), "--workers", "1", "--json", "--top", "0", self.tree], capture_output=True, timeout=60, check=False)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertIn(b"ZeroDivisionError", p.stderr)
        r = json.loads(p.stdout)
        self.assertEqual((r["found"], r["counted"], r["skipped"]["crashed"]), (3, 2, 1))
        self.assertEqual(r["examples"]["crashed"], [os.fsdecode(self.tree) + "/bad"])
        self.assertEqual(dict(r["top"]), {"words": 2, "good": 2})

    def test_crew_crashes(self):
        """A bug that starting again would not mend ends the program."""
        code = (
            "import sys; sys.path.insert(0, sys.argv.pop(1)); import census, census_files, census_show\n"
            "census_files.Text.end = lambda text: 'nothing'\n"
            "sys.exit(census_show.main(sys.argv[1:], census.reduce))\n"
        )
        self.write("file", b"words")
        p = subprocess.run([sys.executable, "-c", code, str(TREE / "examples"), "--workers", "1", self.tree], capture_output=True, timeout=60, check=False)
        self.assertEqual((p.returncode, p.stdout), (1, b""), p.stderr)

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


    def test_file_that_ends_workers(self):
        """A file that takes its worker with it costs the worker and itself, and none of those that were in hand beside it."""
        for i in range(400):
            self.write(f"good-{i}", b"good words" + b" " * 20000)
        for i in range(4):
            self.write(f"fatal-{i}", b"lethal text")
        env = {"CENSUS_PARENT": str(os.getpid())}
        for _ in range(20):
            r = self.json("--workers", "3", "--max-readers", "12", self.tree, faults=True, env=env)
            lost = r["skipped"]["crashed"]
            self.assertEqual((r["found"], r["counted"]), (404, 404 - lost))
            self.assertTrue(all("/fatal-" in path for path in r["examples"]["crashed"]), r["examples"])
            lethal = {"lethal": 4 - lost, "text": 4 - lost} if lost < 4 else {}
            self.assertEqual(dict(r["top"]), {"good": 400, "words": 400, **lethal})
            self.assertGreaterEqual(sum(worker["deaths"] for worker in r["workers"]), lost)
            if lost:
                return
        self.fail("the program itself has read them, each time")


class Ledger(unittest.TestCase):
    """Who has which file, when crews come and die at any moment."""

    def test_each_ends_once(self):
        for seed in range(200):
            chance = random.Random(seed)
            ledger = census_ledger.Ledger(((n, f"file {n}") for n in range(60)), room := chance.randint(1, 9))
            fatal = set(chance.sample(range(60), 3))
            crews, ended, names = {}, [], itertools.count()
            while True:
                for place in {0, 1, 2}.difference(crews.values()):
                    ledger.hire(crew := next(names), place)
                    crews[crew] = place
                suspects = set(ledger.suspects)
                for crew, files in ledger.deal():
                    self.assertLessEqual(len(ledger.hands[crew]), room)
                    if suspects & {n for n, _ in files}:
                        self.assertEqual((len(ledger.hands[crew]), crews[crew] > 0), (1, True))
                if ledger.is_over():
                    break
                for crew, place in list(crews.items()):
                    hand = sorted(ledger.hands[crew])
                    bad = [n for n in hand if n in fatal] if place else []
                    if place and (bad or chance.random() < 0.2):
                        where, again, culprit = ledger.lost(crew, not bad)
                        del crews[crew]
                        self.assertEqual((where, again), (place, 0 if culprit else len(hand)))
                        self.assertEqual(culprit, f"file {hand[0]}" if bad and len(hand) == 1 else None)
                        ended += [hand[0]] if culprit else []
                    elif hand:
                        done = chance.sample(hand, chance.randint(1, len(hand)))
                        self.assertEqual({ledger.ended(crew, n) for n in done}, {place})
                        ended += done
            self.assertEqual(sorted(ended), list(range(60)))
            self.assertGreater(ledger.peak, 0)

    def test_stop(self):
        ledger = census_ledger.Ledger(((n, "file") for n in range(60)), 5)
        ledger.hire("crew", 1)
        self.assertEqual([(crew, [n for n, _ in files]) for crew, files in ledger.deal()], [("crew", [0, 1, 2, 3, 4])])
        ledger.stop()
        ledger.ended("crew", 3)
        self.assertEqual(ledger.lost("crew", True), (1, 4, None))
        self.assertFalse(ledger.is_over())
        ledger.hire("other", 0)
        self.assertEqual([(crew, {n for n, _ in files}) for crew, files in ledger.deal()], [("other", {0, 1, 2, 4})])
        for n in (0, 1, 2, 4):
            self.assertFalse(ledger.is_over())
            ledger.ended("other", n)
        self.assertTrue(ledger.is_over())


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
            (["--workers", "0", "/"], b"--workers"),
            (["--workers", "65", "/"], b"--workers"),
            (["--kill-workers=0", "/"], b"no number of seconds"),
            (["--kill-workers", "--workers", "1", "/"], b"takes two workers and more"),
        ):
            p = census_test.run(*arguments)
            self.assertEqual((p.returncode, p.stdout), (2, b""), arguments)
            self.assertIn(message, p.stderr)

    def test_plain_output(self):
        self.write("\x1b[31m\r\n\x07\u202e\u009b31m", b"\0")
        self.write("text", "some words \u009b31m \u202ertl\n".encode() * 100)
        for encoding in ("utf-8", "ascii"):
            p = census_test.run(self.tree, env={"TERM": "xterm", "PYTHONIOENCODING": encoding})
            self.assertEqual((p.returncode, but_hogs(p.stderr.decode())), (0, ""))
            self.assertFalse(set(p.stdout) & (set(range(32)) - {10}), p.stdout)
            self.assertNotIn("\u009b", p.stdout.decode())
            self.assertIn(b"\\x1b[31m\\r\\n", p.stdout)
            self.assertIn(b"2 found = 1 counted + 1 skipped", p.stdout)
        self.assertTrue(p.stdout.isascii())
        self.assertIn(b"####", p.stdout)


class Signals(Part, census_test.Signals):
    long = ("test_interrupt_says_so",)
    cores = []

    def test_interrupt_with_workers(self):
        """Files in hand are finished in all workers, and no others are begun."""
        r = census_test.parse(self.interrupt(signal.SIGINT, "--json", "--workers", "2", "--max-readers", "2"))
        self.assertTrue(r["interrupted"])
        self.assertEqual(r["found"], r["counted"])
        self.assertLess(r["found"], 2 * census_test.GATED)
        self.assertEqual(dict(r["top"]), {"some": r["found"], "words": r["found"]})

    def test_workers_end_with_the_program(self):
        """Whatever that dies of, and though they have files in hand that never end."""
        with unittest.mock.patch.dict(os.environ, CENSUS_MARK=self.dir):
            p = self.start("--workers", "3", "--max-readers", "3")
        processes = [os.pidfd_open(pid) for pid in marked(f"CENSUS_MARK={self.dir}")]
        self.assertEqual(len(processes), 3)
        p.kill()
        for process in processes:
            self.assertTrue(select.select([process], [], [], 60)[0])  # readable: it has ended
            os.close(process)

    @staticmethod
    def signal_is_taken(p):
        """The first one makes the next one end the program: then SIGINT or SIGTERM is not caught any more."""
        with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
            caught = next(int(line.split()[1], 16) for line in f if line.startswith("SigCgt"))
        return any(not caught & 1 << number - 1 for number in (signal.SIGINT, signal.SIGTERM))


if __name__ == "__main__":
    unittest.main()
