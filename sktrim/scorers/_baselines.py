"""Baselines as rows of coefficients, and checks of counts."""

from typing import Any

import numpy as np
import torch


def baseline_rows(
    baseline: Any, model, background: torch.Tensor | None
) -> torch.Tensor:
    """Resolve a baseline to rows of coefficients (n_rows, n_coefficients [+ 1])."""
    # `baseline` is "zero", "mean", "rows" (the background itself) or array-like
    if not isinstance(baseline, str):
        array = np.atleast_2d(np.asarray(baseline)).copy()
        if array.dtype.kind not in "fiu":
            raise ValueError(
                f"baseline={baseline!r}; expected 'zero', 'mean' or rows of "
                "coefficients, numbers."
            )
        rows = torch.as_tensor(array).to(model.s)
        width = model.s.shape[1] - model.component
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(
                f"baseline has shape {np.shape(baseline)}; expected ({width},) or "
                f"(n_rows, {width}): rows of coefficients."
            )
        if not torch.isfinite(rows).all():
            raise ValueError("baseline holds NaN or infinity; expected finite values.")
        return model.extend(rows)
    if baseline == "zero":
        return model.zero_baseline()
    if baseline not in ("mean", "rows"):
        raise ValueError(
            f"baseline={baseline!r}; expected 'zero', 'mean' or rows of coefficients."
        )
    if background is None:
        raise ValueError(
            "This scorer needs background rows: pass background= to "
            "transform_importance, or use TransformImportance, which draws them from "
            "fit's X."
        )
    rows = background.mean(0, keepdim=True) if baseline == "mean" else background
    return model.extend(rows)


def check_positive(value: Any, name: str) -> None:
    """Raise unless a count is an integer of at least 1."""
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r}; expected an integer of at least 1.")
