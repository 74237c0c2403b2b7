# SPDX-License-Identifier: Apache-2.0
"""What is measured, what must be reached, what is drawn.

A series is named "peer/schedulers/metric", "mote/1/ring.1000": the metric is the name that the workload prints. plan_python.py and plan_nodes.py are other plans.
"""
from dataclasses import dataclass

PEERS = {"m": "mote", "h": "mote-handler", "e": "erlang", "g": "go"}
NAMES = {"mote": "mote", "mote-handler": "mote, handlers", "erlang": "Erlang", "go": "Go"}
PAGE, README = "benchmarks.md", "README.md"  # under docs/; what has the numbers, too

# schedulers, arguments in full, arguments of --quick, peers (letters above)
_TABLE = """
1  | pingpong same 2000000       | pingpong same 200000      | mheg
2  | pingpong free 2000000       | pingpong free 200000      | mheg
2  | pingpong cross 30000        | pingpong cross 10000      | meg
12 | pairs 100 20000             | pairs 100 2000            | mheg
12 | ring 1000 4000000           | ring 1000 500000          | mheg
12 | ring 100000 3000000         | ring 100000 200000        | mheg
12 | spawn 500000                | spawn 50000               | mheg
12 | spawn_flood 500000          | spawn_flood 50000         | mheg
12 | memory 1000000              | memory 50000              | mheg
12 | skynet 1000000              | skynet 100000             | mheg
12 | fanin 100 4000000 on_heap   | fanin 100 400000 on_heap  | mheg
12 | mailbox 3000000             | mailbox 300000            | meg
12 | big 64 250                  | big 64 50                 | mheg
12 | big 512 4                   | big 512 1                 | mheg
12 | selrecv 0 200000            | selrecv 0 50000           | me
12 | selrecv 10000 200000        | selrecv 10000 50000       | me
12 | timers 1000000              | timers 100000             | meg
12 | timers_fire 1000000         | timers_fire 100000        | meg
12 | timers_procs 500000         | timers_procs 20000        | meg
12 | late 300                    | late 100                  | meg
12 | lathog 4 200                | lathog 4 50               | meg
12 | fair 4 200                  | fair 4 50                 | meg
12 | bigbin 64 100               | bigbin 64 10              | meg
12 | chameneos 500000            | chameneos 100000          | mheg
12 | nqueens 13 4                | nqueens 13 4              | mheg
12 | monitor 500000              | monitor 50000             | mhe
12 | linkfan 100000              | linkfan 10000             | mhe
12 | exits 1000000               | exits 20000               | he
12 | gencall 500000              | gencall 50000             | meg
1  | payload bin 64 300000       | payload bin 64 30000      | me
1  | payload list 100 100000     | payload list 100 10000    | me
1  | payload map 20 100000       | payload map 20 10000      | me
"""


@dataclass(frozen=True)
class Case:
    """One workload on some schedulers, run by each of its peers in turn."""

    schedulers: int
    full: str
    quick: str
    peers: tuple[str, ...]


def cases() -> list[Case]:
    found = []
    for line in _TABLE.strip().splitlines():
        schedulers, full, quick, letters = (cell.strip() for cell in line.split("|"))
        for count in schedulers:
            found.append(Case(int(count), full, quick, tuple(PEERS[letter] for letter in letters)))
    return found


@dataclass(frozen=True)
class Target:
    """A figure to reach: `series`, divided by the smallest of `over` if there are any, against `bound`."""

    title: str
    series: str
    over: tuple[str, ...]
    bound: float
    at_least: bool = False  # else: at most
    label: str = ""         # what `over` is
    unit: str = ""          # of a figure that is no ratio

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


BEST = ("erlang", "go")


def _against(title, metric, bounds, schedulers=(1, 2), mote="mote"):
    """Targets for a metric: `bounds` maps a peer, or BEST, to the largest ratio allowed."""
    found = []
    for count in schedulers:
        where = f"{title}, S{count}" if len(schedulers) > 1 else title
        for peers, bound in bounds.items():
            names = (peers,) if isinstance(peers, str) else peers
            over = tuple(f"{peer}/{count}/{metric}" for peer in names)
            label = "the best" if peers == BEST else peers.capitalize()
            found.append(Target(where, f"{mote}/{count}/{metric}", over, bound, label=label))
    return found


def _speed_up(title, metric, bound):
    return [Target(title, f"mote/1/{metric}", (f"mote/2/{metric}",), bound, at_least=True, label="S2")]


def _the_same(title, metric, with_none):
    """Equal, that is within what two runs of the same differ by."""
    return [Target(title, f"mote/1/{metric}", (f"mote/1/{with_none}",), 1.2, label="with none")]


def _figure(title, series, bound, unit):
    return [Target(title, series, (), bound, unit=unit)]


def targets() -> list[Target]:
    return [
        *_against("ping-pong, one scheduler", "pingpong.same", {"erlang": 0.2, "go": 0.4}, (1,)),
        *_against("ping-pong forced across", "pingpong.cross", {"erlang": 0.7}, (2,)),
        *_speed_up("100 pairs at once, 1 to 2 schedulers", "pairs.100", 1.8),
        *_against("ring of 1,000", "ring.1000", {"erlang": 0.2}),
        *_against("ring of 100,000", "ring.100000", {BEST: 0.65}),
        *_against("spawn and exit", "spawn.seq", {"erlang": 0.1}),
        *_against("spawn 1M alive, handlers", "memory.spawn", {BEST: 0.1}, mote="mote-handler"),
        *_against("skynet", "skynet", {"erlang": 0.1, "go": 0.3}),
        *_figure("memory per waiting process, handler", "mote-handler/1/memory.idle", 256, "bytes"),
        *_figure("memory per waiting process, own stack", "mote/1/memory.idle", 4352, "bytes"),
        *_against("fan-in, 100 senders", "fanin.100.on_heap", {"erlang": 0.2}),
        *_against("mailbox with a large backlog", "mailbox.total", {"erlang": 0.3}),
        *_against("big, 64 processes", "big.64", {"erlang": 0.35}),
        *_against("big, 512 processes", "big.512", {"erlang": 0.35}),
        *_against("call, 10,000 messages ahead", "selrecv.marked.10000", {"erlang": 0.2}),
        *_the_same("call, 10,000 messages ahead or none", "selrecv.marked.10000", "selrecv.marked.0"),
        *_figure("scan per unmatched message", "mote/1/selrecv.scan_per_msg.10000", 5, "ns"),
        *_against("receive with time-out", "timer.recv_after_cancel", {BEST: 0.25}),
        *_figure("timer set", "mote/1/timer.set", 70, "ns"),
        *_figure("timer cancel", "mote/1/timer.cancel", 40, "ns"),
        *_figure("timer fire, CPU", "mote/1/timer.fire_cpu", 400, "ns"),
        *_figure("sleep 1 ms, median", "mote/1/timer.sleep1ms_p50", 1100, "us"),
        *_against("send a 64 MiB binary", "bigbin.64MiB.send", {"erlang": 0.2}),
        *_against("chameneos", "chameneos", {BEST: 0.5}),
        *_speed_up("13 queens, 1 to 2 schedulers", "nqueens.13.d4", 1.85),
        *_against("spawn, monitor, exit, DOWN", "monitor.spawn_exit_down", {"erlang": 0.25}),
        *_against("spawn linked, exit, EXIT", "link.spawn_exit_EXIT", {"erlang": 0.25}),
        *_against("monitor and demonitor", "monitor.mon_demon", {"erlang": 0.7}),
        *_against("link and unlink", "link.link_unlink", {"erlang": 0.55}),
        *_against("exit to 100,000 linked, handlers, each", "link.fan_exit", {"erlang": 0.2}, mote="mote-handler"),
        *_against("exit to 100,000 linked, own stacks, each", "link.fan_exit", {"erlang": 0.2}),
        *_against("server call, round trip", "gencall", {"erlang": 0.22}),
        *_against("1M exits at once, 1M watchers, each", "monitor.exits", {"erlang": 0.4}, mote="mote-handler"),
    ]


# What the picture shows: label, schedulers, metric; drawn in panels by unit.
PICTURE = [
    ("ping-pong, round trip", 1, "pingpong.same"),
    ("100 pairs, per round trip", 2, "pairs.100"),
    ("ring of 1,000, per hop", 1, "ring.1000"),
    ("ring of 100,000, per hop", 2, "ring.100000"),
    ("spawn and exit", 1, "spawn.seq"),
    ("spawn, all alive and waiting", 1, "memory.spawn"),
    ("fan-in, per message", 2, "fanin.100.on_heap"),
    ("mailbox, send and receive", 1, "mailbox.total"),
    ("big, 512 processes", 2, "big.512"),
    ("call, 10,000 messages ahead", 1, "selrecv.marked.10000"),
    ("receive with time-out", 1, "timer.recv_after_cancel"),
    ("send a 64 MiB binary", 2, "bigbin.64MiB.send"),
    ("chameneos, per meeting", 2, "chameneos"),
    ("skynet", 2, "skynet"),
    ("13 queens", 2, "nqueens.13.d4"),
    ("spawn, monitor, exit, DOWN", 1, "monitor.spawn_exit_down"),
    ("server call, round trip", 1, "gencall"),
    ("waiting process", 1, "memory.idle"),
]

# What the page says before its tables, and about them.
TITLE = """# Benchmarks

Written by `make bench` (`bench/run`); do not edit. mote and its peers run the same workloads alternating, in one session:
only ratios taken in one session count. S1 and S2 are one and two schedulers. Figures are medians; in brackets the best run.
"""
PICTURE_LINE = "\n![mote, Erlang and Go: time per operation and memory per process](benchmarks.svg)\n"
NOTE = """`mote` is processes with a stack of their own. Where mote starts processes that stay alive (`memory.spawn`), the time runs
until all of them have run and wait; Erlang's and Go's runs until all are started."""
