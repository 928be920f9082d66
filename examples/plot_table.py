"""
Principal components of a table
===============================

Columns of a table are often correlated, and then no single one of them seems to
matter: shuffle it, and the network reads the same from its neighbours. Principal
components gather what goes together, and TRIM asks about them without touching the
network, which was trained on the columns.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import FeatureGroups, TransformImportance

# %%
# A network that tells benign from malignant tumours by 30 measurements of the cells'
# nuclei. The scaler is a part of it.

data = load_breast_cancer()
columns = data.feature_names
X_train, X_test, y_train, y_test = train_test_split(
    data.data.astype(np.float32), data.target, stratify=data.target, random_state=0
)
torch.manual_seed(0)
net = make_pipeline(
    StandardScaler(),
    NeuralNetClassifier(
        nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2)),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        max_epochs=30,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ),
).fit(X_train, y_train)
print(f"accuracy: {net.score(X_test, y_test):.3f}")

# %%
# A component is named after the columns that load on it most.


def name_components(space):
    """Give each principal component the names of its two largest loadings."""
    names = []
    for number, loading in enumerate(space[-1].components_, start=1):
        largest = np.argsort(-np.abs(loading))[:2]
        signed = [f"{'-+'[int(loading[i] > 0)]}{columns[i]}" for i in largest]
        names.append(f"{number}: {', '.join(signed)}")
    return FeatureGroups.singletons(len(names), names)


# %%
# The space is scaled too, else the columns with the largest numbers would be the
# components. What eight components leave out stays in the signal, as it is.

trim = TransformImportance(
    FrozenEstimator(net),
    make_pipeline(StandardScaler(), PCA(8)),
    groups=name_components,
).fit(X_train)
explanation = trim.explain(X_test)

# %%
# Beside it scikit-learn's own answer, column by column: no column costs the network
# more than a little accuracy, since each has its doubles.

shuffled = permutation_importance(net, X_test, y_test, n_repeats=20, random_state=0)
order = np.argsort(shuffled.importances_mean)[-8:]

figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
bars = explanation.plot.bar(ax=left, title="principal components (cd)")
left.set_yticks(left.get_yticks(), bars.names)
right.barh(
    columns[order],
    shuffled.importances_mean[order],
    xerr=shuffled.importances_std[order],
    color="0.6",
)
right.set(title="columns (permutation_importance)", xlabel="mean loss of accuracy")
right.locator_params(axis="x", nbins=5)
right.spines[["top", "right"]].set_visible(False)

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/table.png", dpi=120)
