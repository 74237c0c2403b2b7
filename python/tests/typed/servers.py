# SPDX-License-Identifier: Apache-2.0
"""Use of servers as type checkers see it; python/tests/types_test.py checks it. After `# wrong:` stands part of what mypy says of the line."""
from __future__ import annotations

from typing import List, Optional, Tuple

import mote


class Counter(mote.Server):
    def init(self, start: int = 0) -> None:
        self.n = start

    @mote.call
    def add(self, k: int, *, twice: bool = False) -> int:
        self.n += 2 * k if twice else k
        return self.n

    @mote.call
    def later(self) -> str:
        return mote.NoReply

    @mote.cast
    def reset(self, n: int = 0) -> None:
        self.n = n

    @mote.info
    def on_rest(self, message: object) -> None:
        pass

    @mote.info(("tick", int))
    def on_tick(self, message: Tuple[str, int]) -> None:
        self.n += message[1]


class Slow(mote.Server):
    @mote.call
    async def fetch(self, key: str) -> bytes:
        await mote.aio.sleep(1.0)
        return key.encode()


class Door(mote.Machine):
    def init(self) -> object:
        return self.locked

    @mote.state
    def locked(self, event: mote.Event) -> None:
        self.next(self.open)

    @mote.state(enter=True)
    def open(self, event: mote.Event) -> None:
        self.state_timeout(1.5, "content")
        self.next_event("x", 5)  # wrong: incompatible type "int"


def use() -> None:
    counter = Counter.start(10)
    total: int = counter.add(5, twice=True)
    total = counter.within(60).add(total)
    word: str = counter.later()
    counter.cast.reset(3)
    counter.stop("shutdown", timeout=1)
    counter.add("5")  # wrong: incompatible type "str"
    counter.add(5, thrice=True)  # wrong: Unexpected keyword argument "thrice"
    counter.subtract(5)  # wrong: has no attribute "subtract"
    counter.within(1).add(None)  # wrong: incompatible type "None"
    counter.cast.reset("3")  # wrong: incompatible type "str"
    word = counter.add(1)  # wrong: Incompatible types in assignment
    word = Counter.options(name="c", link=True).start(1).add(1)  # wrong: Incompatible types in assignment
    word = Counter.at("c").add(1)  # wrong: Incompatible types in assignment
    word = Counter.start_link().add(1)  # wrong: Incompatible types in assignment
    where: mote.Pid[object] = counter.pid
    print(word, where)
    data: bytes = Slow.start().fetch("key")
    Slow.start().fetch(5)  # wrong: incompatible type "int"
    word = Slow.start().fetch("key")  # wrong: Incompatible types in assignment
    state: Optional[mote.Pid[object]] = mote.get_status(counter).parent
    print(data, state, mote.info(where).memory, mote.get_state(counter))
    door = Door.start()
    answer = door.call("push", 1.0)
    door.call()  # wrong: Missing positional argument "request"
    print(answer)


async def use_in_coroutine() -> None:
    counter = await Counter.aio.start(10)
    await counter.aio.add(5)
    counter.add("5")  # wrong: incompatible type "str"
    other = await Counter.options(name="c").aio.start(10)
    other.subtract(1)  # wrong: has no attribute "subtract"
    status: mote.Status = await mote.aio.get_status(counter)
    print(status)


async def registries() -> None:
    registry = mote.Registry.start(name="r")
    entries: List[Tuple[mote.Pid[object], object]] = registry.lookup("key")
    entries = await registry.aio.lookup("key")
    entries = registry.aio.lookup("key")  # wrong: Incompatible types in assignment
    members: List[mote.Pid[object]] = mote.Group.start().members("group")
    members = await mote.Group("scope").aio.members("group")
    print(entries, members)


@mote.call(5)  # wrong: No overload variant
def nonsense() -> None:
    pass
