"""Neurons of known tuning are predicted and recovered; noise is called unstable."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktrim.datasets import simulate_neurons, texture_images
from sktrim.stimuli import ActivationMaximizer, DeepTune, Stability
from sktrim.stimuli._probes import cropped, recombined
from sktrim.stimuli._readout import compressed
from tests.nets import seeded

TRAINED, X = np.split(texture_images(1900, 12, random_state=0), [1500])
SMALL = texture_images(200, 8, random_state=1)


def pooled(seed, n_filters=24):
    """Random filters, rectified and pooled: a network that nobody trained."""
    return seeded(
        lambda: nn.Sequential(nn.Conv2d(1, n_filters, 5), nn.ReLU(), nn.AvgPool2d(2)),
        seed,
    ).double()


def small(n_models=2, **settings):
    settings = {
        "models": [pooled(seed, 6) for seed in range(n_models)],
        "layers": ["1", "2"],
        "regression": "ridge",
        "cv": 3,
        "n_compressed": 0,
        "n_starts": 2,
        "maximizer": {"n_steps": 20},
        "random_state": 0,
        **settings,
    }
    return DeepTune(**settings)


def neurons_of(kind="energy", images=SMALL, **settings):
    return simulate_neurons(images, kind, random_state=3, **settings)


@pytest.fixture(scope="module")
def fitted():
    neurons = neurons_of(n_neurons=2, noise=0.1)
    return small().fit(SMALL, neurons.responses), neurons


@pytest.fixture(scope="module", params=["energy", "curve"])
def recovered(request):
    neurons = simulate_neurons(
        np.concatenate([TRAINED, X]), request.param, random_state=1
    )
    tune = DeepTune(
        [pooled(seed) for seed in range(3)],
        ["2"],
        "ridge",
        cv=3,
        n_compressed=1,
        n_starts=2,
        maximizer={"n_steps": 60},
        random_state=0,
    ).fit(TRAINED, neurons.responses[:1500, 0])
    return tune, neurons, tune.maximize()


def test_a_nonlinear_neuron_is_predicted_on_images_not_seen(recovered):
    tune, neurons, _ = recovered
    r = np.corrcoef(tune.predict(X), neurons.responses[1500:, 0])[0, 1]
    assert r >= 0.6
    assert (tune.scores_["correlation"] >= 0.6).all()


def test_pixels_alone_do_not_predict_an_energy_neuron():
    neurons = simulate_neurons(np.concatenate([TRAINED, X]), "energy", random_state=1)
    ridge = Ridge(1e3).fit(TRAINED.reshape(1500, -1), neurons.responses[:1500, 0])
    predicted = ridge.predict(X.reshape(400, -1))
    assert abs(np.corrcoef(predicted, neurons.responses[1500:, 0])[0, 1]) < 0.2


def test_the_planted_template_is_recovered(recovered):
    _, neurons, found = recovered
    assert neurons.tuning(found.consensus_image) >= 0.9
    if neurons.kind == "curve":
        # a dark curve is none
        r = np.corrcoef(found.consensus_image.ravel(), neurons.templates.ravel())
        assert r[0, 1] >= 0.9
    assert min(map(neurons.tuning, found.images)) >= 0.85
    # far more of it than in the best image of the data
    best = X[neurons.mean[1500:, 0].argmax()]
    assert neurons.tuning(found.consensus_image) > neurons.tuning(best) + 0.2


def test_a_tuned_neuron_is_stable(recovered):
    tune, _, found = recovered
    assert found.stability.stable
    assert tune.stability_[0].verdict.startswith("stable (cross-validated corr")
    agreements = found.stability.agreements
    assert sorted(agreements) == ["compressed networks", "models", "starts"]
    assert min(agreements.values()) > 0.5


def test_a_neuron_of_noise_is_unstable():
    noise = simulate_neurons(SMALL, "noise", random_state=0)
    tune = small(n_compressed=1).fit(SMALL, noise.responses)
    found = tune.maximize()
    assert not found.stability.stable
    assert abs(found.stability.correlation) < 0.3
    assert "unstable (cross-validated correlation" in repr(found)


def test_the_first_images_are_those_that_are_seen_to_be_best(recovered):
    tune, neurons, _ = recovered
    top = tune.top_images(X, n=5)
    predicted = tune.predict(X)
    np.testing.assert_array_equal(top.responses, np.sort(predicted)[::-1][:5])
    np.testing.assert_array_equal(X[top.indices], top.images)
    measured = neurons.responses[1500:, 0]
    shown = tune.top_measured(X, measured, n=5)
    np.testing.assert_array_equal(shown.responses, np.sort(measured)[::-1][:5])
    # the mask lies where the template does
    weight = np.square(neurons.templates[0]).sum(axis=0)
    assert np.corrcoef(top.mask[0].ravel(), weight.ravel())[0, 1] > 0.4
    means = top.images.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(top.masked, means + top.mask * (top.images - means))


def test_cross_validated_scores_equal_their_loop(fitted):
    tune, neurons = fitted
    net, y = tune.models[1], neurons.responses[:, 1]
    features = net[:2](torch.tensor(SMALL)).flatten(1).detach().numpy()
    predicted = np.empty(len(y))
    folds = KFold(3, shuffle=True, random_state=tune._seed).split(features)
    regression = tune._readouts[1, 1, "1"]
    from sktrim.stimuli._readout import regression_of

    for train, test in folds:
        steps = make_pipeline(StandardScaler(), regression_of("ridge"))
        predicted[test] = steps.fit(features[train], y[train]).predict(features[test])
    expected = np.corrcoef(predicted, y)[0, 1]
    assert regression.correlation == pytest.approx(expected)
    table = tune.scores_
    assert isinstance(table, pd.DataFrame)
    assert len(table) == 2 * 2 * 2
    row = table.query("neuron == 1 and model == 1 and layer == '1'").iloc[0]
    assert row.correlation == pytest.approx(expected)


def test_predictions_equal_the_pipeline_by_hand():
    y = neurons_of(noise=0.1).responses[:, 0]
    tune = small(1, regression=Ridge(3.0)).fit(SMALL, y)
    layer = tune.best_layers_[0][0]
    net = tune.models[0][: int(layer) + 1]
    features = net(torch.tensor(SMALL)).flatten(1).detach().numpy()
    expected = make_pipeline(StandardScaler(), Ridge(3.0)).fit(features, y)
    np.testing.assert_allclose(tune.predict(SMALL), expected.predict(features))
    module = tune.response_module()
    with torch.no_grad():
        out = module(torch.tensor(SMALL[:1]))
    np.testing.assert_allclose(out, tune.predict(SMALL[:1])[:, None])


def test_predictions_are_the_mean_over_networks(fitted):
    tune, _ = fitted
    with torch.no_grad():
        each = [
            tune.response_module(m, neuron=1)(torch.tensor(SMALL))[:, 0].numpy()
            for m in range(2)
        ]
    assert tune.predict(SMALL).shape == (200, 2)
    np.testing.assert_allclose(tune.predict(SMALL)[:, 1], np.mean(each, axis=0))


def test_the_images_of_one_network_are_those_of_the_maximiser(fitted):
    tune, _ = fitted
    found = tune.maximize(1)
    alone = ActivationMaximizer(0, n_steps=20, n_starts=2, random_state=tune._seed)
    expected = alone.maximize(tune.response_module(1, neuron=1), SMALL)
    np.testing.assert_array_equal(found.by_model[1].images, expected.images)
    assert np.isnan(found.stability.over_compressed)
    given = copy.copy(tune).set_params(
        maximizer=ActivationMaximizer(("any", 3), n_steps=20)
    )
    np.testing.assert_array_equal(given.maximize(1).images, found.images)


def test_the_best_layer_and_network_are_those_of_the_best_correlation(fitted):
    tune, neurons = fitted
    table = tune.scores_
    for neuron, model in np.ndindex(2, 2):
        own = table.query("neuron == @neuron and model == @model")
        best = own.loc[own["correlation"].idxmax(), "layer"]
        assert tune.best_layers_[neuron][model] == best
    blind = pooled(0, 6)
    blind[0].weight.data.zero_()
    seeing = pooled(1, 6)
    tune = small(models=[blind, seeing, blind]).fit(SMALL, neurons.responses[:, 0])
    assert [r > 0.2 for r in tune.scores_.groupby("model")["correlation"].max()] == [
        False,
        True,
        False,
    ]
    # which is the one to be compressed
    assert tune._best_model(0) == 1


def test_a_lasso_is_sparse():
    y = neurons_of(noise=0.1).responses
    dense = small(1, layers=["1"]).fit(SMALL, y)
    sparse = small(1, regression="lasso", layers=["1"]).fit(SMALL, y)
    dense, sparse = dense.scores_["n_weights"], sparse.scores_["n_weights"]
    assert (sparse < 0.7 * dense).all()
    assert (sparse > 0).all()


def test_compressed_networks_lack_their_smallest_filters():
    net = pooled(0, 8)
    sizes = net[0].weight.detach().flatten(1).norm(dim=1).numpy()
    smaller = compressed(net, 0.5)
    gone = np.argsort(sizes)[:4]
    for k in range(8):
        assert bool(smaller[0].weight[k].any()) == (k not in gone)
        assert bool(smaller[0].bias[k] != 0) == (k not in gone)
    assert net[0].weight.flatten(1).any(1).all()


def test_networks_are_left_as_they_were():
    tune = small(1, n_compressed=1)
    before = copy.deepcopy(tune.models[0].state_dict())
    tune.models[0].train()
    tune.fit(SMALL, neurons_of().responses).maximize()
    assert tune.models[0].training
    torch.testing.assert_close(tune.models[0].state_dict(), before)


def test_a_crop_keeps_its_window_alone():
    got = cropped(SMALL[:3], 3, [4.0, 0.0], (-2, -1))
    mean = SMALL[:3].mean(axis=(2, 3))
    for i, j in np.ndindex(8, 8):
        inside = 3 <= i <= 5 and j <= 2
        expected = SMALL[:3, :, i, j] if inside else mean
        np.testing.assert_array_equal(got[:, :, i, j], expected)


def test_a_crop_of_everything_changes_nothing(fitted):
    tune, _ = fitted
    r = tune.response_to_crops(SMALL[:20], [2, 8], neuron=1)
    np.testing.assert_allclose(r[:, 1], tune.predict(SMALL[:20])[:, 1])
    assert not np.allclose(r[:, 0], r[:, 1])


def test_recombined_images_are_made_of_patches_in_their_places():
    rng = np.random.RandomState(0)
    images, sources = recombined(SMALL, 3, 5, (-2, -1), rng)
    assert sources.shape == (5, 3, 3)
    for k in range(5):
        for i, j in np.ndindex(8, 8):
            row = sources[k, i // 3, j // 3]
            assert images[k, 0, i, j] == SMALL[row, 0, i, j]


def test_recombinations_are_ranked_by_their_prediction(fitted):
    tune, _ = fitted
    made = tune.response_to_recombinations(SMALL, 4, 30, random_state=0)
    assert (np.diff(made.responses) <= 0).all()
    np.testing.assert_allclose(tune.predict(made.images)[:, 0], made.responses)
    assert made.largest == pytest.approx(tune.predict(SMALL)[:, 0].max())
    assert "whole images up to" in repr(made)


def test_families_are_neurons_of_one_orientation():
    angles, images = [0.2, 0.2, 0.2, 1.8, 1.8], TRAINED[:600]
    tuned = neurons_of(images=images, n_neurons=5, orientation=angles, noise=0.2)
    noise = neurons_of("noise", images, n_neurons=2)
    responses = np.concatenate([tuned.responses, noise.responses], axis=1)
    tune = small(models=[pooled(0)], layers=["2"]).fit(images, responses)
    found = tune.cluster_units(n_clusters=2)
    assert found.neurons.tolist() == [0, 1, 2, 3, 4]
    assert found.left_out.tolist() == [5, 6]
    assert len(set(found.labels[:3])) == len(set(found.labels[3:])) == 1
    assert found.labels[0] != found.labels[4]
    assert found.plot().get_ylabel() == "1 - correlation of weights"
    assert "2 left out" in repr(found)


def test_plots_show_every_network_and_the_consensus(fitted):
    tune, _ = fitted
    display = tune.maximize().plot()
    names = [ax.get_title() for ax in display.axes_]
    assert names == ["network 0", "network 1", "consensus"]
    top = tune.top_images(SMALL, 3)
    assert len(top.plot().axes_) == 3


@pytest.mark.parametrize(
    ("numbers", "stable"),
    [
        ((0.4, 0.9, 0.9, 0.9), True),
        ((0.2, 0.9, 0.9, 0.9), False),
        ((0.4, 0.4, 0.9, 0.9), False),
        ((0.4, 0.9, 0.4, 0.9), False),
        ((0.4, 0.9, 0.9, 0.4), False),
        ((0.4, 0.9, np.nan, np.nan), True),
    ],
)
def test_a_verdict_needs_all_of_its_numbers(numbers, stable):
    assert Stability(*numbers, 0.3, 0.5).stable is stable


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"models": []}, TypeError, "one at least"),
        ({"layers": "1"}, TypeError, "list of names"),
        ({"layers": ["9"]}, ValueError, "no module"),
        ({"regression": "forest"}, ValueError, "'lasso', 'ridge'"),
        ({"regression": KNeighborsRegressor()}, TypeError, "no readout"),
        ({"cv": 1}, ValueError, "cv=1"),
        ({"cv": 150}, ValueError, "150 folds"),
        ({"n_starts": 0}, ValueError, "n_starts=0"),
        ({"compression": 1.5}, ValueError, "compression=1.5"),
    ],
)
def test_what_cannot_be_is_told(change, error, message):
    tune = small(1).set_params(**change)
    with pytest.raises(error, match=message):
        tune.fit(SMALL, neurons_of().responses)


def test_what_does_not_fit_is_told(fitted):
    tune, neurons = fitted
    for y, message in (
        (np.ones(5), r"\(200,\)"),
        (np.full(200, np.nan), "NaN"),
        (np.ones((200, 2, 2)), "n_neurons"),
    ):
        with pytest.raises(ValueError, match=message):
            small(1, regression=LinearRegression()).fit(SMALL, y)
    for call, message in (
        (lambda: tune.maximize(2), "neuron=2"),
        (lambda: tune.response_module(5), "model=5"),
        (lambda: tune.response_module(layer="0"), "layer='0'"),
        (lambda: tune.top_images(SMALL, 0), "n=0"),
        (lambda: tune.response_to_crops(SMALL, [0]), "sizes"),
        (lambda: tune.response_to_recombinations(SMALL, 0), "patch=0"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    nothing = small(1, regression=Lasso(1e9)).fit(SMALL, neurons.responses)
    with pytest.raises(ValueError, match="0 of 2 neurons"):
        nothing.cluster_units()
    with pytest.raises(TypeError, match="dict of parameters"):
        copy.copy(tune).set_params(maximizer=3).maximize()
