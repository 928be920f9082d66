"""What replaces a group: zeros, background rows or an array; and checks of counts."""

from typing import Any

import numpy as np
import torch

from sktrim.scorers._base import Scorer


def baseline_rows(
    baseline: Any,
    model,
    background: torch.Tensor | None,
    n_rows: int | None = None,
    *,
    last: bool = False,
) -> torch.Tensor:
    """Resolve a baseline to rows of coefficients (n_rows, n_coefficients [+ 1])."""
    # `baseline` is "zero", "mean", "rows" (of the background, all or some) or
    # array-like
    if n_rows is not None:
        check_positive(n_rows, "n_rows")
    if not isinstance(baseline, str):
        array = np.atleast_2d(np.asarray(baseline)).copy()
        if array.dtype.kind not in "fiu":
            raise ValueError(
                f"baseline={baseline!r}; expected 'zero', 'mean', 'rows' or rows of "
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
            f"baseline={baseline!r}; expected 'zero', 'mean', 'rows' or rows of "
            "coefficients."
        )
    if background is None:
        raise ValueError(
            "This scorer needs background rows: pass background= to "
            "transform_importance, or use TransformImportance, which draws them from "
            "fit's X."
        )
    if baseline == "mean":
        return model.extend(background.mean(0, keepdim=True))
    n_rows = len(background) if n_rows is None else n_rows
    return model.extend(background[-n_rows:] if last else background[:n_rows])


class FromBaseline(Scorer):
    """Base of scorers that compare the coefficients with a baseline."""

    baseline: Any = "zero"
    n_rows: int | None = None

    @property
    def needs_background(self) -> bool:
        """Whether `attribute` takes background rows."""
        return isinstance(self.baseline, str) and self.baseline in ("mean", "rows")

    def baseline_rows(self, model, background) -> torch.Tensor:
        """Return rows to compare with, shape (n_rows, n_coefficients [+ 1])."""
        return baseline_rows(self.baseline, model, background, self.n_rows)


def check_positive(value: Any, name: str) -> None:
    """Raise unless a count is an integer of at least 1."""
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r}; expected an integer of at least 1.")
