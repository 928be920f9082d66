"""Contextual decomposition of products: the cross term is split evenly."""

from __future__ import annotations

from typing import Any

import torch

from sktrim.propagation.axes import aligned_axis, axis_kept
from sktrim.propagation.carrier import Carrier, map_carriers
from sktrim.propagation.composite import pairwise
from sktrim.propagation.decomposition._method import over_masks
from sktrim.propagation.decomposition._share import leading
from sktrim.propagation.method import Call
from sktrim.propagation.registry import rule


@rule("cd", "kind:bilinear")
def product(method: Any, call: Call) -> Any:
    """Take 1/2 [rel_a * b + a * rel_b]; linear where one operand is constant."""
    call.axis = _product_axis(call, call.full)
    if len(call.carriers) == 1 and _occurrences(call) == 1:
        return over_masks(call)
    if _occurrences(call) > 2:
        return pairwise(method, call)
    two = call.operation.name in ("matmul", "bmm") and len(call.args) == 2
    alike = two and _alike(*call.args)
    return _matrix_halves(*call.args) if alike else _halves(call)


def _product_axis(call: Call, full: torch.Tensor) -> int | None:
    equation = call.args[0] if call.operation.name == "einsum" else None
    if isinstance(equation, str) and "->" in equation:
        operands = call.args[1:]
        listed = len(operands) == 1 and isinstance(operands[0], list | tuple)
        return _lettered_axis(equation, operands[0] if listed else operands, full.ndim)
    carriers = call.carriers
    return axis_kept(carriers[0], full) if aligned_axis(carriers) is not None else None


def _lettered_axis(equation: str, operands: Any, ndim: int) -> int | None:
    """Return where an einsum puts the letter of the sample axis of its operands."""
    terms, out = equation.replace(" ", "").split("->")
    pairs = zip(terms.split(","), operands, strict=True)
    carriers = [(term, value) for term, value in pairs if isinstance(value, Carrier)]
    if any(value.axis is None for _, value in carriers):
        return None
    letters = {_letters(term, v.full.ndim)[v.axis] for term, v in carriers}
    kept = _letters(out, ndim)
    letter = letters.pop() if len(letters) == 1 else None
    return kept.index(letter) - ndim if letter in kept else None


def _letters(term: str, ndim: int) -> list[Any]:
    """Return the letters of a term; those of an ellipsis are counted from its end."""
    before, dots, after = term.partition("...")
    free = ndim - len(before) - len(after) if dots else 0
    return [*before, *range(-free, 0), *after]


@rule("cd", "bilinear")
def product_and_bias(method: Any, call: Call) -> Any:
    """Add the bias of `torch.nn.functional.bilinear` to its product."""
    a, b, weight, bias = call.bind("input1", "input2", "weight", bias=None)
    unshifted = Call(call.operation, call.func, (a, b, weight), {})
    result = method.wrap(unshifted, product(method, unshifted))
    return result if bias is None else method(torch.add, (result, bias), {})


def _alike(a: Any, b: Any) -> bool:
    """Tell whether two decomposed operands are stacks of as many matrices."""
    same = isinstance(a, Carrier) and isinstance(b, Carrier) and a.full.ndim >= 3
    return same and a.full.shape[:-2] == b.full.shape[:-2]


def _matrix_halves(a: Carrier, b: Carrier) -> torch.Tensor:
    """Return 1/2 [rel_a @ b + a @ rel_b], mask by mask: no operand is repeated."""
    whole_a, whole_b, rel_a, rel_b = (
        part.reshape(*part.shape[: part.ndim - a.full.ndim], -1, *part.shape[-2:])
        for part in (a.full, b.full, a.rel, b.rel)
    )
    pairs = zip(rel_a, rel_b, strict=True)
    if torch.is_grad_enabled():
        halves = [
            0.5 * (torch.bmm(p, whole_b) + torch.bmm(whole_a, q)) for p, q in pairs
        ]
        return torch.stack(halves).unflatten(1, a.full.shape[:-2])
    out = rel_a.new_empty(*rel_a.shape[:-1], rel_b.shape[-1])
    for place, (p, q) in zip(out, pairs, strict=True):
        torch.bmm(p, whole_b, out=place)
        place.baddbmm_(whole_a, q, beta=0.5, alpha=0.5)
    return out.unflatten(1, a.full.shape[:-2])


@rule("cd", "mul")
def multiply(method: Any, call: Call) -> torch.Tensor:
    """Elementwise products, broadcast."""
    a, b = call.bind("input", "other")
    full = call.full
    call.axis = broadcast_axis(call, full)
    if isinstance(a, Carrier) and isinstance(b, Carrier):
        left, right = leading(a.rel, full.ndim), leading(b.rel, full.ndim)
        return 0.5 * (left * b.full + right * a.full)
    x, factor = (a, b) if isinstance(a, Carrier) else (b, a)
    return leading(x.rel, full.ndim) * factor


@rule("cd", "div")
def divide(method: Any, call: Call) -> Any:
    """Divide by a constant, or by the whole of a decomposed divisor."""
    a, b = call.bind("input", "other")
    full = call.full
    if call.kwargs.get("rounding_mode"):
        method.refuse(call.func, "with rounding has no rule")
    if not isinstance(a, Carrier):
        return method(torch.mul, (method(torch.reciprocal, (b,), {}), a), {})
    call.axis = broadcast_axis(call, full)
    divisor = b.full if isinstance(b, Carrier) else b
    return leading(a.rel, full.ndim) / divisor


def broadcast_axis(call: Call, full: torch.Tensor) -> int | None:
    """Return the sample axis of a broadcast product."""
    axis = aligned_axis(call.carriers)
    if axis is None:
        return None
    sizes = {carrier.full.shape[axis] for carrier in call.carriers}
    return axis if sizes == {full.shape[axis]} else None


def _occurrences(call: Call) -> int:
    count = 0

    def see(carrier: Carrier) -> Carrier:
        nonlocal count
        count += 1
        return carrier

    map_carriers(see, (call.args, call.kwargs))
    return count


def _halves(call: Call) -> torch.Tensor:
    """Return 1/2 of the function with one operand's parts, summed over operands."""
    total: Any = 0
    for chosen in range(2):
        seen = -1

        def pick(carrier: Carrier, chosen: int = chosen) -> Any:
            nonlocal seen
            seen += 1
            # a fresh carrier: one object may be both operands
            part = Carrier(carrier.method, carrier.full, carrier.rel, carrier.axis)
            return part if seen == chosen else carrier.full

        args, kwargs = map_carriers(pick, (call.args, call.kwargs))
        total = total + over_masks(Call(call.operation, call.func, args, kwargs))
    return 0.5 * total
