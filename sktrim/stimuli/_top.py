"""The rows of the data that a unit responds to the most, and what of them it sees."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sktrim.inspection import StimuliDisplay
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.stimuli._steps import spatial_axes
from sktrim.stimuli._units import (
    Response,
    check_signals,
    resolve_response,
    responses_of,
)

__all__ = ["TopSignals", "max_activating"]

_N_PROBES = 8


@dataclass(eq=False)
class TopSignals:
    r"""Rows of the data that a unit responds to the most, the first one most of all.

    Parameters
    ----------
    indices : ndarray of shape (n,)
        Which rows.
    activations : ndarray of shape (n,)
        The unit's response, at its place where it has many.
    places : list of tuple of int
        Where in the layer the response is largest; () for an output.
    boxes : list of tuple of slice
        What of the signal, along its spatial axes, the unit sees from there.
    signals : ndarray of shape (n, \*signal_shape)
        The rows.

    See Also
    --------
    max_activating : Finds them.
    """

    indices: np.ndarray
    activations: np.ndarray
    places: list[tuple[int, ...]]
    boxes: list[tuple[slice, ...]]
    signals: np.ndarray

    @property
    def crops(self) -> list[np.ndarray]:
        """What the unit sees of each row."""
        return [
            signal[(..., *box)]
            for signal, box in zip(self.signals, self.boxes, strict=True)
        ]

    def plot(self, ax: Any = None, **options: Any) -> StimuliDisplay:
        """Draw the rows, what the unit sees of each in a frame.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, optional
        **options
            ``title`` and ``n_columns``, as in `StimuliDisplay.from_signals`.

        Returns
        -------
        StimuliDisplay
        """
        names = [f"{value:.3g}" for value in self.activations]
        frames = [
            [[0, 0]] * (2 - len(box)) + [[part.start, part.stop - 1] for part in box]
            for box in self.boxes
        ]
        return StimuliDisplay.from_signals(
            self.signals, names, boxes=frames, ax=ax, **options
        )


def max_activating(unit: Any, model: Any, X: Any, n: int = 9) -> TopSignals:
    r"""Find the rows that a unit responds to the most, and where.

    .. math::

       \max_{ij} \; z_{cij}(x)

    is the response of a channel c to a row x.

    Parameters
    ----------
    unit : int, (layer, channel) or (layer, channel, i, j)
        As in `ActivationMaximizer`.
    model : torch.nn.Module or fitted skorch net
    X : array-like of shape (n_samples, \*signal_shape)
    n : int, default=9
        How many rows.

    Returns
    -------
    TopSignals

    Raises
    ------
    TypeError
        If `unit` is none, or `model` has no gradient.
    ValueError
        If there is no such layer or unit, or n is below 1.

    See Also
    --------
    ActivationMaximizer : Signals that the unit responds to even more.

    Notes
    -----
    What a unit sees from a place is the smallest box that holds every value on which
    its response there depends: the support of its gradient at noise, over eight draws,
    since a ReLU that is off hides what is behind it.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim.stimuli import max_activating
    >>> net = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3, bias=False))
    >>> _ = torch.nn.init.ones_(net[0].weight)
    >>> X = np.zeros((4, 1, 10), dtype="float32")
    >>> X[2, 0, 5] = 1
    >>> top = max_activating(("0", 0), net, X, n=1)
    >>> int(top.indices[0]), top.boxes[0]
    (2, (slice(3, 6, None),))
    """
    if n < 1:
        raise ValueError(f"n={n!r}; expected at least 1.")
    X = check_signals(X)
    asked = resolve_response(model, unit, X)
    responses = responses_of(asked, X)
    flat = responses.reshape(len(X), -1)
    best = flat.argmax(1)
    order = np.argsort(-flat.max(1), kind="stable")[:n]
    shape = responses.shape[1:]
    places = [
        tuple(int(i) for i in np.unravel_index(best[row], shape)) for row in order
    ]
    boxes = {place: _seen_from(asked, X, place) for place in dict.fromkeys(places)}
    return TopSignals(
        order,
        flat.max(1)[order],
        places,
        [boxes[place] for place in places],
        X[order],
    )


def _seen_from(
    unit: Response, X: np.ndarray, place: tuple[int, ...]
) -> tuple[slice, ...]:
    """Return the box of values on which the response at a place depends."""
    rng = np.random.default_rng(0)
    spread = float(X.std()) or 1.0
    draws = X.mean() + spread * rng.standard_normal((_N_PROBES, *X.shape[1:]))
    x = unit.network.to_tensor(draws).requires_grad_()
    with evaluation_mode(unit.network.module):
        value = unit(x)[(slice(None), *place)].sum()
        [slope] = torch.autograd.grad(value, x)
    depends = to_numpy(slope.abs().amax(0)) > 0
    axes = spatial_axes(depends.shape, None)
    box = []
    for axis in axes:
        others = tuple(a for a in range(-depends.ndim, 0) if a != axis)
        along = np.flatnonzero(depends.any(axis=others))
        whole = slice(0, depends.shape[axis])
        box.append(slice(int(along[0]), int(along[-1]) + 1) if len(along) else whole)
    return tuple(box)
