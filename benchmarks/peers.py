"""Scorers timed beside captum, zennit and shap on the same work."""

import warnings

import numpy as np
import torch
from torch import nn

from sktrim import FourierTransformer, TransformImportance, TrimModel, inverse_module
from sktrim.scorers import (
    DeepLift,
    GuidedBackprop,
    IntegratedGradients,
    KernelShap,
    LRPAlphaBeta,
    LRPEpsilon,
    LRPGamma,
    LRPZPlus,
    Shapley,
)

from ._problems import scorer_alone
from ._tables import Table, alternating_seconds, device_name

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

    def ours(self, scorer, transformer, groups):
        """Give functions from X to scores, and from coefficients to scores."""
        trim = TransformImportance(
            self.model, transformer, scorer, groups=groups, target=0, output="logit"
        ).fit(self.X)
        extras = {"random_state": 0} if scorer.is_random else {}
        return lambda: trim.transform(self.X), scorer_alone(trim, self.X, 10, **extras)

    def in_bands(self, scorer):
        return self.ours(scorer, self.transformer, self.groups)

    def on_pixels(self, scorer):
        return self.ours(scorer, None, "coefficients")

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

    def _composed(self, row):
        """Return the network as a function of which bands of one image are there."""

        def function(there):
            there = torch.as_tensor(np.asarray(there), dtype=torch.float32)
            with torch.no_grad():
                return self.composed((there @ self.masks) * self.s[row])[:, 0].numpy()

        return function

    def _transformed(self, row):
        """Return the same by the transformer itself, without ours in torch."""
        masks, s = self.masks.numpy(), self.s[row].numpy()

        def function(there):
            there = np.asarray(there, np.float32)
            signals = self.transformer.inverse_transform((there @ masks) * s)
            with torch.no_grad():
                return self.model(torch.from_numpy(signals))[:, 0].numpy()

        return function

    def shap_kernel(self):
        from shap import KernelExplainer

        none, every = np.zeros((1, N_BANDS)), np.ones((1, N_BANDS))
        return np.concatenate(
            [
                KernelExplainer(self._composed(row), none).shap_values(
                    every, l1_reg=False, silent=True
                )
                for row in range(FEW_SAMPLES)
            ]
        )

    def shap_exact(self, function):
        from shap.explainers import ExactExplainer
        from shap.maskers import Independent

        none, every = np.zeros((1, N_BANDS)), np.ones((1, N_BANDS))
        return np.concatenate(
            [
                ExactExplainer(function(row), Independent(none))(every).values
                for row in range(FEW_SAMPLES)
            ]
        )

    def shap_exact_composed(self):
        return self.shap_exact(self._composed)

    def shap_exact_transformed(self):
        return self.shap_exact(self._transformed)


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
        work.in_bands(IntegratedGradients(n_steps=N_STEPS)),
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
        work.in_bands(DeepLift()),
        lambda: work.captum(attr.DeepLift),
    )
    yield (
        "DeepLIFT, pixels",
        "shap Deep",
        work.on_pixels(DeepLift()),
        work.shap_deep,
    )
    yield (
        "guided backpropagation, bands",
        "captum",
        work.in_bands(GuidedBackprop()),
        lambda: work.captum(attr.GuidedBackprop),
    )
    for name, (scorer, rule) in zennit.items():
        yield (
            f"LRP {name}, pixels",
            "zennit 0.5.1",
            work.on_pixels(scorer),
            lambda rule=rule: work.zennit(rule),
        )


def _row(name, peer, seconds, values, peer_values):
    whole, alone, theirs = seconds
    few = min(len(values), len(peer_values))
    difference = np.abs(values[:few] - peer_values[:few]).max()
    scale = np.abs(peer_values[:few]).max()
    ratios = theirs / alone, theirs / whole
    return [name, peer, alone, whole, theirs, *ratios, float(difference / scale)]


def _few(work):
    """Name, ours and a peer's function that is timed on few images."""
    yield "kernel SHAP", "shap Kernel *", work.in_bands(KernelShap()), work.shap_kernel
    exact = work.in_bands(Shapley())
    for peer, theirs in (
        ("shap Exact *", work.shap_exact_transformed),
        ("shap Exact of TrimModel *", work.shap_exact_composed),
    ):
        yield "exact Shapley", peer, exact, theirs


def measure():
    """Seconds from coefficients to scores, of X to them, and of the peer."""
    work, rows = _Work(), []
    with warnings.catch_warnings():
        # captum and zennit speak of hooks and of gradients that are not leaves
        warnings.simplefilter("ignore")
        for name, peer, ours, theirs in _whole(work):
            seconds = alternating_seconds([*ours, theirs], 21)
            rows.append(_row(name, peer, seconds, ours[0](), theirs()))
        for name, peer, ours, theirs in _few(work):
            *own, few = alternating_seconds([*ours, theirs], repeats=3)
            seconds = [*own, few * N_SAMPLES / FEW_SAMPLES]
            rows.append(_row(f"{name}, bands", peer, seconds, ours[0](), theirs()))
    return Table(
        f"{N_SAMPLES} images {SIDE} x {SIDE}, small CNN, {N_BANDS} Fourier bands or "
        f"pixels, one output, {device_name('cpu')}",
        [
            "scorer",
            "peer",
            "seconds",
            "from X",
            "peer's seconds",
            "peer over ours",
            "peer over ours from X",
            "largest relative difference",
        ],
        rows,
        [
            "Seconds: from coefficients to scores, as the peers; from X to an "
            "Explanation, which also holds predictions, coefficients and their checks.",
            f"* timed on {FEW_SAMPLES} images and scaled up; they share no work.",
            "shap Exact: of the network after the transformer's inverse_transform, as "
            "its user writes it; of TrimModel: of f' in torch, as ours gives it.",
            "To reach: every peer at least as slow as ours, shap Exact 10 times.",
        ],
    )
