#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster in a storm: nodes in network namespaces of their own, which are killed and begun anew, and cut off from each other, at random; then all heals.

  storm.py PYTHON PACKAGE [--nodes N] [--seconds S] [--seed K]

What storm_node.py says must not be: a message twice, or out of its sender's order; a monitor that fires twice, or not. In the end all nodes are there, and each sees the same group. Prints TAP; without root or ip
(iproute2) it is left out, and that is said. All that it starts it ends, by number; the namespaces are its own, and go with it.
"""
import argparse
import contextlib
import os
import pathlib
import random
import secrets
import select
import subprocess
import sys
import time

from netns import Network, Skip

NODE = pathlib.Path(__file__).resolve().parent / "storm_node.py"
NET, PORT = "10.213.78", 9100
HEALS = 90  # seconds in which all must agree again


class Storm:
    def __init__(self, options, stack):
        self.options, self.stack = options, stack
        self.network = Network(NET, options.nodes, stack, wires=2)
        self.random = random.Random(options.seed)
        self.cookie = secrets.token_hex(16)
        self.environment = {**os.environ, "PYTHONPATH": options.package, "PYTHONDONTWRITEBYTECODE": "1"}
        self.programs, self.rest, self.violations = {}, {}, []
        self.kills = self.cuts = 0

    def begin(self, i):
        command = self.network.on(i, self.options.python, str(NODE), NET, str(i), str(self.options.nodes), str(PORT), self.cookie)
        program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment, bufsize=0)
        self.stack.callback(end, program)
        self.programs[i], self.rest[i] = program, b""

    def hear(self, i, wanted, seconds):
        """The next line of a node that begins so, without that; violations are noted. None: it has not come."""
        until = time.monotonic() + seconds
        while True:
            *lines, self.rest[i] = self.rest[i].split(b"\n")
            for k, line in enumerate(lines):
                text = line.decode()
                if text.startswith("violation"):
                    self.violations.append(text)
                elif text.startswith(wanted):
                    self.rest[i] = b"\n".join([*lines[k + 1 :], self.rest[i]])
                    return text[len(wanted) :].strip()
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.programs[i].stdout], [], [], left)[0]:
                return None
            data = self.programs[i].stdout.read(65536)
            if not data:
                return None
            self.rest[i] += data

    def ask(self, i, what, seconds=30.0):
        answer = what if what != "check" else "checked"
        try:
            self.programs[i].stdin.write(what.encode() + b"\n")
        except OSError:
            return None
        return self.hear(i, answer, seconds)

    def all(self):
        return range(1, self.options.nodes + 1)

    def kill(self):
        victims = self.random.sample(list(self.all()), self.random.randint(1, max(1, self.options.nodes // 8)))
        for i in victims:
            self.hear(i, "nothing that it says", 0)
            self.programs[i].kill()
            self.programs[i].wait()
            end(self.programs[i])
        self.kills += len(victims)
        time.sleep(self.random.random())  # so long it is not there
        for i in victims:
            self.begin(i)

    def cut(self):
        """Some are on the other wire for a time: for some of it they notice, for some they do not."""
        away = self.random.sample(list(self.all()), self.random.randint(1, self.options.nodes // 2))
        for i in away:
            self.network.put(i, 1)
        self.cuts += 1
        time.sleep(self.random.choice((0.5, 2.0, 8.0)))
        for i in away:
            self.network.put(i, 0)

    def blow(self):
        until = time.monotonic() + self.options.seconds
        self.kill()  # one at least
        while time.monotonic() < until:
            self.random.choice((self.kill, self.cut))()
            time.sleep(self.random.random())
            for i in self.all():
                self.hear(i, "nothing that it says", 0)

    def settle(self):
        """Seconds until all see all; who does not is told of."""
        begin = time.monotonic()
        everybody = sorted(f"s@{NET}.{i}" for i in self.all())
        while True:
            views = {i: (self.ask(i, "view") or "nothing").split() for i in self.all()}
            wrong = {i: len(view) for i, view in views.items() if view != everybody}
            if not wrong or time.monotonic() - begin > HEALS:
                return time.monotonic() - begin, wrong
            time.sleep(0.2)

    def watch(self):
        """Who does not watch all others; a connection that was cut may be given up only now, and who has heard of that watches again a moment later."""
        until, wanted = time.monotonic() + 2 * HEALS, str(self.options.nodes - 1)
        few = {i: "nothing" for i in self.all()}
        while few and time.monotonic() < until:
            few = {i: count for i, count in ((i, self.ask(i, "check", 420)) for i in few) if count != wanted}
            time.sleep(0.2 if few else 0)
        return few


def end(program):
    program.kill()
    program.wait()
    for file in (program.stdin, program.stdout):
        file.close()


def results(options, stack):
    """Titles, and what is wrong."""
    storm = Storm(options, stack)
    for i in storm.all():
        storm.begin(i)
    silent = [i for i in storm.all() if storm.hear(i, "ready", 60) is None]
    yield f"{options.nodes} nodes begin", silent
    if silent:
        return
    yield "all see all", storm.settle()[1]
    storm.blow()
    took, wrong = storm.settle()
    yield f"after {storm.kills} kills and {storm.cuts} cuts each sees the same group, of all nodes", wrong
    print(f"# that took {took:.1f} s")
    for i in storm.all():
        storm.ask(i, "quiet")
    yield "each node watches all others", storm.watch()
    counts = [[int(word) for word in (storm.ask(i, "counts") or "0 0 0 0").split()] for i in storm.all()]
    sent, came, downs, lives = (sum(column) for column in zip(*counts))
    print(f"# of those that live: {sent} messages sent, {came} came from {lives} lives; {downs} monitors fired")
    yield "something has happened", [] if min(sent, came, downs) > 0 else counts
    yield "no message twice, none out of order; each monitor once", storm.violations[:20]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("python")
    parser.add_argument("package")
    parser.add_argument("--nodes", type=int, default=24 if os.environ.get("MOTE_TEST_LONG") else 6)
    parser.add_argument("--seconds", type=float, default=600 if os.environ.get("MOTE_TEST_LONG") else 12)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.getrandbits(32)
    print(f"# {options.nodes} nodes, {options.seconds:g} s, seed {options.seed}", flush=True)
    count = failed = 0
    with contextlib.ExitStack() as stack:
        try:
            for title, wrong in results(options, stack):
                count += 1
                failed += bool(wrong)
                if wrong:
                    print(f"# {wrong}")
                print(f"{'not ' if wrong else ''}ok {count} - {title}", flush=True)
        except Skip as reason:
            print(f"ok 1 - a storm # SKIP {reason}\n1..1")
            return 0
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
