"""A transform at a layer explains the rest of the network, whatever goes around it."""

import copy
import threading
import warnings

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.decomposition import NMF, PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sktrim import (
    FourierTransformer,
    TransformImportance,
    layer_output,
    transform_importance,
)
from sktrim.evaluation import randomisation_test, stability_report
from sktrim.exceptions import LayerBypassedWarning, LayerError
from sktrim.scorers import get_scorer_names
from tests.nets import regressor

SCORERS = [name for name in get_scorer_names() if name != "lrp_zbox"]


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(6, 1, 8, 8))


def seeded(make, *args):
    torch.manual_seed(3)
    return make(*args).double().eval()


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 3),
    )


class Residual(nn.Module):
    """What `b` adds is beside what goes around it."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(1, 2, 3, padding=1)
        self.b = nn.Conv2d(2, 2, 3, padding=1)
        self.head = nn.Linear(128, 3)

    def rest(self, value, around):
        return self.head((around + value.relu()).flatten(1))

    def forward(self, x):
        around = self.a(x).relu()
        return self.rest(self.b(around), around)


class Behind(nn.Module):
    """The rest of `Residual` behind `b`, for one sample."""

    def __init__(self, net, x):
        super().__init__()
        self.net, self.around = net, net.a(x).relu().detach()

    def forward(self, value):
        return self.net.rest(value, self.around)


def explain(net, X, scorer, **options):
    options = {"random_state": 0, "target": 1, "output": "logit"} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trim = TransformImportance(net, scorer=scorer, **options).fit(X)
        return trim.explain(X)


def agree(one, other):
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.predictions, other.predictions, rtol=1e-12)
    if other.base_values is not None:
        np.testing.assert_allclose(one.base_values, other.base_values, atol=1e-10)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("residual", ["constant", "component", "drop"])
def test_the_rest_is_explained_as_a_network_of_its_own(X, scorer, residual):
    net = seeded(lenet)
    values = layer_output(net, X, "0")
    options = {"transformer": PCA(5, random_state=0), "residual": residual}
    inside = explain(net, X, scorer, layer="0", **options)
    agree(inside, explain(net[1:], values, scorer, **options))
    assert inside.values.shape == (6, 5 + (residual == "component"))


@pytest.mark.parametrize("scorer", SCORERS)
def test_what_goes_around_is_each_samples_own(X, scorer):
    net = seeded(Residual)
    groups = np.repeat(np.arange(4), 32)
    inside = explain(net, X, scorer, layer="b", groups=groups)
    values = layer_output(net, X, "b")
    background = TransformImportance(net, layer="b").fit(X).background_
    for i in range(len(X)):
        alone = transform_importance(
            Behind(net, torch.tensor(X[i : i + 1])),
            values[i : i + 1],
            scorer=scorer,
            groups=groups,
            background=background.reshape(values.shape),
            target=1,
            output="logit",
            random_state=0,
        )
        drawn = scorer in ("lime", "smoothgrad", "gradient_shap", "expected_gradients")
        if not drawn or i == 0:
            np.testing.assert_allclose(inside.values[i], alone.values[0], atol=1e-10)


def test_many_samples_and_masks_are_those_of_few(X, monkeypatch):
    net = seeded(Residual)
    options = {"layer": "b", "groups": "coefficients"}
    for scorer in ("cd", "occlusion", "shapley", "deeplift", "integrated_gradients"):
        groups = np.repeat(np.arange(4), 32)
        whole = explain(net, X, scorer, layer="b", groups=groups)
        single = [
            explain(net, X[[i]], scorer, layer="b", groups=groups).values[0]
            for i in range(3)
        ]
        np.testing.assert_allclose(whole.values[:3], single, atol=1e-10)
    whole = explain(net, X, "cd", **options)
    with config_context(working_memory=1):
        agree(explain(net, X, "cd", **options), whole)


@pytest.mark.parametrize("scorer", ["cd", "deeplift", "lrp_epsilon", "occlusion"])
def test_a_leading_identity_is_no_layer(X, scorer):
    net = seeded(lenet)
    whole = nn.Sequential(nn.Identity(), *net).eval()
    transformer = FourierTransformer(axes=(-2, -1))
    inside = explain(whole, X, scorer, layer="0", transformer=transformer)
    agree(inside, explain(net, X, scorer, transformer=transformer))


def test_concepts_of_a_linear_head_are_scored_in_closed_form(X):
    net = nn.Sequential(seeded(lenet)[:4], nn.Linear(36, 3).double()).eval()
    trim = TransformImportance(
        net,
        NMF(4, init="nndsvda", random_state=0, max_iter=500),
        layer="0.3",
        target=2,
        output="logit",
        residual="component",
    ).fit(X)
    explanation = trim.explain(X)
    weight = net[1].weight.detach().numpy()[2]
    s, atoms = explanation.coefficients, trim.transformer_.components_
    np.testing.assert_allclose(explanation.values[:, :4], s * (atoms @ weight))
    missing = trim.signals(X).x - s @ atoms
    np.testing.assert_allclose(explanation.values[:, 4], missing @ weight, atol=1e-12)
    # what is left is the bias, which the base value holds
    np.testing.assert_allclose(explanation.completeness_error, 0, atol=1e-10)


class Held(nn.Module):
    """Calls its layer through a list and a bound method, which no copy would follow."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)
        self.steps = [self.first, torch.relu]
        self.again = self.second.__call__

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return self.again(x)


@pytest.mark.parametrize("layer", ["first", "module"])
def test_a_layer_that_is_held_elsewhere_is_met(layer):
    net = seeded(Held)
    X = np.random.default_rng(1).normal(size=(5, 4))
    plain = nn.Sequential(net.first, nn.ReLU(), net.second).eval()
    named = net.first if layer == "module" else layer
    agree(explain(net, X, "cd", layer=named), explain(plain, X, "cd", layer="0"))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.act, self.head = (
            nn.Linear(4, 4),
            nn.Tanh(),
            nn.Linear(4, 2),
        )

    def forward(self, x):
        return self.head(self.act(self.inner(self.act(x))))


@pytest.mark.parametrize("call", [0, 1])
def test_a_layer_called_twice_is_explained_at_the_call_that_is_meant(call):
    net, X = seeded(Twice), np.random.default_rng(1).normal(size=(5, 4))
    steps = [nn.Tanh(), net.inner, nn.Tanh(), net.head]
    plain = nn.Sequential(*steps).eval()
    inside = explain(net, X, "deeplift", layer="act", call=call)
    agree(inside, explain(plain, X, "deeplift", layer=str(2 * call)))
    with pytest.raises(LayerError, match=r"'act' 2 times in a pass; .*call=0 to"):
        TransformImportance(net, layer="act").fit(X)
    with pytest.raises(LayerError, match=r"call=2, but .* 'act' 2 time"):
        TransformImportance(net, layer="act", call=2).fit(X)


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(20, 6), nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(self.lstm(self.embedding(tokens))[0][:, -1])


@pytest.mark.parametrize("scorer", ["cd", "integrated_gradients", "occlusion"])
def test_tokens_reach_the_layer_as_integers(scorer):
    net = seeded(Tokens)
    X = np.random.default_rng(0).integers(0, 20, (4, 7))
    words = np.repeat(np.arange(7), 6)
    inside = explain(net, X, scorer, layer="embedding", groups=words)
    assert inside.values.shape == (4, 7)

    class Rest(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = net.lstm, net.head

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    values = net.embedding(torch.tensor(X)).detach().numpy()
    agree(inside, explain(Rest().eval(), values, scorer, groups=words))
    # pixels are integers too, and reach a convolution as numbers
    pixels = np.random.default_rng(0).integers(0, 255, (4, 1, 8, 8))
    assert explain(seeded(lenet), pixels, scorer, layer="0", groups="coefficients")


def test_a_pipeline_and_a_fitted_network_have_layers(X):
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype("float32")
    net = regressor().fit(rows, rows[:, :1] - rows[:, 1:2])
    pipe = make_pipeline(StandardScaler().fit(rows), net)
    name = next(n for n, m in net.module_.named_modules() if isinstance(m, nn.Linear))
    trim = TransformImportance(pipe, layer=name).fit(rows)
    explanation = trim.explain(rows[:3])
    np.testing.assert_allclose(
        explanation.predictions, pipe.predict(rows[:3]), rtol=1e-5
    )
    assert trim.predict(rows[:3]).shape == (3,)


def test_who_goes_around_is_said_and_who_does_not_needs_one_row_upstream(X):
    net = seeded(Residual)
    with pytest.warns(LayerBypassedWarning, match="ways around 'b'"):
        trim = TransformImportance(net, layer="b").fit(X)
    assert trim.network_.bypassed
    rows = []
    net = seeded(lenet)
    trim = TransformImportance(net, scorer="occlusion", layer="2").fit(X)
    handle = net[0].register_forward_hook(lambda m, x, out: rows.append(len(out)))
    trim.explain(X)
    handle.remove()
    # those that bring the samples to the layer, and one for each pass of the rest
    assert rows[0] == len(X)
    assert set(rows[1:]) == {1}


@pytest.mark.parametrize("layer", ["b", "module"])
def test_studies_go_on_at_a_layer(X, layer):
    net = seeded(Residual)
    X = np.random.default_rng(0).normal(size=(12, 1, 8, 8))
    named = net.b if layer == "module" else layer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trim = TransformImportance(net, PCA(3), layer=named, random_state=0).fit(X)
        stable = stability_report(trim, X, n_draws=2)
        assert set(stable.kinds) >= {"noise", "adversarial"}
        result = randomisation_test(trim, X, n_draws=1, random_state=0)
        assert result.layers == ["head", "b", "a"]
        # another network before the layer brings other signals to it
        assert (result.signed["spearman"] < 1).all()
        assert np.isfinite(trim.score(X))


def test_nothing_is_left_behind(X):
    net = seeded(lenet).train()
    before = copy.deepcopy(net.state_dict())
    hooks = torch.nn.modules.module._global_forward_hooks
    trim = TransformImportance(net, layer="0").fit(X)
    trim.explain(X)
    with pytest.raises(ValueError, match="layer"):
        TransformImportance(net, layer="none").fit(X)
    assert not hooks
    assert net.training
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])


def test_threads_meet_their_own_layers(X):
    net = seeded(Residual)
    layers = {"a": None, "b": None}
    alone = {layer: explain(net, X, "cd", layer=layer).values for layer in layers}

    def work(layer):
        for _ in range(5):
            found = explain(net, X, "cd", layer=layer, n_jobs=2).values
            np.testing.assert_allclose(found, alone[layer], atol=1e-12)
        layers[layer] = True

    threads = [threading.Thread(target=work, args=(layer,)) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(layers.values())


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused, self.lost = (nn.Linear(4, 2) for _ in range(3))
        self.lstm = nn.LSTM(4, 2, batch_first=True)

    def forward(self, x):
        self.lost(x)
        return self.used(x) + self.lstm(x[:, None])[0][:, 0]


@pytest.mark.parametrize(
    ("layer", "error", "match"),
    [
        ("usd", ValueError, "no module of the network; .* such as 'used'"),
        (3, TypeError, "layer=3; expected a name"),
        ("unused", LayerError, "never calls 'unused' as a module"),
        ("lost", LayerError, "does not depend on what 'lost' puts out"),
        ("lstm", LayerError, "'lstm' puts out a tuple; expected one tensor"),
        (nn.Linear(4, 2), LayerError, "never calls the given Linear"),
    ],
)
def test_layers_that_cannot_stand_for_the_input_are_refused(layer, error, match):
    X = np.random.default_rng(0).normal(size=(5, 4))
    with pytest.raises(error, match=match):
        TransformImportance(seeded(Unused), layer=layer).fit(X)


def test_layers_of_what_has_none_are_refused(X):
    rows = X.reshape(6, -1)
    forest = RandomForestRegressor(5).fit(rows, rows[:, 0])
    with pytest.raises(TypeError, match=r"RandomForestRegressor has none"):
        TransformImportance(forest, scorer="occlusion", layer="0").fit(rows)
    with pytest.raises(ValueError, match=r"call=1 counts the calls of a layer"):
        TransformImportance(seeded(lenet), call=1).fit(X)


class Reads(nn.Module):
    """What a layer put out is read again where no replacement reaches."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        out = self.first(x)
        return self.head(out + torch.nn.functional.linear(x, self.first.weight))


def test_a_network_that_uses_the_layers_weights_itself_is_held_there():
    X = np.random.default_rng(0).normal(size=(5, 4))
    with pytest.warns(LayerBypassedWarning, match="'first'"):
        TransformImportance(seeded(Reads), layer="first").fit(X)


class Padded(nn.Module):
    """The mean over the steps that are no padding, which the input tells."""

    def __init__(self, pad, embeds):
        super().__init__()
        self.pad, self.embeds = pad, embeds
        self.first = nn.Embedding(20, 6) if embeds else nn.Linear(3, 6)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        there = x != self.pad if self.embeds else (x != 0).any(dim=-1)
        out = self.first(x) * there[..., None]
        return self.head(out.sum(dim=1) / there.sum(dim=1, keepdim=True))


class Gaps(nn.Module):
    """What is missing goes around the layer."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        gaps = x.isnan().any(dim=1, keepdim=True)
        return self.head(self.first(x.nan_to_num())) * (1 + gaps)


def test_gaps_that_the_first_samples_lack_are_seen_around_a_layer():
    X = np.random.default_rng(0).normal(size=(5, 4))
    with pytest.warns(LayerBypassedWarning, match="'first'"):
        TransformImportance(seeded(Gaps), layer="first").fit(X)


PADS = [(0, True), (1, True), (0, False)]


@pytest.mark.parametrize(("pad", "embeds"), PADS)
@pytest.mark.parametrize("scorer", ["cd", "deeplift", "occlusion"])
def test_each_sample_keeps_its_own_padding_when_the_first_have_none(
    scorer, pad, embeds
):
    rng = np.random.default_rng(0)
    X = rng.integers(2, 20, (6, 5)) if embeds else rng.normal(size=(6, 5, 3))
    X[4:, 2:] = pad
    net = seeded(lambda: Padded(pad, embeds))
    together = explain(net, X, scorer, layer="first").values
    for row in range(6):
        own = explain(net, X[[row]], scorer, layer="first").values
        np.testing.assert_allclose(together[[row]], own, atol=1e-10)
    assert not together.reshape(6, 5, 6)[4:, 2:].any()
