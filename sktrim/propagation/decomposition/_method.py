"""Contextual decomposition as a method: the state it carries and how rules see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch

from sktrim.propagation.aliases import _mark_aliases
from sktrim.propagation.carrier import (
    Carrier,
    find_carriers,
    is_plain,
    map_carriers,
)
from sktrim.propagation.decomposition._lowrank import LowRank
from sktrim.propagation.decomposition._lstm import lstm_step
from sktrim.propagation.decomposition._share import whole_share
from sktrim.propagation.decomposition._start import Start
from sktrim.propagation.endings import ending_of, give_ending
from sktrim.propagation.first_linear import NeedsDense
from sktrim.propagation.layouts import laid_out
from sktrim.propagation.masking import unmasked
from sktrim.propagation.method import Call, Method
from sktrim.propagation.registry import find_rule

BIASES = ("channel", "proportional", "context")
NONLINEARITIES = ("relevant", "symmetric")


class ContextualDecomposition(Method):
    """Carry the relevant parts of all masks beside the whole activation."""

    # a carrier's `full` is the activation of the plain model, its `rel` the relevant
    # parts ``(K, *full.shape)``; what is irrelevant is their difference

    name = "contextual decomposition"
    key = "cd"

    def __init__(self, bias: str, nonlinearity: str, partition: bool) -> None:
        _check_choice("bias", bias, BIASES)
        _check_choice("nonlinearity", nonlinearity, NONLINEARITIES)
        self.bias = bias
        self.nonlinearity = nonlinearity
        # whether the K parts are decomposed jointly
        self.partition = partition
        self.n_samples = 0
        self.start: Any = None
        # storages that carriers with parts not multiplied out have looked at
        self._folded: set[int] = set()
        self._buffers: dict[Any, torch.Tensor] = {}

    def scratch(self, like: torch.Tensor, slot: int = 0) -> torch.Tensor:
        """Return working memory of a tensor's shape, reused from call to call."""
        # fresh memory of this size costs more than the arithmetic on it
        key = slot, like.dtype, like.device
        buffer = self._buffers.get(key)
        if buffer is None or buffer.numel() < like.numel():
            buffer = self._buffers[key] = like.new_empty(like.numel())
        return buffer[: like.numel()].view(like.shape)

    def enter(
        self,
        inputs: tuple,
        parts: list[Any],
        weights: torch.Tensor | None = None,
        as_one: bool = False,
    ) -> list[Any]:
        """Return the carriers of inputs; those without parts stay as they are."""
        # `weights`: the masks' shares where an input of zeros does not tell, see
        # `Start`; `as_one`: all rows are one sample
        pairs = list(zip(inputs, parts, strict=True))
        wholes = [value for value, part in pairs if part is not None]
        relevant = [part for part in parts if part is not None]
        self.n_samples = 1 if as_one else len(wholes[-1])
        self._folded.clear()
        if as_one:
            wholes = [value.unsqueeze(0) for value in wholes]
            relevant = [part.unsqueeze(1) for part in relevant]
        self.start = Start(wholes, relevant, weights, self.partition)
        # cloned, since models write
        return [
            value
            if part is None
            else Carrier(
                self, value.clone(), _cloned(part), None if as_one else -value.ndim
            )
            for value, part in pairs
        ]

    def apply(self, call: Call) -> Any:
        """Return the result of a call by the rule of its operation."""
        options = call.operation.options
        if not options.get("folds"):
            for carrier in call.carriers:
                _multiply_out(carrier, call)
        own = options.get("decomposition")
        if own is not None:
            return self.wrap(call, _apply_own(own, call))
        rule = find_rule(self.key, call.operation)
        if rule is None:
            self.refuse(call.func)
        return self.wrap(call, rule(self, call))

    def wrap(self, call: Call, rel: Any) -> Any:
        """Pair the parts that a rule returns with the whole; carriers stay."""
        several = type(rel) in (tuple, list)
        if several and next(find_carriers(rel), None) is not None:
            return rel
        if not several and not is_plain(rel) and type(rel) is not LowRank:
            return rel
        full, axis = call.full, call.axis
        if is_plain(full):
            result: Any = Carrier(self, full, rel, _first(axis))
        elif several:
            axes = axis if isinstance(axis, list) else [axis] * len(full)
            parts = zip(full, cast(Any, rel), axes, strict=True)
            result = type(full)(Carrier(self, f, r, a) for f, r, a in parts)
        else:
            # values and where they were
            first = Carrier(self, full[0], rel, _first(axis))
            return type(full)((first, *full[1:]))
        if call.operation.kind == "shape":
            _mark_aliases(call.carriers[0], result)
        return result

    def constant(self, full: torch.Tensor, value: Carrier, axis: int | None) -> Any:
        """Return the parts of a constant, shared as what is written into it is."""
        if isinstance(value.rel, LowRank):
            _multiply_out(value, None)
        written = cast(torch.Tensor, value.rel)
        rel = full.new_zeros(len(written), *full.shape)
        full = unmasked(full)
        if self.bias == "context" or not full.any():
            return rel
        known = None if axis is None else value.axis
        share = whole_share(self, written, value.full, known)
        shape = [1] * full.ndim
        if axis is not None:
            shape[axis] = -1
        return rel + share.reshape(len(rel), *shape) * full

    def recurrent_step(
        self, kind: str, x: Any, start: list[Any], weights: list[Any]
    ) -> Callable | None:
        """Return Murdoch's step of an LSTM; joint parts take the general rules."""
        own = kind == "lstm" and not self.partition
        return lstm_step(self, x, start, weights) if own else None

    def snapshot(self, target: Carrier) -> Carrier:
        """Return the target before a write; cloned where the write hits its storage."""
        if isinstance(target.rel, LowRank):
            _multiply_out(target, None)
        full, rel = target.full, cast(torch.Tensor, target.rel)
        if target.aliased:
            self.check_write(target)
            full, rel = full.clone(), rel.clone()
        before = Carrier(self, full, rel, target.axis)
        give_ending(before, ending_of(target))
        return before

    def look_at_folded(self, carrier: Carrier) -> None:
        """Note that views share the storage of parts that are not multiplied out."""
        self._folded.add(carrier.full.untyped_storage().data_ptr())

    def check_write(self, target: Carrier) -> None:
        """Raise NeedsDense where a write would miss the parts of other views."""
        # each carrier multiplies its own parts out, apart from those of its views
        storage = target.full.untyped_storage().data_ptr()
        if target.aliased and storage in self._folded:
            raise NeedsDense

    def overwrite(self, target: Carrier, result: Carrier) -> None:
        """Store a result; through the storage where other carriers look at it."""
        if target.aliased:
            target.full.copy_(result.full)
            target.rel.copy_(result.rel)
        else:
            target.full, target.rel = laid_out(result.full, target.full), result.rel
            target.aliased = result.aliased


def _cloned(part: Any) -> Any:
    # what is not multiplied out is not written to
    return part if isinstance(part, LowRank) else part.clone()


def _multiply_out(carrier: Carrier, call: Call | None) -> None:
    if not isinstance(carrier.rel, LowRank):
        return
    writes = call is None or call.operation.name == "__setitem__"
    if writes and carrier.aliased:
        raise NeedsDense
    carrier.rel = carrier.rel.dense()


def over_masks(call: Call, func: Callable | None = None) -> Any:
    """Apply the call's function to the relevant parts of every mask at once."""
    carriers = call.carriers
    index = {id(carrier): i for i, carrier in enumerate(carriers)}
    func = func or call.func

    def one(*parts: torch.Tensor) -> Any:
        args, kwargs = map_carriers(
            lambda carrier: parts[index[id(carrier)]], (call.args, call.kwargs)
        )
        return func(*args, **kwargs)

    return torch.vmap(one)(*(carrier.rel for carrier in carriers))


def _first(axis: Any) -> int | None:
    return axis[0] if isinstance(axis, list) else axis


def _apply_own(own: Callable, call: Call) -> torch.Tensor:
    first, *rest = call.args
    args, kwargs = map_carriers(lambda carrier: carrier.full, (rest, call.kwargs))
    call.axis = first.axis
    return own(first.full, first.rel, first.full - first.rel, *args, **kwargs)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not known; choose one of {choices}.")
