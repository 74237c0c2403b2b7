# SPDX-License-Identifier: Apache-2.0
"""mote's workloads; the other files here do the nearest that their libraries can."""
import os
import time

import harness

import mote


def in_process(function, *arguments):
    """What a process that runs this function sends back."""
    _, ref = mote.spawn_monitor(function, mote.self(), *arguments)
    answer = mote.receive()
    if isinstance(answer, mote.Down):
        raise RuntimeError(answer.reason)
    mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY))
    return answer


# --------------------------------------------------------------------------------------------- messages


async def co_pong():
    receive, send, me = mote.aio.receive, mote.send, mote.self()
    while True:
        send(await receive(), me)


async def co_ping(parent, rounds):
    receive, send, me, pong = mote.aio.receive, mote.send, mote.self(), mote.spawn(co_pong)
    start = time.perf_counter()
    for _ in range(rounds):
        send(pong, me)
        await receive()
    mote.send(parent, time.perf_counter() - start)
    mote.exit(pong, "shutdown")


async def in_asyncio(parent):
    import asyncio  # from now on all processes are ready for it

    mote.send(parent, "ready")
    await asyncio.sleep(3600)


def ping_beside_asyncio(rounds):
    pid = mote.spawn(in_asyncio, mote.self())
    mote.receive("ready")
    took = in_process(co_ping, rounds)
    mote.exit(pid, "shutdown")
    return took


def pong():
    receive, send, me = mote.receive, mote.send, mote.self()
    while True:
        send(receive(), me)


def ping(parent, rounds):
    receive, send, me, other = mote.receive, mote.send, mote.self(), mote.spawn(pong)
    start = time.perf_counter()
    for _ in range(rounds):
        send(other, me)
        receive()
    mote.send(parent, time.perf_counter() - start)
    mote.exit(other, "shutdown")


async def match_pong():
    receive, send = mote.aio.receive, mote.send
    while True:
        match await receive():
            case ("ping", sender, n):
                send(sender, ("pong", n))
            case "stop":
                return


async def match_ping(parent, rounds):
    receive, send, me, other = mote.aio.receive, mote.send, mote.self(), mote.spawn_link(match_pong)
    start = time.perf_counter()
    for n in range(rounds):
        send(other, ("ping", me, n))
        match await receive():
            case ("pong", k):
                assert k == n
    mote.send(parent, time.perf_counter() - start)
    mote.send(other, "stop")


async def fan_sender(to):
    while await mote.aio.receive() == "go":
        for n in range(harness.EACH):
            mote.send(to, n)


async def fan_in(parent, rounds):
    receive, me = mote.aio.receive, mote.self()
    senders = [mote.spawn_link(fan_sender, me) for _ in range(harness.SENDERS)]
    start = time.perf_counter()
    for _ in range(rounds):
        for sender in senders:
            mote.send(sender, "go")
        for _ in range(harness.SENDERS * harness.EACH):
            await receive()
    mote.send(parent, time.perf_counter() - start)
    for sender in senders:
        mote.send(sender, "end")


# ------------------------------------------------------------------------------------- starts, memory, calls


async def co_nothing():
    pass


def nothing():
    pass


def spawner(parent, rounds, coroutines):
    spawn, what = mote.spawn, co_nothing if coroutines else nothing
    start = time.perf_counter()
    for _ in range(rounds - 1):
        spawn(what)
    _, ref = mote.spawn_monitor(what)
    mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY))
    mote.send(parent, time.perf_counter() - start)


async def co_waiter():
    await mote.aio.receive()


def waiter():
    mote.receive()


def waiting(what):
    def make(count):
        """All have run until they wait: the last one has ended, and they run in order."""
        pids = [mote.spawn(what) for _ in range(count)]
        _, ref = mote.spawn_monitor(co_nothing if what is co_waiter else nothing)
        mote.receive(("DOWN", ref, mote.ANY, mote.ANY, mote.ANY))
        return pids

    return make


class Adder(mote.Server):
    def init(self):
        self.n = 0

    @mote.call
    def add(self, k):
        self.n += k
        return self.n


def call_many(server, rounds):
    for _ in range(rounds):
        server.add(1)


def caller(parent, rounds):
    server = Adder.start()
    took = harness.stopwatch(lambda: call_many(server, rounds))
    server.stop()
    mote.send(parent, took)


def call_from_thread(rounds):
    server = Adder.start()
    took = harness.stopwatch(lambda: call_many(server, rounds))
    server.stop()
    return took


# --------------------------------------------------------------------------------------------- two workers


def far_sink(parent):
    """Takes everything, and says so when `None` comes."""
    receive = mote.receive
    while receive() is not None:
        pass
    mote.send(parent, "all")
    far_sink(parent)


def far_source(parent, sink, rounds, message):
    send = mote.send
    start = time.perf_counter()
    for _ in range(rounds):
        send(sink, message)
    send(sink, None)
    mote.receive("go on")
    mote.send(parent, time.perf_counter() - start)


def here(function, *arguments):
    pid = mote.options(place="here").spawn(function, mote.self(), *arguments)
    return pid


def one_way(message):
    def run(rounds):
        sink = mote.options(place=1).spawn(far_sink, mote.self())
        source = here(far_source, sink, rounds, message)
        mote.receive("all")
        mote.send(source, "go on")
        took = mote.receive(float)
        mote.exit(sink, "shutdown")
        return took

    return run


def far_echo(parent):
    mote.send(parent, mote.receive())


def by_handle(size):
    """What lies in shared memory already: it has been to the other worker and back."""

    def run(rounds):
        mote.send(mote.options(place=1).spawn(far_echo, mote.self()), bytes(size))
        return one_way(mote.receive(bytes))(rounds)

    return run


async def far_ping(parent, other, rounds):
    receive, send, me = mote.aio.receive, mote.send, mote.self()
    start = time.perf_counter()
    for _ in range(rounds):
        send(other, me)
        await receive()
    mote.send(parent, time.perf_counter() - start)


def far_pingpong(rounds):
    other = mote.options(place=1).spawn(co_pong)
    here(far_ping, other, rounds)
    took = mote.receive(float)
    mote.exit(other, "shutdown")
    return took


def in_workers(workload):
    def run(amount):
        with mote.Node(workers=2):
            workload(amount)

    return run


def starts(count):
    took = []
    for _ in range(count):
        start = time.perf_counter()
        node = mote.Node(workers=2)
        took.append(time.perf_counter() - start)
        node.stop()
    harness.show("start", sorted(took)[len(took) // 2] * 1e3, "ms")


WORKLOADS = {
    "pingpong.coroutine": lambda s: harness.timed("pingpong.coroutine", s, lambda n: in_process(co_ping, n), 2),
    "pingpong.asyncio": lambda s: harness.timed("pingpong.asyncio", s, ping_beside_asyncio, 2),
    "pingpong.function": lambda s: harness.timed("pingpong.function", s, lambda n: in_process(ping, n), 2),
    "match": lambda s: harness.timed("match", s, lambda n: in_process(match_ping, n), 2),
    "fanin": lambda s: harness.timed("fanin", s, lambda n: in_process(fan_in, n), harness.SENDERS * harness.EACH),
    "spawn.coroutine": lambda s: harness.timed("spawn.coroutine", s, lambda n: in_process(spawner, n, True), 1),
    "spawn.function": lambda s: harness.timed("spawn.function", s, lambda n: in_process(spawner, n, False), 1),
    "memory.coroutine": lambda n: harness.weigh("memory.coroutine", int(n), waiting(co_waiter)),
    "memory.function": lambda n: harness.weigh("memory.function", int(n), waiting(waiter)),
    "gc": lambda n: harness.collect("gc", int(n), waiting(co_waiter)),
    "gc.fewer": lambda n: harness.collect("gc.fewer", int(n), waiting(co_waiter)),
    "call": lambda s: harness.timed("call", s, lambda n: in_process(caller, n), 1),
    "call.thread": lambda s: harness.timed("call.thread", s, call_from_thread, 1),
    "far.oneway": in_workers(lambda s: harness.timed("far.oneway", s, one_way(("tag", 12345, "text")), 1)),
    "far.pingpong": in_workers(lambda s: harness.timed("far.pingpong", s, far_pingpong, 2)),
    "far.mebibyte": in_workers(lambda s: harness.timed("far.mebibyte", s, one_way(bytes(1 << 20)), 1)),
    "far.mebibyte.again": in_workers(lambda s: harness.timed("far.mebibyte.again", s, by_handle(1 << 20), 1)),
    "far.64mebibytes": in_workers(lambda s: harness.timed("far.64mebibytes", s, one_way(bytes(64 << 20)), 1)),
    "map": lambda n: harness.mapped(mote.Executor, int(n)),
    "speedup": lambda s: harness.speed_up(mote.Executor, s),
    "start": lambda n: starts(int(n)),
}

if __name__ == "__main__":
    harness.main(WORKLOADS)
    os._exit(0)  # a million processes would be ended one by one
