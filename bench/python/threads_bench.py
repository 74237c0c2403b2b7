# SPDX-License-Identifier: Apache-2.0
"""Threads and queue.SimpleQueue, the faster one of the module: a process is a thread that waits for its own queue."""
import os
import queue
import threading
import time

import harness

WAITING_MAX = 2000  # a system does not let everybody have more


def start(function, *arguments):
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


def pingpong(rounds):
    there, back = queue.SimpleQueue(), queue.SimpleQueue()

    def pong():
        while (n := there.get()) is not None:
            back.put(n)

    thread = start(pong)
    began = time.perf_counter()
    for n in range(rounds):
        there.put(n)
        back.get()
    took = time.perf_counter() - began
    there.put(None)
    thread.join()
    return took


def nothing():
    pass


def spawning(rounds):
    began = time.perf_counter()
    for _ in range(rounds):
        start(nothing).join()
    return time.perf_counter() - began


def calling(rounds):
    requests = queue.SimpleQueue()

    def server():
        total = 0
        while (request := requests.get()) is not None:
            total += request[1]
            request[0].put(total)

    thread, answers = start(server), queue.SimpleQueue()
    began = time.perf_counter()
    for _ in range(rounds):
        requests.put((answers, 1))
        answers.get()
    took = time.perf_counter() - began
    requests.put(None)
    thread.join()
    return took


def make(count):
    ready, threads = queue.SimpleQueue(), []

    def waiter():
        own = queue.SimpleQueue()
        ready.put(own)
        own.get()

    for _ in range(count):
        threads.append(start(waiter))
        ready.get()
    return threads


WORKLOADS = {
    "pingpong.function": lambda s: harness.timed("pingpong.function", s, pingpong, 2),
    "spawn.function": lambda s: harness.timed("spawn.function", s, spawning, 1),
    "memory.function": lambda n: harness.weigh("memory.function", min(int(n), WAITING_MAX), make),
    "call": lambda s: harness.timed("call", s, calling, 1),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)
