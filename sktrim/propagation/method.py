"""What every propagation method shares: reading a call, in-place writes, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

from sktrim.exceptions import UnsupportedOperationError
from sktrim.propagation.adoption import adopt
from sktrim.propagation.carrier import Carrier, find_carriers, is_plain, map_carriers
from sktrim.propagation.endings import ending_of, follow_ending, give_ending
from sktrim.propagation.layouts import as_predicted, lay_gradient_out
from sktrim.propagation.registry import Operation, find_operation
from sktrim.propagation.spelling import spell

_HERE = str(Path(__file__).parent)
_BY_PATTERN = {
    torch.Tensor.to,
    torch.Tensor.type_as,
    torch.Tensor.view_as,
    torch.Tensor.reshape_as,
    torch.Tensor.expand_as,
}
_TORCH = str(Path(torch.__file__).parent)
PLAIN_WRITE = (
    "writes in place into a plain tensor, one that does not depend on the input, and "
    "that {} (let torch.stack, torch.cat or torch.where join the values instead)"
)


_UNKNOWN: Any = object()


class Call:
    """One operation that the model asked for."""

    __slots__ = (
        "_axis", "_carriers", "_full", "args", "func", "in_place", "kwargs",
        "operation", "rel",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        func: Callable,
        args: tuple,
        kwargs: dict,
        in_place: bool = False,
    ) -> None:
        self.operation = operation
        # the out-of-place torch function
        self.func = func
        # as the model gave them, carriers included, operands in natural order
        self.args = args
        self.kwargs = kwargs
        self.in_place = in_place
        self._full = self._axis = self._carriers = _UNKNOWN
        # what a rule of a backward method wants kept beside the value that it returns
        self.rel: Any = None

    @property
    def full(self) -> Any:
        """What the plain model would get, computed once; a rule may set it."""
        if self._full is _UNKNOWN:
            self._full = self.on_full()
        return self._full

    @full.setter
    def full(self, value: Any) -> None:
        self._full = value

    @property
    def axis(self) -> Any:
        """That of the samples in the result, one or a list; a rule may set it."""
        return self.carriers[0].axis if self._axis is _UNKNOWN else self._axis

    @axis.setter
    def axis(self, value: Any) -> None:
        self._axis = value

    @property
    def carriers(self) -> list[Carrier]:
        """The distinct carriers among the arguments."""
        if self._carriers is _UNKNOWN:
            every = find_carriers((self.args, self.kwargs))
            self._carriers = list({id(carrier): carrier for carrier in every}.values())
        return self._carriers

    def replaced(self, function: Callable[[Carrier], Any]) -> tuple[tuple, dict]:
        """Return the arguments with every carrier replaced."""
        return (
            map_carriers(function, self.args),
            map_carriers(function, self.kwargs),
        )

    def on_full(self) -> Any:
        """Return what the plain model would get."""
        return self.on(lambda carrier: carrier.full)

    def on(self, part: Callable[[Carrier], torch.Tensor]) -> Any:
        """Return what torch gives for tensors in place of the carriers."""
        args, kwargs = self.replaced(part)
        result = self.func(*args, **kwargs)
        lay_gradient_out(self.operation.name, result)
        return as_predicted(self.operation.name, result)

    def bind(self, *names: str, **defaults: Any) -> list[Any]:
        """Return the arguments in the order of names, then of defaults."""
        order = (*names, *defaults)
        arguments = dict(zip(order, self.args, strict=False)) | self.kwargs
        if "self" in arguments:
            arguments.setdefault(order[0], arguments["self"])
        return [arguments.get(name, defaults.get(name)) for name in order]


def _is_pattern_only(call: Call) -> bool:
    """Tell whether a carrier only lends its dtype or shape: ``buffer.to(x)``."""
    return call.func in _BY_PATTERN and not isinstance(call.args[0], Carrier)


class Method:
    """A way to propagate carriers: contextual decomposition is one."""

    # subclasses implement `apply`, which returns the result of an out-of-place call,
    # and `overwrite`, which stores a result in a carrier

    name = "method"
    # what runs, once it does, and for how many samples, if that is of use
    model: Any = None
    n_samples = 0

    def apply(self, call: Call) -> Any:
        """Return the result of a call, carriers included."""
        raise NotImplementedError

    def overwrite(self, target: Carrier, result: Carrier) -> None:
        """Store the result of an in-place call in its target."""
        raise NotImplementedError

    def snapshot(self, target: Carrier) -> Carrier:
        """Return what an in-place call reads: the target before it is written."""
        raise NotImplementedError

    def constant(self, full: torch.Tensor, value: Carrier, axis: int | None) -> Any:
        """Return what is carried beside a constant into which a value is written."""
        return None

    def recurrent_step(
        self, kind: str, x: Any, start: list[Any], weights: list[Any]
    ) -> Callable | None:
        """Return a step of a recurrent layer, if the method has one of its own."""
        return None

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run one operation of the model."""
        spelling = spell(func)
        if kwargs.get("out") is not None:
            self.refuse(func, "writes into out=")
        if spelling.reflected:
            args = (args[1], args[0], *args[2:])
        in_place = spelling.in_place or bool(kwargs.get("inplace"))
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        operation = find_operation(func, spelling.name)
        if operation is None:
            self.refuse(func)
        call = Call(operation, spelling.func, args, kwargs, in_place)
        if (in_place or operation.name == "__setitem__") and is_plain(args[0]):
            self._adopt(call, func)
        if in_place:
            return self._apply_in_place(call, func)
        if operation.kind == "query" or _is_pattern_only(call):
            return call.on_full()
        result = self.apply(call)
        follow_ending(self, call, result)
        return result

    def _adopt(self, call: Call, func: Callable) -> None:
        """Make a carrier of a plain tensor before it is written, or refuse."""
        why = adopt(self, call)
        if why is not None:
            self.refuse(func, PLAIN_WRITE.format(why))

    def _apply_in_place(self, call: Call, func: Callable) -> Any:
        target = call.args[0]
        if call.operation.kind == "query":
            self.refuse(func, "writes a query in place")
        if call.operation.name == "as_strided":
            self.refuse(func, "changes the strides in place")
        if call.operation.options.get("view"):
            return self._turn_in_place(call, func)
        before = self.snapshot(target)
        args, kwargs = call.replaced(
            lambda carrier: before if carrier is target else carrier
        )
        call = Call(call.operation, call.func, args, kwargs, True)
        result = self.apply(call)
        if not isinstance(result, Carrier) or result.full.shape != target.full.shape:
            self.refuse(func, "changes the shape in place")
        follow_ending(self, call, result)
        ending = ending_of(result)
        self.overwrite(target, result)
        give_ending(target, ending)
        return target

    def _turn_in_place(self, call: Call, func: Callable) -> Any:
        """Make a carrier a view of itself: nothing is written."""
        target = call.args[0]
        view = self.apply(call)
        if view.full.shape != target.full.shape:
            self.refuse(func, "changes the shape in place")
        follow_ending(self, call, view)
        vars(target).update(vars(view))
        return target

    def refuse(
        self,
        func: Callable,
        why: str = "has no rule",
        error: type[UnsupportedOperationError] = UnsupportedOperationError,
    ) -> NoReturn:
        """Raise the error that names operation, call site and registration."""
        name = describe(func)
        raise error(
            f"{name} {why} in {self.name} (called at {call_site()}). Either (a) write "
            "this step of the model with operations that have a rule, (b) declare it "
            f"once: sktrim.propagation.register_operation({name}, kind), where kind "
            'is "shape", "affine", "elementwise", ..., or (c) use a scorer that needs '
            'no rules, such as "occlusion" or "integrated_gradients".'
        )


def describe(func: Callable) -> str:
    """Return the dotted name of a torch function."""
    name = getattr(func, "__name__", repr(func))
    owner = getattr(func, "__objclass__", None)
    if owner is not None or hasattr(torch.Tensor, name):
        return f"torch.Tensor.{name}"
    module = getattr(func, "__module__", None) or "torch"
    module = module.removesuffix("._C._nn").removesuffix("._VariableFunctions")
    return f"{module}.{name}"


def call_site() -> str:
    """Return file, line and function of the innermost frame of the model."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_HERE, _TORCH)):
            return f"{file}:{frame.f_lineno}, in {frame.f_code.co_name}"
        frame = frame.f_back
    return "an unknown place"
