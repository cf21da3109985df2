"""Modules that are loaded when something of them is first used."""

import importlib
import sys
import types
from typing import Any


def defer(name: str) -> None:
    """Lets imports of a module that is not loaded yet do nothing until it is used.

    Args:
      name: of the module, of the first level; whether there is one is seen when it is
        used.
    """
    sys.modules.setdefault(name, _Deferred(name))


class _Deferred(types.ModuleType):
    """Stands for a module, and gives way to it when asked for anything."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
