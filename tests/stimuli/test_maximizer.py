"""Signals that a unit responds to: exact for linear units, written out for the rest."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from torch import nn

from sktrim import CosineTransformer, FourierTransformer
from sktrim.exceptions import NonFiniteLossError
from sktrim.stimuli import ActivationMaximizer
from sktrim.stimuli._constraints import (
    blurred,
    consensus,
    jittered,
    project,
    total_variation,
)
from sktrim.stimuli._maximizer import mean_correlation


def linear(n_in=12, n_out=3, seed=0):
    torch.manual_seed(seed)
    return nn.Linear(n_in, n_out).double()


def images(n=20, shape=(1, 8, 8), seed=0):
    return np.random.default_rng(seed).normal(size=(n, *shape))


def convnet(seed=0):
    torch.manual_seed(seed)
    layers = nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(32, 2)).double()


@pytest.mark.parametrize("norm", [1, 2, np.inf])
@pytest.mark.parametrize("seed", range(3))
def test_of_a_linear_unit_it_is_the_dual_of_the_weights(norm, seed):
    net, X = linear(seed=seed), images(shape=(12,))
    w = net.weight[1].detach().numpy()
    found = ActivationMaximizer(1, norm=norm, radius=2.5, random_state=seed)
    best = found.maximize(net, X).best
    if norm == 2:
        expected = 2.5 * w / np.linalg.norm(w)
    elif norm == 1:
        expected = 2.5 * np.sign(w) * (np.abs(w) == np.abs(w).max())
    else:
        expected = 2.5 * np.sign(w)
    assert_allclose(best, expected, atol=1e-6)


@pytest.mark.parametrize("norm", [1, 2, np.inf])
def test_projections_are_the_nearest_points_of_the_ball(norm):
    x = 3 * torch.randn(6, 5, dtype=torch.float64)
    inside = project(x, norm, 2.0)
    sizes = torch.linalg.vector_norm(inside, norm, dim=1)
    assert (sizes <= 2 + 1e-12).all()
    small = x / torch.linalg.vector_norm(x, norm, dim=1, keepdim=True)
    torch.testing.assert_close(project(small, norm, 2.0), small)
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = torch.as_tensor(rng.normal(size=(6, 5)))
        other = other / torch.linalg.vector_norm(other, norm, dim=1, keepdim=True)
        away = (x - 2 * rng.random() * other).norm(dim=1)
        assert ((x - inside).norm(dim=1) <= away + 1e-9).all()


def test_total_variation_is_that_of_loops():
    x = torch.randn(2, 1, 4, 5, dtype=torch.float64)
    for form in ("isotropic", "global", "anisotropic"):
        for row, value in zip(x, total_variation(x, form, (-2, -1)), strict=True):
            total, squares = 0.0, 0.0
            for i in range(4):
                for j in range(5):
                    down = row[0, i + 1, j] - row[0, i, j] if i < 3 else 0.0
                    right = row[0, i, j + 1] - row[0, i, j] if j < 4 else 0.0
                    both = float(down) ** 2 + float(right) ** 2
                    squares += both
                    if form == "isotropic":
                        total += both**0.5
                    if form == "anisotropic":
                        total += abs(float(down)) + abs(float(right))
            total = squares**0.5 if form == "global" else total
            assert float(value) == pytest.approx(total)
    flat = torch.zeros(1, 1, 3, 3, requires_grad=True)
    total_variation(flat, "isotropic", (-2, -1)).sum().backward()
    assert (flat.grad == 0).all()


@pytest.mark.parametrize("sigma", [0.6, 1.5])
def test_blur_is_that_of_scipy(sigma):
    x = np.random.default_rng(0).normal(size=(2, 1, 9, 11))
    expected = np.stack(
        [ndimage.gaussian_filter(row[0], sigma, mode="nearest") for row in x]
    )
    found = blurred(torch.as_tensor(x), sigma, (-2, -1))[:, 0]
    assert_allclose(found, expected, atol=1e-12)


def test_jitter_rolls_along_each_axis():
    x = np.random.default_rng(0).normal(size=(2, 1, 4, 5))
    rolled = np.roll(np.roll(x, 2, -2), -1, -1)
    assert_array_equal(jittered(torch.as_tensor(x), (2, -1), (-2, -1)), rolled)


@pytest.mark.parametrize("form", ["min", "smooth"])
def test_consensus_of_one_network_is_its_own(form):
    gradient = torch.randn(3, 4, dtype=torch.float64)
    alone = consensus([gradient], form)
    torch.testing.assert_close(alone, gradient)
    torch.testing.assert_close(consensus([gradient] * 3, form), gradient)
    against = consensus([gradient, -2 * gradient], form)
    assert (against.abs() < 1e-12).all()


def test_consensus_takes_the_least_where_signs_agree():
    first = torch.tensor([1.0, -2.0, 3.0, 0.0])
    second = torch.tensor([2.0, -1.0, -3.0, 1.0])
    least = torch.tensor([1.0, -1.0, 0.0, 0.0])
    torch.testing.assert_close(consensus([first, second], "min"), least)
    smooth = consensus([first, second], "smooth")
    torch.testing.assert_close(smooth[:2], least[:2], rtol=0.1, atol=0)


def test_the_consensus_of_networks_is_where_both_respond():
    nets = [linear(seed=0), linear(seed=1)]
    weights = [torch.as_tensor(net.weight[0].detach()) for net in nets]
    shared = consensus(weights, "min").numpy()
    X = images(shape=(12,))
    found = ActivationMaximizer(0, radius=1.0, random_state=0).maximize(nets, X)
    assert_allclose(found.best, shared / np.linalg.norm(shared), atol=1e-6)


def test_starts_do_not_depend_on_each_other():
    net, X = convnet(), images()
    options = {"radius": 3.0, "n_steps": 20, "random_state": 0}
    alone = ActivationMaximizer(("2", 1), **options).maximize(net, X)
    several = ActivationMaximizer(("2", 1), n_starts=3, **options).maximize(net, X)
    assert several.signals.shape == (3, 1, 8, 8)
    assert not np.allclose(several.signals[0], several.signals[1])
    assert_allclose(several.history[:, 0], alone.history[:, 0])
    assert several.history[-1].mean() > several.history[0].mean()


def test_units_are_read_where_they_are():
    net, X = convnet(), images()
    x = torch.as_tensor(X)
    layer = net[:3](x).detach().numpy()
    for unit, expected in (
        (1, net(x)[:, 1].detach().numpy()),
        (("2", 1), layer[:, 1].sum((1, 2))),
        ((net[2], 1, 0, 3), layer[:, 1, 0, 3]),
    ):
        asked = ActivationMaximizer(unit, n_steps=1, lr=1e-9, radius=1.0)
        found = asked.maximize(net, X)
        at = torch.as_tensor(found.signals)
        out = net[:3](at) if isinstance(unit, tuple) else net(at)
        value = {
            1: lambda out: out[0, 1],
            2: lambda out: out[0, 1].sum(),
            4: lambda out: out[0, 1, 0, 3],
        }[1 if unit == 1 else len(unit)](out)
        assert found.activations[0] == pytest.approx(float(value.detach()))
        assert len(expected) == len(X)


def test_squares_reward_both_signs():
    net, X = linear(), images(shape=(12,))
    options = {"radius": 1.0, "random_state": 0}
    found = ActivationMaximizer(0, objective="squares", **options).maximize(net, X)
    response = net(torch.as_tensor(found.signals))[0, 0]
    assert found.activations[0] == pytest.approx(float(response.detach() ** 2))


def test_variation_blur_and_jitter_make_smooth_images():
    net, X = convnet(), images()
    options = {"radius": 3.0, "random_state": 0, "n_steps": 60}

    def roughness(**more):
        found = ActivationMaximizer(("2", 1), **options, **more).maximize(net, X)
        signal = torch.as_tensor(found.signals)
        return float(total_variation(signal, "isotropic", (-2, -1)))

    plain = roughness()
    assert roughness(tv=0.5) < plain
    assert roughness(blur=0.8) < plain
    assert roughness(jitter=2) != plain
    seen = []
    roughness(transforms=lambda x: (seen.append(x.shape), x)[1])
    assert len(seen) == 60


def test_any_space_can_be_searched():
    net, X = linear(), images(shape=(12,))
    w = net.weight[0].detach().numpy()
    for transformer in (CosineTransformer().fit(X), PCA(5).fit(X)):
        asked = ActivationMaximizer(
            0, transformer=transformer, radius=1.0, random_state=0
        )
        found = asked.maximize(net, X)
        s = transformer.transform(w[None]) - transformer.transform(np.zeros((1, 12)))
        expected = s[0] / np.linalg.norm(s)
        assert_allclose(transformer.transform(found.signals)[0], expected, atol=1e-6)


def test_magnitudes_stay_those_of_the_data():
    X = images()
    net = convnet()
    mean = np.abs(np.fft.rfftn(X, axes=(-2, -1))).mean(0)
    for n_steps in (1, 5, 30):
        asked = ActivationMaximizer(
            0, parametrisation="maco", n_steps=n_steps, random_state=0
        )
        found = asked.maximize(net, X)
        assert_allclose(np.abs(np.fft.rfftn(found.best)), mean, atol=1e-5)
    assert found.importance.shape == found.signals.shape
    assert found.history[-1] > found.history[0]


def test_norms_of_groups_stay_those_of_the_data_in_any_space():
    X, net = images(), convnet()
    fourier = FourierTransformer(axes=(-2, -1)).fit(X)
    groups = fourier.feature_groups(by="band", n_bands=4)
    masks = groups.masks.toarray()
    norms = np.sqrt(fourier.transform(X) ** 2 @ masks.T).mean(0)
    for n_steps in (1, 30):
        asked = ActivationMaximizer(
            ("2", 0),
            parametrisation="groups",
            transformer=fourier,
            groups=groups,
            n_steps=n_steps,
            random_state=0,
        )
        found = asked.maximize(net, X)
        own = np.sqrt(fourier.transform(found.signals) ** 2 @ masks.T)[0]
        assert_allclose(own, norms, atol=1e-5)
    assert found.history[-1] > found.history[0]


def test_a_fourier_image_stays_in_the_range_of_the_data():
    X, net = images(), convnet()
    asked = ActivationMaximizer(
        0, parametrisation="fourier", n_steps=30, random_state=0
    )
    found = asked.maximize(net, X)
    assert X.min() <= found.best.min()
    assert found.best.max() <= X.max()
    assert found.history[-1] > found.history[0]


def test_the_codes_of_a_generator_can_be_searched():
    torch.manual_seed(0)
    generator, net = nn.Linear(4, 12, bias=False).double(), linear()
    code = (net.weight[0] @ generator.weight).detach()
    asked = ActivationMaximizer(0, generator=generator, radius=2.0, random_state=0)
    found = asked.maximize(net, images(shape=(12,)))
    expected = generator(2 * code / code.norm()).detach().numpy()
    assert_allclose(found.best, expected, atol=1e-6)


def test_stability_is_a_correlation_up_to_shifts():
    rng = np.random.default_rng(0)
    one = rng.normal(size=(1, 9, 9))
    moved = np.stack([one, np.roll(one, (2, 3), (-2, -1))])
    assert mean_correlation(moved) == pytest.approx(1)
    assert mean_correlation(rng.normal(size=(5, 1, 30, 30))) < 0.3
    assert mean_correlation(moved, np.roll(one, 4, -1)) == pytest.approx(1)


def test_the_network_is_left_as_it_is():
    net, X = convnet().train(), images()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    ActivationMaximizer(("2", 1), n_steps=3).maximize(net, X)
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_what_does_not_exist_is_refused_with_reasons():
    net, X = convnet(), images()
    cases = [
        (7, ValueError, "no such unit"),
        (("2", 5), ValueError, "channel lies in 0 to 1"),
        (("2", 1, 9, 9), ValueError, "no such unit"),
        (("conv", 1), ValueError, "no module of the network"),
        (("2",), TypeError, "expected an output column"),
        ("2", TypeError, "expected an output column"),
    ]
    for unit, kind, message in cases:
        with pytest.raises(kind, match=message):
            ActivationMaximizer(unit, n_steps=1).maximize(net, X)
    with pytest.raises(ValueError, match="'radius' parameter"):
        ActivationMaximizer(0, radius=0.0).maximize(net, X)
    with pytest.raises(ValueError, match="All rows of X are 0"):
        ActivationMaximizer(0).maximize(net, np.zeros_like(X))
    rows = X[:, 0, 0]
    other = LinearRegression().fit(rows, rows[:, 0])
    with pytest.raises(TypeError, match="has no gradient"):
        ActivationMaximizer(0).maximize(other, rows)


class Breaks(nn.Module):
    def __init__(self, after):
        super().__init__()
        self.after, self.calls = after, 0
        self.linear = nn.Linear(12, 1)

    def forward(self, x):
        if torch.is_grad_enabled():
            self.calls += 1
        return self.linear(x) * (torch.nan if self.calls > self.after else 1.0)


def test_a_response_that_is_no_number_is_named():
    X = images(shape=(12,))
    with pytest.raises(NonFiniteLossError, match="in step 1"):
        ActivationMaximizer(0, n_steps=3).maximize(Breaks(0), X)
    with pytest.warns(ConvergenceWarning, match="last good signals"):
        found = ActivationMaximizer(0, n_steps=9).maximize(Breaks(3), X)
    assert len(found.history) == 3
    assert np.isfinite(found.signals).all()


def test_pictures_are_drawn():
    found = ActivationMaximizer(("2", 1), n_steps=2, n_starts=3).maximize(
        convnet(), images()
    )
    assert len(found.plot(title="unit").ax_.child_axes) == 3
    assert "starts correlate by" in repr(found)
