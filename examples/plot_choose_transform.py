"""
Choosing a transform
====================

Which space explains a network best: Fourier, wavelets, principal components, parts? A
grid search can answer that as it answers any other question about parameters, since
explanations have scores. Accuracy could not: the network is the same in every space.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF, PCA
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    train_test_split,
)
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import FourierTransformer, TransformImportance, WaveletTransformer
from sktrim.evaluation import explanation_scores, faithfulness_report

# %%
# A convolutional network that reads handwritten digits.

X, y = load_digits(return_X_y=True)
X = (X.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
torch.manual_seed(0)
net = NeuralNetClassifier(
    nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 10),
    ),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.003,
    max_epochs=10,
    batch_size=64,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
).fit(X_train, y_train)
print(f"accuracy: {net.score(X_test, y_test):.3f}")

# %%
# The grid: families of transforms, each with parameters of its own. One explanation
# of each candidate gives all five metrics; the search keeps the most faithful. Groups
# differ in number between spaces, and faithfulness is an area over the *share* of
# groups removed, so the spaces compare.

trim = TransformImportance(FrozenEstimator(net), groups="coefficients", random_state=0)
grid = [
    {"transformer": [FourierTransformer(signal_shape=(1, 8, 8))]},
    {
        "transformer": [WaveletTransformer("haar", signal_shape=(1, 8, 8))],
        "transformer__level": [1, 2, 3],
    },
    {
        "transformer": [WaveletTransformer(level=1, signal_shape=(1, 8, 8))],
        "transformer__wavelet": ["db2"],
    },
    {"transformer": [PCA(random_state=0)], "transformer__n_components": [8, 16, 24]},
    {
        "transformer": [NMF(init="nndsvda", max_iter=1000, tol=1e-2, random_state=0)],
        "transformer__n_components": [8, 16, 24],
    },
]
search = GridSearchCV(
    trim, grid, scoring=explanation_scores, refit="faithfulness", cv=3, n_jobs=2
).fit(X_train[:300])


def describe(parameters):
    """Name a candidate."""
    kind = type(parameters["transformer"]).__name__.removesuffix("Transformer")
    short = {"transformer__level": "haar, level ", "transformer__wavelet": ""}
    values = [
        f"{short.get(key, '')}{value}"
        for key, value in parameters.items()
        if key != "transformer"
    ]
    return " ".join([kind, *values])


results = search.cv_results_
names = [describe(parameters) for parameters in results["params"]]
metrics = [
    "faithfulness",
    "neg_sufficient_fraction",
    "completeness",
    "sparsity",
    "localisation",
]
print(f"{'':24s}" + "".join(f"{m.removeprefix('neg_')[:14]:>16s}" for m in metrics))
for index in np.argsort(results["rank_test_faithfulness"]):
    row = "".join(f"{results[f'mean_test_{m}'][index]:16.3f}" for m in metrics)
    print(f"{names[index]:24s}{row}")

# %%
# With more candidates, halving tries all of them on few images and keeps the better
# third for more.

halving = HalvingGridSearchCV(
    trim, grid, factor=3, min_resources=60, cv=3, random_state=0, n_jobs=2
).fit(X_train)
print("halving keeps", describe(halving.best_params_))

# %%
# Is the winner's order of groups better than chance, and than the size of the
# coefficients alone?

report = faithfulness_report(search.best_estimator_, X_test[:200])
print(report)

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
order = np.argsort(results["mean_test_faithfulness"])
left.barh(
    [names[index] for index in order],
    results["mean_test_faithfulness"][order],
    xerr=results["std_test_faithfulness"][order],
    color="#0072B2",
)
left.set(title="Which space explains the network best", xlabel="faithfulness")
left.spines[["top", "right"]].set_visible(False)
report.plot(title=f"{describe(search.best_params_)}: held-out images", ax=right)
below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.13), "ncols": 3}
right.legend(frameon=False, fontsize="small", columnspacing=1.0, **below)

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/choose_transform.png", dpi=120)
