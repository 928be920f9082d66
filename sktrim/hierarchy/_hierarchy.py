"""The tree of what acts together in one sample."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import numpy as np

from sktrim.inspection import PatchesDisplay, TreeDisplay

_MOST_NAMES = 6
"""Of larger sets not all units are printed."""


@dataclass(eq=False, repr=False)
class Hierarchy:
    r"""Sets of units that were joined step by step, with their scores.

    Nodes are numbered: first the units, in order, then what was joined, each after all
    that it joins; the last one is the whole.

    Parameters
    ----------
    unit_names : list of str
        What the units are called.
    members : ndarray of bool, shape (n_nodes, n_units)
        The units of each node.
    scores : ndarray of shape (n_nodes,)
        The score of each node as a whole, in units of the explained output.
    levels : ndarray of int, shape (n_nodes,)
        0 for a unit, else one more than the highest that was joined.
    steps : ndarray of int, shape (n_nodes,)
        When each was joined; 0 for a unit.
    children : list of tuple of int
        What each joins; empty for a unit.
    sample : int
        Which sample of X it is of.
    target_name : str
        What is explained.
    explained : float
        The explained output.
    places : ndarray of shape (n_units, \*signal_shape) or None
        Where units lie in the signal, where that is what is explained.
    signal : ndarray of shape signal_shape or None
        The sample.

    See Also
    --------
    AgglomerativeDecomposition : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import TransformImportance
    >>> from sktrim.hierarchy import AgglomerativeDecomposition
    >>> class Pairs(torch.nn.Module):
    ...     def forward(self, x):
    ...         return (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3])[:, None]
    >>> X = np.array([[2.0, 1.0, 3.0, 1.0]])
    >>> groups = {name: [k] for k, name in enumerate("abcd")}
    >>> trim = TransformImportance(Pairs(), groups=groups).fit(X)
    >>> print(AgglomerativeDecomposition(trim, adjacency=None).explain(X)[0])
    {a, b, c, d}  5.00
      {c, d}  3.00
        c  1.50
        d  1.50
      {a, b}  2.00
        a  1.00
        b  1.00
    """

    unit_names: list[str]
    _: KW_ONLY
    members: np.ndarray
    scores: np.ndarray
    levels: np.ndarray
    steps: np.ndarray
    children: list[tuple[int, ...]] = field(default_factory=list)
    sample: int = 0
    target_name: str = ""
    explained: float = np.nan
    places: np.ndarray | None = None
    signal: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def n_units(self) -> int:
        """Number of units."""
        return len(self.unit_names)

    @property
    def parents(self) -> np.ndarray:
        """What each node was joined into; -1 for the whole."""
        parents = np.full(len(self), -1)
        for node, children in enumerate(self.children):
            parents[list(children)] = node
        return parents

    def name(self, node: int) -> str:
        """Return the units of a node, in order.

        Parameters
        ----------
        node : int

        Returns
        -------
        str
        """
        names = [self.unit_names[i] for i in np.flatnonzero(self.members[node])]
        return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"

    def _short(self, node: int) -> str:
        """Return the name of a node, of many units the first and their number."""
        own = np.flatnonzero(self.members[node])
        if len(own) <= _MOST_NAMES:
            return self.name(node)
        first = ", ".join(self.unit_names[i] for i in own[: _MOST_NAMES - 1])
        return f"{{{first}, ... {len(own)} units}}"

    def order(self) -> np.ndarray:
        """Return an order of the units in which every node is an interval.

        Returns
        -------
        ndarray of int, shape (n_units,)
            The units' own order, where it is one.
        """
        ordered: list[int] = []
        waiting = [len(self) - 1]
        while waiting:
            node = waiting.pop()
            if not self.children[node]:
                ordered.append(node)
            # what is popped first stands first
            waiting += sorted(self.children[node], key=self._first_unit, reverse=True)
        return np.array(ordered)

    def _first_unit(self, node: int) -> int:
        return int(self.members[node].argmax())

    def to_linkage(self) -> np.ndarray:
        """Return the tree as SciPy's hierarchies are stored.

        Several nodes that are joined at once become as many joins of two at the same
        height, the level, those with the largest scores first.

        Returns
        -------
        ndarray of shape (n_units - 1, 4)
            For `scipy.cluster.hierarchy.dendrogram` and its kin.
        """
        clusters = {unit: (unit, 1) for unit in range(self.n_units)}
        rows, number = [], self.n_units
        inner = range(self.n_units, len(self))
        for node in sorted(inner, key=lambda node: (self.levels[node], node)):
            children = sorted(self.children[node], key=lambda c: -abs(self.scores[c]))
            cluster, count = clusters[children[0]]
            for child in children[1:]:
                other, more = clusters[child]
                count += more
                rows.append((cluster, other, self.levels[node], count))
                cluster, number = number, number + 1
            clusters[node] = cluster, count
        return np.reshape(np.array(rows, dtype=float), (-1, 4))

    def to_frame(self):
        """Return a table with one row per node.

        Returns
        -------
        pandas.DataFrame
            Columns sample, node, name, level, step, score, size, parent.
        """
        import pandas as pd

        nodes = range(len(self))
        return pd.DataFrame(
            {
                "sample": self.sample,
                "node": nodes,
                "name": [self.name(node) for node in nodes],
                "level": self.levels,
                "step": self.steps,
                "score": self.scores,
                "size": self.members.sum(axis=1),
                "parent": self.parents,
            }
        )

    def __str__(self) -> str:
        lines, waiting = [], [(len(self) - 1, 0)]
        while waiting:
            node, depth = waiting.pop()
            lines.append(f"{'  ' * depth}{self._short(node)}  {self.scores[node]:.2f}")
            # what is pushed last stands first
            below = sorted(self.children[node], key=lambda c: (abs(self.scores[c]), -c))
            waiting += [(child, depth + 1) for child in below]
        return "\n".join(lines)

    __repr__ = __str__

    def plot_tree(self, *, orientation: str = "auto", title=None, ax=None):
        """Draw the tree over its units, coloured by scores.

        Parameters
        ----------
        orientation : {"auto", "up", "right"}, default="auto"
            "up": units side by side, as the words of a sentence; "right": one below the
            other. By the length of their names.
        title : str, optional
            Title of the axes.
        ax : matplotlib Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        TreeDisplay
        """
        order = self.order()
        display = TreeDisplay(
            self.members[:, order],
            self.scores,
            self.levels,
            names=[self.unit_names[i] for i in order],
            parents=self.parents,
            label=f"score for {self.target_name}" if self.target_name else "score",
            orientation=orientation,
        )
        return display.plot(ax=ax, title=title)

    def plot_patches(self, *, n_steps: int = 6, title=None, ax=None):
        """Draw how patches grow over the image, coloured by scores.

        Parameters
        ----------
        n_steps : int, default=6
            Pictures, spread over the steps.
        title : str, optional
            Title of the figure.
        ax : matplotlib Axes or sequence of Axes, optional
            Where to draw; None makes a figure.

        Returns
        -------
        PatchesDisplay

        Raises
        ------
        ValueError
            If units are no places of an image.
        """
        if self.places is None or self.signal is None:
            raise ValueError(
                "These units are no places in the signal: patches can be drawn where "
                "groups are pixels or regions (transformer=None). Use plot_tree()."
            )
        return PatchesDisplay.from_steps(
            self.signal,
            self.places,
            [self._at(step) for step in self.shown_steps(n_steps)],
            title=title,
            ax=ax,
        )

    def shown_steps(self, n_steps: int) -> list[int]:
        """Return steps to show, the first and the last among them.

        Parameters
        ----------
        n_steps : int

        Returns
        -------
        list of int
        """
        last = int(self.steps.max())
        spread = np.linspace(min(1, last), last, max(1, min(n_steps, last)))
        return sorted(set(spread.round().astype(int).tolist()))

    def _at(self, step: int) -> tuple[str, list[tuple[np.ndarray, float]]]:
        """Return the largest sets that there are at a step, with their scores."""
        there = (self.steps <= step) & (self.members.sum(axis=1) > 1)
        parents = self.parents
        own = [
            node
            for node in np.flatnonzero(there)
            if parents[node] < 0 or not there[parents[node]]
        ]
        return f"step {step}", [(self.members[n], float(self.scores[n])) for n in own]


class Hierarchies(Sequence):
    """The trees of several samples.

    Parameters
    ----------
    trees : list of Hierarchy

    See Also
    --------
    AgglomerativeDecomposition.explain : Makes it.

    Examples
    --------
    >>> from sktrim.hierarchy import Hierarchies
    >>> len(Hierarchies([]))
    0
    """

    def __init__(self, trees: list[Hierarchy]) -> None:
        self._trees = list(trees)

    def __len__(self) -> int:
        return len(self._trees)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Hierarchies(self._trees[index])
        return self._trees[index]

    def to_frame(self):
        """Return a table with one row per node of every sample.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        return pd.concat([tree.to_frame() for tree in self], ignore_index=True)

    def __repr__(self) -> str:
        return f"Hierarchies({len(self)} samples)"
