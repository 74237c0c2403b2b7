# SPDX-License-Identifier: Apache-2.0
"""Erlang's conformance scenarios: importing this fills tools.SCENARIOS."""
from conformance import aliases, calls, exits, limits, links, mailbox, monitors, names, order, supervisors, timers, tools

__all__ = ["aliases", "calls", "exits", "limits", "links", "mailbox", "monitors", "names", "order", "supervisors", "timers", "tools"]
