"""How much memory is taken at once, and what stays once it was freed."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import TruncatedSVD
from skorch import NeuralNetClassifier, NeuralNetRegressor

import sktrim
from sktrim._memory import ByteCounter

CODE = """
import os
import numpy as np, torch
import sktrim
net = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
sktrim.transform_importance(net, np.ones((3, 8), "float32"))

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def kept():
    before = resident()
    blocks = [torch.ones(2**19) for _ in range(20)]
    assert resident() - before > 30
    del blocks
    return resident() - before

print(kept())
sktrim.keep_freed_memory()
print(kept())
"""


def test_freed_memory_stays_only_once_that_was_asked_for():
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    unasked, asked = map(float, done.stdout.split())
    assert unasked < 10
    assert asked > 25


@pytest.mark.filterwarnings("ignore::sktrim.exceptions.ReconstructionWarning")
@pytest.mark.parametrize(
    "scorer", ["cd", "integrated_gradients", "deeplift", "occlusion"]
)
def test_sparse_signals_are_dense_a_chunk_at_a_time(scorer):
    n_documents, n_words = 1000, 10_000
    dense = 4 * n_documents * n_words
    X = sp.random(
        n_documents, n_words, 0.002, format="csr", dtype=np.float32, random_state=0
    )
    topics = TruncatedSVD(3, random_state=0).fit(X)
    net = torch.nn.Sequential(torch.nn.Linear(n_words, 2), torch.nn.ReLU()).eval()
    tracemalloc.start()
    try:
        with ByteCounter() as counter:
            explanation = sktrim.transform_importance(
                net, X, transformer=topics, scorer=scorer, target=0, output="logit"
            )
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert explanation.values.shape == (n_documents, 3)
    assert counter.largest < dense / 4
    assert arrays < dense / 2


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_a_net_is_fitted_to_sparse_signals_as_they_are(kind):
    X = kind(sp.random(40, 5000, 0.01, random_state=0))
    seen = []

    class Noting(NeuralNetClassifier):
        def fit(self, X, y=None, **params):
            seen.append(X)
            return super().fit(X, y, **params)

    net = Noting(torch.nn.Linear(5000, 2), max_epochs=1, verbose=0)
    trim = sktrim.TransformImportance(net, TruncatedSVD(2, random_state=0))
    trim.fit(X, np.arange(40) % 2)
    assert sp.issparse(seen[0])
    assert seen[0].dtype == np.float32


def test_a_regressor_is_fitted_to_sparse_signals():
    X = sp.random(40, 50, 0.1, format="csr", random_state=0)
    net = NeuralNetRegressor(torch.nn.Linear(50, 1), max_epochs=20, verbose=0)
    trim = sktrim.TransformImportance(net, TruncatedSVD(2, random_state=0))
    y = np.asarray(X.sum(axis=1)).ravel()
    assert np.corrcoef(trim.fit(X, y).predict(X), y)[0, 1] > 0.5


def test_sparse_signals_lead_to_a_layer_a_chunk_at_a_time():
    X = sp.random(1000, 10_000, 0.002, format="csr", random_state=0)
    net = torch.nn.Sequential(torch.nn.Linear(10_000, 3), torch.nn.ReLU())
    net = torch.nn.Sequential(net, torch.nn.Linear(3, 2)).eval()
    tracemalloc.start()
    try:
        scores = sktrim.transform_importance(net, X, layer="0").values
        arrays = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert arrays < 8 * 1000 * 10_000 / 4
    dense = sktrim.transform_importance(net, X[:5].toarray(), layer="0").values
    np.testing.assert_allclose(scores[:5], dense, rtol=1e-4, atol=1e-6)
