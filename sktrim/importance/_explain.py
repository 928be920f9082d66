"""Run a scorer over all samples, chunk by chunk, and gather an `Explanation`."""

import copy
import os
import threading
from functools import cached_property
from math import prod
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from sklearn import config_context, get_config
from tqdm.auto import tqdm

from sktrim._memory import chunks
from sktrim.composed import SharedGradients
from sktrim.composed._coefficients import coefficients_of
from sktrim.explanation import Explanation
from sktrim.groups._resolve import last_step
from sktrim.importance._completeness import (
    check_baseline,
    report_cancelling,
    report_incomplete,
    report_reconstruction,
)
from sktrim.importance._question import Question
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._inputs import signal_of
from sktrim.network._network import to_numpy
from sktrim.scorers import Attribution, scorer_name

_IMPORTED_BY = os.getpid()
"""Differs from this process in one that was forked from it."""


@torch.inference_mode(False)
def explain_spaces(
    questions: list[Question], X: Any, y: Any = None
) -> list[Explanation]:
    """Explain signals in several spaces; what the spaces share is computed once."""
    # the questions differ in the transformer and what belongs to it
    first, n_samples = questions[0], X.shape[0]
    outputs, resolved = first.resolve(X, y)
    spaces = [_Space(question, X) for question in questions]
    pieces = list(chunks(n_samples, first.rows_at_once(n_samples)))
    workers = _Workers(get_config())
    tasks = (
        delayed(workers.run)(spaces, X, r, resolved.target[r], outputs[r])
        for r in pieces
    )
    gathered = [_Gathered(n_samples) for _ in spaces]
    bar = tqdm(total=n_samples, unit="sample", disable=not first.verbose)
    with bar, workers:
        for rows, result in zip(pieces, _parallel(first.n_jobs)(tasks), strict=True):
            for whole, part in zip(gathered, cast(list, result), strict=True):
                whole.add(rows, part)
            bar.update(rows.stop - rows.start)
    return [
        _explanation(space.question, X, space.s, outputs, resolved, whole.found)
        for space, whole in zip(spaces, gathered, strict=True)
    ]


class _Gathered:
    """What was found of all samples, in arrays that are allocated once."""

    # the small arrays of each chunk, if they were kept, would lie scattered over the
    # memory that the chunks before it freed, which the C library then can neither give
    # out nor give back: 1.7 GB after 20,000 documents of 50,000 words

    def __init__(self, n_samples: int):
        self._n_samples = n_samples
        self.found: Attribution | None = None

    def add(self, rows: slice, part: Attribution) -> None:
        if self.found is None:
            self.found = part.map(self._room)
        self.found.write(rows, part)

    def _room(self, values: np.ndarray) -> np.ndarray:
        return np.empty((self._n_samples, *values.shape[1:]), values.dtype)


def _parallel(n_jobs) -> Parallel:
    """Return what runs tasks: threads, unless joblib was told otherwise."""
    backend: Any = get_active_backend(prefer="threads")[0]
    # joblib's "multiprocessing" gives all results at its end, or none
    one_by_one = backend.supports_return_generator
    return_as = "generator" if one_by_one else "list"
    return Parallel(n_jobs=n_jobs, prefer="threads", return_as=return_as)


class _Workers:
    """Explains chunks in threads, and outlives every one of them."""

    # on an error or Ctrl-C those that wait give up and the others are awaited, since
    # they hold the network in evaluation mode; scikit-learn's own `delayed` would
    # change the filters of warnings, which are no thread's own, in every thread

    def __init__(self, config: dict):
        # scikit-learn's, which every thread has of its own
        self._config = config
        self._idle = threading.Condition()
        self._n_busy, self._stopped = 0, False

    def __reduce__(self):
        # another process has threads of its own
        return _in_another_process, (self._config,)

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        with self._idle:
            self._stopped = True
            self._idle.wait_for(lambda: not self._n_busy)

    def run(self, *args) -> list[Attribution]:
        with self._idle:
            if self._stopped:
                return []
            self._n_busy += 1
        try:
            with config_context(**self._config):
                return _explain_chunk(*args)
        finally:
            with self._idle:
                self._n_busy -= 1
                self._idle.notify_all()


def _in_another_process(config: dict) -> _Workers:
    """Make what explains chunks there."""
    if os.getpid() != _IMPORTED_BY:
        # a forked process has none of the threads that torch believes to have
        torch.set_num_threads(1)
    return _Workers(config)


class _Space:
    """A question with the coefficients of all samples and what the scorer takes."""

    def __init__(self, question: Question, X):
        self.question = question
        self.s = coefficients_of(question.transformer, X)
        self.masks, self.extras = question.masks(), question.extras()


def _explain_chunk(spaces, X, rows, target, outputs) -> list[Attribution]:
    """Score one chunk in every space and bring it back to NumPy."""
    x, shared = X[rows], SharedGradients() if len(spaces) > 1 else None
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        evaluation_mode(spaces[0].question.network.module),
    ):
        return [_score(space, x, rows, target, outputs, shared) for space in spaces]


def _score(space, x, rows, target, outputs, shared) -> Attribution:
    """Score one chunk in one space."""
    question, masks, s = space.question, space.masks, space.s[rows]
    model = question.model(x, s)
    model.shared = shared
    with torch.no_grad():
        dropped = question.residual == "drop"
        known = torch.as_tensor(outputs, device=model.x.device)
        model.known = model.output(model.x) if dropped else known
        explained = target(model.known)
        given = model.x + model.r if dropped else model.x
        error = _relative_norm(model.r, given)[:, None]
    try:
        attribution = question.scorer.attribute(
            model, model.s, masks, target, **space.extras
        )
    except ValueError:
        check_baseline(question.scorer, model, space.extras, rows)
        raise
    if not isinstance(attribution, Attribution):
        attribution = Attribution(attribution)
    if not _is_finite(attribution.values) or not _is_finite(attribution.base_values):
        check_baseline(question.scorer, model, space.extras, rows)
    check_values(
        attribution.values, len(s), len(masks), target.n_targets, question.scorer
    )
    attribution.explained = explained
    attribution.reconstruction_errors = error
    return attribution.map(to_numpy)


def _is_finite(values) -> bool:
    """Tell whether numbers, if they are any, are finite."""
    return not isinstance(values, torch.Tensor) or bool(torch.isfinite(values).all())


def _relative_norm(r, x) -> torch.Tensor:
    """Relative size of the residual of each sample, 0 for an all-zero signal."""
    size = x.flatten(1).norm(dim=1)
    return r.flatten(1).norm(dim=1) / torch.where(size > 0, size, 1)


def check_values(values, n_samples, n_groups, n_targets, scorer) -> None:
    """Raise unless a scorer gave finite scores of the right shape."""
    if not isinstance(values, torch.Tensor):
        raise TypeError(
            f"{type(scorer).__name__}.attribute returned a {type(values).__name__}; "
            "expected a torch tensor, or an Attribution that holds one."
        )
    expected = (n_samples, n_groups, n_targets)
    if tuple(values.shape) != expected:
        raise ValueError(
            f"{type(scorer).__name__}.attribute returned shape {tuple(values.shape)}; "
            f"expected (n_samples, n_groups, n_targets) = {expected}."
        )
    if not torch.isfinite(values).all():
        raise ValueError(
            f"{type(scorer).__name__} gave NaN or infinite scores. Likely causes: (a) "
            "the network has an operation whose gradient is infinite at the sample "
            "(sqrt or log at 0); (b) values overflow the network's dtype."
        )


def _explanation(question, x, s, outputs, resolved, found: Any) -> Explanation:
    """Make an `Explanation` of the joined arrays."""
    error = _completeness(question, found)
    if found.base_values is not None:
        difference = found.explained - found.base_values
        report_incomplete(question, x, s, resolved.target, error, difference)
        base = np.nan_to_num(found.base_values)
        report_cancelling(question, found.values, found.explained, base)
    if not resolved.every:
        found, error = found.map(lambda values: values[..., 0]), error[..., 0]
    shares = np.ravel(found.reconstruction_errors)
    report_reconstruction(question, shares)
    groups, x = question.groups, signal_of(x)
    signal_shape = _signal_shape(question.transformer, x)
    return Explanation(
        found.values,
        question.group_names,
        centers=_centers(question),
        unit=groups.unit,
        targets=resolved.columns,
        target_names=resolved.names,
        predictions=outputs,
        base_values=found.base_values,
        residual_values=found.values[:, -1]
        if question.residual == "component"
        else None,
        completeness_error=error,
        explained=found.explained,
        coefficients=s,
        feature_groups=groups,
        std_errors=found.std_errors,
        reconstruction_errors=shares,
        scorer=scorer_name(question.scorer),
        output=question.output,
        kind=question.network.kind,
        component_function=ComponentFunction(question, x, s, signal_shape),
        signal_shape=signal_shape,
        signal_space=question.transformer is None,
        n_axes=_n_axes(question.transformer),
        signals=x,
        metadata=found.extra,
    )


def _centers(question) -> np.ndarray | None:
    """Return where the groups lie; the residual lies nowhere."""
    centers, n_names = question.groups.centers, len(question.group_names)
    if centers is None:
        return None
    return np.append(centers, np.full(n_names - len(centers), np.nan))


def _completeness(question, found) -> np.ndarray:
    """Return base + scores - explained output; NaN where it is not defined."""
    if found.base_values is None or not question.groups.sums_to_one:
        return np.full(found.explained.shape, np.nan)
    return found.base_values + found.values.sum(axis=1) - found.explained


def _signal_shape(transformer, x) -> tuple[int, ...]:
    """Return how one signal is laid out, as far as anyone has said."""
    shape = tuple(getattr(last_step(transformer), "signal_shape_", x.shape[1:]))
    # the last step of a Pipeline may lay out coefficients of the steps before it
    return shape if prod(shape) == prod(x.shape[1:]) else x.shape[1:]


def _n_axes(transformer) -> int | None:
    """Count the axes that a transform of signals acts on; None for others."""
    axes = getattr(last_step(transformer), "axes_", None)
    return None if axes is None else len(axes)


class ComponentFunction:
    """The part of a signal that a group carries: T^-1(M s) - T^-1(0)."""

    # the residual, one group more, carries x - T^-1(s)

    def __init__(self, question: Question, x, s: np.ndarray, signal_shape):
        # one in NumPy shares the transformer, which its owner may fit again
        shared = question.inverse.is_affine
        self._given = question.inverse if shared else copy.deepcopy(question.inverse)
        self.masks, self.n_masks = question.groups.masks, len(question.groups)
        self.x, self.s = x, s
        # what is returned is laid out so
        self.signal_shape = signal_shape

    @cached_property
    def inverse(self):
        """T^-1 in double precision, on the CPU."""
        return copy.deepcopy(self._given).double().cpu()

    def __call__(self, samples, group: int) -> np.ndarray:
        """Return the parts for some samples, shape (n_picked, *signal_shape)."""
        if group == self.n_masks:
            return self._residual(samples)
        weights = self.masks[[group]].toarray()
        picked = torch.as_tensor(np.asarray(self.s[samples], dtype=float) * weights)
        with torch.no_grad():
            if self.inverse.is_affine:
                part = self.inverse.linear(picked)
            else:
                part = self.inverse(picked) - self.inverse(torch.zeros_like(picked))
        return part.numpy().reshape(len(picked), *self.signal_shape)

    def _residual(self, samples) -> np.ndarray:
        x, s = self.x[samples], np.asarray(self.s[samples], dtype=float)
        x = x.toarray() if sp.issparse(x) else x
        with torch.no_grad():
            represented = self.inverse(torch.as_tensor(s)).numpy()
        layout = (len(s), *self.signal_shape)
        return x.reshape(layout) - represented.reshape(layout)
