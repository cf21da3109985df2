"""Modules that are loaded when something of them is first used."""

import importlib
import importlib.util
import sys
import types
from typing import Any

_LOADED_FOR = ("__all__", "__path__", "__version__")  # and all that is not private


def defer(name: str) -> None:
    """Lets imports of a module do nothing until something of it is used.

    `importlib.util.LazyLoader` does the same, but on Python 3.11 the import statement
    itself counts as a use.

    Args:
      name: of the module, of the first level. One that is not there, or is loaded
        already, is left alone.
    """
    if name not in sys.modules and (spec := importlib.util.find_spec(name)):
        sys.modules[name] = _Deferred(name)
        sys.modules[name].__spec__ = spec


class _Deferred(types.ModuleType):
    """Stands for a module, and gives way to it when asked for anything.

    But not for what is looked for in every module there is, as `inspect` does.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _LOADED_FOR:
            raise AttributeError(f"{self.__name__} is not loaded yet: no {name}")
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
