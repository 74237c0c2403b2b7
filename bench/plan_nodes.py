# SPDX-License-Identifier: Apache-2.0
"""The plan of `bench/run --nodes`: two nodes of mote's on this machine beside two of Erlang's. Names as in plan.py."""
from plan import NAMES, Case, Target

PAGE, README, PICTURE = "benchmarks-nodes.md", "docs/cluster.md", []

# arguments in full, arguments of --quick
_TABLE = """
node_pingpong 20000         | node_pingpong 2000
node_flood 1 1000000        | node_flood 1 100000
node_flood 100 1000000      | node_flood 100 100000
node_binary 67108864 20     | node_binary 67108864 5
node_binary 4096 200000     | node_binary 4096 20000
node_spawn 400              | node_spawn 100
node_connect 30             | node_connect 10
node_mixed 200              | node_mixed 50
"""


def cases() -> list[Case]:
    rows = [[cell.strip() for cell in line.split("|")] for line in _TABLE.strip().splitlines()]
    return [Case(2, full, quick, ("mote", "erlang")) for full, quick in rows]


def _against(title, metric, bound):
    return Target(title, f"mote/2/{metric}", (f"erlang/2/{metric}",), bound, label="Erlang")


def _figure(title, metric, bound, unit):
    return Target(title, f"mote/2/{metric}", (), bound, unit=unit)


def targets() -> list[Target]:
    return [
        _against("round trip", "node.pingpong", 0.6),
        _figure("round trip", "node.pingpong", 45_000, "ns"),
        _against("small messages, 1 sender, each", "node.flood.1", 0.15),
        _figure("small messages, 1 sender, each", "node.flood.1", 450, "ns"),
        _against("small messages, 100 senders, each", "node.flood.100", 0.15),
        _figure("small messages, 100 senders, each", "node.flood.100", 350, "ns"),
        _against("64 MiB binary", "node.binary.67108864", 1 / 1.8),
        Target("64 MiB binary", "mote/2/node.binary.67108864.rate", (), 2.2, at_least=True, unit="GB/s"),
        _against("spawn there, and its answer", "node.spawn_reply", 0.6),
        _figure("spawn there, and its answer", "node.spawn_reply", 60_000, "ns"),
        _against("call there", "node.call", 1),
        _against("connect", "node.connect", 1),
        _against("round trip while 64 MiB binaries pass, median", "node.mixed.p50", 0.2),
        _figure("round trip while 64 MiB binaries pass, median", "node.mixed.p50", 500_000, "ns"),
        _against("round trip while 64 MiB binaries pass, 99 of 100", "node.mixed.p99", 0.2),
        _figure("round trip while 64 MiB binaries pass, 99 of 100", "node.mixed.p99", 3_000_000, "ns"),
    ]


TITLE = """# Benchmarks of nodes

Written by `bench/run --nodes`; do not edit. Two nodes of mote's and two of Erlang's, each a program with two schedulers, over loopback on one machine, run the same workloads alternating: only ratios taken in one
session count. Figures are medians; in brackets the best run.
"""
PICTURE_LINE = ""
NOTE = """All cores are shared by the two nodes. `flood` is small messages from 1 or 100 processes to one, `binary` binaries of so many bytes, `spawn` processes started there, one after another, of which each sends a message or is
monitored, `call` an rpc, `connect` a connection until it is up, `mixed` round trips, 2 ms apart, beside a stream of binaries of 64 MiB."""
