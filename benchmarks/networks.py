"""Contextual decomposition of larger networks, and plain forward passes."""

import numpy as np
import torch

from sktrim import TransformImportance, contextual_decomposition, inverse_module
from sktrim.scorers import ContextualDecomposition

from ._problems import PROBLEMS, scorer_alone
from ._tables import Table, alternating_seconds, device_name

BIASES = ("context", "channel", "proportional")
BATCHES = (16, 64, 256)
TO_REACH = {
    ("lenet", "acd, mask by mask"): "at least 50, stretch 100",
    ("resnet", "plain forward passes"): "at least 0.83 (1.2 x), stretch 0.95",
    ("encoder", "plain forward passes"): "at least 0.5 (2 x), stretch 0.67",
}


class _Work:
    """One problem, by every method that can do it, to the same logit."""

    def __init__(self, problem, device):
        self.problem, self.device = problem, device
        problem.model.to(device)
        self.x = torch.from_numpy(problem.X).to(device)
        s = torch.from_numpy(problem.transformer.transform(problem.X)).to(device)
        masks = torch.from_numpy(problem.groups.toarray()).to(s)
        inverse = inverse_module(problem.transformer).to(s)
        with torch.no_grad():
            parts = inverse.linear(masks[:, None] * s)
        self.parts = parts.reshape(len(masks), *self.x.shape)
        # acd and the loop make the part of a mask when they need it
        self.part = lambda mask: inverse.linear(mask * s).reshape(self.x.shape)
        self.masks = masks

    def ours(self, bias):
        """Give functions from X to scores, and from coefficients to scores."""
        trim = TransformImportance(
            self.problem.model,
            self.problem.transformer,
            ContextualDecomposition(bias),
            groups=self.problem.groups,
            target=0,
            output="logit",
        ).fit(self.problem.X)
        alone = scorer_alone(trim, self.problem.X, 10)
        return lambda: trim.transform(self.problem.X), alone

    def loop(self):
        with torch.no_grad():
            scores = [
                contextual_decomposition(
                    self.problem.model, self.x, self.part(mask), bias="proportional"
                )[0]
                for mask in self.masks
            ]
        return torch.stack(scores, 1)[..., 0].cpu().numpy()

    def acd(self):
        from acd import cd

        with torch.no_grad():
            scores = [
                cd(
                    self.x,
                    self.problem.model,
                    device=self.device,
                    transform=lambda _, mask=mask: self.part(mask),
                )[0]
                for mask in self.masks
            ]
        return torch.stack(scores, 1)[..., 0].cpu().numpy()

    def forwards(self, batch):
        """Run the network as it is on the part of every group and sample."""
        with torch.no_grad():
            for rows in self.parts.flatten(0, 1).split(batch):
                self.problem.model(rows)


def _rows(name, device):
    work = _Work(PROBLEMS[name](), device)
    methods = {}
    for bias in BIASES:
        explain, score = work.ours(bias)
        methods |= {f"cd, {bias!r}": score, f"explain, {bias!r}": explain}
    if name == "lenet":
        methods |= {"sktrim, mask by mask": work.loop, "acd, mask by mask": work.acd}
    for batch in BATCHES:
        methods[f"forward {batch}"] = lambda batch=batch: work.forwards(batch)
    seconds = alternating_seconds(methods.values(), 5, device)
    timed = dict(zip(methods, seconds, strict=True))
    fastest = min(timed.pop(f"forward {batch}") for batch in BATCHES)
    timed["plain forward passes"] = fastest
    ours = timed["cd, 'context'"]
    scores = methods["explain, 'proportional'"]()
    for method, seconds in timed.items():
        difference = None
        if "mask by mask" in method:
            difference = float(np.abs(methods[method]() - scores).max())
        goal = TO_REACH.get((name, method))
        yield [
            work.problem.title,
            method,
            seconds,
            seconds / ours,
            ours / seconds,
            difference,
            goal,
        ]


def measure(device="cpu"):
    """Seconds from X to the scores, and of what it is compared with."""
    rows = [row for name in PROBLEMS for row in _rows(name, device)]
    return Table(
        f"cd of networks, {device_name(device)}",
        [
            "work",
            "method",
            "seconds",
            "times ours",
            "ours over this",
            "largest difference",
            "times ours, to reach",
        ],
        rows,
        [
            "cd, as the loops, goes from coefficients to scores, by each rule for a "
            "bias ('context' is the default);",
            "explain goes from X to an Explanation. The loops share in proportion.",
            "Natural groups: the 420 bins of rfft2 hold "
            "26 pairs that are each other's mirror image.",
            "Plain forward passes: of one input for every group and sample, the "
            f"fastest of batches of {', '.join(map(str, BATCHES))}.",
        ],
    )
