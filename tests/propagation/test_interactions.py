"""Interactions of pairs of parts."""

import pytest
import torch
from torch import nn

from sktrim.propagation import contextual_decomposition, pairwise_interactions
from tests import zoo


def test_linear_networks_have_none():
    net = nn.Linear(4, 2).double().eval()
    x = torch.randn(3, 4, dtype=torch.float64)
    rel = torch.eye(4, dtype=torch.float64)[:, None] * x
    found, pairs = pairwise_interactions(net, x, rel, bias="context")
    assert found.shape == (6, 3, 2)
    assert pairs.tolist()[0] == [0, 1]
    torch.testing.assert_close(found, torch.zeros_like(found), rtol=0, atol=1e-12)


def test_they_are_differences_of_decompositions():
    net, x = zoo.build("lenet"), zoo.inputs("lenet")
    rel = zoo.parts(x)
    found, _ = pairwise_interactions(net, x, rel, torch.tensor([[2, 0]]))
    joint, _ = contextual_decomposition(net, x, rel[2] + rel[0])
    alone, _ = contextual_decomposition(net, x, rel)
    torch.testing.assert_close(found[0], joint - alone[2] - alone[0])
    assert found.abs().max() > 1e-3


def test_bad_arguments_are_named():
    net, x = zoo.build("mlp"), zoo.inputs("mlp")
    with pytest.raises(ValueError, match="pairs are formed"):
        pairwise_interactions(net, x, x)
    with pytest.raises(ValueError, match="outside 0"):
        pairwise_interactions(net, x, zoo.parts(x), torch.tensor([[0, 3]]))
