"""What a maximisation gives back: signals, what they reach, how far they agree."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from sktrim.inspection import StimuliDisplay
from sktrim.stimuli._similarity import mean_correlation


@dataclass(eq=False, repr=False)
class Stimuli:
    r"""Signals that drive a unit, one per start.

    Parameters
    ----------
    images : ndarray of shape (n_starts, \*signal_shape)
        The signals.
    activations : ndarray of shape (n_starts,)
        What the unit answers to them (its sum over places, or that of its squares),
        without penalties, jitter and transforms; of several networks their minimum,
        the soft one where that was asked for.
    losses : ndarray of shape (n_steps, n_starts)
        Loss before each step: minus the activation as it was seen, jitter and
        transforms included, plus the weighted total variation.
    transparency : ndarray of shape (n_starts, \*signal_shape)
        :math:`\sum_t | \partial L / \partial x |`, which is large where the signal
        mattered on the way; a picture of MACO is drawn as transparent elsewhere.
    variables : ndarray of shape (n_starts, ...)
        What was learned: the signal, coefficients, a spectrum or a latent vector.
    unit : str, default="unit"
        What the unit is called.
    threshold : float, default=0.8
        Starts agree from this mean correlation on.

    See Also
    --------
    sktrim.stimuli.ActivationMaximizer : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.stimuli import Stimuli
    >>> x = np.array([[0.0, 1.0, 2.0], [0.0, 1.0, 2.1]])
    >>> Stimuli(x, x.sum(axis=1), np.zeros((0, 2)), 0 * x, x)
    Stimuli(2 of unit, activations 3 to 3.1; stable: mean correlation of starts 1.00,
    threshold 0.80)
    """

    images: np.ndarray
    activations: np.ndarray
    losses: np.ndarray
    transparency: np.ndarray
    variables: np.ndarray
    unit: str = "unit"
    threshold: float = 0.8

    @property
    def best(self) -> np.ndarray:
        """The signal of the largest activation."""
        return self.images[np.nanargmax(self.activations)]

    @property
    def similarity(self) -> float:
        """Mean correlation of the signals of different starts; NaN for one start."""
        return mean_correlation(self.images)

    @property
    def stable(self) -> bool | None:
        """Whether starts agree; None for one start, of which nobody can say."""
        return None if len(self.images) < 2 else self.similarity >= self.threshold

    @property
    def verdict(self) -> str:
        """Whether starts agree, in words, with the number behind it."""
        if self.stable is None:
            return "stability unknown: one start"
        word = "stable" if self.stable else "unstable"
        return (
            f"{word}: mean correlation of starts {self.similarity:.2f}, threshold "
            f"{self.threshold:.2f}"
        )

    def __repr__(self) -> str:
        a = self.activations
        reach = f"{a.min():.3g}" if len(a) == 1 else f"{a.min():.3g} to {a.max():.3g}"
        return f"Stimuli({len(a)} of {self.unit}, activations {reach}; {self.verdict})"

    def plot(self, ax: Any = None, *, title: str | None = None) -> StimuliDisplay:
        """Draw the signals of all starts.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.
        title : str, optional
            None: the unit and the verdict.

        Returns
        -------
        StimuliDisplay
        """
        return StimuliDisplay.from_signals(
            self.images,
            [f"activation {a:.3g}" for a in self.activations],
            title=f"{self.unit}\n{self.verdict}" if title is None else title,
            ax=ax,
        )
