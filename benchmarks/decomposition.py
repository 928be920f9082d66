"""Contextual decomposition of 51 frequencies at once, and one mask at a time."""

from functools import partial

import numpy as np
import torch
from torch import nn

from sktrim import (
    FourierTransformer,
    contextual_decomposition,
    inverse_module,
    transform_importance,
)
from sktrim.scorers import ContextualDecomposition

from ._tables import Table, alternating_seconds, median_seconds

N_SAMPLES, LENGTH, N_HIDDEN, N_OUTPUTS = 1000, 100, 100, 2
# enough to time acd sample by sample
FEW_SAMPLES = 10


def _problem():
    """Make the network, the signals and the fitted transformer."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(LENGTH, N_HIDDEN), nn.ReLU(), nn.Linear(N_HIDDEN, N_OUTPUTS)
    ).eval()
    X = np.random.default_rng(0).standard_normal((N_SAMPLES, LENGTH), np.float32)
    transformer = FourierTransformer().fit(X)
    return model, X, transformer


def _decompose_mask_by_mask(model, x, masks, part, bias):
    """Decompose with our own rules, one call for each mask."""
    with torch.no_grad():
        scores = [
            contextual_decomposition(model, x, part(mask), bias=bias)[0]
            for mask in masks
        ]
    return torch.stack(scores, dim=1)


def _acd_mask_by_mask(model, x, masks, part):
    """Decompose with the package acd, one call for each mask."""
    from acd import cd

    # acd wants images, and then flattens them again
    images = x.reshape(len(x), 1, 1, -1)
    with torch.no_grad():
        scores = [
            cd(
                images,
                model,
                device="cpu",
                transform=lambda _, mask=mask: part(mask).reshape(images.shape),
            )[0]
            for mask in masks
        ]
    return torch.stack(scores, dim=1)


def measure(bias="proportional"):
    """Seconds from the coefficients, or from X, to all 51 x 1000 scores."""
    model, X, transformer = _problem()
    x = torch.from_numpy(X)
    s = torch.from_numpy(transformer.transform(X))
    masks = torch.from_numpy(transformer.feature_groups().toarray()).float()
    inverse = inverse_module(transformer)
    scorer = ContextualDecomposition(bias=bias)

    def part(mask, rows=slice(None)):
        return inverse.linear(mask * s[rows])

    def ours():
        return transform_importance(
            model, X, transformer=transformer, scorer=scorer, target=0, output="logit"
        ).values

    def loop():
        return _decompose_mask_by_mask(model, x, masks, part, bias)[..., 0].numpy()

    def acd():
        return _acd_mask_by_mask(model, x, masks, part)[..., 0].numpy()

    def acd_sample_by_sample():
        for i in range(FEW_SAMPLES):
            row = slice(i, i + 1)
            _acd_mask_by_mask(model, x[row], masks, partial(part, rows=row))

    seconds, loop_seconds, acd_seconds = alternating_seconds([ours, loop, acd])
    single = median_seconds(acd_sample_by_sample, repeats=3) * N_SAMPLES / FEW_SAMPLES
    values = ours()
    rows = [
        ["sktrim, all masks at once", seconds, 1.0, 0.0],
        [
            "sktrim, mask by mask",
            loop_seconds,
            loop_seconds / seconds,
            float(np.abs(values - loop()).max()),
        ],
        [
            "acd, mask by mask",
            acd_seconds,
            acd_seconds / seconds,
            float(np.abs(values - acd()).max()),
        ],
        ["acd, mask by mask, sample by sample *", single, single / seconds, None],
    ]
    return Table(
        f"cd(bias={bias!r}), MLP {LENGTH}-{N_HIDDEN}-{N_OUTPUTS}, {len(masks)} "
        f"frequencies x {N_SAMPLES} samples, one thread",
        ["method", "seconds", "times ours", "largest difference"],
        rows,
        [
            "Ours goes from X to Explanation, the loops from coefficients to scores.",
            f"* timed on {FEW_SAMPLES} samples and scaled up.",
            "To reach: acd at least 8 times ours (stretch 12), by sample 500 times "
            "(stretch 1000).",
        ],
    )
