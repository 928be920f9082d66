"""Scorers timed beside captum, zennit and shap on the same work."""

import warnings

import numpy as np
import torch
from torch import nn

from sktrim import FourierTransformer, TrimModel, inverse_module, transform_importance
from sktrim.scorers import (
    DeepLift,
    IntegratedGradients,
    KernelShap,
    LRPAlphaBeta,
    LRPEpsilon,
    LRPGamma,
    LRPZPlus,
    Shapley,
)

from ._tables import Table, alternating_seconds, median_seconds

N_SAMPLES, SIDE, N_STEPS, N_BANDS = 64, 28, 50, 10
# enough to time shap image by image
FEW_SAMPLES = 2


def problem():
    """Make a network that every peer is right about, images and Fourier bands."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    X = np.random.default_rng(0).random((N_SAMPLES, 1, SIDE, SIDE), np.float32)
    transformer = FourierTransformer().fit(X)
    return model.eval(), X, transformer


class _Work:
    """The same images for every library, in Fourier bands or pixels."""

    def __init__(self):
        self.model, self.X, self.transformer = problem()
        self.groups = self.transformer.feature_groups(by="band", n_bands=N_BANDS)
        self.masks = torch.from_numpy(self.groups.toarray()).float()
        self.composed = TrimModel(self.model, inverse_module(self.transformer))
        self.s = torch.from_numpy(self.transformer.transform(self.X))

    def in_bands(self, scorer):
        return transform_importance(
            self.model,
            self.X,
            transformer=self.transformer,
            groups=self.groups,
            scorer=scorer,
            target=0,
            output="logit",
        ).values

    def on_pixels(self, scorer):
        return transform_importance(
            self.model,
            self.X,
            groups="coefficients",
            scorer=scorer,
            target=0,
            output="logit",
        ).values

    def captum(self, peer, **options):
        found = peer(self.composed).attribute(
            self.s.clone().requires_grad_(), target=0, **options
        )
        return (found.detach() @ self.masks.T).numpy()

    def zennit(self, rule):
        from tests.zennit_rules import relevance

        x = torch.from_numpy(self.X)
        return relevance(self.model, x, rule, None, 0).flatten(1).numpy()

    def shap_deep(self):
        from shap import DeepExplainer

        x = torch.from_numpy(self.X)
        explainer = DeepExplainer(self.model, torch.zeros_like(x[:1]))
        found = explainer.shap_values(x, check_additivity=False)
        return found[..., 0].reshape(N_SAMPLES, -1)

    def _presence(self, row):
        """Return the network as a function of which bands of one image are there."""

        def function(there):
            there = torch.as_tensor(np.asarray(there), dtype=torch.float32)
            with torch.no_grad():
                return self.composed((there @ self.masks) * self.s[row])[:, 0].numpy()

        return function

    def shap_kernel(self):
        from shap import KernelExplainer

        none, every = np.zeros((1, N_BANDS)), np.ones((1, N_BANDS))
        return np.concatenate(
            [
                KernelExplainer(self._presence(row), none).shap_values(
                    every, l1_reg=False, silent=True
                )
                for row in range(FEW_SAMPLES)
            ]
        )

    def shap_exact(self):
        from shap.explainers import ExactExplainer
        from shap.maskers import Independent

        none, every = np.zeros((1, N_BANDS)), np.ones((1, N_BANDS))
        return np.concatenate(
            [
                ExactExplainer(self._presence(row), Independent(none))(every).values
                for row in range(FEW_SAMPLES)
            ]
        )


def _whole(work):
    """Name, ours and the peer's function, both for all the images."""
    from captum import attr

    from tests.zennit_rules import rules

    tiny = {"stabilizer": 1e-12}
    zennit = {
        "epsilon": (LRPEpsilon(0.01), rules.Epsilon(0.01)),
        "alpha-beta": (LRPAlphaBeta(2, 1), rules.AlphaBeta(2, 1, **tiny)),
        "gamma": (LRPGamma(0.25), rules.Gamma(0.25, **tiny)),
        "z+": (LRPZPlus(), rules.ZPlus(**tiny)),
    }
    yield (
        f"integrated gradients, {N_STEPS} steps, bands",
        "captum, batches of 256",
        lambda: work.in_bands(IntegratedGradients(n_steps=N_STEPS)),
        lambda: work.captum(
            attr.IntegratedGradients,
            n_steps=N_STEPS,
            method="gausslegendre",
            internal_batch_size=256,
        ),
    )
    yield (
        "DeepLIFT, bands",
        "captum",
        lambda: work.in_bands(DeepLift()),
        lambda: work.captum(attr.DeepLift),
    )
    yield (
        "DeepLIFT, pixels",
        "shap Deep",
        lambda: work.on_pixels(DeepLift()),
        work.shap_deep,
    )
    yield (
        "guided backpropagation, bands",
        "captum",
        lambda: work.in_bands("guided_backprop"),
        lambda: work.captum(attr.GuidedBackprop),
    )
    for name, (scorer, rule) in zennit.items():
        yield (
            f"LRP {name}, pixels",
            "zennit 0.5.1",
            lambda scorer=scorer: work.on_pixels(scorer),
            lambda rule=rule: work.zennit(rule),
        )


def _row(name, peer, seconds, peer_seconds, values, peer_values):
    few = min(len(values), len(peer_values))
    difference = np.abs(values[:few] - peer_values[:few]).max()
    scale = np.abs(peer_values[:few]).max()
    return [
        name,
        peer,
        seconds,
        peer_seconds,
        peer_seconds / seconds,
        float(difference / scale),
    ]


def measure():
    """Seconds from X to the Explanation, and of the peer to the same scores."""
    work, rows = _Work(), []
    with warnings.catch_warnings():
        # captum and zennit speak of hooks and of gradients that are not leaves
        warnings.simplefilter("ignore")
        for name, peer, ours, theirs in _whole(work):
            seconds = alternating_seconds([ours, theirs])
            rows.append(_row(name, peer, *seconds, ours(), theirs()))
        for name, scorer, peer, theirs in (
            ("kernel SHAP", KernelShap(), "shap Kernel *", work.shap_kernel),
            ("exact Shapley", Shapley(), "shap Exact *", work.shap_exact),
        ):

            def ours(scorer=scorer):
                return work.in_bands(scorer)

            seconds = median_seconds(ours, repeats=3)
            scaled = median_seconds(theirs, repeats=3) * N_SAMPLES / FEW_SAMPLES
            found = _row(f"{name}, bands", peer, seconds, scaled, ours(), theirs())
            rows.append(found)
    return Table(
        f"{N_SAMPLES} images {SIDE} x {SIDE}, small CNN, {N_BANDS} Fourier bands or "
        "pixels, one output, one thread",
        [
            "scorer",
            "peer",
            "seconds",
            "peer's seconds",
            "peer over ours",
            "largest relative difference",
        ],
        rows,
        [
            "Ours goes from X to Explanation, the peers from coefficients to scores.",
            f"* timed on {FEW_SAMPLES} images and scaled up; they share no work.",
            "To reach: every peer at least as slow as ours, shap Exact 10 times.",
        ],
    )
