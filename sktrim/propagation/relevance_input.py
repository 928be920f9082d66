"""Relevance between the coefficients and the first affine operation of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from .carrier import is_plain, map_carriers
from .relevance import AffineMap, Rule, divided, pairs, share_out


@dataclass
class Raw:
    """A value that is an affine function of the input.

    Its gradient is relevance over value; where the value is the input itself, moved,
    the relevance can be had too.

    Attributes
    ----------
    relevance : torch.Tensor
        The input moved alike, of which the gradient is the relevance.
    is_signal : bool
        Whether the value is what is explained itself: no transform, only moved.
    leaf : torch.Tensor of shape (n, n_coefficients)
        The coefficients, of which the gradient is the relevance.
    synthesis : callable
        Linear map from coefficients (m, n, n_coefficients) to inputs.
    residual : torch.Tensor or None
        What the last coefficient carries, sample by sample, where it is the
        residual's.
    steps : tuple of callables
        What has been done to the input since.
    """

    relevance: torch.Tensor | None
    is_signal: bool
    leaf: torch.Tensor
    synthesis: Callable[[torch.Tensor], torch.Tensor]
    residual: torch.Tensor | None = None
    steps: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()

    def moved(self, call: Any, full: Any) -> Any:
        """Return what is known of the results of an affine call."""
        if is_plain(full):
            return self._step(call, full, None)
        return type(full)(self._step(call, f, i) for i, f in enumerate(full))

    def _step(self, call: Any, full: torch.Tensor, index: int | None) -> Raw:
        func, given = call.func, (call.args, call.kwargs)

        def step(value: torch.Tensor) -> torch.Tensor:
            args, kwargs = map_carriers(lambda _: value, given)
            out = func(*args, **kwargs)
            return out if index is None else out[index]

        # a conjugate turns signs, which is no moving
        turned = is_plain(full) and full.is_conj()
        only_moved = call.operation.kind == "shape" and not turned
        twin = (
            step(self.relevance) if only_moved and self.relevance is not None else None
        )
        return replace(
            self,
            relevance=twin,
            is_signal=self.is_signal and only_moved,
            steps=(*self.steps, step),
        )

    def closed(self, value: torch.Tensor) -> torch.Tensor:
        """Return the value with its relevance as its gradient."""
        if self.is_signal and self.relevance is not None:
            return self.relevance.view_as(self.relevance)
        return _Closed.apply(value)


class _Closed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.detach().clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, relevance: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        if x.is_complex():
            return torch.view_as_complex(divided(pairs(relevance), pairs(x)))
        return divided(relevance, x)


class _Folded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: torch.Tensor, twin: Any, held: Any) -> torch.Tensor:
        value, ctx.pull, ctx.twin_pull = held
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, relevance: torch.Tensor) -> Any:
        twin = ctx.twin_pull(relevance) if ctx.needs_input_grad[1] else None
        return ctx.pull(relevance), twin, None


def fold(method: Any, layer: Any, value: torch.Tensor) -> torch.Tensor:
    """Return the result of the first layer as a function of the coefficients.

    Raises
    ------
    ValueError
        If the map from coefficients to results exceeds the memory.
    """
    source, rule = layer.source, layer.rule
    raw, n = source.rel, len(value)
    s = raw.leaf.detach()
    width = value.numel() // max(1, n)
    _check_size(method, rule, s.shape[1], width, s.element_size())

    @cache
    def share() -> Callable[[torch.Tensor], torch.Tensor]:
        # in the backward pass: a batch norm may yet be merged with the layer
        return _sharing(rule, _Linear(raw, layer.map, n, width), s, value)

    def pull(relevance: torch.Tensor) -> torch.Tensor:
        return share()(relevance)

    def twin_pull(relevance: torch.Tensor) -> torch.Tensor:
        return share_out(rule, layer.map, source.full.detach(), relevance)

    twin = raw.relevance if rule.low is None else None
    return _Folded.apply(raw.leaf, twin, (value.detach(), pull, twin_pull))


def _sharing(
    rule: Rule, linear: _Linear, s: torch.Tensor, value: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from the relevance of the results to that of s."""
    n, matrix = len(s), linear.matrix(s)
    value = value.detach().reshape(n, -1)
    if linear.raw.residual is None:
        folded = AffineMap(_dense, matrix, value - s @ matrix)
        return lambda relevance: share_out(rule, folded, s, relevance.reshape(n, -1))
    carried = linear.residual()
    offset = value - s[:, :-1] @ matrix - carried

    def one_by_one(relevance: torch.Tensor) -> torch.Tensor:
        relevance, shared = relevance.reshape(n, -1), []
        for i in range(n):
            row = slice(i, i + 1)
            # the residual is another column of the map for every sample
            folded = AffineMap(_dense, torch.cat([matrix, carried[row]]), offset[row])
            shared.append(share_out(rule, folded, s[row], relevance[row]))
        return torch.cat(shared)

    return one_by_one


def _dense(x: torch.Tensor, weight: torch.Tensor, bias: Any) -> torch.Tensor:
    return x @ weight if bias is None else x @ weight + bias


@dataclass
class _Linear:
    """The linear part of the way from coefficients to the first layer's results."""

    raw: Raw
    layer: AffineMap
    n: int
    width: int

    def results(self, signal: torch.Tensor) -> torch.Tensor:
        for step in self.raw.steps:
            signal = step(signal)
        return self.layer.function(signal, self.layer.weight.detach(), None)

    @torch.no_grad()
    def _origin(self, signal: torch.Tensor) -> Any:
        if not self.raw.steps:
            return 0
        return self.results(torch.zeros_like(signal)).reshape(self.n, -1)

    @torch.no_grad()
    def residual(self) -> torch.Tensor:
        """Return the results (n, width) of the residuals."""
        signal: Any = self.raw.residual
        return self.results(signal).reshape(self.n, -1) - self._origin(signal)

    @torch.no_grad()
    def matrix(self, s: torch.Tensor) -> torch.Tensor:
        """Return the results (n_coefficients, width) of the unit coefficients.

        They go in n at a time, since a model may have read the number of samples.
        """
        n, count = self.n, s.shape[1] - (self.raw.residual is not None)
        out = s.new_empty(count, self.width)
        step = n * max(1, 2**22 // max(1, n * self.width))
        for start in range(0, count, step):
            stop = min(count, start + step)
            units = s.new_zeros(-(-(stop - start) // n) * n, count)
            units[: stop - start, start:stop].fill_diagonal_(1)
            signals = self.raw.synthesis(units.reshape(-1, n, count))
            found = torch.vmap(self.results)(signals).reshape(len(signals), n, -1)
            found = found - self._origin(signals[0])
            out[start:stop] = found.reshape(-1, self.width)[: stop - start]
        return out


def _check_size(method: Any, rule: Rule, count: int, width: int, item: int) -> None:
    needed = 3 * count * width * item
    if needed <= method.budget:
        return
    raise ValueError(
        f"The {rule.name} rule depends on the signs of the weights, so the inverse "
        "transform is folded into the first affine operation, but that map of "
        f"{count} coefficients x {width} values takes {needed / 2**20:.0f} MiB, more "
        f"than the working_memory of {method.budget / 2**20:.0f} MiB. Dividing by the "
        "signal instead would blow relevance up where it is near 0. Either (a) raise "
        "sklearn.set_config(working_memory=...), (b) use LRPEpsilon, or a composite "
        'with "first": "epsilon", which needs no such map, or (c) use fewer '
        "coefficients."
    )
