# SPDX-License-Identifier: Apache-2.0
"""How calls travel to other workers: as the name of a module, that of the function in it, and arguments; nothing is pickled. A worker has the program's main module under another name."""
from __future__ import annotations

import os
import sys
from functools import partial
from types import ModuleType

from mote import _mote
from mote._mote import NotSendable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    Path = tuple[str, str]
    Call = tuple[Path, tuple[Any, ...], dict[str, Any]]


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


def path_of(function: Any) -> Optional[Path]:
    """Module and name by which another interpreter finds this very function, class, or method of a class; None: it cannot."""
    owner = getattr(function, "__self__", None)
    owner = owner if isinstance(owner, type) else getattr(function, "__objclass__", None)  # Class.from_text, which a base of the class may have; str.upper
    if owner is not None:
        return _member(owner, function, function)
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or "<" in name:
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return (module, name) if found is function or found == function else None


def sendable_path(function: Callable[..., Any]) -> Path:
    """path_of(), or NotSendable."""
    path = path_of(function)
    if path is None:
        raise NotSendable(
            f"mote: {function!r} cannot run in another worker: it travels as module and name, so it has to be a function or a class at the top level of a module"
        )
    return path


def _member(owner: Any, function: Any, member: Any) -> Optional[Path]:
    """The path of a class's attribute with the function's name, if `member` is that."""
    name = getattr(function, "__name__", None)
    path = path_of(owner)
    return (path[0], f"{path[1]}.{name}") if path and isinstance(name, str) and getattr(owner, name, None) == member else None


def _bound(function: Any) -> tuple[Optional[Path], Any]:
    """The path of the function behind a method of an object, or behind an object that can be called; and the object."""
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, (type, ModuleType)):
        path = path_of(type(function))
        return path and (path[0], f"{path[1]}.__call__") if callable(function) else None, function
    name = getattr(function, "__name__", "")
    return _member(type(owner), function, getattr(type(owner), name, None)), owner


def call_of(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """function(*args, **kwargs) as a path and arguments, or NotSendable. A functools.partial is what it stands for; an object whose method it is, or that is called itself, is
    the first argument."""
    while isinstance(function, partial):
        args, kwargs, function = (*function.args, *args), {**function.keywords, **kwargs}, function.func
    path = path_of(function)
    if path is None:
        path, owner = _bound(function)
        args = (owner, *args)
    if path is None:
        raise NotSendable(
            f"mote: {function!r} cannot run in another worker: it travels as module and name, so it has to be a function or a class at the top level of a module, "
            "a method of such a class, or a functools.partial of these"
        )
    return path, args, kwargs
