# SPDX-License-Identifier: Apache-2.0
"""Ports for the tests' own nodes and port mappers."""
import socket

_held = []


def free_port():
    """Nobody listens there. It is held until this program ends, so that no other is given it meanwhile; who names it can listen there."""
    one = socket.socket()
    _held.append(one)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    return one.getsockname()[1]
