"""Networks have the layers that are asked for, and learn in the units of targets."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from torch import nn

from sktrim import FourierTransformer, TransformImportance
from sktrim.lensing import (
    ConvergenceMapDataset,
    ConvergenceSimulator,
    convergence_regressor,
    shipped_cosmologies,
    split_maps,
)
from sktrim.lensing._networks import ARCHITECTURES, zorrilla_network
from sktrim.lensing._regressor import turned
from sktrim.scorers import ContextualDecomposition

SIZES = {"small": 32, "resnet18": 32, "zorrilla": 64}


def _planted(n=60, n_pixels=16, seed=0):
    """Maps whose scatter is the target."""
    rng = np.random.default_rng(seed)
    y = np.stack([rng.uniform(0.2, 0.4, n), rng.uniform(2, 3, n)], axis=1)
    X = 0.1 * y[:, :1, None, None] * rng.standard_normal((n, 1, n_pixels, n_pixels))
    return X.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_networks_take_square_maps_of_any_size(name):
    module = ARCHITECTURES[name](3).eval()
    for size in (SIZES[name], SIZES[name] + 13):
        assert module(torch.zeros(2, 1, size, size)).shape == (2, 3)


def test_the_network_of_study_b_has_the_layers_of_the_paper():
    layers = [layer for layer in zorrilla_network(2) if not list(layer.children())]
    kinds = [type(layer) for layer in layers]
    assert kinds.count(nn.Conv2d) == 18
    assert kinds.count(nn.AvgPool2d) == 6
    assert kinds.count(nn.BatchNorm2d) == kinds.count(nn.ReLU) == 17
    assert not {nn.MaxPool2d} & set(kinds)
    last = max(i for i, kind in enumerate(kinds) if kind is nn.Conv2d)
    assert kinds[last + 1] is nn.AvgPool2d
    for at in (i for i, kind in enumerate(kinds[:last]) if kind is nn.Conv2d):
        assert kinds[at + 1 : at + 3] == [nn.BatchNorm2d, nn.ReLU]


def test_the_first_study_s_network_is_a_resnet18_of_one_channel():
    module = ARCHITECTURES["resnet18"](3)
    # torchvision's has 11,689,512 with three channels and 1000 classes
    expected = 11_689_512 - 2 * 64 * 49 - 1000 * 513 + 3 * 513
    assert sum(p.numel() for p in module.parameters()) == expected


def test_predictions_are_in_the_units_of_the_targets():
    X, y = _planted()
    net = convergence_regressor(n_outputs=2, max_epochs=2, random_state=0).fit(X, y)
    rescale = net.module_[-1]
    np.testing.assert_allclose(rescale.scale, y.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(rescale.shift, y.mean(axis=0), rtol=1e-5)
    bare = nn.Sequential(*net.module_[:-1]).eval()
    with torch.no_grad():
        standardised = bare(torch.as_tensor(X)).numpy()
    expected = standardised * y.std(axis=0) + y.mean(axis=0)
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5)


def test_the_loss_is_that_of_standardised_outputs():
    X, y = _planted()
    net = convergence_regressor(n_outputs=2, max_epochs=1, random_state=0).fit(X, y)
    predicted = torch.as_tensor(net.predict(X))
    loss = net.get_loss(predicted, torch.as_tensor(y)).item()
    error = np.abs(net.predict(X) - y) / y.std(axis=0)
    np.testing.assert_allclose(loss, error.mean(), rtol=1e-5)


def test_a_planted_scatter_is_learned():
    X, y = _planted(200)
    net = convergence_regressor(n_outputs=2, max_epochs=15, lr=0.01, random_state=0)
    net.fit(X, y)
    test_X, test_y = _planted(100, seed=1)
    rest = ((net.predict(test_X) - test_y) ** 2).mean(axis=0) / test_y.var(axis=0)
    assert rest[0] < 0.3


def test_batches_are_flipped_and_turned():
    X = torch.arange(9.0).reshape(1, 1, 3, 3)
    expected = {
        np.rot90(side, k).tobytes()
        for side in (X[0, 0].numpy(), X[0, 0].numpy()[:, ::-1])
        for k in range(4)
    }
    torch.manual_seed(0)
    seen = {turned(X)[0, 0].numpy().tobytes() for _ in range(200)}
    assert seen == expected


def test_maps_that_were_turned_in_place_are_taken():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=1, random_state=0)
    net.fit(X[..., ::-1], y)
    expected = net.predict(X[..., ::-1].copy())
    np.testing.assert_array_equal(net.predict(X[..., ::-1]), expected)


def test_a_seed_makes_training_repeatable_and_leaves_others_numbers_alone():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=2, random_state=3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    net.fit(X, y)
    assert torch.equal(torch.rand(3), expected)
    first = net.predict(X)
    second = clone(net).fit(X, y).predict(X)
    np.testing.assert_array_equal(first, second)
    other = clone(net).set_params(random_state=4).fit(X, y).predict(X)
    assert np.abs(other - first).max() > 1e-4


def test_one_target_may_come_as_a_row():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=1, max_epochs=1, random_state=0)
    assert net.fit(X, y[:, 0]).predict(X).shape == (20, 1)


def test_streamed_maps_train_like_those_in_memory():
    simulator = ConvergenceSimulator(
        shipped_cosmologies("trim"), 3, n_pixels=16, random_state=0
    )
    data = ConvergenceMapDataset(simulator, np.arange(20), outputs=[1, 2])
    assert data.target.shape == (20, 2)
    net = convergence_regressor(n_outputs=2, max_epochs=2, random_state=0)
    streamed = clone(net).fit(data, None)
    X = simulator.maps(np.arange(20))
    inside = clone(net).fit(X, data.target)
    np.testing.assert_allclose(streamed.predict(X), inside.predict(X), rtol=1e-5)


def test_streamed_maps_can_be_altered():
    simulator = ConvergenceSimulator(
        shipped_cosmologies("trim"), 2, n_pixels=16, random_state=0
    )
    data = ConvergenceMapDataset(
        simulator, [3, 9], [1], alter=lambda maps, targets: maps + targets[:, 2]
    )
    expected = simulator.maps([9])[0] + simulator.target[9, 2]
    np.testing.assert_array_equal(data[1][0], expected)
    assert data[1][1] == simulator.target[9, 1]


def test_saved_networks_predict_alike(tmp_path):
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=1, random_state=0).fit(X, y)
    net.save_params(f_params=tmp_path / "net.pt")
    other = convergence_regressor(n_outputs=2).initialize()
    other.load_params(f_params=tmp_path / "net.pt")
    np.testing.assert_array_equal(other.predict(X), net.predict(X))


@pytest.mark.parametrize("name", ["small", "zorrilla"])
def test_explanations_of_all_frequencies_are_the_output(name):
    X, y = _planted(10, SIZES[name])
    net = convergence_regressor(name, 2, max_epochs=1, random_state=0).fit(X, y)
    fourier = FourierTransformer(signal_shape=X.shape[1:])
    for scorer in ("integrated_gradients", "deeplift"):
        trim = TransformImportance(FrozenEstimator(net), fourier, scorer, target=0)
        explanation = trim.fit(X).explain(X[:3])
        summed = explanation.values.sum(axis=1)
        difference = net.predict(X[:3])[:, 0] - net.predict(np.zeros_like(X[:1]))[0, 0]
        np.testing.assert_allclose(summed, difference, atol=2e-3 * y[:, 0].std())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_decomposition_of_all_frequencies_is_the_output(name):
    X, y = _planted(10, SIZES[name])
    net = convergence_regressor(name, 2, max_epochs=1, random_state=0).fit(X, y)
    fourier = FourierTransformer(signal_shape=X.shape[1:])
    everything = {"all": np.arange(fourier.fit(X).transform(X).shape[1])}
    cd = ContextualDecomposition(bias="proportional")
    trim = TransformImportance(
        FrozenEstimator(net), fourier, cd, target=1, groups=everything
    )
    values = trim.fit(X).explain(X[:3]).values[:, 0]
    np.testing.assert_allclose(values, net.predict(X[:3])[:, 1], rtol=1e-4)


def test_the_rate_goes_up_and_down_with_the_epochs_of_the_net():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=2, random_state=0)
    net.set_params(max_epochs=6, lr=1e-4).fit(X, y)
    rates = [row["event_lr"] for row in net.history]
    assert len(rates) == 6
    np.testing.assert_allclose(max(rates), 1e-4, rtol=0.2)
    assert rates[-1] < max(rates)
    net.partial_fit(X, y)
    again = [row["event_lr"] for row in net.history]
    np.testing.assert_allclose(again, [*rates, *rates])


def test_without_a_seed_every_training_differs():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=1)
    weights = [clone(net).fit(X, y).module_[1].weight for _ in range(2)]
    assert not torch.equal(*weights)


def test_maps_of_other_sizes_and_types_are_predicted():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=1, random_state=0).fit(X, y)
    expected = net.predict(X)
    np.testing.assert_array_equal(net.predict(X.astype(float)), expected)
    np.testing.assert_array_equal(net.predict(X[:, 0]), expected)
    assert net.predict(np.tile(X, (2, 2))).shape == (20, 2)
    for bad, message in [
        (X[..., :8, :8], "needs at least 16"),
        (X[..., 1:], "square"),
        (X * np.nan, "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            net.predict(bad)


class _Streamed(torch.utils.data.Dataset):
    def __init__(self, X, target):
        self.X, self.target = X, target

    def __len__(self):
        return len(self.X)

    def __getitem__(self, at):
        return self.X[at], self.target[at]


@pytest.mark.parametrize(
    ("data", "y", "message"),
    [
        (_Streamed(np.zeros((3, 1, 16, 16)), np.zeros((3, 3))), None, r"\(3, 2\)"),
        (_Streamed(np.zeros((3, 1, 16, 16)), np.full((3, 2), np.nan)), None, "NaN"),
        (_Streamed(np.zeros((3, 1, 8, 8)), np.zeros((3, 2))), None, "at least 16"),
        (_Streamed(np.zeros((3, 1, 16, 17)), np.zeros((3, 2))), None, "square"),
        (_Streamed(np.zeros((3, 1, 16, 16)), np.zeros((3, 2))), [1], "beside"),
        (torch.utils.data.TensorDataset(torch.zeros(3)), None, "attribute target"),
    ],
    ids=["columns", "nan", "small", "oblong", "y", "no target"],
)
def test_bad_datasets_are_refused_before_training(data, y, message):
    with pytest.raises(ValueError, match=message):
        convergence_regressor(n_outputs=2).fit(data, y)


def test_splits_never_cross_a_group():
    groups = np.repeat(np.arange(40), 5)
    cosmology = np.repeat(np.arange(4), 50)
    train, test = split_maps(groups, cosmology, test_size=0.3, random_state=0)
    assert not set(groups[train]) & set(groups[test])
    assert sorted([*train, *test]) == list(range(200))
    assert np.bincount(cosmology[test]).tolist() == [15, 15, 15, 15]
    again = split_maps(groups, cosmology, test_size=0.3, random_state=0)
    np.testing.assert_array_equal(train, again[0])


@pytest.mark.parametrize(
    ("groups", "cosmology", "message"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], "cosmology 0 has a single group"),
        ([0, 0, 0], None, "single group"),
        ([0, 1, 2], [0, 0], "expected one of each for every map"),
    ],
)
def test_splits_that_cannot_be_are_refused(groups, cosmology, message):
    with pytest.raises(ValueError, match=message):
        split_maps(groups, cosmology)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((3, 16, 16)), np.full((3, 2), np.nan), "y holds NaN"),
        (np.zeros((3, 16, 16)), np.zeros((3, 3)), r"expected \(3, 2\)"),
        (np.zeros((3, 16, 16)), np.zeros((4, 2)), r"expected \(3, 2\)"),
        (np.zeros((3, 16, 16)), None, "y is None"),
        (np.zeros((3, 16, 17)), np.zeros((3, 2)), "square"),
        (np.zeros((3, 8, 8)), np.zeros((3, 2)), "needs at least 16"),
    ],
)
def test_bad_input_is_refused_before_training(X, y, message):
    with pytest.raises(ValueError, match=message):
        convergence_regressor(n_outputs=2).fit(X, y)


def test_unknown_networks_are_refused():
    with pytest.raises(ValueError, match="'small', 'resnet18', 'zorrilla'"):
        convergence_regressor("vgg")
    with pytest.raises(ValueError, match="n_outputs=0"):
        convergence_regressor(n_outputs=0)


@pytest.mark.parametrize(
    "given", [{"max_epochs": 0}, {"max_epochs": 2.5}, {"lr": 0}, {"n_outputs": "2"}]
)
def test_numbers_that_are_not_positive_are_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))}=.*positive"):
        convergence_regressor(**given)


def test_the_score_is_the_mean_of_the_targets():
    X, y = _planted(20)
    net = convergence_regressor(n_outputs=2, max_epochs=1, random_state=0).fit(X, y)
    rest = ((net.predict(X) - y) ** 2).mean(axis=0) / y.var(axis=0)
    np.testing.assert_allclose(net.score(X, y), 1 - rest.mean(), rtol=1e-4)
