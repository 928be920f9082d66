"""Simulated neurons of known tuning, and textures to show them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

KINDS = ("energy", "curve", "angle", "noise")


@dataclass(eq=False, repr=False)
class SimulatedNeurons:
    """Responses of neurons whose tuning is known.

    Parameters
    ----------
    responses : ndarray of shape (n_samples, n_neurons)
        With noise.
    mean : ndarray of shape (n_samples, n_neurons)
        Without noise; zeros of a neuron that is noise alone.
    templates : ndarray of shape (n_neurons, n_templates, height, width)
        What each neuron looks for, of mean 0 and length 1: two at a right angle of an
        energy model, none of noise, one of the others.
    kind : str
        What they are.

    See Also
    --------
    simulate_neurons : Makes it.

    Examples
    --------
    >>> from sktrim.datasets import simulate_neurons, texture_images
    >>> neurons = simulate_neurons(texture_images(50, 12, random_state=0), "energy")
    >>> neurons.templates.shape
    (1, 2, 12, 12)
    """

    responses: np.ndarray
    mean: np.ndarray
    templates: np.ndarray
    kind: str

    def __repr__(self) -> str:
        n, n_neurons = self.responses.shape
        return f"SimulatedNeurons({n_neurons} of kind {self.kind!r}, {n} images)"

    def tuning(self, image: ArrayLike, neuron: int = 0) -> float:
        r"""Return how much of an image is what a neuron looks for.

        .. math::

           \sqrt{\textstyle\sum_k \langle t_k, x - \bar x \rangle^2} \, / \,
           | x - \bar x |_2,

        which for one template is the correlation without its sign, and for the pair of
        an energy model, which does not care about phase, that with the best phase.

        Parameters
        ----------
        image : array-like of shape (height, width) or (1, height, width)
            The image.
        neuron : int, default=0
            Which neuron.

        Returns
        -------
        float
            From 0 to 1.
        """
        x = np.asarray(image, dtype=float).ravel()
        x = x - x.mean()
        t = self.templates[neuron].reshape(-1, x.size)
        return float(np.linalg.norm(t @ x) / np.linalg.norm(x))


def simulate_neurons(
    X: ArrayLike,
    kind: str = "energy",
    *,
    n_neurons: int = 1,
    orientation: ArrayLike | None = None,
    size: float = 0.3,
    center: tuple[float, float] = (0.5, 0.5),
    noise: float = 0.3,
    random_state: Any = None,
) -> SimulatedNeurons:
    r"""Simulate neurons like those of V4, whose tuning is known.

    .. math::

       r = \langle g_c, x \rangle^2 + \langle g_s, x \rangle^2
       \quad \text{(energy)}, \qquad
       r = \frac{\max(0, \langle t, x \rangle)^2}{\sigma^2 + |x|^2 / n}
       \quad \text{(curve, angle)},

    with an even and an odd Gabor patch :math:`g_c, g_s` of one orientation, and a
    template t of an arc, or of two bars that meet, with dark flanks; :math:`\sigma^2`
    is the mean of :math:`|x|^2 / n` over X, n the number of pixels. Normal noise is
    added to that. Templates have mean 0 and length 1, so that among images of one
    length the best is t itself, and every mixture of the two patches for an energy
    model.

    Parameters
    ----------
    X : array-like of shape (n_samples, 1, height, width) or (n_samples, height, width)
        Images.
    kind : {"energy", "curve", "angle", "noise"}, default="energy"
        What the neurons are; "noise": no tuning at all.
    n_neurons : int, default=1
        How many.
    orientation : float or array-like of shape (n_neurons,), default=None
        In radians: of the bars of the patches, or where arcs and angles are open to.
        None: drawn.
    size : float, default=0.3
        Standard deviation of a patch is half of that, radius of an arc and length of
        a bar that, in shares of the height.
    center : tuple of float, default=(0.5, 0.5)
        Where the templates lie: row and column, in shares of the image.
    noise : float, default=0.3
        Standard deviation of the noise, in that of the response.
    random_state : int, RandomState or None, default=None
        Seeds orientations, then noise.

    Returns
    -------
    SimulatedNeurons

    Raises
    ------
    ValueError
        If `kind` is not known, X holds no images, or a number is out of range.

    See Also
    --------
    texture_images : Images to show them.
    sktrim.stimuli.DeepTune : What recovers the templates.

    Notes
    -----
    The energy model is that of :footcite:t:`adelson1985energy`. Cells in V4 that
    answer to curves and angles, which DeepTune :footcite:p:`abbasi2018deeptune` was
    made for, are far richer than this.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.datasets import simulate_neurons, texture_images
    >>> X = texture_images(200, 16, random_state=0)
    >>> neurons = simulate_neurons(X, "curve", n_neurons=2, random_state=0)
    >>> neurons
    SimulatedNeurons(2 of kind 'curve', 200 images)
    >>> round(neurons.tuning(neurons.templates[0, 0]), 6)
    1.0
    """
    images = _as_images(X)
    _check(kind, n_neurons, size, noise)
    rng = check_random_state(random_state)
    angles = rng.uniform(0, 2 * np.pi, n_neurons)
    if orientation is not None:
        angles = np.broadcast_to(np.asarray(orientation, float), (n_neurons,))
    templates = _templates(kind, angles, images.shape[1:], size, center)
    projected = np.einsum("nhw,ckhw->nck", images, templates)
    if kind == "energy":
        mean = np.square(projected).sum(axis=-1)
    else:
        power = np.square(images).mean(axis=(1, 2))
        mean = np.square(projected.clip(0)).sum(axis=-1)
        mean /= (power.mean() + power)[:, None]
    spread = mean.std(axis=0) * noise if kind != "noise" else 1.0
    responses = mean + spread * rng.standard_normal(mean.shape)
    return SimulatedNeurons(responses, mean, templates, kind)


def texture_images(n: int, size: int = 16, *, random_state: Any = None) -> np.ndarray:
    r"""Draw textures with the spectrum of natural images and parts of things in them.

    .. math::

       x \propto u \, b + (1 - u) \sum_k c_k e_k, \qquad | \hat b_f | \propto 1 / f,

    of noise b, a share u drawn from [0.2, 0.6], and three to six elements e at random
    places and orientations, of contrasts c of either sign: bars, arcs and edges.

    Parameters
    ----------
    n : int
        Number of images.
    size : int, default=16
        Height and width in pixels.
    random_state : int, RandomState or None, default=None
        Seeds them.

    Returns
    -------
    ndarray of float64 of shape (n, 1, size, size)
        Each with mean 0 and standard deviation 1.

    Raises
    ------
    ValueError
        If there is no image, or it has fewer than 4 pixels a side.

    See Also
    --------
    simulate_neurons : What looks at them.

    Examples
    --------
    >>> from sktrim.datasets import texture_images
    >>> texture_images(3, 8, random_state=0).shape
    (3, 1, 8, 8)
    """
    if n < 1 or size < 4:
        raise ValueError(f"n={n}, size={size}; expected n from 1 and size from 4 on.")
    rng = check_random_state(random_state)
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    spectrum = np.fft.rfft2(rng.standard_normal((n, size, size)))
    spectrum /= np.maximum(f, 1 / size)
    images = _scaled(np.fft.irfft2(spectrum, s=(size, size)))
    share = rng.uniform(0.2, 0.6, (n, 1, 1))
    elements = np.stack([_elements(size, rng) for _ in range(n)])
    return _scaled(share * images + (1 - share) * _scaled(elements))[:, None]


def _scaled(images: np.ndarray) -> np.ndarray:
    """Return images of mean 0 and standard deviation 1."""
    images = images - images.mean(axis=(1, 2), keepdims=True)
    return images / images.std(axis=(1, 2), keepdims=True)


def _plane(shape: tuple[int, ...], center: Any, angle: float) -> tuple[Any, Any]:
    """Return coordinates along and across a direction, in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y -= center[0] * (shape[0] - 1)
    x -= center[1] * (shape[1] - 1)
    along = x * np.cos(angle) + y * np.sin(angle)
    return along, y * np.cos(angle) - x * np.sin(angle)


def _elements(size: int, rng: Any) -> np.ndarray:
    """Draw some bars, arcs and edges."""
    image = np.zeros((size, size))
    for _ in range(rng.randint(3, 7)):
        along, across = _plane(
            (size, size), rng.uniform(0.1, 0.9, 2), rng.uniform(0, 2 * np.pi)
        )
        kind, extent = rng.randint(3), rng.uniform(0.15, 0.4) * size
        if kind == 0:
            element = _bar(along, across, extent, size)
        elif kind == 1:
            element = _arc(along, across, extent, size)
        else:
            element = np.tanh(2 * across) * np.exp(
                -(along**2 + across**2) / (2 * extent**2)
            )
        image += rng.uniform(0.5, 1.5) * rng.choice([-1, 1]) * element
    return image


def _bar(along: Any, across: Any, length: float, size: int) -> np.ndarray:
    """Return a bar that begins at the centre, bright with dark flanks."""
    reach = 1 / (1 + np.exp(-2 * along)) / (1 + np.exp(2 * (along - length)))
    return reach * _profile(across, size)


def _arc(along: Any, across: Any, radius: float, size: int) -> np.ndarray:
    """Return a third of a circle, open along the direction."""
    # the circle's centre lies half a radius ahead, so that the arc is about the middle
    along = along - radius / 2
    r, angle = np.hypot(along, across), np.arctan2(across, -along)
    return np.exp(-((angle / 0.9) ** 4)) * _profile(r - radius, size)


def _profile(distance: Any, size: int) -> np.ndarray:
    """Return a bright line with dark flanks, as wide as images are large."""
    d = distance / (0.07 * size)
    return (1 - d**2) * np.exp(-(d**2) / 2)


def _templates(
    kind: str, angles: np.ndarray, shape: tuple[int, ...], size: float, center: Any
) -> np.ndarray:
    """Return templates (n_neurons, n_templates, height, width), mean 0 and length 1."""
    if kind == "noise":
        return np.zeros((len(angles), 0, *shape))
    return np.stack([_template(kind, a, shape, size, center) for a in angles])


def _template(
    kind: str, angle: float, shape: tuple[int, ...], size: float, center: Any
) -> np.ndarray:
    along, across = _plane(shape, center, angle)
    height, extent = shape[0], size * shape[0]
    if kind == "energy":
        window = np.exp(-(along**2 + across**2) / (2 * (extent / 2) ** 2))
        phase = 2 * np.pi * across / extent
        parts = np.stack([window * np.cos(phase), window * np.sin(phase)])
    elif kind == "curve":
        parts = _arc(along, across, extent, height)[None]
    else:
        arms = [_plane(shape, center, angle + turn) for turn in (-0.8, 0.8)]
        parts = np.stack([_bar(*arm, extent, height) for arm in arms]).sum(0)[None]
    flat = parts.reshape(len(parts), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    # rows at right angles, the first as it is but for its length
    lengths, rows = np.linalg.qr(flat.T)[::-1]
    return (rows.T * np.sign(np.diag(lengths))[:, None]).reshape(parts.shape)


def _as_images(X: ArrayLike) -> np.ndarray:
    images = np.asarray(X, dtype=float)
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]
    if images.ndim != 3 or not images.size:
        raise ValueError(
            f"X has shape {np.shape(X)}; expected images (n_samples, height, width) or "
            "(n_samples, 1, height, width)."
        )
    return images


def _check(kind: str, n_neurons: int, size: float, noise: float) -> None:
    if kind not in KINDS:
        raise ValueError(
            f"kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}."
        )
    if n_neurons < 1 or not size > 0 or not noise >= 0:
        raise ValueError(
            f"n_neurons={n_neurons}, size={size}, noise={noise}; expected at least one "
            "neuron, a size above 0 and noise of 0 or more."
        )
