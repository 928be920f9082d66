"""The rows of a data set that drive a unit most, and where in them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sktrim.inspection import StimuliDisplay
from sktrim.network._evaluation import Draws, evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.stimuli._steps import spatial_axes
from sktrim.stimuli._units import (
    Response,
    Unit,
    check_signals,
    resolve_response,
    responses_of,
)

_N_DRAWS = 8
"""Signals at which the slope is looked at, beside the row itself."""


@dataclass(eq=False, repr=False)
class ActivatingRows:
    r"""Rows that drive a unit most, the strongest first.

    Parameters
    ----------
    images : ndarray of shape (n, \*signal_shape)
        The rows.
    indices : ndarray of int of shape (n,)
        Which rows of X they are.
    activations : ndarray of shape (n,)
        The unit's response, at its largest place.
    places : ndarray of int of shape (n, n_places)
        That place in what the layer puts out; no columns where there is one alone.
    boxes : ndarray of int of shape (n, n_axes, 2)
        First and last sample, along each axis, of what that place sees.
    axes : tuple of int
        The axes of a signal that boxes are about.
    unit : str
        What the unit is called.

    See Also
    --------
    sktrim.stimuli.max_activating : Makes it.
    """

    images: np.ndarray
    indices: np.ndarray
    activations: np.ndarray
    places: np.ndarray
    boxes: np.ndarray
    axes: tuple[int, ...]
    unit: str

    @property
    def crops(self) -> list[np.ndarray]:
        """What the place sees of each row."""
        found = []
        for image, box in zip(self.images, self.boxes, strict=True):
            window: list = [slice(None)] * image.ndim
            for axis, (first, last) in zip(self.axes, box, strict=True):
                window[axis] = slice(first, last + 1)
            found.append(image[tuple(window)])
        return found

    def __repr__(self) -> str:
        a = self.activations
        return (
            f"ActivatingRows({len(a)} of {self.unit}, rows {self.indices.tolist()}, "
            f"activations {a[0]:.3g} to {a[-1]:.3g})"
        )

    def plot(self, ax: Any = None, *, title: str | None = None) -> StimuliDisplay:
        """Draw the rows, with a frame around what the unit sees.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            None: the unit.

        Returns
        -------
        StimuliDisplay
        """
        pairs = zip(self.indices, self.activations, strict=True)
        return StimuliDisplay.from_signals(
            self.images,
            [f"row {i}: {a:.3g}" for i, a in pairs],
            boxes=list(self.boxes),
            title=self.unit if title is None else title,
            ax=ax,
        )


def max_activating(
    unit: Unit,
    model: Any,
    X: Any,
    n: int = 9,
    *,
    axes: Any = None,
    random_state: Any = 0,
) -> ActivatingRows:
    r"""Find the rows that drive a unit most, and what it sees of them.

    .. math::

       \max_{\text{places}} z(x), \qquad
       \{ j : \partial z_{\text{place}} / \partial x_j \ne 0
       \text{ at } x \text{ or at one of 8 noisy copies} \}

    ranks rows, and is what the place sees: the box around these samples. A slope may be
    0 where a ReLU is off or a maximum lies elsewhere, for which there are the copies,
    with normal noise as large as the signals; what no copy finds is missed, so that
    boxes are never too large.

    Parameters
    ----------
    unit : int or tuple
        (layer, channel), (layer, channel, i, j) or an output column, as
        `ActivationMaximizer` takes it.
    model : torch.nn.Module or fitted skorch net
        The trained network.
    X : array-like of shape (n_samples, \*signal_shape)
        Signals.
    n : int, default=9
        How many rows.
    axes : int or tuple of int, default=None
        Axes of the signal that boxes are about. None: the last two, leaving out axes
        of length 1.
    random_state : int, Generator or None, default=0
        Seeds the noise.

    Returns
    -------
    ActivatingRows

    Raises
    ------
    ValueError
        If the unit does not exist, the network fails on X, or there are fewer rows.

    See Also
    --------
    ActivationMaximizer : Signals that are made.
    layer_embedding : All rows by all units of a layer.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sktrim.stimuli import max_activating
    >>> net = torch.nn.Conv1d(1, 1, 3, bias=False, dtype=torch.float64)
    >>> _ = net.weight.data.fill_(1.0)
    >>> X = np.zeros((4, 1, 10))
    >>> X[2, 0, 5:8] = 1
    >>> found = max_activating((net, 0), net, X, n=1)
    >>> found.indices, found.places, found.boxes
    (array([2]), array([[5]]), array([[[5, 7]]]))
    """
    X = check_signals(X)
    if not 1 <= n <= len(X):
        raise ValueError(f"n={n}; expected 1 to {len(X)}, the number of rows.")
    response = resolve_response(model, unit, X)
    answers = responses_of(response, X)
    shape, flat = answers.shape[1:], answers.reshape(len(X), -1)
    at = flat.argmax(axis=1)
    largest = flat[np.arange(len(X)), at]
    order = np.argsort(-largest, kind="stable")[:n]
    chosen = spatial_axes(X.shape[1:], axes)
    rng = np.random.default_rng(random_state)
    spread = float(np.sqrt(np.square(X).mean()))
    boxes = [_box(response, X[i], int(at[i]), chosen, spread, rng) for i in order]
    places = np.stack(np.unravel_index(at[order], shape), axis=-1) if shape else None
    return ActivatingRows(
        X[order],
        order,
        largest[order],
        np.empty((n, 0), dtype=int) if places is None else places,
        np.array(boxes),
        chosen,
        response.name,
    )


def _box(
    response: Response, row: np.ndarray, at: int, axes: tuple, spread: float, rng: Any
) -> list[tuple[int, int]]:
    """Return the first and last sample along each axis that a place depends on."""
    copies = np.repeat(row[None], _N_DRAWS + 1, axis=0)
    copies[1:] += spread * rng.standard_normal(copies[1:].shape)
    network = response.network
    with evaluation_mode(network.module), Draws(network.device):
        x = network.to_tensor(copies).requires_grad_()
        place = response(x).reshape(len(copies), -1)[:, at]
        (slope,) = torch.autograd.grad(place.sum(), x)
    seen = (to_numpy(slope) != 0).any(axis=0)
    if not seen.any():
        return [(0, row.shape[axis] - 1) for axis in axes]
    box = []
    for axis in axes:
        others = tuple(k for k in range(seen.ndim) if k != axis % seen.ndim)
        where = np.flatnonzero(seen.any(axis=others))
        box.append((int(where[0]), int(where[-1])))
    return box
