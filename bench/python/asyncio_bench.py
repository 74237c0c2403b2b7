# SPDX-License-Identifier: Apache-2.0
"""asyncio: a process is a task that waits for its own asyncio.Queue. uvloop_bench.py runs the same on uvloop."""
import asyncio
import os
import time

import harness

WAITING_MAX = 100000  # a million take a minute to make


async def pingpong(rounds):
    there, back = asyncio.Queue(), asyncio.Queue()

    async def pong():
        while True:
            await back.put(await there.get())

    task = asyncio.ensure_future(pong())
    await asyncio.sleep(0)
    start = time.perf_counter()
    for n in range(rounds):
        await there.put(n)
        await back.get()
    took = time.perf_counter() - start
    task.cancel()
    return took


async def matching(rounds):
    there, back = asyncio.Queue(), asyncio.Queue()

    async def pong():
        while True:
            match await there.get():
                case ("ping", sender, n):
                    await sender.put(("pong", n))

    task = asyncio.ensure_future(pong())
    await asyncio.sleep(0)
    start = time.perf_counter()
    for n in range(rounds):
        await there.put(("ping", back, n))
        match await back.get():
            case ("pong", k):
                assert k == n
    took = time.perf_counter() - start
    task.cancel()
    return took


async def fan_in(rounds):
    queue, gates = asyncio.Queue(), [asyncio.Queue() for _ in range(harness.SENDERS)]

    async def sender(gate):
        while True:
            await gate.get()
            for n in range(harness.EACH):
                await queue.put(n)

    tasks = [asyncio.ensure_future(sender(gate)) for gate in gates]
    await asyncio.sleep(0)
    start = time.perf_counter()
    for _ in range(rounds):
        for gate in gates:
            gate.put_nowait("go")
        for _ in range(harness.SENDERS * harness.EACH):
            await queue.get()
    took = time.perf_counter() - start
    for task in tasks:
        task.cancel()
    return took


async def nothing():
    pass


async def spawning(rounds):
    start = time.perf_counter()
    for _ in range(max(rounds // harness.SPAWNED_AT_ONCE, 1)):
        await asyncio.gather(*[asyncio.ensure_future(nothing()) for _ in range(harness.SPAWNED_AT_ONCE)])
    took = time.perf_counter() - start
    return took * rounds / (max(rounds // harness.SPAWNED_AT_ONCE, 1) * harness.SPAWNED_AT_ONCE)


async def calling(rounds):
    """A server with a queue of (future, argument)."""
    queue, loop = asyncio.Queue(), asyncio.get_running_loop()

    async def server():
        total = 0
        while True:
            answer, k = await queue.get()
            total += k
            answer.set_result(total)

    task = asyncio.ensure_future(server())
    await asyncio.sleep(0)
    start = time.perf_counter()
    for _ in range(rounds):
        answer = loop.create_future()
        queue.put_nowait((answer, 1))
        await answer
    took = time.perf_counter() - start
    task.cancel()
    return took


async def waiter(queue):
    await queue.get()


def make(count):
    """Tasks that wait. The loop is kept, and not closed."""

    async def start():
        tasks = [LOOP.create_task(waiter(asyncio.Queue())) for _ in range(count)]
        await asyncio.sleep(0)
        return tasks

    return LOOP.run_until_complete(start())


def run(work):
    return lambda rounds: LOOP.run_until_complete(work(rounds))


WORKLOADS = {
    "pingpong.coroutine": lambda s: harness.timed("pingpong.coroutine", s, run(pingpong), 2),
    "match": lambda s: harness.timed("match", s, run(matching), 2),
    "fanin": lambda s: harness.timed("fanin", s, run(fan_in), harness.SENDERS * harness.EACH),
    "spawn.coroutine": lambda s: harness.timed("spawn.coroutine", s, run(spawning), 1),
    "memory.coroutine": lambda n: harness.weigh("memory.coroutine", min(int(n), WAITING_MAX), make),
    "gc.fewer": lambda n: harness.collect("gc.fewer", int(n), make),
    "call": lambda s: harness.timed("call", s, run(calling), 1),
}


def main(loop):
    global LOOP
    LOOP = loop
    asyncio.set_event_loop(loop)
    harness.main(WORKLOADS)
    os._exit(0)


if __name__ == "__main__":
    main(asyncio.new_event_loop())
