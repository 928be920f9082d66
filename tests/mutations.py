"""Damaged and hostile copies of a saved Explanation, and what may come of them.

``python -m tests.mutations 10000`` tries that many in this process, which must live.
"""

import io
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sktrim.explanation import Explanation, ExplanationFileError
from sktrim.explanation._files import write_arrays
from tests.explanations import assert_same, make


def originals():
    """Explanations of every kind: dense and sparse, one target and several."""
    sparse = make(seed=1)
    sparse.coefficients = sp.csr_array(sparse.coefficients)
    sparse.signals = sp.csr_array(sparse.signals.reshape(5, 6))
    return [make(), make(n_targets=3), sparse, make(n=0), make(n=1, n_groups=1)]


def _flip_bytes(rng, whole):
    damaged = bytearray(whole)
    for at in rng.integers(len(damaged), size=rng.integers(1, 4)):
        damaged[at] ^= int(rng.integers(1, 256))
    return bytes(damaged)


def _cut(rng, whole):
    return whole[: rng.integers(len(whole))]


def _drop_or_repeat(rng, whole):
    start, stop = np.sort(rng.integers(len(whole), size=2))
    piece = whole[start:stop]
    return whole[:start] + piece * int(rng.choice([0, 2])) + whole[stop:]


def _members(whole):
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _swap_members(rng, whole):
    members = _members(whole)
    one, other = rng.choice(list(members), 2, replace=False)
    members[one], members[other] = members[other], members[one]
    return _zipped(members)


def _leave_out_a_member(rng, whole):
    members = _members(whole)
    del members[rng.choice(list(members))]
    return _zipped(members)


def _edit_a_member(rng, whole):
    members = _members(whole)
    name = rng.choice(list(members))
    edit = (_flip_bytes, _cut, _drop_or_repeat)[rng.integers(3)]
    members[name] = edit(rng, members[name])
    return _zipped(members)


DAMAGES = (
    _flip_bytes,
    _cut,
    _drop_or_repeat,
    _swap_members,
    _leave_out_a_member,
    _edit_a_member,
)
EXTREMES = (-1, 0, 1, 7, 10**6, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))


def _forged_array(rng, arrays, name):
    """An array that another program might have written in its place."""
    array = arrays[name]
    kind = rng.integers(6)
    if kind == 0 and array.dtype.kind in "iu":
        edited = array.astype(np.int64).reshape(-1).copy()
        edited[rng.integers(len(edited) or 1) :][:1] = rng.choice(EXTREMES)
        return edited.reshape(array.shape)
    if kind == 1:
        return array[1:] if array.ndim else array[None]
    if kind == 2:
        return np.concatenate([array, array]) if array.ndim else np.array("{}")
    if kind == 3:
        return np.array(rng.permutation(array.reshape(-1)).reshape(array.shape[::-1]))
    if kind == 4:
        dtypes = ("f4", "c16", "i1", "u8", "f2", "U3", "M8[s]", "b1", ">f8", "S2")
        return np.zeros(array.shape, rng.choice(dtypes))
    return arrays[rng.choice(list(arrays))]


def forge(rng, path):
    """Write arrays that do not go together, with right checksums, over a file."""
    with np.load(path) as file:
        arrays = dict(file)
    for _ in range(rng.integers(1, 3)):
        name = rng.choice(list(arrays))
        arrays[name] = _forged_array(rng, arrays, name)
    write_arrays(path, arrays)


def use(explanation, folder):
    """Call what would read out of bounds if the arrays did not go together."""
    n = len(explanation)
    repr(explanation), explanation._repr_html_() if n else None
    matrices = (explanation.coefficients, explanation.signals)
    for matrix in matrices:
        if sp.issparse(matrix) and np.prod(matrix.shape, dtype=float) < 1e6:
            matrix.toarray(), (matrix @ np.ones((matrix.shape[1], 2)))
    groups = explanation.feature_groups
    if groups is not None and groups.n_coefficients < 10**6:
        groups.toarray(), groups.aggregate(np.ones(groups.n_coefficients))
    joined = explanation[: n // 2] + explanation[n // 2 :]
    if explanation.component_function is not None:
        explanation.component(np.arange(n), 0)
    joined.save(folder / "again", components=joined.component_function is not None)
    again = Explanation.load(folder / "again")
    # a sparse matrix may be wider than any dense one
    if all(np.prod(np.shape(matrix), dtype=float) < 1e6 for matrix in matrices):
        assert_same(again, explanation, components=False)


def try_one(rng, explanation, folder) -> str:
    """Damage or forge one file; return "refused" or "read"."""
    path = folder / "file"
    explanation.save(path, components=bool(rng.integers(2)))
    kept = Explanation.load(path)
    forged = rng.random() < 0.4
    if forged:
        forge(rng, path)
    else:
        damage = DAMAGES[rng.integers(len(DAMAGES))]
        path.write_bytes(damage(rng, path.read_bytes()))
    try:
        loaded = Explanation.load(path)
    except ExplanationFileError:
        return "refused"
    if forged:
        use(loaded, folder)
    else:
        assert_same(loaded, kept, components=kept.component_function is not None)
    return "read"


def try_many(n_mutations, seed=0) -> dict[str, int]:
    """Return how many were refused and how many read."""
    counts = {"refused": 0, "read": 0}
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        for count in range(n_mutations):
            explanation = originals()[count % 5]
            counts[try_one(rng, explanation, Path(folder))] += 1
    return counts


if __name__ == "__main__":
    print(try_many(int(sys.argv[1])))
