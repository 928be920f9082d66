"""Runs a model natively on a carrier, only to see how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

from .carrier import Carrier, is_plain
from .endings import ENDINGS, ending_of, follow_ending, give_ending
from .method import Call, Method
from .registry import Operation, find_operation, spell


class PassThrough(Method):
    """Every operation as torch does it; only the ending is followed."""

    name = "the plain forward pass"

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run one operation of the model natively."""
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
