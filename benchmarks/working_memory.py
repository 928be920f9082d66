"""Peak memory of larger tasks beyond the model, beside scikit-learn's setting."""

import subprocess
import sys

from ._peak import peak_bytes
from ._tables import Table

WORKING_MEMORY = 64
"""Mebibytes that scikit-learn is told to keep to."""

N_STEPS, N_BASELINES = 50, 50


def _problem(task):
    """Return model, X and the remaining arguments of `transform_importance`."""
    import numpy as np

    from sktrim.scorers import DeepLift, IntegratedGradients

    from ._problems import PROBLEMS, topics
    from .peers import problem

    if task in PROBLEMS or task == "topics":
        given = topics() if task == "topics" else PROBLEMS[task]()
        more = {"transformer": given.transformer, "groups": given.groups}
        return given.model, given.X, {**more, "scorer": "cd"}
    model, X, transformer = problem()
    rows = np.random.default_rng(1).random((N_BASELINES, *X.shape[1:]), np.float32)
    more = {"transformer": transformer, "groups": "coefficients", "background": rows}
    scorer = IntegratedGradients(n_steps=N_STEPS)
    if task == "deepshap":
        scorer = DeepLift("rows", n_rows=N_BASELINES)
    return model, X, {**more, "scorer": scorer}


def _captum(task, model, X, background, transformer, **_):
    """Do the same by captum, which is told nothing of memory."""
    import torch
    from captum import attr

    from sktrim import TrimModel, inverse_module

    composed = TrimModel(model, inverse_module(transformer))
    s, rows = (torch.from_numpy(transformer.transform(v)) for v in (X, background))
    if task == "deepshap":
        attr.DeepLiftShap(composed).attribute(s, rows, target=0)
    else:
        attr.IntegratedGradients(composed).attribute(s, target=0, n_steps=N_STEPS)


def _warm(scorer, background=None, **_):
    """Explain a tiny network, so that everything that is imported late is there."""
    import numpy as np
    from torch import nn

    from sktrim import transform_importance

    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    X = np.random.default_rng(0).random((4, 8), np.float32)
    rows = None if background is None else X
    transform_importance(model, X, scorer=scorer, background=rows)


def _run(task, library):
    """Do a task in this process; print its peak memory in bytes."""
    import scipy.sparse as sp
    import torch
    from captum import attr  # noqa: F401  its own size is no part of the task
    from sklearn import config_context

    from sktrim import transform_importance

    torch.set_num_threads(1)
    model, X, options = _problem(task)
    one = X[:1].toarray() if sp.issparse(X) else X[:1]
    with torch.no_grad():
        model(torch.from_numpy(one))
    _warm(**options)
    if library == "captum":
        _captum(task, model, X, **options)
    elif library == "sktrim":
        with config_context(working_memory=WORKING_MEMORY):
            transform_importance(model, X, target=0, output="logit", **options)
    print(peak_bytes())


def _peak(task, library):
    command = [sys.executable, "-m", "benchmarks.working_memory", task, library]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1]) / 2**20


TASKS = {
    "lenet": "cd, LeNet, 394 frequencies x 1 image",
    "resnet": "cd, ResNet-18, 32 bands x 16 maps",
    "encoder": "cd, Transformer encoder, 16 bands x 16 sequences",
    "topics": "cd, 10 topics x 4,000 documents of 50,000 words",
    "integrated": f"integrated gradients, {N_STEPS} steps, 64 images",
    "deepshap": f"DeepSHAP, {N_BASELINES} baselines, 64 images",
}


def measure():
    """Measure each task in a process of its own, and captum where it can do it."""
    rows = []
    for task, title in TASKS.items():
        start = _peak(task, "nothing")
        beyond = _peak(task, "sktrim") - start
        captum = None
        if task in ("integrated", "deepshap"):
            captum = _peak(task, "captum") - start
        rows.append([title, start, beyond, beyond / WORKING_MEMORY, captum])
    return Table(
        f"peak resident memory with working_memory={WORKING_MEMORY}, MiB, one thread",
        [
            "task",
            "one forward pass",
            "ours beyond it",
            "over working_memory",
            "captum's beyond it",
        ],
        rows,
        [
            "One forward pass: the whole process, imports and model, after one sample "
            "and a tiny network explained.",
            "To reach: at most 1.5 times working_memory beyond it, stretch 1.1.",
        ],
    )


if __name__ == "__main__":
    _run(*sys.argv[1:])
