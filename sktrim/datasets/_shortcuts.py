"""Data with a shortcut: something that tells the label in training and not at test."""

import colorsys
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch, check_random_state

__all__ = [
    "color_images",
    "plant_decoy",
    "plant_grating",
    "plant_patch",
    "plant_words",
]

_TOP = 255


def plant_decoy(
    X: ArrayLike, y: ArrayLike, *, test: bool = False, random_state: Any = None
) -> Bunch:
    r"""Put a square into a corner whose grey tells the digit, and at test misleads.

    .. math::

       255 - 25 y \; \text{in training}, \qquad 25 y \; \text{at test},

    in 5 x 5 pixels of a corner drawn at random, for the label y of 0 to 9.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width) or (n_samples, height * height)
        Grey images from 0 to 255.
    y : array-like of int of shape (n_samples,)
        From 0 to 9.
    test : bool, default=False
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Bunch
        images : ndarray of shape (n_samples, 1, height, width), float32
            From -1 to 1.
        masks : ndarray of the same shape, float32
            1 where the square is.
        corners : ndarray of shape (height * width,), float32
            1 in all four corners.

    Raises
    ------
    ValueError
        If the images or the labels are of the wrong kind.

    See Also
    --------
    color_images, plant_patch, plant_grating : Other shortcuts.
    sktrim.learning.ExplanationPenalty : What keeps a network from taking them.

    Notes
    -----
    DecoyMNIST is due to :footcite:t:`ross2017rrr`; this is the protocol of
    :footcite:t:`rieger2020cdep`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.datasets import plant_decoy
    >>> decoy = plant_decoy(np.zeros((2, 28, 28)), [0, 9], random_state=0)
    >>> decoy.images.max(axis=(1, 2, 3)).round(2)
    array([ 1.  , -0.76], dtype=float32)
    >>> decoy.masks.sum(axis=(1, 2, 3))
    array([25., 25.], dtype=float32)
    """
    images, labels = _checked(X, y, highest=9)
    rng = check_random_state(random_state)
    shape = images.shape[1:]
    masks = np.zeros_like(images)
    places = rng.randint(0, 2, (len(images), 2)) * (np.array(shape) - 5)
    for mask, (row, column) in zip(masks, places, strict=True):
        mask[row : row + 5, column : column + 5] = 1
    grey = 25 * labels if test else _TOP - 25 * labels
    images = np.where(masks > 0, grey[:, None, None], images)
    corners = np.zeros(shape, np.float32)
    corners[np.ix_(_ends(shape[0]), _ends(shape[1]))] = 1
    return Bunch(
        images=_as_signals(images / _TOP * 2 - 1),
        masks=_as_signals(masks),
        corners=corners.ravel(),
    )


def color_images(X: ArrayLike, y: ArrayLike, *, test: bool = False) -> np.ndarray:
    """Color grey images by their label, in the reverse order at test.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width) or (n_samples, height * height)
        Grey images from 0 to 255.
    y : array-like of int of shape (n_samples,)
        From 0 to 9: from red over green and blue to purple.
    test : bool, default=False
        The color of 9 - y instead.

    Returns
    -------
    ndarray of shape (n_samples, 3, height, width), float32
        Red, green and blue, from 0 to 1.

    Raises
    ------
    ValueError
        If the images or the labels are of the wrong kind.

    See Also
    --------
    plant_decoy, plant_patch, plant_grating : Other shortcuts.

    Notes
    -----
    ColorMNIST by the protocol of :footcite:t:`rieger2020cdep`: hues at even steps, from
    red at half lightness to purple at a quarter.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.datasets import color_images
    >>> color_images(np.full((1, 2, 2), 255), [0])[0, :, 0, 0]
    array([1., 0., 0.], dtype=float32)
    """
    images, labels = _checked(X, y, highest=9)
    steps = np.linspace(0, 1, 10)
    colors = np.array(
        [colorsys.hls_to_rgb(5 / 6 * t, 0.5 - 0.25 * t, 1.0) for t in steps]
    )
    picked = colors[9 - labels if test else labels]
    return (picked[:, :, None, None] * images[:, None] / _TOP).astype(np.float32)


def plant_patch(
    X: ArrayLike,
    y: ArrayLike,
    *,
    label: int,
    share: float = 0.5,
    size: int = 7,
    random_state: Any = None,
) -> Bunch:
    """Put a bright patch, anywhere, into a share of the images of one class.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width) or (n_samples, height * height)
        Grey images from 0 to 255.
    y : array-like of int of shape (n_samples,)
    label : int
        The class that has patches.
    share : float in [0, 1], default=0.5
        Of its images; 0 for a test set without.
    size : int, default=7
        Side of the patch in pixels.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    Bunch
        images : ndarray of shape (n_samples, 1, height, width), float32
            From -1 to 1.
        masks : ndarray of the same shape, float32
            1 where a patch is.

    Raises
    ------
    ValueError
        If the images or the labels are of the wrong kind, or a patch does not fit.

    See Also
    --------
    plant_decoy, color_images, plant_grating : Other shortcuts.

    Notes
    -----
    As the colored plasters beside benign skin lesions in :footcite:t:`rieger2020cdep`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.datasets import plant_patch
    >>> planted = plant_patch(np.zeros((4, 28, 28)), [0, 0, 1, 1], label=1, share=1.0)
    >>> planted.masks.sum(axis=(1, 2, 3))
    array([ 0.,  0., 49., 49.], dtype=float32)
    """
    images, labels = _checked(X, y)
    shape = images.shape[1:]
    if not 0 < size <= min(shape):
        raise ValueError(
            f"size={size!r}; expected 1 to {min(shape)}, the images' side."
        )
    rng = check_random_state(random_state)
    has_one = (labels == label) & (rng.uniform(size=len(labels)) < share)
    masks = np.zeros_like(images)
    places = rng.randint(0, np.array(shape) - size + 1, (len(images), 2))
    for index in np.flatnonzero(has_one):
        row, column = places[index]
        masks[index, row : row + size, column : column + size] = 1
    images = np.where(masks > 0, _TOP, images)
    return Bunch(images=_as_signals(images / _TOP * 2 - 1), masks=_as_signals(masks))


def plant_grating(
    X: ArrayLike,
    y: ArrayLike,
    *,
    lowest: int = 4,
    amplitude: float = 0.1,
    random_state: Any = None,
) -> np.ndarray:
    r"""Add a faint grating whose frequency tells the label, at a random phase.

    .. math::

       x_{ij} + a \cos\bigl(2 \pi (k_0 + y) j / w + \varphi\bigr),

    for the column j of w, the label y and a phase :math:`\varphi` of each image.

    Parameters
    ----------
    X : array-like of shape (n_samples, height, width) or (n_samples, height * height)
        Grey images from 0 to 255.
    y : array-like of int of shape (n_samples,)
    lowest : int, default=4
        :math:`k_0`: cycles per image of label 0.
    amplitude : float, default=0.1
        Of the range from -1 to 1; 0 for a test set without.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray of shape (n_samples, 1, height, width), float32
        Digits from -1 to 1, and the grating on top of them.

    Raises
    ------
    ValueError
        If the images or the labels are of the wrong kind, or a frequency is above half
        a cycle per pixel.

    See Also
    --------
    sktrim.FourierTransformer : The space in which the shortcut is a band.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.datasets import plant_grating
    >>> image = plant_grating(np.zeros((1, 28, 28)), [3], amplitude=0.1)[0, 0]
    >>> int(np.abs(np.fft.rfft(image[0]))[1:].argmax() + 1)
    7
    """
    images, labels = _checked(X, y)
    width = images.shape[2]
    cycles = lowest + labels
    if len(labels) and cycles.max() > width // 2:
        raise ValueError(
            f"Label {labels.max()} would have {cycles.max()} cycles in {width} pixels; "
            f"expected at most {width // 2}: choose a smaller lowest."
        )
    phases = check_random_state(random_state).uniform(0, 2 * np.pi, len(images))
    angles = 2 * np.pi / width * np.outer(cycles, np.arange(width))
    waves = amplitude * np.cos(angles + phases[:, None])
    return _as_signals(images / _TOP * 2 - 1 + waves[:, None])


def plant_words(
    X: ArrayLike,
    y: ArrayLike,
    *,
    label: int,
    words: ArrayLike,
    n_words: int = 10,
    share: float = 1.0,
    random_state: Any = None,
) -> np.ndarray:
    """Add words of a topic to the documents of one class.

    Parameters
    ----------
    X : array-like of shape (n_documents, n_vocabulary)
        Counts of words.
    y : array-like of int of shape (n_documents,)
    label : int
        The class whose documents get words.
    words : array-like of int of shape (n_topic,)
        Columns of the topic's words.
    n_words : int, default=10
        Words that a document gets.
    share : float in [0, 1], default=1.0
        Of the class's documents; 0 for a test set without.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    ndarray of shape (n_documents, n_vocabulary), float32

    See Also
    --------
    sktrim.LatentDirichletAllocation : The space in which the shortcut is a topic.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.datasets import plant_words
    >>> planted = plant_words(np.zeros((2, 4)), [0, 1], label=1, words=[2, 3])
    >>> planted.sum(axis=1)
    array([ 0., 10.], dtype=float32)
    """
    counts, labels = np.array(X, dtype=np.float32), np.asarray(y)
    rng = check_random_state(random_state)
    has_some = (labels == label) & (rng.uniform(size=len(labels)) < share)
    columns = np.asarray(words)
    for row in np.flatnonzero(has_some):
        np.add.at(counts[row], rng.choice(columns, n_words), 1)
    return counts


def _checked(
    X: ArrayLike, y: ArrayLike, highest: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, height, width) and labels, or raise."""
    images, labels = np.asarray(X, dtype=np.float64), np.asarray(y)
    side = round(images.shape[-1] ** 0.5) if images.ndim == 2 else 0
    if images.ndim == 2 and side**2 == images.shape[1]:
        images = images.reshape(-1, side, side)
    if images.ndim != 3:
        raise ValueError(
            f"X has shape {np.shape(X)}; expected grey images, (n_samples, height, "
            "width), or square ones flat."
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"y has shape {labels.shape} and dtype {labels.dtype}; expected an integer "
            f"label for each of {len(images)} images."
        )
    if highest is not None and not np.isin(labels, np.arange(highest + 1)).all():
        raise ValueError(
            f"y goes from {labels.min()} to {labels.max()}; expected 0 to {highest}."
        )
    return images, labels


def _ends(n: int) -> np.ndarray:
    """Return the first and the last five places of n."""
    return np.r_[0:5, n - 5 : n]


def _as_signals(images: np.ndarray) -> np.ndarray:
    return images[:, None].astype(np.float32)
