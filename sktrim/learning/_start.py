"""Where a learned transform starts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pywt
import torch
from torch import Tensor, nn

from sktrim.learning.bases import (
    Autoencoder,
    Basis,
    Convolutional,
    Dictionary,
    Orthogonal,
    Wavelet,
)
from sktrim.learning.bases._autoencoder import perceptron
from sktrim.transforms._wavelet import check_wavelet

State = dict[str, Tensor] | None
_FEW_ATOMS = 8


def starting_basis(learned: Any, rows: np.ndarray, state: State = None) -> Basis:
    """Make a basis for rows (n, *grid_shape), or one that was saved."""
    basis = BASES[learned.base](learned, rows, state)
    if state is not None:
        basis.load_state_dict(state)
    return basis


def _n_atoms(learned: Any, rows: np.ndarray) -> int:
    return learned.n_components or rows[0].size


def _dictionary(learned: Any, rows: np.ndarray, state: State) -> Basis:
    grid_shape = rows.shape[1:]
    if state is not None:
        atoms = state["atoms"].numpy()
        return Dictionary(grid_shape, atoms, learned.sparsity)
    rng = np.random.default_rng(_seed())
    count = _n_atoms(learned, rows)
    few = count > len(rows)
    atoms = rows[rng.choice(len(rows), count, replace=few)].reshape(count, -1)
    spread = 0.01 * np.abs(atoms).max() + 1e-6
    atoms = atoms + spread * rng.standard_normal(atoms.shape)
    return Dictionary(grid_shape, atoms.astype(rows.dtype), learned.sparsity)


def _orthogonal(learned: Any, rows: np.ndarray, state: State) -> Basis:
    if state is not None:
        return Orthogonal(rows.shape[1:], state["atoms"].numpy())
    n_values, n_atoms = rows[0].size, _n_atoms(learned, rows)
    if n_atoms > n_values:
        raise ValueError(
            f"n_components={n_atoms} orthonormal atoms of {n_values} values; expected "
            f'at most {n_values}, or base="dictionary".'
        )
    atoms = np.random.default_rng(_seed()).standard_normal((n_atoms, n_values))
    return Orthogonal(rows.shape[1:], atoms.astype(rows.dtype))


def _convolutional(learned: Any, rows: np.ndarray, state: State) -> Basis:
    grid_shape = rows.shape[1:]
    if state is not None:
        atoms = state["atoms"].numpy()
        return Convolutional(grid_shape, atoms, learned.sparsity)
    shape = learned.atom_shape
    shape = (shape,) * len(grid_shape) if np.ndim(shape) == 0 else tuple(shape)
    if len(shape) != len(grid_shape):
        raise ValueError(
            f"atom_shape={learned.atom_shape!r} for signals of {len(grid_shape)} axes; "
            "expected an integer, or one for each axis."
        )
    shape = tuple(min(k, n) for k, n in zip(shape, grid_shape, strict=True))
    count = learned.n_components or _FEW_ATOMS
    rng = np.random.default_rng(_seed())
    atoms = np.empty((count, *shape), rows.dtype)
    for atom in atoms:
        corner = [
            rng.integers(n - k + 1) for k, n in zip(shape, grid_shape, strict=True)
        ]
        patch = rows[rng.integers(len(rows))][
            tuple(slice(a, a + k) for a, k in zip(corner, shape, strict=True))
        ]
        noise = rng.standard_normal(shape)
        atom[:] = patch + (0.1 * np.abs(patch).max() + 1e-6) * noise
    return Convolutional(grid_shape, atoms, learned.sparsity)


def _wavelet(learned: Any, rows: np.ndarray, state: State) -> Basis:
    grid_shape = rows.shape[1:]
    if state is not None:
        level = learned.level
        low = state["low_pass"].numpy()
        level = _highest(grid_shape, len(low)) if level is None else level
        return Wavelet(grid_shape, low, level)
    start = check_wavelet(learned.wavelet)
    if not np.allclose(start.dec_lo, start.rec_lo[::-1]):
        raise ValueError(
            f"wavelet={learned.wavelet!r} is not orthogonal; expected one that is, "
            "such as 'db5', 'sym5' or 'coif2'."
        )
    level = learned.level
    if level is None:
        level = _highest(grid_shape, start.dec_len)
    elif any(n % 2**level for n in grid_shape):
        raise ValueError(
            f"level={level} halves signals of shape {grid_shape} {level} times; "
            f"expected lengths divisible by {2**level}."
        )
    low = np.array(start.dec_lo)
    low = low + learned.noise * np.random.default_rng(_seed()).standard_normal(len(low))
    basis = Wavelet(grid_shape, low, level)
    with torch.no_grad():
        basis.project()
    return basis.to(torch.as_tensor(rows[:0]).dtype)


def _highest(grid_shape: tuple[int, ...], n_taps: int) -> int:
    """Return the most levels that lengths allow and that are of use."""
    level = min(pywt.dwt_max_level(n, n_taps) for n in grid_shape)
    while any(n % 2**level for n in grid_shape):
        level -= 1
    return level


def _autoencoder(learned: Any, rows: np.ndarray, state: State) -> Basis:
    n_values, n_units = rows[0].size, _n_atoms(learned, rows)
    n_out = 2 * n_units if learned.variational else n_units
    dtype = torch.as_tensor(rows[:0]).dtype
    width = learned.n_hidden
    encoder = (
        perceptron(n_values, width, n_out, dtype)
        if learned.encoder is None
        else _made("encoder", learned.encoder(n_values, n_out)).to(dtype)
    )
    decoder = (
        perceptron(n_units, width, n_values, dtype)
        if learned.decoder is None
        else _made("decoder", learned.decoder(n_units, n_values)).to(dtype)
    )
    beta = learned.beta if learned.variational else None
    return Autoencoder(rows.shape[1:], encoder, decoder, n_units, beta)


def _made(name: str, module: Any) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"{name} made a {type(module).__name__}; expected a torch.nn.Module."
        )
    return module


def _seed() -> int:
    """Draw a seed from torch's generator, which is seeded around the fit."""
    return int(torch.randint(2**31 - 1, ()))


BASES: dict[str, Callable[[Any, np.ndarray, State], Basis]] = {
    "autoencoder": _autoencoder,
    "convolutional": _convolutional,
    "dictionary": _dictionary,
    "orthogonal": _orthogonal,
    "wavelet": _wavelet,
}
