# SPDX-License-Identifier: Apache-2.0
"""Two workers: flavours whose processes start others in the worker, and so the interpreter, that they are not in.

A body is a method of the flavour or a function within a scenario. It travels as the place of its code in its module, with what it has of the functions around it:
the flavour, plain values, and other such functions. In each worker a server does what only that worker can, or what the other one shall do."""
import importlib
import types

import mote
from mote import _mote, _workers

from conformance.tools import LIMIT, Coroutines, Flavour, Functions, drive

# Scenarios of which nothing crosses from one worker to another, and why not.
HERE = {
    "A09": "there is no party: nobody has the name",
    "B08": "there is no other party: it sends the signal to itself",
    "B17": "there is no other party: it asks for its own flag",
    "C08": "there is no other party: it links to itself",
    "D02": "there is no party: nobody has the name",
    "D08": "there is no party: nobody has the reference",
    "D10": "there is no other party: it monitors itself",
    "G07": "that the receiver has ended is known in its own worker; a timer's function does not wait for an answer from there",
    "G10": "nothing is sent: the arguments are refused",
    "H10": "nothing is sent: the arguments are refused",
    "I04": "memory of one interpreter, in which the bytes are shared",
    "J03": "place= takes no mailbox=",
    "K04": "there is no other party: it calls itself",
}


# ------------------------------------------------------------------------------------------- bodies that travel


def packed(thing, around=None):
    """A value as what a message can carry; `around`: the function whose variable it is."""
    if isinstance(thing, Flavour):
        return ("flavour", thing.name)
    if thing is around:
        return ("itself",)
    if isinstance(thing, types.MethodType):
        return ("method", packed(thing.__self__), thing.__name__)
    if isinstance(thing, types.FunctionType):
        cells = tuple(packed(cell.cell_contents, thing) for cell in thing.__closure__ or ())
        return ("function", thing.__module__, tuple(thing.__qualname__.split(".<locals>.")), cells)
    return ("value", thing)


def found(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def code_of(module, names):
    """Of a function within functions."""
    code = found(module, names[0]).__code__
    for name in names[1:]:
        (code,) = [const for const in code.co_consts if isinstance(const, types.CodeType) and const.co_name == name]
    return code


def unpacked(what):
    kind, *fields = what
    if kind == "flavour":
        return FLAVOURS[fields[0]]
    if kind == "method":
        return getattr(unpacked(fields[0]), fields[1])
    if kind == "value":
        return fields[0]
    name, names, cells = fields
    module = importlib.import_module(name)
    if len(names) == 1:
        return found(module, names[0])
    closure = tuple(types.CellType(None if cell == ("itself",) else unpacked(cell)) for cell in cells)
    function = types.FunctionType(code_of(module, names), vars(module), names[-1], None, closure)
    function.__qualname__ = ".<locals>.".join(names)
    for cell, content in zip(closure, cells):
        if content == ("itself",):
            cell.cell_contents = function
    return function


def arrived(starter, body):
    """The body, in the other worker."""
    assert _mote.worker_of(starter) != _workers.number(), "the parties are in one worker"
    return unpacked(body)


def runs(starter, body, *args):
    drive(arrived(starter, body)(*args))


async def awaits(starter, body, *args):
    await arrived(starter, body)(*args)


# --------------------------------------------------------------------------------------------------- servers


async def serve(to):
    """Tells `to` that it is there, and calls functions: of ("call", To, Ref, Function, Args) the result goes to To, if it has a Ref."""
    mote.register(server_name(_workers.number()))
    mote.send(to, ("serves", _workers.number()))
    while True:
        _, to, ref, function, args = await mote.aio.receive(("call", mote.ANY, mote.ANY, mote.ANY, mote.ANY))
        try:
            result = (True, unpacked(function)(*[unpacked(arg) for arg in args]))
        except Exception as error:
            result = (False, f"{type(error).__name__}: {error}")
        if ref is not None:
            mote.send(to, (ref, *result))


def server_name(number):
    return f"conf server {number}"


def other():
    return 1 - _workers.number()


def name_of(function):
    """mote's functions are found in mote, whatever module they say they are of."""
    return ("function", "mote", (function.__name__,), ()) if getattr(mote, function.__name__, None) is function else packed(function)


class Across(Flavour):
    """What both flavours have. `crossings`: how often something went to the other worker, of what this interpreter has started."""

    crossings = 0

    async def launch(self, body, args, **how):
        started = await self.start(mote.options(place=other(), **how), self.runner, mote.self(), packed(body), *args)
        pid = started[0] if isinstance(started, tuple) else started
        assert _mote.worker_of(pid) == other()
        Across.crossings += 1
        return started

    async def spawn(self, body, *args):
        return await self.launch(body, args)

    async def spawn_link(self, body, *args):
        return await self.launch(body, args, link=True)

    async def spawn_monitor(self, body, *args):
        return await self.launch(body, args, monitor=True)

    async def there(self, function, *args):
        Across.crossings += 1
        return await self.ask(function, *args)

    async def ask(self, function, *args):
        ref = mote.make_ref()
        packed_args = tuple(name_of(arg) if callable(arg) else packed(arg) for arg in args)
        mote.send(server_name(other()), ("call", mote.self(), ref, name_of(function), packed_args))
        _, good, result = await self.receive((ref, bool, mote.ANY), timeout=LIMIT)
        assert good, result
        return result

    async def say(self, to, message):
        await self.there(mote.send, to, message)

    async def say_after(self, seconds, message):
        Across.crossings += 1
        call = ("call", None, None, name_of(mote.send), (packed(mote.self()), packed(message)))
        return mote.send_after(seconds, server_name(other()), call)

    async def hear(self):
        await self.ask(mote.self)

    async def processes(self):
        """Those that wait in a stock are not counted; first all that were asked for are here."""
        stocks = _workers.stock_of(other())
        while any(stocks.asked):
            await self.sleep(0.001)
        waiting = {pid for kind in stocks.kinds for pid in kind}
        return [pid for pid in _mote.processes() + list(await self.ask(all_processes)) if pid not in waiting]

    async def has_begun(self, pid):
        while (await self.info(pid)).messages:
            pass

    async def sweep(self, turn, race):
        """As long as it takes for both outcomes: longer after a round that was not the first."""
        await self.busy(race.wait[turn % 4])


def all_processes():
    return tuple(_mote.processes())


class AcrossFunctions(Across, Functions):
    name = "functions across"
    runner = staticmethod(runs)

    async def start(self, how, *what):
        return how.spawn(*what)


class AcrossCoroutines(Across, Coroutines):
    name = "coroutines across"
    runner = staticmethod(awaits)

    def start(self, how, *what):
        return how.aio.spawn(*what)


FLAVOURS = {flavour.name: flavour for flavour in (AcrossFunctions(), AcrossCoroutines())}


def begin(seed):
    """A node of two workers, each with its server. With a seed turns end at random, in the program's own."""
    _mote.start(0, 0.1, 0, seed)
    _workers.begin(2)
    for number in range(2):
        mote.options(place=number).spawn(serve, mote.self())
        mote.receive(("serves", number), timeout=LIMIT)


def end():
    leave = _workers.end()
    _mote.stop()
    leave()


def misplaced(name, crossed):
    """What is wrong with where the parties of a scenario were."""
    if crossed and name in HERE:
        return "it crosses after all"
    return None if crossed or name in HERE else "nothing crossed"
