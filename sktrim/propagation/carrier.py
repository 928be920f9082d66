"""The carrier: a stand-in for a tensor, on which a model runs unmodified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from sktrim.exceptions import SlippedPastError

_META = torch.device("meta")


class Carrier(torch.Tensor):
    """What flows through the model in place of a tensor, without values of its own."""

    # every function of torch that meets it asks `__torch_function__`, every method and
    # property of Tensor is defined below, and all end in the `method` that is being
    # run; what does not ask (code of functorch, TorchScript, autograd's own) ends in
    # `__torch_dispatch__`, which refuses

    # called as ``method(func, args, kwargs)`` for every operation
    method: Callable
    # the activation as the plain model has it
    full: torch.Tensor
    # what the method carries beside it, one kind for each:
    #   parts      decomposition: ``(K, *full.shape)``, dense or as `LowRank`
    #   signals    mixtures: those that were moved, as `_Moved`
    #   baseline   DeepLIFT: the activation there, of the shape of `full`
    #   origin     relevance: `AffineInput`, `Layer`, `Divisor`, `Conjugated`, `Refused`
    #   nothing    gradients through ReLUs, endings
    rel: Any
    # that of the samples, counted from the end; None where it is not known
    axis: Any
    ending: Any
    aliased: bool

    @staticmethod
    def __new__(cls, method: Callable, full: torch.Tensor, *_: Any) -> Carrier:
        """Return a subclass of a meta tensor, which C++ code cannot take for values."""
        shape, dtype = full.shape, full.dtype
        make = torch.Tensor._make_wrapper_subclass
        # on the device of the whole, ``plain.data = carrier`` would succeed, and the
        # process would die at the next look at `plain`
        return make(cls, shape, dtype=dtype, device=_META)

    def __init__(
        self,
        method: Callable,
        full: torch.Tensor,
        rel: Any = None,
        axis: int | None = None,
    ) -> None:
        self.method = method
        self.full = full
        self.rel = rel
        self.axis = axis
        self.ending = None
        self.aliased = False

    @classmethod
    def __torch_dispatch__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Refuse what got past `__torch_function__`."""
        # no TypeError, which torch's operators take for "try the other operand"
        raise SlippedPastError(
            f"{cls.__name__}: {func} is called below the functions that have rules"
        )

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Hand an operation to the method of the carriers among its arguments."""
        kwargs = kwargs or {}
        first = next(find_carriers((args, kwargs)))
        return first.method(func, args, kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of shape {tuple(self.full.shape)}>"

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator:
        return iter(self.method(torch.Tensor.unbind, (self, 0), {}))

    def __reversed__(self) -> Any:
        return self.method(torch.Tensor.flip, (self, 0), {})

    def __dir__(self) -> list[str]:
        return dir(type(self))


def is_plain(value: Any) -> bool:
    """Tell whether a value is a tensor and no carrier."""
    return isinstance(value, torch.Tensor) and not isinstance(value, Carrier)


def find_carriers(value: Any) -> Iterator[Carrier]:
    """Yield the carriers in nested arguments."""
    carriers: list[Carrier] = []
    _collect((value,), carriers)
    return iter(carriers)


def _collect(values: Any, carriers: list[Carrier]) -> None:
    # once or more for every operation: no generators, and no calls for plain items
    for item in values:
        kind = type(item)
        if kind is tuple or kind is list:
            _collect(item, carriers)
        elif kind is dict:
            _collect(item.values(), carriers)
        elif isinstance(item, Carrier):
            carriers.append(item)


def map_carriers(function: Callable[[Carrier], Any], value: Any) -> Any:
    """Rebuild nested arguments with every carrier replaced."""
    if isinstance(value, Carrier):
        return function(value)
    if type(value) is tuple:
        return tuple(map_carriers(function, item) for item in value)
    if type(value) is list:
        return [map_carriers(function, item) for item in value]
    if type(value) is dict:
        return {key: map_carriers(function, item) for key, item in value.items()}
    return value


def _method(attribute: Callable) -> Callable:
    def call(self: Carrier, *args: Any, **kwargs: Any) -> Any:
        return self.method(attribute, (self, *args), kwargs)

    call.__name__ = getattr(attribute, "__name__", "call")
    return call


def _property(name: str) -> property:
    def read(tensor: torch.Tensor) -> Any:
        return getattr(tensor, name)

    def write(tensor: torch.Tensor, value: Any) -> None:
        setattr(tensor, name, value)

    read.__name__ = name
    write.__name__ = f"__set_{name}__"
    return property(
        lambda self: self.method(read, (self,), {}),
        lambda self, value: self.method(write, (self, value), {}),
    )


# what belongs to the object, not to the tensor
_OWN = frozenset(dir(object)) - {"__eq__", "__ne__", "__lt__", "__le__", "__gt__"}
_OWN -= {"__ge__", "__format__"}
_OWN |= frozenset(vars(Carrier)) | {
    "__dict__",
    "__module__",
    "__slots__",
    "__weakref__",
    "__array_priority__",
    "__cuda_array_interface__",
    "__annotations__",
    "__setstate__",
    "_make_subclass",
    "_make_wrapper_subclass",
    "_make_dtensor",
}


def _complete(cls: type) -> None:
    """Give the carrier every method, dunder and property of Tensor."""
    for name in dir(torch.Tensor):
        if name in _OWN:
            continue
        attribute = getattr(torch.Tensor, name)
        member = _method(attribute) if callable(attribute) else _property(name)
        setattr(cls, name, member)


_complete(Carrier)
