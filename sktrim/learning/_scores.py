"""Scores of a batch that keep their graph, so that one can train by them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sktrim.composed import ComposedModel, GroupMasks
from sktrim.composed._coefficients import coefficients_of, torch_inverse
from sktrim.groups import FeatureGroups, check_groups
from sktrim.network import Network
from sktrim.network._network import to_numpy
from sktrim.scorers import check_scorer, get_scorer_names
from sktrim.scorers._base import Scorer, extras_of
from sktrim.targets import Target, check_output, resolve_target


def check_differentiable(scorer: Any) -> Scorer:
    """Return a scorer by whose scores one can train, or raise."""
    checked = check_scorer(scorer)
    if not getattr(checked, "differentiable", False):
        known = [
            name
            for name in get_scorer_names()
            if getattr(check_scorer(name), "differentiable", False)
        ]
        raise TypeError(
            f"The scores of {type(checked).__name__} cannot be differentiated, so that "
            f"nothing can be trained by them; expected one of {', '.join(known)}."
        )
    return checked


def log_probabilities(outputs: Tensor) -> Tensor:
    """Sum the log probabilities of all classes, which RRR differentiates."""
    return outputs.log_softmax(-1).sum(-1)


class BatchScores:
    """What is asked of every batch: which space, which groups, which output."""

    def __init__(
        self,
        *,
        transformer: Any,
        groups: Any,
        scorer: Scorer,
        target: Any,
        output: str,
        layer: Any,
        background: Any,
        seed: int,
    ) -> None:
        self.transformer = transformer
        self.rule = groups
        self.scorer = scorer
        self.target = log_probabilities if _is_named(target) else target
        self.output = output
        self.layer = layer
        self.background = background
        self.seed = seed
        # of the module that was seen last
        self._module: nn.Module | None = None
        self._settled: _Settled | None = None

    def settle(self, module: nn.Module, x: Tensor, kind: str | None) -> "_Settled":
        """Look at a network once: its ending, the inverse in its dtype, the groups."""
        if self._settled is None or self._module is not module:
            self._module, self._settled = module, self._look(module, x, kind)
        return self._settled

    def _look(self, module: nn.Module, x: Tensor, kind: str | None) -> "_Settled":
        network = Network(module, kind=kind).at(self.layer)
        signals = network.enter(to_numpy(x[:10]))
        network.inspect(signals, self.target)
        output = check_output(self.output, network)
        network.strip = output != "raw"
        inverse = torch_inverse(self.transformer, signals, self.scorer)
        inverse = inverse.to(dtype=network.dtype, device=network.device)
        width = coefficients_of(self.transformer, signals[:2]).shape[1]
        rule = self.rule(self.transformer) if callable(self.rule) else self.rule
        groups = check_groups(rule, self.transformer, width)
        background = self._background(network)
        return _Settled(self, network, inverse, groups, output, background)

    def _background(self, network: Network) -> Tensor | None:
        """Return the background's coefficients, if there are any."""
        if self.background is None:
            return None
        rows = network.enter(_as_array(self.background))
        s = coefficients_of(self.transformer, rows)
        return torch.tensor(s, dtype=network.dtype, device=network.device)


def _is_named(target: Any) -> bool:
    return isinstance(target, str) and target == "log_probabilities"


def _as_array(X: Any) -> np.ndarray:
    return to_numpy(X) if isinstance(X, Tensor) else np.asarray(X)


class _Settled:
    """A question that was put to a network, for one batch after another."""

    def __init__(
        self,
        asked: BatchScores,
        network: Network,
        inverse: Any,
        groups: FeatureGroups,
        output: str,
        background: Tensor | None,
    ) -> None:
        self.asked = asked
        self.network = network
        self.inverse = inverse
        self.groups = groups
        self.output = output
        self.background = background
        self.masks = GroupMasks(groups, network.dtype, network.device).dense()
        each = FeatureGroups.singletons(groups.n_coefficients, None)
        self.coefficients = GroupMasks(each, network.dtype, network.device)

    def model(self, x: Tensor) -> ComposedModel:
        """Bind the network to a batch; scores keep their graph."""
        transformer, network = self.asked.transformer, self.network
        if transformer is None and self.asked.layer is None:
            signals: Any = x.detach().to(network.device, network.dtype)
            s, held = signals.flatten(1), ()
        else:
            entered = network.enter(to_numpy(x))
            signals, *held = network.tensors(entered)
            s = coefficients_of(transformer, entered)
            s = torch.tensor(s, dtype=network.dtype, device=network.device)
        model = ComposedModel(network, self.inverse, signals, s, held=tuple(held))
        model.differentiable = True
        return model

    def at(self, model: ComposedModel, s: Tensor) -> ComposedModel:
        """Bind the network to other coefficients of the same batch."""
        held = model.held
        moved = ComposedModel(self.network, self.inverse, model.signal(s), s, held=held)
        moved.differentiable = True
        return moved

    def target(self, model: ComposedModel, y: Any) -> Target:
        """Say which scalars of the outputs are scored."""
        outputs = np.zeros((len(model.x), self.network.n_explained), np.float32)
        if isinstance(self.asked.target, str) and self.asked.target == "predicted":
            with torch.no_grad():
                outputs = to_numpy(model.output(model.x))
        labels = None if y is None else _as_array(y)
        if labels is not None and labels.ndim > 1:
            labels = labels[:, 0] if labels.shape[1] == 1 else None
        return resolve_target(
            self.asked.target, outputs, labels, self.network, self.output
        ).target

    def scores(self, model: ComposedModel, target: Target, parts: Tensor) -> Tensor:
        """Score parts of the coefficients, (n_parts, n_samples, n_targets)."""
        # `parts` are weights of shape (n_parts, n_samples or 1, n_coefficients)
        scorer = self.asked.scorer
        extras = extras_of(scorer, self.background, self.asked.seed)
        parts = parts.expand(-1, len(model.s), -1)
        return scorer.attribute_sets(
            model, model.s, parts, self.coefficients, target, **extras
        )
