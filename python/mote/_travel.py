# SPDX-License-Identifier: Apache-2.0
"""How functions travel to other workers: as the name of a module and theirs in it. A worker has the program's main module under another name."""
from __future__ import annotations

import os
import sys

from mote import _mote
from mote._mote import NotSendable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional


def main_of_program() -> tuple[str, str]:
    """How a worker finds the program's main module: ("name", module), ("path", file) or ("", ""): there is none."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name != "__main__":
        return ("name", spec.name)
    path = getattr(main, "__file__", None)
    if path is None or getattr(sys, "ps1", None) or not os.path.exists(path):
        return ("", "")
    return ("path", os.path.abspath(path))


def function_of(module: str, name: str) -> Callable[..., Any]:
    """The function of that name, its module imported."""
    import importlib

    if module in (_MAIN, "__main__"):
        load_main()
        module = "__main__"
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


# The program's main module, of which a worker has its own under another name.
_MAIN = "__mote_main__"
program = ("", "")  # in a worker: main_of_program() of the hub


def load_main() -> None:
    """Imports the program's main module in a worker, once; what stands below its guard does not run."""
    global program
    kind, where = program
    if not kind:
        return
    _mote._set("loading", _mote.self())
    try:
        import importlib.util

        if kind == "name":
            module: Any = importlib.import_module(where)
        else:
            spec = importlib.util.spec_from_file_location(_MAIN, where)
            if spec is None or spec.loader is None:
                raise ImportError(f"mote: {where} cannot be imported by a worker")
            module = importlib.util.module_from_spec(spec)
            sys.modules[_MAIN] = module
            spec.loader.exec_module(module)
    finally:
        _mote._set("loading", None)
    sys.modules[_MAIN] = sys.modules["__main__"] = module
    program = ("", "")


def path_of(function: Callable[..., Any]) -> Optional[tuple[str, str]]:
    """Module and name by which another interpreter finds this very function; None: it cannot."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):  # a class method, which a base of the class may have
        module, name = owner.__module__, f"{owner.__qualname__}.{getattr(function, '__name__', '<>')}"
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is function or found == function else None


def sendable_path(function: Callable[..., Any]) -> tuple[str, str]:
    """path_of(), or NotSendable."""
    path = path_of(function)
    if path is None:
        raise NotSendable(
            f"mote: {function!r} cannot run in another worker: it travels as module and name, so it has to be a function or a class at the top level of a module"
        )
    return path
