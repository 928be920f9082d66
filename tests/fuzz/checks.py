"""What must hold of every method on every program."""

import random
from dataclasses import dataclass

import torch

from sktrim.propagation import (
    LowRankParts,
    Mixtures,
    UnsupportedOperationError,
    contextual_decomposition,
    decompose,
    explained_output,
)
from sktrim.propagation.backward._deeplift_rules import DeepLiftRescale
from sktrim.propagation.backward._lrp_input import AffineInput
from sktrim.propagation.backward._lrp_method import RelevancePropagation
from sktrim.propagation.backward._lrp_rules import named_rule
from sktrim.propagation.backward._lrp_run import run_for_relevance
from sktrim.propagation.backward._lrp_values import relevance_of
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import Deconvolution, GuidedBackpropagation
from tests.fuzz import attention, references
from tests.fuzz.programs import generate
from tests.propagation import naive_pairs

BIASES = ("context", "channel", "proportional")


@dataclass
class Outcome:
    """What a check found: "right", "refused", "skipped" or "wrong", and why."""

    verdict: str
    why: str = ""
    size: float = 0.0


class Wrong(AssertionError):
    """An identity that does not hold."""

    def __init__(self, what, size):
        super().__init__(f"{what}: {size:.1e}")
        self.what, self.size = what, size


class Skipped(Exception):
    """The check does not apply to the program."""


def check(method, program):
    """Return the outcome of a method's identities on a program."""
    try:
        CHECKS[method](program)
    except UnsupportedOperationError as error:
        return Outcome("refused", str(error).split(" (called at")[0][:90])
    except Skipped as reason:
        return Outcome("skipped", str(reason)[:90])
    except Wrong as error:
        return Outcome("wrong", error.what, error.size)
    except Exception as error:
        if method in TRAINED and not trains(program.build(), program.inputs()):
            return Outcome("skipped", "plain autograd fails")
        if "modified by an inplace operation" in str(error):
            return Outcome("refused", "by torch: a kept value is written later")
        return Outcome("wrong", f"{type(error).__name__}: {str(error)[:150]}")
    return Outcome("right")


TRAINED = ("deeplift", "lrp")


def trains(f, x):
    """Tell whether plain autograd gets through a program, with one row too."""
    try:
        plain_gradient(f, x, references.Predicted())
        plain_gradient(f, x[:1], references.Predicted())
    except Skipped:
        return False
    return True


def agree(what, found, expected, tolerance=1e-8, scale=None):
    """Raise where two results differ by more than round-off."""
    if found.shape != expected.shape:
        raise Wrong(f"{what}: shape {tuple(found.shape)}", float("inf"))
    if not found.numel():
        return
    scale = 1 + expected.abs().amax().item() if scale is None else scale
    error = (found - expected).abs().amax().item() / scale
    if not error <= tolerance:
        raise Wrong(what, error)


def twin(program):
    """Return the same program in another spelling, or None where it was drawn anew."""
    other = generate(program.seed, 1)
    alike = other.seed == program.seed and other.n_rows == program.n_rows
    if not alike or other.shape != program.shape:
        return None
    f, g = program.build(), other.build()
    x = program.inputs()
    with torch.no_grad():
        a, b = f(x.clone()), g(x.clone())
        if program.writes(x) != other.writes(x):
            return None
    return g if a.shape == b.shape and torch.allclose(a, b, atol=1e-9) else None


def _drawn(program, count, salt=0):
    generator = torch.Generator().manual_seed(program.seed + salt)
    shape = (count, 16, *program.shape)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


# contextual decomposition


@torch.no_grad()
def cd(program):
    rng = random.Random(program.seed)
    options = {
        "bias": rng.choice(BIASES),
        "nonlinearity": rng.choice(("relevant", "symmetric")),
    }
    f, x = program.build(), program.inputs()
    whole = f(x.clone())
    soft = _drawn(program, 2)[:, : len(x)]
    hard = (soft[1, :1] > 0.5).to(x)
    rel = torch.stack([soft[0] * x, hard * x, x, 0 * x])
    found, rest = contextual_decomposition(f, x, rel, strip=False, **options)
    agree("the parts add up", found + rest, whole.expand_as(found), 1e-9)
    if options["bias"] != "context":
        agree("the empty mask is 0", found[3], 0 * whole, 1e-9)
        # of a row of zeros all parts are alike, so that no share can be told
        told = x.flatten(1).any(1)
        agree("the full mask is f", found[2][told], whole[told], 1e-8)
    for i in range(len(x)):
        row, part = x[i : i + 1], rel[:, i : i + 1]
        alone, _ = contextual_decomposition(f, row, part, strip=False, **options)
        agree("rows alone", alone, found[:, i : i + 1], scale=_scale(found))
    linear(f, x, rel, found, options)
    other = twin(program)
    if other is not None:
        again, _ = contextual_decomposition(other, x, rel, strip=False, **options)
        agree("another spelling", again, found)
    interpreted(f, x, rel, found, options)
    folded(program, f, x, rng, options)


def _scale(values):
    return 1 + values.abs().amax().item()


def folded(program, f, x, rng, options):
    """Compare folded parts of a few coefficients with the same ones, multiplied out."""
    size = x[0].numel()
    basis = torch.eye(size, dtype=x.dtype)
    if rng.random() < 0.7:
        rows = [[rng.gauss(0, 1) for _ in range(size)] for _ in range(size)]
        basis = torch.linalg.qr(basis.new_tensor(rows))[0]
    coefficients = x.flatten(1) @ basis.T
    masks = torch.zeros(3, size, dtype=x.dtype)
    for mask in masks:
        for _ in range(rng.randint(1, 2)):
            mask[rng.randrange(size)] = rng.uniform(0.2, 1)
    rel = ((masks[:, None] * coefficients) @ basis).unflatten(2, x.shape[1:])
    parts = LowRankParts(coefficients, basis.unflatten(1, x.shape[1:]), masks)
    share = masks.mean(1)
    dense, _ = contextual_decomposition(f, x, rel, strip=False, share=share, **options)
    at_once = rng.choice((1, 3, 6, 100))
    low, full = decompose(f, x, parts, strip=False, rows_at_once=at_once, **options)
    agree("folded parts", low, dense)
    agree("the output of folded parts", full, f(x.clone()), 1e-9)


def linear(f, x, rel, found, options):
    """Compare with the program itself where that is affine."""
    if options["bias"] != "context":
        return
    with references.Affine() as affine:
        f(x.clone())
    if affine.holds:
        origin = f(torch.zeros_like(x))
        expected = torch.stack([f(part.clone()) for part in rel]) - origin
        agree("a linear program", found, expected, 1e-9)


def interpreted(f, x, rel, found, options):
    try:
        expected, _ = naive_pairs.decomposed(f, x, rel, **options)
    except naive_pairs.NotInterpreted:
        return
    try:
        agree("the slow interpreter", found, expected)
    except Wrong:
        if _well_conditioned(f, x, rel, expected, options):
            raise


def _well_conditioned(f, x, rel, expected, options):
    """Tell whether round-off of the input hardly moves the parts."""
    generator = torch.Generator().manual_seed(1)
    noise = 1 + 1e-13 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    moved, _ = naive_pairs.decomposed(f, x * noise, rel * noise, **options)
    return (moved - expected).abs().amax() <= 1e-9 * _scale(expected)


# modified gradients


def gradient_of(method, f, x):
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        out = run(f, method.enter(leaf)).full
        return torch.autograd.grad(_weighed(out), leaf, allow_unused=True)[0], out


def _weighed(out):
    weights = 1 + 0.3 * torch.arange(out[0].numel(), dtype=out.dtype)
    return (out.flatten(1) * weights).sum()


def plain_gradient(f, x, mode):
    leaf = x.clone().requires_grad_()
    try:
        with torch.enable_grad(), mode:
            out = f(leaf.clone())
            return torch.autograd.grad(_weighed(out), leaf, allow_unused=True)[0], out
    except RuntimeError as error:
        raise Skipped("plain autograd fails") from error


def modified_gradient(method, mode):
    def check_program(program):
        f, x = program.build(), program.inputs()
        plain_gradient(f, x, references.Predicted())
        expected, whole = plain_gradient(f, x, mode())
        found, out = gradient_of(method(), f, x)
        agree("the output", out.detach(), whole.detach(), 1e-9)
        if expected is None:
            raise Skipped("no gradient")
        agree("the gradient", _or_zero(found, x), expected)
        for i in range(len(x)):
            alone, _ = gradient_of(method(), f, x[i : i + 1])
            agree("rows alone", _or_zero(alone, x[:1]), expected[i : i + 1])
        other = twin(program)
        if other is not None and trains(other, x):
            # at ties plain autograd itself depends on the spelling
            expected, _ = plain_gradient(other, x, mode())
            again, _ = gradient_of(method(), other, x)
            agree("another spelling", _or_zero(again, x), _or_zero(expected, x))

    return check_program


def _or_zero(gradient, x):
    return torch.zeros_like(x) if gradient is None else gradient


def multipliers(f, x, base):
    leaf = x.clone().requires_grad_()
    with torch.enable_grad():
        out = run(f, DeepLiftRescale().enter(leaf, base.clone()))
        grad = torch.autograd.grad(_weighed(out.full), leaf, allow_unused=True)[0]
    return _or_zero(grad, x), out


def deeplift(program):
    f, x = program.build(), program.inputs()
    base = torch.zeros_like(x)
    if program.seed % 2:
        base = _drawn(program, 1, 2)[0, : len(x)] - 0.5
    with torch.no_grad():
        whole, origin = f(x.clone()), f(base.clone())
    if not (origin.abs() < 1e4).all():
        raise Skipped("not finite at the baseline")
    grad, out = multipliers(f, x, base)
    agree("the output", out.full.detach(), whole, 1e-9)
    scores = grad * (x - base)
    scale = 1 + scores.abs().sum().item()
    if "asks" not in program.traits:
        agree("the baseline's output", out.rel, origin, 1e-9)
    added = _rows(whole) - _rows(out.rel)
    agree("completeness", scores.flatten(1).sum(1), added, 1e-9, scale)
    for i in range(len(x)):
        one = slice(i, i + 1)
        alone, _ = multipliers(f, x[one], base[one])
        agree("rows alone", alone * (x - base)[one], scores[one], scale=scale)
    other = twin(program)
    if other is not None and trains(other, x):
        again, _ = multipliers(other, x, base)
        agree("another spelling", again * (x - base), scores, scale=scale)


def _rows(out):
    weights = 1 + 0.3 * torch.arange(out[0].numel(), dtype=out.dtype)
    return (out.flatten(1) * weights).sum(1)


# relevance propagation


def relevance(f, x, rules):
    """Return relevance of the input, as `sktrim.scorers.LRPComposite` does."""
    method = RelevancePropagation(rules)
    point, twin_, leaf = (x.detach().clone().requires_grad_() for _ in range(3))
    affine = AffineInput(
        twin_, True, leaf.flatten(1), lambda s: s.unflatten(-1, x.shape[1:])
    )
    with torch.enable_grad():
        out = relevance_of(method, run_for_relevance(method, f, point, affine))
        weights = 1 + 0.3 * torch.arange(out[0].numel(), dtype=out.dtype)
        start = (weights * out.detach().flatten(1)).reshape(out.shape)
        parts = torch.autograd.grad(out, (point, twin_, leaf), start, allow_unused=True)
    multiplier, direct, folded_ = (_or_zero(p, x) for p in parts)
    return multiplier * x + direct + folded_, out


def everywhere(rule):
    return dict.fromkeys(("conv", "linear"), rule) | {
        "join": named_rule("epsilon", epsilon=0.0)
    }


def lrp(program):
    """Without epsilon, relevance is input times a gradient of modified operations."""
    f, x = program.build(), program.inputs()
    rule = named_rule("epsilon", epsilon=0.0)
    if program.seed % 2:
        rule = named_rule("gamma", gamma=0.0)
    found, out = relevance(f, x, everywhere(rule))
    with torch.no_grad():
        agree("the output", out.detach(), f(x.clone()), 1e-9)
    try:
        expected = references.input_times_gradient(f, x)
    except attention.NotInterpreted:
        expected = found
    if program.kind != "normal":
        # round numbers cancel to 0, out of which the epsilon rule shares nothing
        expected = found
    scale = 1 + expected.abs().sum().item()
    agree("input times modified gradient", found, expected, 1e-7, scale)
    rule = named_rule("gamma", gamma=0.3) if program.seed % 3 else named_rule("z_plus")
    together, _ = relevance(f, x, everywhere(rule))
    scale = 1 + together.abs().sum().item()
    try:
        for i in range(len(x)):
            one = slice(i, i + 1)
            alone, _ = relevance(f, x[one], everywhere(rule))
            agree("rows alone", alone, together[one], scale=scale)
        other = twin(program)
        if other is not None and trains(other, x) and _alike(f, other, x):
            again, _ = relevance(other, x, everywhere(rule))
            agree("another spelling", again, together, scale=scale)
    except Wrong as error:
        if _shared_by_round_off(f, x, everywhere(rule), together):
            raise Skipped("relevance of a sum that is nothing but round-off") from error
        raise


def _shared_by_round_off(f, x, rules, expected):
    """Tell whether signals in other units, which keep all ties, have other relevance.

    Without epsilon a sum that is 0 up to round-off shares out what reaches it by the
    quotients of its terms and of that round-off.
    """
    scale = 1 + expected.abs().sum().item()
    moved = (relevance(f, x * (1 + k * 2**-40), rules)[0] for k in (1, 2, 3))
    return any((m - expected).abs().amax() > 1e-8 * scale for m in moved)


def _alike(f, g, x):
    """Tell whether plain autograd sees no difference, as between amax and max at ties.

    Where it fails for the first there is no saying.
    """
    if not trains(f, x):
        return True
    a, b = (
        _or_zero(plain_gradient(h, x, references.Predicted())[0], x) for h in (f, g)
    )
    return torch.allclose(a, b)


# forward passes


@torch.no_grad()
def mixtures(program):
    """Compare mixtures that meet in the middle with mixtures at the input."""
    f, x = program.build(), program.inputs()
    rng = random.Random(program.seed)
    signals = torch.stack([x, *(_drawn(program, 2, 3)[:, : len(x)] - 0.5)])
    count = rng.choice((1, 2, 4))
    weights = _drawn(program, 1, 4).flatten()[: 3 * count].reshape(count, 3)
    mixed = torch.einsum("pm,mn...->pn...", weights, signals).flatten(0, 1)
    expected = f(mixed.clone())
    found = Mixtures(signals).run(f, f, weights)
    agree("mixtures", found, expected, 1e-9)
    twice = Mixtures(signals)
    for some in (weights, weights.flip(0)):
        found = twice.run(f, f, some)
    agree("mixtures, again", found.unflatten(0, (count, -1)).flip(0).flatten(0, 1),
          expected, 1e-9)  # fmt: skip


# what ends a program, and what the explanation may follow through
ENDINGS = (
    lambda v: v.softmax(-1),
    lambda v: v.log_softmax(1),
    lambda v: v.sigmoid(),
    lambda v: torch.softmax(v, 1).log(),
)
FOLLOWED = (
    lambda v: v,
    lambda v: v[:, :1],
    lambda v: v.flip(1),
    lambda v: v.view(len(v), -1),
    lambda v: v.unsqueeze(1).squeeze(1),
    lambda v: v[:, [0, 0]],
    lambda v: v.T.contiguous().T,
)


def _item_written(v):
    v[:, 0] = 0.5
    return v


LOST = (
    lambda v: v.masked_fill(torch.arange(v.shape[1]) == 0, 0.5),
    lambda v: torch.where(torch.arange(v.shape[1]) == 0, 0.1, v),
    lambda v: torch.nn.functional.pad(v, (0, 1), value=0.2),
    lambda v: torch.cat([v, v.new_ones(len(v), 1)], 1),
    _item_written,
    lambda v: v * 2,
    lambda v: torch.cat([v, 1 - v], 1),
)


def endings(program):
    """What comes before an ending is explained; a constant or a write drops it."""
    rng = random.Random(program.seed)
    f, x = program.build(), program.inputs()
    end, kept = rng.choice(ENDINGS), rng.choice(FOLLOWED)
    lost = rng.choice(LOST) if rng.random() < 0.5 else None

    def whole(v):
        out = kept(end(f(v)))
        return out if lost is None else lost(out)

    with torch.no_grad():
        expected = whole(x.clone()) if lost is not None else kept(f(x.clone()))
        agree("the output", explained_output(whole, x)[0], expected, 1e-9)
        parts = contextual_decomposition(whole, x, 0.5 * x)
        agree("the parts", sum(parts), expected, 1e-9)
    if not trains(whole, x):
        raise Skipped("plain autograd fails")
    found, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    with torch.enable_grad():
        with references.Predicted():
            inner = whole if lost is not None else lambda v: kept(f(v))
            wanted = inner(plain.clone())
        _pull(explained_output(whole, found)[0], found)
        _pull(wanted, plain)
    agree("the gradient", _or_zero(found.grad, x), _or_zero(plain.grad, x))


def _pull(out, leaf):
    total = _weighed(out) + 0 * leaf.sum()
    leaf.grad = torch.autograd.grad(total, leaf)[0]


CHECKS = {
    "endings": endings,
    "cd": cd,
    "guided_backprop": modified_gradient(GuidedBackpropagation, references.GuidedMode),
    "deconvnet": modified_gradient(Deconvolution, references.DeconvolutionMode),
    "deeplift": deeplift,
    "lrp": lrp,
    "mixtures": mixtures,
}
