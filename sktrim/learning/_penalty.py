"""A penalty on what a network uses, to train by."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from sktrim.exceptions import NonFiniteLossError
from sktrim.learning._scores import BatchScores, check_differentiable
from sktrim.network._evaluation import evaluation_mode
from sktrim.scorers._base import draw_seed
from sktrim.targets import OUTPUTS

__all__ = ["ExplanationPenalty"]

LOSSES = ("absolute", "squared", "softmax")
PERTURBATIONS = ("noise", "adversarial")


class ExplanationPenalty(BaseEstimator):
    r"""A term of the loss that says what a network shall not use, or how much.

    .. math::

       L(f(x), y) + \lambda \, \frac{1}{n T} \sum_{i, t} \sum_g
       \ell\bigl(\phi_{igt} - w_g\bigr),

    where :math:`\phi_{igt}` is the score of group g of sample i for target t in the
    space of a transform, :math:`w_g` the score that is wanted, mostly 0, and
    :math:`\ell` the size or the square. Call it on a batch in any loop, or give it to a
    `PenalisedClassifier`.

    Parameters
    ----------
    transformer : fitted transformer, fitted TransformImportance or None, default=None
        The space; None: the signal's own values. Of a TransformImportance also its
        groups, scorer, target, output and layer, where they are not given here.
    wanted : float, array-like of shape (n_groups,) or dict, default=0.0
        The scores that are wanted; NaN: whatever it is. A dict names groups, and the
        others are free. Only groups that are not free are scored.
    groups : as in TransformImportance, default=None
        None: those of the TransformImportance, or "natural".
    scorer : str or Scorer, default=None
        Whose scores: "cd", "occlusion", "gradient", "gradient_squared",
        "input_x_gradient", "integrated_gradients", "expected_gradients", ...; None:
        that of the TransformImportance, or "occlusion". See Notes for which to take.
    loss : {"absolute", "squared", "softmax"}, default="squared"
        "softmax": the group's share against the rest's in a softmax of the two,
        :math:`\sigma(\phi - (F - \phi))` with the explained output F, as in the code of
        :footcite:t:`rieger2020cdep`; it knows no wanted score but low.
    weight : float, default=1.0
        :math:`\lambda`.
    target : as in TransformImportance, or "log_probabilities", default=None
        Which outputs; None: that of the TransformImportance, or "all". Gradients take
        one backward pass for each. "log_probabilities": their sum over classes, as
        :footcite:t:`ross2017rrr` differentiate.
    output : {"auto", "margin", "logit", "probability", "raw"}, default=None
        None: that of the TransformImportance, or "auto".
    layer : str or torch.nn.Module, default=None
        The penalty is on what this layer puts out; what is before it is left alone.
    perturbation : {"noise", "adversarial"} or None, default=None
        Where scores are taken: at the sample; at one whose penalised groups are moved
        by uniform noise, at most `radius` in each coefficient; or by `n_steps` steps
        towards the largest penalty within that. For penalties that hold around a sample
        as well.
    radius : float, default=1.0
        In units of the coefficients.
    n_steps : int, default=3
        Of an adversarial perturbation.
    n_drawn : int or None, default=None
        So many groups, drawn anew at every call, stand for all.
    probabilities : array-like of shape (n_groups,), default=None
        With which they are drawn; None: alike.
    background : array-like of shape (n_rows, ...), default=None
        Rows of X for scorers that compare with some.
    random_state : int, RandomState or None, default=None

    See Also
    --------
    PenalisedClassifier, PenalisedRegressor : skorch nets that train with one.
    sktrim.TransformImportance : Finds what to penalise, and whether it is gone.

    Notes
    -----
    Contextual decomposition as a penalty is due to :footcite:t:`rieger2020cdep`,
    squared input gradients to :footcite:t:`ross2017rrr`, here
    ``scorer="gradient_squared", target="log_probabilities", loss="absolute"``, expected
    gradients to :footcite:t:`erion2021expected`, and penalties around a sample to
    :footcite:t:`heo2023perturbations`.

    **Which scorer.** A penalty makes a score small, not what it stands for. That of CD
    by its default rule is what the group gives by itself: a network can keep that at 0,
    by ReLUs which are off unless the rest is there too, and use the group all the same.
    Gradients are local: a network can be flat where the samples are. "occlusion"
    compares outputs with and without the group, ``Occlusion(baseline="rows")`` with
    those where it is another sample's, and nothing is left to hide in. Its
    price is one forward pass for each row. `ContextualDecomposition` with
    ``nonlinearity="symmetric"`` sees the group in its context too.

    The network is held in evaluation mode while it is scored: dropout is off, batch
    norm uses its running statistics. Coefficients are constants; the gradient leads to
    the parameters alone.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    The second column is not to be used:

    >>> import torch
    >>> from sktrim.learning import ExplanationPenalty
    >>> penalty = ExplanationPenalty(wanted={"coefficient1": 0.0}, scorer="cd")
    >>> net, x = torch.nn.Linear(2, 1, bias=False), torch.tensor([[1.0, 3.0]])
    >>> value = penalty(net, x)
    >>> bool(torch.isclose(value, (3 * net.weight[0, 1]) ** 2))
    True
    >>> value.backward()
    >>> net.weight.grad[0, 0]
    tensor(0.)
    """

    _parameter_constraints: ClassVar[dict] = {
        "loss": [StrOptions(set(LOSSES))],
        "weight": [Interval(Real, 0, None, closed="left")],
        "output": [StrOptions(set(OUTPUTS)), None],
        "perturbation": [StrOptions(set(PERTURBATIONS)), None],
        "radius": [Interval(Real, 0, None, closed="neither")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "n_drawn": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        transformer: Any = None,
        *,
        wanted: Any = 0.0,
        groups: Any = None,
        scorer: Any = None,
        loss: str = "squared",
        weight: float = 1.0,
        target: Any = None,
        output: str | None = None,
        layer: Any = None,
        perturbation: str | None = None,
        radius: float = 1.0,
        n_steps: int = 3,
        n_drawn: int | None = None,
        probabilities: Any = None,
        background: Any = None,
        random_state: Any = None,
    ) -> None:
        self.transformer = transformer
        self.wanted = wanted
        self.groups = groups
        self.scorer = scorer
        self.loss = loss
        self.weight = weight
        self.target = target
        self.output = output
        self.layer = layer
        self.perturbation = perturbation
        self.radius = radius
        self.n_steps = n_steps
        self.n_drawn = n_drawn
        self.probabilities = probabilities
        self.background = background
        self.random_state = random_state

    def __call__(
        self,
        module: nn.Module,
        x: Tensor,
        y: Any = None,
        *,
        masks: Tensor | None = None,
        kind: str | None = None,
    ) -> Tensor:
        r"""Return the weighted penalty on a batch.

        Parameters
        ----------
        module : torch.nn.Module
            The network; in training mode or not, it is left as it is.
        x : torch.Tensor of shape (n_samples, \*signal_shape)
        y : torch.Tensor of shape (n_samples,), default=None
            Labels, for ``target="true"``.
        masks : torch.Tensor of shape (n_samples, \*signal_shape) or \
                (n_samples, n_coefficients), default=None
            What is penalised in each sample, weights in [0, 1], instead of groups: a
            patch that somebody marked.
        kind : {"classifier", "regressor"} or None
            None: a classifier where there are two outputs or more.

        Returns
        -------
        torch.Tensor of shape ()
            Differentiable with respect to the parameters.

        Raises
        ------
        NonFiniteLossError
            If a score is NaN or infinite.
        TypeError
            If the scores of this scorer cannot be differentiated.
        ValueError
            If `wanted`, `masks` or a parameter does not fit.
        """
        if not self.weight:
            return torch.zeros((), dtype=x.dtype, device=x.device)
        settled = self._asked().settle(module, x, kind)
        parts, wanted = self._parts(settled, x, masks)
        with evaluation_mode(module), torch.enable_grad():
            model = settled.model(x)
            target = settled.target(model, y)
            if self.perturbation is not None:
                model = self._moved(settled, model, target, parts, wanted)
            value = self._loss(settled, model, target, parts, wanted)
        if not torch.isfinite(value):
            raise NonFiniteLossError(
                f"The penalty (scorer {type(settled.asked.scorer).__name__}, weight "
                f"{self.weight:g}) is {float(value):g}. Likely causes: (a) training "
                "diverges: lower the learning rate or the weight; (b) x holds NaN. The "
                "network is as it was after the last step."
            )
        return self.weight * value

    def scores(self, module: nn.Module, x: Tensor, y: Any = None) -> Tensor:
        r"""Return the scores of all groups, which keep their graph.

        Parameters
        ----------
        module : torch.nn.Module
        x : torch.Tensor of shape (n_samples, \*signal_shape)
        y : torch.Tensor of shape (n_samples,), default=None

        Returns
        -------
        torch.Tensor of shape (n_samples, n_groups, n_targets)
        """
        settled = self._asked().settle(module, x, None)
        with evaluation_mode(module), torch.enable_grad():
            model = settled.model(x)
            scores = settled.scores(
                model, settled.target(model, y), settled.masks[:, None]
            )
        return scores.movedim(0, 1)

    def _asked(self) -> BatchScores:
        """Return what is asked of every batch, made anew where a parameter changed."""
        names = [n for n in self.get_params(deep=False) if n not in _OF_THE_LOSS]
        now = {name: getattr(self, name) for name in names}
        before = getattr(self, "_before", None)
        if before is None or any(before[n] is not now[n] for n in names):
            seed = draw_seed(self.random_state)
            self._before, self._batches = now, self._made(seed)
            self._rng = np.random.default_rng(seed)
        return self._batches

    def _made(self, seed: int) -> BatchScores:
        self._validate_params()
        trim = self.transformer if _is_trim(self.transformer) else None
        scorer = _first(self.scorer, getattr(trim, "scorer", None), "occlusion")
        groups = None if trim is None else trim.groups_
        return BatchScores(
            transformer=self.transformer if trim is None else trim.transformer_,
            groups=_first(self.groups, groups, "natural"),
            scorer=check_differentiable(scorer),
            target=_first(self.target, getattr(trim, "target", None), "all"),
            output=_first(self.output, getattr(trim, "output", None), "auto"),
            layer=_first(self.layer, getattr(trim, "layer", None)),
            background=self.background,
            seed=seed,
        )

    def _parts(
        self, settled: Any, x: Tensor, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return weights (n_parts, n or 1, n_coefficients) and the scores wanted."""
        n_coefficients = settled.groups.n_coefficients
        like = settled.masks
        if masks is not None:
            if len(masks) != len(x) or masks[0].numel() != n_coefficients:
                raise ValueError(
                    f"masks has shape {tuple(masks.shape)} for {len(x)} samples of "
                    f"{n_coefficients} coefficients; expected ({len(x)}, "
                    f"{n_coefficients}), or laid out as a signal."
                )
            if not isinstance(self.wanted, Real):
                raise ValueError(
                    f"wanted={self.wanted!r} speaks of groups; with masks= give one "
                    "number."
                )
            parts = masks.to(like).reshape(1, len(x), -1)
            return parts, like.new_tensor([float(self.wanted)])
        wanted = _wanted_scores(self.wanted, settled.groups.names)
        which = np.flatnonzero(~np.isnan(wanted))
        if self.n_drawn is not None:
            which = self._draw(which, len(wanted))
        return like[which][:, None], like.new_tensor(wanted[which])

    def _draw(self, which: np.ndarray, n_groups: int) -> np.ndarray:
        """Draw some of the groups that are not free."""
        weights = None
        if self.probabilities is not None:
            weights = np.asarray(self.probabilities, dtype=float).ravel()
            if weights.shape != (n_groups,) or not (weights[which] >= 0).all():
                raise ValueError(
                    f"probabilities has shape {weights.shape} for {n_groups} groups; "
                    "expected one number of at least 0 for each."
                )
            weights = weights[which] / weights[which].sum()
        return self._rng.choice(which, self.n_drawn, p=weights)

    def _moved(
        self, settled: Any, model: Any, target: Any, parts: Tensor, wanted: Tensor
    ) -> Any:
        """Move the penalised coefficients by noise, or to where it is worst."""
        weights = parts.amax(0).expand_as(model.s)
        draws = self._rng.uniform(-1, 1, weights.shape)
        change = self.radius * weights * torch.as_tensor(draws).to(model.s)
        if self.perturbation == "noise":
            return settled.at(model, model.s + change)
        for _ in range(self.n_steps):
            s = (model.s + change).requires_grad_()
            value = self._loss(settled, settled.at(model, s), target, parts, wanted)
            [slope] = torch.autograd.grad(value, s)
            step = 2 * self.radius / self.n_steps * weights * slope.sign()
            change = (change + step).clamp(-self.radius, self.radius)
        return settled.at(model, model.s + change)

    def _loss(
        self, settled: Any, model: Any, target: Any, parts: Tensor, wanted: Tensor
    ) -> Tensor:
        """Return the penalty itself: a sum over parts, a mean over the others."""
        scores = settled.scores(model, target, parts)
        if self.loss == "softmax":
            whole = target(model.output(model.x))
            return (2 * scores - whole).sigmoid().mean((1, 2)).sum()
        off = scores - wanted[:, None, None]
        sizes = off.abs() if self.loss == "absolute" else off.square()
        return sizes.mean((1, 2)).sum()

    def __sklearn_clone__(self) -> Self:
        # the transformer is fitted, and stays so
        return type(self)(**self.get_params(deep=False))

    def __getstate__(self) -> dict:
        state: Any = super().__getstate__()
        own = ("_before", "_batches", "_rng")
        return {name: value for name, value in state.items() if name not in own}


_OF_THE_LOSS = (
    "wanted loss weight perturbation radius n_steps n_drawn probabilities".split()
)
"""Parameters that may change from one batch to the next."""


def _is_trim(transformer: Any) -> bool:
    return hasattr(transformer, "composed_models")


def _first(*options: Any) -> Any:
    """Return the first option that is not None."""
    return next((option for option in options if option is not None), None)


def _wanted_scores(wanted: Any, names: list[str]) -> np.ndarray:
    """Return the score wanted of each group, NaN where it is free."""
    if isinstance(wanted, Mapping):
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise ValueError(
                f"wanted names {unknown[0]!r}; the {len(names)} groups are "
                f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
            )
        return np.array([float(wanted.get(name, np.nan)) for name in names])
    values = np.asarray(wanted, dtype=float)
    if values.ndim and values.shape != (len(names),):
        raise ValueError(
            f"wanted has shape {values.shape} for {len(names)} groups; expected one "
            "score, one for each group, or a dict."
        )
    scores = np.broadcast_to(values, (len(names),))
    if np.isnan(scores).all():
        raise ValueError("wanted is NaN for every group, so that nothing is penalised.")
    return scores
