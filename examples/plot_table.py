"""
Columns and components of tables
================================

Columns of a table are often correlated, and then no single one of them seems to
matter: shuffle it, and the network reads the same from its neighbours. Components
gather what goes together, and TRIM asks about them without touching the network, which
was trained on the columns. Here of two tables: one to classify, and one to regress,
which has words and gaps in it.
"""

from importlib.metadata import distribution
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import shap
import torch
from scipy.stats import spearmanr
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA, FastICA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sktrim import FeatureGroups, TransformImportance
from sktrim.scorers import ExpectedGradients

# %%
# **Classification**: benign or malignant, by 30 measurements of the nuclei of cells.
# The scaler is a part of the network.

options = {
    "optimizer": torch.optim.Adam,
    "batch_size": 32,
    "iterator_train__shuffle": True,
    "train_split": None,
    "verbose": 0,
}
torch.manual_seed(0)
data = load_breast_cancer(as_frame=True)
cells = train_test_split(
    data.data.astype("float32"), data.target, stratify=data.target, random_state=0
)
classifier = make_pipeline(
    StandardScaler(),
    NeuralNetClassifier(
        nn.Sequential(nn.Linear(30, 32), nn.ReLU(), nn.Linear(32, 2)),
        criterion=nn.CrossEntropyLoss,
        lr=0.003,
        max_epochs=30,
        **options,
    ),
).fit(cells[0], cells[2].to_numpy())
print(f"accuracy on tumours it never saw: {classifier.score(cells[1], cells[3]):.3f}")

# %%
# **Regression**: how far 398 cars go on a gallon, from the file that ships in the
# package vega_datasets. Origin and make are words, and six cars have no horsepower.
# What turns them into numbers is no part of the network: the signal is its output.

file = distribution("vega_datasets").locate_file("vega_datasets/_data/cars.json")
table = pd.read_json(Path(str(file))).dropna(subset=["Miles_per_Gallon"])
table["Year"] = pd.to_datetime(table["Year"]).dt.year
table["Make"] = table["Name"].str.split().str[0]
table["Weight"] = table["Weight_in_lbs"]
numbers = ["Cylinders", "Displacement", "Horsepower", "Weight", "Acceleration"]
numbers, words = [*numbers, "Year"], ["Origin", "Make"]
cars = train_test_split(
    table[numbers + words].astype(dict.fromkeys(numbers, "float32")),
    table[["Miles_per_Gallon"]].to_numpy("float32"),
    random_state=0,
)
encoder = make_column_transformer(
    (make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True)), numbers),
    (
        OneHotEncoder(
            min_frequency=10,
            handle_unknown="infrequent_if_exist",
            sparse_output=False,
            dtype=np.float32,
        ),
        words,
    ),
    verbose_feature_names_out=False,
)
regressor = make_pipeline(
    encoder,
    NeuralNetRegressor(
        nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.Linear(32, 1)),
        lr=0.01,
        max_epochs=60,
        **options,
    ),
).fit(cars[0], cars[2])
print(f"R2 on cars it never saw: {regressor.score(cars[1], cars[3]):.3f}")
print(f"gaps in the table: {table[numbers].isna().sum().sum()}")

parts = [
    name.replace("missingindicator_", "missing ").replace("infrequent_sklearn", "other")
    for name in encoder.get_feature_names_out()
]

# %%
# **Three spaces**: the columns, principal components, and independent ones, of scaled
# measurements; what the cars became is scaled already. Expected gradients compare with
# rows of the table, as shap does. Whatever a column became (a number per word, a mark
# of its gaps) is one group. What the components leave out is scored as well.


def group_columns(parts, columns):
    """Gather the numbers that come from each column of the table."""
    members = {
        column: [i for i, part in enumerate(parts) if column in part]
        for column in columns
    }
    return FeatureGroups.from_dict(members, len(parts))


def name_components(atoms, parts):
    """Name each component after the two numbers that weigh most in it."""
    names = []
    for number, atom in enumerate(atoms, start=1):
        largest = np.argsort(-np.abs(atom))[:2]
        signed = [f"{'-+'[int(atom[i] > 0)]}{parts[i]}" for i in largest]
        names.append(f"{number}: {', '.join(signed)}")
    return FeatureGroups.singletons(len(names), names)


def explain(net, tables, parts, target, *scaler):
    """Explain a network by its columns and by two kinds of eight components."""
    pca = make_pipeline(*scaler, PCA(8, random_state=0))
    ica = make_pipeline(*scaler, FastICA(8, fun="exp", max_iter=1000, random_state=0))
    spaces = {
        "columns": (None, group_columns(parts, tables[0].columns)),
        "principal components": (
            pca,
            lambda space: name_components(space[-1].components_, parts),
        ),
        "independent components": (
            ica,
            lambda space: name_components(space[-1].mixing_.T, parts),
        ),
    }
    return {
        space: TransformImportance(
            FrozenEstimator(net),
            transformer,
            ExpectedGradients(n_rows=32, n_steps=8),
            groups=groups,
            target=target,
            residual="constant" if transformer is None else "component",
            random_state=0,
            on_incomplete="ignore",
        )
        .fit(tables[0])
        .explain(tables[1])
        for space, (transformer, groups) in spaces.items()
    }


found = {
    "tumours": explain(
        classifier, cells, list(cells[0].columns), ("label", 1), StandardScaler()
    ),
    "cars": explain(regressor, cars, parts, 0),
}
for name, spaces in found.items():
    for space, explanation in spaces.items():
        sizes = np.sort(explanation.mean(absolute=True))[::-1]
        half = 1 + np.searchsorted(np.cumsum(sizes), sizes.sum() / 2)
        print(f"{name}: {half} of {len(sizes)} {space} hold half of the importance")
    error = np.abs(explanation.completeness_error).max() / np.ptp(explanation.explained)
    print(f"{name}: scores miss the output by at most {error:.1%} of its range")

# %%
# **Beside them** what others say of the columns: scikit-learn shuffles each, and shap
# replaces coalitions of them by those of other rows. It wants numbers for words.


def shap_values(net, train, test, output):
    """Explain the rows of a table by shap, with words as numbers of their category."""
    levels = {column: sorted(set(train[column])) for column in words if column in train}

    def numbered(frame):
        codes = {c: frame[c].map(known.index) for c, known in levels.items()}
        return frame.assign(**codes).to_numpy(float)

    def answer(rows):
        frame = pd.DataFrame(rows, columns=train.columns).astype("float32")
        for column, known in levels.items():
            frame[column] = [known[int(code)] for code in frame[column]]
        encoded = np.asarray(net[:-1].transform(frame), dtype="float32")
        with torch.no_grad():
            return output(net[-1].infer(torch.tensor(encoded))).numpy()

    masker = shap.maskers.Independent(numbered(train), max_samples=30)
    return shap.Explainer(answer, masker, seed=0)(numbered(test), silent=True).values


def margin(logits):
    """Say by how much the second of two logits exceeds the first."""
    return logits[:, 1] - logits[:, 0]


beside = {}
for name, net, (train, test, _, truth), output in (
    ("tumours", classifier, cells, margin),
    ("cars", regressor, cars, torch.ravel),
):
    shuffled = permutation_importance(net, test, truth, n_repeats=20, random_state=0)
    values = shap_values(net, train, test, output)
    beside[name] = {
        "TRIM": found[name]["columns"].mean(absolute=True),
        "shap": np.abs(values).mean(axis=0),
        "permutation_importance": shuffled.importances_mean.clip(0),
    }
    trim_sizes, *others = beside[name].values()
    rho = [spearmanr(trim_sizes, sizes).statistic for sizes in others]
    print(f"{name}: rank correlation of TRIM's columns with shap's {rho[0]:.2f}, with")
    print(f"    those of permutation_importance {rho[1]:.2f}; shuffling the costliest")
    print(f"    loses {shuffled.importances_mean.max():.3f} of the score")

# %%
# All in one picture. Every bar is a share of what its method gives to all columns, or
# all components (mean magnitude of scores, mean loss of accuracy or R2), so bars of all
# panels compare. Thirty columns share what the network knows of tumours, since each has
# its doubles; one principal component, how large and ragged the nuclei are, holds more
# than half of it, and the size of a car as much. Independent components cut size up
# again, and it takes three for half. The paper of TRIM has no tables to compare with.


def draw_columns(ax, methods, names, k=9):
    """Draw the columns that TRIM finds most important, as three methods see them."""
    order = np.argsort(-methods["TRIM"])[:k]
    colors = "#0072B2", "#E69F00", "0.6"
    for offset, color, (method, sizes) in zip(
        (-0.27, 0, 0.27), colors, methods.items(), strict=True
    ):
        shares = 100 * sizes / sizes.sum()
        places = np.arange(len(order)) + offset
        ax.barh(places, shares[order], height=0.25, color=color, label=method)
    ax.set_yticks(range(len(order)), [names[i] for i in order])


def draw_components(ax, explanation, k=9):
    """Draw the components that count most, and what they leave out."""
    sizes = explanation.mean(absolute=True)
    order = np.argsort(-sizes)[:k]
    names = explanation.group_names[:-1]
    colors = np.array(["#0072B2"] * len(names) + ["0.6"])
    names.append("what the components leave out")
    ax.barh(range(len(order)), 100 * (sizes / sizes.sum())[order], color=colors[order])
    ax.set_yticks(range(len(order)), [names[i] for i in order])


figure, axes = plt.subplots(2, 3, figsize=(16, 7.5), layout="constrained")
for row, (name, spaces) in zip(axes, found.items(), strict=True):
    columns, *components = spaces.items()
    draw_columns(row[0], beside[name], columns[1].group_names)
    for ax, (_, explanation) in zip(row[1:], components, strict=True):
        draw_components(ax, explanation)
    for ax, space in zip(row, spaces, strict=True):
        ax.set_title(f"{name}: {space}", loc="right")
        ax.set_xlabel("share of all importance (%)")
        ax.set_xlim(0, 70)
        ax.invert_yaxis()
        ax.spines[["top", "right"]].set_visible(False)
axes[1, 0].legend(frameon=False, loc="lower right", fontsize="small")

# %%
# Run as a script, it leaves the figure in ``demo/``.

if "__file__" in globals():
    Path("demo").mkdir(exist_ok=True)
    figure.savefig("demo/table.png", dpi=120)
