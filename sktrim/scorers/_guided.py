"""Guided backpropagation and the deconvolutional network."""

import torch

from sktrim.propagation.backward._method import run
from sktrim.propagation.backward._relu import Deconvolution, GuidedBackpropagation
from sktrim.scorers._base import Scorer
from sktrim.scorers._in_chunks import gradients_of, row_chunks


class _ReluGradient(Scorer):
    """Gradient of the target with another rule at the ReLUs."""

    additive = True
    _method: type

    def attribute(self, model, s, groups, target):
        """Score groups; see `Scorer.attribute`."""
        scores = []
        for rows in row_chunks(model, len(s)):
            gradient = self._gradient(model[rows], target[rows])
            scores.append(groups.aggregate(gradient).movedim(0, -1))
        return torch.cat(scores)

    def _gradient(self, model, target):
        """Return gradients, shape (n_targets, n, n_coefficients)."""
        leaf = (model.x if model.is_affine else model.s).detach().requires_grad_()
        with torch.enable_grad():
            x = leaf if model.is_affine else model.signal(leaf)
            out = run(model.module, self._method().enter(x)).full
            model.check_output(out)
            gradient = gradients_of(target(out.reshape(len(x), -1)), leaf)
        return model.pull_back(gradient) if model.is_affine else gradient


class GuidedBackprop(_ReluGradient):
    r"""Gradient that stops at a ReLU where it is negative, in the space of T.

    .. math::

       \phi_g = \sum_k M_{gk} \, \bar s_k, \qquad
       \bar z = \bar y \; [\bar y > 0] \, [z > 0]
       \quad \text{at } y = \mathrm{ReLU}(z),

    where :math:`\bar y` is the gradient of the explained output that arrives at an
    activation y, modified in this way at every ReLU on its way back to the coefficients
    s, :math:`[\cdot]` is 1 where it holds and else 0, and :math:`M_{gk}` is the weight
    of coefficient k in group g. A high score marks a group along which rectified units
    that speak for the output become more active. Units: the output's, per unit of a
    coefficient.

    See Also
    --------
    Deconvnet : Without the gradient of the ReLU itself.
    Gradient : Without the modification.
    sktrim.evaluation.randomisation_test : Whether scores depend on what was learned.

    Notes
    -----
    The method is that of :footcite:t:`springenberg2015guided`. It sharpens pictures and
    says little about the class that is explained or what the network learned
    :footcite:p:`adebayo2018sanity`. Only the backward pass of ReLU (and ReLU6) changes,
    in whatever spelling; captum's hooks on modules miss functional ones, without
    notice. There is no base value.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    The second unit speaks against the output, so nothing comes back through it:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Difference(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1].relu() - x[:, 1:].relu()
    >>> x = np.array([[3.0, 1.0]])
    >>> transform_importance(Difference(), x, scorer="gradient").values
    array([[ 1., -1.]], dtype=float32)
    >>> transform_importance(Difference(), x, scorer="guided_backprop").values
    array([[1., 0.]], dtype=float32)
    """

    _method = GuidedBackpropagation


class Deconvnet(_ReluGradient):
    r"""Gradient with ReLU applied to it on its way back, in the space of T.

    .. math::

       \phi_g = \sum_k M_{gk} \, \bar s_k, \qquad
       \bar z = \bar y \; [\bar y > 0]
       \quad \text{at } y = \mathrm{ReLU}(z),

    where :math:`\bar y` is the gradient of the explained output that arrives at an
    activation y, modified in this way at every ReLU, whatever its activation was,
    :math:`[\cdot]` is 1 where it holds and else 0, and :math:`M_{gk}` is the weight of
    coefficient k in group g. A high score marks a group along the patterns that the
    units which speak for the output are tuned to, be they active or not. Units: the
    output's, per unit of a coefficient.

    See Also
    --------
    GuidedBackprop : Multiplies by the gradient of the ReLU too.
    Gradient : Without the modification.

    Notes
    -----
    The deconvolutional network of :footcite:t:`zeiler2014deconvnet`, who unpool maxima
    with switches: that is the gradient of max pooling. Since the ReLU's own state is
    left out, the sample has its say only through those switches and other operations
    whose gradient depends on it; in a network of layers and ReLUs alone all samples
    with the same target have the same scores. There is no base value.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    At (-3, 1) the first unit is off, but the gradient goes through it:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import transform_importance
    >>> class Difference(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1].relu() - x[:, 1:].relu()
    >>> x = np.array([[-3.0, 1.0]])
    >>> transform_importance(Difference(), x, scorer="guided_backprop").values
    array([[0., 0.]], dtype=float32)
    >>> transform_importance(Difference(), x, scorer="deconvnet").values
    array([[1., 0.]], dtype=float32)
    """

    _method = Deconvolution
