"""Stand-ins for packages that public networks import but do not call."""

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType


class _Anything(type):
    """A class whose every attribute is a class of the same sort."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Stub(ModuleType):
    """A module that has every name."""

    __path__: list[str] = []  # noqa: RUF012
    __version__ = "0.0"

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        found = _Anything(name, (), {"__init__": lambda self, *a, **k: None})
        setattr(self, name, found)
        return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return _Stub(spec.name)

    def exec_module(self, module):
        pass


def stub(*names):
    """Let packages be imported that are not installed; every name in them is a class.

    Parameters
    ----------
    *names : str
        Such as "torchvision".
    """
    missing = [name for name in names if name not in sys.modules]
    sys.meta_path.append(_Finder(missing))
