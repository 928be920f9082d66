"""Says where a method that promises completeness does not keep it, and why."""

import warnings
from typing import Any

import numpy as np
import torch

from sktrim.exceptions import (
    CancellationWarning,
    IncompleteError,
    QuadratureWarning,
    ReconstructionWarning,
)
from sktrim.explanation._arrays import LARGE_ERROR
from sktrim.groups._resolve import last_step
from sktrim.network._evaluation import evaluation_mode
from sktrim.scorers._baselines import FromBaseline

ON_INCOMPLETE = ("warn", "raise", "ignore")


def report_reconstruction(question, errors: np.ndarray) -> None:
    """Warn where most of the signals is in the residual, and that is not scored."""
    # `errors` are ||x - T^-1 T x|| / ||x|| of the samples
    if question.residual == "component" or errors.mean() <= LARGE_ERROR:
        return
    warnings.warn(
        f"{type(last_step(question.transformer)).__name__} leaves out most of the "
        f"signals: ||x - T^-1 T x|| / ||x|| is {errors.mean():.2f} on average, and the "
        "groups share only the rest. Give it more components, or score what it leaves "
        'out as one group more with residual="component".',
        ReconstructionWarning,
        stacklevel=2,
    )


def report_incomplete(
    question, x, s, target, error: np.ndarray, difference: np.ndarray
) -> None:
    """Warn or raise where a method that promises completeness is off."""
    # (n_samples, n_targets): `error` is base value plus scores less the explained
    # output, `difference` the explained output less the base value
    scorer, known = question.scorer, np.isfinite(error).all(axis=1)
    promised = getattr(scorer, "complete", False) and known.any()
    if not promised or question.on_incomplete == "ignore":
        return
    scale, worst = np.abs(difference[known]).max(), np.abs(error[known]).max()
    if worst <= getattr(scorer, "tolerance", 0.01) * scale or worst <= 1e-6:
        return
    row = int(np.where(known, np.abs(error).max(axis=1), -1).argmax())
    message = (
        f"{type(scorer).__name__}: base value plus scores misses the explained output "
        f"by up to {worst:.3g} ({100 * worst / max(scale, 1e-300):.1f} % of the "
        f"largest difference explained), most for sample {row}. "
        f"{_diagnosis(question, x, s, target, slice(row, row + 1))}"
    ).strip()
    if question.on_incomplete == "raise":
        raise IncompleteError(message)
    warnings.warn(message, QuadratureWarning, stacklevel=2)


# the sizes of scores of random signs are sqrt(n) times their sum; on residual networks
# and Transformers DeepLIFT reaches 1.1 times that and path integrals 4 times (39 where
# nothing but zeros is normalised at the baseline), a rule that explodes 70 to 10^40
_LARGEST = 30


def report_cancelling(
    question, values: np.ndarray, explained: np.ndarray, base: np.ndarray
) -> None:
    """Warn where the scores of a complete method dwarf the output."""
    # scores (n_samples, n_groups, n_targets), and (n_samples, n_targets) the explained
    # output and what the scores start from
    scorer = question.scorer
    if not getattr(scorer, "complete", False) or question.on_incomplete == "ignore":
        return
    scale = max(np.abs(explained).max(), np.abs(base).max(), 1e-6)
    sizes = np.abs(values).sum(axis=1).max(axis=1)
    if sizes.max() <= _LARGEST * values.shape[1] ** 0.5 * scale:
        return
    warnings.warn(
        f"{type(scorer).__name__}: the sizes of the scores add up to "
        f"{sizes.max() / scale:.3g} times the largest output, most for sample "
        f"{sizes.argmax()}, and nearly cancel, so that single scores say little. "
        "Likely causes: (a) the baseline is a point where the network divides by "
        'almost nothing (a normalisation of zeros): choose baseline="mean" or rows '
        "of data; (b) the explained output is nearly constant.",
        CancellationWarning,
        stacklevel=2,
    )


@torch.no_grad()
def check_baseline(scorer, model, extras: dict[str, Any], rows: slice) -> None:
    """Raise where a method starts from a baseline at which the network has no value."""
    # `extras` is what `attribute` takes besides, `rows` the samples that the model is
    # bound to
    if not isinstance(scorer, FromBaseline):
        return
    starts = scorer.baseline_rows(model, extras.get("background"))
    outputs = model(starts[:, None].expand(-1, *model.s.shape))
    bad = (~torch.isfinite(outputs)).any(-1).any(0)
    if not bad.any():
        return
    sample = rows.start + int(bad.nonzero()[0])
    named = scorer.baseline if isinstance(scorer.baseline, str) else "..."
    raise ValueError(
        f"{type(scorer).__name__} starts from baseline={named!r}, where the network's "
        f"output is NaN or infinite (first for sample {sample}), as x / x.norm() is at "
        "0. Choose another baseline, such as the mean of background rows "
        '(baseline="mean") or an array of coefficients, or a scorer without one, such '
        'as "cd" or "gradient".'
    )


def _diagnosis(question, x, s, target, rows: slice) -> str:
    """Ask the scorer why; the quadrature of a path is the reason otherwise."""
    diagnose = getattr(question.scorer, "diagnose", None)
    if diagnose is None:
        return (
            "More quadrature steps make it smaller, unless the network cuts a gradient "
            "(detach) or has a backward pass of its own."
        )
    with torch.enable_grad(), evaluation_mode(question.network.module):
        model = question.model(x[rows], s[rows])
        return diagnose(model, model.s, target[rows], **question.extras())
