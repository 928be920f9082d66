"""Chunks explained in other threads and processes, as joblib is told."""

import sys
import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context, get_config
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sktrim import (
    FourierTransformer,
    TransformImportance,
    inverse_module,
    transform_importance,
)
from sktrim.scorers import Gradient
from tests.nets import classifier, mlp


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    # so large that torch starts its threads, which no forked process has
    torch.ones(2**20).tanh()
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("backend", ["multiprocessing", "threading"])
def test_workers_give_what_one_gives(backend, two_threads, monkeypatch):
    monkeypatch.setattr("sktrim._memory.CACHE_BYTES", 2**20)
    X = np.random.default_rng(0).standard_normal((50, 4000))
    trim = TransformImportance(
        mlp(4000),
        FourierTransformer(),
        "gradient",
        groups=lambda fitted: fitted.feature_groups(by="band", n_bands=5),
    ).fit(X)
    alone = trim.transform(X)
    trim.set_params(n_jobs=2)
    with joblib.parallel_config(backend):
        together = trim.transform(X)
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)
    assert torch.get_num_threads() == 2


@pytest.mark.filterwarnings("error:X does not have valid feature names")
def test_no_filter_of_warnings_is_touched(monkeypatch):
    """Filters belong to all threads, so that one which restores them undoes others."""
    values = np.random.default_rng(0).standard_normal((40, 6)).astype("float32")
    X = pd.DataFrame(values).add_prefix("f")
    scaler = StandardScaler().fit(X)
    net = classifier().fit(scaler.transform(X), np.arange(40) % 2)
    model = make_pipeline(scaler, net)
    whitener = StandardScaler().fit(X.to_numpy())

    enter, enterers = warnings.catch_warnings.__enter__, set()

    def watch(caught):
        package = sys._getframe(1).f_globals["__name__"].partition(".")[0]
        enterers.add((package, threading.current_thread()))
        return enter(caught)

    with monkeypatch.context() as patch:
        patch.setattr(warnings.catch_warnings, "__enter__", watch)
        trim = TransformImportance(model, whitener, "gradient", n_jobs=2).fit(X)
        found = trim.transform(X)
        inverse = inverse_module(scaler, X=X.to_numpy())
    # checks of X do so, in the thread of the caller
    assert {thread for _, thread in enterers} <= {threading.current_thread()}
    assert {package for package, _ in enterers} <= {"pandas", "sklearn"}
    assert found.shape == (40, 6)
    assert inverse.is_affine


def test_threads_keep_the_settings_of_the_caller():
    seen = []

    class Watching(Gradient):
        def attribute(self, *args, **kwargs):
            seen.append(get_config()["working_memory"])
            return super().attribute(*args, **kwargs)

    X = np.ones((8, 12))
    with config_context(working_memory=123):
        transform_importance(mlp(), X, scorer=Watching(), n_jobs=2)
    assert seen == [123] * 4
