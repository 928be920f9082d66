"""What a model keeps from one call to the next must not be what the rules pass it."""

from __future__ import annotations

import functools
import types
from collections import deque
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

import torch
from torch import nn

from sktrim.propagation.carrier import Carrier

_STANDARD = frozenset(vars(nn.Module()))
_SIMPLE = frozenset({bool, int, float, complex, str, bytes, type(None), torch.Size})
_HOOKS = ("_forward_pre_hooks", "_forward_hooks")
_CONTAINERS = (dict, list, deque, set)
_OPAQUE = (
    *(type, types.ModuleType, types.BuiltinFunctionType, torch.Tensor),
    *_SIMPLE,
)
_ABSENT = object()
_LARGE = 1000
"""A table of so many entries is no record of activations, and costs time to copy."""


class KeptState:
    """Puts back what a model keeps, where it kept what the rules passed it."""

    # attributes, buffers, containers, what functions close over and what forward hooks
    # write to are looked at, by identity; nothing is copied in depth

    def __init__(self, model: Callable) -> None:
        # names of what held carriers, known after the run
        self.names: list[str] = []
        self._model = model
        self._places: dict[int, _Place] = {}

    def __enter__(self) -> KeptState:
        whole = isinstance(self._model, nn.Module)
        self._visit(self._model, "" if whole else _name_of(self._model), 2 - whole)
        return self

    def __exit__(self, *error: Any) -> None:
        for place in self._places.values():
            if place.changed():
                self.names.extend(place.put_back(self._model))

    def _add(self, value: Any, name: str, owner: Any = None) -> None:
        self._places[id(value)] = _Place(value, name, owner)

    def _visit(self, value: Any, name: str, depth: int, owner: Any = None) -> None:
        if type(value) in _SIMPLE:
            return
        if isinstance(value, nn.Module):
            for module in value.modules():
                if id(vars(module)) not in self._places:
                    self._visit_module(module, depth)
        elif isinstance(value, _CONTAINERS):
            if len(value) < _LARGE and id(value) not in self._places:
                self._add(value, name, owner)
        elif isinstance(value, _OPAQUE) or not depth:
            return
        elif isinstance(value, _FUNCTIONS):
            for part, held in _closed_over(value):
                self._visit(held, part, depth - 1)
        elif hasattr(value, "__dict__") and id(vars(value)) not in self._places:
            self._add(vars(value), f"{name}.", owner)
            for part, held in list(vars(value).items()):
                self._visit(held, f"{name}.{part}", depth - 1, owner)

    def _visit_module(self, module: nn.Module, depth: int) -> None:
        own = vars(module)
        self._add(own, ".", module)
        if own["_buffers"]:
            self._add(own["_buffers"], ".", module)
        for kind in _HOOKS:
            for hook in list(own[kind].values()):
                self._visit(hook, "hook", 1, module)
        if type(module).__module__.startswith("torch.nn."):
            return  # torch's own keep nothing in containers
        for part, held in list(own.items()):
            if part not in _STANDARD:
                self._visit(held, f".{part}", depth, module)
        self._visit(type(module).forward, "forward", 1, module)


class _Place:
    """A dict or list that a call of the model may write to, as it was before."""

    __slots__ = ("_before", "_keys", "_name", "_owner", "_place")

    def __init__(self, place: Any, name: str, owner: Any) -> None:
        self._place, self._name, self._owner = place, name, owner
        table = isinstance(place, dict)
        self._keys = tuple(place) if table else ()
        self._before = tuple(place.values() if table else place)

    def changed(self) -> bool:
        """Tell whether it holds anything else than before."""
        place, before = self._place, self._before
        now = place.values() if isinstance(place, dict) else place
        return len(place) != len(before) or not all(map(is_, now, before))

    def put_back(self, model: Any) -> list[str]:
        """Take carriers out; return the names of what held them."""
        place = self._place
        if isinstance(place, dict):
            before = dict(zip(self._keys, self._before, strict=True))
            held = [key for key, value in list(place.items()) if _holds(value)]
            held = [key for key in held if before.get(key, _ABSENT) is not place[key]]
            for key in held:
                if key in before:
                    place[key] = before[key]
                else:
                    del place[key]
            name = self._full_name(model)
            return [f"{name}{key}" if name[-1] == "." else name for key in held]
        if not any(_holds(value) for value in list(place)):
            return []
        place.clear()
        fill = place.update if isinstance(place, set) else place.extend
        fill(self._before)
        return [self._full_name(model)]

    def _full_name(self, model: Any) -> str:
        if not self._name.startswith("."):
            return self._name
        modules = model.named_modules() if isinstance(model, nn.Module) else ()
        paths = (path for path, module in modules if module is self._owner)
        path = next(paths, type(self._owner).__name__)
        return f"model.{path}{self._name}" if path else f"model{self._name}"


_FUNCTIONS = (types.FunctionType, types.MethodType, functools.partial)


def _name_of(model: Any) -> str:
    return getattr(model, "__name__", type(model).__name__)


def _holds(value: Any, depth: int = 3) -> bool:
    """Tell whether a value is, or a container holds, a carrier."""
    if isinstance(value, Carrier):
        return True
    if not depth or not isinstance(value, (*_CONTAINERS, tuple)):
        return False
    items = value.values() if isinstance(value, dict) else value
    return any(_holds(item, depth - 1) for item in items)


def _closed_over(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a function may write to besides its arguments, by name."""
    if isinstance(function, types.MethodType):
        yield "self", function.__self__
        function = function.__func__
    if isinstance(function, functools.partial):
        yield from ((str(i), part) for i, part in enumerate(function.args))
        yield from function.keywords.items()
        yield "partial", function.func
    if not isinstance(function, types.FunctionType):
        return
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not filled yet
            continue
    for name in function.__code__.co_names:
        held = function.__globals__.get(name)
        if isinstance(held, (*_CONTAINERS, nn.Module)):
            yield name, held
