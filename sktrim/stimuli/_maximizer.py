"""Images that a unit responds to the most."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from torch import Tensor, nn
from tqdm.auto import tqdm

from sktrim.exceptions import NonFiniteLossError
from sktrim.inspection import StimuliDisplay
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.stimuli._constraints import (
    NORMS,
    blurred,
    consensus,
    jittered,
    project,
    steepest,
    total_variation,
)
from sktrim.stimuli._spaces import (
    CoefficientSpace,
    FourierSpace,
    GroupSpace,
    LatentSpace,
    PhaseSpace,
    Space,
    spatial_axes,
)
from sktrim.stimuli._units import Unit

__all__ = ["ActivationMaximizer", "Stimuli"]

STABLE = 0.5
"""Images of several starts that correlate by less are of no one thing."""


@dataclass(eq=False)
class Stimuli:
    r"""Images that a unit was found to respond to, one for each start.

    Parameters
    ----------
    signals : ndarray of shape (n_starts, \*signal_shape)
    activations : ndarray of shape (n_starts,)
        The objective at each: the summed response, or the sum of its squares, the mean
        over networks where there are several.
    history : ndarray of shape (n_steps, n_starts)
        The objective on the way, before the penalty of total variation.
    importance : ndarray of shape (n_starts, \*signal_shape)
        Sizes of the objective's gradient in the signal, summed over the steps: where
        it was that mattered (the transparency of MACO).
    unit : object
        Whose they are.

    See Also
    --------
    ActivationMaximizer : Makes them.
    """

    signals: np.ndarray
    activations: np.ndarray
    history: np.ndarray
    importance: np.ndarray
    unit: Any = None

    @property
    def best(self) -> np.ndarray:
        r"""The signal with the largest activation, of shape (\*signal_shape)."""
        return self.signals[int(np.argmax(self.activations))]

    @property
    def similarity(self) -> float:
        """The mean correlation of pairs of starts, up to a shift; NaN for one start."""
        return mean_correlation(self.signals)

    @property
    def is_stable(self) -> bool:
        """Whether the starts agree: a similarity of .5 or more."""
        return bool(self.similarity >= STABLE)

    def __repr__(self) -> str:
        agree = ""
        if len(self.signals) > 1:
            verdict = "stable" if self.is_stable else "unstable"
            agree = f", {verdict}: starts correlate by {self.similarity:.2f}"
        top = self.activations.max()
        return f"Stimuli({len(self.signals)} of {self.unit!r}, up to {top:.4g}{agree})"

    def plot(self, ax: Any = None, **options: Any) -> StimuliDisplay:
        """Draw the images side by side.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        **options
            ``title``, as in `sktrim.inspection.StimuliDisplay`.

        Returns
        -------
        StimuliDisplay
        """
        names = [f"{value:.3g}" for value in self.activations]
        return StimuliDisplay(self.signals, names).plot(ax, **options)


def mean_correlation(signals: np.ndarray, other: np.ndarray | None = None) -> float:
    """Return the mean correlation of pairs, each at the shift that suits it best."""
    # of all pairs of `signals`, or of each with one `other`
    axes = spatial_axes(signals.ndim - 1)
    rows = _standardised(signals)
    spectra = np.fft.rfftn(rows, axes=axes)
    grid = [rows.shape[axis] for axis in axes]
    if other is not None:
        second = np.fft.rfftn(_standardised(other[None]), axes=axes)
        pairs = [spectra * second.conj()]
    else:
        firsts, seconds = np.triu_indices(len(rows), 1)
        pairs = [spectra[firsts] * spectra[seconds].conj()]
    if not len(pairs[0]):
        return float("nan")
    waves = np.fft.irfftn(pairs[0], s=grid, axes=axes)
    over = tuple(range(1, waves.ndim - len(axes)))
    return float(waves.sum(over).reshape(len(waves), -1).max(1).mean())


def _standardised(signals: np.ndarray) -> np.ndarray:
    """Take the mean off every signal, and give it the length 1."""
    rows = signals.reshape(len(signals), -1).astype(float)
    rows = rows - rows.mean(1, keepdims=True)
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(sizes > 0, sizes, 1)).reshape(signals.shape)


class ActivationMaximizer(BaseEstimator):
    r"""Finds signals that a unit of a network responds to the most.

    .. math::

       \max_{\| x \|_p \le r} \; \sum_{ij} z_{cij}(x) - \lambda \, \mathrm{TV}(x),

    by gradient ascent from noise, where z is what a layer puts out and c a channel of
    it; with a projection onto the ball, blur and jitter at each step; on the values of
    x, or in any space they can be made from.

    Parameters
    ----------
    unit : int, (layer, channel) or (layer, channel, i, j)
        An output of the network; a channel of a layer (a name or a module), summed over
        its places; or one place of it.
    norm : {1, 2, inf}, default=2
        :math:`p`. With a transformer or a generator the ball is in their space.
    radius : float or None, default=None
        :math:`r`; None: the mean norm of the rows of X (of their coefficients).
    objective : {"sum", "squares"}, default="sum"
        Of the responses at all places: their sum, or the sum of their squares.
    tv : float, default=0.0
        :math:`\lambda`.
    tv_form : {"isotropic", "global", "anisotropic"}, default="isotropic"
        :math:`\sum_{ij} \sqrt{\Delta_x^2 + \Delta_y^2}`, one root over the whole sum,
        or :math:`\sum_{ij} |\Delta_x| + |\Delta_y|`.
    blur : float, default=0.0
        Standard deviation, in pixels, of the Gaussian by which the signal is smoothed
        after each step.
    jitter : int, default=0
        At each step the signal is rolled by up to so many pixels along each axis.
    transforms : callable or None, default=None
        Applied to a batch of signals before the network, such as random crops.
    parametrisation : {"signal", "fourier", "maco", "groups"}, default="signal"
        "fourier": a spectrum whose scale falls with the frequency, and the image is
        brought to the data's range :footcite:p:`olah2017feature`. "maco": phases alone,
        magnitudes are the mean ones of X :footcite:p:`fel2023maco`. "groups": in the
        space of `transformer`, the norm of every group is the mean one of X: the same
        idea in any space.
    transformer : fitted transformer or None, default=None
        Its coefficients are varied.
    groups : as in TransformImportance, default="natural"
        For ``parametrisation="groups"``.
    generator : torch.nn.Module or None, default=None
        Makes signals of codes, and the codes are varied. It has ``latent_dim``, or
        begins with a linear layer.
    consensus : {"min", "smooth"}, default="min"
        How the gradients of several networks are made one: the least size where all
        signs agree, else 0; or a smooth version of it, the power mean of exponent -8 of
        the sizes times the mean sign.
    n_starts : int, default=1
    n_steps : int, default=256
    lr : float, default=0.1
        Length of a step over the radius, in the norm of the ball (steepest ascent);
        without a ball, the step size of Adam.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        1 shows a progress bar.

    See Also
    --------
    max_activating : The rows of the data that a unit likes best.
    DeepTune : Does it for units that were measured.

    Notes
    -----
    With ``norm=2`` the image of a linear unit of weights w is
    :math:`r \, w / \| w \|_2`, with "inf" :math:`r \, \mathrm{sign}(w)`, with 1 all of
    r at the largest weight. Consensus over networks is that of DeepTune
    :footcite:p:`abbasiasl2018deeptune`; that of one network is its own gradient.
    Starts do not depend on each other.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim.stimuli import ActivationMaximizer
    >>> net = torch.nn.Linear(4, 2)
    >>> X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    >>> stimuli = ActivationMaximizer(unit=1, radius=2.0, random_state=0)
    >>> found = stimuli.maximize(net, X).best
    >>> weights = net.weight[1].detach().numpy()
    >>> np.allclose(found, 2 * weights / np.linalg.norm(weights), atol=1e-4)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "norm": [Options(Real, set(NORMS))],
        "radius": [Interval(Real, 0, None, closed="neither"), None],
        "objective": [StrOptions({"sum", "squares"})],
        "tv": [Interval(Real, 0, None, closed="left")],
        "tv_form": [StrOptions({"isotropic", "global", "anisotropic"})],
        "blur": [Interval(Real, 0, None, closed="left")],
        "jitter": [Interval(Integral, 0, None, closed="left")],
        "transforms": [callable, None],
        "parametrisation": [StrOptions({"signal", "fourier", "maco", "groups"})],
        "consensus": [StrOptions({"min", "smooth"})],
        "n_starts": [Interval(Integral, 1, None, closed="left")],
        "n_steps": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        unit: Any,
        *,
        norm: float = 2,
        radius: float | None = None,
        objective: str = "sum",
        tv: float = 0.0,
        tv_form: str = "isotropic",
        blur: float = 0.0,
        jitter: int = 0,
        transforms: Callable | None = None,
        parametrisation: str = "signal",
        transformer: Any = None,
        groups: Any = "natural",
        generator: nn.Module | None = None,
        consensus: str = "min",
        n_starts: int = 1,
        n_steps: int = 256,
        lr: float = 0.1,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.unit = unit
        self.norm = norm
        self.radius = radius
        self.objective = objective
        self.tv = tv
        self.tv_form = tv_form
        self.blur = blur
        self.jitter = jitter
        self.transforms = transforms
        self.parametrisation = parametrisation
        self.transformer = transformer
        self.groups = groups
        self.generator = generator
        self.consensus = consensus
        self.n_starts = n_starts
        self.n_steps = n_steps
        self.lr = lr
        self.random_state = random_state
        self.verbose = verbose

    def maximize(self, model: Any, X: Any) -> Stimuli:
        r"""Search for signals that the unit responds to.

        Parameters
        ----------
        model : torch.nn.Module or fitted skorch net, or list of them
            Several have the unit each, and the direction is their consensus.
        X : array-like of shape (n_samples, \*signal_shape)
            Signals, whose shape, size and range, and magnitudes, are taken.

        Returns
        -------
        Stimuli

        Raises
        ------
        TypeError
            If `unit` is none, or `model` has no gradient.
        ValueError
            If there is no such layer or unit, or a parameter does not fit.
        NonFiniteLossError
            If the response becomes NaN in the first step; later, the last good signals
            are returned with a warning.
        """
        self._validate_params()
        X = np.asarray(X)
        models = list(model) if isinstance(model, list | tuple) else [model]
        units = [self._unit(one, X) for one in models]
        network = units[0].network
        like = torch.zeros((), dtype=network.dtype, device=network.device)
        return self._ascend(units, self._space(X, like))

    def _unit(self, model: Any, X: np.ndarray) -> Any:
        return Unit(model, X, self.unit)

    def _space(self, X: np.ndarray, like: Tensor) -> Space:
        """Return the space whose parameters are varied."""
        if self.parametrisation == "groups":
            return GroupSpace(X, like, self.transformer, self.groups)
        if self.parametrisation != "signal":
            kinds = {"fourier": FourierSpace, "maco": PhaseSpace}
            return kinds[self.parametrisation](X, like)
        if self.generator is not None:
            return LatentSpace(X, like, self.generator)
        if self.transformer is not None:
            return CoefficientSpace(X, like, self.transformer)
        return Space(X, like)

    def _radius(self, space: Space) -> float:
        """Return the radius of the ball in the space's parameters."""
        if self.radius is not None:
            return float(self.radius)
        sizes = torch.linalg.vector_norm(space.typical, self.norm, dim=1)
        size = float(sizes.mean())
        if not size > 0:
            raise ValueError("All rows of X are 0, which says no radius; pass radius=.")
        return size

    def _ascend(self, units: list, space: Space) -> Stimuli:
        """Step by step, all starts at once."""
        rng = check_random_state(self.random_state)
        seeds = rng.randint(2**31 - 1, size=self.n_starts)
        draws = [
            np.random.default_rng(seed).standard_normal(space.n_parameters)
            for seed in seeds
        ]
        shifts = np.random.default_rng(int(rng.randint(2**31 - 1)))
        point = space.start(torch.as_tensor(np.stack(draws)).to(space.like))
        walk = _Walk(self, units, space, point, shifts)
        for _ in tqdm(range(self.n_steps), unit="step", disable=not self.verbose):
            try:
                if not walk.step():
                    break
            except KeyboardInterrupt:
                warnings.warn(
                    f"Interrupted after {len(walk.history)} of {self.n_steps} steps; "
                    "these are the signals so far.",
                    ConvergenceWarning,
                    stacklevel=3,
                )
                break
        return walk.result()


class _Walk:
    """The state of an ascent."""

    def __init__(
        self,
        asked: ActivationMaximizer,
        units: list,
        space: Space,
        point: Tensor,
        rng: np.random.Generator,
    ) -> None:
        self.asked, self.units, self.space, self.rng = asked, units, space, rng
        self.axes = spatial_axes(len(space.shape))
        self.radius = asked._radius(space) if space.is_ball else None
        if self.radius is not None:
            size = torch.linalg.vector_norm(point.flatten(1), asked.norm, dim=1)
            factors = self.radius / size
            point = point * factors.view(-1, *[1] * (point.ndim - 1))
        self.point = point
        self.optimizer = None
        if self.radius is None:
            self.point = point.requires_grad_()
            self.optimizer = torch.optim.Adam([self.point], asked.lr)
        self.history: list[np.ndarray] = []
        self.importance = torch.zeros((len(point), *space.shape)).to(space.like)

    def step(self) -> bool:
        """Take one step; tell whether to go on."""
        asked = self.asked
        point = self.point.detach().requires_grad_()
        shifts = np.zeros(len(self.axes), int)
        if asked.jitter:
            shifts = self.rng.integers(-asked.jitter, asked.jitter + 1, len(self.axes))
        values, slopes = zip(
            *[self._slope(unit, point, shifts) for unit in self.units], strict=True
        )
        value = torch.stack(values).mean(0)
        slope = (
            slopes[0] if len(slopes) == 1 else consensus(list(slopes), asked.consensus)
        )
        if asked.tv:
            signal = self.space.signal(point)
            rough = total_variation(signal, asked.tv_form, self.axes).sum()
            slope = slope - asked.tv * torch.autograd.grad(rough, point)[0]
        if not (torch.isfinite(value).all() and torch.isfinite(slope).all()):
            return self._stop()
        self.history.append(to_numpy(value))
        self._move(point.detach(), slope)
        return True

    def _slope(self, unit: Any, point: Tensor, shifts: Any) -> tuple[Tensor, Tensor]:
        """Return the objective of each start, and its gradient in the parameters."""
        signal = self.space.signal(point)
        seen = jittered(signal, shifts, self.axes) if any(shifts) else signal
        if self.asked.transforms is not None:
            seen = self.asked.transforms(seen)
        with evaluation_mode(unit.network.module):
            value = self.objective(unit, seen)
            slope, at_signal = torch.autograd.grad(value.sum(), (point, signal))
        self.importance += at_signal.abs() / len(self.units)
        return value.detach(), slope

    def objective(self, unit: Any, signals: Tensor) -> Tensor:
        """Return the response of each signal, summed over places."""
        responses = unit(signals)
        if self.asked.objective == "squares":
            responses = responses.square()
        return responses.flatten(1).sum(1) if responses.ndim > 1 else responses

    def _move(self, point: Tensor, slope: Tensor) -> None:
        """Go up, and back to where signals may be."""
        asked = self.asked
        if self.optimizer is not None:
            self.point.grad = -slope
            self.optimizer.step()
            return
        assert self.radius is not None
        point = point + asked.lr * self.radius * steepest(slope, asked.norm)
        if asked.blur and type(self.space) is Space:
            point = blurred(point, asked.blur, self.axes)
        self.point = project(point, asked.norm, self.radius)

    def _stop(self) -> bool:
        """Stop where the response is no number, or raise in the first step."""
        message = (
            f"The response of unit {self.asked.unit!r}, or its gradient, is NaN or "
            f"infinite in step {len(self.history) + 1}. Likely causes: (a) the network "
            "gives NaN for signals of that size: choose a smaller radius; (b) lr is "
            "too large."
        )
        if not self.history:
            raise NonFiniteLossError(message)
        warnings.warn(
            message + " The last good signals are returned.",
            ConvergenceWarning,
            stacklevel=5,
        )
        return False

    def result(self) -> Stimuli:
        """Return what was found."""
        with torch.no_grad():
            signals = self.space.signal(self.point.detach())
            values = []
            for unit in self.units:
                with evaluation_mode(unit.network.module):
                    values.append(self.objective(unit, signals))
        return Stimuli(
            to_numpy(signals),
            to_numpy(torch.stack(values).mean(0)),
            np.array(self.history).reshape(-1, len(signals)),
            to_numpy(self.importance),
            self.asked.unit,
        )
