"""Simulated problems whose answer is known."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.decomposition import NMF, PCA

from sktrim.groups import FeatureGroups, check_groups
from sktrim.transforms import FourierTransformer, WaveletTransformer

N_FEATURES = 100
N_TEST = 3000


@dataclass(frozen=True)
class Regime:
    """What the networks are trained on."""

    name: str
    n_train: int = 37_500
    # hidden layers of 100 units
    n_hidden: int = 1
    # "normal", independent; "uniform" on [0, 1), independent; "correlated", normal with
    # a falling spectrum in random directions; "parts", sums of nonnegative parts
    features: str = "normal"
    # share of the training labels that is wrong
    flips: float = 0.0
    # what is above its median in class 1: the "magnitude" of the true group's
    # coefficients, or its first coefficient ("real")
    label: str = "magnitude"
    # whose groups are ranked: "fourier", "wavelet", "pca" or "nmf"
    space: str = "fourier"


REGIMES = {
    regime.name: regime
    for regime in (
        Regime("reference"),
        Regime("n2000", n_train=2000),
        Regime("n1000", n_train=1000),
        Regime("deep", n_hidden=2),
        Regime("uniform", features="uniform"),
        Regime("flips", flips=0.2),
        Regime("real", label="real"),
        Regime("wavelet", space="wavelet"),
        Regime("pca", features="correlated", space="pca"),
        Regime("nmf", features="parts", space="nmf"),
    )
}


def get_regime(name: str, **changes: Any) -> Regime:
    """Return a regime by name, with some fields replaced."""
    if name not in REGIMES:
        raise ValueError(f"regime={name!r}; expected one of {', '.join(REGIMES)}.")
    return replace(REGIMES[name], **changes)


@dataclass
class Problem:
    """One simulated data set, its space and its answer."""

    # float32 (n_train + 3000, 100), the last 3,000 rows for testing
    X: np.ndarray
    # int (n_train,)
    y: np.ndarray
    transformer: Any
    groups: FeatureGroups
    # the group that decides the label
    truth: int

    @property
    def test(self) -> np.ndarray:
        """Rows that the network was not trained on."""
        return self.X[-N_TEST:]

    @property
    def train(self) -> np.ndarray:
        """Rows that the network was trained on."""
        return self.X[:-N_TEST]


def _features(kind: str, n: int, rng) -> np.ndarray:
    shape = (n, N_FEATURES)
    if kind == "uniform":
        return rng.random(shape, np.float32)
    if kind == "parts":
        atoms = rng.random((20, N_FEATURES)) * (rng.random((20, N_FEATURES)) < 0.2)
        X = rng.gamma(1.0, 1.0, (n, 20)) @ atoms + 0.02 * rng.random(shape)
        return X.astype("f4")
    X = rng.standard_normal(shape, np.float32)
    if kind == "correlated":
        directions, _ = np.linalg.qr(rng.standard_normal((N_FEATURES, N_FEATURES)))
        spectrum = np.geomspace(3, 0.3, N_FEATURES)[:, None]
        X = X @ (spectrum * directions).astype("f4")
    return X


def _space(regime: Regime, X) -> tuple[Any, FeatureGroups]:
    """Fit the transform and return the groups that are ranked."""
    if regime.space == "fourier":
        transformer = FourierTransformer().fit(X[:2])
        return transformer, transformer.feature_groups()
    if regime.space == "wavelet":
        transformer = WaveletTransformer("db2", level=2).fit(X[:2])
        return transformer, transformer.feature_groups(by="coefficient")
    if regime.space == "pca":
        transformer: Any = PCA(20, random_state=0).fit(X[:10_000])
    else:
        transformer = NMF(init="nndsvda", max_iter=300, tol=1e-3, random_state=0)
        transformer.set_params(n_components=20).fit(X[:2000])
    return transformer, check_groups("coefficients", transformer, 20)


def _true_group(regime: Regime, groups, rng) -> int:
    """Draw the group that decides: a frequency from 1 to 49, or any group."""
    if regime.space == "fourier":
        return int(rng.integers(1, 50))
    return int(rng.integers(len(groups)))


def simulate(regime: Regime, rng: np.random.Generator) -> Problem:
    """Draw a data set, its labels and the group that decides them."""
    X = _features(regime.features, regime.n_train + N_TEST, rng)
    transformer, groups = _space(regime, X)
    truth = _true_group(regime, groups, rng)
    s = transformer.transform(X)[:, groups.masks[[truth]].indices]
    quantity = s[:, 0] if regime.label == "real" else np.linalg.norm(s, axis=1)
    y = (quantity > np.median(quantity)).astype(np.int64)[: regime.n_train]
    wrong = rng.random(len(y)) < regime.flips
    return Problem(X, np.where(wrong, 1 - y, y), transformer, groups, truth)
