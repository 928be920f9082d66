"""Signals that drive a unit most, by gradient ascent."""

import contextlib
from collections.abc import Callable, Sequence
from math import prod
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from torch import Tensor, nn

from sktrim.network._evaluation import Draws, evaluation_mode
from sktrim.network._network import floating_type, to_numpy
from sktrim.stimuli._ascent import Ascent, Settings, activation, climb, together
from sktrim.stimuli._parametrisations import (
    Ball,
    Parametrisation,
    Spectrum,
    coefficients_of,
    decoder,
    directions,
    maco,
)
from sktrim.stimuli._steps import TV_FORMS, spatial_axes
from sktrim.stimuli._stimuli import Stimuli
from sktrim.stimuli._units import Response, Unit, check_signals, resolve_response

_KINDS = ("signal", "fourier", "maco", "groups")


class ActivationMaximizer(BaseEstimator):
    r"""Signals that drive a unit of a trained network most.

    .. math::

       \hat x = \operatorname*{arg\,max}_{\|x\|_p \le r} \;
       \sum_{\text{places}} z(x) - \lambda \, \mathrm{TV}(x),
       \qquad x \leftarrow P_r \big( x + \eta_t \, r \, d(\nabla) \big),

    with the unit's response z (or its square), the direction d of p-norm 1 in which
    the objective rises most, :math:`\nabla / |\nabla|_2` for p = 2, the sign for
    :math:`p = \infty` and the largest coordinate alone for p = 1, the Euclidean
    projection :math:`P_r` onto the ball, and a step that shrinks linearly,
    :math:`\eta_t = \eta (1 - t / T)`. Of a linear unit with weights w it gives
    :math:`r w / |w|_2`, :math:`r \, \mathrm{sign}(w)`, and r at the largest
    :math:`|w|`.

    Parameters
    ----------
    unit : int or tuple
        (layer, channel) or (layer, channel, i, j): a channel of a layer, over all of
        its places or at one; the layer is a name of ``named_modules()`` or the module
        itself, and channels are axis 1 of what it puts out. An int: an output column,
        before a final softmax or sigmoid.
    norm : {1, 2, numpy.inf}, default=2
        p of the ball.
    radius : float, default=None
        r. None: the median p-norm of the data's rows (of their coefficients, with a
        transformer); of a latent space of d dimensions, :math:`\sqrt d`.
    objective : {"sum", "squares"}, default="sum"
        What is summed over places: z or :math:`z^2`.
    tv : float, default=0.0
        :math:`\lambda`: weight of the total variation.
    tv_form : {"isotropic", "global", "anisotropic"}, default="isotropic"
        :math:`\sum \sqrt{d_x^2 + d_y^2}` over pixels, one root over the whole sum,
        or :math:`\sum |d_x| + |d_y|`; a difference that would leave the signal is 0.
    blur : float, default=0.0
        Sigma, in samples, of a Gaussian after each step, before the projection; edges
        are repeated. Only for signals as they are.
    jitter : int, default=0
        The network sees the signal rolled by up to so many samples, drawn at each
        step; the slope is rolled back.
    transforms : callable, default=None
        Applied to (1, \*signal_shape) before the network, such as random crops; each
        start draws from a seed of its own.
    parametrisation : {"signal", "fourier", "maco", "groups"}, default="signal"
        What is learned. "fourier": a spectrum, standardised, times
        :math:`\sqrt n / \max(f, 1 / \max(h, w))^{1.5}`; its inverse transform is
        standardised and squashed to the data's range by a sigmoid. "maco": the phase
        of every frequency, at the data's mean magnitude. "groups": the direction of
        every group of a transformer's coefficients, at the data's mean norm.
    transformer : fitted transformer, default=None
        Its coefficients are learned, through `sktrim.inverse_module`.
    groups : str, FeatureGroups, array-like or dict, default=None
        With "groups": disjoint groups, as `sktrim.TransformImportance` takes them;
        None: "natural". Coefficients in none of them stay at the data's mean.
    generator : torch.nn.Module, default=None
        Latent vectors to signals; its latent space is searched.
    latent_shape : tuple of int, default=None
        Shape of one latent vector; None: (in_features,) of the generator's first
        linear layer.
    consensus : {"min", "smooth"}, default=None
        How several networks agree. "min": the slope in the signal is
        :math:`\min_i |\nabla f_i|` with the common sign, value by value, and 0 where
        signs differ. "smooth": the slope of the soft minimum
        :math:`-\tau \log \frac1m \sum_i e^{-f_i / \tau}`.
    temperature : float, default=1.0
        :math:`\tau`, in the units of the response.
    axes : int or tuple of int, default=None
        Axes of the signal along which neighbours lie, for variation, blur, jitter and
        spectra. None: the last two, leaving out axes of length 1.
    n_starts : int, default=1
        Random starts.
    n_steps : int, default=200
        T.
    lr : float, default=None
        :math:`\eta`. None: 0.5, a share of the radius, and for groups of their norms;
        for "fourier" 0.1, the rate of NAdam.
    random_state : int, RandomState or None, default=None
        Seeds the starts; the first starts do not depend on how many there are.
    verbose : int, default=0
        1 shows a progress bar.

    See Also
    --------
    max_activating : Signals of the data instead.
    DeepTune : The same for measured responses.
    sktrim.inverse_module : Which transformers there are coefficients of.

    Notes
    -----
    The objective with a norm and a penalty is that of
    :footcite:t:`simonyan2014saliency` and :footcite:t:`olah2017feature`, from whom the
    spectrum is too; MACO is that of
    :footcite:t:`fel2023maco`, the search of a latent space that of
    :footcite:t:`nguyen2016synthesizing`, the consensus that of
    :footcite:t:`abbasi2018deeptune`, the projection for p = 1 that of
    :footcite:t:`duchi2008projections`.

    Three things differ. Phases of opposite frequencies are kept opposite, so that
    magnitudes are held exactly, at frequencies 0 and Nyquist too. "groups" extends
    that to any transform: bands of wavelets, components of a PCA. A group of one
    coefficient has no direction but a sign; it is turned by its own slope, and kept
    where the data have one sign alone. The norms held are those of the coefficients
    that are put in; a redundant transform need not find them again in the signal.

    The smallest slope compares networks, so that they should answer in one unit.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sktrim.stimuli import ActivationMaximizer
    >>> net = torch.nn.Linear(3, 1, bias=False, dtype=torch.float64)
    >>> _ = net.weight.data.copy_(torch.tensor([[3.0, 0.0, -4.0]]))
    >>> X = np.eye(3)
    >>> found = ActivationMaximizer(0, radius=1.0, random_state=0).maximize(net, X)
    >>> np.round(found.images, 3) + 0.0
    array([[ 0.6,  0. , -0.8]])
    """

    def __init__(
        self,
        unit: Unit,
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
        groups: Any = None,
        generator: nn.Module | None = None,
        latent_shape: Sequence[int] | None = None,
        consensus: str | None = None,
        temperature: float = 1.0,
        axes: Any = None,
        n_starts: int = 1,
        n_steps: int = 200,
        lr: float | None = None,
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
        self.latent_shape = latent_shape
        self.consensus = consensus
        self.temperature = temperature
        self.axes = axes
        self.n_starts = n_starts
        self.n_steps = n_steps
        self.lr = lr
        self.random_state = random_state
        self.verbose = verbose

    def maximize(self, model: Any, X: Any) -> Stimuli:
        r"""Find signals that drive the unit.

        Parameters
        ----------
        model : torch.nn.Module or fitted skorch net, or a list of them
            The trained network; a list with `consensus`.
        X : array-like of shape (n_samples, \*signal_shape)
            Signals, whose shape, range and magnitudes are used.

        Returns
        -------
        Stimuli

        Raises
        ------
        ValueError
            If a parameter is out of range, the unit does not exist, the network fails
            on X, or every start has a loss that is not finite.
        TypeError
            If the model has no gradient.

        Warns
        -----
        RuntimeWarning
            If a start had to be stopped, never moved, or all were interrupted.
        """
        X = check_signals(X)
        models = list(model) if isinstance(model, list | tuple) else [model]
        self._check(models)
        responses = [resolve_response(one, self.unit, X) for one in models]
        like = responses[0].network.to_tensor(X[:1])
        how = self._settings(X.shape[1:])
        seeds = check_random_state(self.random_state).randint(
            2**31 - 1, size=self.n_starts
        )
        generators = [torch.Generator().manual_seed(int(s)) for s in seeds]
        with contextlib.ExitStack() as stack:
            modules = [r.network.module for r in responses]
            if self.generator is not None:
                modules.append(self.generator)
            for module in modules:
                stack.enter_context(evaluation_mode(module))
            stack.enter_context(Draws(like.device))
            learned = self._learned(X, how, like)
            state = climb(learned, responses, generators, how)
            return self._result(learned, responses, state, how)

    def _check(self, models: list) -> None:
        """Raise where a parameter is none that it may be."""
        options = {
            "norm": (self.norm, (1, 2, np.inf)),
            "objective": (self.objective, ("sum", "squares")),
            "tv_form": (self.tv_form, TV_FORMS),
            "parametrisation": (self.parametrisation, _KINDS),
            "consensus": (self.consensus, (None, "min", "smooth")),
        }
        for name, (value, known) in options.items():
            if value not in known:
                listed = ", ".join(map(repr, known))
                raise ValueError(f"{name}={value!r}; expected one of {listed}.")
        self._check_numbers()
        if not models or (len(models) > 1 and self.consensus is None):
            raise ValueError(
                f"{len(models)} networks were given; expected one, or several with "
                "consensus='min' or 'smooth'."
            )
        self._check_together()

    def _check_numbers(self) -> None:
        for name, lowest in (("n_starts", 1), ("n_steps", 0), ("jitter", 0)):
            value: Any = getattr(self, name)
            if not isinstance(value, Integral) or value < lowest:
                raise ValueError(f"{name}={value!r}; expected an int from {lowest} on.")
        for name in ("tv", "blur"):
            value: Any = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value < np.inf:
                raise ValueError(f"{name}={value!r}; expected a number, 0 or larger.")
        for name in ("radius", "lr", "temperature"):
            value: Any = getattr(self, name)
            if value is None and name != "temperature":
                continue
            if not isinstance(value, int | float) or not 0 < value < np.inf:
                reason = ": a ball of radius 0 holds 0 alone" * (name == "radius")
                raise ValueError(
                    f"{name}={value!r}; expected a finite number above 0{reason}."
                )

    def _check_together(self) -> None:
        """Raise where parameters do not go together."""
        kind = self.parametrisation
        if self.generator is not None and (
            self.transformer is not None or kind != "signal"
        ):
            raise ValueError(
                "generator= searches latent vectors; leave transformer=None and "
                "parametrisation='signal' with it."
            )
        if self.transformer is not None and kind in ("fourier", "maco"):
            raise ValueError(
                f"parametrisation={kind!r} brings a transform of its own; leave "
                "transformer=None, or use 'signal' or 'groups'."
            )
        if kind == "groups" and self.transformer is None:
            raise ValueError("parametrisation='groups' needs a fitted transformer=.")
        if kind != "groups" and self.groups is not None:
            raise ValueError("groups= goes with parametrisation='groups'.")
        plain = kind == "signal" and self.transformer is None and self.generator is None
        if self.blur and not plain:
            raise ValueError(
                f"blur={self.blur} is for signals as they are: what would be blurred "
                "here is no signal. Use tv=, or a transformer that is smooth itself."
            )

    def _settings(self, shape: Sequence[int]) -> Settings:
        lr = 0.1 if self.parametrisation == "fourier" else 0.5
        return Settings(
            objective=self.objective,
            consensus=self.consensus,
            temperature=self.temperature,
            tv=self.tv,
            tv_form=self.tv_form,
            axes=spatial_axes(shape, self.axes),
            blur=self.blur,
            jitter=self.jitter,
            transforms=self.transforms,
            n_steps=self.n_steps,
            lr=lr if self.lr is None else self.lr,
            verbose=self.verbose,
        )

    def _learned(self, X: np.ndarray, how: Settings, like: Tensor) -> Parametrisation:
        """Return what is learned, with what it takes from the data."""
        shape = X.shape[1:]
        if self.parametrisation == "fourier":
            limits = float(X.min()), float(X.max())
            return Spectrum(shape, how.axes, limits, like)
        if self.parametrisation == "maco":
            return maco(X, how.axes, like)
        if self.parametrisation == "groups":
            groups = "natural" if self.groups is None else self.groups
            return directions(X, self.transformer, groups, like)
        if self.generator is not None:
            latent = self._latent_shape()
            radius = self.radius or float(np.sqrt(prod(latent)))
            decode = _Generated(self.generator, shape, like)
            dtype, device = floating_type(self.generator)
            own = torch.zeros(0, dtype=dtype, device=device)
            return Ball(latent, self.norm, radius, decode, own)
        rows, decode = X.reshape(len(X), -1), _as_it_is
        if self.transformer is not None:
            rows = coefficients_of(self.transformer, X)
            shape, decode = rows.shape[1:], decoder(self.transformer, X, like)
        radius = self.radius or _median_norm(rows, self.norm)
        return Ball(shape, self.norm, radius, decode, like)

    def _latent_shape(self) -> tuple[int, ...]:
        if self.latent_shape is not None:
            return tuple(map(int, np.atleast_1d(self.latent_shape)))
        for part in self.generator.modules() if self.generator is not None else ():
            if isinstance(part, nn.Linear):
                return (part.in_features,)
        raise ValueError("The generator has no linear layer; give its latent_shape=.")

    def _result(
        self, learned: Any, responses: list[Response], state: Ascent, how: Settings
    ) -> Stimuli:
        """Look at the signals once more, without jitter, transforms and penalties."""
        variable, n_steps = state.variable.detach(), len(state.losses)
        with torch.no_grad():
            reached = together(activation(responses, learned.image(variable), how), how)
            finite = reached.isfinite()
            rows = finite.view(-1, *[1] * (variable.ndim - 1))
            variable = torch.where(rows, variable, state.good)
            images = learned.image(variable)
            reached = together(activation(responses, images, how), how)
        if not reached.isfinite().any():
            raise ValueError(
                f"The unit answers {reached.tolist()} to every start, so that there is "
                "nothing to raise. Likely causes: (a) the network has weights that are "
                "not finite; (b) the radius is too large for it."
            )
        seen = torch.zeros_like(images) + state.transparency
        return Stimuli(
            to_numpy(images),
            to_numpy(reached),
            np.array(state.losses).reshape(n_steps, len(images)),
            to_numpy(seen),
            to_numpy(variable),
            unit=responses[0].name,
        )


class _Generated:
    """Signals that a generator makes, checked for their size."""

    def __init__(
        self, generator: nn.Module, shape: Sequence[int], like: Tensor
    ) -> None:
        self.generator, self.shape, self.like = generator, tuple(shape), like

    def __call__(self, latent: Tensor) -> Tensor:
        out = self.generator(latent)
        if out[0].numel() != prod(self.shape):
            raise ValueError(
                f"The generator gives signals of shape {tuple(out.shape[1:])}, but X "
                f"has {self.shape}; give the generator of such signals."
            )
        return out.reshape(len(latent), *self.shape).to(self.like)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _median_norm(rows: np.ndarray, p: float) -> float:
    radius = float(np.median(np.linalg.norm(rows, p, axis=1)))
    if not radius > 0:
        raise ValueError(
            "The median norm of X is 0, so that it says nothing of the radius; give "
            "radius=."
        )
    return radius
