"""What is asked, of which network and how: all that precedes the samples."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch

from sktrim._memory import chunks, rows_in_memory
from sktrim.composed._coefficients import coefficients_of, torch_inverse
from sktrim.groups import FeatureGroups, check_groups
from sktrim.groups._resolve import coefficient_names, last_step
from sktrim.inspection._style import check_option
from sktrim.inverse import InverseModule
from sktrim.network import Network
from sktrim.network._estimators import check_predictor, has_gradient, net_inside, unwrap
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._network import to_numpy
from sktrim.scorers import ComposedModel, GroupMasks, Scorer, check_scorer
from sktrim.scorers._base import extras_of
from sktrim.targets import ResolvedTarget, check_output, own_columns, resolve_target
from sktrim.transforms import LatentDirichletAllocation
from sktrim.transforms._fourier import has_phases

RESIDUALS = ("constant", "component", "drop")


def pick_rows(n_rows: int, n_background: int, seed: int) -> np.ndarray:
    """Choose background rows: at most n_background, drawn with the seed, in order."""
    if n_background < 1:
        raise ValueError(f"n_background={n_background}; expected at least 1.")
    if n_rows <= n_background:
        return np.arange(n_rows)
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(n_rows, n_background, replace=False))


@dataclass
class Question:
    """All that is fixed before the samples are seen: what is asked, of what, how."""

    # inspected
    network: Network
    # fitted, or None
    transformer: Any
    # in the network's dtype and on its device
    inverse: InverseModule
    groups: FeatureGroups
    scorer: Scorer
    # the user's `target` parameter
    target: Any = "predicted"
    # resolved: the rule by which scalars are read off the outputs
    output: str = "margin"
    # "constant", "component" or "drop"
    residual: str = "constant"
    # of shape (n_rows, n_coefficients)
    background: np.ndarray | None = None
    # for scorers that draw; the same for every chunk
    seed: int = 0
    n_jobs: int | None = None
    verbose: int = 0
    # where a complete method misses the explained output: "warn", "raise" or "ignore"
    on_incomplete: str = "warn"

    def rows_at_once(self, n_samples: int) -> int:
        """How many samples to hand a scorer at once."""
        network = self.network
        held = 8 * self.groups.n_coefficients * network.dtype.itemsize
        # the signals, what T leaves out, and what it takes to find that
        held += 4 * network.signal_bytes
        rows = rows_in_memory(network.bytes_per_row + held)
        if self.n_jobs not in (None, 1):
            rows = min(rows, -(-n_samples // 4))
        if self.verbose:
            rows = min(rows, -(-n_samples // 50))
        return max(1, rows)

    def outputs(self, x) -> np.ndarray:
        """Compute the network's raw outputs, shape (n_samples, n_outputs)."""
        network = self.network
        step = rows_in_memory(network.bytes_per_row + 2 * network.signal_bytes)
        outputs = np.empty(0)
        with evaluation_mode(network.module), torch.no_grad():
            for rows in chunks(x.shape[0], step):
                some = to_numpy(network.forward(*network.tensors(x[rows])))
                if not rows.start:
                    outputs = np.empty((x.shape[0], some.shape[1]), some.dtype)
                outputs[rows] = some
        return outputs

    def resolve(self, x, y) -> tuple[np.ndarray, ResolvedTarget]:
        """Compute the outputs and decide what is explained for each sample."""
        # a target that cannot be met is refused before the network is run
        stand_in = np.zeros((x.shape[0], self.network.n_explained), np.float32)
        resolve_target(self.target, stand_in, y, self.network, self.output)
        outputs = self.outputs(x)
        if not np.isfinite(outputs).all():
            row = int(np.flatnonzero(~np.isfinite(outputs).all(axis=1))[0])
            raise ValueError(
                f"The network's output for sample {row} is not finite "
                f"({outputs[row]}). Likely causes: (a) its weights diverged in "
                "training; (b) the signal's scale is not the one it was trained on."
            )
        return outputs, self.resolve_rule(x, outputs, y, self.output)

    def resolve_rule(
        self, x: Any, outputs: np.ndarray, y: Any, output: str
    ) -> ResolvedTarget:
        """Decide what is explained for each sample, read off by a rule."""
        # the rule `output` is as in `resolve_target`
        target = self.target
        if isinstance(target, str) and target == "predicted":
            target = own_columns(self.network, x, target)
        return resolve_target(target, outputs, y, self.network, output)

    def model(self, x, s) -> ComposedModel:
        """Bind f' to a chunk of samples."""
        network = self.network
        s = torch.tensor(s, dtype=network.dtype, device=network.device)
        x, *held = network.tensors(x)
        return ComposedModel(network, self.inverse, x, s, self.residual, tuple(held))

    @property
    def group_names(self) -> list[str]:
        """Names of what gets a score: the groups, and the residual as a component."""
        names = list(self.groups.names)
        if self.residual != "component":
            return names
        name = "residual"
        while name in names:  # the name of another group
            name += " of T"
        return [*names, name]

    def masks(self) -> GroupMasks:
        """Return the groups in torch, the residual's last where it is a component."""
        network = self.network
        component = self.residual == "component"
        return GroupMasks(self.groups, network.dtype, network.device, component)

    def extras(self) -> dict:
        """Keyword arguments that this scorer's `attribute` asks for."""
        background, network = self.background, self.network
        if background is not None:
            background = torch.tensor(
                background, dtype=network.dtype, device=network.device
            )
        return extras_of(self.scorer, background, self.seed)


def check_parts(
    estimator: Any, transformer: Any, scorer, gradient: bool | None = None
) -> None:
    """Raise for what is no estimator or transformer, or lacks a gradient it needs."""
    # `gradient` says whether the network has one, where that is known
    check_predictor(estimator)
    instance = not isinstance(transformer, type)
    if not (transformer is None or (instance and hasattr(transformer, "transform"))):
        raise TypeError(
            f"transformer={transformer!r}; expected an instance of a transformer, such "
            "as FourierTransformer(), or None for the signal's own coordinates."
        )
    _check_polar(transformer, scorer)
    if gradient is None:
        gradient = has_gradient(estimator)
    if gradient or not getattr(scorer, "needs_gradient", True):
        return
    raise TypeError(
        f"{type(scorer).__name__} needs the gradient or the inside of a network, and "
        f"{type(unwrap(estimator)).__name__} is neither a torch.nn.Module nor a skorch "
        "net, nor a Pipeline that ends in one. Use a scorer that only looks at the "
        "output: 'occlusion', 'shapley', 'kernel_shap' or 'lime'."
        + net_inside(estimator)
    )


def _check_polar(transformer: Any, scorer) -> None:
    """Raise for a scorer to which phases mean nothing."""
    if not has_phases(transformer):
        return
    baseline, name = getattr(scorer, "baseline", None), type(scorer).__name__
    needs_gradient = getattr(scorer, "needs_gradient", True)
    if not needs_gradient and not (isinstance(baseline, str) and baseline != "rows"):
        return
    raise ValueError(
        f"{name} cannot score amplitudes and phases (coordinates='polar'): gradients "
        "and paths depend on the branch of the phase, and from an amplitude of 0 a "
        "phase counts for nothing. Use a perturbation scorer with rows as its "
        'baseline, such as Occlusion(baseline="rows") or Shapley(baseline="rows").'
    )


def names_out(network: Network) -> Any:
    """Return the names of the signal's coordinates after preprocessing, if known."""
    names = None
    for step in network.preprocessing:
        names = _names_after(step, names)
    return names


def _names_after(step, names):
    """Return the names of what a fitted step gives; None where it does not tell."""
    if names is None or hasattr(step, "feature_names_in_"):
        return coefficient_names(step)
    return coefficient_names(step, names)


def ask(
    network: Network,
    x: Any,
    *,
    transformer: Any,
    scorer: str | Scorer,
    groups: Any,
    names: Any = None,
    background: np.ndarray | None = None,
    **settings: Any,
) -> Question:
    """Settle everything that does not depend on the explained samples."""
    # `names` are those of the signal's own coordinates, `settings` the remaining fields
    # of `Question`
    scorer = check_scorer(scorer)
    check_parts(network.estimator, transformer, scorer, network.has_gradient)
    check_option("residual", settings["residual"], RESIDUALS)
    # the signals are tried
    sample = x[:10]
    network.inspect(sample, settings["target"])
    settings["output"] = check_output(settings["output"], network)
    network.strip = settings["output"] != "raw"
    width = coefficients_of(transformer, sample[:2]).shape[1]
    inverse = torch_inverse(transformer, sample, scorer)
    inverse = inverse.to(dtype=network.dtype, device=network.device)
    _check_width(inverse, transformer, network, sample[:1])
    return Question(
        network=network,
        transformer=transformer,
        inverse=inverse,
        groups=_resolve_groups(groups, transformer, width, names, sample.shape[1:]),
        scorer=scorer,
        background=background,
        **settings,
    )


def _positions(transformer, shape: tuple[int, ...]) -> FeatureGroups:
    """Return a group for each place along the first axis of signals, such as tokens."""
    if transformer is not None or len(shape) < 2:
        raise ValueError(
            "groups='positions' is for signals of two axes or more, such as (n_tokens, "
            f"width) at an embedding, without a transformer; got shape {shape} and "
            f"transformer={transformer!r}."
        )
    labels = np.repeat(np.arange(shape[0]), prod(shape[1:]))
    names = [f"position{i}" for i in range(shape[0])]
    return FeatureGroups.from_labels(labels, names)


def _check_width(inverse, transformer, network, x) -> None:
    """Raise where T^-1 does not give as many values as a signal has."""
    s = coefficients_of(transformer, x)
    with torch.no_grad():
        n_values = inverse(torch.as_tensor(s).to(network.to_tensor(x[:0]))).numel()
    if n_values != prod(x.shape[1:]):
        raise ValueError(
            f"The inverse of {type(transformer).__name__} gives {n_values} values for "
            f"a signal of {prod(x.shape[1:])}, shape {x.shape[1:]}; expected as many "
            "as it was given. Likely causes: (a) inverse_transform returns a part of "
            "the signal; (b) the transformer was fitted on other signals."
        )


def _resolve_groups(
    groups, transformer, width: int, names, signal_shape: tuple[int, ...]
) -> FeatureGroups:
    if callable(groups):
        groups = groups(transformer)
    if isinstance(groups, str) and groups == "positions":
        return _positions(transformer, signal_shape)
    plain = isinstance(groups, str) and groups in ("natural", "coefficients")
    own = hasattr(last_step(transformer), "feature_groups")
    if plain and names is not None and not own:
        if transformer is not None:
            names = _names_after(transformer, names)
        return FeatureGroups.singletons(width, names)
    topics = isinstance(transformer, LatentDirichletAllocation)
    if topics and names is not None and plain and groups == "natural":
        return transformer.feature_groups(vocabulary=names)
    return check_groups(groups, transformer, width)
