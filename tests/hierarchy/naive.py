"""Agglomeration set by set: one call for each score, sets of Python, no batches."""

import numpy as np


def neighbours(unit, places, corners):
    """Units one step from a unit, on a grid or in a row."""
    found = []
    for other, place in enumerate(places):
        steps = [abs(a - b) for a, b in zip(place, places[unit], strict=True)]
        near = max(steps) == 1 if corners else sum(steps) == 1
        if near:
            found.append(other)
    return found


def components(selected, places):
    left, parts = set(selected), []
    while left:
        part, edge = set(), {min(left)}
        while edge:
            unit = edge.pop()
            part.add(unit)
            edge |= {n for n in neighbours(unit, places, True) if n in left} - part
        parts.append(frozenset(part))
        left -= part
    return parts


def agglomerate(score, places, percentile, by_size, smooth):
    """Return scores, levels and children of sets, and the order they came in."""
    n_units = len(places)
    rank = abs if by_size else (lambda value: value)
    gains = [score(frozenset([u])) for u in range(n_units)]
    nodes = {frozenset([u]): (gains[u], 0, []) for u in range(n_units)}
    selected, parts = set(), []
    while len(selected) < n_units:
        k = percentile - 15 if len(selected) > n_units / 3 else percentile
        rest = [u for u in range(n_units) if u not in selected]
        strengths = [rank(gains[u]) for u in rest]
        least = min(np.percentile(strengths, max(k, 0)), max(strengths))
        selected |= {u for u in rest if rank(gains[u]) >= least}
        if smooth and parts:
            add = set()
            for u in range(n_units):
                near = neighbours(u, places, False)
                if u not in selected and sum(n in selected for n in near) >= 3:
                    add.add(u)
            selected |= add
        old, parts = parts, components(selected, places)
        for part in parts:
            if part not in nodes:
                joined = [o for o in old if o <= part]
                loose = [u for u in part if not any(u in o for o in joined)]
                children = [*joined, *(frozenset([u]) for u in loose)]
                level = 1 + max(nodes[c][1] for c in children)
                nodes[part] = (score(part), level, children)
        found = {}
        for part in parts:
            touched = {n for u in part for n in neighbours(u, places, False)}
            for u in touched - selected:
                found.setdefault(u, []).append(score(part | {u}) - nodes[part][0])
        for u, each in found.items():
            gains[u] = max(each, key=rank)
    while len(parts) > 1:
        pairs = [(a, b) for i, a in enumerate(parts) for b in parts[i + 1 :]]
        joint = [score(a | b) - max(nodes[a][0], nodes[b][0]) for a, b in pairs]
        a, b = pairs[int(np.argmax(joint))]
        nodes[a | b] = (score(a | b), 1 + max(nodes[a][1], nodes[b][1]), [a, b])
        parts = [part for part in parts if part not in (a, b)] + [a | b]
    return nodes
