"""The networks as skorch regressors, and maps for them."""

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import GroupShuffleSplit
from sklearn.utils import check_random_state
from skorch import NeuralNetRegressor
from skorch.callbacks import LRScheduler, ProgressBar
from torch import nn
from torch.utils.data import Dataset

from sktrim.lensing._networks import ARCHITECTURES, check_architecture, least_pixels
from sktrim.lensing._validation import check_maps


class ConvergenceRegressor(NeuralNetRegressor):
    """A skorch regressor of maps whose outputs have the units of the targets.

    Made by `convergence_regressor`. The loss is the mean absolute error in units of
    each target's standard deviation over the data it is fitted to, which is the error
    of standardised outputs. Every batch is flipped and turned at random.
    """

    module_: Any
    module__n_outputs: int

    def __init__(
        self, module, *args, architecture="small", random_state=None, **kwargs
    ):
        self.architecture = architecture
        self.random_state = random_state
        super().__init__(module, *args, **kwargs)

    def fit(self, X, y=None, **fit_params):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n_maps, 1, n_pixels, n_pixels) or Dataset
            Maps, or a `ConvergenceMapDataset`, which brings its targets along.
        y : array-like of shape (n_maps, n_outputs) or (n_maps,)

        Returns
        -------
        ConvergenceRegressor

        Raises
        ------
        ValueError
            If maps or targets do not fit the network.
        """
        if isinstance(X, Dataset):
            self._check_dataset(X, y)
        else:
            X, y = self._check(X, y)
        targets = np.asarray(getattr(X, "target", y), dtype=float)
        spread = targets.std(axis=0)
        self.target_mean_ = targets.mean(axis=0)
        # a target that never changes is in its own unit
        self.target_scale_ = np.where(spread > 0, spread, 1.0)
        if self.random_state is None:
            return super().fit(X, y, **fit_params)
        with torch.random.fork_rng(devices=self._devices()):
            torch.manual_seed(self.random_state)
            return super().fit(X, y, **fit_params)

    def _devices(self) -> list:
        """Return the accelerators whose random numbers are used."""
        device = torch.device(self.device or "cpu")
        return [] if device.type == "cpu" else [device.index or 0]

    def predict(self, X):
        """Predict the targets of maps, in their units.

        Parameters
        ----------
        X : array-like of shape (n_maps, 1, n_pixels, n_pixels) or Dataset
            Maps of any size that the network can average, not only that of training.

        Returns
        -------
        ndarray of float32 of shape (n_maps, n_outputs)

        Raises
        ------
        ValueError
            If maps do not fit the network.
        """
        return super().predict(X if isinstance(X, Dataset) else self._check_maps(X))

    def score(self, X, y, sample_weight=None):
        """Return the mean R2 of the targets.

        Parameters
        ----------
        X : array-like of shape (n_maps, 1, n_pixels, n_pixels) or Dataset
        y : array-like of shape (n_maps, n_outputs)
        sample_weight : array-like of shape (n_maps,), optional

        Returns
        -------
        float
            1 for perfect predictions, 0 for the mean of `y` everywhere.
        """
        return super().score(X, y, sample_weight)

    def _check(self, X, y) -> tuple[np.ndarray, np.ndarray]:
        maps = self._check_maps(X)
        if y is None:
            raise ValueError("y is None; give one row of targets for each map.")
        y = np.asarray(y, dtype=np.float32)
        y = y[:, None] if y.ndim == 1 else y
        self._check_targets(y, len(maps), "y")
        return maps, y

    def _check_maps(self, X) -> np.ndarray:
        maps = check_maps(X)
        least = least_pixels(self.architecture)
        if maps.shape[-1] < least:
            raise ValueError(
                f"maps have {maps.shape[-1]} pixels to a side; {self.architecture!r} "
                f"needs at least {least}."
            )
        # torch takes no maps that numpy turned in place
        return np.ascontiguousarray(maps[:, None], dtype=np.float32)

    def _check_targets(self, y: np.ndarray, n_maps: int, name: str) -> None:
        n_outputs = self.module__n_outputs
        if y.shape != (n_maps, n_outputs):
            raise ValueError(
                f"{name} has shape {y.shape}; expected ({n_maps}, {n_outputs}), a row "
                "for each map and a column for each of n_outputs."
            )
        if not np.isfinite(y).all():
            raise ValueError(
                f"{name} holds NaN or infinite values; leave those maps out."
            )

    def _check_dataset(self, data: Any, y: Any) -> None:
        """Look at the targets of a dataset, and at its first map alone."""
        if y is not None:
            raise ValueError("y is given beside a dataset, which brings targets along.")
        if not hasattr(data, "target"):
            raise ValueError(
                f"{type(data).__name__} has no attribute target; expected all targets, "
                "as in ConvergenceMapDataset, since they set the outputs' units."
            )
        self._check_targets(np.asarray(data.target), len(data), "the dataset's target")
        self._check_maps(np.asarray(data[0][0])[None])

    def initialize_module(self, *args, **kwargs):
        """Make the network, and give its outputs their units."""
        super().initialize_module(*args, **kwargs)
        if hasattr(self, "target_scale_"):
            rescale = self.module_[-1]
            rescale.scale.copy_(torch.as_tensor(self.target_scale_))
            rescale.shift.copy_(torch.as_tensor(self.target_mean_))
        return self

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss of standardised outputs."""
        scale = self.module_[-1].scale
        y_true = y_true.to(y_pred.device)
        return super().get_loss(y_pred / scale, y_true / scale, X, training)

    def train_step_single(self, batch, **fit_params):
        """Take a step with a batch that is flipped and turned at random."""
        X, y = batch
        return super().train_step_single((turned(X), y), **fit_params)


class OneCycle(LRScheduler):
    """Have the learning rate rise to the net's and fall, over the epochs of a fit."""

    def _get_scheduler(self, net, policy, **kwargs):
        # skorch steps once after the last epoch too
        total = net.max_epochs + 1
        return policy(net.optimizer_, max_lr=net.lr, total_steps=total)


def turned(X: torch.Tensor) -> torch.Tensor:
    """Return maps after one of the eight symmetries of the square, drawn at random."""
    quarter, flip = divmod(int(torch.randint(8, ())), 2)
    turned = torch.rot90(X, quarter, (-2, -1))
    return turned.flip(-1) if flip else turned


_RATES = {"small": 3e-3, "resnet18": 1e-3, "zorrilla": 0.05}


def _check_numbers(n_outputs: Any, max_epochs: Any, lr: Any) -> None:
    for name, value in (("n_outputs", n_outputs), ("max_epochs", max_epochs)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name}={value!r}; expected a positive integer.")
    if not isinstance(lr, Real) or not 0 < float(lr) < np.inf:
        raise ValueError(f"lr={lr!r}; expected a positive number.")


def convergence_regressor(
    architecture: str = "small",
    n_outputs: int = 3,
    *,
    max_epochs: int | None = None,
    lr: float | None = None,
    batch_size: int = 32,
    device: str = "cpu",
    random_state: int | None = None,
    verbose: int = 0,
    **skorch_params: Any,
) -> ConvergenceRegressor:
    r"""Return a network that predicts the cosmology of maps, to be trained.

    .. math::

       L = \frac{1}{n K} \sum_{i k} \frac{|\hat y_{ik} - y_{ik}|}{\sigma_k},

    where :math:`\sigma_k` is the standard deviation of the k-th of K targets over the
    data; outputs are in the units of the targets.

    Parameters
    ----------
    architecture : {"small", "resnet18", "zorrilla"}, default="small"
        "small": four convolutions, for two cores. "resnet18": that of
        :footcite:t:`singh2020trim`, with one input channel. "zorrilla": after
        :footcite:t:`zorrilla2020lensing`, 18 convolutions in six blocks with average
        pooling.
    n_outputs : int, default=3
        Number of targets.
    max_epochs : int or None, default=None
        None: 20 for "small" and "zorrilla", 25 for "resnet18".
    lr : float or None, default=None
        Learning rate. None: 1e-3 with Adam for "resnet18", as in the paper; .05 with
        stochastic gradient descent and momentum for "zorrilla"; up to 3e-3 with Adam
        for "small", rising and falling over the epochs.
    batch_size : int, default=32
    device : str, default="cpu"
    random_state : int or None, default=None
        A number has weights, order of maps and symmetries drawn alike every time.
    verbose : int, default=0
        1 shows a progress bar and prints losses.
    **skorch_params
        For ``skorch.NeuralNetRegressor``.

    Returns
    -------
    ConvergenceRegressor
        A skorch regressor, not fitted.

    Raises
    ------
    ValueError
        If `architecture` is unknown, or a number is not positive.

    See Also
    --------
    simulate_convergence_maps : Maps to train it with.
    split_maps : Which of them to keep for tests.

    Notes
    -----
    The networks are sequences of plain modules, and take square maps of any size. The
    widths of the 18 convolutions are ours: 32, 32, 64, 64, 128 and 128 in the six
    blocks.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.lensing import convergence_regressor
    >>> from sktrim.lensing import shipped_cosmologies, simulate_convergence_maps
    >>> maps = simulate_convergence_maps(
    ...     shipped_cosmologies("trim"), 2, n_pixels=32, random_state=0
    ... )
    >>> net = convergence_regressor(n_outputs=4, max_epochs=1, random_state=0)
    >>> net.fit(maps.data, maps.target).predict(maps.data).shape
    (20, 4)
    """
    check_architecture(architecture)
    epochs = 25 if architecture == "resnet18" else 20
    epochs = epochs if max_epochs is None else max_epochs
    rate = _RATES[architecture] if lr is None else lr
    _check_numbers(n_outputs, epochs, rate)
    options: dict[str, Any] = {"optimizer": torch.optim.Adam}
    if architecture == "zorrilla":
        options = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9}
    callbacks: list = []
    if architecture == "small":
        policy: Any = torch.optim.lr_scheduler.OneCycleLR
        callbacks.append(OneCycle(policy))
    if verbose:
        callbacks.append(ProgressBar(detect_notebook=False))
    return ConvergenceRegressor(
        ARCHITECTURES[architecture],
        architecture=architecture,
        random_state=random_state,
        module__n_outputs=int(n_outputs),
        criterion=nn.L1Loss,
        max_epochs=epochs,
        lr=rate,
        batch_size=batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        device=device,
        verbose=verbose,
        **{**options, "callbacks": callbacks, **skorch_params},
    )


class ConvergenceMapDataset(Dataset):
    """Maps of a simulator, made when a network asks for them.

    Parameters
    ----------
    simulator : ConvergenceSimulator
    indices : array-like of int of shape (n,) or None, default=None
        Numbers of the maps; None: all.
    outputs : sequence of int or None, default=None
        Columns of the simulator's targets; None: all.
    alter : callable or None, default=None
        Called with maps (n, 1, n_pixels, n_pixels) and all of their targets, returns
        the maps to take: `plant_lattice` and its kin.

    Attributes
    ----------
    target : ndarray of float32 of shape (n, n_outputs)

    See Also
    --------
    ConvergenceSimulator : Makes the maps.
    convergence_regressor : Its ``fit`` takes a dataset in place of X.

    Examples
    --------
    >>> from sktrim.lensing import ConvergenceMapDataset, ConvergenceSimulator
    >>> from sktrim.lensing import shipped_cosmologies
    >>> simulator = ConvergenceSimulator(
    ...     shipped_cosmologies("trim"), 10, n_pixels=32, random_state=0
    ... )
    >>> data = ConvergenceMapDataset(simulator, outputs=[1])
    >>> len(data), data[3][0].shape, data[3][1]
    (100, (1, 32, 32), array([0.3], dtype=float32))
    """

    def __init__(
        self,
        simulator: Any,
        indices: Any = None,
        outputs: Any = None,
        alter: Callable | None = None,
    ):
        everything = np.arange(len(simulator))
        self.simulator, self.alter = simulator, alter
        self.indices = everything if indices is None else everything[indices]
        columns = slice(None) if outputs is None else list(outputs)
        self.target = simulator.target[self.indices][:, columns]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        number = [self.indices[at]]
        maps = self.simulator.maps(number)
        if self.alter is not None:
            maps = self.alter(maps, self.simulator.target[number])
        return maps[0], self.target[at]


def split_maps(
    groups: Any, cosmology: Any = None, *, test_size: float = 0.3, random_state: Any = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split maps into those for training and for tests, never across a group.

    Maps that were cut from the same run or box of a simulation hold the same
    structures; a network that saw some of them knows the others.

    Parameters
    ----------
    groups : array-like of shape (n_maps,)
        The run or box that each map comes from. Simulated maps are all independent:
        ``range(n_maps)``.
    cosmology : array-like of shape (n_maps,) or None, default=None
        Split within each cosmology, so that all are in both parts.
    test_size : float, default=0.3
        Share of the groups that is kept for tests.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    train, test : ndarray of int

    Raises
    ------
    ValueError
        If a cosmology has a single group, or the shapes differ.

    See Also
    --------
    sklearn.model_selection.GroupShuffleSplit : Does the splitting.

    Examples
    --------
    >>> from sktrim.lensing import split_maps
    >>> train, test = split_maps([0, 0, 1, 1, 2, 2], test_size=1 / 3)
    >>> len(train), len(test)
    (4, 2)
    """
    groups = np.asarray(groups)
    labels = np.zeros(len(groups)) if cosmology is None else np.asarray(cosmology)
    if labels.shape != groups.shape or groups.ndim != 1:
        raise ValueError(
            f"groups has shape {groups.shape} and cosmology {labels.shape}; expected "
            "one of each for every map."
        )
    # one stream for all: groups that are numbered alike are not chosen alike
    rng = check_random_state(random_state)
    split = GroupShuffleSplit(1, test_size=test_size, random_state=rng)
    parts: tuple[list, list] = [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(np.unique(groups[rows])) < 2:
            raise ValueError(
                f"cosmology {label} has a single group, {groups[rows[0]]!r}; a split "
                "needs at least two runs or boxes of each."
            )
        for part, found in zip(
            parts, next(split.split(rows, groups=groups[rows])), strict=True
        ):
            part.append(rows[found])
    return np.sort(np.concatenate(parts[0])), np.sort(np.concatenate(parts[1]))
