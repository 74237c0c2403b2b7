# SPDX-License-Identifier: Apache-2.0
"""Tells the node when asyncio is imported, so that coroutine processes find its event loop from then on; before, nothing of it is loaded."""
from __future__ import annotations

import sys

from mote import _mote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class _Watcher:
    """Stands in sys.meta_path until somebody imports asyncio."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _mote.asyncio_came()

        spec.loader.exec_module = exec_module  # type: ignore[assignment]
        return spec


def watch() -> None:
    """Called once, when mote is imported."""
    if "asyncio" in sys.modules:
        _mote.asyncio_came()
    else:
        sys.meta_path.insert(0, _Watcher())
