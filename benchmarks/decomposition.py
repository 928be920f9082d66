"""Contextual decomposition of 51 frequencies at once, and one mask at a time."""

from functools import partial

import numpy as np
import torch
from torch import nn

from sktrim import (
    FourierTransformer,
    TransformImportance,
    contextual_decomposition,
    inverse_module,
)
from sktrim.scorers import ContextualDecomposition

from ._problems import scorer_alone
from ._tables import Table, alternating_seconds, device_name, median_seconds

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


def _acd_mask_by_mask(model, x, masks, part, device):
    """Decompose with the package acd, one call for each mask."""
    from acd import cd

    # acd wants images, and then flattens them again
    images = x.reshape(len(x), 1, 1, -1)
    with torch.no_grad():
        scores = [
            cd(
                images,
                model,
                device=device,
                transform=lambda _, mask=mask: part(mask).reshape(images.shape),
            )[0]
            for mask in masks
        ]
    return torch.stack(scores, dim=1)


BIASES = ("context", "channel", "proportional")


def _table(timed, differences, n_masks, device):
    """Lay the seconds of every method out beside those of each rule for a bias."""
    rows = [
        [
            method,
            took,
            *(took / timed[f"cd, {b!r}"] for b in BIASES),
            differences.get(method),
        ]
        for method, took in timed.items()
    ]
    return Table(
        f"cd, MLP {LENGTH}-{N_HIDDEN}-{N_OUTPUTS}, {n_masks} "
        f"frequencies x {N_SAMPLES} samples, {device_name(device)}",
        ["method", "seconds", *(f"times {b!r}" for b in BIASES), "largest difference"],
        rows,
        [
            "cd, as the loops, goes from coefficients to scores, by each rule for a "
            "bias ('context' is the default);",
            "explain goes from X to an Explanation. The loops share in proportion.",
            f"* timed on {FEW_SAMPLES} samples and scaled up.",
            "To reach: acd at least 8 times ours (stretch 12), by sample 500 times "
            "(stretch 1000).",
        ],
    )


def measure(device="cpu"):
    """Seconds from the coefficients, or from X, to all 51 x 1000 scores."""
    model, X, transformer = _problem()
    model = model.to(device)
    x = torch.from_numpy(X).to(device)
    s = torch.from_numpy(transformer.transform(X)).to(device)
    masks = torch.from_numpy(transformer.feature_groups().toarray()).to(s)
    inverse = inverse_module(transformer).to(s)

    def part(mask, rows=slice(None)):
        return inverse.linear(mask * s[rows])

    def explainer(bias):
        scorer = ContextualDecomposition(bias)
        trim = TransformImportance(model, transformer, scorer, target=0, output="logit")
        trim.fit(X)
        return lambda: trim.transform(X), scorer_alone(trim, X, N_OUTPUTS)

    def loop():
        scores = _decompose_mask_by_mask(model, x, masks, part, "proportional")
        return scores[..., 0].cpu().numpy()

    def acd():
        return _acd_mask_by_mask(model, x, masks, part, device)[..., 0].cpu().numpy()

    def acd_sample_by_sample():
        for i in range(FEW_SAMPLES):
            row = slice(i, i + 1)
            _acd_mask_by_mask(model, x[row], masks, partial(part, rows=row), device)

    methods = {}
    for bias in BIASES:
        explain, score = explainer(bias)
        methods |= {f"cd, {bias!r}": score, f"explain, {bias!r}": explain}
    methods |= {"sktrim, mask by mask": loop, "acd, mask by mask": acd}
    seconds = alternating_seconds(methods.values(), device=device)
    timed = dict(zip(methods, seconds, strict=True))
    single = median_seconds(acd_sample_by_sample, 3, device) * N_SAMPLES / FEW_SAMPLES
    values = methods["explain, 'proportional'"]()
    timed["acd, mask by mask, sample by sample *"] = single
    differences = {
        "sktrim, mask by mask": float(np.abs(values - loop()).max()),
        "acd, mask by mask": float(np.abs(values - acd()).max()),
    }
    return _table(timed, differences, len(masks), device)
