"""Relevance between the coefficients and the first affine operation of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch

from sktrim.propagation.backward._lrp_rules import (
    AffineMap,
    Rule,
    divided,
    pairs,
    share_out,
)
from sktrim.propagation.carrier import is_plain, map_carriers
from sktrim.propagation.layouts import lay_gradient_out


@dataclass
class AffineInput:
    """A value that is an affine function of the input."""

    # its gradient is relevance over value; where the value is the input itself, moved,
    # the relevance can be had too

    # the input moved alike, of which the gradient is the relevance
    relevance: torch.Tensor | None
    # whether the value is what is explained itself: no transform, only moved
    is_signal: bool
    # the coefficients (n, n_coefficients), of which the gradient is the relevance
    leaf: torch.Tensor
    # linear, from coefficients (m, n, n_coefficients) to inputs
    synthesis: Callable[[torch.Tensor], torch.Tensor]
    # what the last coefficient carries, sample by sample, where it is the residual's
    residual: torch.Tensor | None = None
    # what has been done to the input since
    steps: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()

    def moved(self, call: Any, full: Any) -> Any:
        """Return what is known of the results of an affine call."""
        if is_plain(full):
            return self._step(call, full, None)
        return type(full)(self._step(call, f, i) for i, f in enumerate(full))

    def _step(self, call: Any, full: torch.Tensor, index: int | None) -> AffineInput:
        func, arguments = call.func, (call.args, call.kwargs)

        def step(value: torch.Tensor) -> torch.Tensor:
            args, kwargs = map_carriers(lambda _: value, arguments)
            out = func(*args, **kwargs)
            return out if index is None else out[index]

        # a conjugate turns signs, which is no moving
        turned = is_plain(full) and full.is_conj()
        only_moved = call.operation.kind == "shape" and not turned
        twin = None
        if only_moved and self.relevance is not None:
            twin = step(self.relevance)
            lay_gradient_out(call.operation.name, twin)
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
    """Return the result of the first layer as a function of the coefficients."""
    source, rule = layer.source, layer.rule
    affine = source.rel
    # the model may write into what it is given
    kept = value.detach().clone()
    s, n = affine.leaf.detach(), len(affine.leaf)
    width = value.numel() // max(1, n)
    _check_size(method, rule, s.shape[1], width, s.element_size())
    if not _Linear(affine, layer.map, n, width).leads():
        method.refuse(
            layer.map.function, "of an input whose samples are not first has no rule"
        )

    @cache
    def share() -> Callable[[torch.Tensor], torch.Tensor]:
        # in the backward pass: a batch norm may yet be merged with the layer
        return _sharing(rule, _Linear(affine, layer.map, n, width), s, kept)

    def pull(relevance: torch.Tensor) -> torch.Tensor:
        return share()(relevance)

    def twin_pull(relevance: torch.Tensor) -> torch.Tensor:
        return share_out(rule, layer.map, source.full.detach(), relevance)

    twin = affine.relevance if rule.low is None else None
    return _Folded.apply(affine.leaf, twin, (value.detach(), pull, twin_pull))


def _sharing(
    rule: Rule, linear: _Linear, s: torch.Tensor, value: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from the relevance of the results to that of s."""
    n, value = len(s), value.detach().reshape(len(s), -1)
    if linear.affine.residual is None and not linear.varies():
        matrix = linear.matrix(s)
        folded = AffineMap(_dense, matrix, value - s @ matrix)
        return lambda relevance: share_out(rule, folded, s, relevance.reshape(n, -1))
    columns = linear.columns(s)

    def one_by_one(relevance: torch.Tensor) -> torch.Tensor:
        relevance, shared = relevance.reshape(n, -1), []
        for i in range(n):
            row, matrix = slice(i, i + 1), columns(i)
            folded = AffineMap(_dense, matrix, value[row] - s[row] @ matrix)
            shared.append(share_out(rule, folded, s[row], relevance[row]))
        return torch.cat(shared)

    return one_by_one


def _dense(x: torch.Tensor, weight: torch.Tensor, bias: Any) -> torch.Tensor:
    return x @ weight if bias is None else x @ weight + bias


@dataclass
class _Linear:
    """The linear part of the way from coefficients to the first layer's results."""

    affine: AffineInput
    layer: AffineMap
    n: int
    width: int

    def results(self, signal: torch.Tensor) -> torch.Tensor:
        for step in self.affine.steps:
            signal = step(signal)
        return self.layer.function(signal, self.layer.weight.detach(), None)

    def linear(self, signal: torch.Tensor) -> torch.Tensor:
        """Return the results without what an input of zeros gives, exactly."""
        if not self.affine.steps:
            return self.results(signal)
        # a difference would leave round-off, which a signed rule takes for a part
        zeros = torch.zeros(signal.shape, dtype=signal.dtype, device=signal.device)
        # the transpose of the transpose: an axis of vmap stays out of both
        out, pull, *_ = torch.func.vjp(self.results, zeros)
        return torch.func.vjp(pull, out)[1]((signal,))[0]

    def _probed(self, amounts: torch.Tensor) -> torch.Tensor:
        """Return the results (n, width) of amounts (n, 1) of some coefficients."""
        like = self.affine.leaf.detach()
        some = torch.linspace(1, 2, like.shape[1]).to(like)
        coefficients = amounts * some
        if self.affine.residual is not None:
            coefficients = coefficients[:, :-1]
        signal = self.affine.synthesis(coefficients[None])[0]
        results = self.linear(signal)
        if results.numel() != self.n * self.width:
            return results.new_ones(self.n, 1)
        return results.reshape(self.n, -1)

    @torch.no_grad()
    def leads(self) -> bool:
        """Tell whether a sample's results stand together, in the order of samples."""
        amounts = torch.zeros_like(self.affine.leaf[:, :1])
        amounts[:1] = 1
        return self.n < 2 or not self._probed(amounts)[1:].any()

    @torch.no_grad()
    def varies(self) -> bool:
        """Tell whether the map differs from sample to sample, by a mask for example."""
        results = self._probed(torch.ones_like(self.affine.leaf[:, :1]))
        size = results.abs().max() * 64 * torch.finfo(results.dtype).eps
        return bool((results - results[:1]).abs().max() > size)

    @torch.no_grad()
    def columns(self, s: torch.Tensor) -> Callable[[int], torch.Tensor]:
        """Return the map of a sample, (n_coefficients, width), from its number."""
        shared = None if self.varies() else self.matrix(s)
        carried = None if self.affine.residual is None else self.residual()

        def of_sample(i: int) -> torch.Tensor:
            matrix = self._matrix_of(s, i) if shared is None else shared
            if carried is None:
                return matrix
            # the residual is another column of the map for every sample
            return torch.cat([matrix, carried[i : i + 1]])

        return of_sample

    @torch.no_grad()
    def _matrix_of(self, s: torch.Tensor, sample: int) -> torch.Tensor:
        """Return what the unit coefficients give in the place of one sample."""
        count = s.shape[1] - (self.affine.residual is not None)
        units, step = torch.eye(count).to(s), max(1, 2**22 // (self.n * self.width))
        pieces = []
        for some in units.split(step):
            signals = self.affine.synthesis(some[:, None].expand(-1, self.n, -1))
            results = torch.vmap(self.linear)(signals).reshape(len(some), self.n, -1)
            pieces.append(results[:, sample])
        return torch.cat(pieces)

    @torch.no_grad()
    def residual(self) -> torch.Tensor:
        """Return the results (n, width) of the residuals."""
        signal: Any = self.affine.residual
        return self.linear(signal).reshape(self.n, -1)

    @torch.no_grad()
    def matrix(self, s: torch.Tensor) -> torch.Tensor:
        """Return the results (n_coefficients, width) of the unit coefficients."""
        n, count = self.n, s.shape[1] - (self.affine.residual is not None)
        out = s.new_empty(count, self.width)
        # n go in at a time, since a model may have read the number of samples
        step = n * max(1, 2**22 // max(1, n * self.width))
        for start in range(0, count, step):
            stop = min(count, start + step)
            units = s.new_zeros(-(-(stop - start) // n) * n, count)
            units[: stop - start, start:stop].fill_diagonal_(1)
            signals = self.affine.synthesis(units.reshape(-1, n, count))
            results = torch.vmap(self.linear)(signals).reshape(len(signals), n, -1)
            out[start:stop] = results.reshape(-1, self.width)[: stop - start]
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
