#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Process groups of mote nodes and Erlang's pg live: tests/dist/dist_pg.erl, in an Erlang node, has tests/dist/pg_node.c join and leave, and does so itself.

  tests/dist_pg.py PROGRAM     PROGRAM: pg_node.c, built

As tests/dist_node.py, whose ways it goes. Where Erlang is not installed it is left out.
"""
import sys

import dist_node

if __name__ == "__main__":
    sys.exit(dist_node.main("dist_pg", ["dist_live"], "process groups of mote nodes and Erlang's"))
