"""Whether the parts that a decomposition is given fit its inputs."""

from __future__ import annotations

from typing import Any

import torch


def check_share(share: Any, part: torch.Tensor, partition: bool) -> None:
    """Raise ValueError unless a share fits the masks."""
    if share is None:
        return
    if tuple(share.shape) not in ((len(part),), tuple(part.shape[:2])):
        raise ValueError(
            f"share has shape {tuple(share.shape)}; expected one number for each mask, "
            f"({len(part)},), or for each mask and row, {tuple(part.shape[:2])}."
        )
    most = share.sum(0) if partition else share
    if bool((share < 0).any()) or bool((most > 1 + 1e-6).any()):
        raise ValueError(
            "share must lie between 0 and 1, and in a partition its sum over masks too."
        )


def check_parts(inputs: tuple, parts: tuple) -> tuple[list[Any], bool]:
    """Return the parts with an axis of masks, and whether there was none."""
    if len(parts) != len(inputs):
        raise ValueError(
            f"rel has {len(parts)} parts for {len(inputs)} inputs; give one per input, "
            "None for an input that is not decomposed."
        )
    if all(part is None for part in parts):
        raise ValueError("rel is None for every input; one must be decomposed.")
    checked, singles = [], set()
    for value, part in zip(inputs, parts, strict=True):
        if part is not None:
            _check_part(value, part)
            singles.add(part.ndim == value.ndim)
            part = part[None] if part.ndim == value.ndim else part
        checked.append(part)
    masks = {part.shape[0] for part in checked if part is not None}
    if len(singles) != 1 or len(masks) != 1:
        raise ValueError(f"The parts of rel have different numbers of masks: {masks}.")
    return checked, singles.pop()


def _check_part(value: torch.Tensor, part: torch.Tensor) -> None:
    if tuple(part.shape[-value.ndim :]) != tuple(value.shape) or part.ndim > (
        value.ndim + 1
    ):
        raise ValueError(
            f"rel has shape {tuple(part.shape)}; expected that of x, "
            f"{tuple(value.shape)}, or (K, *x.shape) for K masks."
        )
    if part.dtype != value.dtype and value.is_floating_point():
        raise ValueError(f"rel is {part.dtype} but x is {value.dtype}; cast one.")
    if part.device != value.device:
        raise ValueError(f"rel is on {part.device} but x is on {value.device}.")
