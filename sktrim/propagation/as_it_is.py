"""A model whose final softmax or sigmoid is part of what is explained."""

from __future__ import annotations

from typing import Any

from torch import nn

from sktrim.propagation.carrier import find_carriers
from sktrim.propagation.running import outputs_of


class AsItIs(nn.Module):
    """A model whose final softmax or sigmoid is explained as a part of it.

    Propagation explains what is before a final softmax, log-softmax or sigmoid: the
    logits. Of a model that is wrapped in this the ending counts as any other operation,
    which is what ``output="raw"`` asks for.

    Parameters
    ----------
    model : nn.Module
        In eval mode.

    See Also
    --------
    explained_output : What leaves an ending out.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import AsItIs, explained_output
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Softmax(dim=1)).eval()
    >>> output, ending = explained_output(AsItIs(net), torch.ones(1, 2))
    >>> print(ending, round(output.sum().item(), 4))
    None 1.0
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = False

    def forward(self, *inputs: Any) -> Any:
        """Return the model's output."""
        value = self.model(*inputs)
        for carrier in find_carriers(outputs_of(value)):
            carrier.ending = None
        return value
