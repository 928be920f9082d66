"""What is asked of maps before any work."""

from numbers import Real
from typing import Any

import numpy as np


def check_maps(maps: Any, name: str = "maps") -> np.ndarray:
    """Return maps as (n_maps, n_pixels, n_pixels), square, finite and of floats."""
    fields = np.asarray(maps)
    if fields.ndim == 4 and fields.shape[1] == 1:
        fields = fields[:, 0]
    if fields.ndim != 3 or not fields.size:
        raise ValueError(
            f"{name} has shape {np.shape(maps)}; expected (n_maps, n_pixels, n_pixels) "
            "or (n_maps, 1, n_pixels, n_pixels)."
        )
    if fields.shape[1] != fields.shape[2]:
        raise ValueError(
            f"{name} has maps of {fields.shape[1]} x {fields.shape[2]} pixels; "
            "expected square ones. Cut them."
        )
    if fields.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {fields.dtype}; expected real numbers.")
    fields = fields if fields.dtype.kind == "f" else fields.astype(float)
    _check_finite(fields, name)
    return fields


def _check_finite(fields: np.ndarray, name: str) -> None:
    # a sum shows what is not finite without a mask of the size of the maps
    wrong = [at for at, field in enumerate(fields) if not np.isfinite(field.sum())]
    wrong = [at for at in wrong if not np.isfinite(fields[at]).all()]
    if wrong:
        count = sum(int((~np.isfinite(fields[at])).sum()) for at in wrong)
        raise ValueError(
            f"{name} holds {count} pixels that are NaN or infinite, in {len(wrong)} of "
            f"{len(fields)} maps, first in map {wrong[0]}. Fill areas that a survey "
            "masks, or cut maps from outside of them."
        )


def check_pixel(pixel_arcmin: Any) -> float:
    """Return the side of a pixel in arcmin."""
    number = isinstance(pixel_arcmin, Real)
    if not number or not 0.01 <= float(pixel_arcmin) <= 120:
        raise ValueError(
            f"pixel_arcmin={pixel_arcmin!r}; expected the side of a pixel in arcmin, "
            "from 0.01 to 120."
        )
    return float(pixel_arcmin)
