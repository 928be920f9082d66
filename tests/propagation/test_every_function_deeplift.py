"""Every function that is declared has a complete rule in DeepLIFT, or is refused."""

import warnings

import pytest
import torch

from sktrim.propagation import UnsupportedOperationError
from sktrim.propagation.backward._deeplift import DeepLiftRescale
from sktrim.propagation.carrier import Carrier, find_carriers
from tests.propagation.calls import arguments, cases, declared, invoke, put

# on purpose, and why
REFUSED = {
    "embedding": "tokens are no numbers; the explanation starts at their vectors",
    "one_hot": "tokens are no numbers",
    "dropout1d": "random unless told otherwise",
    "dropout2d": "random unless told otherwise",
    "dropout3d": "random unless told otherwise",
    "mode": "picks by no order",
    "unsqueeze": "in place it changes the shape",
}
CONSTANT = ("detach", "detach_", "data.__get__", "fill_", "zero_")


class Given:
    """Arguments as carriers, and what is needed to check completeness."""

    def __init__(self):
        self.method = DeepLiftRescale()
        self.entered = []
        self.generator = torch.Generator().manual_seed(3)

    def __call__(self, tensor):
        full, base = tensor.clone(), tensor.clone()
        if full.is_floating_point() or full.is_complex():
            draws = torch.rand(
                full.shape, generator=self.generator, dtype=torch.float64
            )
            base = base + (0.1 * draws).to(base.dtype)
            full.requires_grad_()
        carrier = Carrier(self.method, full.clone(), base)
        self.entered.append((full, base.clone()))
        return carrier

    def plain(self, index):
        """Return a function that hands out the samples (0) or the baselines (1)."""
        values = iter([pair[index] for pair in self.entered])
        return lambda _: next(values).detach().clone()

    def explained(self, scalar):
        leaves = [pair for pair in self.entered if pair[0].requires_grad]
        found = torch.autograd.grad(
            scalar, [leaf for leaf, _ in leaves], allow_unused=True
        )
        return sum(
            (g.conj() * (leaf.detach() - base)).real.sum()
            for g, (leaf, base) in zip(found, leaves, strict=True)
            if g is not None
        )


def floating(values, kind=torch.Tensor):
    if isinstance(values, dict):
        values = list(values.values())
    values = [values] if isinstance(values, kind) else list(values)
    values = [v for v in values if isinstance(v, kind)]
    return [torch.view_as_real(v.resolve_conj()) if v.is_complex() else v
            for v in values if v.is_floating_point() or v.is_complex()]  # fmt: skip


def weighted(values):
    values = [v.flatten().double() for v in values]
    weights = [torch.linspace(-1, 2, len(v), dtype=v.dtype) for v in values]
    return sum((v * w).sum() for v, w in zip(values, weights, strict=True))


@pytest.mark.parametrize(
    ("func", "dummy", "name"),
    [
        case
        for case in cases()
        if getattr(declared(case.values[0], case.values[2]), "kind", "query") != "query"
    ],
)
def test_complete_or_refused(func, dummy, name):
    args, known, given = arguments(dummy, name), declared(func, name), Given()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        carried = put(args, given)
        try:
            result = invoke(func, name, carried)
        except UnsupportedOperationError:
            assert known.name in REFUSED or name.endswith("as_strided_")
            return
        plain_args = [put(args, given.plain(index)) for index in (0, 1)]
        plain, base = (invoke(func, name, values) for values in plain_args)
    assert known.name not in REFUSED or name.endswith("unsqueeze")
    if name.endswith("__setitem__"):
        result, plain, base = carried[0], plain_args[0][0], plain_args[1][0]
    found = list(find_carriers(list(result) if isinstance(result, tuple) else result))
    wholes = floating([c.full for c in found])
    for part, whole in zip(wholes, floating(plain), strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-12, atol=1e-14)
    starts = floating([c.rel for c in found])
    for part, whole in zip(starts, floating(base), strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-12, atol=1e-14)
    if not any(w.requires_grad for w in wholes):
        assert name.endswith(CONSTANT)
        return
    explained = given.explained(weighted(wholes))
    expected = weighted(floating(plain)) - weighted(floating(base))
    # what rounds on the way has no exact differences
    rounding = max(torch.finfo(whole.dtype).eps for whole in wholes)
    atol = 1e-10 if rounding < 1e-12 else 10 * rounding
    torch.testing.assert_close(explained, expected, rtol=1e-9, atol=atol)
