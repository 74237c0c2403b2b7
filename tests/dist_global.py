#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Global names of mote nodes and Erlang's global live: tests/dist/dist_global.erl, in an Erlang node, has tests/dist/global_node.c register and look up, and does so itself.

  tests/dist_global.py PROGRAM     PROGRAM: global_node.c, built

As tests/dist_node.py, whose ways it goes. Where Erlang is not installed it is left out.
"""
import sys

import dist_node

if __name__ == "__main__":
    sys.exit(dist_node.main("dist_global", ["dist_live"], "global names of mote nodes and Erlang's", meshed=True))
