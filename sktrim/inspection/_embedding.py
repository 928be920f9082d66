"""Points in the plane with the images that they stand for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sktrim.inspection._display import Display
from sktrim.inspection._pictures import is_lines, lay_out
from sktrim.inspection._style import PALETTE


@dataclass(eq=False, repr=False)
class EmbeddingDisplay(Display):
    r"""Planes side by side, with some of the images at their points.

    Parameters
    ----------
    points : list of ndarray of shape (n_samples, 2)
        One array for each plane.
    titles : list of str
    signals : ndarray of shape (n_samples, \*signal_shape)
    labels : ndarray of shape (n_samples,) or None
        Classes, which colours and the legend tell.
    n_images : int, default=60
        So many images in each plane, spread over the samples.

    Attributes
    ----------
    figure_, ax_
        The matplotlib figure and axes.

    See Also
    --------
    sktrim.stimuli.layer_embedding : What it draws.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> import numpy as np
    >>> from sktrim.inspection import EmbeddingDisplay
    >>> rng = np.random.default_rng(0)
    >>> points, images = rng.normal(size=(10, 2)), rng.normal(size=(10, 4, 4))
    >>> display = EmbeddingDisplay([points], ["layer"], images, None).plot()
    >>> display.ax_.child_axes[0].get_title()
    'layer'
    """

    points: list[np.ndarray]
    titles: list[str]
    signals: np.ndarray
    labels: np.ndarray | None
    n_images: int = 60

    def _size(self) -> tuple[float, float]:
        return 3.4 * len(self.points), 3.9

    def _draw(self, own: bool) -> list:
        self.ax_.axis("off")
        width = 1 / len(self.points)
        handles: list = []
        for at, (plane, title) in enumerate(zip(self.points, self.titles, strict=True)):
            inset = self.ax_.inset_axes((at * width, 0, 0.94 * width, 0.86))
            handles = self._draw_plane(inset, plane)
            inset.set_title(title, fontsize="small")
            inset.set_xticks([])
            inset.set_yticks([])
        return handles

    def _draw_plane(self, ax, plane: np.ndarray) -> list:
        """Draw the points, coloured by class, and images at some of them."""
        handles = []
        labels = np.zeros(len(plane)) if self.labels is None else self.labels
        kinds = list(dict.fromkeys(sorted(labels.tolist())))
        colors = {kind: PALETTE[k % len(PALETTE)] for k, kind in enumerate(kinds)}
        for kind in kinds:
            some = plane[labels == kind]
            name = None if self.labels is None else str(kind)
            handles.append(
                ax.scatter(*some.T, s=8, color=colors[kind], label=name, alpha=0.8)
            )
        self._put_images(ax, plane, [colors[label] for label in labels.tolist()])
        return [] if self.labels is None else handles

    def _put_images(self, ax, plane: np.ndarray, colors: list) -> None:
        from matplotlib.offsetbox import AnnotationBbox, OffsetImage

        laid_out = lay_out(self.signals)
        if is_lines(laid_out) or not self.n_images:
            return
        grey = laid_out.mean(1) if laid_out.ndim == 4 else laid_out
        some = np.linspace(0, len(plane) - 1, min(self.n_images, len(plane)))
        for at in np.unique(some.astype(int)):
            image = OffsetImage(grey[at], zoom=14 / grey.shape[1], cmap="gray_r")
            frame = {"edgecolor": colors[at], "boxstyle": "square,pad=0.05"}
            ax.add_artist(
                AnnotationBbox(image, tuple(plane[at]), pad=0.1, bboxprops=frame)
            )
