"""A unit's best signals: exact where that is known, and held to what was promised."""

import copy
import warnings

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from torch import nn

from sktrim.stimuli import ActivationMaximizer
from sktrim.transforms import FourierTransformer, WaveletTransformer
from tests.nets import mlp, seeded, small_conv
from tests.stimuli.problems import linear, rows

IMAGES = np.random.default_rng(0).standard_normal((20, 1, 12, 12))
KINDS = [
    {},
    {"parametrisation": "fourier"},
    {"parametrisation": "maco"},
    {
        "parametrisation": "groups",
        "transformer": WaveletTransformer("db2", level=2).fit(IMAGES),
        "groups": "level",
    },
    {"transformer": FourierTransformer().fit(IMAGES)},
]


def alone(w):
    return np.where(np.abs(w) == np.abs(w).max(), np.sign(w), 0)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("p", "best"),
    [(2, lambda w: w / np.linalg.norm(w)), (np.inf, np.sign), (1, alone)],
    ids=["2", "inf", "1"],
)
def test_a_linear_unit_has_the_answer_of_its_norm(p, best, seed):
    net, w = linear(seed)
    found = ActivationMaximizer(1, norm=p, radius=2.5, n_starts=3, random_state=seed)
    images = found.maximize(net, rows()).images
    np.testing.assert_allclose(images, np.tile(2.5 * best(w[1]), (3, 1)), atol=1e-6)


def test_the_radius_is_the_median_norm_of_the_rows():
    net, _ = linear()
    for p in (1, 2, np.inf):
        found = ActivationMaximizer(0, norm=p, random_state=0).maximize(net, rows())
        median = np.median(np.linalg.norm(rows(), p, axis=1))
        assert np.linalg.norm(found.images[0], p) == pytest.approx(median)


def test_squares_find_the_leading_direction_of_all_places():
    conv = seeded(lambda: nn.Conv2d(1, 2, 3, bias=False)).double()
    net = nn.Sequential(conv, nn.Flatten())
    found = ActivationMaximizer(
        ("0", 1), objective="squares", radius=1.0, n_steps=2000, random_state=0
    ).maximize(net, IMAGES)
    # the matrix of the convolution, column by column
    unit = torch.eye(144, dtype=torch.float64).view(144, 1, 12, 12)
    matrix = conv(unit)[:, 1].flatten(1).detach().numpy().T
    largest = np.linalg.norm(matrix, 2) ** 2
    assert found.activations[0] == pytest.approx(largest, rel=1e-3)
    x = found.images[0].ravel()
    assert found.activations[0] == pytest.approx(np.sum((matrix @ x) ** 2))


def test_the_penalty_is_weighed_against_the_unit():
    net, w = linear(n=12)
    tv = 0.3
    found = ActivationMaximizer(
        0, radius=1.0, tv=tv, tv_form="anisotropic", n_steps=4000, random_state=0
    ).maximize(net, rows(12))

    def loss(x):
        return -w[0] @ x + tv * np.abs(np.diff(x)).sum()

    best = minimize(
        loss,
        np.ones(12) / 12,
        constraints={"type": "ineq", "fun": lambda x: 1 - x @ x},
        options={"maxiter": 2000, "ftol": 1e-12},
    )
    assert loss(found.images[0]) <= best.fun + 2e-3
    assert found.losses[-1, 0] == pytest.approx(loss(found.images[0]), abs=1e-2)


def test_coefficients_of_a_transform_are_learned():
    net, w = linear()
    X = rows()
    pca = PCA(5, random_state=0).fit(X)
    found = ActivationMaximizer(
        0, transformer=pca, radius=2.0, random_state=0
    ).maximize(net, X)
    slope = pca.components_ @ w[0]
    expected = pca.mean_ + 2 * slope / np.linalg.norm(slope) @ pca.components_
    np.testing.assert_allclose(found.images[0], expected, atol=1e-6)
    assert found.variables.shape == (1, 5)


def test_the_search_of_a_latent_space_finds_the_planted_vector():
    net, w = linear()
    generator = seeded(lambda: nn.Linear(6, 24), 1).double()
    found = ActivationMaximizer(
        0, generator=generator, radius=1.5, random_state=0
    ).maximize(net, rows())
    planted = w[0] @ generator.weight.detach().numpy()
    planted *= 1.5 / np.linalg.norm(planted)
    np.testing.assert_allclose(found.variables[0], planted, atol=1e-6)


@pytest.mark.parametrize("how", KINDS, ids=lambda how: "-".join(map(str, how)))
def test_starts_do_not_know_of_each_other(how):
    settings = {**how, "n_steps": 15, "jitter": 2}
    settings["transforms"] = lambda x: x + 0.1 * torch.randn_like(x)
    several, one = (
        ActivationMaximizer(("conv", 1), n_starts=n, random_state=3, **settings)
        .maximize(small_conv(), IMAGES)
        .images
        for n in (4, 1)
    )
    np.testing.assert_allclose(several[:1], one, atol=1e-9)
    assert np.abs(several[1] - several[0]).max() > 1e-3


@pytest.mark.parametrize("how", KINDS, ids=lambda how: "-".join(map(str, how)))
def test_more_steps_drive_a_unit_further(how):
    net = small_conv()
    short, long = (
        ActivationMaximizer(
            ("conv", 2, 4, 5), n_steps=n, n_starts=2, random_state=0, **how
        ).maximize(net, IMAGES)
        for n in (0, 60)
    )
    assert (long.activations > short.activations).all()
    assert long.losses.shape == (60, 2)
    assert short.losses.shape == (0, 2)
    assert (long.transparency.reshape(2, -1).max(axis=1) > 0).all()


def test_the_slope_is_summed_as_transparency():
    net, w = linear()
    found = ActivationMaximizer(0, n_steps=7, random_state=0).maximize(net, rows())
    np.testing.assert_allclose(found.transparency[0], 7 * np.abs(w[0]))


def test_consensus_of_one_network_is_that_network():
    net = small_conv()
    images = [
        ActivationMaximizer(("conv", 0), consensus=how, n_steps=20, random_state=0)
        .maximize(model, IMAGES)
        .images
        for how, model in ((None, net), ("min", [net]), ("smooth", [net]))
    ]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])
    twice = ActivationMaximizer(
        ("conv", 0), consensus="min", n_steps=20, random_state=0
    ).maximize([net, net], IMAGES)
    np.testing.assert_allclose(images[0], twice.images, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_consensus_goes_the_smallest_way_that_all_agree_on(seed):
    (a, v), (b, w) = linear(seed), linear(seed + 10)
    found = ActivationMaximizer(
        0, consensus="min", radius=1.0, random_state=0
    ).maximize([a, b], rows())
    slope = [
        np.sign(x) * min(abs(x), abs(y)) if x * y > 0 else 0
        for x, y in zip(v[0], w[0], strict=True)
    ]
    expected = slope / np.linalg.norm(slope)
    np.testing.assert_allclose(found.images[0], expected, atol=1e-6)
    reached = min(v[0] @ expected, w[0] @ expected)
    assert found.activations[0] == pytest.approx(reached, abs=1e-6)


def test_a_soft_minimum_of_linear_units_is_best_where_both_rise():
    (a, v), (b, w) = linear(0), linear(10)
    found = ActivationMaximizer(
        0,
        consensus="smooth",
        temperature=0.05,
        radius=1.0,
        n_steps=3000,
        random_state=0,
    ).maximize([a, b], rows())
    x = found.images[0]
    f = np.array([v[0] @ x, w[0] @ x])
    assert found.activations[0] == pytest.approx(
        -0.05 * np.log(np.exp(-f / 0.05).mean())
    )
    weights = np.exp(-f / 0.05) / np.exp(-f / 0.05).sum()
    slope = weights @ np.stack([v[0], w[0]])
    assert x @ slope / np.linalg.norm(slope) > 1 - 1e-4


def test_chance_is_new_at_every_step_and_start_and_has_a_seed():
    drawn = []

    def noisy(x):
        drawn.append(torch.randn_like(x))
        return x + drawn[-1]

    for seed in (0, 1):
        torch.manual_seed(seed)
        ActivationMaximizer(
            0, transforms=noisy, n_starts=2, n_steps=3, random_state=0
        ).maximize(linear()[0], rows())
    first, second = torch.cat(drawn[:6]), torch.cat(drawn[6:])
    torch.testing.assert_close(first, second)
    assert len(first.unique(dim=0)) == 6


def test_a_blurred_signal_is_brought_back_to_the_ball():
    net, _ = linear()
    # a blur that repeats the edge makes what lies there larger
    net.weight.data[0, 0] = 9
    found = ActivationMaximizer(
        0, norm=1, radius=1.0, blur=1.0, n_steps=1, lr=50.0, random_state=0
    )
    assert np.abs(found.maximize(net, rows()).images).sum() == pytest.approx(1)


def test_the_network_is_left_as_it_was():
    net = small_conv().train()
    before = copy.deepcopy(net.state_dict())
    state = torch.get_rng_state()
    ActivationMaximizer(
        ("norm", 1), n_steps=3, transforms=lambda x: x + torch.randn_like(x)
    ).maximize(net, IMAGES)
    assert net.training
    assert net.norm.training
    assert all(p.grad is None for p in net.parameters())
    assert not net.conv._forward_hooks
    torch.testing.assert_close(net.state_dict(), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_skorch_net_is_taken_and_its_softmax_is_not_in_the_way():
    from tests.nets import classifier

    X = rows(12).astype(np.float32)
    net = classifier().fit(X, np.arange(30) % 3)
    found = ActivationMaximizer(1, n_steps=30, random_state=0).maximize(net, X)
    assert found.images.dtype == np.float32
    assert found.activations[0] > found.losses[0, 0] * -1


class Logarithm(nn.Module):
    """Finite only as long as the first value is positive."""

    def forward(self, x):
        return torch.log(x[:, :1]) - 5 * x[:, :1]


def test_a_loss_that_is_not_finite_stops_that_start_alone():
    X = np.abs(rows(4))
    with pytest.warns(RuntimeWarning, match="last good state"):
        found = ActivationMaximizer(
            0, radius=3.0, n_starts=6, lr=0.7, random_state=0
        ).maximize(Logarithm(), X.astype(np.float32))
    assert np.isfinite(found.images).all()
    # stopped on the way, and from the first step on
    begun = np.isfinite(found.losses[0])
    stopped = ~np.isfinite(found.losses[-1])
    assert (begun & stopped).any()
    assert (begun & ~stopped).any()
    np.testing.assert_array_equal(np.isfinite(found.activations), begun)
    with (
        pytest.warns(RuntimeWarning, match="not finite"),
        pytest.raises(ValueError, match="nothing to raise"),
    ):
        ActivationMaximizer(0, radius=1.0).maximize(Broken(), X)


class Broken(nn.Module):
    def forward(self, x):
        return x[:, :1] * torch.nan


class Interrupting(nn.Module):
    n_calls = 0

    def forward(self, x):
        self.n_calls += 1
        if self.n_calls == 12:
            raise KeyboardInterrupt
        return x[:, :2]


def test_an_interrupt_returns_what_is_there():
    with pytest.warns(RuntimeWarning, match="Interrupted after"):
        found = ActivationMaximizer(0, radius=1.0, random_state=0).maximize(
            Interrupting(), rows(4)
        )
    assert 0 < len(found.losses) < 12
    assert found.images.shape == (1, 4)


def test_a_silent_unit_is_named():
    net = nn.Sequential(nn.Linear(4, 2), nn.ReLU()).double()
    net[0].bias.data.fill_(-1e3)
    with pytest.warns(RuntimeWarning, match="never moved"):
        ActivationMaximizer(0, n_starts=2).maximize(net, rows(4))


def test_starts_that_agree_are_called_stable():
    net, _ = linear()
    found = ActivationMaximizer(0, n_starts=3, random_state=0).maximize(net, rows())
    assert found.stable
    assert found.similarity == pytest.approx(1)
    assert "stable: mean correlation of starts 1.00" in repr(found)
    assert ActivationMaximizer(0, n_steps=1).maximize(net, rows()).stable is None
    apart = ActivationMaximizer(0, n_starts=3, n_steps=0, random_state=0)
    apart = apart.maximize(net, rows())
    assert apart.stable is False
    a = np.corrcoef(apart.images)[np.triu_indices(3, 1)].mean()
    assert apart.similarity == pytest.approx(a)


@pytest.mark.parametrize("shape", [(1, 12, 12), (24,)])
def test_a_plot_shows_every_start(shape):
    X = np.random.default_rng(0).standard_normal((5, *shape))
    net = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(X[0].size, 1))).double()
    found = ActivationMaximizer(0, n_starts=3, n_steps=2).maximize(net, X)
    display = found.plot()
    assert len(display.axes_) == 3
    assert "output 0" in display.figure_.get_suptitle()


@pytest.mark.parametrize(
    ("unit", "change", "message"),
    [
        (("cnv", 0), {}, "'conv'"),
        (("conv", 5), {}, "no channel 5 in .*it has 5, 0 to 4"),
        (("conv", 0, 10, 0), {}, "no position 10"),
        (("conv", 0, 0, 0, 0), {}, "at most 3"),
        (9, {}, "no output column 9"),
        (0, {"radius": 0}, "above 0: a ball of radius 0"),
        (0, {"radius": -1.0}, "above 0"),
        (0, {"norm": 3}, "norm=3; expected one of 1, 2, inf"),
        (0, {"lr": np.nan}, "lr=nan"),
        (0, {"tv": -1}, "tv=-1"),
        (0, {"tv_form": "round"}, "tv_form='round'"),
        (0, {"n_starts": 0}, "n_starts=0"),
        (0, {"jitter": 1.5}, "jitter=1.5"),
        (0, {"axes": 4}, "axes=4"),
        (0, {"parametrisation": "groups"}, "needs a fitted transformer"),
        (0, {"groups": "natural"}, "goes with"),
        (0, {"blur": 1.0, "parametrisation": "fourier"}, "no signal"),
        (0, {"generator": nn.Flatten()}, "latent_shape"),
        (0, {"generator": nn.Linear(3, 7)}, "shape \\(7,\\)"),
        (0, {"generator": nn.Linear(3, 7), "parametrisation": "maco"}, "leave"),
        (
            0,
            {
                "parametrisation": "groups",
                "transformer": PCA(2).fit(rows()),
                "groups": np.ones((2, 2)),
            },
            "overlap",
        ),
    ],
)
def test_what_cannot_be_is_told(unit, change, message):
    X = rows() if "overlap" in message else IMAGES
    net = linear()[0] if "overlap" in message else small_conv()
    with pytest.raises(ValueError, match=message):
        ActivationMaximizer(unit, **change).maximize(net, X)


def test_signals_that_cannot_be_are_told():
    found = ActivationMaximizer(("conv", 0))
    for X, message in (
        (np.ones((3, 144)), "shape"),
        (np.full((3, 1, 12, 12), np.nan), "NaN"),
        (np.ones(3), "n_samples"),
    ):
        with pytest.raises(ValueError, match=message):
            found.maximize(small_conv(), X)
    with pytest.raises(ValueError, match="median norm"):
        found.maximize(small_conv(), np.zeros((3, 1, 12, 12)))
    with pytest.raises(ValueError, match="consensus"):
        found.maximize([small_conv(), small_conv()], IMAGES)
    for unit in ("conv", ("conv",), ("conv", 1.5), None, True):
        with pytest.raises(TypeError, match="output column"):
            ActivationMaximizer(unit).maximize(small_conv(), IMAGES)


def test_a_predictor_without_torch_is_refused():
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(rows(), np.arange(30))
    with pytest.raises(TypeError, match="no gradient"):
        ActivationMaximizer(0).maximize(model, rows())


def test_an_output_column_alone_may_be_without_an_axis():
    net = nn.Sequential(mlp(n_out=1), nn.Flatten(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ActivationMaximizer(0, n_steps=5).maximize(net, rows(12))
    assert found.activations.shape == (1,)
