"""What is asked of each method on a network, and how far off it is."""

import time
from dataclasses import dataclass, field

import torch

from sktrim.propagation import (
    DenseParts,
    LowRankParts,
    OutputMismatchError,
    UnsupportedOperationError,
    decompose,
    explained_output,
)
from sktrim.propagation.backward._deeplift import DeepLiftRescale, check_baseline
from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import GuidedBackpropagation
from sktrim.scorers._in_chunks import pulled

BIASES = ("context", "proportional", "channel")
METHODS = (
    *(f"cd {bias}" for bias in BIASES),
    "deeplift",
    "lrp",
    "guided_backprop",
    "gradient",
)
ENDINGS = {
    "softmax": lambda z: z.softmax(-1),
    "log_softmax": lambda z: z.log_softmax(-1),
    "sigmoid": torch.sigmoid,
    None: lambda z: z,
}
EXACT = 1e-10
CLOSE = 1e-9
# the round-off of the input by which the conditioning of a rule is measured
ROUND_OFF = 1e-14


@dataclass
class Found:
    """What came of a method: errors by check, relative to the size of the output.

    Attributes
    ----------
    errors : dict
    limits : dict
        How large each error may be.
    notes : dict
        Other numbers, which decide nothing.
    """

    errors: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)

    def check(self, name, value, expected, limit, scale=None):
        """Compare two tensors."""
        if scale is None:
            scale = expected.abs().max().clamp(min=1e-30)
        off = float(((value - expected).abs().max() / scale).nan_to_num(1e9, 1e9))
        self.errors[name] = max(off, self.errors.get(name, 0.0))
        self.limits[name] = limit

    def check_conditioned(self, name, value, expected, scale, moved):
        """Compare two tensors that may differ by what round-off of the input does.

        Where a rule is ill-conditioned no two ways to compute it agree; how far the
        result moves is measured, and only where the fixed bound does not hold.

        Parameters
        ----------
        moved : callable
            Gives how much one and the same computation moves with the input.
        """
        self.check(name, value, expected, CLOSE, scale)
        if self.errors[name] > CLOSE:
            sensitivity = float(moved().abs().max() / scale)
            self.limits[name] = max(CLOSE, sensitivity)
            self.notes[f"moved, {name}"] = sensitivity

    def wrong(self):
        """Return the names of the checks that failed."""
        return [k for k, error in self.errors.items() if not error <= self.limits[k]]


def _masks(x):
    """Return a mask, the rest, none, and all, of the shape of one row."""
    chosen = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(1)) < 0.4
    chosen = chosen.to(x.dtype)
    return torch.stack([chosen, 1 - chosen, 0 * chosen, torch.ones_like(chosen)])


def _parts(x, masks):
    return _dense(masks[:, None] * x)


def _noise(x):
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    return 1 + ROUND_OFF * drawn


def _dense(parts):
    return DenseParts(len(parts), lambda rows, some: parts[some, rows])


@torch.no_grad()
def decomposition(built, bias):
    """Check contextual decomposition with one way to share biases."""
    model, x, expected = built.model, built.x, built.output
    found, masks = Found(), _masks(x)
    options = {"bias": bias, "strip": False}
    noise = _noise(x)
    near = noise * x
    start = time.perf_counter()
    rel, output = decompose(model, x, _parts(x, masks), **options)
    spent = time.perf_counter() - start
    size = expected.abs().max()
    found.check("output", output, expected, EXACT)
    found.check("empty", rel[2], torch.zeros_like(expected), CLOSE, size)
    if bias != "context":
        found.check("full", rel[3], expected, CLOSE)
    # parts may be far larger than their sum; so is then their round-off
    wide = torch.maximum(size, rel.abs().max())
    if built.rows_apart:
        alone, _ = decompose(model, x[1:2], _parts(x[1:2], masks), **options)
        found.check_conditioned(
            "alone",
            alone[:, 0],
            rel[:, 1],
            wide,
            lambda: (decompose(model, near, _parts(near, masks), **options)[0] - rel)[
                :, 1
            ],
        )
    folded, apart = _folded(x)
    low, _ = decompose(model, x, folded, **options)
    other, _ = decompose(model, x, _dense(apart), **options)
    wide = torch.maximum(size, other.abs().max())
    beside = _dense(noise * apart)
    found.check_conditioned(
        "folded",
        low,
        other,
        wide,
        lambda: decompose(model, near, beside, **options)[0] - other,
    )
    found.notes["growth"] = float(wide / size)
    found.notes["per_mask"] = spent / len(masks) / _plain_time(model, x)
    return found


def _folded(x):
    """Return parts that are coefficients times signals, and the same multiplied out."""
    drawn = torch.Generator().manual_seed(2)
    coefficients = torch.randn(len(x), 3, generator=drawn)
    basis = torch.randn(3, *x.shape[1:], generator=drawn)
    masks = torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    apart = torch.einsum("nm,km,m...->kn...", coefficients, masks, basis)
    return LowRankParts(coefficients, basis, masks), apart


def _plain_time(model, x):
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        model(x)
        spent.append(time.perf_counter() - start)
    return min(spent)


def _scalar(out):
    """Return a fixed combination of the outputs, for each row."""
    n_out = out.shape[1]
    weights = torch.randn(n_out, generator=torch.Generator().manual_seed(3))
    return out @ weights


def deeplift(built):
    """Check DeepLIFT with a zero and a random baseline."""
    model, x = built.model, built.x
    found, near = Found(), _noise(x) * x
    noise = torch.randn(x.shape[1:], generator=torch.Generator().manual_seed(4))
    for name, row in (("zero", 0 * noise), ("noise", 0.5 * noise)):
        origin = row.expand_as(x)
        scores, out, start = _rescaled(model, x, origin)
        if not bool(_explained(model, origin).isfinite().all()):
            # a network without an output there has no difference to explain
            found.notes[f"{name} baseline"] = float("nan")
            continue
        difference = _scalar(out) - start
        size = torch.maximum(_scalar(out).abs().max(), start.abs().max())
        total = _summed(built, scores.flatten(1).sum(1))
        difference = _summed(built, difference)
        absolute = scores.abs().flatten(1).sum(1).max()
        # scores that cancel have no sum beyond their own round-off
        rounded = torch.finfo(scores.dtype).eps * absolute
        found.check_conditioned(
            f"complete, {name}",
            total,
            difference,
            size,
            lambda start=origin, here=total, least=rounded: (
                (_total(built, near, start) - here).abs().clamp(min=least)
            ),
        )
        found.notes[f"growth, {name}"] = float(absolute / size)
        if built.rows_apart:
            one, _, _ = _rescaled(model, x[1:2], origin[1:2])
            wide = torch.maximum(size, scores.abs().max())
            found.check("alone", one[0], scores[1], CLOSE, wide)
        _same_output(found, built, out)
    return found


def _summed(built, values):
    # what a row gives to another is the other's difference
    return values if built.rows_apart else values.sum()


def _total(built, x, origin):
    scores, _, _ = _rescaled(built.model, x, origin)
    return _summed(built, scores.flatten(1).sum(1))


def _rescaled(model, x, origin):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        carrier = run(model, DeepLiftRescale().enter(leaf, origin))
        out = carrier.full
        (found,) = pulled(_scalar(out).sum(), (leaf,), retain=False)
    start = _explained(model, origin)
    if start.isfinite().all():
        check_baseline(carrier.rel, start, out)
    return found * (x - origin), out.detach(), _scalar(start)


@torch.no_grad()
def _explained(model, x):
    return explained_output(model, x)[0]


def _same_output(found, built, out):
    """Compare a carrier's output, before its ending, with the plain model's."""
    with torch.no_grad():
        ending = explained_output(built.model, built.x)[1]
    found.check("output", ENDINGS[ending](out), built.output, EXACT)


def guided(built):
    """Check that guided backpropagation runs the network that is there."""
    found = Found()
    grad, out = _guided(built.model, built.x)
    _same_output(found, built, out)
    if built.rows_apart:
        one, _ = _guided(built.model, built.x[1:2])
        size = grad.abs().max().clamp(min=1e-30)
        found.check("alone", one[0], grad[1], CLOSE, size)
    return found


def _guided(model, x):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out = run(model, GuidedBackpropagation().enter(leaf)).full
        (grad,) = pulled(_scalar(out).sum(), (leaf,), retain=False)
    return grad, out.detach()


def gradient(built):
    """Check plain gradients of the output before its ending."""
    found = Found()
    grad, out, ending = _gradient(built.model, built.x)
    found.check("output", ENDINGS[ending](out), built.output, EXACT)
    size = grad.abs().max().clamp(min=1e-30)
    if built.rows_apart:
        one, _, _ = _gradient(built.model, built.x[1:2])
        found.check("alone", one[0], grad[1], CLOSE, size)
    leaf = built.x.detach().clone().requires_grad_()
    with torch.enable_grad():
        plain = built.model(leaf)
        (right,) = torch.autograd.grad(_scalar(plain).sum(), leaf)
    if ending is None:
        found.check("gradient", grad, right, CLOSE, right.abs().max().clamp(min=1e-30))
    return found


def _gradient(model, x):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        out, ending = explained_output(model, leaf)
        (grad,) = pulled(_scalar(out).sum(), (leaf,), retain=False)
    return grad, out.detach(), ending


def relevance(built):
    """Check LRP through the public function; conservation is noted."""
    import sktrim
    from sktrim.scorers import LRPEpsilon

    def explain(x):
        return sktrim.transform_importance(
            built.model,
            x.numpy(),
            scorer=LRPEpsilon(1e-9),
            target=0,
            output="raw",
            on_incomplete="ignore",
        )

    found = Found()
    explanation = explain(built.x)
    values = torch.as_tensor(explanation.values)
    if built.rows_apart:
        size = values.abs().max().clamp(min=1e-30)
        alone = torch.as_tensor(explain(built.x[1:2]).values)[0]
        found.check("alone", alone, values[1], 1e-7, size)
    out = torch.as_tensor(explanation.predictions).reshape(len(built.x), -1)[:, 0]
    with torch.no_grad():
        ending = explained_output(built.model, built.x)[1]
    if ending is None:
        found.check("output", out, built.output[:, 0], EXACT)
    total = values.sum(1)
    found.notes["conserved"] = float((total / out).median())
    found.notes["growth"] = float((values.abs().sum(1) / out.abs()).max())
    return found


def run_method(built, method):
    """Return a row of the results: what came of one method on one network."""
    start = time.perf_counter()
    try:
        found = _run(built, method)
    except Exception as error:
        return {**_refusal(error), "seconds": time.perf_counter() - start}
    wrong = found.wrong()
    return {
        "status": "wrong" if wrong else "ok",
        "wrong": wrong,
        "errors": found.errors,
        "notes": found.notes,
        "seconds": time.perf_counter() - start,
    }


def _run(built, method):
    if method.startswith("cd "):
        return decomposition(built, method.removeprefix("cd "))
    others = {
        "deeplift": deeplift,
        "lrp": relevance,
        "guided_backprop": guided,
        "gradient": gradient,
    }
    return others[method](built)


def _refusal(error):
    """Return a clear refusal as such, and any other error as an error."""
    frame = error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename
    ours = "/sktrim/" in file and isinstance(error, (ValueError, TypeError))
    kinds = UnsupportedOperationError, OutputMismatchError
    clear = isinstance(error, kinds) or ours
    return {
        "status": "refused" if clear else "error",
        "message": f"{type(error).__name__}: {error}"[:1500],
        "site": f"{file}:{frame.tb_lineno}",
    }
