#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""census against a plain reference: census_test.py CENSUS FAULTS_MODULE [unittest arguments]"""
import errno
import fcntl
import json
import os
import pty
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

sys.dont_write_bytecode = True
import census_reference

CENSUS = FAULTS = None  # the program as a list of words, and the module to load into it
TIME_LIMIT = 300  # of one run, seconds
NOBODY = 65534
GATED = 20  # files that pass before the gate closes


def preloaded():
    """The environment that loads the faults; after what is loaded already."""
    libraries = [*os.environ.get("LD_PRELOAD", "").split(), FAULTS]
    return {"LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}


def run(*args, faults=False, **how):
    env = {**os.environ, "LC_ALL": "C.UTF-8", **how.pop("env", {})}
    if faults:
        env.update(preloaded())
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "timeout": TIME_LIMIT, **how}
    return subprocess.run([*CENSUS, *args], env=env, **how)


def parse(output):
    return json.loads(output.decode("utf-8"))


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="census-")
        self.tree = os.path.join(self.dir, "tree").encode()
        os.mkdir(self.tree)

    def tearDown(self):
        subprocess.run(["rm", "-rf", self.dir], check=True)  # deeper than shutil can reach

    def write(self, name, data):
        path = os.path.join(self.tree, os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def json(self, *args, code=0, **how):
        p = run("--json", "--top", "0", "--examples", "1000000", *args, **how)
        self.assertEqual(p.returncode, code, p.stderr)
        r = parse(p.stdout)
        self.assertEqual(r["found"], r["counted"] + sum(r["skipped"].values()))
        self.assertEqual(sum(count for _, count in r["top"]), r["words"])
        self.assertEqual(len(r["top"]), r["distinct"])
        return r

    def agree(self, result, reference):
        expected = reference.result()
        for key, value in expected.items():
            if key != "top":
                self.assertEqual(result[key], value, key)
        for mine, theirs in zip(result["top"], expected["top"]):
            self.assertEqual(mine, theirs)
        for why, paths in reference.names.items():
            self.assertEqual(sorted(p.encode("utf-8", "surrogateescape") for p in result["examples"][why]), sorted(paths), why)


class Counts(Case):
    many_words = 220000

    def make_tree(self):
        block = 65536
        rng = random.Random(1)
        self.write("empty", b"")
        self.write("newline", b"\n")
        self.write("no-final-newline", b"These words end without a newline")
        self.write("case", b"Same SAME same sAmE")
        self.write("utf8", "Größe größe naïve Ελλάδα 日本語 — “quoted”\n".encode() * 50)
        self.write("latin1", "Größe caf\xe9 \xff\xfe".encode("latin-1"))
        self.write("lengths", b"\n".join(letter * n for letter in (b"a", b"z") for n in (1, 2, 3, 4, 5, 63, 64, 65, 66, 1000)))
        for size in (block - 1, block, block + 1, 2 * block - 1, 2 * block, 2 * block + 1):
            self.write(f"sized-{size}", (b"word border " * (size // 12 + 1))[:size])
        for shift in range(12):
            self.write(f"border-{shift}", b" " * (block - shift) + b"bordercross " + b"x" * 70 + b" " + b"end")
            self.write(f"long-{shift}", b" " * (block - 30 - shift) + b"y" * 64 + b" " + b"y" * 65)
        self.write("one-long-run", b"q" * (3 * block))
        self.write("nul-first", b"\0rest of it")
        self.write("nul-8191", b"b" * 8191 + b"\0text")
        self.write("nul-8192", b"text " * 1638 + b"bb" + b"\0text after the zero")
        self.write("random", rng.randbytes(100000).replace(b"\0", b"\1"))
        self.write("many-words", b" ".join(b"".join(rng.choice(b"abcdefghijkl").to_bytes(1, "big") for _ in range(rng.randint(3, 8)))
                                           for _ in range(self.many_words)))
        with open(os.path.join(self.tree, b"huge"), "wb") as f:
            f.truncate(1 << 40)
        self.write("just-too-large", b"large " * 250000 + b"x")
        self.write("just-not-too-large", b"large " * 250000)
        os.mkfifo(os.path.join(self.tree, b"fifo"))
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(os.path.join(self.tree, b"socket"))
        os.symlink(b"case", os.path.join(self.tree, b"link-to-file"))
        os.symlink(b"nowhere", os.path.join(self.tree, b"link-dangling"))
        os.symlink(b".", os.path.join(self.tree, b"link-to-directory"))
        os.symlink(b"link-loop", os.path.join(self.tree, b"link-loop"))
        os.mkdir(os.path.join(self.tree, b"empty-directory"))
        for name in (b"with space", b"with\nnewline", b"with\x1b[31mescape", b"with\ttab", b"-dash", b"caf\xe9", "größe".encode(),
                     b"quote\"back\\slash", b"n" * 255):
            self.write(name, b"named " + name)
            self.write(os.path.join(b"dir-" + name[:200], name), b"in a directory")
        self.write("binary\x1b[31m\nname", b"\0")
        for i in range(300):
            self.write(f"many/file-{i}", b"one of many files number %d\n" % i * (i % 7))
        self.write("/".join(["deep-down"] * 150) + "/bottom", b"at the bottom of a deep tree")
        return ["--max-size", "1500000"], {"max_size": 1500000}

    def test_tree(self):
        options, how = self.make_tree()
        reference = census_reference.census([self.tree], **how)
        self.assertEqual(reference.skipped["binary"], 3)
        self.assertEqual(reference.skipped["huge"], 2)
        self.assertEqual(reference.skipped["special"], 2)
        self.assertEqual(reference.skipped["symlink"], 4)
        for cores in ("1", "2", "4"):
            for readers in ("1", "3", "1000"):
                with self.subTest(cores=cores, readers=readers):
                    r = self.json("--cores", cores, "--max-readers", readers, *options, self.tree)
                    self.agree(r, reference)
                    self.assertEqual(len(r["schedulers"]), int(cores))
                    self.assertLessEqual(r["in_flight"], int(readers))

    def test_min_length(self):
        options, how = self.make_tree()
        for length in (1, 3, 64):
            r = self.json("--min-length", str(length), *options, self.tree)
            self.agree(r, census_reference.census([self.tree], min_length=length, **how))

    def test_top(self):
        self.write("text", b" ".join(b"word%c%c " % (a, b) * (a + b) for a in b"abcdefgh" for b in b"abcdefgh"))
        everything = self.json(self.tree)["top"]
        for top in (1, 2, 10, 63, 64, 65):
            r = parse(run("--json", "--top", str(top), self.tree).stdout)
            self.assertEqual(r["top"], everything[:top])

    def test_several_paths(self):
        one = self.write("one", b"first file")
        self.write("two/three", b"second file")
        os.symlink(b"two", os.path.join(self.tree, b"link"))
        paths = [one, os.path.join(self.tree, b"link"), one, self.tree + b"/"]
        r = self.json(*paths)
        self.agree(r, census_reference.census(paths))
        self.assertEqual(dict(r["top"])["first"], 2)

    def test_real_tree(self):
        for tree in ("/usr/include", "/usr/share/doc", "/usr/share"):
            if os.path.isdir(tree) and len(os.listdir(tree)) > 3:
                self.agree(self.json(tree), census_reference.census([tree]))
                return
        self.skipTest("no real tree on this machine")

    def test_max_files(self):
        self.make_tree()
        r = self.json("--max-files", "50", self.tree)
        self.assertEqual((r["found"], r["capped"]), (50, True))
        r = self.json("--max-total", "100K", self.tree)
        self.assertTrue(r["capped"])
        self.assertLessEqual(r["bytes"], 100 << 10)
        self.assertFalse(self.json("--max-files", "100000", self.tree)["capped"])

    def test_compare(self):
        self.make_tree()
        r = self.json("--compare", "--cores", "2", self.tree)
        self.assertTrue(r["compare"]["same"])
        p = run("--compare", self.tree)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"speed-up", p.stdout)
        self.assertIn(b"the same counts", p.stdout)


    def test_chaos(self):
        """Readers that crash are started anew, and every word counts once."""
        options, how = self.make_tree()
        self.write("long", b"".join(b"word%s " % bytes(97 + int(d) for d in str(n)) for n in range(150000)))  # many batches
        reference = census_reference.census([self.tree], **how)
        for cores in ("1", "2"):
            r = self.json("--cores", cores, "--chaos", "0.5", *options, self.tree)
            self.agree(r, reference)
            self.assertGreater(r["restarts"], 50)
        self.assertEqual(self.json(*options, self.tree)["restarts"], 0)
        p = run("--chaos", "0.4", *options, self.tree)
        self.assertIn(b"readers crashed, and their supervisor started as many anew", p.stdout)
        self.assertNotIn(b"chaos", p.stderr)  # crashes on purpose leave no certificates
        for bad in ("", "x", "-1", "0.6", "nan", "0.1x"):
            self.assertIn(b"--chaos takes a probability", run("--chaos", bad, self.tree).stderr)


class Trouble(Case):
    races, large_words = 20, 20000

    def test_faults(self):
        for i in range(40):
            self.write(f"good-{i}", b"good words")
            self.write(f"vanish-{i}", b"these words never count")
            self.write(f"denied-{i}", b"these words never count")
            self.write(f"broken-{i}", b"only  ten, the rest of it is lost")
        for cores in ("1", "2"):
            r = self.json("--cores", cores, self.tree, faults=True)
            expected = {"vanished": 40 if cores == "1" else 0, "unreadable": 40, "cut_short": 40}
            self.assertEqual({why: count for why, count in r["skipped"].items() if count},
                             {why: count for why, count in expected.items() if count})
            self.assertEqual(dict(r["top"]), {"good": 40, "words": 40, "only": 40})
        p = run(self.tree, faults=True)
        self.assertIn(b"Permission denied", p.stdout)
        self.assertIn(b"Input/output error", p.stdout)

    def test_permissions(self):
        self.write("good", b"good words")
        os.chmod(self.write("secret", b"secret words"), 0)
        self.write("closed/inside", b"inside words")
        self.write("list-only/inside", b"inside words")
        os.chmod(os.path.join(self.tree, b"closed"), 0o311)
        os.chmod(os.path.join(self.tree, b"list-only"), 0o744)
        how = {}
        if os.geteuid() == 0:
            os.chmod(self.dir, 0o755)
            os.chmod(self.tree, 0o755)
            how = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            try:
                if run("--help", **how).returncode:
                    self.skipTest("nobody cannot run census here")
            except OSError:
                self.skipTest("nobody cannot run census here")
        elif os.geteuid() != NOBODY:
            os.chmod(os.path.join(self.tree, b"closed"), 0)
            os.chmod(os.path.join(self.tree, b"list-only"), 0o444)
        r = self.json(self.tree, **how)
        self.assertEqual(r["skipped"]["unreadable"], 2)  # secret, and list-only/inside, which cannot be looked at
        self.assertEqual(r["directories_skipped"], 1)
        self.assertEqual(dict(r["top"]), {"good": 1, "words": 1})
        p = run(self.tree, **how)
        self.assertIn(b"1  unreadable directories", p.stdout)
        os.chmod(os.path.join(self.tree, b"list-only"), 0o755)
        os.chmod(os.path.join(self.tree, b"closed"), 0o755)

    def test_deeper_than_a_path_can_be(self):
        self.write("good", b"good words")
        at = os.open(self.tree, os.O_RDONLY)
        for _ in range(30):
            os.mkdir(b"d" * 200, dir_fd=at)
            below = os.open(b"d" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        r = self.json(self.tree)
        self.assertEqual(r["counted"], 1)
        self.assertEqual(r["skipped"]["unreadable"] + r["directories_skipped"], 1)

    def test_proc(self):
        r = self.json("/proc/self/mem", "/proc/version", "/proc/self/fd")
        self.assertEqual(r["skipped"]["unreadable"], 1)
        self.assertEqual(r["counted"], 1)  # /proc/version says that it is empty and is not
        self.assertIn("linux", dict(r["top"]))

    def test_race(self):
        """Files come and go and change their kind while they are counted: every one found still ends somewhere."""
        for i in range(200):
            self.write(f"a/file-{i}", b"some words in a file " * 50)
        os.mkdir(os.path.join(self.tree, b"b"))
        done = threading.Event()

        def disturb():
            rng = random.Random(2)
            while not done.is_set():
                name = b"file-%d" % rng.randrange(200)
                a, b = os.path.join(self.tree, b"a", name), os.path.join(self.tree, b"b", name)
                try:
                    kind = rng.randrange(4)
                    if kind == 0:
                        os.rename(a, b)
                    elif kind == 1:
                        os.rename(b, a)
                    elif kind == 2:
                        os.unlink(a)
                        os.symlink(b, a)
                    else:
                        os.unlink(a)
                        os.mkfifo(a)
                except OSError as e:
                    self.assertIn(e.errno, (errno.ENOENT, errno.EEXIST))
        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            for _ in range(self.races):
                self.assertEqual(self.json(self.tree)["skipped"]["crashed"], 0)
        finally:
            done.set()
            thread.join()

    def test_few_descriptors(self):
        for i in range(300):
            self.write(f"file-{i}", b"some words " * self.large_words)
        r = self.json(self.tree, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
        self.assertEqual(r["counted"], 300)

    def test_report_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            p = run("/proc/version", stdout=full)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"cannot write the report: No space left", p.stderr)


class Command(Case):
    def usage(self, *args):
        p = run(*args)
        self.assertEqual((p.returncode, p.stdout), (2, b""), args)
        self.assertTrue(p.stderr.startswith(b"census: ") and p.stderr.count(b"\n") == 1, p.stderr)
        return p.stderr

    def test_usage(self):
        self.assertIn(b"No such file", self.usage("/no/such/path"))
        self.assertIn(b"'/no/\\x1b[31m\\n'", self.usage("/no/\x1b[31m\n"))
        self.assertIn(b"Too many levels", self.usage(self.loop()))
        for option in ("--cores", "--top", "--min-length", "--max-size", "--max-files", "--max-readers", "--examples"):
            self.assertIn(option.encode(), self.usage(option))
            for value in ("", "x", "-1", "1x", "1.5", "99999999999999999999999", " 1"):
                self.assertIn(option.encode(), self.usage(option, value, "/"))
        for option, value in (("--cores", "0"), ("--cores", "257"), ("--min-length", "0"), ("--min-length", "65"),
                              ("--max-readers", "0"), ("--max-size", "5G"), ("--max-size", "0")):
            self.assertIn(option.encode(), self.usage(option, value, "/"))
        self.assertIn(b"--wrong", self.usage("--wrong"))
        self.assertIn(b"-x", self.usage("-x"))

    def loop(self):
        path = os.path.join(self.tree, b"loop")
        os.symlink(b"loop", path)
        return path

    def test_help(self):
        p = run("--help")
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        self.assertTrue(p.stdout.startswith(b"usage: census"))

    def test_defaults(self):
        p = run("--max-files", "300")
        self.assertEqual(p.returncode, 0, p.stderr)  # a read that takes long is told of there

    def test_nothing_to_count(self):
        p = run(self.tree)
        self.assertEqual(p.returncode, 0)
        self.assertIn(b"no words", p.stdout)

    def test_plain_output(self):
        """Not a terminal: no escape codes and no live line, and nothing a file name could do about it."""
        self.write("\x1b[31m\r\n\x07\u202e\u009b31m", b"\0")
        self.write("text", "some words \u009b31m ‮rtl\n".encode() * 100)
        for env in ({}, {"LC_ALL": "C"}):
            p = run(self.tree, env={"TERM": "xterm", **env})
            self.assertEqual((p.returncode, p.stderr), (0, b""))
            self.assertFalse(set(p.stdout) & (set(range(32)) - {10}), p.stdout)
            self.assertNotIn("\u009b", p.stdout.decode())
            self.assertIn(b"\\x1b[31m\\x0d\\n", p.stdout)
            self.assertIn(b"2 found = 1 counted + 1 skipped", p.stdout)
        self.assertTrue(p.stdout.isascii())
        self.assertIn(b"####", p.stdout)

    def on_terminal(self, **env):
        self.write("file", b"some words")
        mine, theirs = pty.openpty()
        output = []

        def drain():
            try:
                while data := os.read(mine, 65536):
                    output.append(data)
            except OSError:
                pass  # the other side is closed
        thread = threading.Thread(target=drain)
        thread.start()
        p = run(self.tree, stdout=theirs, stderr=theirs, env={"TERM": "xterm", **env})
        os.close(theirs)
        thread.join()
        os.close(mine)
        self.assertEqual(p.returncode, 0)
        return b"".join(output)

    def test_terminal(self):
        output = self.on_terminal()
        self.assertRegex(output, rb"\r\x1b\[K. \d+ files")
        self.assertIn(b"\x1b[36m\xe2\x96\x88", output)
        output = self.on_terminal(NO_COLOR="1")
        self.assertRegex(output, rb"\r\x1b\[K. \d+ files")
        self.assertNotIn(b"\x1b[36m", output)
        self.assertNotIn(b"\x1b", self.on_terminal(TERM="dumb"))


class Signals(Case):
    """The files' readers wait at a gate, so a signal always comes in the middle."""

    cores = ["--cores", "2"]

    def start(self, *args):
        for i in range(10 * GATED):
            self.write(f"gate-{i}", b"some words")
        gate, self.opener = os.pipe()
        env = {**os.environ, **preloaded(), "LC_ALL": "C.UTF-8", "CENSUS_GATE": str(gate)}
        p = subprocess.Popen([*CENSUS, *self.cores, "--max-readers", "1", *args, self.tree], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=env, pass_fds=[gate])
        os.close(gate)
        self.addCleanup(self.end, p)
        os.write(self.opener, b"x" * (2 * GATED + 1))  # two reads for each file, and one of the next
        self.wait(p, self.gate_is_reached)
        return p

    @staticmethod
    def end(p):
        p.kill()
        p.communicate()

    def wait(self, p, reached):
        end = time.monotonic() + 60
        while not reached(p):
            self.assertLess(time.monotonic(), end)
            try:
                p.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            self.fail("it ended early: %r" % p.stderr.read())

    def gate_is_reached(self, _):
        left = fcntl.ioctl(self.opener, termios.FIONREAD, b"\0" * 4)
        return int.from_bytes(left, sys.byteorder) == 0

    @staticmethod
    def signal_is_taken(p):
        """SIGINT is blocked in all threads until the first signal has been taken."""
        for task in os.listdir(f"/proc/{p.pid}/task"):
            try:
                with open(f"/proc/{p.pid}/task/{task}/status") as f:
                    blocked = [int(line.split()[1], 16) for line in f if line.startswith("SigBlk")]
            except OSError:
                continue  # the thread has ended
            if not blocked[0] & 1 << signal.SIGINT - 1:
                return True
        return False

    def interrupt(self, number, *args):
        p = self.start(*args)
        os.kill(p.pid, number)
        self.wait(p, self.signal_is_taken)
        os.close(self.opener)
        output, errors = p.communicate(timeout=60)
        self.assertEqual(p.returncode, 128 + number, errors)
        return output

    def test_interrupt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            r = parse(self.interrupt(number, "--json"))
            self.assertTrue(r["interrupted"])
            self.assertEqual((r["found"], r["counted"]), (GATED + 1, GATED + 1))
            self.assertEqual(dict(r["top"]), {"some": GATED + 1, "words": GATED + 1})

    def test_interrupt_says_so(self):
        output = self.interrupt(signal.SIGINT)
        self.assertTrue(output.startswith(b"interrupted: this is what was counted so far"), output)

    def test_second_interrupt(self):
        p = self.start()
        os.kill(p.pid, signal.SIGINT)
        self.wait(p, self.signal_is_taken)
        os.kill(p.pid, signal.SIGINT)
        p.communicate(timeout=60)
        os.close(self.opener)
        self.assertEqual(p.returncode, -signal.SIGINT)


if __name__ == "__main__":
    CENSUS, FAULTS = [os.path.abspath(sys.argv[1])], os.path.abspath(sys.argv[2])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
