"""The network's output as a function of how much of each group is present."""

import numpy as np
import torch

from sktrim._chunks import chunks, rows_in_memory
from sktrim.scorers._base import Scorer
from sktrim.scorers._baselines import baseline_rows
from sktrim.scorers._channels_last import in_channels_last

_MOST_PARTS = 64


class GroupAmounts:
    """f' at mixtures of the explained coefficients and a baseline row.

    A group of amount 1 is there, of amount 0 it is replaced by the baseline: the
    coefficients are ``s - a (s - row)``, where a coefficient's absent share ``a`` adds
    up (1 - amount) times weight over its groups. Coefficients in no group stay.

    Parameters
    ----------
    model : ComposedModel
    groups : GroupMasks
    target : Target
    row : torch.Tensor of shape (n_coefficients,)
        The baseline.
    clip : bool
        A coefficient that lies in several absent groups goes to the baseline, not
        beyond it.
    """

    def __init__(self, model, groups, target, row, clip):
        self.model, self.groups, self.target = model, groups, target
        self.change = model.s - row
        self.clip = clip and bool(groups.total().max() > 1 + 1e-6)
        self.outputs = None
        if model.is_affine and not self.clip and len(groups) <= _MOST_PARTS:
            parts = model.linear(groups.dense()[:, None] * self.change)
            self.outputs = model.mixing(parts)

    def __call__(self, amounts: torch.Tensor) -> torch.Tensor:
        """Return the explained scalars.

        Parameters
        ----------
        amounts : torch.Tensor of shape (n_points, n_groups)

        Returns
        -------
        torch.Tensor of shape (n_points, n_samples, n_targets)
        """
        absent, model = 1 - amounts, self.model
        if self.outputs is not None:
            return self.target(self.outputs(-absent))
        share = self.groups.spread(absent)[:, None]
        if self.clip:
            share = share.clamp(max=1)
        return self.target(model(model.s - share * self.change))


class Replacing(Scorer):
    """Base of scorers that replace groups by a baseline; no gradient needed."""

    needs_gradient = False
    baseline = "zero"
    n_rows = 8

    @property
    def needs_background(self) -> bool:
        """Whether `attribute` takes background rows."""
        baseline = self.baseline
        return isinstance(baseline, str) and baseline in ("mean", "marginal")

    def _rows(self, model, background) -> torch.Tensor:
        """Baseline rows of coefficients, shape (n_rows, n_coefficients)."""
        marginal = isinstance(self.baseline, str) and self.baseline == "marginal"
        if not marginal:
            return baseline_rows(self.baseline, model, background)
        return baseline_rows("rows", model, background)[: self.n_rows]


def portions(model, target, n_points: int):
    """Yield samples whose answers at all points fit into memory together.

    Parameters
    ----------
    model : ComposedModel
    target : Target
    n_points : int

    Yields
    ------
    model : ComposedModel
    target : Target
    """
    size = rows_in_memory(16 * n_points * target.n_targets)
    fast = in_channels_last(model)
    for rows in chunks(len(model.s), size):
        yield fast[rows], target[rows]


def responses(model, groups, target, rows, points, *, clip=True) -> torch.Tensor:
    """Evaluate f' at the same amounts of groups for every sample.

    Parameters
    ----------
    model : ComposedModel
    groups : GroupMasks
    target : Target
    rows : torch.Tensor of shape (n_rows, n_coefficients)
        Baselines; the outputs are averaged over them.
    points : object with a length, whose slices give ndarrays (n_picked, n_groups)
    clip : bool, default=True
        See `GroupAmounts`.

    Returns
    -------
    torch.Tensor of float64 and shape (n_points, n_samples, n_targets)
    """
    at_once = model.rows_at_once()
    n_samples = max(1, at_once // max(16, min(len(groups), _MOST_PARTS)))
    found = []
    for part in chunks(len(model.s), n_samples):
        step, total = max(1, at_once // (part.stop - part.start)), 0
        for row in rows:
            amounts = GroupAmounts(model[part], groups, target[part], row, clip)
            outputs = [
                amounts(torch.as_tensor(points[some]).to(model.s))
                for some in chunks(len(points), step)
            ]
            total = total + torch.cat(outputs).double()
        found.append(total / len(rows))
    return torch.cat(found, dim=1)


class Subsets:
    """All subsets of players as rows of 0 and 1, in binary order, made when asked.

    Parameters
    ----------
    n_players : int
    """

    def __init__(self, n_players: int):
        self.n_players = n_players

    def __len__(self) -> int:
        return 2**self.n_players

    def __getitem__(self, some: slice) -> np.ndarray:
        codes = np.arange(*some.indices(len(self)))[:, None]
        return (codes >> np.arange(self.n_players) & 1).astype(float)
