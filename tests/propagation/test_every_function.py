"""Every function that torch lets a duck type override is declared or refused.

Each is called with valid arguments on carriers whose masks are the full and the empty
one: what comes back must be the plain result, wholly relevant or not at all.
"""

import warnings

import pytest
import torch

from sktrim.propagation import UnsupportedOperationError
from sktrim.propagation.carrier import find_carriers
from sktrim.propagation.decomposition._method import ContextualDecomposition
from tests.propagation.calls import arguments, carrier, cases, declared, invoke, put


@pytest.mark.parametrize(("func", "dummy", "name"), list(cases()))
def test_declared_or_refused(func, dummy, name):
    args = arguments(dummy, name)
    method = ContextualDecomposition("channel", "relevant", False)
    known = declared(func, name)
    given = put(args, lambda t: carrier(method, t))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = invoke(func, name, given)
        except UnsupportedOperationError:
            return
        except TypeError as error:
            # torch's own parser: the dummy takes what is a number for a tensor
            if known is None and "Carrier" in str(error):
                return
            raise
        assert known is not None or name.endswith(("__iter__", "__reversed__"))
        plain_args = put(args, lambda t: t.clone())
        plain = invoke(func, name, plain_args)
    found = list(find_carriers(list(result) if isinstance(result, tuple) else result))
    if name.endswith("__setitem__"):
        found, plain = [given[0]], plain_args[0]
    if not found:
        assert known is None or known.kind == "query"
        return
    wholes = [plain] if isinstance(plain, torch.Tensor) else list(plain)
    wholes = [t for t in wholes if isinstance(t, torch.Tensor)]
    for part, whole in zip(found, wholes, strict=False):
        torch.testing.assert_close(part.full, whole, rtol=1e-12, atol=1e-14)
        if whole.is_floating_point() or whole.is_complex():
            assert part.rel.shape == (2, *whole.shape)
            torch.testing.assert_close(part.rel[0], whole, rtol=1e-6, atol=1e-10)
            torch.testing.assert_close(part.rel[1], 0 * whole, rtol=0, atol=1e-10)


def test_everything_declared_is_called_with_valid_arguments():
    called = set()
    for func, dummy, name in (case.values for case in cases()):
        known = declared(func, name)
        if known is None or known.kind == "query":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            invoke(func, name, put(arguments(dummy, name), lambda t: t.clone()))
        called.add(known.name)
    assert len(called) > 200
