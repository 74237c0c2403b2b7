# SPDX-License-Identifier: Apache-2.0
"""Clusters, groups and exports as type checkers see them; python/tests/types_test.py checks it. After `# wrong:` stands part of what mypy says of the line."""
from __future__ import annotations

from typing import Any, List

import mote


@mote.export
def adds(a: int, b: int) -> int:
    return a + b


def program() -> None:
    five: int = adds(2, 3)
    adds("2", 3)  # wrong: incompatible type "str"
    with mote.Cluster(["a@b"], dns="app@name", hosts=["h"], prefix="p", look=1.0) as cluster:
        nodes: List[mote.Atom] = cluster.nodes()
        cluster.wait(2, 1.5)
        cluster.spawn(adds, 1, 2, on="a@b")
        cluster.spawn(adds, 1, 2)  # wrong: Missing named argument "on"
        cluster.call("group", "request", to="all")
        members: List[mote.Pid[Any]] = mote.pg.local_members("group")
    mote.Cluster(dns=1)  # wrong: incompatible type "int"
    print(five, nodes, members)
