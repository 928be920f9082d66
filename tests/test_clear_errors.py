"""What a newcomer gives: it works in the units that are meant, or says what to do."""

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA, DictionaryLearning
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    QuantileTransformer,
    StandardScaler,
)
from skorch.helper import SliceDict
from torch import nn

from sktrim import TransformImportance, transform_importance
from tests.nets import classifier, mlp, regressor

X = np.random.default_rng(0).standard_normal((24, 12)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
Z = X[:, :1] * 50 + 100


class Giving(nn.Module):
    """Returns what a function makes of a network's output."""

    def __init__(self, give):
        super().__init__()
        self.net, self.give = mlp(dtype=torch.float32), give

    def forward(self, x):
        return self.give(self.net(x))


@pytest.mark.parametrize("scorer", ["cd", "gradient", "occlusion"])
@pytest.mark.parametrize(
    ("give", "message"),
    [
        (torch.sum, r"shape \(\) for 2 samples.*squeeze"),
        (lambda o: o[:, :0], r"shape \(2, 0\) for 2 samples"),
        (lambda o: o > 0, r"torch\.bool; expected floating point.*before its decision"),
        (lambda o: o.argmax(1), r"torch\.int64; expected floating point"),
        (lambda o: o + 0j, r"torch\.complex64; expected floating point"),
        (lambda o: {"a": o, "b": o}, r"dict with 'a', 'b'; expected a tensor"),
        (lambda o: None, "NoneType; expected a tensor"),
        (lambda o: (), "tuple; expected a tensor"),
    ],
)
def test_outputs_that_cannot_be_explained(give, message, scorer):
    with pytest.raises(ValueError, match=message):
        TransformImportance(Giving(give).eval(), scorer=scorer).fit(X)


@pytest.mark.parametrize("scorer", ["cd", "gradient", "deeplift", "lrp_epsilon"])
@pytest.mark.parametrize(
    "give",
    [
        lambda o: {"loss": o.sum(), "hidden": o * 3, "logits": o},
        lambda o: OrderedDict(loss=None, logits=o),
        lambda o: SimpleNamespace(hidden=o * 3, logits=o),
        lambda o: {"out": o},
    ],
)
def test_outputs_with_logits_are_those_logits(give, scorer):
    net = Giving(give).eval()
    found = transform_importance(net, X, scorer=scorer)
    expected = transform_importance(net.net, X, scorer=scorer)
    np.testing.assert_allclose(found.values, expected.values)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scorer", ["gradient", "occlusion"])
def test_frozen_torchscript_is_a_network(scorer):
    net = mlp(dtype=torch.float32)
    frozen = torch.jit.freeze(torch.jit.script(net))
    found = transform_importance(frozen, X, scorer=scorer)
    expected = transform_importance(net, X, scorer=scorer)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    with pytest.raises(TypeError, match="is TorchScript"):
        transform_importance(frozen, X, scorer="cd")


def both(model, scorer="cd", x=X):
    """Explain in both ways, which must agree."""
    found = transform_importance(model, x, scorer=scorer, random_state=0)
    trim = TransformImportance(model, scorer=scorer, random_state=0).fit(x)
    np.testing.assert_array_equal(trim.transform(x), found.values)
    return trim, found


def test_a_search_is_its_best_estimator():
    for inner, grid in (
        (classifier(max_epochs=1), {"lr": [0.1]}),
        (
            make_pipeline(StandardScaler(), classifier(max_epochs=1)),
            {"standardscaler__with_mean": [True]},
        ),
    ):
        search = GridSearchCV(inner, grid, cv=2).fit(X, Y)
        for model in (search, make_pipeline(FunctionTransformer(), search)):
            trim, found = both(model)
            _, expected = both(search.best_estimator_)
            np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
            np.testing.assert_array_equal(trim.predict(X), search.predict(X))


def test_a_search_is_fitted_on_what_its_net_takes():
    search = GridSearchCV(classifier(max_epochs=1), {"lr": [0.1]}, cv=2)
    trim = TransformImportance(search, scorer="gradient").fit(X.astype(float), Y)
    np.testing.assert_array_equal(trim.predict(X), trim.estimator_.predict(X))
    search = GridSearchCV(classifier(), {"lr": [0.1]}, refit=False)
    with pytest.raises(TypeError, match="best_estimator_, with refit=True"):
        TransformImportance(search, scorer="cd").fit(X, Y)


@pytest.mark.parametrize("scorer", ["cd", "gradient", "deeplift", "occlusion"])
def test_a_transformed_target_is_explained_in_its_own_units(scorer):
    net = TransformedTargetRegressor(
        regressor(max_epochs=2), transformer=StandardScaler()
    ).fit(X, Z)
    trim, found = both(net, scorer)
    expected = net.predict(X).reshape(-1)
    np.testing.assert_allclose(trim.predict(X), expected, rtol=1e-5)
    np.testing.assert_allclose(found.explained, expected, rtol=1e-5)
    _, inner = both(net.regressor_, scorer)
    scale = net.transformer_.scale_[0]
    np.testing.assert_allclose(found.values, inner.values * scale, atol=1e-4)
    for step in (StandardScaler(), QuantileTransformer(n_quantiles=9)):
        inner = make_pipeline(step, regressor(max_epochs=2))
        net = TransformedTargetRegressor(inner, transformer=StandardScaler())
        piped = make_pipeline(StandardScaler(), net).fit(X, Z)
        trim = TransformImportance(piped, scorer=scorer).fit(X)
        expected = piped.predict(X).reshape(-1)
        np.testing.assert_allclose(trim.predict(X), expected, rtol=1e-4)


def test_networks_inside_other_wrappers_are_named():
    nets = [("a", classifier(max_epochs=1)), ("b", classifier(max_epochs=1))]
    curved = QuantileTransformer(n_quantiles=9)
    torch.manual_seed(0)
    for wrapper, y, name in (
        (VotingClassifier(nets, voting="soft"), Y, r"estimators_\[0\]"),
        (CalibratedClassifierCV(nets[0][1], cv=2), Y, "calibrated_classifiers_"),
        (TransformedTargetRegressor(regressor(), transformer=curved), Z, "regressor_"),
    ):
        model = wrapper.fit(X, y)
        for wanting in ("cd", "gradient"):
            with pytest.raises(TypeError, match=rf"network inside is its {name}"):
                transform_importance(model, X, scorer=wanting)
            with pytest.raises(TypeError, match=rf"network inside is its {name}"):
                TransformImportance(model, scorer=wanting).fit(X, y)
        state = torch.get_rng_state()
        trim, found = both(model, "occlusion")
        assert torch.equal(torch.get_rng_state(), state)
        expected = model.predict(X).reshape(-1)
        np.testing.assert_allclose(trim.predict(X), expected, rtol=1e-5)
        double = transform_importance(model, X.astype(float), scorer="occlusion")
        np.testing.assert_allclose(double.values, found.values, atol=1e-6)


@pytest.mark.parametrize("several", [{"x": X}, SliceDict(x=X, z=X), (X, X), [X, Z]])
def test_several_inputs_are_refused(several):
    with pytest.raises(TypeError, match=r"several inputs.*context="):
        transform_importance(mlp(), several)
    with pytest.raises(TypeError, match=r"several inputs.*context="):
        TransformImportance(mlp()).fit(several)


DATES = pd.DataFrame({f"c{i}": pd.date_range("2020", periods=5) for i in range(12)})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ma.masked_array(X, mask=X > 1), r"masked array.*filled"),
        (DATES, "holds datetimes"),
        (DATES.to_numpy(), "holds datetimes"),
        (DATES.to_numpy() - DATES.to_numpy()[:1], "holds datetimes"),
        (X.astype(str), r"holds strings.*astype\(float\)"),
        (X.astype(str).astype(object), "holds strings"),
        (X.astype(str).tolist(), "holds strings"),
        (pd.DataFrame(X).astype(str), "holds strings"),
        (pd.DataFrame(X).astype({3: str}), "holds strings"),
    ],
)
def test_what_is_no_number_is_refused(bad, message):
    net = mlp(dtype=torch.float32)
    with pytest.raises(ValueError, match=message):
        transform_importance(net, bad)
    with pytest.raises(ValueError, match=message):
        TransformImportance(net).fit(bad)
    trim = TransformImportance(net).fit(X)
    with pytest.raises(ValueError, match=message):
        trim.explain(bad)


@pytest.mark.parametrize("fine", [np.ma.masked_array(X), X > 0, torch.as_tensor(X)])
def test_what_is_a_number_is_not(fine):
    net = mlp(dtype=torch.float32)
    assert np.isfinite(transform_importance(net, fine).values).all()


def test_a_split_sign_has_two_names_of_each_atom():
    words = DictionaryLearning(
        3, max_iter=3, split_sign=True, transform_algorithm="lasso_lars", random_state=0
    ).fit(X)
    for transformer in (words, make_pipeline(StandardScaler(), words).fit(X)):
        for groups in ("natural", "coefficients"):
            found = transform_importance(
                mlp(dtype=torch.float32),
                X,
                transformer=transformer,
                scorer="occlusion",
                groups=groups,
            )
            assert found.group_names[1] == "dictionarylearning1 positive"
            assert found.group_names[4] == "dictionarylearning1 negative"
            negative = np.asarray(found.coefficients)[:, 3:]
            assert (negative >= 0).all()
            assert (negative > 0).any()


@pytest.mark.parametrize("transformer", [None, PCA(3).fit(X)])
@pytest.mark.parametrize("background", [X[:, :5], X[:, None], X[:, :, None]])
def test_a_background_that_is_laid_out_otherwise(background, transformer):
    with pytest.raises(ValueError, match="background has signals of shape"):
        transform_importance(
            mlp(dtype=torch.float32),
            X,
            transformer=transformer,
            scorer="expected_gradients",
            background=background,
        )


class Shortened(PCA):
    """Gives back a part of the signal."""

    def inverse_transform(self, X):
        return super().inverse_transform(X)[:, :7]


@pytest.mark.parametrize("scorer", ["cd", "occlusion"])
def test_an_inverse_of_another_width(scorer):
    net, short = mlp(dtype=torch.float32), Shortened(3)
    with pytest.raises(ValueError, match="Shortened gives 7 values for a signal of 12"):
        transform_importance(net, X, transformer=short.fit(X), scorer=scorer)
    with pytest.raises(ValueError, match="Shortened gives 7 values for a signal of 12"):
        TransformImportance(net, short, scorer).fit(X)
