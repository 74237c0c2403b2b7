# SPDX-License-Identifier: Apache-2.0
"""Erlang's conformance scenarios on mote's Python API: what the scenarios share. tests/conformance/conf.erl is what they are ported from: the same
ids, rounds, races and words.

A scenario is one coroutine of a Flavour. What waits is awaited: in the flavour COROUTINES it is mote.aio's, in FUNCTIONS each of these awaitables calls
mote's plain function, which waits on the process's own stack, and so the whole coroutine runs through at once: see drive().
"""
import collections
import os
import pathlib
import re
import time

import mote

UNDER_TOOL = "MOTE_TEST_UNDER" in os.environ
LIMIT = 60 if UNDER_TOOL else 30  # seconds of a receive inside a scenario
SCENARIO_LIMIT = 240
NODE = "nonode@nohost"  # this node's name
UNTESTED = "untested"  # a word of a result that cannot be had here
NOTHING = "nothing"
FOLDER = pathlib.Path(__file__).resolve().parents[3] / "tests" / "conformance"


def drive(coroutine):
    """Runs a coroutine that never has to wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a scenario has awaited what is not its flavour's")


class Flavour:
    """Of a scenario and all processes it starts. Subclasses have what waits, and body(). Those of across.py place what is started, and overwrite what stands
    below here for that."""

    async def spawn(self, body, *args):
        return mote.spawn(self.body(body), *args)

    async def spawn_link(self, body, *args):
        return mote.spawn_link(self.body(body), *args)

    async def spawn_monitor(self, body, *args):
        return mote.spawn_monitor(self.body(body), *args)

    def spawn_here(self, body, *args):
        """In the caller's own worker: for one of two parties that the caller starts."""
        return mote.spawn(self.body(body), *args)

    async def there(self, function, *args):
        """Calls a function, which is at the top level of a module, where started processes are."""
        return function(*args)

    async def say(self, to, message):
        """Sends to oneself, or through an alias of one's own."""
        mote.send(to, message)

    async def say_after(self, seconds, message):
        """mote.send_after() to oneself."""
        return mote.send_after(seconds, mote.self(), message)

    async def has_begun(self, pid):
        """A process that was started has taken what it was told for that."""

    async def hear(self):
        """What others have sent until now is here."""

    async def processes(self):
        """Those of the node."""
        return mote.processes()

    # Messages.

    async def msg(self, seconds=LIMIT):
        return await self.receive(timeout=seconds, default=NOTHING)

    async def rest(self):
        """All messages in the mailbox."""
        found = []
        while True:
            message = await self.receive(timeout=0, default=NOTHING)
            if message == NOTHING:
                return found
            found.append(message)

    async def down(self, ref):
        """The reason in the Down of a monitor."""
        message = await self.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY), timeout=LIMIT, default=None)
        return message.reason if message else "no_down"

    async def gone(self, pid):
        return await self.down(mote.monitor(pid))

    async def settle(self, messages=0):
        """So many have come, and what else may come has had time to."""
        until = time.monotonic() + LIMIT
        while mote.info(mote.self()).messages < messages and time.monotonic() < until:
            await self.sleep(0.001)
        await self.sleep(0.03)
        await self.hear()

    # Processes.

    async def forever(self):
        await self.receive("a message that never comes")

    async def ends(self):
        pass

    async def exits(self, reason):
        raise mote.Exit(reason)

    async def fails(self, what):
        raise Failure(what)

    async def obeys(self, reason):
        await self.receive("go")
        raise mote.Exit(reason)

    async def idle(self):
        return await self.spawn(self.forever)

    def idle_here(self):
        return self.spawn_here(self.forever)

    async def dead(self):
        pid, ref = await self.spawn_monitor(self.ends)
        assert await self.down(ref) == "normal"
        return pid

    async def dead_here(self):
        pid = self.spawn_here(self.ends)
        assert await self.gone(pid) != "no_down"
        return pid

    async def die(self, body, *args):
        """Runs a body in a process that does not trap; its reason."""
        _, ref = await self.spawn_monitor(body, *args)
        return reason(await self.down(ref))

    # Races: a peer that ends with `why` on go. In odd rounds it polls.

    async def _races(self, starter, polls, why):
        mote.send(starter, "ready")
        while await self.receive("go", timeout=0 if polls else None, default=NOTHING) == NOTHING:
            pass
        raise mote.Exit(why)

    async def racer(self, turn, why):
        pid = await self.spawn(self._races, mote.self(), bool(turn % 2), why)
        assert await self.receive("ready", timeout=LIMIT) == "ready"
        return pid

    async def let_see(self, peer, turn):
        """In half of the rounds: waits until the peer has applied what was sent to it."""
        if turn % 4 // 2:
            assert await self.is_alive(peer)

    async def sweep(self, turn, race):
        """Lets others run for a little while, another in each round: none to three times."""
        for _ in range(turn * 3001 % 8000 // 2000):
            await self.sleep(0)

    async def busy(self, seconds):
        """Computes; others run meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.sleep(0)


class Functions(Flavour):
    """Plain functions, each on a stack of its own."""

    name = "functions"
    own_stacks = True

    def body(self, body):
        return lambda *args: drive(body(*args))

    async def receive(self, *what, **how):
        return mote.receive(*what, **how)

    async def sleep(self, seconds):
        mote.sleep(seconds)

    async def call(self, to, request, timeout=LIMIT):
        return mote.call(to, request, timeout)

    async def is_alive(self, pid):
        return mote.is_alive(pid)

    async def info(self, pid):
        return mote.info(pid)

    async def supervise(self, children, **options):
        return mote.Supervisor.start_link(children, **options)

    async def child_of(self, supervisor, name):
        return supervisor.whereis(name)


class Coroutines(Flavour):
    """Coroutines, all on the scheduler's stack."""

    name = "coroutines"
    own_stacks = False

    def body(self, body):
        return body

    def receive(self, *what, **how):
        return mote.aio.receive(*what, **how)

    def sleep(self, seconds):
        return mote.aio.sleep(seconds)

    def call(self, to, request, timeout=LIMIT):
        return mote.aio.call(to, request, timeout)

    def is_alive(self, pid):
        return mote.aio.is_alive(pid)

    def info(self, pid):
        return mote.aio.info(pid)

    def supervise(self, children, **options):
        return mote.Supervisor.aio.start_link(children, **options)

    def child_of(self, supervisor, name):
        return supervisor.aio.whereis(name)


# ------------------------------------------------------------------------------------------------------ words


def words(value):
    """A result as conf.erl's r/1 writes it."""
    if isinstance(value, tuple):
        return ":".join(map(words, value))
    if isinstance(value, list):
        return ",".join(map(words, value)) or "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "undefined"
    return {mote.Pid: "PID", mote.Ref: "REF"}.get(type(value)) or str(value)


class Failure(Exception):
    """An error of Erlang's: error(What)."""


class Thrown(Exception):
    """What is thrown, and caught by nobody. In Python that is an error like others; its class says what it was."""


# An uncaught exception's class, and what Erlang says of the like.
ERRORS = {"Failure": lambda text: ("error", text), "Thrown": lambda text: ("error", ("nocatch", text)), "RecursionError": lambda text: "stack_overflow",
          "ModuleNotFoundError": lambda text: ("error", "undef")}


def reason(why):
    """An exit reason as conf.erl's reason/1 has it."""
    if isinstance(why, tuple) and len(why) == 2 and why[0] == "error" and isinstance(why[1], tuple):
        kind, text, _ = why[1]
        known = ERRORS.get(kind.rpartition(".")[2])
        return known(text) if known else ("error", kind, text)
    return why


def exit_of(sender, message):
    """An ExitSignal of `sender`; any other message as it is."""
    if isinstance(message, mote.ExitSignal) and message.sender == sender:
        return ("EXIT", reason(message.reason))
    return message


def error_of(error, nobody):
    """What Erlang raises where mote has raised this: `nobody` for NoProc, which is about a process or about a name."""
    if isinstance(error, mote.NoProc):
        return nobody
    return "badarg" if isinstance(error, (TypeError, ValueError)) else type(error).__name__


def returned(function, *args, value=True, nobody="noproc", **kwargs):
    """What Erlang's function returns (`value`) or raises."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        return error_of(error, nobody)
    return value


def raised(function, *args, nobody="noproc", **kwargs):
    return returned(function, *args, value="no_error", nobody=nobody, **kwargs)


# ------------------------------------------------------------------------------------------------ rounds, races


class Scale:
    """CONF_N is thousandths of the rounds; `share` is one of them all."""

    thousandths = int(os.environ.get("CONF_N", "100" if UNDER_TOOL else "1000"))
    share = 1


def rounds(n=1000, least=20):
    return max(least, n * Scale.thousandths // (1000 * Scale.share))


def violations(n):
    return ("violations", n)


class Race:
    """It counts only if both outcomes were seen, each in at least one round of a hundred."""

    def __init__(self):
        self.seen = collections.Counter()
        self.violations = 0
        self.wait = [0.0] * 4  # how long sweep() takes between two workers

    def round(self, first, holds):
        turn = (sum(self.seen.values()) + 1) % 4
        self.wait[turn] = self.wait[turn] / 1.6 if first else min(self.wait[turn] * 1.6 + 2e-5, 0.1)
        self.seen[bool(first)] += 1
        self.violations += not holds

    def result(self):
        both = min(self.seen[True], self.seen[False]) * 100 >= sum(self.seen.values())
        return ("violations", self.violations, "both" if both else "one_sided")


# ---------------------------------------------------------------------------------------------- scenarios


SCENARIOS = {}  # id -> the coroutine function


def scenario(function):
    """`async def a01_one_sender(f)` is scenario A01."""
    name = function.__name__[:3].upper()
    assert re.fullmatch(r"[A-Z]\d\d", name) and name not in SCENARIOS, name
    SCENARIOS[name] = function
    return function


def statements():
    """{id: statement}, from the table in conf.erl."""
    text = (FOLDER / "conf.erl").read_text(encoding="utf-8")
    return dict(re.findall(r'(?m)^\{"([A-Z]\d\d)", \w+, "(.*)", fun', text))


def expected():
    """{id: line}"""
    return dict(re.findall(r"(?m)^([A-Z]\d\d) (.*)$", (FOLDER / "expected.txt").read_text(encoding="utf-8")))


def agree(got, want):
    """Whether two results are the same, but for words that could not be tested; one at least was."""
    mine, wanted = got.split(","), want.split(",")
    same = len(mine) == len(wanted) and all(a in (b, UNTESTED) for a, b in zip(mine, wanted))
    return same and set(mine) != {UNTESTED}


def run(name, flavour):
    """The line of a scenario, whatever becomes of it."""
    ref = mote.make_ref()

    async def body(starter, tag):
        mote.send(starter, (tag, words(await SCENARIOS[name](flavour))))

    pid, monitor = mote.spawn_monitor(flavour.body(body), mote.self(), ref)
    wanted = mote.any_of((ref, str), ("DOWN", monitor, mote.ANY, mote.ANY, mote.ANY))
    message = mote.receive(wanted, timeout=SCENARIO_LIMIT, default=None)
    mote.demonitor(monitor, flush=True)
    if message is None:
        mote.kill(pid)
        return "hang"
    return message[1] if message[0] == ref else words(["harness_died", str(message.reason)])
