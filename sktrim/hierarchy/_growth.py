"""How units of one sample are selected and joined, step by step."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from sktrim.hierarchy._adjacency import Adjacency

Growing = Generator[np.ndarray, Any, Any]
"""Yields sets that are to be scored, and is sent their scores."""

_FEW = 16
"""Fewer samples are one batch, whatever their sets are padded to."""


@dataclass
class Nodes:
    """Sets that were joined, units first, each from those before it."""

    members: list[np.ndarray] = field(default_factory=list)
    children: list[tuple[int, ...]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def add(
        self, members: np.ndarray, children: tuple[int, ...], score: float, step: int
    ) -> int:
        """Append a node and return its number."""
        level = 1 + max(self.levels[child] for child in children) if children else 0
        self.members.append(members)
        self.children.append(children)
        self.scores.append(score)
        self.levels.append(level)
        self.steps.append(step)
        return len(self.members) - 1


@dataclass(frozen=True)
class Rule:
    """What is selected and joined first."""

    percentile: float
    by_size: bool
    smooth: bool

    def strength(self, values: np.ndarray) -> np.ndarray:
        """Return what is ranked: the sizes of scores, or the scores."""
        return np.abs(values) if self.by_size else values


def grow(adjacency: Adjacency, rule: Rule, pairwise: bool) -> Growing:
    """Yield batches of sets (n_sets, n_units); receive scores; return the nodes."""
    nodes, n_units = Nodes(), len(adjacency.connected)
    units = np.eye(n_units, dtype=bool)
    scores = yield units
    for unit, score in zip(units, scores, strict=True):
        nodes.add(unit, (), float(score), 0)
    if pairwise:
        every = list(range(n_units))
        yield from _join_pairs(nodes, every, 1, rule, adjacency.connected)
    else:
        yield from _select(nodes, np.array(scores, dtype=float), adjacency, rule)
    return nodes


def _select(
    nodes: Nodes, gains: np.ndarray, adjacency: Adjacency, rule: Rule
) -> Growing:
    """Select units by their joint gain, and join what hangs together."""
    n_units = len(gains)
    selected, roots = np.zeros(n_units, dtype=bool), []
    step = 0
    while not selected.all():
        step += 1
        selected = selected | _picked(gains, selected, rule)
        # what is selected first stays as it is, as in acd
        if step > 1 and rule.smooth and adjacency.is_grid:
            selected = selected | ((adjacency.touching @ selected.astype(int)) >= 3)
        parts = _components(selected, adjacency.connected)
        old, roots = roots, []
        grown = [part for part in parts if _known(part, nodes, old) is None]
        near = [_touched(part, selected, adjacency.touching) for part in parts]
        sets, owners = _with_neighbours(parts, near, n_units)
        asked = np.concatenate([np.reshape(grown, (-1, n_units)), sets]).astype(bool)
        scores = (yield asked) if len(asked) else np.zeros(0)
        own = dict(zip(map(_key, grown), scores[: len(grown)], strict=True))
        for part in parts:
            node = _known(part, nodes, old)
            if node is None:
                children = _children(part, nodes, old)
                node = nodes.add(part, children, float(own[_key(part)]), step)
            roots.append(node)
        joint = scores[len(grown) :]
        gains = _joint_gains(
            gains, joint, owners, [nodes.scores[r] for r in roots], rule
        )
    yield from _join_pairs(nodes, roots, step + 1, rule, None)


def _picked(gains: np.ndarray, selected: np.ndarray, rule: Rule) -> np.ndarray:
    """Tell which units are selected next: those above a percentile of the rest."""
    percentile = rule.percentile
    if selected.sum() > len(selected) / 3:
        percentile = max(0.0, percentile - 15)
    strength = rule.strength(gains)
    # the percentile lies between numbers, and its rounding may pass the largest of them
    least = min(
        np.percentile(strength[~selected], percentile), strength[~selected].max()
    )
    return ~selected & (strength >= least)


def _components(selected: np.ndarray, connected: np.ndarray) -> list[np.ndarray]:
    """Return the connected components of a selection, by their first unit."""
    index = np.flatnonzero(selected)
    count, labels = connected_components(
        connected[np.ix_(index, index)], directed=False
    )
    parts = []
    for label in range(count):
        part = np.zeros(len(selected), dtype=bool)
        part[index[labels == label]] = True
        parts.append(part)
    return parts


def _key(part: np.ndarray) -> bytes:
    return part.tobytes()


def _known(part: np.ndarray, nodes: Nodes, roots: list[int]) -> int | None:
    """Return the node that a component is already, or is as a single unit."""
    if part.sum() == 1:
        return int(part.argmax())
    same = (node for node in roots if (nodes.members[node] == part).all())
    return next(same, None)


def _children(part: np.ndarray, nodes: Nodes, roots: list[int]) -> tuple[int, ...]:
    """Return what a component joins: those of before, and units that are new."""
    joined = [node for node in roots if nodes.members[node][part].any()]
    left = part.copy()
    for node in joined:
        left &= ~nodes.members[node]
    return (*joined, *np.flatnonzero(left).tolist())


def _touched(part: np.ndarray, selected: np.ndarray, touching: np.ndarray) -> Any:
    return np.flatnonzero(touching[part].any(axis=0) & ~selected)


def _with_neighbours(
    parts: list, near: list, n_units: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return every component with each of its neighbours, and which these are."""
    owners = [(c, j) for c, some in enumerate(near) for j in some]
    sets = np.zeros((len(owners), n_units), dtype=bool)
    for row, (component, unit) in enumerate(owners):
        sets[row] = parts[component]
        sets[row, unit] = True
    return sets, np.reshape(np.array(owners, dtype=int), (-1, 2))


def _joint_gains(
    gains: np.ndarray, joint: Any, owners: np.ndarray, own: list[float], rule: Rule
) -> np.ndarray:
    """Return what units add to the components that they touch, the most of each."""
    gains, best = gains.copy(), np.full(len(gains), -np.inf)
    for score, (component, unit) in zip(joint, owners, strict=True):
        gain = float(score) - own[component]
        strength = float(rule.strength(np.array(gain)))
        if strength > best[unit]:
            best[unit], gains[unit] = strength, gain
    return gains


def _join_pairs(
    nodes: Nodes, roots: list[int], step: int, rule: Rule, connected: np.ndarray | None
) -> Growing:
    """Join two sets at a time, those first that give the most together."""
    # with `connected`: of neighbours, as long as there are any, by what they give
    # beyond their sum; then, and without it, by what they add to the larger
    roots, scores = list(roots), {}
    while len(roots) > 1:
        pairs = _meeting(nodes, roots, connected)
        if not pairs:
            connected = None
            continue
        new = [pair for pair in pairs if pair not in scores]
        if new:
            found = yield np.array(
                [nodes.members[a] | nodes.members[b] for a, b in new]
            )
            scores.update(zip(new, map(float, found), strict=True))
        best = _best_pair(pairs, scores, nodes, rule, connected is not None)
        members = nodes.members[best[0]] | nodes.members[best[1]]
        node = nodes.add(members, best, scores[best], step)
        roots = [*(root for root in roots if root not in best), node]
        step += 1


def _meeting(
    nodes: Nodes, roots: list[int], connected: np.ndarray | None
) -> list[tuple[int, int]]:
    """Return the pairs of sets that may be joined."""
    if connected is None:
        return list(combinations(roots, 2))
    members = np.array([nodes.members[root] for root in roots], dtype=float)
    first, second = np.nonzero(np.triu(members @ connected @ members.T > 0, 1))
    return [(roots[a], roots[b]) for a, b in zip(first, second, strict=True)]


def _best_pair(
    pairs: list, scores: dict, nodes: Nodes, rule: Rule, beyond: bool
) -> Any:
    own = np.array([[nodes.scores[a], nodes.scores[b]] for a, b in pairs])
    joint = np.array([scores[pair] for pair in pairs])
    if beyond:
        return pairs[int(rule.strength(joint - own.sum(axis=1)).argmax())]
    return pairs[int((joint - own.max(axis=1)).argmax())]


def run(
    growing: list[Growing], members: list[np.ndarray], score: Callable, bar: Any
) -> list[Nodes]:
    """Advance all samples together, the sets of a step in one batch."""
    # `members` (n_units, n_groups) of each; `score` takes samples and sets of groups,
    # (n, n_sets, n_groups)
    waiting = {i: next(each) for i, each in enumerate(growing)}
    finished: dict[int, Nodes] = {}
    while waiting:
        for samples in _alike({i: len(batch) for i, batch in waiting.items()}):
            longest = max(len(waiting[i]) for i in samples)
            sets = [_padded(waiting[i] @ members[i], longest) for i in samples]
            scores = score(np.array(samples), np.array(sets))
            for i, found in zip(samples, scores, strict=True):
                batch = waiting.pop(i)
                try:
                    waiting[i] = growing[i].send(found[: len(batch)])
                except StopIteration as end:
                    finished[i] = end.value
                    bar.update()
    return [finished[i] for i in range(len(growing))]


def _alike(lengths: dict[int, int]) -> list[list[int]]:
    """Divide samples in two where that saves most of the padding of their sets."""
    samples = sorted(lengths, key=lambda i: lengths[i])
    if len(samples) < _FEW:
        return [samples]
    sizes = np.array([lengths[i] for i in samples])
    first = np.arange(1, len(samples))
    padded = first * sizes[:-1] + (len(samples) - first) * sizes[-1]
    at = int(first[padded.argmin()])
    return [samples[:at], samples[at:]]


def _padded(sets: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([sets, np.repeat(sets[:1], length - len(sets), axis=0)])
