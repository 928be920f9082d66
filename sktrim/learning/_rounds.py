"""Rounds of gradient steps: progress, early stopping, a loss that fails, resuming."""

import hashlib
import os
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn
from tqdm.auto import tqdm

from sktrim.exceptions import NonFiniteLossError


@dataclass
class Rounds:
    """How long to train, and what to do beside."""

    max_epochs: int
    batch_size: int
    lr: float
    seed: int
    # stop once so many epochs bring less than `tol` of the loss
    patience: int | None = None
    tol: float = 1e-4
    verbose: int = 0
    # where each epoch is kept, and of which question
    checkpoint: Any = None
    fingerprint: str = ""


def train(
    module: nn.Module,
    n_rows: int,
    terms: Callable[[np.ndarray], dict[str, Tensor]],
    project: Callable[[], None],
    rounds: Rounds,
) -> list[dict[str, float]]:
    """Descend the sum of terms; return the mean of each term, epoch by epoch."""
    # `terms` are those of the rows of a batch; `project` is called after every step
    optimizer = torch.optim.Adam(module.parameters(), rounds.lr)
    rng = np.random.default_rng(rounds.seed)
    kept = _Kept(module, optimizer, rng, rounds)
    losses = kept.load()
    epochs = range(len(losses), rounds.max_epochs)
    bar = tqdm(epochs, unit="epoch", disable=not rounds.verbose)
    try:
        for _ in bar:
            if _is_settled(losses, rounds):
                break
            losses.append(
                _epoch(module, optimizer, n_rows, terms, project, rounds, rng)
            )
            bar.set_postfix(loss=f"{losses[-1]['loss']:.4g}")
            kept.save(losses)
    except KeyboardInterrupt:
        warnings.warn(
            f"Interrupted after {len(losses)} of {rounds.max_epochs} epochs; what was "
            "learned so far is kept. Fit again with warm_start=True, or with the same "
            "checkpoint, to go on.",
            ConvergenceWarning,
            stacklevel=4,
        )
    return losses


def _epoch(module, optimizer, n_rows, terms, project, rounds, rng) -> dict[str, float]:
    """Go through the rows once, in random order."""
    order = rng.permutation(n_rows)
    good = {name: value.clone() for name, value in module.state_dict().items()}
    sums: dict[str, float] = {}
    for start in range(0, n_rows, rounds.batch_size):
        some = order[start : start + rounds.batch_size]
        parts = terms(some)
        _check_finite(module, good, parts)
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            project()
        for name, value in {"loss": loss, **parts}.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) * len(some)
    return {name: value / n_rows for name, value in sums.items()}


def _check_finite(module: nn.Module, good: dict, parts: dict[str, Tensor]) -> None:
    """Raise where a term is NaN or infinite, and go back to the last good epoch."""
    bad = [name for name, value in parts.items() if not torch.isfinite(value)]
    if not bad:
        return
    module.load_state_dict(good)
    raise NonFiniteLossError(
        f"The term {bad[0]!r} of the loss is {float(parts[bad[0]].detach()):g}. Likely "
        "causes: (a) the steps are too large: choose a smaller lr; (b) a weight of "
        "the loss is too large for the data's scale; (c) the network gives NaN. What "
        "was learned by the end of the epoch before is kept."
    )


def _is_settled(losses: list[dict[str, float]], rounds: Rounds) -> bool:
    """Tell whether the last epochs brought next to nothing."""
    if rounds.patience is None or len(losses) <= rounds.patience:
        return False
    values = [epoch["loss"] for epoch in losses]
    before = min(values[: -rounds.patience])
    return before - min(values[-rounds.patience :]) < rounds.tol * abs(before)


class _Kept:
    """The state after each epoch in a file, so that a training goes on after a stop."""

    def __init__(self, module, optimizer, rng, rounds: Rounds) -> None:
        self.module, self.optimizer, self.rng = module, optimizer, rng
        path = rounds.checkpoint
        self.path = None if path is None else Path(path)
        self.fingerprint = rounds.fingerprint

    def load(self) -> list[dict[str, float]]:
        """Go back to the last epoch that was kept."""
        if self.path is None or not self.path.exists():
            return []
        state = torch.load(self.path, weights_only=True)
        if state["fingerprint"] != self.fingerprint:
            raise ValueError(
                f"The checkpoint {self.path} belongs to other data or other parameters "
                "(max_epochs and patience may differ), or to another network. Delete "
                "it, or choose another name."
            )
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        words = state["rng"]
        self.rng.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": int(words[0]), "inc": int(words[1])},
            "has_uint32": int(words[2]),
            "uinteger": int(words[3]),
        }
        torch.set_rng_state(state["torch"])
        return state["losses"]

    def save(self, losses: list[dict[str, float]]) -> None:
        """Write the state in one step."""
        if self.path is None:
            return
        state = self.rng.bit_generator.state
        words = *state["state"].values(), state["has_uint32"], state["uinteger"]
        part = self.path.with_name(f"{self.path.name}.{uuid.uuid4().hex}")
        try:
            torch.save(
                {
                    "fingerprint": self.fingerprint,
                    "module": self.module.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "rng": [str(word) for word in words],
                    # of a variational code's noise
                    "torch": torch.get_rng_state(),
                    "losses": losses,
                },
                part,
            )
            os.replace(part, self.path)
        finally:
            part.unlink(missing_ok=True)


def fingerprint(*parts: Any) -> str:
    """Return a digest of arrays and of what their repr tells."""
    digest = hashlib.sha256()
    for part in parts:
        whole = np.ascontiguousarray(part) if isinstance(part, np.ndarray) else None
        digest.update(repr(part).encode() if whole is None else whole.tobytes())
    return digest.hexdigest()
