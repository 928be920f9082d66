"""Where the parts of x come from after samples were sliced and joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Component = Callable[[np.ndarray, int], np.ndarray]


class ComponentSource:
    """The component functions of some samples, and each sample's row in its own."""

    def __init__(self, functions: Sequence[Component], which, rows):
        # each maps (rows, group index) to an ndarray ``(len(rows), *signal_shape)``
        self.functions = list(functions)
        # for each sample, the function that knows it and the row under which it does
        self.which = np.asarray(which)
        self.rows = np.asarray(rows)

    @classmethod
    def of(cls, function: Component, n_samples: int) -> ComponentSource:
        """Wrap one function that knows its samples as 0, 1, ..."""
        if isinstance(function, cls):
            return function
        return cls([function], np.zeros(n_samples, dtype=int), np.arange(n_samples))

    @classmethod
    def joined(cls, sources: Sequence[ComponentSource]) -> ComponentSource:
        """Put the samples of several sources one after the other."""
        functions, which = [], []
        for source in sources:
            which.append(source.which + len(functions))
            functions.extend(source.functions)
        rows = np.concatenate([source.rows for source in sources])
        return cls(functions, np.concatenate(which), rows)

    def take(self, rows) -> ComponentSource:
        """Keep some samples."""
        return ComponentSource(self.functions, self.which[rows], self.rows[rows])

    def __call__(self, samples, group: int) -> np.ndarray:
        """Parts of the samples, shape (len(samples), *signal_shape)."""
        samples = np.asarray(samples)
        which = self.which[samples]
        order, parts = [], []
        # no samples: an empty part of the right shape, from whichever function
        for index in np.unique(which) if which.size else [0]:
            places = np.flatnonzero(which == index)
            part = np.asarray(self.functions[index](self.rows[samples[places]], group))
            if part.ndim < 2 or len(part) != len(places):
                raise ValueError(
                    f"component_function gave shape {part.shape} for {len(places)} "
                    "samples; it must return (n_samples, *signal_shape)."
                )
            order.append(places)
            parts.append(part)
        return np.concatenate(parts)[np.argsort(np.concatenate(order))]


class StoredComponents:
    """Components kept in memory, as a component function."""

    def __init__(self, parts: np.ndarray):
        # of shape (n_samples, n_groups, *signal_shape)
        self.parts = parts

    def __call__(self, rows: np.ndarray, group: int) -> np.ndarray:
        """Look up parts, shape (len(rows), *signal_shape)."""
        return self.parts[rows, group]
