# SPDX-License-Identifier: Apache-2.0
"""gevent: a process is a greenlet that waits for its own gevent.queue.Queue."""
import os
import time

import gevent
import harness
from gevent.queue import Queue


def pingpong(rounds):
    there, back = Queue(), Queue()

    def pong():
        while True:
            back.put(there.get())

    other = gevent.spawn(pong)
    gevent.sleep(0)
    start = time.perf_counter()
    for n in range(rounds):
        there.put(n)
        back.get()
    took = time.perf_counter() - start
    other.kill()
    return took


def fan_in(rounds):
    queue, gates = Queue(), [Queue() for _ in range(harness.SENDERS)]

    def sender(gate):
        while True:
            gate.get()
            for n in range(harness.EACH):
                queue.put(n)

    senders = [gevent.spawn(sender, gate) for gate in gates]
    gevent.sleep(0)
    start = time.perf_counter()
    for _ in range(rounds):
        for gate in gates:
            gate.put("go")
        for _ in range(harness.SENDERS * harness.EACH):
            queue.get()
    took = time.perf_counter() - start
    gevent.killall(senders)
    return took


def nothing():
    pass


def spawning(rounds):
    lots = max(rounds // harness.SPAWNED_AT_ONCE, 1)
    start = time.perf_counter()
    for _ in range(lots):
        gevent.joinall([gevent.spawn(nothing) for _ in range(harness.SPAWNED_AT_ONCE)])
    return (time.perf_counter() - start) * rounds / (lots * harness.SPAWNED_AT_ONCE)


def make(count):
    kept = [gevent.spawn(lambda: Queue().get()) for _ in range(count)]
    gevent.sleep(0)
    return kept


WORKLOADS = {
    "pingpong.function": lambda s: harness.timed("pingpong.function", s, pingpong, 2),
    "fanin": lambda s: harness.timed("fanin", s, fan_in, harness.SENDERS * harness.EACH),
    "spawn.function": lambda s: harness.timed("spawn.function", s, spawning, 1),
    "memory.function": lambda n: harness.weigh("memory.function", int(n), make),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)
