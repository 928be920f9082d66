"""The rules of layer-wise relevance propagation as plain data, and their arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch


@dataclass(frozen=True)
class Term:
    """One contribution ``sign * input * weight`` of a rule, with its bias.

    Attributes
    ----------
    x, w, b : str
        How input, weight and bias enter: "all", "positive", "negative", "square",
        "one", "zero"; of the weight also "gamma+" and "gamma-", itself plus gamma
        times its positive or negative part; of the input also "low" and "high", the
        bounds.
    sign : int
    """

    x: str
    w: str
    b: str
    sign: int = 1


@dataclass(frozen=True)
class Side:
    """Terms that share a denominator, the sum of all their contributions.

    Attributes
    ----------
    terms : tuple of Term
    coefficient : float
        What part of the relevance this side shares out.
    where : {"all", "positive", "negative"}
        For which outputs, by their sign.
    """

    terms: tuple[Term, ...]
    coefficient: float = 1.0
    where: str = "all"


@dataclass(frozen=True)
class Rule:
    r"""How an affine operation shares out relevance among its inputs.

    .. math::

       R_i = \sum_{\text{sides } S} \alpha_S \sum_j \frac{\sum_{t \in S} c^t_{ij}}
       {\sum_{t \in S} \bigl( \sum_{i'} c^t_{i'j} + c^t_{0j} \bigr)} \, R_j, \qquad
       c^t_{ij} = \pm x^t_i \, w^t_{ij}, \quad c^t_{0j} = \pm b^t_j,

    where a term t changes inputs x, weights w and biases b in some way (keeps their
    positive part, say), sides S have a denominator each, :math:`\alpha_S` is the
    `coefficient` of a side, and its `where` may restrict j to outputs of one sign.

    Attributes
    ----------
    name : str
    sides : tuple of Side
        Empty for epsilon, which is written with plain gradients.
    epsilon : float
        Added to the denominator with its sign (epsilon alone).
    relative : bool
        Whether epsilon counts in the mean absolute value of a layer's outputs at the
        same place, or in the sum of the absolute values of the terms of a sum.
    gamma : float
    low, high : float or tensor
        Bounds of the input (z-box alone).

    See Also
    --------
    sktrim.scorers.LRPComposite : Takes a rule for each kind of layer.

    Examples
    --------
    The z+ rule, as data:

    >>> from sktrim.propagation import Rule, Side, Term
    >>> both_up = Term("positive", "positive", "positive")
    >>> both_down = Term("negative", "negative", "zero")
    >>> rule = Rule("z_plus", (Side((both_up, both_down)),))
    >>> from sktrim.scorers import LRPComposite
    >>> scorer = LRPComposite({"conv": rule, "linear": rule})
    """

    name: str
    sides: tuple[Side, ...] = ()
    epsilon: float = 0.0
    relative: bool = False
    gamma: float = 0.0
    low: Any = None
    high: Any = None


_PLUS = (Term("positive", "positive", "positive"), Term("negative", "negative", "zero"))
_MINUS = (
    Term("positive", "negative", "negative"),
    Term("negative", "positive", "zero"),
)
_GAMMA = (
    Side(
        (Term("positive", "gamma+", "gamma+"), Term("negative", "gamma-", "zero")),
        where="positive",
    ),
    Side(
        (Term("positive", "gamma-", "gamma-"), Term("negative", "gamma+", "zero")),
        where="negative",
    ),
)
_BOX = (
    Term("all", "all", "all"),
    Term("low", "positive", "positive", -1),
    Term("high", "negative", "negative", -1),
)
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "epsilon": Rule("epsilon", epsilon=1e-6, relative=True),
        "z_plus": Rule("z_plus", (Side(_PLUS),)),
        "alpha_beta": Rule("alpha_beta", (Side(_PLUS, 2.0), Side(_MINUS, -1.0))),
        "gamma": Rule("gamma", _GAMMA, gamma=0.25),
        "z_box": Rule("z_box", (Side(_BOX),)),
        "w_square": Rule("w_square", (Side((Term("one", "square", "square"),)),)),
        "flat": Rule("flat", (Side((Term("one", "one", "zero"),)),)),
    }
)


def alpha_beta(alpha: float, beta: float) -> Rule:
    """Return the rule that shares alpha of it among positive contributions."""
    sides = (Side(_PLUS, float(alpha)), Side(_MINUS, -float(beta)))
    return Rule("alpha_beta", tuple(side for side in sides if side.coefficient))


def named_rule(name: str, **parameters: Any) -> Rule:
    """Return a rule of `RULES` with parameters of its own."""
    return replace(RULES[name], **parameters)


_CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "all": lambda t: t,
    "positive": lambda t: t.clamp(min=0),
    "negative": lambda t: t.clamp(max=0),
    "square": torch.square,
    "one": torch.ones_like,
    "zero": torch.zeros_like,
}


def _changed(rule: Rule, how: str, value: Any) -> Any:
    if value is None or how == "zero":
        return None
    if how == "gamma+":
        return value + rule.gamma * value.clamp(min=0)
    if how == "gamma-":
        return value + rule.gamma * value.clamp(max=0)
    if how in ("low", "high"):
        bound = torch.as_tensor(getattr(rule, how)).to(value)
        if 1 < bound.numel() == value[:1].numel():
            bound = bound.reshape(value[:1].shape)
        return bound.expand_as(value)
    return _CHANGES[how](value)


@dataclass
class AffineMap:
    """An affine operation with its weight set free: ``function(x, weight, bias)``."""

    function: Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]
    weight: torch.Tensor
    # broadcastable to the result, or one value per channel
    bias: torch.Tensor | None
    # the axis of the result that the bias runs along, counted from the end
    channel: int = -1
    # the axis of the weight for the channels of the result; None where scaling them is
    # not a scaling of the weight
    out_axis: int | None = 0
    # "conv" or "linear"
    kind: str = "linear"
    cache: dict = field(default_factory=dict)

    def changed(self, rule: Rule, term: Term) -> tuple[Any, Any]:
        """Return weight and bias as they enter a term; kept for the next target."""
        key = (term.w, term.b)
        if key not in self.cache:
            self.cache[key] = (
                _changed(rule, term.w, self.weight.detach()),
                _changed(
                    rule, term.b, None if self.bias is None else self.bias.detach()
                ),
            )
        return self.cache[key]

    def merged(self, scale: torch.Tensor, shift: torch.Tensor) -> AffineMap | None:
        """Return this map followed by scale and shift, one each or one per channel."""
        if self.out_axis is None:
            return None
        shape = [1] * self.weight.ndim
        shape[self.out_axis] = -1
        weight = self.weight * scale.reshape(shape if scale.ndim else ())
        bias = shift if self.bias is None else self.bias * scale + shift
        count = self.weight.shape[self.out_axis]
        return replace(self, weight=weight, bias=bias.expand(count), cache={})


def share_out(
    rule: Rule, layer: AffineMap, x: torch.Tensor, relevance: torch.Tensor
) -> torch.Tensor:
    """Return the relevance of the inputs of an affine map, by a rule with sides."""
    signed = any(side.where != "all" for side in rule.sides)
    # under autocast an activation may be narrower than the weight
    kept, wide = x.dtype, torch.promote_types(x.dtype, layer.weight.dtype)
    x, relevance = x.to(wide), relevance.to(wide)
    with torch.no_grad():
        z = layer.function(x, layer.weight, layer.bias) if signed else None
        nonnegative = bool((x >= 0).all())
    total = torch.zeros_like(x)
    for side in rule.sides:
        part = relevance if side.where == "all" else relevance * _where(side, z)
        terms = [t for t in side.terms if not (nonnegative and t.x == "negative")]
        total += side.coefficient * _one_side(rule, terms, layer, x, part)
    return total.to(kept)


def _where(side: Side, z: Any) -> torch.Tensor:
    return z > 0 if side.where == "positive" else z < 0


def _one_side(
    rule: Rule, terms: list[Term], layer: AffineMap, x: torch.Tensor, part: torch.Tensor
) -> torch.Tensor:
    with torch.enable_grad():
        inputs = [_changed(rule, t.x, x).detach().requires_grad_() for t in terms]
        whole: Any = 0
        for t, value in zip(terms, inputs, strict=True):
            out = layer.function(value, *layer.changed(rule, t))
            whole = whole + (out if t.sign == 1 else -out)
        # of the contributions' sum, at once: its gradient is sign * weight
        shares = torch.autograd.grad(whole, inputs, divided(part, whole.detach()))
    at_inputs = torch.zeros_like(x)
    for value, weight in zip(inputs, shares, strict=True):
        at_inputs.addcmul_(value.detach(), weight)
    return at_inputs


def divided(part: torch.Tensor, whole: torch.Tensor) -> Any:
    """Return part / whole, 0 where whole is 0."""
    shares = part / whole
    # one sum tells that there is no 0, in less time than a look at every value
    if shares.sum().isfinite():
        return shares
    return torch.where(whole == 0, 0, shares)


def pairs(value: torch.Tensor) -> torch.Tensor:
    """Return real and imaginary parts along a last axis."""
    return torch.view_as_real(value.resolve_conj())


def stabilised(z: torch.Tensor, rule: Rule | None, size: Any) -> torch.Tensor:
    """Return a copy of denominators with epsilon added by their sign; sign(0) is 1."""
    if rule is None or not rule.epsilon or (rule.relative and size is None):
        return z.clone()
    epsilon: Any = rule.epsilon * size if rule.relative else rule.epsilon
    if not z.is_complex():
        return _away_from_zero(z, epsilon)
    epsilon = epsilon[..., None] if rule.relative else epsilon
    return torch.view_as_complex(_away_from_zero(pairs(z), epsilon))


def _away_from_zero(z: torch.Tensor, epsilon: Any) -> torch.Tensor:
    # adding 0 turns -0 into 0
    epsilon = torch.as_tensor(epsilon, dtype=z.dtype, device=z.device)
    return torch.copysign(epsilon, z + 0.0).add_(z)
