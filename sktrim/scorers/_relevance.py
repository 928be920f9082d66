"""Scorers by layer-wise relevance propagation, in the space of a transform."""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import torch
from sklearn import get_config

from sktrim._twins import IdentityTwin
from sktrim.propagation.relevance import RULES, Rule, alpha_beta, divided, named_rule
from sktrim.propagation.relevance_input import Raw
from sktrim.propagation.relevance_run import run_for_relevance
from sktrim.propagation.rules_backward_lrp import RelevancePropagation, relevance_of
from sktrim.scorers._backpropagation import _entry, gathered, output_at, row_chunks
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._gradient import pulled

_KINDS = ("first", "conv", "linear", "join")


class LRPComposite(Scorer):
    """Layer-wise relevance propagation with a rule for each kind of layer.

    The output is shared out from layer to layer (Bach et al. 2015; Montavon et al.
    2017): rules of affine layers have the bias in the denominator, so that biases
    absorb relevance; activations pass it on; max pooling gives it to the winner;
    sums and averages share it out by contributions. Batch norm is merged with the
    affine operation before it.

    In a transformed space T^-1 is folded into the first affine operation. For the
    epsilon rule that is done by plain gradients; rules that depend on the signs of
    weights need the folded map itself, which must fit scikit-learn's
    ``working_memory``. ``explanation.metadata["amplification"]`` is the sum of
    abs(relevance) over coefficients, over that over the signal: large where the
    relevance of coefficients cancels. ``explanation.metadata["conservation"]`` is the
    sum of the relevance that arrives over that which starts: 1 but for what biases,
    epsilon, softmax and other nonlinearities take or give.

    Parameters
    ----------
    composite : dict, default=None
        Rules by kind: "conv", "linear", "first" (the first affine operation on the
        way from the input, whatever its kind) and "join" (sums and averages). A rule
        is a name ("epsilon", "z_plus", "alpha_beta", "gamma", "z_box", "w_square",
        "flat"), a pair of a name and its parameters such as
        ``("gamma", {"gamma": 0.1})`` or ``("alpha_beta", {"alpha": 1, "beta": 0})``,
        or a `sktrim.propagation.relevance.Rule`. None: gamma for convolutions,
        epsilon for linear layers.

    Notes
    -----
    A peer's README states that LRP is patented and free for personal and scientific
    use only; see to it yourself whether that concerns you.

    The relevance that starts is output times the gradient of the target, so that a
    logit starts with its value, and a margin with that of every class by its sign.

    Attention, normalisations, gates and recurrent layers follow Achtibat et al. 2024,
    whatever the rules of the layers: the gradient of softmax is the plain one, a
    product gives an equal share of the relevance to each factor that varies, and what
    activations are divided by counts as a constant, in layer, group, instance and RMS
    norm and where a network divides by itself (so a softmax written with exp and a
    quotient passes relevance on to its exponent). Recurrent layers go step by step.
    Relevance may then be negative under rules that promise otherwise.

    References
    ----------
    Bach et al. 2015, PLoS ONE 10, e0130140. Montavon et al. 2017, Pattern
    Recognition 65, 211. Montavon et al. 2019, LNCS 11700, 193. Achtibat et al. 2024,
    ICML, PMLR 235, 135 (rules for Transformers).
    """

    additive = True

    def __init__(self, composite=None):
        self.composite = composite

    def _rules(self) -> dict[str, Rule]:
        given = self.composite
        if given is None:
            given = {"conv": "gamma", "linear": "epsilon"}
        return resolve_composite(given)

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        rules = self._rules()
        _check_bounds(rules.get("first"), s)
        memory = int(get_config()["working_memory"] * 2**20)
        method = RelevancePropagation(rules, memory)
        parts = []
        for rows in row_chunks(model, len(s)):
            part, picked = model[rows], target[rows]
            found, at_signal, started = self._relevance(method, part, picked)
            values = groups.aggregate(found).movedim(0, -1)
            extra = {
                "amplification": _amplification(found, at_signal),
                "conservation": divided(found.sum(-1).T, started),
            }
            parts.append(Attribution(values, self._base(part, picked), extra=extra))
        _tell_absorbed(method.absorbed)
        return gathered(parts)

    def _base(self, model, target):
        return None

    def _relevance(self, method, model, target):
        """Return relevance (n_targets, n, n_coefficients), that of signals, its start.

        The last is the sum (n, n_targets) of what the outputs start with.
        """
        function, point = _entry(model)
        x, twin, leaf = (
            t.detach().clone().requires_grad_() for t in (point, point, model.s)
        )
        with torch.enable_grad():
            raw = _raw(model, twin, leaf)
            carrier = run_for_relevance(method, function, x, raw)
            model.check_output(carrier.full)
            out = relevance_of(method, carrier).reshape(len(x), -1)
        starts = self._starts(target, out.detach())
        found = []
        for t, start in enumerate(starts):
            parts = pulled(out, (x, twin, leaf), start, retain=t < len(starts) - 1)
            found.append([0 if part is None else part for part in parts])
        multiplier, direct, folded = (
            torch.stack([torch.zeros_like(like) + part[i] for part in found])
            for i, like in enumerate((x, twin, leaf))
        )
        at_signal = multiplier * point + direct
        started = torch.stack([start.sum(1) for start in starts], 1)
        if _is_identity(model):
            width = leaf.shape[1]
            moved = at_signal.flatten(2)
            moved = torch.nn.functional.pad(moved, (0, width - moved.shape[2]))
            return moved + folded, moved + folded, started
        found = model.s * model.pull_back(multiplier) + folded
        return found, at_signal, started

    def _starts(self, target, out):
        """Relevance of the outputs, one (n, n_outputs) per target."""
        return [weight * out for weight in _weights(target, out)]


def _check_bounds(rule, s) -> None:
    """Warn where coefficients lie outside the bounds of the first rule, a z-box."""
    if rule is None or rule.low is None:
        return
    low, high = (torch.as_tensor(bound).to(s) for bound in (rule.low, rule.high))
    if (low > high).any():
        raise ValueError(f"low={rule.low!r} is above high={rule.high!r}.")
    s = s[:, : low.shape[-1]] if low.ndim else s
    slack = 1e-5 * (high - low)
    if ((s < low - slack) | (s > high + slack)).any():
        warnings.warn(
            f"Coefficients go from {float(s.min()):.3g} to {float(s.max()):.3g}, but "
            "the z-box rule is for inputs between low and high. Give low= and high= "
            "that no coefficient exceeds.",
            UserWarning,
            stacklevel=2,
        )


def _tell_absorbed(parts) -> None:
    """Warn where an epsilon takes most of what arrives at a layer."""
    worst = max((float(part) for part in parts), default=0.0)
    if worst > 0.5:
        warnings.warn(
            f"epsilon takes up to {100 * worst:.0f} % of the relevance that arrives at "
            "a layer, since its outputs are small against it: epsilon is in the units "
            "of activations. Give a smaller epsilon=, or relative=True.",
            UserWarning,
            stacklevel=2,
        )


def _weights(target, out):
    """Gradients of the targets in the outputs."""
    point = out.clone().requires_grad_()
    with torch.enable_grad():
        scalars = target(point)
        return [
            torch.autograd.grad(scalars[:, t].sum(), point, retain_graph=True)[0]
            for t in range(scalars.shape[1])
        ]


def _is_identity(model) -> bool:
    """Whether coefficients are the signal itself, or T^-1 counts as a layer."""
    if not model.is_affine:
        return True
    return isinstance(model.inverse, IdentityTwin) and not bool(model.r.any())


def _raw(model, twin, leaf) -> Raw:
    def synthesis(s):
        # an inverse that is not affine is run through like a part of the network
        return model.linear(model.extend(s)) if model.is_affine else s

    residual = model.r if model.component and model.is_affine else None
    return Raw(twin, _is_identity(model), leaf, synthesis, residual)


def _amplification(found, at_signal):
    """Sum of abs over coefficients over that over the signal, 1 where both are 0."""
    above = found.abs().sum(-1).movedim(0, -1)
    below = at_signal.abs().flatten(2).sum(-1).movedim(0, -1)
    return torch.where(below == 0, 1, divided(above, below))


def resolve_composite(given) -> dict[str, Rule]:
    """Turn names and pairs into rules; "join" is epsilon where it is not given.

    Parameters
    ----------
    given : mapping
        See `LRPComposite`.

    Returns
    -------
    dict of Rule

    Raises
    ------
    ValueError
        If a kind or a rule is not known.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"composite={given!r}; expected a dict of rules by kind.")
    missing = [kind for kind in ("conv", "linear") if kind not in given]
    unknown = [kind for kind in given if kind not in _KINDS]
    if missing or unknown:
        raise ValueError(
            f"composite has the kinds {list(given)}; expected 'conv' and 'linear', "
            "and optionally 'first' and 'join'."
        )
    rules = {kind: _resolve_rule(rule) for kind, rule in given.items()}
    rules.setdefault("join", RULES["epsilon"])
    if rules["join"].sides:
        raise ValueError("The rule for 'join' is epsilon; give ('epsilon', {...}).")
    return rules


def _resolve_rule(rule) -> Rule:
    if isinstance(rule, Rule):
        return rule
    name, parameters = (rule, {}) if isinstance(rule, str) else rule
    if name == "epsilon" and "epsilon" in parameters:
        parameters = {"relative": False, **parameters}
    if name not in RULES:
        raise ValueError(f"rule {name!r} is not known; expected one of {list(RULES)}.")
    if name == "alpha_beta" and parameters:
        return alpha_beta(**parameters)
    rule = named_rule(name, **parameters)
    if name == "z_box" and (rule.low is None or rule.high is None):
        raise ValueError(
            "z_box needs bounds of its input: ('z_box', {'low': 0, 'high': 1})."
        )
    return rule


def _everywhere(rule) -> dict[str, Rule]:
    return resolve_composite({"conv": rule, "linear": rule})


class LRPEpsilon(LRPComposite):
    """Relevance by contribution, with epsilon added to denominators.

    ``R_i = x_i w_ij R_j / (z_j + epsilon sign(z_j))``, with sign(0) = 1 and the bias
    in z. Without epsilon, in ReLU networks, it is input times gradient, and its base
    value likewise the output at s = 0.

    Parameters
    ----------
    epsilon : float, default=1e-3
        In the units of activations, as in Bach et al. 2015 and in other libraries. A
        layer whose outputs are smaller than that loses most of its relevance; where
        more than half is lost at a layer, a warning says so.
    relative : bool, default=False
        Take epsilon times the mean absolute value of the layer's outputs at the same
        place instead, so that a signal in other units is explained alike.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    def __init__(self, epsilon=1e-3, relative=False):
        self.epsilon = epsilon
        self.relative = relative

    def _rules(self):
        if not self.epsilon >= 0:
            raise ValueError(f"epsilon={self.epsilon!r}; expected at least 0.")
        epsilon = float(self.epsilon)
        rule = named_rule("epsilon", epsilon=epsilon, relative=self.relative)
        # sums and averages have no bias: all they need is a stabiliser
        join = RULES["epsilon"]
        join = replace(join, epsilon=min(join.epsilon, epsilon))
        return {"conv": rule, "linear": rule, "join": join}

    def _base(self, model, target):
        return output_at(model, target, model.zero_baseline())


class LRPAlphaBeta(LRPComposite):
    """Positive and negative contributions shared out apart (Bach et al. 2015).

    alpha times the relevance goes to positive contributions, -beta times to negative
    ones. Zorrilla Matilla et al. 2020 print alpha = beta = 1, whose relevance sums
    to 0; what they name, excitation backpropagation, is alpha = 1, beta = 0.

    Parameters
    ----------
    alpha : float, default=2.0
    beta : float, default=1.0
        alpha - beta should be 1, else relevance is not conserved and a warning says
        so.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    def __init__(self, alpha=2.0, beta=1.0):
        self.alpha = alpha
        self.beta = beta

    def _rules(self):
        if abs(self.alpha - self.beta - 1) > 1e-12:
            warnings.warn(
                f"alpha={self.alpha} and beta={self.beta}: relevance is conserved from "
                "layer to layer only where alpha - beta is 1.",
                UserWarning,
                stacklevel=2,
            )
        return _everywhere(alpha_beta(self.alpha, self.beta))


class LRPGamma(LRPComposite):
    """Positive contributions favoured by gamma, in its generalised form.

    For inputs and outputs of either sign (Montavon et al. 2019; Andeol et al. 2021).

    Parameters
    ----------
    gamma : float, default=0.25
        0 is the epsilon rule without epsilon.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    def __init__(self, gamma=0.25):
        self.gamma = gamma

    def _rules(self):
        if not self.gamma >= 0:
            raise ValueError(f"gamma={self.gamma!r}; expected at least 0.")
        return _everywhere(named_rule("gamma", gamma=float(self.gamma)))


class LRPZPlus(LRPComposite):
    """Relevance goes to positive contributions only: alpha = 1, beta = 0.

    Parameters
    ----------
    first : str, pair or Rule, default=None
        Another rule for the first layer; see `LRPComposite`.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    _name = "z_plus"

    def __init__(self, first=None):
        self.first = first

    def _rules(self):
        given = {"conv": self._name, "linear": self._name}
        if self.first is not None:
            given["first"] = self.first
        return resolve_composite(given)


class LRPZBox(LRPComposite):
    """The z-box rule for bounded inputs in the first layer, z+ above it.

    Parameters
    ----------
    low, high : float or array of shape (n_coefficients,), default=0.0 and 1.0
        Bounds of the coefficients; of the pixels where there is no transform.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    def __init__(self, low=0.0, high=1.0):
        self.low = low
        self.high = high

    def _rules(self):
        first = ("z_box", {"low": self.low, "high": self.high})
        return resolve_composite({"first": first, "conv": "z_plus", "linear": "z_plus"})


class LRPWSquare(LRPComposite):
    """Squared weights in the first layer, for unbounded inputs, z+ above it.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    _first = "w_square"

    def __init__(self):
        pass

    def _rules(self):
        return resolve_composite(
            {"first": self._first, "conv": "z_plus", "linear": "z_plus"}
        )


class LRPFlat(LRPWSquare):
    """Relevance spread evenly in the first layer, z+ above it.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    _first = "flat"


class DeepTaylor(LRPComposite):
    """Deep Taylor decomposition (Montavon et al. 2017).

    The z+ rule in hidden layers; in the first the z-box rule where bounds are given,
    else squared weights. It starts from the ReLU of the explained output, which is
    shared among the output units by their positive contributions, so that no
    relevance is negative.

    Parameters
    ----------
    low, high : float or array of shape (n_coefficients,), default=None
        Bounds of the coefficients; of the pixels where there is no transform.
    start : {"output", "one"}, default="output"
        Start from ReLU(output), so that samples whose output is negative have no
        relevance at all, or from 1, to compare maps whatever the output.

    Notes
    -----
    See `LRPComposite`, also on the patent that a peer's README mentions.
    """

    def __init__(self, low=None, high=None, start="output"):
        self.low = low
        self.high = high
        self.start = start

    def _rules(self):
        if self.start not in ("output", "one"):
            raise ValueError(f"start={self.start!r}; expected 'output' or 'one'.")
        if (self.low is None) != (self.high is None):
            raise ValueError("Give both low and high, or neither.")
        first = "w_square"
        if self.low is not None:
            first = ("z_box", {"low": self.low, "high": self.high})
        return resolve_composite({"first": first, "conv": "z_plus", "linear": "z_plus"})

    def _starts(self, target, out):
        explained = target(out)
        starts = []
        for t, weight in enumerate(_weights(target, out)):
            parts = weight * out
            share = parts.clamp(min=0)
            none = share.sum(1, keepdim=True) == 0
            share = torch.where(none, parts.abs(), share)
            share = divided(share, share.sum(1, keepdim=True).expand_as(share))
            amount = explained[:, t : t + 1].clamp(min=0)
            starts.append(share if self.start == "one" else share * amount)
        return starts
