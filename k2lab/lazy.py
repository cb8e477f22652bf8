"""Names of a package that are loaded when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def loader(package: dict[str, object], places: Mapping[str, str]) -> Callable[[str], object]:
    """A ``__getattr__`` for a package, given its ``globals()`` and where each name lives.

    A place is ``module:name``, or ``module`` for a module itself; what was loaded
    once stays in the package.
    """

    def load(name: str) -> object:
        if name not in places:
            known = ", ".join(sorted(places))
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}: it has {known}")
        module, _, attribute = places[name].partition(":")
        loaded = import_module(module)
        package[name] = getattr(loaded, attribute) if attribute else loaded
        return package[name]

    return load
