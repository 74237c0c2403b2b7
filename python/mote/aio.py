# SPDX-License-Identifier: Apache-2.0
"""The functions of mote that wait, for coroutine processes: the same names, to be awaited."""
from mote._mote import aio_receive as receive

__all__ = ["receive"]
