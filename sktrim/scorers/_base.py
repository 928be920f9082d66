"""What a scorer is, what it is given, and what it returns."""

from dataclasses import dataclass, field

import torch
from sklearn.base import BaseEstimator


@dataclass
class Attribution:
    """What a scorer found out for a chunk of samples.

    Parameters
    ----------
    values : torch.Tensor of shape (n_samples, n_groups, n_targets)
        One score per sample, group and target.
    base_values : torch.Tensor of shape (n_samples, n_targets) or None
        What the scores start from: base + sum of scores should be the explained
        output. None where the method has no such notion (a plain gradient).
    std_errors : torch.Tensor like values, or None
        Standard errors of sampled scores.
    extra : dict of torch.Tensor of shape (n_samples, ..., n_targets)
        What else there is to say per sample; it goes to the explanation's metadata.
    """

    values: torch.Tensor
    base_values: torch.Tensor | None = None
    std_errors: torch.Tensor | None = None
    extra: dict[str, torch.Tensor] = field(default_factory=dict)


class Scorer(BaseEstimator):
    """Base class of attribution methods.

    A scorer is a scikit-learn estimator (parameters in ``__init__``, `clone`,
    `get_params`) with one method, `attribute`. It says what it promises and what it
    needs in class attributes.

    Attributes
    ----------
    additive : bool
        The score of a group is the weighted sum of scores of its coefficients.
    complete : bool
        Base value plus scores equals the explained output.
    needs_gradient : bool
        The inverse transform must be available in torch.
    needs_background : bool
        `attribute` takes ``background``, a torch.Tensor (n_rows, n_coefficients).
    is_random : bool
        `attribute` takes ``random_state``, an int; what is drawn from it must not
        depend on the number of samples, so that chunks share it.

    Examples
    --------
    The squared gradient, as one's own scorer:

    >>> import torch
    >>> from sktrim.scorers import Scorer
    >>> class Sensitivity(Scorer):
    ...     additive = True
    ...
    ...     def attribute(self, model, s, groups, target):
    ...         s = s.clone().requires_grad_()
    ...         scalars = target(model(s))
    ...         scores = [
    ...             torch.autograd.grad(scalars[:, t].sum(), s, retain_graph=True)[0]
    ...             for t in range(scalars.shape[1])
    ...         ]
    ...         return groups.aggregate(torch.stack(scores) ** 2).movedim(0, -1)
    """

    additive = False
    complete = False
    needs_gradient = True
    needs_background = False
    is_random = False

    def attribute(self, model, s, groups, target):
        """Score every group for every sample.

        Parameters
        ----------
        model : ComposedModel
            ``model(s)`` gives the network's outputs (..., n_samples, n_outputs) at
            coefficients (..., n_samples, n_coefficients), differentiable.
        s : torch.Tensor of shape (n_samples, n_coefficients)
            The coefficients to explain.
        groups : GroupMasks
            ``len(groups)``, ``groups.aggregate(values)`` sums values
            (..., n_coefficients) into groups, ``groups.dense(rows)`` gives masks.
        target : Target
            ``target(outputs)`` picks the scalars (..., n_samples, n_targets).

        Returns
        -------
        torch.Tensor of shape (n_samples, n_groups, n_targets) or Attribution
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define attribute(model, s, groups, target)."
        )
