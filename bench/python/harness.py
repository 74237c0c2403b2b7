# SPDX-License-Identifier: Apache-2.0
"""What the workloads of all peers share: the command line, and how time and memory are taken.

  X_bench.py WORKLOAD AMOUNT      prints lines `name value unit`, as mote-bench does

AMOUNT is the number of processes where a workload has one (memory, gc), else seconds: the workload is repeated with more and more rounds until
one measurement takes that long, and that one is reported.
"""
import gc
import sys
import time

NS = 1e9
SPAWNED_AT_ONCE = 100  # by peers that do not let others run by themselves
SENDERS = 1000
EACH = 100  # messages of one sender in a round


def show(name, value, unit):
    print(f"{name} {value:.3f} {unit}", flush=True)


def timed(name, seconds, work, count):
    """Reports the nanoseconds for each of the `count` things that a round has. work(rounds) gives the seconds that they took."""
    rounds = 1
    work(rounds)
    while (took := work(rounds)) < seconds:
        rounds = max(rounds * 2, int(rounds * seconds / max(took, 1e-9) * 1.1))
    show(name, took * NS / (rounds * count), "ns")


def burn(rounds):
    """Computes for some time."""
    total = 0
    for n in range(rounds):
        total += n & 3
    return total


def stopwatch(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tiny(x):
    return x


def mapped(executors, count):
    """What a tiny task costs of an Executor: executors(n) makes one that runs n at once."""
    with executors(2) as executor:
        list(executor.map(tiny, range(1000)))
        start = time.perf_counter()
        assert sum(executor.map(tiny, range(count))) == count * (count - 1) // 2
        show("map", (time.perf_counter() - start) * NS / count, "ns")


def speed_up(executors, seconds):
    """How much faster two computations are in two workers than one after the other in one."""
    with executors(1) as one, executors(2) as two:
        rounds = int(seconds * 2e7)
        for executor in (one, two, two):
            list(executor.map(burn, [1000, 1000]))
        alone = stopwatch(lambda: list(one.map(burn, [rounds, rounds])))
        together = stopwatch(lambda: list(two.map(burn, [rounds, rounds])))
        show("speedup", alone / together, "times")


def memory():
    """(bytes resident, bytes of page tables) of this program."""
    with open("/proc/self/status", encoding="ascii") as file:
        facts = dict(line.split(":", 1) for line in file)
    return tuple(int(facts[key].split()[0]) << 10 for key in ("VmRSS", "VmPTE"))


def weigh(name, count, make):
    """Reports the bytes that each of `count` things takes, and of page tables besides. make(count) gives what keeps them alive."""
    kept = [make(max(count // 100, 1))]  # what the first ones bring along
    gc.collect()
    before = memory()
    kept.append(make(count))
    after = memory()
    show(name, (after[0] - before[0]) / count, "bytes")
    show(name + ".tables", (after[1] - before[1]) / count, "bytes")
    return kept


def collect(name, count, make):
    """Reports the milliseconds of a full garbage collection beside `count` things: the median of five."""
    kept = make(count)
    gc.collect()
    took = sorted(stopwatch(gc.collect) for _ in range(5))
    show(name, took[2] * 1e3, "ms")
    return kept


def main(workloads):
    """Runs the one that the command line names: a function of its amount."""
    if len(sys.argv) != 3 or sys.argv[1] not in workloads:
        sys.exit(f"usage: {sys.argv[0]} WORKLOAD AMOUNT; workloads: {' '.join(workloads)}")
    workloads[sys.argv[1]](float(sys.argv[2]))
