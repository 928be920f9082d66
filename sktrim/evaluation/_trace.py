"""Network outputs along the way as groups are replaced or restored one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from sktrim.network._inputs import n_samples_of
from sktrim.network._network import to_numpy
from sktrim.scorers._baselines import baseline_rows
from sktrim.transforms._fourier import has_phases

_MOST_ROWS = 2048
"""More rows of a small network at once cost more in fresh memory than in calls."""


def rank_groups(scores: np.ndarray, random_state: int = 0) -> np.ndarray:
    """Order the groups of each sample, the highest score first, ties at random."""
    noise = np.random.default_rng(random_state).random(scores.shape)
    return np.lexsort((noise, -scores), axis=1)


def as_list(named) -> list:
    """Put a single name into a list; any other sequence as it is."""
    return [named] if isinstance(named, str) else list(named)


def check_scores(scores: Any, trim=None, X=None) -> np.ndarray:
    """Return group scores, checked: 2-D, finite, one target per sample."""
    # they should be of the groups of `trim` and of the samples of X, where those are
    # given
    scores = np.asarray(getattr(scores, "values", scores))
    if scores.ndim != 2:
        raise ValueError(
            f"scores have shape {scores.shape}; this needs one target per sample, "
            '(n_samples, n_groups), and target="all" has several. Use '
            'target="predicted" or an output column.'
        )
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity; leave those samples out first.")
    if trim is not None and scores.shape[1] == len(trim.question_.group_names):
        # the residual, the last one, is held where groups are replaced
        scores = scores[:, : len(trim.groups_)]
    if trim is not None and scores.shape[1] != len(trim.groups_):
        raise ValueError(
            f"scores have {scores.shape[1]} columns for {len(trim.groups_)} groups; "
            "give one per group."
        )
    if X is not None and len(scores) != n_samples_of(X):
        raise ValueError(
            f"scores have {len(scores)} rows for {n_samples_of(X)} samples; give one "
            "per sample of X."
        )
    return scores


def unit_of(outputs: np.ndarray, *others: np.ndarray) -> float:
    """Return the standard deviation of outputs over samples, or 1 if they are equal."""
    # `others`: outputs of the same network elsewhere, which say how large they can be
    spread = float(outputs.std())
    size = max(float(np.abs(each).max(initial=0)) for each in (outputs, *others))
    # equal samples differ by round-off, which is no unit
    rounding = 16 * np.finfo(outputs.dtype).eps * size
    return spread if spread > rounding else 1.0


def read_target(model, target):
    """Read the explained scalar off outputs, (n_points, n_samples)."""
    return lambda outputs: target(outputs)[..., 0]


class ReplacementCurves:
    """Outputs of one chunk of samples at partly replaced coefficients."""

    def __init__(self, model, masks: torch.Tensor, rows: torch.Tensor, read: Callable):
        # takes outputs (n_points, n_samples, n_outputs) to values (n_points, n_samples)
        self.read = read
        self.model = model
        # what is read is averaged over the baseline rows (n_rows, n_coefficients [+ 1])
        self.rows = rows
        self.complement: torch.Tensor = 1 - masks
        self.floor: torch.Tensor = self.complement.prod(0)
        self.members = masks.nonzero(as_tuple=True)
        whole = bool((masks[self.members] == 1).all())
        self.moves_signals = whole and model.is_affine

    def weights(self, order: torch.Tensor, steps: np.ndarray) -> torch.Tensor:
        """Share of each coefficient left when the first groups of an order are cut."""
        # (n_points, n_samples, n_coefficients), of orders (n_samples, n_groups) and the
        # numbers of groups that are cut at the points
        cut = torch.ones_like(self.model.s)
        left = []
        for before, after in zip(np.r_[0, steps[:-1]], steps, strict=True):
            for j in range(before, after):
                cut = cut * self.complement[order[:, j]]
            left.append(cut)
        return torch.stack(left)

    def restored(self, left: torch.Tensor) -> torch.Tensor:
        """Turn weights left by cutting into weights brought back by restoring."""
        return self.floor + (1 - left)

    def values(self, kept: torch.Tensor) -> torch.Tensor:
        """Mean over the baseline rows of what is read, (n_points, n_samples)."""
        s, total = self.model.s, torch.zeros(())
        for row in self.rows:
            away = s - row
            parts = [
                self.read(self.model(torch.addcmul(row, k, away)))
                for k in kept.split(self._points_at_once())
            ]
            total = total + torch.cat(parts)
        return total / len(self.rows)

    def _points_at_once(self) -> int:
        return max(1, min(self.model.rows_at_once(), _MOST_ROWS) // len(self.model.s))

    def along(self, order, steps) -> tuple[np.ndarray, np.ndarray]:
        """Trace deletion and insertion, (n_samples, n_points); shared ends run once."""
        trace = self._in_signals if self.moves_signals else self._in_coefficients
        whole, deletion, emptied, insertion = trace(order, steps)
        deletion = torch.cat([whole, deletion, emptied])
        insertion = torch.cat([emptied, insertion, whole])
        return to_numpy(deletion.T), to_numpy(insertion.T)

    def _in_coefficients(self, order, steps):
        """Both ends and what is between them, at any weights and through any T^-1."""
        left = self.weights(order, steps)
        deletion = self.values(left)
        insertion = deletion[:0]
        if len(left) > 2:
            insertion = self.values(self.restored(left[1:-1]))
        return deletion[:1], deletion[1:-1], deletion[-1:], insertion

    def _in_signals(self, order, steps):
        """Do the same for whole groups and affine T^-1."""
        model, rank = self.model, self._first_cut(order)
        steps = torch.as_tensor(steps[1:-1]).to(rank)[:, None, None]
        at_once = min(self._points_at_once(), max(1, len(steps)))
        shares = model.s.new_empty(at_once, *model.s.shape)
        signals = model.x.new_empty(at_once, *model.x.shape)
        # networks may write to their input
        whole = self.read(model.output(model.x.clone()[None]))
        by_row = []
        for row in self.rows:
            away = model.s - row
            emptied = model.x - model.linear((1 - self.floor) * away)
            ends = self.read(model.output(emptied.clone()[None]))
            deletion, insertion = [ends[:0]], [ends[:0]]
            for first in range(0, len(steps), at_once):
                some = steps[first : first + at_once]
                gone = torch.sub(some, rank, out=shares[: len(some)])
                cut = model.linear(gone.clamp_(0, 1).mul_(away))
                left = torch.sub(model.x, cut, out=signals[: len(some)])
                # what one curve has taken from it is what the other is given
                deletion.append(self.read(model.output(left)))
                insertion.append(self.read(model.output(cut.add_(emptied))))
            by_row.append((torch.cat(deletion), ends, torch.cat(insertion)))
        return whole, *(torch.stack(p).mean(0) for p in zip(*by_row, strict=True))

    def _first_cut(self, order) -> torch.Tensor:
        """Rank of the first group in an order that holds a coefficient, like s."""
        n_samples, n_groups = order.shape
        groups, coefficients = self.members
        places = torch.arange(n_groups, device=order.device)
        rank = torch.empty_like(order).scatter_(1, order, places.expand_as(order))
        rank = rank.float()
        never = rank.new_full(self.model.s.shape, n_groups)
        index = coefficients.expand(n_samples, -1)
        return never.scatter_reduce(1, index, rank[:, groups], "amin")


@torch.inference_mode(False)
def over_chunks(
    trim,
    X,
    y,
    visit: Callable,
    *,
    baseline: Any,
    n_rows: int = 1,
    read: Callable = read_target,
    verbose: int | None = None,
    n_samples: int | None = None,
) -> list[np.ndarray]:
    """Call a function on the curves of each chunk and gather what it returns."""
    # `visit(curves, chunk)`, with the slice of samples, returns a tuple of arrays with
    # one row per sample; `n_samples` is the length of the bar
    results = []
    if (
        isinstance(baseline, str)
        and baseline != "rows"
        and has_phases(trim.transformer_)
    ):
        raise ValueError(
            f"baseline={baseline!r} would put a phase in place of a phase with no "
            "amplitude to have it (coordinates='polar'); take baseline=\"rows\"."
        )
    verbose = trim.verbose if verbose is None else verbose
    with (
        torch.no_grad(),
        tqdm(total=n_samples, unit="sample", disable=not verbose) as bar,
    ):
        for chunk, model, target, masks in trim.composed_models(X, y):
            background = torch.as_tensor(trim.background_).to(model.s)
            # the last rows, since scorers compare with the first
            rows = baseline_rows(baseline, model, background, n_rows, last=True)
            dense = masks.dense(slice(0, len(trim.groups_)))
            curves = ReplacementCurves(model, dense, rows, read(model, target))
            results.append(visit(curves, chunk))
            bar.update(chunk.stop - chunk.start)
    return [np.concatenate(parts) for parts in zip(*results, strict=True)]
