"""The arrays of an Explanation, and how its samples are chosen and joined."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from sktrim.explanation._checks import (
    check_coefficients,
    check_feature_groups,
    check_names,
    check_rows,
    check_shape,
    check_signals,
    check_target_names,
    check_values,
)
from sktrim.explanation._components import ComponentSource
from sktrim.groups import FeatureGroups

LARGE_ERROR = 0.5
"""A reconstruction error beyond this is warned of and written on plots."""

PER_SAMPLE = (
    "values",
    "predictions",
    "base_values",
    "residual_values",
    "completeness_error",
    "explained",
    "coefficients",
    "std_errors",
    "reconstruction_errors",
    "signals",
)
_PER_SAMPLE_OR_TARGET = ("targets", "target_names")
_MAY_BE_NAN = ("base_values", "residual_values", "completeness_error", "std_errors")
_MUST_AGREE = (
    *("group_names", "unit", "scorer", "output", "signal_shape"),
    *("kind", "signal_space", "n_axes"),
)


def _check_agree(first: ExplanationArrays, other: ExplanationArrays) -> None:
    for name in _MUST_AGREE:
        if getattr(first, name) != getattr(other, name):
            raise ValueError(
                f"explanations to be joined differ in {name}: {getattr(first, name)!r} "
                f"and {getattr(other, name)!r}. Only explanations of the same groups, "
                "made in the same way, can be joined."
            )
    if first.values.shape[1:] != other.values.shape[1:]:
        raise ValueError(
            f"explanations to be joined have values of shapes {first.values.shape} and "
            f"{other.values.shape}; all but the first number must agree."
        )
    same = (
        np.array_equal(
            np.asarray(getattr(first, name)), np.asarray(getattr(other, name))
        )
        for name in _PER_SAMPLE_OR_TARGET
    )
    if first.values.ndim == 3 and not all(same):
        raise ValueError("explanations to be joined have different targets.")


def _join(name: str, explanations: Sequence[ExplanationArrays]):
    arrays = [getattr(each, name) for each in explanations]
    known = [array for array in arrays if array is not None]
    if not known:
        return None
    if len(known) < len(arrays):
        if name not in _MAY_BE_NAN:
            return None
        shape = known[0].shape[1:]
        arrays = [
            np.full((len(each), *shape), np.nan) if array is None else array
            for each, array in zip(explanations, arrays, strict=True)
        ]
    if any(sp.issparse(array) for array in arrays):
        return sp.vstack(arrays, format="csr")
    if isinstance(arrays[0], list):
        return [entry for array in arrays for entry in array]
    return np.concatenate(arrays)


def _is_per_sample(value, n_samples: int) -> bool:
    return isinstance(value, np.ndarray) and value.shape[:1] == (n_samples,)


def _joined_metadata(explanations: Sequence[ExplanationArrays]) -> dict:
    joined = {}
    for key, first in explanations[0].metadata.items():
        values: list[Any] = [each.metadata.get(key) for each in explanations]
        if all(
            _is_per_sample(value, len(each))
            for value, each in zip(values, explanations, strict=True)
        ):
            joined[key] = np.concatenate(values)
        elif all(_written_out(value) == _written_out(first) for value in values):
            joined[key] = first
    return joined


def _written_out(value) -> str:
    """Return the repr, with every entry of arrays and every digit of these."""
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return repr(value)


@dataclass(eq=False)
class ExplanationArrays:
    """Arrays over samples and groups; see `sktrim.explanation.Explanation`."""

    values: np.ndarray
    group_names: list[str]
    _: KW_ONLY
    centers: np.ndarray | None = None
    unit: str | None = None
    targets: np.ndarray | None = None
    predictions: np.ndarray | None = None
    base_values: np.ndarray | None = None
    residual_values: np.ndarray | None = None
    completeness_error: np.ndarray | None = None
    explained: np.ndarray | None = None
    coefficients: Any = None
    feature_groups: FeatureGroups | None = None
    scorer: str = "cd"
    output: str = "margin"
    kind: str | None = None
    target_names: list[str] | None = None
    std_errors: np.ndarray | None = None
    reconstruction_errors: np.ndarray | None = None
    component_function: Any = None
    signal_shape: tuple[int, ...] | None = None
    signal_space: bool | None = None
    n_axes: int | None = None
    signals: Any = None
    metadata: dict = field(default_factory=dict)

    def __post_init__(self):
        self.group_names = check_names(self.group_names)
        self.values = check_values(self.values, len(self.group_names))
        n, n_groups, *n_targets = self.values.shape
        n_labels = n_targets[0] if n_targets else n
        per_row = [(n,), (n, *n_targets)][: 1 + len(n_targets)]
        for name, allowed in (
            ("centers", [(n_groups,)]),
            ("targets", [(n_labels,), (n_labels, 2)]),
            ("predictions", [(n,), (n, "n_outputs")]),
            ("base_values", per_row),
            ("residual_values", per_row),
            ("completeness_error", per_row),
            ("explained", per_row),
            ("std_errors", [self.values.shape]),
            ("reconstruction_errors", [(n,)]),
        ):
            setattr(self, name, check_shape(name, getattr(self, name), allowed))
        self.target_names = check_target_names(self.target_names, self.values.shape)
        self.coefficients = check_coefficients(self.coefficients, n)
        check_feature_groups(self.feature_groups, n_groups, self.coefficients)
        if self.signal_shape is not None:
            self.signal_shape = tuple(self.signal_shape)
        self.signals = check_signals(self.signals, n, self.signal_shape)
        self.metadata = dict(self.metadata or {})
        if self.component_function is not None:
            source = ComponentSource.of(self.component_function, n)
            self.component_function = source

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        n, n_groups = self.values.shape[:2]
        size = f"{n} sample{'s' * (n != 1)} x {n_groups} group{'s' * (n_groups != 1)}"
        if self.values.ndim == 3:
            size += f" x {self.values.shape[2]} targets"
        more = "" if self.unit is None else f", unit={self.unit!r}"
        error = self.reconstruction_error
        if error is not None and error >= 0.01:
            more += f", reconstruction_error={error:.2f}"
        return (
            f"Explanation({size}, scorer={self.scorer!r}, output={self.output!r}{more})"
        )

    @property
    def residual_is_group(self) -> bool:
        """Whether the residual is the last group, of which there is no mask."""
        groups = self.feature_groups
        return groups is not None and len(groups) == len(self.group_names) - 1

    def without_residual(self) -> Self:
        """Leave out the residual where it is a group: it has no place of its own.

        Returns
        -------
        Explanation
        """
        if not self.residual_is_group:
            return self
        cut = self._known("values", "std_errors")
        cut = {name: array[:, :-1] for name, array in cut.items()}
        centers = None if self.centers is None else self.centers[:-1]
        return replace(self, group_names=self.group_names[:-1], centers=centers, **cut)

    @property
    def reconstruction_error(self) -> float | None:
        """Mean of ||x - T^-1 T x|| / ||x|| over the samples, where it is known."""
        errors = self.reconstruction_errors
        return None if errors is None or not len(errors) else float(errors.mean())

    def _known(self, *names: str) -> dict[str, Any]:
        """Return those of some fields that are not None."""
        fields = {name: getattr(self, name) for name in names}
        return {name: value for name, value in fields.items() if value is not None}

    def __iter__(self) -> Iterator[Self]:
        """Yield one Explanation per sample."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, key) -> Self:
        """Keep some samples: an int, a slice, or an array of booleans or integers.

        An int gives an Explanation of one sample.
        """
        return self._take(check_rows(key, len(self)))

    def _take(self, rows) -> Self:
        taken = {name: array[rows] for name, array in self._known(*PER_SAMPLE).items()}
        if self.values.ndim == 2:
            for name, labels in self._known(*_PER_SAMPLE_OR_TARGET).items():
                taken[name] = np.asarray(labels)[rows]
        taken["metadata"] = {
            key: value[rows] if _is_per_sample(value, len(self)) else value
            for key, value in self.metadata.items()
        }
        if self.component_function is not None:
            taken["component_function"] = self.component_function.take(rows)
        return replace(self, **taken)

    def __add__(self, other: Self) -> Self:
        """Put the samples of `other` after these."""
        if not isinstance(other, ExplanationArrays):
            return NotImplemented
        return self.concatenate([self, other])

    @classmethod
    def concatenate(cls, explanations: Sequence[Self]) -> Self:
        """Put the samples of several explanations one after the other.

        What only some of them know is NaN for the others (base and residual values,
        completeness errors, standard errors), or left out.

        Parameters
        ----------
        explanations : sequence of Explanation
            They must explain the same groups, in the same way.

        Returns
        -------
        Explanation

        Raises
        ------
        ValueError
            If there is none, or their groups, targets, scorer or output differ.
        """
        explanations = list(explanations)
        if not explanations:
            raise ValueError("concatenate needs at least one Explanation, got none.")
        for other in explanations[1:]:
            _check_agree(explanations[0], other)
        names = PER_SAMPLE
        if explanations[0].values.ndim == 2:
            names += _PER_SAMPLE_OR_TARGET
        sources = [each.component_function for each in explanations]
        return replace(
            explanations[0],
            component_function=None
            if None in sources
            else ComponentSource.joined(sources),
            metadata=_joined_metadata(explanations),
            **{name: _join(name, explanations) for name in names},
        )

    def target_labels(self) -> np.ndarray | None:
        """Labels of what was explained: the target names, else the targets.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_targets,), or None
            One per sample where `values` is 2-D, one per target where it is 3-D.
            A contrast (k, l) is "k - l".
        """
        if self.target_names is not None:
            return np.asarray(self.target_names, dtype=object)
        if self.targets is None or self.targets.ndim == 1:
            return self.targets
        return np.array([f"{k} - {other}" for k, other in self.targets], dtype=object)

    def for_target(self, target: int | str) -> Self:
        """Keep one target of an explanation of several.

        Parameters
        ----------
        target : int or str
            Index along the last axis of `values`, or one of `target_names`.

        Returns
        -------
        Explanation
            With 2-D values.

        Raises
        ------
        ValueError
            If there is only one target already, or `target` is unknown.
        """
        if self.values.ndim == 2:
            raise ValueError(
                "each sample here has one target already; leave target= out. Scores of "
                "every target come from target='all' when explaining."
            )
        index = self._target_index(target)
        one = self._known("values", "std_errors")
        one = {name: array[:, :, index] for name, array in one.items()}
        per_row = ("base_values", "residual_values", "completeness_error", "explained")
        for name, array in self._known(*per_row).items():
            one[name] = array[:, index] if array.ndim == 2 else array
        for name, labels in self._known(*_PER_SAMPLE_OR_TARGET).items():
            one[name] = np.asarray(labels)[[index] * len(self)]
        return replace(self, **one)

    def _target_index(self, target: int | str) -> int:
        n_targets = self.values.shape[2]
        if isinstance(target, str):
            names = self.target_names or []
            if target not in names:
                raise ValueError(f"target {target!r} is none of target_names={names}.")
            return names.index(target)
        if not -n_targets <= target < n_targets:
            raise ValueError(
                f"target={target} is out of range: there are {n_targets} targets, 0 to "
                f"{n_targets - 1}."
            )
        return int(target)
