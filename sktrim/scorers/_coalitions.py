"""The network's output as a function of how much of each group is present."""

from typing import Any

import numpy as np
import torch

from sktrim._memory import chunks, rows_in_memory
from sktrim.scorers._base import Attribution
from sktrim.scorers._channels_last import in_channels_last

_MOST_PARTS = 64


class GroupAmounts:
    """f' at mixtures of the explained coefficients and a baseline row."""

    # a group of amount 1 is there, of amount 0 it is replaced by the baseline: the
    # coefficients are s - a (s - row), where the absent share a of a coefficient adds
    # up (1 - amount) times weight over its groups; coefficients in no group stay

    def __init__(self, model, groups, target, row: torch.Tensor, clip: bool):
        self.model, self.groups, self.target = model, groups, target
        self.change = model.s - row
        # a coefficient in several absent groups goes to the baseline, not beyond it
        self.clip = clip and bool(groups.total().max() > 1 + 1e-6)
        self.outputs = None
        if model.is_affine and not self.clip and len(groups) <= _MOST_PARTS:
            parts = model.linear(groups.dense()[:, None] * self.change)
            self.outputs = model.mixing(parts)

    def __call__(self, amounts: torch.Tensor) -> torch.Tensor:
        """Return the explained scalars at amounts (n_points, n_groups)."""
        # of shape (n_points, n_samples, n_targets)
        absent, model = 1 - amounts, self.model
        if self.outputs is not None:
            return self.target(self.outputs(-absent))
        share = self.groups.spread(absent)[:, None]
        if self.clip:
            share = share.clamp(max=1)
        return self.target(model(model.s - share * self.change))


def responses(
    model, groups, target, rows: torch.Tensor, points: Any, *, clip: bool = True
) -> torch.Tensor:
    """Return f' at the same amounts of groups for every sample."""
    # (n_points, n_samples, n_targets), in float64, averaged over `rows`, the baselines
    # (n_rows, n_coefficients); slices of `points` are ndarrays (n_picked, n_groups)
    at_once = model.rows_at_once()
    n_samples = max(1, at_once // max(16, min(len(groups), _MOST_PARTS)))
    averages = []
    for part in chunks(len(model.s), n_samples):
        step, total = max(1, at_once // (part.stop - part.start)), 0
        for row in rows:
            amounts = GroupAmounts(model[part], groups, target[part], row, clip)
            outputs = [
                amounts(torch.as_tensor(points[some]).to(model.s))
                for some in chunks(len(points), step)
            ]
            total = total + torch.cat(outputs).double()
        averages.append(total / len(rows))
    return torch.cat(averages, dim=1)


def scores_of(
    solve, model, groups, target, rows: torch.Tensor, points: Any, *, clip: bool = True
) -> Attribution:
    """Make scores of f' at some amounts of groups, as many samples at once as fit."""
    # `solve` takes what `responses` gives to the fields of an Attribution
    size = rows_in_memory(16 * len(points) * target.n_targets)
    fast, parts = in_channels_last(model), []
    for some in chunks(len(model.s), size):
        values = responses(fast[some], groups, target[some], rows, points, clip=clip)
        parts.append(Attribution(*solve(values)))
    return Attribution.join(parts).map(lambda values: values.to(model.s))


class Subsets:
    """All subsets of players as rows of 0 and 1, in binary order, made when asked."""

    def __init__(self, n_players: int):
        self.n_players = n_players

    def __len__(self) -> int:
        return 2**self.n_players

    def __getitem__(self, some: slice) -> np.ndarray:
        codes = np.arange(*some.indices(len(self)))[:, None]
        return (codes >> np.arange(self.n_players) & 1).astype(float)
