# SPDX-License-Identifier: Apache-2.0
"""The plan of `bench/run --python`: mote's Python package beside what else Python has. Names as in plan.py."""
from plan import Case, Target

# What a peer is called: it is in python/NAME_bench.py, and needs a module of that name.
NAMES = {
    "mote": "mote",
    "asyncio": "asyncio",
    "uvloop": "uvloop",
    "threads": "threads",
    "greenlet": "greenlet",
    "gevent": "gevent",
    "pykka": "Pykka",
    "multiprocessing": "multiprocessing",
}
LETTERS = {"m": "mote", "a": "asyncio", "u": "uvloop", "t": "threads", "g": "greenlet", "v": "gevent", "p": "pykka", "x": "multiprocessing"}
PAGE, README, PICTURE = "benchmarks-python.md", "docs/python.md", []

# arguments in full, arguments of --quick, peers (letters above)
_TABLE = """
pingpong.coroutine 1       | pingpong.coroutine 0.2   | mau
pingpong.asyncio 1         | pingpong.asyncio 0.2     | m
pingpong.function 1        | pingpong.function 0.2    | mtgv
match 1                    | match 0.2                | ma
fanin 1                    | fanin 0.2                | mav
spawn.coroutine 1          | spawn.coroutine 0.2      | mau
spawn.function 1           | spawn.function 0.2       | mtgvp
memory.coroutine 1000000   | memory.coroutine 50000   | ma
memory.function 100000     | memory.function 5000     | mtgv
gc 1000000                 | gc 50000                 | m
gc.fewer 100000            | gc.fewer 10000           | ma
call 1                     | call 0.2                 | matp
call.thread 1              | call.thread 0.2          | m
far.oneway 1               | far.oneway 0.2           | mx
far.pingpong 1             | far.pingpong 0.2         | mx
far.mebibyte 1             | far.mebibyte 0.2         | mx
far.mebibyte.again 1       | far.mebibyte.again 0.2   | m
far.64mebibytes 1          | far.64mebibytes 0.05     | mx
map 100000                 | map 2000                 | mx
speedup 1                  | speedup 0.05             | mx
start 5                    | start 1                  | mx
"""


def cases() -> list[Case]:
    rows = [[cell.strip() for cell in line.split("|")] for line in _TABLE.strip().splitlines()]
    return [Case(1, full, quick, tuple(LETTERS[letter] for letter in letters)) for full, quick, letters in rows]


def _figure(title, metric, bound, unit):
    return Target(title, f"mote/1/{metric}", (), bound, unit=unit)


def _against(title, metric, peer, bound):
    return Target(title, f"mote/1/{metric}", (f"{peer}/1/{metric}",), bound, label=NAMES[peer])


def targets() -> list[Target]:
    return [
        _figure("ping-pong, coroutines, per message", "pingpong.coroutine", 150, "ns"),
        _against("ping-pong, coroutines, per message", "pingpong.coroutine", "asyncio", 0.05),
        Target("the same while a process is in asyncio", "mote/1/pingpong.asyncio", ("mote/1/pingpong.coroutine",), 1.1, label="without"),
        _figure("ping-pong, functions, per message", "pingpong.function", 110, "ns"),
        _against("ping-pong, functions, per message", "pingpong.function", "greenlet", 0.55),
        _figure("tuple message and match", "match", 220, "ns"),
        _figure("fan-in, 1,000 senders, per message", "fanin", 130, "ns"),
        _figure("start, run and end, coroutine", "spawn.coroutine", 700, "ns"),
        _figure("start, run and end, function", "spawn.function", 450, "ns"),
        _figure("a waiting process, coroutine", "memory.coroutine", 640, "bytes"),
        _figure("a waiting process, function", "memory.function", 5600, "bytes"),
        _figure("full garbage collection beside 1M processes", "gc", 30, "ms"),
        _figure("server call by proxy, round trip", "call", 1500, "ns"),
        _against("server call by proxy, round trip", "call", "pykka", 0.05),
        _figure("to another worker, per message", "far.oneway", 150, "ns"),
        _against("to another worker, per message", "far.oneway", "multiprocessing", 0.05),
        _figure("to another worker and back, each way", "far.pingpong", 600, "ns"),
        _against("to another worker and back, each way", "far.pingpong", "multiprocessing", 1),
        _figure("1 MiB to another worker", "far.mebibyte", 70_000, "ns"),
        _against("1 MiB to another worker", "far.mebibyte", "multiprocessing", 0.1),
        _figure("1 MiB that lies in shared memory", "far.mebibyte.again", 6_000, "ns"),
        _against("64 MiB to another worker", "far.64mebibytes", "multiprocessing", 0.1),
        _against("Executor.map, per tiny task", "map", "multiprocessing", 0.2),
        Target("two computations in two workers, against one after the other", "mote/1/speedup", (), 1.9, at_least=True, unit="times"),
        Target("the same", "mote/1/speedup", ("multiprocessing/1/speedup",), 1, at_least=True, label=NAMES["multiprocessing"]),
        _figure("start of a worker", "start", 40, "ms"),
    ]


TITLE = """# Benchmarks of Python

Written by `bench/run --python`; do not edit. mote and what else Python has run the same workloads alternating, in one session and one interpreter: only
ratios taken in one session count. Each figure is of a fresh program. Figures are medians; in brackets the best run.
"""
PICTURE_LINE = ""
NOTE = """A process of asyncio is a task that waits for its own `asyncio.Queue`, of threads a thread with a `queue.SimpleQueue`, of gevent a greenlet with a
`gevent.queue.Queue`; greenlet is the bare switch, without mailboxes and without a scheduler. uvloop runs asyncio's programs. `pingpong.asyncio` is mote's ping-pong while another process
waits in asyncio. `memory` is what is
resident for each waiting process, its Pid or task and the list they stand in included; `.tables` are the kernel's page tables besides (the
processes of mote are 1,000,000 coroutines and 100,000 functions, asyncio's tasks and the greenlets 100,000, the threads 2,000). `gc` is a full garbage collection beside
1,000,000 waiting coroutines, `gc.fewer` beside 100,000. `call` is a process that calls a server (asyncio: a future for each call; threads: a queue for the
answers; Pykka: a proxy, from the main thread); `call.thread` is the main program that calls a server of mote's.

The rest has two interpreters: `far` is a message (a tuple of three, or 1 MiB of bytes) from a process in one worker to one in another, for multiprocessing through a `Pipe`; `map` an
`Executor` with two workers, for multiprocessing `ProcessPoolExecutor`; `speedup` how much sooner two computations end in two workers than one after the other in one (the target is 1.9);
`start` a node of two until the second worker takes messages, or a process (`spawn`) until it answers."""
