"""Deletion and insertion curves in coefficient space, and their gap as a score."""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class FaithfulnessCurves:
    """What the explained output does as groups are removed or restored in order.

    Parameters
    ----------
    fractions : ndarray of shape (n_points,)
        Share of the groups removed (deletion) or restored (insertion).
    deletion : ndarray of shape (n_samples, n_points)
        Output as the groups are replaced by zero, the highest score first.
    insertion : ndarray of shape (n_samples, n_points)
        Output as the groups are put back, the highest score first.
    """

    fractions: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """Area between insertion and deletion of each sample, (n_samples,)."""
        difference = self.insertion - self.deletion
        return np.trapezoid(difference, self.fractions, axis=1)


def _steps(n_groups: int, max_steps: int) -> np.ndarray:
    """Numbers of groups removed at the points of a curve, from 0 to all."""
    n_points = min(n_groups, max_steps) + 1
    return np.unique(np.linspace(0, n_groups, n_points).round().astype(int))


def _curve(model, target, keep, masks, order, steps, restore) -> torch.Tensor:
    """Trace outputs (n_samples, n_points) while groups are cut out or restored."""
    cut = torch.ones_like(model.s)
    points = []
    for before, after in zip(np.r_[0, steps[:-1]], steps, strict=True):
        for j in range(before, after):
            cut = cut * (1 - masks[order[:, j]])
        kept = keep + (1 - cut) * (1 - keep) if restore else cut
        points.append(target(model(model.s * kept))[:, 0])
    return torch.stack(points, dim=1)


def faithfulness_curves(trim, X, y=None, *, scores=None, max_steps=20):
    """Remove and restore groups in the order of their scores and watch the output.

    The output is the probability of the explained class for a classifier, and the
    explained output in units of its standard deviation over X for a regressor, so
    that curves of different transforms compare. Coefficients outside every group
    stay; the residual is held as ``trim.residual`` says.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
        What ``trim.explain`` takes.
    y : array-like of shape (n_samples,) or None
        For ``target="true"``.
    scores : ndarray of shape (n_samples, n_groups) or None
        Order the groups by these; None: by ``trim.explain(X, y).values``.
    max_steps : int, default=20
        Groups beyond this number are removed several at a time.

    Returns
    -------
    FaithfulnessCurves
    """
    if scores is None:
        scores = trim.explain(X, y).values
    scores = np.asarray(scores)
    if scores.ndim != 2:
        raise ValueError(
            'Faithfulness needs one target per sample; target="all" has several. Use '
            'target="predicted" or an output column.'
        )
    steps = _steps(scores.shape[1], max_steps)
    order = np.argsort(-scores, axis=1, kind="stable")
    deletion, insertion = [], []
    with torch.no_grad():
        for rows, model, target, masks in trim.composed_models(X, y):
            dense = masks.dense()[: scores.shape[1]]
            keep = torch.ones_like(model.s)
            for mask in dense:
                keep = keep * (1 - mask)
            at = torch.as_tensor(order[rows], device=dense.device)
            args = (model, target, keep, dense, at, steps)
            deletion.append(_curve(*args, restore=False).cpu().numpy())
            insertion.append(_curve(*args, restore=True).cpu().numpy())
    deletion, insertion = np.concatenate(deletion), np.concatenate(insertion)
    if not trim.explains_probability:
        spread = deletion[:, 0].std()
        scale = spread if spread > 0 else 1.0
        deletion, insertion = deletion / scale, insertion / scale
    return FaithfulnessCurves(steps / steps[-1], deletion, insertion)


def faithfulness_score(trim, X, y=None, *, max_steps=20) -> float:
    """Mean area between the insertion and the deletion curve; higher is better.

    Parameters
    ----------
    trim : fitted TransformImportance
    X : array-like of shape (n_samples, ...)
    y : array-like of shape (n_samples,) or None
    max_steps : int, default=20
        See `faithfulness_curves`.

    Returns
    -------
    float
        Around 0 for scores that order the groups at random, at most 1 for a
        classifier.
    """
    return float(faithfulness_curves(trim, X, y, max_steps=max_steps).gap.mean())
