# SPDX-License-Identifier: Apache-2.0
"""Names of the package whose modules are imported when they are first used: concurrent.futures takes longer to import than all of mote. (A module with a
__getattr__ would do, but CPython looks names up in such a module three times as slowly.)
"""
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Late(type):
    """The class of a class in another module, which stands for it: calls, isinstance() and subclasses are that one's."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(mcls, name, bases, namespace)
        return type(name, tuple(_real(base) if isinstance(base, _Late) else base for base in bases), namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real(cls)(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _real(cls))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _real(cls))


def _real(late: type) -> Any:
    if late.__name__ == "Cluster":
        from mote import _together

        return _together.Cluster
    from mote import _executor

    return getattr(_executor, late.__name__)


class Executor(metaclass=_Late):
    """An Executor of concurrent.futures on the node's workers; see mote._executor.Executor."""


class Cluster(metaclass=_Late):
    """Finds nodes, and keeps this one connected with them; see mote._together.Cluster."""


def export(function: Any = None, name: Any = None, *, place: Any = None) -> Any:
    """See mote._together.export()."""
    from mote import _together

    return _together.export(function, name, place=place)


def rpc(node: Any, function: Any, /, *args: Any, timeout: Any = 5.0) -> Any:
    """See mote._together.rpc()."""
    from mote import _together

    return _together.rpc(node, function, *args, timeout=timeout)


def pool(workers: Any = None, **how: Any) -> Any:
    """See mote._executor.pool()."""
    from mote import _executor

    return _executor.pool(workers, **how)


def pmap(function: Any, items: Any, **how: Any) -> Any:
    """See mote._executor.pmap()."""
    from mote import _executor

    return _executor.pmap(function, items, **how)
