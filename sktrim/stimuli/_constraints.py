"""Balls, total variation, blur and jitter: what keeps an image from being noise."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

NORMS = (1, 2, float("inf"))


def project(x: Tensor, norm: float, radius: float) -> Tensor:
    """Return the nearest rows whose p-norm is at most a radius, p of 1, 2 or inf."""
    rows = x.flatten(1)
    if norm == 2:
        size = rows.norm(dim=1, keepdim=True).clamp(min=radius)
        return (rows * (radius / size)).view_as(x)
    if norm == 1:
        return _onto_l1(rows, radius).view_as(x)
    return x.clamp(-radius, radius)


def steepest(slope: Tensor, norm: float) -> Tensor:
    """Return the direction of length 1 in which a p-norm goes up the most."""
    rows = slope.flatten(1)
    if norm == 2:
        out = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-30)
    elif norm == 1:
        at = rows.abs().argmax(1, keepdim=True)
        out = torch.zeros_like(rows).scatter(1, at, rows.gather(1, at).sign())
    else:
        out = rows.sign()
    return out.view_as(slope)


def _onto_l1(rows: Tensor, radius: float) -> Tensor:
    """Shrink every row by what brings its sum of sizes to the radius."""
    sizes = rows.abs()
    ordered = sizes.sort(dim=1, descending=True).values
    excess = ordered.cumsum(1) - radius
    counts = torch.arange(1, rows.shape[1] + 1, device=rows.device)
    kept = (ordered * counts > excess).sum(1, keepdim=True)
    by = excess.gather(1, kept - 1) / kept
    return rows.sign() * (sizes - by.clamp(min=0)).clamp(min=0)


def total_variation(x: Tensor, form: str, axes: tuple[int, ...]) -> Tensor:
    """Return the total variation of every signal (n,), along its spatial axes."""
    steps = [_step(x, axis) for axis in axes]
    if form == "anisotropic":
        return torch.stack([step.abs().flatten(1).sum(1) for step in steps]).sum(0)
    squares = torch.stack([step.square() for step in steps]).sum(0).flatten(1)
    return _root(squares).sum(1) if form == "isotropic" else _root(squares.sum(1))


def _step(x: Tensor, axis: int) -> Tensor:
    """Return differences to the next value; 0 at the end."""
    last = x.narrow(axis, x.shape[axis] - 1, 1)
    return torch.cat([x, last], axis).diff(dim=axis)


def _root(squares: Tensor) -> Tensor:
    """Return the square root, whose slope at 0 is 0."""
    positive = squares > 0
    safe = torch.where(positive, squares, torch.ones_like(squares))
    return torch.where(positive, safe.sqrt(), torch.zeros_like(squares))


def blurred(x: Tensor, sigma: float, axes: tuple[int, ...]) -> Tensor:
    """Convolve with a Gaussian, cut at 4 sigma, the edges going on."""
    reach = int(4 * sigma + 0.5)
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    for axis in axes:
        rows = x.movedim(axis, -1)
        flat = F.pad(rows.reshape(-1, 1, rows.shape[-1]), (reach, reach), "replicate")
        x = F.conv1d(flat, kernel[None, None]).reshape(rows.shape).movedim(-1, axis)
    return x


def jittered(x: Tensor, shifts: Any, axes: tuple[int, ...]) -> Tensor:
    """Roll signals along their axes."""
    return x.roll(tuple(int(shift) for shift in shifts), axes)


def consensus(gradients: list[Tensor], form: str) -> Tensor:
    """Return the direction in which all networks respond more."""
    if len(gradients) == 1:
        return gradients[0]
    stacked = torch.stack(gradients)
    sizes = stacked.abs()
    if form == "min":
        agree = (stacked > 0).all(0) | (stacked < 0).all(0)
        return torch.where(agree, sizes.amin(0) * stacked[0].sign(), 0.0)
    largest = sizes.amax(0).clamp(min=torch.finfo(sizes.dtype).tiny)
    shares = (sizes / largest).clamp(min=1e-6)
    least = largest * shares.pow(-8).mean(0).pow(-1 / 8)
    return least * stacked.sign().mean(0)
