"""Scorers by layer-wise relevance propagation, in the space of a transform."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from sklearn import get_config

from sktrim.inverse._modules import IdentityTwin
from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._lrp_method import RelevancePropagation
from sktrim.propagation.backward._lrp_rules import (
    RULES,
    Rule,
    alpha_beta,
    divided,
    named_rule,
)
from sktrim.propagation.backward._lrp_run import run_for_relevance
from sktrim.propagation.backward._lrp_values import relevance_of
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._in_chunks import (
    _entry,
    gradients_of,
    output_at,
    pulled,
    row_chunks,
)

_KINDS = ("first", "conv", "linear", "join")


class LRPComposite(Scorer):
    r"""Layer-wise relevance propagation with a rule for each kind of layer.

    The output is shared out from layer to layer, back to the coefficients:

    .. math::

       R_i = \sum_j \frac{c_{ij}}{\sum_{i'} c_{i'j} + c_{0j}} \, R_j, \qquad
       \phi_g = \sum_k M_{gk} \, R_k,

    where :math:`R_j` is the relevance of the outputs of an affine layer
    :math:`z_j = \sum_i x_i w_{ij} + b_j`, :math:`c_{ij}` the contribution of input i by
    the rule of the layer and :math:`c_{0j}` that of its bias, which absorbs relevance,
    and :math:`M_{gk}` the weight of coefficient k in group g. Activations pass
    relevance on; max pooling gives it to the winner, in equal shares where several tie;
    sums and averages share it out by contributions; batch norm is merged with the
    affine operation before it. A high score says that evidence for the output came from
    the group. In units of the output.

    Parameters
    ----------
    composite : dict, default=None
        Rules by kind: "conv", "linear", "first" (the first affine operation on the
        way from the input, whatever its kind) and "join" (sums and averages). A rule
        is a name ("epsilon", "z_plus", "alpha_beta", "gamma", "z_box", "w_square",
        "flat"), a pair of a name and its parameters such as
        ``("gamma", {"gamma": 0.1})`` or ``("alpha_beta", {"alpha": 1, "beta": 0})``,
        or a `sktrim.propagation.Rule`. None: gamma for convolutions,
        epsilon for linear layers.

    See Also
    --------
    LRPEpsilon : By contribution.
    LRPGamma : Positive contributions favoured.
    LRPAlphaBeta : Positive and negative contributions apart.
    LRPZPlus : Positive contributions only.
    LRPZBox : For bounded inputs in the first layer.
    LRPWSquare : For unbounded inputs in the first layer.
    LRPFlat : Evenly in the first layer.
    DeepTaylor : Never negative.

    Notes
    -----
    The method is that of :footcite:t:`bach2015lrp`; :footcite:t:`montavon2019lrp`
    compare the rules and recommend one for each depth. The relevance that starts is
    output times the gradient of the target, so that a logit starts with its value, and
    a margin with that of every class by its sign.

    In a transformed space :math:`T^{-1}` is folded into the first affine operation:
    coefficients are then its inputs. For the epsilon rule that is done by plain
    gradients; rules that depend on the signs of weights need the folded map itself,
    which must fit scikit-learn's ``working_memory``. (Relevance cannot be sent through
    :math:`T^{-1}` as a layer of its own as if it were a gradient: of an inverse FFT the
    sum would not be kept.) ``explanation.metadata["amplification"]`` is the sum of
    abs(relevance) over coefficients, over that over the signal: large where the
    relevance of coefficients cancels. ``explanation.metadata["conservation"]`` is the
    sum of the relevance that arrives over that which starts: 1 but for what biases,
    epsilon, softmax and other nonlinearities take or give.

    Attention, normalisations, gates and recurrent layers follow
    :footcite:t:`achtibat2024attnlrp`, whatever the rules of the layers: the gradient of
    softmax is the plain one, a product gives an equal share of the relevance to each
    factor that varies, and what activations are divided by counts as a constant, in
    layer, group, instance and RMS norm and where a network divides by itself (so a
    softmax written with exp and a quotient passes relevance on to its exponent).
    Recurrent layers go step by step. Relevance may then be negative under rules that
    promise otherwise.

    Without a transform, and where no maxima tie, the rules are those of zennit 0.5.1,
    to rounding. zennit goes by modules and needs to be told which batch norm to merge
    with what; here operations count, functional ones too.

    A peer's README states that LRP is patented and free for personal and scientific
    use only; see to it yourself whether that concerns you.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import LRPComposite
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> scorer = LRPComposite({"conv": "z_plus", "linear": ("gamma", {"gamma": 0.25})})
    >>> explanation = transform_importance(net, x, scorer=scorer)
    >>> explanation.values.round(2)
    array([[ 1.91,  2.87, -0.76]], dtype=float32)
    >>> explanation.metadata["conservation"].round(2)
    array([0.94], dtype=float32)
    """

    additive = True

    def __init__(self, composite=None):
        self.composite = composite

    def _rules(self) -> dict[str, Rule]:
        composite = self.composite
        if composite is None:
            composite = {"conv": "gamma", "linear": "epsilon"}
        return resolve_composite(composite)

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        rules = self._rules()
        _check_bounds(rules.get("first"), s)
        memory = int(get_config()["working_memory"] * 2**20)
        method = RelevancePropagation(rules, memory)
        parts = []
        for rows in row_chunks(model, len(s)):
            part, picked = model[rows], target[rows]
            relevance, at_signal, started = self._relevance(method, part, picked)
            values = groups.aggregate(relevance).movedim(0, -1)
            extra = {
                "amplification": _amplification(relevance, at_signal),
                "conservation": divided(relevance.sum(-1).T, started),
            }
            parts.append(Attribution(values, self._base(part, picked), extra=extra))
        _tell_absorbed(method.absorbed)
        return Attribution.join(parts)

    def _base(self, model, target):
        return None

    def _relevance(self, method, model, target):
        """Return the relevance of coefficients, that of signals, and its start."""
        # of shape (n_targets, n, n_coefficients)
        function, point = _entry(model)
        x, twin, leaf = (
            t.detach().clone().requires_grad_() for t in (point, point, model.s)
        )
        with torch.enable_grad():
            affine = _affine_input(model, twin, leaf)
            carrier = run_for_relevance(method, function, x, affine)
            model.check_output(carrier.full)
            out = relevance_of(method, carrier).reshape(len(x), -1)
        starts = self._starts(target, out.detach())
        gradients = []
        for t, start in enumerate(starts):
            parts = pulled(out, (x, twin, leaf), start, retain=t < len(starts) - 1)
            gradients.append([0 if part is None else part for part in parts])
        multiplier, direct, folded = (
            torch.stack([torch.zeros_like(like) + part[i] for part in gradients])
            for i, like in enumerate((x, twin, leaf))
        )
        at_signal = multiplier * point + direct
        # the sum (n, n_targets) of what the outputs start with
        started = torch.stack([start.sum(1) for start in starts], 1)
        if _is_identity(model):
            width = leaf.shape[1]
            moved = at_signal.flatten(2)
            moved = torch.nn.functional.pad(moved, (0, width - moved.shape[2]))
            return moved + folded, moved + folded, started
        relevance = model.s * model.pull_back(multiplier) + folded
        return relevance, at_signal, started

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


def _weights(target, out) -> torch.Tensor:
    """Gradients of the targets in the outputs, (n_targets, n, n_outputs)."""
    point = out.clone().requires_grad_()
    with torch.enable_grad():
        return gradients_of(target(point), point)


def _is_identity(model) -> bool:
    """Whether coefficients are the signal itself, or T^-1 counts as a layer."""
    if not model.is_affine:
        return True
    return isinstance(model.inverse, IdentityTwin) and not bool(model.r.any())


def _affine_input(model, twin, leaf) -> AffineInput:
    def synthesis(s):
        # an inverse that is not affine is run through like a part of the network
        return model.linear(model.extend(s)) if model.is_affine else s

    residual = model.r if model.component and model.is_affine else None
    return AffineInput(twin, _is_identity(model), leaf, synthesis, residual)


def _amplification(at_coefficients, at_signal):
    """Sum of abs over coefficients over that over the signal, 1 where both are 0."""
    above = at_coefficients.abs().sum(-1).movedim(0, -1)
    below = at_signal.abs().flatten(2).sum(-1).movedim(0, -1)
    return torch.where(below == 0, 1, divided(above, below))


def resolve_composite(composite: Any) -> dict[str, Rule]:
    """Turn names and pairs into rules; "join" is epsilon where it is not given."""
    if not isinstance(composite, Mapping):
        raise TypeError(f"composite={composite!r}; expected a dict of rules by kind.")
    missing = [kind for kind in ("conv", "linear") if kind not in composite]
    unknown = [kind for kind in composite if kind not in _KINDS]
    if missing or unknown:
        raise ValueError(
            f"composite has the kinds {list(composite)}; expected 'conv' and 'linear', "
            "and optionally 'first' and 'join'."
        )
    rules = {kind: _resolve_rule(rule) for kind, rule in composite.items()}
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


def _everywhere(rule, **first) -> dict[str, Rule]:
    return resolve_composite({"conv": rule, "linear": rule, **first})


class LRPEpsilon(LRPComposite):
    r"""Relevance by contribution, with epsilon added to denominators.

    .. math::

       R_i = \sum_j \frac{x_i w_{ij}}{z_j + \epsilon \, \mathrm{sign}(z_j)} \, R_j,
       \qquad z_j = \sum_i x_i w_{ij} + b_j, \quad \mathrm{sign}(0) = 1,

    at every affine layer, in the symbols of `LRPComposite`. A high score says that the
    group's contributions, with their signs, add to the output. In units of the output.

    Parameters
    ----------
    epsilon : float, default=1e-3
        In the units of activations, as in its source and in other libraries. A
        layer whose outputs are smaller than that loses most of its relevance; where
        more than half is lost at a layer, a warning says so.
    relative : bool, default=False
        Take epsilon times the mean absolute value of the layer's outputs at the same
        place instead, so that a signal in other units is explained alike.

    See Also
    --------
    LRPComposite : What all rules share, and a note on the patent.
    InputTimesGradient : What it is without epsilon in ReLU networks.

    Notes
    -----
    The rule is that of :footcite:t:`bach2015lrp`. Without epsilon, in ReLU networks, it
    is input times gradient :footcite:p:`ancona2018gradient`, and its base value
    likewise the output at s = 0. Epsilon absorbs relevance where contributions cancel;
    so do biases.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import LRPEpsilon
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer=LRPEpsilon(epsilon=0.25)).values.round(3)
    array([[ 1.889,  2.833, -0.944]], dtype=float32)
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
    r"""Positive and negative contributions shared out apart.

    .. math::

       R_i = \sum_j \left[
       \alpha \frac{(x_i w_{ij})^+}{\sum_{i'} (x_{i'} w_{i'j})^+ + b_j^+}
       - \beta \frac{(x_i w_{ij})^-}{\sum_{i'} (x_{i'} w_{i'j})^- + b_j^-}
       \right] R_j,

    with :math:`a^+ = \max(a, 0)` and :math:`a^- = \min(a, 0)`, at every affine layer,
    in the symbols of `LRPComposite`. alpha times the relevance goes to positive
    contributions, -beta times to negative ones. A high score says that the group
    excites what speaks for the output. In units of the output.

    Parameters
    ----------
    alpha : float, default=2.0
    beta : float, default=1.0
        alpha - beta should be 1, else relevance is not conserved and a warning says
        so.

    See Also
    --------
    LRPZPlus : alpha = 1, beta = 0.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule is that of :footcite:t:`bach2015lrp`. :footcite:t:`zorrilla2020lensing`
    print alpha = beta = 1, whose relevance sums to 0; what they name, excitation
    backpropagation :footcite:p:`zhang2018excitation`, is alpha = 1, beta = 0. A side
    without contributions passes nothing on.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer="lrp_alpha_beta").values.round(3)
    array([[ 3.238,  4.857, -4.25 ]], dtype=float32)
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
    r"""Positive contributions favoured by gamma, in its generalised form.

    .. math::

       R_i = \sum_j \frac{c_{ij}}{\sum_{i'} c_{i'j} + c_{0j}} \, R_j, \qquad
       c_{ij} = x_i w_{ij} + \gamma \, (x_i w_{ij})^{\pm}, \quad
       c_{0j} = b_j + \gamma \, b_j^{\pm},

    at every affine layer, in the symbols of `LRPComposite`, where :math:`(\cdot)^{\pm}`
    keeps contributions of the sign of :math:`z_j`: those that speak for what the unit
    says weigh 1 + gamma. A high score says that the group contributes to the output,
    cancellations damped. In units of the output.

    Parameters
    ----------
    gamma : float, default=0.25
        0 is the epsilon rule without epsilon; as it grows, contributions against the
        unit's own sign cease to count.

    See Also
    --------
    LRPZPlus : The limit of large gamma where outputs are positive.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule of :footcite:t:`montavon2019lrp` is for inputs and outputs that are not
    negative; this is the form for either sign :footcite:p:`andeol2021gamma`, which is
    the same there.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer="lrp_gamma").values.round(3)
    array([[ 1.91 ,  2.865, -0.764]], dtype=float32)
    """

    def __init__(self, gamma=0.25):
        self.gamma = gamma

    def _rules(self):
        if not self.gamma >= 0:
            raise ValueError(f"gamma={self.gamma!r}; expected at least 0.")
        return _everywhere(named_rule("gamma", gamma=float(self.gamma)))


class LRPZPlus(LRPComposite):
    r"""Relevance goes to positive contributions only: alpha = 1, beta = 0.

    .. math::

       R_i = \sum_j \frac{(x_i w_{ij})^+}{\sum_{i'} (x_{i'} w_{i'j})^+ + b_j^+} \, R_j,
       \qquad a^+ = \max(a, 0),

    at every affine layer, in the symbols of `LRPComposite`. A high score says that the
    group excites what speaks for the output; a group that inhibits scores 0. In units
    of the output.

    Parameters
    ----------
    first : str, pair or Rule, default=None
        Another rule for the first layer; see `LRPComposite`.

    See Also
    --------
    LRPAlphaBeta : Negative contributions too.
    LRPZBox, LRPWSquare, LRPFlat : Other rules in the first layer.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule is that of :footcite:t:`montavon2017deeptaylor`, for inputs of either sign,
    and excitation backpropagation :footcite:p:`zhang2018excitation`. Of a single output
    unit all relevance has the unit's sign. Through many layers the rule loses what the
    upper ones learned :footcite:p:`sixt2020lie`, so see how much of a map is the
    input's own: `sktrim.evaluation.randomisation_test`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer="lrp_z_plus").values.round(3)
    array([[1.619, 2.429, 0.   ]], dtype=float32)
    """

    def __init__(self, first=None):
        self.first = first

    def _rules(self):
        first = {} if self.first is None else {"first": self.first}
        return _everywhere("z_plus", **first)


class LRPZBox(LRPComposite):
    r"""The z-box rule for bounded inputs in the first layer, z+ above it.

    .. math::

       R_i = \sum_j \frac{c_{ij}}{\sum_{i'} c_{i'j}} \, R_j, \qquad
       c_{ij} = x_i w_{ij} - l_i w_{ij}^+ - h_i w_{ij}^-,

    in the first layer, in the symbols of `LRPComposite`, with the bounds
    :math:`l_i \le x_i \le h_i`, :math:`a^+ = \max(a, 0)` and :math:`a^- = \min(a, 0)`.
    All contributions are positive: they are measured from the corner of the box that is
    worst for the unit. A high score says that the group, as far as it is from its
    bounds, excites what speaks for the output. In units of the output.

    Parameters
    ----------
    low, high : float or array of shape (n_coefficients,), default=0.0 and 1.0
        Bounds of the coefficients; of the pixels where there is no transform.

    See Also
    --------
    DeepTaylor : The same layers, from the ReLU of the output.
    LRPZPlus : The rule above the first layer.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule is that of :footcite:t:`montavon2017deeptaylor`, for pixels. Coefficients
    outside the bounds bring a warning. The bias of the first layer takes no part.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import LRPZBox
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer=LRPZBox(-3, 3)).values.round(3)
    array([[2.345, 1.759, 0.147]], dtype=float32)
    """

    def __init__(self, low=0.0, high=1.0):
        self.low = low
        self.high = high

    def _rules(self):
        first = ("z_box", {"low": self.low, "high": self.high})
        return _everywhere("z_plus", first=first)


class LRPWSquare(LRPComposite):
    r"""Squared weights in the first layer, for unbounded inputs, z+ above it.

    .. math::

       R_i = \sum_j \frac{w_{ij}^2}{\sum_{i'} w_{i'j}^2 + b_j^2} \, R_j

    in the first layer, in the symbols of `LRPComposite`. A high score says that what
    speaks for the output is sensitive to the group, whatever the value of its
    coefficients: the sample has its say above the first layer alone. In units of the
    output.

    See Also
    --------
    LRPZBox : For bounded inputs.
    LRPFlat : Evenly, instead of by weights.
    LRPZPlus : The rule above the first layer.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule is that of :footcite:t:`montavon2017deeptaylor`, for inputs that may be any
    real numbers. With a transform, w are the weights of the first layer folded with
    :math:`T^{-1}`, so that coefficients in larger units get less.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer="lrp_w_square").values.round(3)
    array([[3.2, 0.8, 0.2]], dtype=float32)
    """

    _first = "w_square"

    def __init__(self):
        pass

    def _rules(self):
        return _everywhere("z_plus", first=self._first)


class LRPFlat(LRPWSquare):
    r"""Relevance spread evenly in the first layer, z+ above it.

    .. math::

       R_i = \sum_j \frac{R_j}{n_j}

    in the first layer, in the symbols of `LRPComposite`, where :math:`n_j` is the
    number of inputs that unit j is connected to. A high score says that units which
    speak for the output look at the group. In units of the output.

    See Also
    --------
    LRPWSquare : By weights, instead of evenly.
    LRPZPlus : The rule above the first layer.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The rule is the "flat" one of :footcite:t:`montavon2019lrp`: neither inputs nor
    weights of the first layer count. With a transform, or where the first layer is
    fully connected, every unit is connected to all coefficients, which then have the
    same score: use it for convolutions of pixels.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer="lrp_flat").values.round(3)
    array([[1.417, 1.417, 1.417]], dtype=float32)
    """

    _first = "flat"


class DeepTaylor(LRPComposite):
    r"""Deep Taylor decomposition: relevance that is never negative.

    .. math::

       R_o = \frac{p_o^+}{\sum_{o'} p_{o'}^+} \, F^+, \qquad
       p_o = \frac{\partial F}{\partial y_o} \, y_o, \qquad a^+ = \max(a, 0),

    is what output unit :math:`y_o` starts with where :math:`F` is explained; from there
    the z+ rule shares it out in hidden layers, and in the first the z-box rule where
    bounds are given, else squared weights. A high score says that the group excites
    what speaks for the output. In units of the output.

    Parameters
    ----------
    low, high : float or array of shape (n_coefficients,), default=None
        Bounds of the coefficients; of the pixels where there is no transform.
    start : {"output", "one"}, default="output"
        Start from ReLU(output), so that samples whose output is negative have no
        relevance at all, or from 1, to compare maps whatever the output.

    See Also
    --------
    LRPZPlus, LRPZBox, LRPWSquare : The rules.
    LRPComposite : What all rules share, and a note on the patent.

    Notes
    -----
    The method is that of :footcite:t:`montavon2017deeptaylor`, whose derivation asks
    for biases that are not positive; here positive ones absorb relevance. They explain
    one output unit; of a margin, the start is shared among the units by their positive
    contributions. Maps may owe more to the input than to what the network learned:
    those of a trained and of random networks are correlated by .88 to .99 in
    :footcite:t:`zorrilla2020lensing`, Table II.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A linear unit with weights (2, -1, 0.5) and bias 0.25 at (1, -3, -2), an output of
    4.25:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import DeepTaylor
    >>> net, values = torch.nn.Linear(3, 1), torch.tensor([2.0, -1.0, 0.5, 0.25])
    >>> torch.nn.utils.vector_to_parameters(values, net.parameters())
    >>> x = np.array([[1.0, -3.0, -2.0]])
    >>> transform_importance(net, x, scorer=DeepTaylor(low=-3, high=3)).values.round(3)
    array([[2.345, 1.759, 0.147]], dtype=float32)
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
        return _everywhere("z_plus", first=first)

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
