# SPDX-License-Identifier: Apache-2.0
"""examples/cluster with this interpreter, where Erlang is installed, and Elixir: what they tell, and that nothing is left of them."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import mote
import quick

PATIENCE = 50
SHOW = pathlib.Path(__file__).resolve().parents[2] / "examples" / "cluster" / "run.sh"
NUMBERS = "an array of (NumPy|the standard library)'s has come as a binary of 8000000 bytes; their sum is (\\S+) in Python, \\2 in"


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.env = {**os.environ, "PYTHON": sys.executable, "TMPDIR": folder.name, "PYTHONPATH": str(pathlib.Path(mote.__file__).parents[1])}

    def start(self, *args):
        with open(self.folder / "log", "w") as log:
            show = subprocess.Popen([SHOW, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        self.addCleanup(show.stdout.close)
        self.addCleanup(show.wait, PATIENCE)
        self.addCleanup(show.terminate)
        return show

    def told(self, show, code, before=""):
        """All that it tells; then nothing is left."""
        text = before + show.communicate(timeout=PATIENCE)[0]
        self.assertEqual(show.returncode, code, text + (self.folder / "log").read_text())
        self.assertEqual(os.listdir(self.folder), ["log"])
        pids = re.findall(r"process (\d+);", text)
        self.assertTrue(pids, text)
        for pid in pids:
            command = pathlib.Path("/proc", pid, "cmdline")
            self.assertFalse(command.exists() and b"worker.py" in command.read_bytes(), f"{pid} still runs\n{text}")
        return text


class WrongUse(Case):
    def test_wrong_use(self):
        done = subprocess.run([SHOW, "prolog"], capture_output=True, text=True, env=self.env, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", "run.sh: there is an erlang and an elixir, but no 'prolog'\n"))


if all(map(shutil.which, ("erl", "erlc", "epmd"))):

    @quick.once
    class Erlang(Case):
        def test_all(self):
            text = self.told(self.start(), 0)
            for line in ("boss: kill -9 (\\d+), which is (py\\d) and has just begun", "tree: the Python process of (py\\d) is gone \\(noconnection\\): the supervisor starts it again",
                         "boss: there are 49098 primes below 600000", f"boss: {NUMBERS} Erlang", "start number 3"):
                self.assertRegex(text, line)

        def test_interrupted(self):
            show = self.start()
            begin = ""
            while "start number" not in begin:
                line = show.stdout.readline()
                self.assertTrue(line, (self.folder / "log").read_text())
                begin += line
            show.send_signal(signal.SIGTERM)
            self.told(show, 130, begin)


if all(map(shutil.which, ("elixir", "epmd"))):

    @quick.once
    class Elixir(Case):
        def test_all(self):
            text = self.told(self.start("elixir"), 0)
            for line in ("elixir: 9592 primes below 100000, says Python", f"elixir: {NUMBERS} Elixir", "kill -9 \\d+: its process is gone \\(noconnection\\)"):
                self.assertRegex(text, line)


if __name__ == "__main__":
    unittest.main()
