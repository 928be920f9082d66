"""skorch nets that train with a penalty, in grid searches and with masks."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from torch import nn

from sktrim import TransformImportance
from sktrim.exceptions import NonFiniteLossError
from sktrim.learning import (
    ExplanationPenalty,
    PenalisedClassifier,
    PenalisedRegressor,
)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    X = rng.normal(size=(200, 3)) * 0.5
    X[:, 0] += y
    X[:, 1] += 2 * y
    return X.astype(np.float32), y


def net(kind=PenalisedClassifier, **options):
    torch.manual_seed(0)
    options = {"max_epochs": 8, "lr": 0.1, "verbose": 0, **options}
    if kind is PenalisedRegressor:
        return kind(
            nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)), **options
        )
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return kind(module, criterion=nn.CrossEntropyLoss, **options)


def use_of(fitted, X, column=1):
    trim = TransformImportance(FrozenEstimator(fitted), scorer="occlusion").fit(X)
    return np.abs(trim.explain(X).values[:, column]).mean()


def test_what_is_penalised_is_used_less(data):
    penalty = ExplanationPenalty(wanted={"coefficient1": 0.0}, weight=1.0)
    free, held = net().fit(*data), net(penalty=penalty).fit(*data)
    assert use_of(held, data[0]) < 0.2 * use_of(free, data[0])
    assert held.history[-1]["train_penalty"] > 0
    assert free.history[-1]["train_penalty"] == 0


def test_without_weight_it_is_the_plain_net(data):
    penalty = ExplanationPenalty(weight=0.0)
    plain = net(NeuralNetClassifier).fit(*data)
    both = net(penalty=penalty).fit(*data)
    for a, b in zip(plain.module_.parameters(), both.module_.parameters(), strict=True):
        assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_a_grid_searches_the_weight(data):
    penalty = ExplanationPenalty(wanted={"coefficient1": 0.0})
    search = GridSearchCV(
        net(penalty=penalty, callbacks=[EarlyStopping(patience=3)]),
        {"penalty__weight": [0.0, 1.0]},
        cv=2,
    ).fit(*data)
    assert search.best_params_["penalty__weight"] == 0.0
    assert set(search.cv_results_["param_penalty__weight"]) == {0.0, 1.0}
    assert penalty.weight == 1.0
    assert clone(search.best_estimator_).penalty.weight == 0.0


def test_masks_of_samples_come_with_x(data):
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Linear(3, 2)

        def forward(self, x):
            return self.layers(x)

    X, y = data
    masks = np.zeros_like(X)
    masks[:, 1] = 1
    torch.manual_seed(0)
    fitted = PenalisedClassifier(
        Named,
        criterion=nn.CrossEntropyLoss,
        penalty=ExplanationPenalty(weight=1.0),
        max_epochs=8,
        lr=0.1,
        verbose=0,
    ).fit({"x": X, "penalty_masks": masks}, y)
    slopes = fitted.module_.layers.weight.diff(dim=0)[0].abs()
    assert slopes[1] < 0.4 * slopes[0]
    assert fitted.predict(X).shape == y.shape


def test_regressors_train_with_penalties(data):
    X, y = data
    penalty = ExplanationPenalty(wanted={"coefficient1": 0.0}, weight=3.0)
    target = y.astype(np.float32)[:, None]
    free = net(PenalisedRegressor).fit(X, target)
    held = net(PenalisedRegressor, penalty=penalty).fit(X, target)
    assert use_of(held, X) < 0.3 * use_of(free, X)


def test_regressors_of_several_outputs_are_penalised_as_they_are(data):
    X, y = data
    target = np.column_stack([y, -2 * y]).astype(np.float32)
    penalty = ExplanationPenalty(wanted={"coefficient1": 0.0}, scorer="cd")
    module = nn.Linear(3, 2, bias=False)
    fitted = PenalisedRegressor(
        module, penalty=penalty, max_epochs=1, lr=1e-12, verbose=0, train_split=None
    ).fit(X, target)
    parts = X[:, 1:2] * fitted.module_.weight.detach().numpy()[:, 1]
    assert fitted.history[-1]["train_penalty"] == pytest.approx((parts**2).mean())


def test_a_loss_that_is_no_number_stops_before_the_step(data):
    X, y = data
    bad = X.copy()
    bad[:] = np.nan
    fitted = net().fit(X, y)
    before = [p.detach().clone() for p in fitted.module_.parameters()]
    with pytest.raises(NonFiniteLossError, match="before the penalty"):
        fitted.partial_fit(bad, y)
    after = fitted.module_.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
