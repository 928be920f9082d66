"""A scorer: what a group achieves alone."""

import torch

from sktrim.scorers import Attribution, Scorer


class Inclusion(Scorer):
    """The output gained when a group alone is added to zeros."""

    needs_gradient = False

    def attribute(self, model, s, groups, target):
        with torch.no_grad():
            empty = target(model(torch.zeros_like(s)))
            alone = [target(model(mask * s)) for mask in groups.dense()]
        values = torch.stack(alone, dim=1) - empty[:, None]
        return Attribution(values, base_values=empty)
