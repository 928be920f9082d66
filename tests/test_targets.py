"""A target picks the scalar that its name says."""

import tracemalloc

import numpy as np
import pytest
import torch

from sktrim.network import Network
from sktrim.targets import (
    Target,
    check_output,
    predicted_columns,
    resolve_target,
)


class FakeNetwork:
    gives_probabilities = False
    has_gradient = True
    strip, threshold, link, pick = True, 0.5, None, None
    independent, labels = Network.independent, Network.labels

    def __init__(self, kind="classifier", classes=None, ending=None):
        self.kind, self.ending, self.n_outputs = kind, ending, 4
        self.classes = None if classes is None else np.asarray(classes)


@pytest.fixture
def outputs():
    return np.random.default_rng(0).standard_normal((6, 4))


def explained(target, outputs, y=None, output="margin", network=None):
    network = network or FakeNetwork()
    resolved = resolve_target(target, outputs, y, network, output)
    return resolved.target(torch.as_tensor(outputs)).numpy()


def test_margin_is_the_logit_minus_the_mean_of_the_others(outputs):
    for row, value in zip(outputs, explained("predicted", outputs)[:, 0], strict=True):
        others = np.delete(row, row.argmax())
        assert value == pytest.approx(row.max() - others.mean())


def test_logit_and_probability_of_a_fixed_column(outputs):
    logit = explained(2, outputs, output="logit")[:, 0]
    np.testing.assert_allclose(logit, outputs[:, 2])
    share = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    np.testing.assert_allclose(
        explained(2, outputs, output="probability")[:, 0], share[:, 2]
    )


def test_all_columns_side_by_side(outputs):
    every = explained("all", outputs, output="logit")
    np.testing.assert_allclose(every, outputs)


def test_contrast_of_two_columns(outputs):
    np.testing.assert_allclose(
        explained((3, 1), outputs)[:, 0], outputs[:, 3] - outputs[:, 1]
    )


def test_true_class_goes_through_the_labels(outputs):
    network = FakeNetwork(classes=["a", "b", "c", "d"])
    y = ["d", "a", "b", "b", "c", "a"]
    found = explained("true", outputs, y, "logit", network)[:, 0]
    np.testing.assert_allclose(found, outputs[np.arange(6), [3, 0, 1, 1, 2, 0]])
    label = explained(("label", "b"), outputs, None, "logit", network)[:, 0]
    np.testing.assert_allclose(label, outputs[:, 1])


def test_one_column_per_sample(outputs):
    columns = np.array([0, 1, 2, 3, 0, 1])
    found = explained(columns, outputs, output="logit")[:, 0]
    np.testing.assert_allclose(found, outputs[np.arange(6), columns])


def test_one_output_is_negated_for_class_0():
    z = np.array([[2.0], [-3.0]])
    np.testing.assert_allclose(explained("predicted", z)[:, 0], [2, 3])
    np.testing.assert_allclose(explained(0, z)[:, 0], [-2, 3])
    sigmoid = 1 / (1 + np.exp(-z[:, 0]))
    np.testing.assert_allclose(explained(0, z, output="probability")[:, 0], 1 - sigmoid)
    np.testing.assert_allclose(
        explained((1, 0), z, output="probability")[:, 0], 2 * sigmoid - 1
    )
    assert explained("all", z).shape == (2, 1)


def test_leading_axes_are_kept_and_rows_can_be_picked(outputs):
    target = resolve_target("predicted", outputs, None, FakeNetwork(), "margin").target
    stacked = torch.as_tensor(np.stack([outputs, 2 * outputs]))
    assert target(stacked).shape == (2, 6, 1)
    np.testing.assert_allclose(target(stacked)[1], 2 * target(stacked)[0])
    np.testing.assert_allclose(target[2:4](stacked[:, 2:4])[0], target(stacked)[0, 2:4])


def test_linear_leaves_the_offset_out():
    target = Target(torch.tensor([[[-1.0]]]), "sigmoid", torch.tensor([[1.0]]))
    assert target.linear(torch.tensor([[2.0]])).item() == -2


def test_regressors():
    z = np.array([[1.0, 5.0], [2.0, 6.0]])
    network = FakeNetwork("regressor")
    np.testing.assert_allclose(explained(1, z, None, "raw", network)[:, 0], [5, 6])
    one = explained("predicted", z[:, :1], None, "raw", network)
    np.testing.assert_allclose(one[:, 0], [1, 2])


@pytest.mark.parametrize(
    ("target", "y", "kind", "message"),
    [
        (4, None, "classifier", "out of range"),
        (-1, None, "classifier", "out of range"),
        ([0, 1], None, "classifier", "2 entries for 6 samples"),
        ([0.5] * 6, None, "classifier", "expected 'predicted'"),
        ("true", None, "classifier", "pass y"),
        ("true", [9] * 6, "classifier", "does not\\s+know"),
        (("label", "x"), None, "classifier", "does not\\s+know"),
        ("best", None, "classifier", "expected 'predicted', 'true' or 'all'"),
        ((0, 4), None, "classifier", "out of range"),
        ((0, 0), None, "classifier", "with itself"),
        ((0.5, 1), None, "classifier", "pair of output columns"),
        ("predicted", None, "regressor", "4 outputs"),
        ("true", [0] * 6, "regressor", "needs a classifier"),
        (("label", 1), None, "regressor", "needs a classifier"),
    ],
)
def test_targets_that_cannot_be_met(outputs, target, y, kind, message):
    output = "margin" if kind == "classifier" else "raw"
    with pytest.raises(ValueError, match=message):
        explained(target, outputs, y, output, FakeNetwork(kind))


def test_output_rules():
    assert check_output("auto", FakeNetwork()) == "margin"
    assert check_output("auto", FakeNetwork("regressor")) == "raw"
    with pytest.raises(ValueError, match="expected one of auto"):
        check_output("logits", FakeNetwork())
    with pytest.raises(ValueError, match="needs a classifier"):
        check_output("margin", FakeNetwork("regressor"))


@pytest.mark.parametrize("target", [(), (0, 1, 2), ("label",), ("label", 1, 2), 1.5])
def test_targets_that_are_neither_columns_nor_pairs(target, outputs):
    with pytest.raises(ValueError, match="expected 'predicted', 'true', 'all'"):
        explained(target, outputs)


def test_probability_of_class_0_keeps_the_dtype():
    z = torch.zeros(2, 1, dtype=torch.float32)
    resolved = resolve_target(0, z.numpy(), None, FakeNetwork(), "probability")
    assert resolved.target(z).dtype == torch.float32


def test_predicted_columns():
    network = FakeNetwork()
    assert predicted_columns(np.array([[1.0], [-1.0]]), network).tolist() == [1, 0]
    assert predicted_columns(np.array([[1.0, 2.0]]), network).tolist() == [1]


@pytest.mark.parametrize("n_outputs", [2, 15, 16, 40])
def test_probabilities_are_a_softmax_however_many_outputs(n_outputs):
    generator = torch.Generator().manual_seed(n_outputs)
    logits = torch.randn(3, 5, n_outputs, generator=generator, dtype=torch.float64)
    logits[0, 0] += 800
    logits.requires_grad_()
    weights = torch.randn(5, 2, n_outputs, generator=generator, dtype=torch.float64)
    found = Target(weights, "softmax")(logits)
    expected = torch.einsum("ntk,pnk->pnt", weights, logits.softmax(-1))
    torch.testing.assert_close(found, expected)
    ours, theirs = (
        torch.autograd.grad(each.square().sum(), logits, retain_graph=True)
        for each in (found, expected)
    )
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("target", ["predicted", (7, 9), 5])
def test_a_vocabulary_of_outputs_needs_no_square_of_them(target):
    outputs = np.zeros((2, 60_000), dtype="float32")
    outputs[:, 3] = 1
    network = FakeNetwork()
    network.n_outputs = 60_000
    tracemalloc.start()
    resolved = resolve_target(target, outputs, None, network, "logit")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a few rows of doubles
    assert peak < 20 * outputs.shape[1] * 8
    assert resolved.target.weights.shape[-1] == 60_000
