"""Modified backpropagation: values that are the model's own, gradients that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from sktrim.exceptions import UnsupportedOperationError
from sktrim.propagation.aliases import _mark_aliases
from sktrim.propagation.carrier import Carrier, find_carriers, is_plain
from sktrim.propagation.endings import ending_of, give_ending, without_ending
from sktrim.propagation.layouts import laid_out
from sktrim.propagation.method import Call, Method
from sktrim.propagation.registry import find_rule, rule
from sktrim.propagation.running import check_model, outputs_of, run_model


class ModifiedBackpropagation(Method):
    """Base of the methods that change how gradients pass an operation."""

    # a carrier's `full` is the activation of the plain model, in an autograd graph
    # whose gradients are the wanted ones; `rel` is what a method keeps beside it; a
    # rule returns the value with its gradient

    # what the rules of the method are registered under
    key = ""

    def enter(self, x: torch.Tensor, rel: Any = None) -> Carrier:
        """Return the carrier of an input; cloned, since models write in place."""
        rel = laid_out(rel.clone(), x) if is_plain(rel) else rel
        return Carrier(self, x.clone(), rel)

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run one operation of the model, with a graph even where it has none."""
        if torch.is_grad_enabled():
            return super().__call__(func, args, kwargs)
        # under no_grad, and in a function with a backward pass of its own, torch would
        # record nothing
        with torch.inference_mode(False), torch.enable_grad():
            return super().__call__(func, args, kwargs)

    def apply(self, call: Call) -> Any:
        """Return the result of a call by the rule of its operation."""
        rule = find_rule(self.key, call.operation)
        if rule is None:
            self.refuse(call.func)
        return self.wrap(call, rule(self, call))

    def wrap(self, call: Call, value: Any) -> Any:
        """Pair the value that a rule returns with what is kept; carriers stay."""
        if not is_plain(value):
            several = isinstance(value, tuple | list)
            if not several or next(find_carriers(value), None) is not None:
                return value
        result = _paired(self, value, self.beside(call))
        # a layer must not outlive the carrier that keeps it
        call.rel = None
        if call.operation.kind == "shape":
            mark_aliases(call, result)
        return result

    def beside(self, call: Call) -> Any:
        """Return what is kept beside the result of a call."""
        return call.rel

    def snapshot(self, target: Carrier) -> Carrier:
        """Return the target before a write; cloned where the write hits its storage."""
        before = Carrier(self, target.full, target.rel)
        if target.aliased:
            before.full = target.full.clone()
            if is_plain(target.rel):
                before.rel = target.rel.clone()
        give_ending(before, ending_of(target))
        return before

    def overwrite(self, target: Carrier, result: Carrier) -> None:
        """Store a result; through the storage where other carriers look at it."""
        if not target.aliased:
            full, rel = target.full, result.rel
            target.rel = laid_out(rel, full) if is_plain(rel) else rel
            target.full = laid_out(result.full, full)
            target.aliased = result.aliased
            return
        target.full.copy_(result.full)
        if is_plain(target.rel):
            target.rel.copy_(result.rel)
        else:
            target.rel = result.rel


def run(model: Callable, *inputs: Carrier) -> Any:
    """Run a model on carriers; the output is that before its ending."""
    check_model(model)
    value = run_model(model, *inputs)
    carrier = next(find_carriers(outputs_of(value)), None)
    if carrier is None:
        raise UnsupportedOperationError(
            f"The model returned {type(value).__name__} that left the rules on the "
            "way (through NumPy, .item() or a constant output). Keep the path from "
            "input to output in torch operations."
        )
    return without_ending(carrier)


class _Held(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, held: Any) -> torch.Tensor:
        value, ctx.pull, saved = held
        ctx.save_for_backward(*saved)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return ctx.pull(gradient, *ctx.saved_tensors), None


def with_gradient(
    x: torch.Tensor,
    value: torch.Tensor,
    pull: Callable[..., torch.Tensor],
    *saved: torch.Tensor,
) -> torch.Tensor:
    """Return a value whose gradient in x is ``pull(gradient, *saved)``."""
    # `value` has a storage of its own, without a graph
    return _Held.apply(x, (value.detach(), pull, saved))


def scaled(
    x: torch.Tensor, value: torch.Tensor, multiplier: torch.Tensor
) -> torch.Tensor:
    """Return a value whose gradient in x is the multiplier."""
    return with_gradient(x, value, torch.mul, multiplier)


def identity_gradient(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return a value of the shape of x whose gradient in x is 1."""
    return with_gradient(x, value, _same)


def _same(gradient: torch.Tensor) -> torch.Tensor:
    return gradient


def plainly(call: Call) -> Any:
    """Return what the plain model gets, without a graph."""
    with torch.no_grad():
        return call.on_full()


def _paired(method: Any, full: Any, rel: Any) -> Any:
    """Make carriers of the floating tensors among results, beside what is kept."""
    if is_plain(full):
        floating = full.is_floating_point() or full.is_complex()
        return Carrier(method, full, rel) if floating else full
    if isinstance(full, tuple | list) and not isinstance(full, torch.Size):
        rels = rel if isinstance(rel, tuple | list) else [rel] * len(full)
        parts = [_paired(method, f, r) for f, r in zip(full, rels, strict=True)]
        return type(full)(parts)
    return full


def mark_aliases(call: Call, result: Any) -> None:
    """Note which carriers of a view share their storage with its argument."""
    outputs = list(_outputs(result))
    for carrier in call.carriers:
        if carrier.full.layout == torch.strided:
            _mark_aliases(carrier, outputs)


def _outputs(result: Any) -> Iterator[Carrier]:
    # what is plain, such as integers made of a value, has none
    several = isinstance(result, tuple | list)
    yield from find_carriers(list(result) if several else [result])


@rule("deeplift", "native_channel_shuffle")
@rule("guided", "native_channel_shuffle")
@rule("deconvnet", "native_channel_shuffle")
@rule("lrp", "native_channel_shuffle")
def shuffle_channels(method: Any, call: Call) -> Any:
    """Take the spelling of which torch knows the derivative."""
    return method(torch.channel_shuffle, call.args, call.kwargs)
