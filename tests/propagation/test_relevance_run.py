"""Relevance of models that write into their input is that of those that do not."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import transform_importance
from sktrim.propagation import UnsupportedOperationError
from sktrim.scorers import LRPComposite, LRPEpsilon, LRPGamma, LRPZPlus
from sktrim.transforms import CosineTransformer

torch.manual_seed(0)
LINEAR, HEAD = nn.Linear(6, 5).double(), nn.Linear(5, 2).double()
X = np.random.default_rng(0).normal(size=(4, 6))


class Net(nn.Module):
    def __init__(self, entry):
        super().__init__()
        self.entry = entry
        self.linear, self.head = LINEAR, HEAD

    def forward(self, x):
        return self.head(self.linear(self.entry(x)).relu())


def through_a_view(x):
    x[:, :3].relu_()
    return x


def an_item_of_a_view(x):
    view = x.view(-1, 2, 3)
    view[:, 0] = view[:, 0].relu()
    return x


def through_a_transpose(x):
    x.T[:3].clamp_(min=0)
    return x


def by_hand(x):
    return torch.cat([x[:, :3].relu(), x[:, 3:]], 1)


SCORERS = (LRPEpsilon(), LRPGamma(), LRPZPlus())
OPTIONS = {"target": 1, "output": "raw"}


@pytest.mark.parametrize("scorer", SCORERS, ids=str)
@pytest.mark.parametrize(
    "entry", [through_a_view, an_item_of_a_view, through_a_transpose]
)
def test_writes_into_views_of_the_input(entry, scorer):
    found, expected = (
        transform_importance(Net(e).eval(), X, scorer=scorer, **OPTIONS).values
        for e in (entry, by_hand)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_transform_or_a_rule_of_the_input_needs_it_as_it_was():
    net = Net(through_a_view).eval()
    transformer = CosineTransformer().fit(X)
    first = LRPComposite({"first": "w_square", "conv": "gamma", "linear": "gamma"})
    for options in (
        {"transformer": transformer, "scorer": LRPGamma()},
        {"scorer": first},
    ):
        with pytest.raises(UnsupportedOperationError, match="view of the input"):
            transform_importance(net, X, **options, **OPTIONS)
