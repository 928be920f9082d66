"""What is learned of an image: its values, coefficients, phases, directions, a code."""

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.composed._coefficients import as_rows, coefficients_of
from sktrim.groups import check_groups
from sktrim.inverse import inverse_module


class Space:
    """Parameters of signals, and the way from them to signals."""

    # whether steps are taken in the parameters' own scale and projected
    is_ball = True

    def __init__(self, X: np.ndarray, like: Tensor) -> None:
        self.shape, self.like = X.shape[1:], like
        # whose mean norm is the default radius
        self.typical = torch.as_tensor(X.reshape(len(X), -1)).to(like)

    @property
    def n_parameters(self) -> int:
        """Number of parameters of one signal."""
        return prod(self.shape)

    def start(self, draws: Tensor) -> Tensor:
        """Make parameters of standard normal draws (n, n_parameters)."""
        return draws.reshape(-1, *self.shape)

    def signal(self, parameters: Tensor) -> Tensor:
        """Return signals (n, *signal_shape)."""
        return parameters


class CoefficientSpace(Space):
    """Coefficients of a fitted transformer."""

    def __init__(self, X: np.ndarray, like: Tensor, transformer: Any) -> None:
        super().__init__(X, like)
        inverse = inverse_module(transformer, X=as_rows(transformer, X[:10]))
        self.inverse = inverse.to(dtype=like.dtype, device=like.device)
        self.typical = torch.as_tensor(coefficients_of(transformer, X)).to(like)

    @property
    def n_parameters(self) -> int:
        """Number of coefficients."""
        return self.typical.shape[1]

    def start(self, draws: Tensor) -> Tensor:
        """Take the draws as coefficients."""
        return draws

    def signal(self, parameters: Tensor) -> Tensor:
        """Return T^-1 of the coefficients."""
        return self.inverse(parameters).reshape(-1, *self.shape)


class GroupSpace(CoefficientSpace):
    """Coefficients whose groups keep the mean norm that they have in the data."""

    is_ball = False

    def __init__(
        self, X: np.ndarray, like: Tensor, transformer: Any, groups: Any
    ) -> None:
        super().__init__(X, like, transformer)
        masks = check_groups(groups, transformer, self.typical.shape[1]).masks.toarray()
        if not (np.isin(masks, (0, 1)).all() and (masks.sum(0) <= 1).all()):
            raise ValueError(
                "Norms of groups are held where groups are apart: weights of 0 or 1, "
                "each coefficient in one group at most."
            )
        self.masks = torch.as_tensor(masks).to(like)
        self.norms = self._norms_of(self.typical).mean(0)

    def _norms_of(self, s: Tensor) -> Tensor:
        squares = s.square() @ self.masks.T
        positive = squares > 0
        return (
            torch.where(positive, squares, torch.ones_like(squares)).sqrt() * positive
        )

    def signal(self, parameters: Tensor) -> Tensor:
        """Return signals whose groups have the norms."""
        tiny = torch.finfo(parameters.dtype).tiny
        factors = self.norms / self._norms_of(parameters).clamp(min=tiny)
        return super().signal(parameters * (factors @ self.masks))


class FourierSpace(Space):
    """Spectra that fall with the frequency; the image has the data's range."""

    is_ball = False

    def __init__(self, X: np.ndarray, like: Tensor) -> None:
        super().__init__(X, like)
        self.axes = spatial_axes(len(self.shape))
        grid = [self.shape[axis] for axis in self.axes]
        *most, last = grid
        each = [np.fft.fftfreq(n) for n in most] + [np.fft.rfftfreq(last)]
        squares: Any = sum(np.square(f) for f in np.meshgrid(*each, indexing="ij"))
        lowest = 1 / max(grid)
        scale = np.maximum(np.sqrt(squares), lowest) ** -1.5 * np.sqrt(prod(grid))
        self.scale = torch.as_tensor(scale).to(like)
        self.grid = grid
        self.low, self.high = float(X.min()), float(X.max())
        lead = self.shape[: len(self.shape) - len(grid)]
        self.half_shape = (*lead, *self.scale.shape)

    @property
    def n_parameters(self) -> int:
        """Real and imaginary parts."""
        return 2 * prod(self.half_shape)

    def start(self, draws: Tensor) -> Tensor:
        """Take the draws as real and imaginary parts."""
        return draws.reshape(-1, *self.half_shape, 2)

    def signal(self, parameters: Tensor) -> Tensor:
        """Return images within the range of the data."""
        spectrum = torch.view_as_complex(parameters.contiguous()) * self.scale
        x = torch.fft.irfftn(spectrum, s=self.grid, dim=self.axes)
        over = tuple(range(1, x.ndim))
        x = x - x.mean(over, keepdim=True)
        x = x / x.std(over, keepdim=True).clamp(min=1e-12)
        return self.low + (self.high - self.low) * x.sigmoid()


class PhaseSpace(FourierSpace):
    """Phases of a spectrum whose sizes are the mean ones of the data (MACO)."""

    def __init__(self, X: np.ndarray, like: Tensor) -> None:
        super().__init__(X, like)
        sizes = np.abs(np.fft.rfftn(X, axes=self.axes)).mean(0)
        self.sizes = torch.as_tensor(sizes).to(like)

    @property
    def n_parameters(self) -> int:
        """Number of phases."""
        return prod(self.half_shape)

    def start(self, draws: Tensor) -> Tensor:
        """Take the draws as phases, in half turns."""
        return draws.reshape(-1, *self.half_shape)

    def signal(self, parameters: Tensor) -> Tensor:
        """Return images of the mean magnitudes."""
        phases = self.symmetric(torch.pi * parameters)
        spectrum = torch.polar(self.sizes.expand_as(phases), phases)
        return torch.fft.irfftn(spectrum, s=self.grid, dim=self.axes)

    def symmetric(self, phases: Tensor) -> Tensor:
        """Make the phases those of a real image, so that no magnitude is lost."""
        # where the last frequency is its own mirror image, phases are odd
        ends = [0] if self.grid[-1] % 2 else [0, self.half_shape[-1] - 1]
        others = self.axes[:-1]
        columns = list(phases.unbind(-1))
        for end in ends:
            column = columns[end]
            mirror = column
            for axis in range(-len(others), 0):
                mirror = mirror.flip(axis).roll(1, axis)
            odd = (column - mirror) / 2
            columns[end] = odd
        return torch.stack(columns, -1)


class LatentSpace(Space):
    """Codes of a generator."""

    def __init__(self, X: np.ndarray, like: Tensor, generator: nn.Module) -> None:
        super().__init__(X, like)
        self.generator = generator
        self.width = _latent_width(generator)
        self.typical = like.new_ones(1, self.width)

    @property
    def n_parameters(self) -> int:
        """Length of a code."""
        return self.width

    def start(self, draws: Tensor) -> Tensor:
        """Take the draws as codes."""
        return draws

    def signal(self, parameters: Tensor) -> Tensor:
        """Return what the generator makes of codes."""
        return self.generator(parameters).reshape(-1, *self.shape)


def _latent_width(generator: nn.Module) -> int:
    width = getattr(generator, "latent_dim", None)
    for module in generator.modules():
        width = width or getattr(module, "in_features", None)
    if width is None:
        raise ValueError(
            f"The length of the codes of {type(generator).__name__} is not known; give "
            "it an attribute latent_dim."
        )
    return int(width)


def spatial_axes(n_axes: int) -> tuple[int, ...]:
    """Return the axes of places: all of a series, else all but the channels'."""
    return (-1,) if n_axes == 1 else tuple(range(1 - n_axes, 0))
