"""What DeepTune finds about a neuron: images, whether to believe them, and families."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import dendrogram

from sktrim.inspection import StimuliDisplay
from sktrim.inspection._style import one_axes


@dataclass(eq=False, repr=False)
class Stability:
    r"""Whether the images of a predicted neuron can be believed.

    Parameters
    ----------
    correlation : float
        Of out-of-fold predictions with the response, the mean over networks.
    over_starts, over_models, over_compressed : float
        Mean correlation of pairs of images, each at the best shift: of random starts,
        of networks (with their consensus), and of a network with what remains of it
        when small filters are zeroed. NaN where there is one image alone.
    min_correlation, min_agreement : float
        From where on they are high enough.

    See Also
    --------
    sktrim.stimuli.DeepTune : Makes it.

    Examples
    --------
    >>> from sktrim.stimuli import Stability
    >>> Stability(0.05, 0.9, 0.8, float("nan"), 0.3, 0.5)
    unstable (cross-validated correlation 0.05 < 0.30; agreement over starts 0.90, over
    models 0.80)
    """

    correlation: float
    over_starts: float
    over_models: float
    over_compressed: float
    min_correlation: float
    min_agreement: float

    @property
    def agreements(self) -> dict[str, float]:
        """The agreements that are known."""
        known = {
            "starts": self.over_starts,
            "models": self.over_models,
            "compressed networks": self.over_compressed,
        }
        return {name: float(r) for name, r in known.items() if not np.isnan(r)}

    @property
    def stable(self) -> bool:
        """Whether the prediction and every known agreement are high enough."""
        agree = all(r >= self.min_agreement for r in self.agreements.values())
        return bool(self.correlation >= self.min_correlation and agree)

    @property
    def verdict(self) -> str:
        """Stable or unstable, with the numbers behind it."""
        sign = ">=" if self.correlation >= self.min_correlation else "<"
        parts = [f"over {name} {r:.2f}" for name, r in self.agreements.items()]
        agreement = f"; agreement {', '.join(parts)}" if parts else ""
        return (
            f"{'stable' if self.stable else 'unstable'} (cross-validated correlation "
            f"{self.correlation:.2f} {sign} {self.min_correlation:.2f}{agreement})"
        )

    def __repr__(self) -> str:
        return self.verdict


@dataclass(eq=False, repr=False)
class DeepTuneImages:
    r"""Images that drive a predicted neuron most.

    Parameters
    ----------
    by_model : list of Stimuli
        Of each network, all starts.
    consensus : Stimuli or None
        What all networks agree on; None for one network.
    compressed : ndarray of shape (n_compressed, \*signal_shape)
        Of compressed networks.
    stability : Stability
        Whether to believe them.
    neuron : int
        Which neuron.

    See Also
    --------
    sktrim.stimuli.DeepTune : Makes it.
    """

    by_model: list
    consensus: Any
    compressed: np.ndarray
    stability: Stability
    neuron: int = 0

    @property
    def images(self) -> np.ndarray:
        """The best image of each network, (n_models, *signal_shape)."""
        return np.stack([s.best for s in self.by_model])

    @property
    def consensus_image(self) -> np.ndarray:
        """The best image of the consensus; of one network, its own."""
        return (self.by_model[0] if self.consensus is None else self.consensus).best

    def __repr__(self) -> str:
        return (
            f"DeepTuneImages(neuron {self.neuron}, {len(self.by_model)} networks; "
            f"{self.stability.verdict})"
        )

    def plot(self, ax: Any = None, *, title: str | None = None) -> StimuliDisplay:
        """Draw the best image of each network, and of their consensus.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            None: the neuron and the verdict.

        Returns
        -------
        StimuliDisplay
        """
        titles = [f"network {i}" for i in range(len(self.by_model))]
        images = [*self.images]
        if self.consensus is not None:
            images, titles = [*images, self.consensus_image], [*titles, "consensus"]
        whole = f"neuron {self.neuron}\n{self.stability.verdict}"
        return StimuliDisplay.from_signals(
            np.stack(images), titles, title=whole if title is None else title, ax=ax
        )


@dataclass(eq=False, repr=False)
class TopImages:
    r"""Images that a neuron answers to most, with where it looks.

    Parameters
    ----------
    images : ndarray of shape (n, \*signal_shape)
        The images, the strongest first.
    masked : ndarray of shape (n, \*signal_shape)
        The same, fading to their mean where the prediction does not depend on them.
    mask : ndarray of shape signal_shape
        Mean size of the prediction's slope over these images, from 0 to 1.
    indices : ndarray of shape (n,)
        Their rows in X.
    responses : ndarray of shape (n,)
        Predicted, or measured.

    See Also
    --------
    sktrim.stimuli.DeepTune : Makes it.
    """

    images: np.ndarray
    masked: np.ndarray
    mask: np.ndarray
    indices: np.ndarray
    responses: np.ndarray

    def __repr__(self) -> str:
        return (
            f"TopImages({len(self.indices)} rows {self.indices.tolist()}, responses "
            f"{self.responses.max():.3g} to {self.responses.min():.3g})"
        )

    def plot(self, ax: Any = None, *, title: str | None = None) -> StimuliDisplay:
        """Draw the masked images.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            Title of the figure.

        Returns
        -------
        StimuliDisplay
        """
        names = [
            f"row {i}: {r:.3g}"
            for i, r in zip(self.indices, self.responses, strict=True)
        ]
        return StimuliDisplay.from_signals(self.masked, names, title=title, ax=ax)


@dataclass(eq=False, repr=False)
class Recombinations:
    r"""Images made of patches of others, and what is predicted of them.

    Parameters
    ----------
    images : ndarray of shape (n, \*signal_shape)
        The strongest first.
    responses : ndarray of shape (n,)
        Predicted.
    sources : ndarray of int of shape (n, \*grid)
        The row of X that each patch is from.
    largest : float
        Largest predicted response to a row of X itself.

    See Also
    --------
    sktrim.stimuli.DeepTune : Makes it.
    """

    images: np.ndarray
    responses: np.ndarray
    sources: np.ndarray
    largest: float

    def __repr__(self) -> str:
        return (
            f"Recombinations({len(self.images)} images, responses up to "
            f"{self.responses.max():.3g}; whole images up to {self.largest:.3g})"
        )


@dataclass(eq=False, repr=False)
class NeuronClusters:
    """Families of neurons that read the same features.

    Parameters
    ----------
    linkage : ndarray of shape (n_kept - 1, 4)
        As `scipy.cluster.hierarchy.linkage` gives it, by 1 - correlation of weights.
    labels : ndarray of int of shape (n_kept,)
        From 1 on.
    neurons : ndarray of int of shape (n_kept,)
        Those that are predicted well.
    left_out : ndarray of int
        The others.
    layer : str
        Whose features.

    See Also
    --------
    sktrim.stimuli.DeepTune : Makes it.
    """

    linkage: np.ndarray
    labels: np.ndarray
    neurons: np.ndarray
    left_out: np.ndarray
    layer: str

    def __repr__(self) -> str:
        return (
            f"NeuronClusters({len(self.neurons)} neurons in {self.labels.max()} "
            f"families by weights of {self.layer}; {len(self.left_out)} left out, "
            "predicted badly)"
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the tree.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        matplotlib Axes
        """
        _, ax, _ = one_axes(ax, (6.4, 3.6))
        dendrogram(self.linkage, labels=self.neurons, ax=ax)
        ax.set_xlabel("neuron")
        ax.set_ylabel("1 - correlation of weights")
        return ax
