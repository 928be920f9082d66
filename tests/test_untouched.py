"""The network is bit-identical after `explain`, after errors, and under threads."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import FourierTransformer, Scorer, TransformImportance
from sktrim.network._evaluation import evaluation_mode
from sktrim.scorers import get_scorer_names
from tests.nets import small_conv

X = np.random.default_rng(0).standard_normal((6, 1, 12, 12))


def snapshot(module):
    """Everything about a module that explaining must not change."""
    parts = {name: value.clone() for name, value in module.state_dict().items()}
    return {
        "state": parts,
        "training": [m.training for m in module.modules()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "grad": [copy.deepcopy(p.grad) for p in module.parameters()],
        "hooks": [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
            for m in module.modules()
        ],
        "dict": [sorted(m.__dict__) for m in module.modules()],
        "grad_mode": torch.is_grad_enabled(),
        "torch": torch.get_rng_state().clone(),
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002
    }


def assert_same(before, after):
    for name, value in before["state"].items():
        assert torch.equal(value, after["state"][name]), name
    for a, b in zip(before["grad"], after["grad"], strict=True):
        assert (a is None and b is None) or torch.equal(a, b)
    for key in ("numpy", "torch"):
        np.testing.assert_array_equal(before[key], after[key])
    for key in ("training", "requires_grad", "hooks", "dict", "grad_mode"):
        assert before[key] == after[key], key


@pytest.fixture
def module():
    net = small_conv()
    net.train()
    net.pool.eval()
    net.head.weight.requires_grad_(False)
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    return net


@pytest.mark.parametrize("scorer", get_scorer_names())
def test_after_explaining(module, scorer):
    before = snapshot(module)
    trim = TransformImportance(module, FourierTransformer(), scorer).fit(X)
    trim.explain(X)
    trim.score(X)
    assert_same(before, snapshot(module))


class Writing(nn.Module):
    """Rectifies its input in place, or not."""

    def __init__(self, in_place):
        super().__init__()
        torch.manual_seed(0)
        self.relu = nn.ReLU(inplace=in_place)
        self.rest = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(300, 2)

    def forward(self, x):
        return self.head(self.rest(self.relu(x)))


@pytest.mark.parametrize("space", [None, FourierTransformer()])
@pytest.mark.parametrize("scorer", get_scorer_names())
def test_networks_that_write_into_their_input_are_explained_alike(scorer, space):
    # the bounds of the z-box rule are those of the pixels
    space = None if scorer == "lrp_z_box" else space
    before = X.copy()
    values = [
        TransformImportance(
            Writing(in_place).double().eval(), space, scorer, random_state=0
        )
        .fit(X)
        .transform(X)
        for in_place in (True, False)
    ]
    np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(X, before)


class Failing(Scorer):
    def attribute(self, model, s, groups, target):
        model(s.clone().requires_grad_())
        raise KeyboardInterrupt


def test_after_an_interruption(module):
    trim = TransformImportance(module, FourierTransformer(), Failing()).fit(X)
    before = snapshot(module)
    with pytest.raises(KeyboardInterrupt):
        trim.explain(X)
    assert_same(before, snapshot(module))


class FailsInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = small_conv()
        self.calls = 0

    def forward(self, x):
        h = self.net(x)
        if h.requires_grad and h.shape[0] > 2:
            raise RuntimeError("out of memory")
        return h


def test_after_an_exception_inside_the_model():
    module = FailsInside().train()
    trim = TransformImportance(module, scorer="gradient").fit(X)
    before = snapshot(module)
    with pytest.raises(ValueError, match="out of memory"):
        trim.explain(X)
    assert_same(before, snapshot(module))


def test_twelve_threads_share_one_model(module):
    trims = [
        TransformImportance(module, FourierTransformer(), scorer, random_state=0).fit(X)
        for scorer in get_scorer_names()
    ]
    alone = [trim.transform(X) for trim in trims]
    before = snapshot(module)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda trim: trim.transform(X), trims * 3))
    for a, b in zip(alone * 3, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)
    assert_same(before, snapshot(module))


def test_the_last_holder_restores_the_mode(module):
    flags = [m.training for m in module.modules()]
    with evaluation_mode(module):
        with evaluation_mode(module):
            assert not any(m.training for m in module.modules())
        assert not any(m.training for m in module.modules())
    assert [m.training for m in module.modules()] == flags


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_callers_grad_mode_does_not_matter(module, mode):
    trim = TransformImportance(module, FourierTransformer(), "gradient").fit(X)
    expected = trim.transform(X)
    with mode():
        np.testing.assert_array_equal(trim.transform(X), expected)


def test_explanations_do_not_depend_on_training_mode(module):
    evaluated = copy.deepcopy(module).eval()
    for scorer in ("cd", "gradient"):
        a, b = (
            TransformImportance(m, FourierTransformer(), scorer).fit(X).transform(X)
            for m in (module, evaluated)
        )
        np.testing.assert_array_equal(a, b)
