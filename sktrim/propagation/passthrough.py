"""Runs a model natively on a carrier, only to see how it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

import torch

from sktrim.propagation.carrier import Carrier, is_plain
from sktrim.propagation.endings import ENDINGS, ending_of, follow_ending, give_ending
from sktrim.propagation.method import Call, Method
from sktrim.propagation.registry import Operation, find_operation
from sktrim.propagation.spelling import spell


class PassThrough(Method):
    """Every operation as torch does it; only the ending is followed."""

    name = "the plain forward pass"

    def __init__(self) -> None:
        # whether an `autograd.Function` of the model hid what it does from autograd
        self.hidden = False
        self._recording = torch.is_grad_enabled()

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run one operation of the model natively."""
        if self._recording and not torch.is_grad_enabled():
            self.hidden = self.hidden or _in_function()
        spelling = spell(func)
        operation = find_operation(func, spelling.name)
        operation = operation or Operation(spelling.name, "composite")
        call = Call(operation, func, args, kwargs)
        writes = spelling.in_place or bool(kwargs.get("inplace"))
        if writes and isinstance(args[0], Carrier):
            target = args[0]
            past, ending = Carrier(self, target.full), ending_of(target)
            if spelling.name in ENDINGS:
                past.full = target.full.clone()
            result = self._wrap(call.on_full())
            give_ending(past, ending)
            call = Call(operation, func, (past, *args[1:]), kwargs)
            follow_ending(self, call, result)
            target.full, target.ending = result.full, result.ending
            return target
        result = call.on_full()
        if operation.kind == "query":
            return result
        result = self._wrap(result)
        if isinstance(result, Carrier | tuple | list):
            follow_ending(self, call, result)
        return result

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, Carrier):
            return Carrier(self, cast(Any, value))
        if is_plain(value):
            floating = value.is_floating_point() or value.is_complex()
            return Carrier(self, value) if floating else value
        if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
            return type(value)(self._wrap(item) for item in value)
        return value


def _in_function() -> bool:
    """Tell whether the forward pass of an `autograd.Function` is running."""
    apply: Any = torch.autograd.Function.apply
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code is not apply.__func__.__code__:
        frame = frame.f_back
    return frame is not None
