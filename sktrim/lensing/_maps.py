"""Simulated maps of the convergence on a flat patch of the sky."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.fft
from sklearn.utils import Bunch, check_random_state
from tqdm.auto import tqdm

from sktrim.lensing._cosmology import as_cosmologies
from sktrim.lensing._spectra import ConvergenceSpectra, convergence_spectra

FIELDS = ("lognormal", "gaussian")
ARCMIN = np.deg2rad(1 / 60)


class ConvergenceSimulator:
    r"""Simulate maps one by one: any map by its number, always the same.

    For data that do not fit into memory. `simulate_convergence_maps` returns all maps
    at once, and says what they are.

    Parameters
    ----------
    cosmologies : Cosmology or sequence of Cosmology
    n_maps : int
        Maps of each cosmology.
    n_pixels : int, default=256
    pixel_arcmin : float, default=0.8
    field : {"lognormal", "gaussian"}, default="lognormal"
    galaxies_per_arcmin2 : float or None, default=None
    ellipticity : float, default=0.4
    smoothing_arcmin : float or None, default=None
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        1 shows a progress bar where many maps are made.

    Attributes
    ----------
    spectra : ConvergenceSpectra
    cosmology : ndarray of int of shape (n_cosmologies * n_maps,)
        Row of `cosmologies` that each map belongs to.
    target : ndarray of float32 of shape (n_cosmologies * n_maps, 4)
        Its neutrino mass in eV, Omega_m, 1e9 A_s and sigma_8.
    target_names : tuple of str

    Raises
    ------
    ImportError, ValueError
        As `simulate_convergence_maps`.

    See Also
    --------
    simulate_convergence_maps : All maps at once.

    Examples
    --------
    >>> from sktrim.lensing import ConvergenceSimulator, shipped_cosmologies
    >>> simulator = ConvergenceSimulator(
    ...     shipped_cosmologies("trim"), 1000, n_pixels=32, random_state=0
    ... )
    >>> len(simulator), simulator.maps([5, 9_999]).shape
    (10000, (2, 1, 32, 32))
    """

    def __init__(
        self,
        cosmologies: Any,
        n_maps: int,
        *,
        n_pixels: int = 256,
        pixel_arcmin: float = 0.8,
        field: str = "lognormal",
        galaxies_per_arcmin2: float | None = None,
        ellipticity: float = 0.4,
        smoothing_arcmin: float | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        listed = as_cosmologies(cosmologies)
        check_maps_asked(n_maps, n_pixels, pixel_arcmin, field)
        check_noise(galaxies_per_arcmin2, ellipticity, smoothing_arcmin)
        self._seed = _seed(random_state)
        self.n_maps, self.n_pixels, self.pixel_arcmin = n_maps, n_pixels, pixel_arcmin
        self.field, self.verbose = field, verbose
        self.noise = pixel_noise(galaxies_per_arcmin2, ellipticity, pixel_arcmin)
        self.smoothing = smoothing_window(n_pixels, pixel_arcmin, smoothing_arcmin)
        self.smoothing_arcmin = smoothing_arcmin
        self.spectra = convergence_spectra(listed)
        self.cosmology = np.repeat(np.arange(len(listed)), n_maps)
        self.target = self.spectra.parameters[self.cosmology].astype(np.float32)
        self.target_names = self.spectra.parameter_names
        self._known: dict[int, tuple[np.ndarray, float]] = {}

    def __len__(self) -> int:
        return len(self.cosmology)

    def _gaussian(self, cosmology: int) -> tuple[np.ndarray, float]:
        """Return the square roots of the power of the Gaussian field, its variance."""
        # of one cosmology at a time: streams and workers may ask for few of many
        if cosmology not in self._known:
            spectra = self.spectra.only(cosmology)
            [power] = pixel_power(spectra, self.n_pixels, self.pixel_arcmin)
            if self.field == "lognormal":
                shape = (self.n_pixels, self.n_pixels)
                power = lognormal_power(power, spectra.floors[0], shape)
            amplitude = np.sqrt(power).astype(np.float32)
            squares = amplitude.astype(float) ** 2 * real_modes(self.n_pixels)
            self._known[cosmology] = amplitude, squares.sum() / self.n_pixels**2
        return self._known[cosmology]

    def maps(self, indices: Any) -> np.ndarray:
        """Simulate some of the maps.

        Parameters
        ----------
        indices : array-like of int of shape (n,) or slice
            Numbers of the maps, from 0 to ``len(self) - 1``: those of the first
            cosmology, then those of the second, and so on.

        Returns
        -------
        ndarray of float32 of shape (n, 1, n_pixels, n_pixels)

        Raises
        ------
        IndexError
            If there is no such map.
        """
        numbers = np.arange(len(self))[indices].reshape(-1)
        out = np.empty((len(numbers), 1, self.n_pixels, self.n_pixels), np.float32)
        few = not self.verbose or len(numbers) < 2
        bar = tqdm(numbers, desc="maps", disable=few, unit="map")
        for row, number in zip(out[:, 0], bar, strict=True):
            row[...] = self._map(*divmod(int(number), self.n_maps))
        return out

    def _map(self, cosmology: int, number: int) -> np.ndarray:
        """Simulate one map, (n_pixels, n_pixels)."""
        # a stream of its own, in which the field comes before the noise: maps with and
        # without noise have the same field
        key = np.random.SeedSequence(self._seed, spawn_key=(cosmology, number))
        rng, shape = np.random.default_rng(key), (self.n_pixels, self.n_pixels)
        white = analyse(rng.standard_normal(shape, np.float32))
        amplitude, variance = self._gaussian(cosmology)
        field = synthesise(white * amplitude, shape)
        if self.field == "lognormal":
            field -= np.float32(variance / 2)
            np.expm1(field, out=field)
            field *= np.float32(self.spectra.floors[cosmology])
        if self.noise:
            field += np.float32(self.noise) * rng.standard_normal(shape, np.float32)
        if self.smoothing is None:
            return field
        return synthesise(analyse(field) * self.smoothing, shape)


def simulate_convergence_maps(
    cosmologies: Any,
    n_maps: int,
    *,
    n_pixels: int = 256,
    pixel_arcmin: float = 0.8,
    field: str = "lognormal",
    galaxies_per_arcmin2: float | None = None,
    ellipticity: float = 0.4,
    smoothing_arcmin: float | None = None,
    random_state: Any = None,
    verbose: int = 0,
) -> Bunch:
    r"""Simulate maps of the convergence, which weak lensing measures.

    A Gaussian field g with the wanted correlations, or the shifted lognormal field

    .. math::

       \kappa = \lambda \left( e^{g - \sigma^2 / 2} - 1 \right), \qquad
       \xi_g = \ln \left( 1 + \xi_\kappa / \lambda^2 \right),

    whose correlations :math:`\xi_\kappa` are those of the power spectrum too and which
    is never below :math:`-\lambda`. The spectrum is that of the sky times the window of
    the pixels. Shape noise is added to every pixel, with the r.m.s.

    .. math:: \sigma_n = \sigma_e / \sqrt{2 n_g A_\mathrm{pix}},

    and then the map is smoothed by a Gaussian of standard deviation `smoothing_arcmin`.

    Parameters
    ----------
    cosmologies : Cosmology or sequence of Cosmology
        See `shipped_cosmologies`.
    n_maps : int
        Maps of each cosmology.
    n_pixels : int, default=256
        Along each side.
    pixel_arcmin : float, default=0.8
        Side of a pixel, in arcmin.
    field : {"lognormal", "gaussian"}, default="lognormal"
    galaxies_per_arcmin2 : float or None, default=None
        Density :math:`n_g` of the galaxies whose shapes are measured, per square
        arcmin; None: without noise.
    ellipticity : float, default=0.4
        R.m.s. :math:`\sigma_e` of their own shapes.
    smoothing_arcmin : float or None, default=None
        None: not smoothed.
    random_state : int, RandomState or None, default=None
        A number gives the same maps every time. Each map has a stream of its own: the
        first ten maps of a cosmology are the same, however many are made, and have the
        same fields with noise and without.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    sklearn.utils.Bunch
        data : ndarray of float32
            Convergence, without unit, of shape
            ``(n_cosmologies * n_maps, 1, n_pixels, n_pixels)``.
        target : ndarray of float32 of shape (n_cosmologies * n_maps, 4)
            Neutrino mass in eV, Omega_m, 1e9 A_s and sigma_8.
        target_names : tuple of str
            What the columns of the targets are.
        cosmology : ndarray of int of shape (n_cosmologies * n_maps,)
            Row of `cosmologies`.
        spectra : ConvergenceSpectra
            Of the cosmologies.
        pixel_arcmin : float
            As given.

    Raises
    ------
    ImportError
        If a cosmology is not shipped and CAMB is not installed.
    ValueError
        If an argument does not fit.

    See Also
    --------
    ConvergenceSimulator : Maps by their numbers, when they do not fit into memory.
    load_convergence_maps : Maps of one's own.

    Notes
    -----
    Maps repeat at their edges, and have no modes longer than their sides. Lognormal
    fields (:footcite:t:`hilbert2011cosmic`) have the one-point distribution of
    simulations about right, but neither filaments nor halos.

    The floor :math:`-\lambda` depends on :math:`\Omega_m`, and a network finds it: the
    smallest pixel of a map without noise tells the cosmology better than its spectrum.
    Smoothing or noise removes that shortcut.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.lensing import shipped_cosmologies, simulate_convergence_maps
    >>> maps = simulate_convergence_maps(
    ...     shipped_cosmologies("trim"), 3, n_pixels=64, random_state=0
    ... )
    >>> maps.data.shape, maps.target.shape, maps.target_names
    ((30, 1, 64, 64), (30, 4), ('m_nu', 'Omega_m', '1e9 A_s', 'sigma_8'))
    """
    simulator = ConvergenceSimulator(
        cosmologies,
        n_maps,
        n_pixels=n_pixels,
        pixel_arcmin=pixel_arcmin,
        field=field,
        galaxies_per_arcmin2=galaxies_per_arcmin2,
        ellipticity=ellipticity,
        smoothing_arcmin=smoothing_arcmin,
        random_state=random_state,
        verbose=verbose,
    )
    return Bunch(
        data=simulator.maps(slice(None)),
        target=simulator.target,
        target_names=simulator.target_names,
        cosmology=simulator.cosmology,
        spectra=simulator.spectra,
        pixel_arcmin=pixel_arcmin,
    )


def analyse(field: np.ndarray) -> np.ndarray:
    """Return the half spectrum of fields (..., n, n)."""
    return np.asarray(scipy.fft.rfft2(field))


def synthesise(half: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the fields of half spectra."""
    return np.asarray(scipy.fft.irfft2(half, shape))


def multipole_grid(
    n_pixels: int, pixel_arcmin: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both components and the length of the multipoles of the half spectrum."""
    step = pixel_arcmin * ARCMIN
    rows = 2 * np.pi * scipy.fft.fftfreq(n_pixels, step)[:, None]
    columns = 2 * np.pi * scipy.fft.rfftfreq(n_pixels, step)[None]
    return rows, columns, np.hypot(rows, columns)


def real_modes(n_pixels: int) -> np.ndarray:
    """Return how many places of the full plane each of the half spectrum stands for."""
    columns = np.full(n_pixels // 2 + 1, 2.0)
    # these columns hold their own opposites
    columns[0] = 1
    if n_pixels % 2 == 0:
        columns[-1] = 1
    return np.broadcast_to(columns, (n_pixels, columns.size))


def pixel_window(rows: Any, columns: Any, pixel_arcmin: float) -> np.ndarray:
    """Return what the average over a pixel leaves of the amplitude at multipoles."""
    step = pixel_arcmin * ARCMIN / (2 * np.pi)
    return np.sinc(rows * step) * np.sinc(columns * step)


def pixel_power(
    spectra: ConvergenceSpectra, n_pixels: int, pixel_arcmin: float
) -> np.ndarray:
    """Return the power of maps over the half spectrum, 1 for noise of variance 1."""
    rows, columns, lengths = multipole_grid(n_pixels, pixel_arcmin)
    window = pixel_window(rows, columns, pixel_arcmin)
    return spectra.at(lengths) * window**2 / (pixel_arcmin * ARCMIN) ** 2


def lognormal_power(
    power: np.ndarray, floor: float, shape: tuple[int, int]
) -> np.ndarray:
    """Return the power of the Gaussian field below a lognormal one."""
    correlation = synthesise(power, shape)
    gaussian = np.real(analyse(np.log1p(correlation / floor**2)))
    # where a lognormal field cannot have the wanted power the closest is taken
    return np.maximum(gaussian, 0)


def smoothing_window(
    n_pixels: int, pixel_arcmin: float, smoothing_arcmin: float | None
) -> np.ndarray | None:
    """Return what a Gaussian leaves of the amplitudes of the half spectrum."""
    if not smoothing_arcmin:
        return None
    *_, lengths = multipole_grid(n_pixels, pixel_arcmin)
    return np.exp(-((lengths * smoothing_arcmin * ARCMIN) ** 2) / 2).astype(np.float32)


def pixel_noise(
    galaxies_per_arcmin2: float | None, ellipticity: float, pixel_arcmin: float
) -> float:
    """Return the r.m.s. of the shape noise in a pixel."""
    if galaxies_per_arcmin2 is None:
        return 0.0
    return ellipticity / np.sqrt(2 * galaxies_per_arcmin2 * pixel_arcmin**2)


def check_maps_asked(n_maps: Any, n_pixels: Any, pixel_arcmin: Any, field: Any) -> None:
    """Refuse maps that cannot be made."""
    for name, value, least in (("n_maps", n_maps, 1), ("n_pixels", n_pixels, 8)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(
                f"{name}={value!r}; expected an integer of at least {least}."
            )
    if not is_number(pixel_arcmin) or not 0.25 <= pixel_arcmin <= 30:
        raise ValueError(
            f"pixel_arcmin={pixel_arcmin!r}; expected the side of a pixel in arcmin, "
            "from 0.25, beyond which the spectra are not known, to 30."
        )
    if n_pixels * pixel_arcmin > 2000:
        raise ValueError(
            f"{n_pixels} pixels of {pixel_arcmin} arcmin are "
            f"{n_pixels * pixel_arcmin / 60:.0f} degrees; the sky is taken as flat, up "
            "to 33 degrees. Take fewer or smaller pixels."
        )
    if field not in FIELDS:
        raise ValueError(f"field={field!r}; expected one of {FIELDS}.")


def check_noise(galaxies: Any, ellipticity: Any, smoothing: Any) -> None:
    """Refuse noise and smoothing that mean nothing."""
    named = {"galaxies_per_arcmin2": galaxies, "ellipticity": ellipticity}
    for name, value in {**named, "smoothing_arcmin": smoothing}.items():
        positive = is_number(value) and np.isfinite(value) and value > 0
        if not positive and (value is not None or name == "ellipticity"):
            none = "" if name == "ellipticity" else ", or None"
            raise ValueError(f"{name}={value!r}; expected a positive number{none}.")


def is_number(value: Any) -> bool:
    """Tell whether something is a real number."""
    return isinstance(value, Real)


def _seed(random_state: Any) -> int:
    """Return a seed: a number as it is, or drawn."""
    if isinstance(random_state, Integral):
        check_random_state(random_state)
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
