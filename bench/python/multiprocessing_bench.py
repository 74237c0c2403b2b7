# SPDX-License-Identifier: Apache-2.0
"""multiprocessing and concurrent.futures: OS processes, pipes, queues, pickles."""
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor

import harness

CONTEXT = multiprocessing.get_context("spawn")
MESSAGE = ("tag", 12345, "text")


def take(pipe):
    while True:
        while pipe.recv() is not None:
            pass
        pipe.send("all")


def echo(pipe):
    while True:
        pipe.send(pipe.recv())


def beside(function, work):
    """work(pipe to another process that runs function)."""

    def run(rounds):
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=function, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        ours.send(None if function is take else MESSAGE)
        ours.recv()
        took = work(ours, rounds)
        process.terminate()
        process.join()
        return took

    return run


def one_way(message):
    def work(pipe, rounds):
        start = time.perf_counter()
        for _ in range(rounds):
            pipe.send(message)
        pipe.send(None)
        pipe.recv()
        return time.perf_counter() - start

    return work


def there_and_back(pipe, rounds):
    start = time.perf_counter()
    for _ in range(rounds):
        pipe.send(MESSAGE)
        pipe.recv()
    return time.perf_counter() - start


def starts(count):
    took = []
    for _ in range(count):
        ours, theirs = CONTEXT.Pipe()
        start = time.perf_counter()
        process = CONTEXT.Process(target=echo, args=(theirs,), daemon=True)
        process.start()
        ours.send(1)
        ours.recv()
        took.append(time.perf_counter() - start)
        process.terminate()
        process.join()
    harness.show("start", sorted(took)[len(took) // 2] * 1e3, "ms")


WORKLOADS = {
    "far.oneway": lambda s: harness.timed("far.oneway", s, beside(take, one_way(MESSAGE)), 1),
    "far.pingpong": lambda s: harness.timed("far.pingpong", s, beside(echo, there_and_back), 2),
    "far.mebibyte": lambda s: harness.timed("far.mebibyte", s, beside(take, one_way(bytes(1 << 20))), 1),
    "far.64mebibytes": lambda s: harness.timed("far.64mebibytes", s, beside(take, one_way(bytes(64 << 20))), 1),
    "map": lambda n: harness.mapped(ProcessPoolExecutor, int(n)),
    "speedup": lambda s: harness.speed_up(ProcessPoolExecutor, s),
    "start": lambda n: starts(int(n)),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)
