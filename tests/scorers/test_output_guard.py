"""What a network gives under the rules is compared with what it gives by itself."""

import numpy as np
import pytest
import torch
from torch import nn

from sktrim import transform_importance
from sktrim.propagation import OutputMismatchError
from sktrim.scorers import ContextualDecomposition

X = np.random.default_rng(0).normal(size=(6, 5))


class Curious(nn.Module):
    """Takes another branch where it is given anything but a plain tensor."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(5, 3).double()

    def forward(self, x):
        return torch.relu(self.layer(x)) * (1.0 if type(x) is torch.Tensor else 2.0)


RULES = (
    "cd", ContextualDecomposition(partition=True), ContextualDecomposition("channel"),
    "guided_backprop", "deconvnet", "deeplift", "lrp_epsilon", "lrp_alpha_beta",
)  # fmt: skip


@pytest.mark.parametrize("residual", ["constant", "drop"])
@pytest.mark.parametrize("scorer", RULES, ids=str)
def test_a_network_that_differs_under_the_rules_is_refused(scorer, residual):
    options = {"scorer": scorer, "target": 1, "output": "raw", "residual": residual}
    with pytest.raises(OutputMismatchError, match="differ by 1 of the largest"):
        transform_importance(Curious().eval(), X, **options)


@pytest.mark.parametrize("scorer", ["shapley", "kernel_shap", "lime", "occlusion"])
def test_scorers_that_need_no_rules_run_it_as_it_is(scorer):
    curious = Curious().eval()
    plain = nn.Sequential(curious.layer, nn.ReLU()).eval()
    options = {"scorer": scorer, "target": 1, "output": "raw", "random_state": 0}
    found, expected = (
        transform_importance(net, X, **options).values for net in (curious, plain)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
