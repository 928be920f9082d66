"""What a GPU gives beside a CPU: the same scores, and its memory."""

import copy

import numpy as np
import torch
from sklearn import config_context
from sklearn.decomposition import PCA

from sktrim import (
    AlongAxis,
    FourierTransformer,
    TransformImportance,
    contextual_decomposition,
    transform_importance,
)
from sktrim.hierarchy import AgglomerativeDecomposition
from sktrim.propagation import UnsupportedOperationError
from sktrim.scorers import get_scorer_names
from tests import nets, zoo

from ._problems import PROBLEMS
from ._tables import Table, device_name
from .networks import BIASES
from .working_memory import WORKING_MEMORY

N_SAMPLES = 6


class SignalLSTM(torch.nn.Module):
    """A recurrent network, whose gradient cuDNN refuses in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.cell = torch.nn.LSTM(4, 8, 2, batch_first=True, bidirectional=True)
        self.out = torch.nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


def _difference(found, expected):
    return float(abs(found - expected).max() / abs(expected).max())


def _moved(value, device):
    if isinstance(value, tuple):
        return tuple(_moved(v, device) for v in value)
    return value.to(device)


def _zoo_parts(name):
    """Return the input of a network of the zoo and its relevant parts."""
    model, x = zoo.build(name), zoo.inputs(name)
    if name not in zoo.TOKENS:
        return model, x, zoo.parts(x)
    embed = model.embed
    model.embed = torch.nn.Identity().eval()
    x = embed(x).detach()
    return model, x, zoo.parts(x)


def _decomposed(name, device):
    model, x, rel = _zoo_parts(name)
    model, x, rel = model.to(device), _moved(x, device), _moved(rel, device)
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        found = [contextual_decomposition(model, x, rel, bias=b)[0] for b in BIASES]
    return torch.stack(found).cpu()


def _explained(scorer, model, X, device):
    transformer = FourierTransformer(signal_shape=X.shape[1:]).fit(X)
    return transform_importance(
        copy.deepcopy(model).to(device),
        X,
        transformer=transformer,
        groups=transformer.feature_groups(by="band", n_bands=5),
        scorer=scorer,
        background=X,
        target=0,
        output="logit",
        random_state=0,
        on_incomplete="ignore",
    ).values


def _networks():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    images = torch.rand(N_SAMPLES, 1, 12, 12, generator=generator, dtype=torch.float64)
    series = torch.randn(N_SAMPLES, 9, 4, generator=generator, dtype=torch.float64)
    yield "small CNN", nets.small_conv(), images.numpy()
    yield "bidirectional LSTM", SignalLSTM().double().eval(), series.numpy()


def _scorer_rows(device):
    for title, model, X in _networks():
        for scorer in get_scorer_names():
            try:
                expected = _explained(scorer, model, X, "cpu")
            except UnsupportedOperationError:
                continue
            found = _explained(scorer, model, X, device)
            yield [f"{scorer}, {title}", _difference(found, expected), None]


def _inside_rows(device):
    """Compare what is asked inside a network, and of sets of groups."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    X = torch.rand(N_SAMPLES, 1, 12, 12, generator=generator, dtype=torch.float64)
    X, net = X.numpy(), nets.small_conv()
    concepts = AlongAxis(PCA(3), axis=1)
    sets = np.random.default_rng(0).random((N_SAMPLES, 4, 9)) < 0.5
    patches = np.kron(np.arange(9).reshape(3, 3), np.ones((4, 4), int)).ravel()
    for scorer in ("cd", "integrated_gradients", "deeplift", "shapley", "sobol"):
        options = {"scorer": scorer, "layer": "pool", "target": 0, "random_state": 0}
        cpu, gpu = (
            TransformImportance(copy.deepcopy(net).to(where), concepts, **options)
            .fit(X)
            .explain(X)
            .values
            for where in ("cpu", device)
        )
        yield [f"{scorer}, concepts at a layer", _difference(gpu, cpu), None]
    for scorer in ("cd", "occlusion", "shapley"):
        options = {"scorer": scorer, "groups": patches, "target": 0, "random_state": 0}
        cpu, gpu = (
            TransformImportance(copy.deepcopy(net).to(where), **options).fit(X)
            for where in ("cpu", device)
        )
        off = _difference(gpu.explain_sets(X, sets), cpu.explain_sets(X, sets))
        yield [f"{scorer}, sets of patches", off, None]
        pair = [AgglomerativeDecomposition(t, (3, 3)).explain(X) for t in (cpu, gpu)]
        same = all(
            a.children == b.children and np.allclose(a.scores, b.scores, atol=1e-9)
            for a, b in zip(*pair, strict=True)
        )
        yield [f"{scorer}, trees are the same: {same}", None, None]


def _beyond(name, device):
    """Device memory of a decomposition beyond model and input, over working_memory."""
    problem = PROBLEMS[name]()
    problem.model.to(device)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with config_context(working_memory=WORKING_MEMORY):
        transform_importance(
            problem.model,
            problem.X,
            transformer=problem.transformer,
            groups=problem.groups,
            scorer="cd",
            target=0,
            output="logit",
        )
    peak = torch.cuda.max_memory_allocated() - before
    return problem.title, peak / 2**20 / WORKING_MEMORY


def measure(device="cuda"):
    """Compare every network of the zoo and every scorer with the CPU, in float64."""
    rows = [
        [f"cd, {name}", _difference(_decomposed(name, device), expected), None]
        for name in zoo.NETS
        for expected in [_decomposed(name, "cpu")]
    ]
    rows += _scorer_rows(device)
    rows += _inside_rows(device)
    for name in PROBLEMS:
        title, share = _beyond(name, device)
        rows.append([f"cd, {title}", None, share])
    return Table(
        f"{device_name(device)} beside the CPU, float64",
        ["work", "largest relative difference", "peak memory over working_memory"],
        rows,
        [
            f"Peak memory: of the device, beyond the model, with working_memory="
            f"{WORKING_MEMORY}; to reach: at most 1.5.",
            "What a scorer refuses on a network is left out.",
        ],
    )
