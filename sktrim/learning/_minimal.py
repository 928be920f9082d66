"""The sparsest mask over groups that keeps a prediction."""

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
from torch import Tensor
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.composed._coefficients import coefficients_of
from sktrim.inverse._numpy import NumpyInverse
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy

__all__ = ["Masks", "MinimalMask"]


@dataclass(eq=False)
class Masks:
    """Masks over groups, one for each sample, that keep what the network says.

    Parameters
    ----------
    kept : ndarray of bool of shape (n_samples, n_groups)
        Groups that suffice, all others at their baseline.
    soft : ndarray of shape (n_samples, n_groups)
        The mask in [0, 1] that was learned, by which groups were ranked.
    group_names : list of str
    outputs : ndarray of shape (n_samples,)
        The explained output of whole signals.
    kept_outputs : ndarray of shape (n_samples,)
        That of what is kept.
    tolerances : ndarray of shape (n_samples,)
        By how much they may differ.

    See Also
    --------
    MinimalMask : Finds them.
    """

    kept: np.ndarray
    soft: np.ndarray
    group_names: list[str]
    outputs: np.ndarray
    kept_outputs: np.ndarray
    tolerances: np.ndarray

    @property
    def n_kept(self) -> np.ndarray:
        """Number of groups that each sample keeps, of shape (n_samples,)."""
        return self.kept.sum(axis=1)

    def names(self, sample: int) -> list[str]:
        """Return the names of the groups that a sample keeps."""
        return [
            name
            for name, kept in zip(self.group_names, self.kept[sample], strict=True)
            if kept
        ]

    def __repr__(self) -> str:
        n_samples, n_groups = self.kept.shape
        return (
            f"Masks({n_samples} samples; {self.n_kept.mean():.1f} of {n_groups} groups "
            "kept on average)"
        )


class MinimalMask(BaseEstimator):
    r"""Finds the fewest groups that keep a prediction, all others at zero.

    .. math::

       \min_m \; \sum_g m_g + \tau \sum_g | m_{g + 1} - m_g |
       \quad \text{subject to} \quad
       \bigl| F\bigl(m \odot s\bigr) - F(s) \bigr| \le \epsilon,
       \qquad m_g \in [0, 1],

    for each sample, with the explained output F as a function of coefficients. The
    constraint's weight grows where it is broken and falls where it is not. The groups
    are then ranked by their m, and the shortest beginning of that list is kept for
    which the constraint holds with weights of 0 and 1.

    Parameters
    ----------
    trim : fitted TransformImportance
        Its space, groups, target and output. Its groups do not overlap.
    tolerance : float, default=0.1
        :math:`\epsilon`, as a share of how far the output of the sample is from that of
        coefficients that are all 0.
    smoothness : float, default=0.0
        :math:`\tau`: neighbouring groups, such as bands, are kept or left together.
    n_steps : int, default=300
    lr : float, default=0.05
        Step size of Adam on the logits of m.
    verbose : int, default=0
        1 shows a progress bar.

    See Also
    --------
    LearnedTransformer : A space in which few coefficients say it all.
    sktrim.TransformImportance : What each group contributes.

    Notes
    -----
    A mask that keeps the prediction is what the code of :footcite:t:`singh2020trim`
    optimises; with smooth bands of frequencies it is near to
    :footcite:t:`brusch2024flextime`, who maximise the predicted class and cap the mean
    of the mask instead of asking for a tolerance. What suffices need not be all that
    matters: of two groups that say the same one is kept.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.learning import MinimalMask
    >>> net = torch.nn.Linear(5, 1, bias=False)
    >>> _ = net.weight.data.copy_(torch.tensor([[0.0, 3.0, 0.1, 0.0, 2.0]]))
    >>> X = np.ones((1, 5), dtype="float32")
    >>> trim = TransformImportance(net).fit(X)
    >>> MinimalMask(trim).explain(X).names(0)
    ['coefficient1', 'coefficient4']
    """

    _parameter_constraints: ClassVar[dict] = {
        "tolerance": [Interval(Real, 0, None, closed="neither")],
        "smoothness": [Interval(Real, 0, None, closed="left")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        trim: Any,
        *,
        tolerance: float = 0.1,
        smoothness: float = 0.0,
        n_steps: int = 300,
        lr: float = 0.05,
        verbose: int = 0,
    ) -> None:
        self.trim = trim
        self.tolerance = tolerance
        self.smoothness = smoothness
        self.n_steps = n_steps
        self.lr = lr
        self.verbose = verbose

    def explain(self, X: Any, y: Any = None) -> Masks:
        """Find a mask for each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            As `trim` takes it.
        y : array-like of shape (n_samples,), default=None
            Labels, where `trim` explains the true class.

        Returns
        -------
        Masks

        Raises
        ------
        TypeError
            If the network or the transform has no gradient.
        ValueError
            If groups overlap, or several targets are explained.
        """
        self._validate_params()
        masks = self.trim.groups_.masks
        if (masks.sum(axis=0) > 1 + 1e-9).any():
            raise ValueError(
                "Groups overlap, so that one is not kept without a part of another; "
                "expected groups whose weights sum to at most 1."
            )
        network = self.trim.network_
        inverse = self.trim.question_.inverse
        if not network.has_gradient or isinstance(inverse, NumpyInverse):
            raise TypeError(
                f"{type(network.estimator).__name__} behind the transform has no "
                "gradient, by which a mask is learned."
            )
        found: list[tuple] = []
        question, x = self.trim.question_, self.trim.signals(X)
        s = coefficients_of(self.trim.transformer_, x)
        _, resolved = question.resolve(x, y)
        pieces = list(chunks(len(s), question.rows_at_once(len(s))))
        for rows in tqdm(pieces, unit="chunk", disable=not self.verbose):
            model = question.model(x[rows], s[rows])
            with evaluation_mode(network.module):
                found.append(
                    self._chunk(model, resolved.target[rows], question.masks())
                )
        parts = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
        kept, soft, outputs, kept_outputs, tolerances = parts
        return Masks(
            kept.astype(bool),
            soft,
            self.trim.question_.group_names,
            outputs,
            kept_outputs,
            tolerances,
        )

    def _chunk(self, model: Any, target: Any, groups: Any) -> tuple:
        """Learn masks of some samples, and cut them to 0 and 1."""
        with torch.no_grad():
            whole = target(model(model.s))
            zero = target(model(torch.zeros_like(model.s)))
        if whole.shape[1] > 1:
            raise ValueError(
                f"{whole.shape[1]} targets are explained; a mask keeps one. Give trim "
                "target='predicted' or an output."
            )
        allowed = self.tolerance * (whole - zero).abs()[:, 0]
        ungrouped = 1 - groups.total().clamp(max=1)

        def output(mask: Tensor) -> Tensor:
            weights = groups.spread(mask) + ungrouped
            return target(model(weights * model.s))[:, 0]

        soft = self._soft(output, whole[:, 0], allowed, len(groups))
        kept, reached = _cut(output, whole[:, 0], allowed, soft)
        arrays = kept, soft, whole[:, 0], reached, allowed
        return tuple(to_numpy(values) for values in arrays)

    def _soft(
        self, output: Any, whole: Tensor, allowed: Tensor, n_groups: int
    ) -> Tensor:
        """Learn weights in [0, 1] with a weight on the constraint for each sample."""
        logits = whole.new_zeros(len(whole), n_groups).requires_grad_()
        optimizer = torch.optim.Adam([logits], self.lr)
        weight = torch.ones_like(whole)
        scale = allowed.clamp(min=torch.finfo(whole.dtype).tiny)
        for _ in range(self.n_steps):
            mask = logits.sigmoid()
            excess = ((output(mask) - whole).abs() - allowed) / scale
            size = mask.sum(1)
            if self.smoothness:
                size = size + self.smoothness * mask.diff(dim=1).abs().sum(1)
            loss = size / n_groups + weight * excess.clamp(min=0)
            optimizer.zero_grad()
            loss.sum().backward()
            optimizer.step()
            broken = excess.detach() > 0
            weight = (weight * torch.where(broken, 1.05, 0.97)).clamp(1e-4, 1e4)
        return logits.detach().sigmoid()


@torch.no_grad()
def _cut(
    output: Any, whole: Tensor, allowed: Tensor, soft: Tensor
) -> tuple[Tensor, Tensor]:
    """Keep the shortest beginning of the ranking for which the constraint holds."""
    order = soft.argsort(dim=1, descending=True, stable=True)
    places = torch.empty_like(order)
    n_groups = soft.shape[1]
    ranks = torch.arange(n_groups, device=soft.device).expand_as(order)
    places.scatter_(1, order, ranks)
    kept, reached = torch.ones_like(soft), whole.clone()
    done = torch.zeros_like(whole, dtype=torch.bool)
    rounding = 1e-6 * whole.abs()
    for count in range(n_groups + 1):
        mask = (places < count).to(soft)
        value = output(mask)
        now = ((value - whole).abs() <= allowed + rounding) & ~done
        kept = torch.where(now[:, None], mask, kept)
        reached = torch.where(now, value, reached)
        done |= now
        if done.all():
            break
    return kept, reached
