# SPDX-License-Identifier: Apache-2.0
"""greenlet: the bare switch between two stacks, with no mailbox and no scheduler."""
import os
import time

import greenlet
import harness


def pingpong(rounds):
    def pong(value):
        while True:
            value = main.switch(value)

    main = greenlet.getcurrent()
    other = greenlet.greenlet(pong)
    other.switch(0)
    start = time.perf_counter()
    for n in range(rounds):
        other.switch(n)
    return time.perf_counter() - start


def nothing():
    pass


def spawning(rounds):
    start = time.perf_counter()
    for _ in range(rounds):
        greenlet.greenlet(nothing).switch()
    return time.perf_counter() - start


def make(count):
    main = greenlet.getcurrent()
    kept = [greenlet.greenlet(lambda: main.switch()) for _ in range(count)]
    for one in kept:
        one.switch()
    return kept


WORKLOADS = {
    "pingpong.function": lambda s: harness.timed("pingpong.function", s, pingpong, 2),
    "spawn.function": lambda s: harness.timed("spawn.function", s, spawning, 1),
    "memory.function": lambda n: harness.weigh("memory.function", int(n), make),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)
