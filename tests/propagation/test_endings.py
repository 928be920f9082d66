"""The ending of a classifier is found and left out."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktrim.propagation import (
    contextual_decomposition,
    explained_output,
    find_ending,
    looks_like_probabilities,
)

torch.manual_seed(0)
BODY = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).double().eval()
X = torch.randn(5, 6, dtype=torch.float64)
ENDINGS = {
    "module": (nn.Softmax(dim=1), "softmax"),
    "functional": (lambda h: F.softmax(h, dim=-1), "softmax"),
    "method": (lambda h: h.softmax(1), "softmax"),
    "torch": (lambda h: torch.softmax(h, 1), "softmax"),
    "special": (lambda h: torch.special.softmax(h, 1), "softmax"),
    "log module": (nn.LogSoftmax(dim=1), "log_softmax"),
    "log method": (lambda h: h.log_softmax(-1), "log_softmax"),
    "log of softmax": (lambda h: torch.log(F.softmax(h, 1)), "log_softmax"),
    "exp of log softmax": (lambda h: F.log_softmax(h, 1).exp(), "softmax"),
    "sigmoid module": (nn.Sigmoid(), "sigmoid"),
    "sigmoid method": (lambda h: h.sigmoid(), "sigmoid"),
    "sigmoid functional": (lambda h: F.sigmoid(h), "sigmoid"),
    "expit": (lambda h: torch.special.expit(h), "sigmoid"),
    "in place": (lambda h: h.sigmoid_(), "sigmoid"),
    "clamped": (lambda h: h.softmax(1).clamp(1e-7, 1 - 1e-7), "softmax"),
    "viewed": (lambda h: h.softmax(1).view(len(h), 2, 2).flatten(1), "softmax"),
    "squeezed": (lambda h: h[:, None].softmax(2).squeeze(1), "softmax"),
    "in a tuple": (lambda h: (h.softmax(1), h.sum()), "softmax"),
    "in a dict": (lambda h: {"prob": h.softmax(1)}, "softmax"),
    "none": (lambda h: h * 1.0, None),
    "softmax used inside": (lambda h: h.softmax(1) * h, None),
}


MASK = torch.tensor([True, False, False, False])


def blotted(h):
    p = h.softmax(1)
    p[:, :1].zero_()
    return p


def shifted(h):
    p = h.softmax(1)
    p.T[0].add_(2)
    return p


def with_item(h):
    p = h.softmax(1)
    p[:, 0] = 1.0
    return p


def overwritten_source(h):
    h = h * 1.0
    p = h.softmax(1)
    h.zero_()
    return p


def overwritten_view_of_source(h):
    h = h * 1.0
    view = h[:, :1]
    p = h.softmax(1)
    view.zero_()
    return p


# what comes after the ending makes another value of it, of which another class may be
# the largest
CHANGED = {
    "masked_fill": lambda h: h.softmax(1).masked_fill(MASK, 0.0),
    "masked_fill_": lambda h: h.softmax(1).masked_fill_(MASK, 0.0),
    "where": lambda h: torch.where(MASK, torch.zeros(4).double(), h.softmax(1)),
    "pad": lambda h: F.pad(h.softmax(1), (1, 0), value=2.0),
    "cat": lambda h: torch.cat([torch.ones(len(h), 1).double(), h.softmax(1)], 1),
    "stack": lambda h: torch.stack(
        [torch.ones(len(h), 4).double(), h.softmax(1)], 1
    ).flatten(1),
    "index_fill": lambda h: h.softmax(1).index_fill(1, torch.tensor([0]), 0.0),
    "tril": lambda h: h.softmax(1).tril(),
    "scatter": lambda h: h.softmax(1).scatter(
        1, torch.zeros(len(h), 1, dtype=torch.long), 2.0
    ),
    "hard clamp": lambda h: h.softmax(1).clamp(0.2, 0.3),
    "hard clamp_": lambda h: h.softmax(1).clamp_(max=0.3),
    "log clamp": lambda h: h.log_softmax(1).clamp(min=-1.0),
    "a write": with_item,
    "a write through a view": blotted,
    "an addition through a view": shifted,
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_constant_or_a_write_drops_the_ending(name):
    def net(x):
        return CHANGED[name](BODY(x))

    out, found = explained_output(net, X)
    assert found is None
    assert find_ending(net, X) is None
    torch.testing.assert_close(out, net(X), rtol=0, atol=0)
    rel, irrel = contextual_decomposition(net, X, X * 0.3)
    torch.testing.assert_close(rel + irrel, net(X))


@pytest.mark.parametrize("end", [overwritten_source, overwritten_view_of_source])
def test_logits_that_were_written_to_are_not_explained_as_they_became(end):
    def net(x):
        return end(BODY(x))

    out, found = explained_output(net, X)
    torch.testing.assert_close(out, BODY(X) if found else net(X))
    rel, irrel = contextual_decomposition(net, X, X * 0.3)
    wholes = [BODY(X), net(X)]
    assert any(torch.allclose(rel + irrel, whole) for whole in wholes)


def first(value):
    value = list(value.values()) if isinstance(value, dict) else value
    return value if isinstance(value, torch.Tensor) else value[0]


@pytest.mark.parametrize("name", ENDINGS)
def test_the_value_before_the_ending_is_explained(name):
    end, kind = ENDINGS[name]

    def net(x):
        return end(BODY(x))

    out, found = explained_output(net, X)
    assert found == kind == find_ending(net, X)
    expected = BODY(X) if kind else first(net(X))
    torch.testing.assert_close(out, expected, rtol=0, atol=0)
    rel, irrel = contextual_decomposition(net, X, X * 0.3)
    torch.testing.assert_close(rel + irrel, expected)


@pytest.mark.parametrize("name", ENDINGS)
def test_the_ending_is_kept_on_request(name):
    end, kind = ENDINGS[name]

    def net(x):
        return end(BODY(x))

    plain = first(net(X))
    rel, irrel = contextual_decomposition(net, X, X * 0.3, strip=False)
    torch.testing.assert_close(rel + irrel, plain)
    out, found = explained_output(net, X, strip=False)
    assert found == kind
    torch.testing.assert_close(out, plain)


def test_output_is_differentiable_and_the_input_is_not_written_to():
    net = nn.Sequential(nn.ReLU(inplace=True), *BODY, nn.Softmax(1))
    x = X.clone().requires_grad_()
    out, _ = explained_output(net, x)
    (grad,) = torch.autograd.grad(out[:, 0].sum(), x)
    y = X.clone().requires_grad_()
    (expected,) = torch.autograd.grad(BODY(y.relu())[:, 0].sum(), y)
    torch.testing.assert_close(grad, expected)
    assert torch.equal(x.detach(), X)


def test_operations_without_a_rule_do_not_matter_for_the_ending():
    def net(x):
        return (BODY(x) @ torch.linalg.inv(torch.eye(4).double())).softmax(1)

    assert explained_output(net, X)[1] == "softmax"
    assert find_ending(lambda x: torch.linalg.svdvals(x).softmax(-1), X) == "softmax"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_that_no_carrier_can_run_have_no_known_ending():
    traced = torch.jit.trace(nn.Sequential(copy.deepcopy(BODY), nn.Softmax(1)), X)
    assert find_ending(traced, X) is None
    assert looks_like_probabilities(traced(X))


@pytest.mark.parametrize("error", [AssertionError, KeyError, IndexError])
def test_models_that_insist_on_tensors_have_their_ending(error):
    def net(x):
        if not isinstance(x, torch.Tensor):
            raise error("a tensor is wanted")
        return BODY(x).softmax(1)

    assert find_ending(net, X) == "softmax"


@pytest.mark.parametrize("error", [AssertionError, KeyError, IndexError])
def test_models_that_insist_on_very_tensors_have_no_known_ending(error):
    def net(x):
        if type(x) is not torch.Tensor:
            raise error("a tensor is wanted")
        return BODY(x).softmax(1)

    assert find_ending(net, X) is None


def test_probabilities_are_told_from_other_outputs():
    assert looks_like_probabilities(BODY(X).softmax(1))
    assert not looks_like_probabilities(BODY(X))
    assert not looks_like_probabilities(BODY(X).sigmoid())
    assert not looks_like_probabilities(torch.ones(3, 1))
    assert not looks_like_probabilities(torch.ones(3))
