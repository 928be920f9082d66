"""The ascent itself: gradients of one network or several, and steps along them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sktrim.network._network import to_numpy
from sktrim.stimuli._parametrisations import Parametrisation
from sktrim.stimuli._steps import (
    blurred,
    draw_shifts,
    project_ball,
    rolled,
    total_variation,
)
from sktrim.stimuli._units import Response


@dataclass
class Settings:
    """What an ascent is done with."""

    objective: str
    consensus: str | None
    temperature: float
    tv: float
    tv_form: str
    axes: tuple[int, ...]
    blur: float
    jitter: int
    transforms: Callable | None
    n_steps: int
    lr: float
    verbose: int


@dataclass
class Ascent:
    """Where an ascent has come to."""

    variable: Tensor
    # the one before, whose loss was finite
    good: Tensor
    # of each start, whether it still moves, and whether it ever did
    alive: Tensor
    moved: Tensor
    transparency: Any = 0.0
    losses: list[np.ndarray] = field(default_factory=list)


def activation(responses: Sequence[Response], x: Tensor, how: Settings) -> list[Tensor]:
    """Return what each network's unit answers, (n,) each."""
    answers = [response(x).reshape(len(x), -1) for response in responses]
    if how.objective == "squares":
        answers = [z.square() for z in answers]
    return [z.sum(1) for z in answers]


def soft_minimum(answers: Sequence[Tensor], temperature: float) -> Tensor:
    """Return -t log mean exp(-f / t), which is the minimum for small t."""
    stacked = torch.stack(list(answers))
    mean = torch.logsumexp(-stacked / temperature, 0) - np.log(len(answers))
    return -temperature * mean


def agreed(gradients: Sequence[Tensor]) -> Tensor:
    """Return the smallest size with the common sign, 0 where signs differ."""
    stacked = torch.stack(list(gradients))
    signs = stacked.sign()
    common = torch.where((signs == signs[0]).all(0), signs[0], 0)
    return common * stacked.abs().amin(0)


def together(answers: Sequence[Tensor], how: Settings) -> Tensor:
    """Return the one number per start that is raised."""
    if len(answers) == 1:
        return answers[0]
    if how.consensus == "smooth":
        return soft_minimum(answers, how.temperature)
    return torch.stack(list(answers)).amin(0)


def _seen(x: Tensor, generators: Sequence, how: Settings) -> Tensor:
    """Return what the networks are shown: rolled, and as the transforms leave it."""
    if how.jitter:
        shifts = draw_shifts(generators, how.jitter, len(how.axes))
        x = rolled(x, shifts, how.axes)
    if how.transforms is None:
        return x
    rows = []
    for row, generator in zip(x.split(1), generators, strict=True):
        # each start has chance of its own, whatever runs beside it
        seed = torch.randint(2**31, (1,), generator=generator).item()
        with torch.random.fork_rng():
            torch.manual_seed(int(seed))
            rows.append(how.transforms(row))
    return torch.cat(rows)


def slopes(
    responses: Sequence[Response], x: Tensor, seen: Tensor, how: Settings
) -> tuple[Tensor, Tensor]:
    """Return the loss of each start, (n,), and its slope in the signal, upwards."""
    answers = activation(responses, seen, how)
    value = together(answers, how)
    if len(answers) > 1 and how.consensus == "min":
        each = [torch.autograd.grad(a.sum(), x, retain_graph=True)[0] for a in answers]
        upwards = agreed(each)
    else:
        upwards = torch.autograd.grad(value.sum(), x, retain_graph=True)[0]
    loss = -value.detach()
    if how.tv:
        variation = how.tv * total_variation(x, how.axes, how.tv_form)
        upwards = upwards - torch.autograd.grad(variation.sum(), x)[0]
        loss = loss + variation.detach()
    return loss, upwards


def climb(
    parametrisation: Parametrisation,
    responses: Sequence[Response],
    generators: Sequence[torch.Generator],
    how: Settings,
) -> Ascent:
    """Go up from one start per generator; an interrupt ends it early."""
    variable = parametrisation.start(generators)
    n = len(generators)
    alive = torch.ones(n, dtype=torch.bool, device=variable.device)
    state = Ascent(variable, variable, alive, ~alive)
    steps = tqdm(range(how.n_steps), disable=not how.verbose, desc="maximising")
    try:
        for t in steps:
            _one_step(parametrisation, responses, generators, how, state, t)
            if not state.alive.any():
                break
    except KeyboardInterrupt:
        warnings.warn(
            f"Interrupted after {len(state.losses)} of {how.n_steps} steps; returning "
            "the signals as they are.",
            RuntimeWarning,
            stacklevel=3,
        )
    _warn_of_silence(state)
    return state


def _one_step(
    parametrisation: Any,
    responses: Sequence[Response],
    generators: Sequence,
    how: Settings,
    state: Ascent,
    t: int,
) -> None:
    """Move every start that has a finite loss and slope."""
    variable = state.variable.detach().requires_grad_()
    x = parametrisation.image(variable)
    loss, upwards = slopes(responses, x, _seen(x, generators, how), how)
    (slope,) = torch.autograd.grad(x, variable, upwards)
    good = state.alive & loss.isfinite() & slope.flatten(1).isfinite().all(1)
    _warn_of_gaps(state.alive & ~good, loss, t)
    state.alive = good
    rows = good.view(-1, *[1] * (slope.ndim - 1))
    slope = torch.where(rows, slope, 0)
    # steps shrink to 0, so that the end does not swing
    rate = how.lr * (1 - t / how.n_steps)
    moved = parametrisation.step(variable.detach(), slope, rate)
    if how.blur:
        moved = blurred(moved, how.blur, how.axes)
        moved = project_ball(moved, parametrisation.p, parametrisation.radius)
    state.good = torch.where(rows, variable.detach(), state.good)
    state.variable = torch.where(rows, moved, state.good)
    state.moved = state.moved | (slope.flatten(1) != 0).any(1)
    sizes = torch.where(good.view(-1, *[1] * (x.ndim - 1)), upwards.abs(), 0)
    state.transparency = state.transparency + sizes.detach()
    state.losses.append(to_numpy(loss))


def _warn_of_gaps(gone: Tensor, loss: Tensor, t: int) -> None:
    if gone.any():
        starts = gone.nonzero().flatten().tolist()
        warnings.warn(
            f"The loss of start(s) {starts} is {loss[gone].tolist()}, or its slope is "
            f"not finite, at step {t}: stopped there, with the last good state. Likely "
            "causes: (a) lr is too large; (b) the network takes a root or a logarithm "
            "of the signal.",
            RuntimeWarning,
            stacklevel=5,
        )


def _warn_of_silence(state: Ascent) -> None:
    silent = (~state.moved & state.alive).nonzero().flatten().tolist()
    if silent and state.losses:
        warnings.warn(
            f"The unit's slope was 0 at every step of start(s) {silent}, so that they "
            "never moved: a ReLU is off there. Use more starts, a larger radius, or "
            "what comes before the ReLU.",
            RuntimeWarning,
            stacklevel=4,
        )
