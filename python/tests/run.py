#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs test files of the Python package (plain unittest), each in an interpreter of its own, and tells of every test in TAP.

  run.py [options] [FILE...]     (no FILE: all test_*.py beside this one)

  --python PROGRAM   the interpreter (this one)
  --package DIR      where the package is (build/python)
  -k WORD            only tests with WORD in their names
  --preload LIBRARY  libasan, which a sanitized extension needs; tests find `asan` in MOTE_TEST_UNDER
  --quick            leaves out long tests that need not run in each interpreter; tests find MOTE_TEST_QUICK (quick.py)
  --between          as --quick, and leaves out the files that the oldest and the newest interpreter run for all (quick.py)
  --part K/N         only each N-th file, from the K-th on: N of these are all
  --seconds N        for each test (60); a test that takes longer fails, with the stacks of all threads
  --file-seconds N   for each file (300)
  --slowest N        tells at the end which N tests have taken the longest

MOTE_TEST_LONG in the environment makes some tests longer, and the limits ten times as long.

What fails is told with all that it has written. After a test that hangs or crashes the file goes on with the next one.
"""
import argparse
import faulthandler
import importlib.util
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent


# ----------------------------------------------------------------------------- in the interpreter under test


class Result(unittest.TestResult):
    """Tells what happens through a pipe, a line of JSON for each event."""

    def __init__(self, pipe, seconds):
        super().__init__()
        self.pipe = pipe
        self.seconds = seconds
        self.current = None
        self.texts = []
        self.verdict = "ok"

    def tell(self, event, **facts):
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            if stream and not stream.closed:
                stream.flush()
        os.write(self.pipe, (json.dumps({"event": event, "written": os.fstat(2).st_size, **facts}) + "\n").encode())

    def guard(self):
        faulthandler.dump_traceback_later(self.seconds, exit=True, file=2)

    def startTest(self, test):
        super().startTest(test)
        self.current, self.texts, self.verdict = test.id(), [], "ok"
        self.tell("start", name=test.id())
        self.guard()

    def stopTest(self, test):
        super().stopTest(test)
        self.guard()  # for what stands between tests
        self.tell("end", name=test.id(), verdict=self.verdict, text="\n".join(self.texts))
        self.current = None

    def note(self, test, verdict, text):
        """Of the running test, or of what prepares a class or a file."""
        if self.current is None:
            self.tell("end", name=str(test), verdict=verdict, text=text)
        elif self.verdict != "bad":
            self.verdict = verdict
        if text:
            self.texts.append(text)

    def addError(self, test, err):
        self.note(test, "bad", self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.note(test, "bad", f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self.note(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        pass

    def addUnexpectedSuccess(self, test):
        self.note(test, "bad", "it was expected to fail")


def flat(suite):
    for one in suite:
        yield from flat(one) if isinstance(one, unittest.TestSuite) else [one]


def load(path):
    """The tests of a file; one that fails when the file cannot be loaded."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return list(flat(unittest.defaultTestLoader.loadTestsFromModule(module)))


def child(pipe, path, options, after):
    """Runs the tests of one file, from the one after `after` on."""
    os.set_inheritable(pipe, False)
    faulthandler.enable(file=2)
    sys.path.insert(0, str(path.parent))
    result = Result(pipe, options.seconds)
    result.guard()
    try:
        tests = load(path)
    except unittest.SkipTest as skip:
        tests = []
        result.note(path.stem, "skip", str(skip))
    except Exception:  # the file's own: told as its failure
        tests = []
        result.note(path.stem, "bad", traceback.format_exc())
    names = [test.id() for test in tests]
    tests = tests[names.index(after) + 1 :] if after else tests
    unittest.TestSuite(test for test in tests if options.k in test.id()).run(result)
    del tests
    result.tell("done")
    result.guard()  # for the interpreter's end


# ---------------------------------------------------------------------------------------------------- outside


class Report:
    """TAP on stdout, and on stderr what is to say of a failure, above its line."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        self.seconds = {}
        self.last = time.monotonic()

    def add(self, name, verdict, text="", output=""):
        now = time.monotonic()
        self.seconds[name], self.last = now - self.last, now
        self.count += 1
        self.failed += verdict == "bad"
        if verdict == "bad":
            for line in (text.rstrip() + "\n" + output.rstrip()).strip().splitlines():
                print("#", line, file=sys.stderr, flush=True)
        reason = f" # SKIP {' '.join(text.split())}" if verdict == "skip" else ""
        print(f"{'not ' if verdict == 'bad' else ''}ok {self.count} - {name}{reason}", flush=True)

    def slowest(self, count):
        for name in sorted(self.seconds, key=self.seconds.get, reverse=True)[:count]:
            print(f"# {self.seconds[name]:6.2f} s  {name}")


class Run:
    """One interpreter with one file."""

    def __init__(self, path, options, after):
        self.path = path
        self.last = after    # the test that was started last
        self.running = None  # the one that has not ended
        self.begin = 0       # where its output begins
        self.done = False
        self.output = tempfile.TemporaryFile()
        pipe, child_pipe = os.pipe()
        command = [options.python, HERE / "run.py", "--child", str(child_pipe), "--after", after or "", "--seconds", str(options.seconds), "-k", options.k, path]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, pass_fds=[child_pipe],
                                        env=environment(options), start_new_session=True)
        os.close(child_pipe)
        self.events = os.fdopen(pipe, "rb", buffering=0)
        self.rest = b""

    def written(self, begin, end=None):
        size = (os.fstat(self.output.fileno()).st_size if end is None else end) - begin
        return os.pread(self.output.fileno(), size, begin).decode(errors="replace")

    def take(self, event, report):
        if event["event"] == "start":
            self.last = self.running = event["name"]
            self.begin = event["written"]
        elif event["event"] == "end":
            report.add(event["name"], event["verdict"], event["text"], self.written(self.begin, event["written"]))
            self.running, self.begin = None, event["written"]
        else:
            self.done = True

    def read(self, deadline):
        """Whether there may be more: a line or several are in self.rest, or time passed."""
        ready, _, _ = select.select([self.events], [], [], min(0.5, max(0, deadline - time.monotonic())))
        data = self.events.read(65536) if ready else b""
        self.rest += data
        return bool(data) or (not ready and self.process.poll() is None and time.monotonic() < deadline)

    def follow(self, deadline, report):
        while self.read(deadline):
            *lines, self.rest = self.rest.split(b"\n")
            for line in lines:
                self.take(json.loads(line), report)

    def end(self, deadline):
        """Its exit code, after it was stopped if it has not ended in time."""
        try:
            return self.process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler tells the stacks
        try:
            return self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def close(self):
        self.events.close()
        self.output.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what it has left running
        except ProcessLookupError:
            pass


def environment(options):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    env["PYTHONPATH"] = options.package
    env.pop("MOTE_TEST_QUICK", None)
    if options.quick or options.between:
        env["MOTE_TEST_QUICK"] = "between" if options.between else "1"
    if options.preload:
        # What is too large for malloc() is refused there, as without asan, instead of ending the interpreter.
        asan = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0:allocator_may_return_null=1"
        env.update(LD_PRELOAD=options.preload, MOTE_TEST_UNDER="asan", PYTHONMALLOC="malloc", ASAN_OPTIONS=asan)
    return env


def why(code, late):
    if late:
        return "the file has taken too long"
    return f"the interpreter was ended by {signal.Signals(-code).name}" if code < 0 else f"the interpreter has ended with code {code}"


def run_file(path, options, report):
    deadline, after = time.monotonic() + options.file_seconds, None
    while True:
        run = Run(path, options, after)
        run.follow(deadline, report)
        late = time.monotonic() >= deadline
        code = run.end(deadline)
        if run.running:
            report.add(run.running, "bad", why(code, late), run.written(run.begin))
        elif code or not run.done:
            report.add(f"{path.stem}: its end", "bad", why(code, late), run.written(run.begin))
        again = run.running and not late
        after = run.last
        run.close()
        if not again:
            return


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--package", default=str(HERE.parents[1] / "build" / "python"))
    parser.add_argument("-k", default="")
    parser.add_argument("--preload")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--between", action="store_true")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--file-seconds", type=float, default=1800)
    parser.add_argument("--part", default="1/1")
    parser.add_argument("--slowest", type=int, default=0)
    parser.add_argument("--child", type=int)
    parser.add_argument("--after")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    if os.environ.get("MOTE_TEST_LONG") and options.child is None:
        options.seconds *= 10
        options.file_seconds *= 10
    if options.child is not None:
        return child(options.child, options.files[0], options, options.after)
    report = Report()
    part, parts = map(int, options.part.split("/"))
    for path in (options.files or sorted(HERE.glob("test_*.py")))[part - 1 :: parts]:
        run_file(path.resolve(), options, report)
    report.slowest(options.slowest)
    print(f"1..{report.count}")
    return 1 if report.failed or not report.count else 0


if __name__ == "__main__":
    sys.exit(main())
