"""What is learned, and the signal that it stands for."""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.groups import check_groups
from sktrim.inverse import inverse_module
from sktrim.stimuli._steps import norms, project_ball, steepest, without_rounding
from sktrim.transforms import FourierTransformer


class Parametrisation(Protocol):
    """A variable of a row per start, and how it moves."""

    def start(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw one row per generator."""
        ...

    def image(self, variable: Tensor) -> Tensor:
        """Return the signals that the variable stands for."""
        ...

    def step(self, variable: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Return the variable after a step along the gradient."""
        ...


def draw(shape: Sequence[int], generators: Sequence, like: Tensor) -> Tensor:
    """Draw normal rows, each by its own generator."""
    rows = [torch.randn(*shape, generator=g, dtype=torch.float64) for g in generators]
    return torch.stack(rows).to(like)


class Ball:
    """Signals, coefficients or latent vectors within a p-ball; steepest ascent."""

    def __init__(
        self, shape: Sequence[int], p: float, radius: float, decode: Any, like: Tensor
    ) -> None:
        self.shape, self.p, self.radius = tuple(shape), p, radius
        self.decode, self.like = decode, like

    def start(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw points of the sphere."""
        x = draw(self.shape, generators, self.like)
        return x * (self.radius / norms(x, self.p))

    def image(self, variable: Tensor) -> Tensor:
        """Decode."""
        return self.decode(variable)

    def step(self, variable: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Move by a share of the radius and return to the ball."""
        moved = variable + rate * self.radius * steepest(gradient, self.p)
        return project_ball(moved, self.p, self.radius)


class Spectrum:
    """Pictures by their spectrum, with a falling scale, squashed to a range."""

    def __init__(
        self,
        shape: Sequence[int],
        axes: Sequence[int],
        limits: tuple[float, float],
        like: Tensor,
    ) -> None:
        self.axes, self.limits, self.like = tuple(axes), limits, like
        self.sizes = [shape[a] for a in axes]
        self.scale = torch.as_tensor(decay(self.sizes)).to(like)
        # the grid's axes last, as those of the spectrum
        self.others = [n for k, n in enumerate(shape) if k - len(shape) not in axes]
        self.last = tuple(range(-len(axes), 0))

    def start(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw real and imaginary parts."""
        shape = (*self.others, *self.scale.shape, 2)
        self._variable = nn.Parameter(draw(shape, generators, self.like))
        self._optimizer = torch.optim.NAdam([self._variable])
        return self._variable.detach().clone()

    def image(self, variable: Tensor) -> Tensor:
        """Return pictures within the range."""
        z = torch.view_as_complex(_standardised(variable).contiguous()) * self.scale
        x = torch.fft.irfftn(z, s=self.sizes, dim=self.last)
        low, high = self.limits
        x = low + (high - low) * torch.sigmoid(_standardised(x))
        return x.movedim(self.last, self.axes)

    def step(self, variable: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Take a step of NAdam."""
        self._variable.data.copy_(variable)
        self._variable.grad = -gradient
        self._optimizer.param_groups[0]["lr"] = rate
        with torch.enable_grad():
            self._optimizer.step()
        return self._variable.detach().clone()


def decay(sizes: Sequence[int]) -> np.ndarray:
    """Return sqrt(n) / max(f, 1 / max(sizes))^1.5 over a half spectrum."""
    axes = [np.fft.fftfreq(n) for n in sizes[:-1]] + [np.fft.rfftfreq(sizes[-1])]
    grids = np.meshgrid(*axes, indexing="ij")
    f = np.sqrt(sum(g**2 for g in grids))
    return np.sqrt(prod(sizes)) / np.maximum(f, 1 / max(sizes)) ** 1.5


def _standardised(x: Tensor) -> Tensor:
    flat = x.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    return (flat / flat.std(1, keepdim=True)).view_as(x)


class Directions:
    """Groups of coefficients whose norms are held; only directions are learned."""

    # the variable lies in the unit ball of every group, and the coefficients are its
    # direction times the norm: so that a group of one coefficient can change its sign

    def __init__(
        self, coefficients: np.ndarray, labels: np.ndarray, decode: Any, like: Tensor
    ) -> None:
        self.decode, self.like = decode, like
        # what no group holds, -1, stays at its mean, as a group of its own
        free = labels < 0
        _, group_of, counts = np.unique(
            np.where(free, labels.max() + 1 + np.arange(len(labels)), labels),
            return_inverse=True,
            return_counts=True,
        )
        means = coefficients.mean(axis=0)
        squares = np.zeros((len(coefficients), len(counts)))
        np.add.at(squares.T, group_of, np.square(coefficients).T)
        sizes = np.sqrt(squares).mean(axis=0)
        sizes[group_of[free]] = np.abs(means[free])
        signs = np.sign(coefficients)
        one_sign = (signs == signs[0]).all(axis=0) & (signs[0] != 0)
        single = counts[group_of] == 1
        self.group_of = torch.as_tensor(group_of, device=like.device)
        self.sizes = torch.as_tensor(sizes).to(like)
        self.single = torch.as_tensor(single, device=like.device)
        self.held = torch.as_tensor(single & one_sign | free, device=like.device)
        self.signs = torch.as_tensor(np.where(means < 0, -1.0, 1.0)).to(like)

    def start(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw directions; held coefficients have the data's sign."""
        v = draw((len(self.group_of),), generators, self.like)
        return torch.where(self.held, self.signs, self._divided(v, self._norms(v)))

    def coefficients(self, variable: Tensor) -> Tensor:
        """Return coefficients of the norms that are held."""
        direction = self._divided(variable, self._norms(variable))
        # the slope is that in the direction; `step` leaves out what lies along it
        return (direction.detach() + variable - variable.detach()) * self.sizes[
            self.group_of
        ]

    def image(self, variable: Tensor) -> Tensor:
        """Return signals of these coefficients."""
        return self.decode(self.coefficients(variable))

    def step(self, variable: Tensor, gradient: Tensor, rate: float) -> Tensor:
        """Turn every group by `rate` times the slope's share across its direction."""
        direction = self._divided(variable, self._norms(variable))
        along = gradient.new_zeros(len(gradient), len(self.sizes))
        along = along.index_add(1, self.group_of, gradient * direction)
        across = gradient - along[:, self.group_of] * direction
        # what turns the sign of a single coefficient is its own slope
        across = torch.where(self.single, gradient, across)
        across = self._divided(across, without_rounding(self._norms(gradient)))
        moved = variable + rate * torch.where(self.held, 0, across)
        return self._divided(moved, self._norms(moved).clamp(min=1))

    def _norms(self, values: Tensor) -> Tensor:
        squares = values.new_zeros(len(values), len(self.sizes))
        squares = squares.index_add(1, self.group_of, values.square())
        return torch.where(squares > 0, squares, 1).sqrt() * (squares > 0)

    def _divided(self, values: Tensor, sizes: Tensor) -> Tensor:
        return values * torch.where(sizes > 0, 1 / sizes, 0)[:, self.group_of]


def maco(X: np.ndarray, axes: Sequence[int], like: Tensor) -> Directions:
    """Hold the data's mean magnitude of every frequency of every channel."""
    fourier = FourierTransformer(axes=tuple(axes)).fit(X)
    own = fourier.frequency_of_
    labels = np.arange(fourier.n_channels_)[:, None] * len(fourier.frequencies_) + own
    return directions(X, fourier, labels.ravel(), like)


def directions(X: np.ndarray, transformer: Any, groups: Any, like: Tensor):
    """Hold the data's mean norm of every group of a transformer's coefficients."""
    coefficients = coefficients_of(transformer, X)
    masks = check_groups(groups, transformer, coefficients.shape[1]).masks.tocoo()
    if (masks.data != 1).any() or len(np.unique(masks.col)) < masks.nnz:
        raise ValueError(
            "groups overlap or have weights other than 0 and 1, so that their norms "
            "cannot be held at once; expected groups without a coefficient in common."
        )
    labels = np.full(coefficients.shape[1], -1)
    labels[masks.col] = masks.row
    return Directions(coefficients, labels, decoder(transformer, X, like), like)


def coefficients_of(transformer: Any, X: np.ndarray) -> np.ndarray:
    """Return the coefficients of signals as a table, float64."""
    rows = transformer.transform(X)
    rows = rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)
    return rows.reshape(len(rows), -1).astype(np.float64)


def decoder(transformer: Any, X: np.ndarray, like: Tensor) -> Any:
    """Return the way from coefficients to signals of the shape of X's."""
    inverse = inverse_module(transformer, X=X).to(like.device)
    shape = X.shape[1:]
    return lambda s: inverse(s).to(like.dtype).reshape(len(s), *shape)
