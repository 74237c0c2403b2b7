# SPDX-License-Identifier: Apache-2.0
"""Pykka: actors on threads, called by proxies."""
import os
import time

import harness
import pykka


class Adder(pykka.ThreadingActor):
    def __init__(self):
        super().__init__()
        self.n = 0

    def add(self, k):
        self.n += k
        return self.n


def calling(rounds):
    actor = Adder.start()
    proxy = actor.proxy()
    start = time.perf_counter()
    for _ in range(rounds):
        proxy.add(1).get()
    took = time.perf_counter() - start
    actor.stop()
    return took


def spawning(rounds):
    start = time.perf_counter()
    for _ in range(rounds):
        Adder.start().stop()
    return time.perf_counter() - start


WORKLOADS = {
    "call": lambda s: harness.timed("call", s, calling, 1),
    "spawn.function": lambda s: harness.timed("spawn.function", s, spawning, 1),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)
