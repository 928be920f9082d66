"""Scores of sets of groups as wholes, for each sample sets of its own."""

from typing import Any

import numpy as np
import torch

from sktrim._memory import chunks, rows_in_working_memory
from sktrim.composed._coefficients import coefficients_of
from sktrim.importance._explain import check_values
from sktrim.importance._question import Question
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy


class SetScores:
    """A question about some samples, to be asked of one batch of sets after another."""

    def __init__(self, question: Question, x: Any, y: Any) -> None:
        self.question, self.x = question, x
        self.s = coefficients_of(question.transformer, x)
        self.outputs, self.resolved = question.resolve(x, y)
        self.masks, self.extras = question.masks(), question.extras()
        outputs = torch.as_tensor(self.outputs)
        self.explained = to_numpy(self.resolved.target(outputs))

    def __len__(self) -> int:
        return len(self.s)

    def __call__(self, samples: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Return scores (n, n_sets, n_targets) of sets (n, n_sets, n_groups)."""
        question, (n, n_sets, n_groups) = self.question, sets.shape
        # members in the network's dtype, and copies of them
        row = 4 * n_groups * question.network.dtype.itemsize
        n_at_once = min(question.rows_at_once(n), rows_in_working_memory(n_sets * row))
        step = rows_in_working_memory(n_at_once * row)
        shape = n, n_sets, self.resolved.target.n_targets
        found = np.empty(shape, self.outputs.dtype)
        with torch.inference_mode(False), evaluation_mode(question.network.module):
            for some in chunks(n, n_at_once):
                for part in chunks(n_sets, step):
                    found[some, part] = self._chunk(samples[some], sets[some, part])
        return found

    def _chunk(self, samples: np.ndarray, sets: np.ndarray) -> np.ndarray:
        question = self.question
        model = question.model(self.x[samples], self.s[samples])
        if question.residual != "drop":
            model.known = torch.as_tensor(self.outputs[samples]).to(model.x.device)
        members = torch.as_tensor(sets.swapaxes(0, 1)).to(model.s)
        missing = len(self.masks) - members.shape[2]
        if missing:
            # the residual is in no set
            members = torch.nn.functional.pad(members, (0, missing))
        values = question.scorer.attribute_sets(
            model,
            model.s,
            members,
            self.masks,
            self.resolved.target[samples],
            **self.extras,
        )
        values = values.movedim(0, 1)
        n, n_sets, _ = sets.shape
        check_values(values, n, n_sets, values.shape[2], question.scorer)
        return to_numpy(values)


def check_sets(sets: Any, n_samples: int, n_groups: int) -> np.ndarray:
    """Return sets as (n_samples, n_sets, n_groups), the same for all where 2-D."""
    sets = np.asarray(sets)
    if sets.ndim == 2:
        sets = np.broadcast_to(sets, (n_samples, *sets.shape))
    if sets.ndim != 3 or sets.shape[::2] != (n_samples, n_groups) or not sets.shape[1]:
        raise ValueError(
            f"sets has shape {sets.shape}; expected (n_sets, {n_groups}) for all "
            f"samples alike, or ({n_samples}, n_sets, {n_groups}): a row of 0 and 1 "
            "over the groups for every set."
        )
    if sets.dtype != bool and not np.isin(sets, (0, 1)).all():
        raise ValueError("sets holds other values than 0 and 1 (or False and True).")
    return sets.astype(bool)
