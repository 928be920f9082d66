"""What a scorer is, what it is given, and what it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state


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
    explained : torch.Tensor of shape (n_samples, n_targets), optional
        The explained output; no scorer need give it.
    reconstruction_errors : torch.Tensor of shape (n_samples, 1), optional
        ||x - T^-1 T x|| / ||x||; no scorer need give it.

    See Also
    --------
    sktrim.Scorer : What returns it.
    sktrim.Explanation : What becomes of it.

    Examples
    --------
    >>> import torch
    >>> from sktrim.scorers import Attribution
    >>> found = Attribution(torch.ones(5, 3, 1), base_values=torch.zeros(5, 1))
    >>> found.std_errors is None
    True
    """

    values: torch.Tensor
    base_values: torch.Tensor | None = None
    std_errors: torch.Tensor | None = None
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    explained: torch.Tensor | None = None
    reconstruction_errors: torch.Tensor | None = None

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Put the samples of chunks one after the other.

        Parameters
        ----------
        parts : sequence of Attribution
            What the chunks gave: all of them tensors, or all of them arrays.

        Returns
        -------
        Attribution
        """
        return _merged(_concatenated, parts)

    def write(self, rows: slice, part: Self) -> None:
        """Write what a chunk gave into the arrays of all samples.

        Parameters
        ----------
        rows : slice
            Which samples the chunk is of.
        part : Attribution
            Of arrays, where this one has some too.
        """
        _merged(lambda whole, values: whole.__setitem__(rows, values), [self, part])

    def map(self, function: Callable) -> Self:
        """Apply a function to every tensor there is.

        Parameters
        ----------
        function : callable
            Takes a tensor.

        Returns
        -------
        Attribution
        """
        return _merged(function, [self])


def _merged(function: Callable, parts: Sequence) -> Any:
    """Apply a function to what all parts hold under a name, where that is anything."""
    if parts[0] is None:
        return None
    if isinstance(parts[0], Attribution):
        return Attribution(**_merged(function, [vars(part) for part in parts]))
    if isinstance(parts[0], dict):
        return {
            name: _merged(function, [part[name] for part in parts]) for name in parts[0]
        }
    return function(*parts)


def _concatenated(*parts):
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return torch.cat(parts)


def extras_of(scorer: Any, background: Any, seed: int) -> dict[str, Any]:
    """Keyword arguments that a scorer's `attribute` asks for, of those there are."""
    extras = {}
    if getattr(scorer, "needs_background", False):
        extras["background"] = background
    if getattr(scorer, "is_random", False):
        extras["random_state"] = seed
    return extras


def draw_seed(random_state: Any) -> int:
    """Return a seed from a `random_state` parameter, sparing the global generator."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31 - 1))
    return int(check_random_state(random_state).randint(2**31 - 1))


def without_graph(method: Callable) -> Callable:
    """Have a scorer's method keep no graph, unless the model asks for it."""

    @wraps(method)
    def run(self, model, *args, **kwargs):
        with torch.set_grad_enabled(model.differentiable):
            return method(self, model, *args, **kwargs)

    return run


class Scorer(BaseEstimator):
    r"""Base class of attribution methods.

    A scorer is a scikit-learn estimator (parameters in ``__init__``, `clone`,
    `get_params`) with one method, `attribute`. It says what it promises and what it
    needs in class attributes. It is given the composed network,

    .. math::

       f'(s) = f\bigl(T^{-1}(s) + r\bigr), \qquad F(s) = t\bigl(f'(s)\bigr),

    f the network, T the transform, r what it cannot represent and t the target, which
    picks the explained scalar F from the outputs, and returns a score :math:`\phi_g`
    for each group of coefficients s.

    Attributes
    ----------
    additive : bool
        The score of a group is the weighted sum of scores of its coefficients,
        :math:`\phi_g = \sum_k M_{gk} a_k`.
    complete : bool
        Base value plus scores equals the explained output,
        :math:`\phi_0 + \sum_g \phi_g = F(s)`, where the weights of every coefficient
        sum to 1.
    differentiable : bool
        Scores can be differentiated themselves, so that one can train by them.
    needs_gradient : bool
        The inverse transform must be available in torch.
    needs_background : bool
        `attribute` takes ``background``, a torch.Tensor (n_rows, n_coefficients).
    is_random : bool
        `attribute` takes ``random_state``, an int; what is drawn from it must not
        depend on the number of samples, so that chunks share it.

    See Also
    --------
    sktrim.scorers.get_scorer_names : The scorers that have a name.
    sktrim.scorers.Attribution : Scores with a base value or standard errors.
    sktrim.scorers.CaptumScorer : A scorer of any method of captum.

    Examples
    --------
    The squared gradient, as one's own scorer:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
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
    >>> net, x = torch.nn.Linear(3, 2), np.ones((5, 3), dtype="float32")
    >>> transform_importance(net, x, scorer=Sensitivity()).values.shape
    (5, 3)
    """

    additive = False
    complete = False
    differentiable = False
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

    def attribute_sets(self, model, s, sets, groups, target, **extras):
        """Score sets of groups as wholes, for every sample sets of its own.

        Parameters
        ----------
        model, s, groups, target
            As in `attribute`.
        sets : torch.Tensor of shape (n_sets, n_samples, n_groups)
            1 for the groups of a set, 0 for others.
        **extras
            What `attribute` asks for beside.

        Returns
        -------
        torch.Tensor of shape (n_sets, n_samples, n_targets)

        Raises
        ------
        TypeError
            If the scorer is neither additive nor has a notion of a whole set.
        """
        if not self.additive:
            raise TypeError(
                f"{type(self).__name__} cannot score a set of groups as a whole. Use "
                "'cd', 'occlusion' or 'shapley', which can, or a scorer whose scores "
                "add up, such as 'integrated_gradients'."
            )
        found = self.attribute(model, s, groups, target, **extras)
        values = found.values if isinstance(found, Attribution) else found
        return torch.einsum("kng,ngt->knt", sets.to(values), values)
