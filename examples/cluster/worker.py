# SPDX-License-Identifier: Apache-2.0
"""A Python program that Erlang (cluster.erl) or Elixir (cluster.exs) starts, gives work, and starts again when it dies:

    mote run --name py1 --connect erl@127.0.0.1 worker.py py1 erl@127.0.0.1

It tells {py1, 'erl@127.0.0.1'} that it is ready, and ends when that node does.
"""
import os
import sys

import mote
from mote import ANY, Atom

READY, BEGUN, DONE, ADD = (Atom(name) for name in ("ready", "begun", "done", "add"))


def is_prime(n):
    return n > 1 and all(n % k for k in range(2, int(n**0.5) + 1))


def numbers(count):
    """0.0, 1.0, 2.0 and so on, their sum, and whose array it is."""
    try:
        import numpy
    except ImportError:
        import array

        made = array.array("d", range(count))
        return made, sum(made), "the standard library"
    made = numpy.arange(count, dtype="<f8")
    return made, float(made.sum()), "NumPy"


class Worker(mote.Server):
    def init(self, name, erlang):
        start = mote.call(("adder", erlang), (ADD, 1))  # a gen_server of Erlang's
        print(f"  {name}: Python {sys.version_info[0]}.{sys.version_info[1]}, process {os.getpid()}; Erlang's adder says that I am start number {start}", flush=True)
        mote.send((name, erlang), (READY, mote.self(), os.getpid()))

    @mote.info(("count", ANY, ANY, ANY))
    def on_count(self, message):
        _, boss, low, high = message
        boss.send((BEGUN, mote.self(), low))
        found = 0
        for begin in range(low, high, 1000):
            found += sum(map(is_prime, range(begin, min(begin + 1000, high))))
            mote.sleep(0)  # let others run: signs of life of this node, say
        boss.send((DONE, mote.self(), low, found))

    @mote.call
    def numbers(self, count):
        made, total, how = numbers(count)
        return (made, total, how)  # what has a buffer goes as a binary


if __name__ == "__main__":
    name, erlang = sys.argv[1:]
    Worker.options(name="worker").start(name, erlang)
    mote.monitor_node(erlang)
    mote.receive(mote.NodeDown)
