"""The function `transform_importance`, for people who want no meta-estimator."""

import numpy as np
from sklearn.utils.validation import _get_feature_names, check_is_fitted

from sktrim.composed._coefficients import coefficients_of
from sktrim.explanation import Explanation
from sktrim.importance._completeness import ON_INCOMPLETE
from sktrim.importance._explain import explain_spaces
from sktrim.importance._question import (
    ask,
    names_out,
    pick_rows,
)
from sktrim.importance._signals import (
    check_background,
    check_columns,
    check_same_columns,
    check_signals,
    taken_apart,
)
from sktrim.inspection._style import check_option
from sktrim.network import resolve_network
from sktrim.network._checks import check_network
from sktrim.network._estimators import unwrap
from sktrim.network._inputs import Inputs, rows_of, signal_of
from sktrim.scorers._base import draw_seed


def transform_importance(
    model,
    X,
    *,
    transformer=None,
    scorer="cd",
    y=None,
    groups="natural",
    target="predicted",
    output="auto",
    residual="constant",
    layer=None,
    call=None,
    context=None,
    background=None,
    n_background=100,
    random_state=None,
    n_jobs=None,
    verbose=0,
    on_incomplete="warn",
) -> Explanation | list[Explanation]:
    r"""Explain a trained network in the space of a fitted transformer.

    .. math::

       \phi_g = \mathrm{attr}\bigl(t \circ f';\, M_g, s = T(x)\bigr), \qquad
       f'(s) = f\bigl(T^{-1}(s) + x - T^{-1}(T(x))\bigr),

    for a network f, signals x and a transform T, in the symbols of
    `TransformImportance`.

    Parameters
    ----------
    model : torch.nn.Module, fitted skorch net, predictor or Pipeline ending in one
        The network; see `TransformImportance`.
    X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
        Signals to explain.
    transformer : fitted transformer, None, or list of these, default=None
        T; None: the signal's own coordinates. With a list there is one Explanation
        each, and gradients that the spaces share are computed once.
    scorer : str or scorer object, default="cd"
        Attribution method.
    y : array-like of shape (n_samples,), default=None
        True labels, for ``target="true"``.
    groups, target, output, residual, layer, call, context
        See `TransformImportance`. With a list of transformers `groups` may be a list
        of one per transformer; with a layer the transformer is fitted to what that
        puts out, which `sktrim.layer_output` computes.
    background : array-like of rows like X, default=None
        Rows that some scorers compare with; at most `n_background` are used.
    n_background : int, default=100
        See `background`.
    random_state : int, RandomState or None, default=None
        Seeds the choice of background rows and the scorers that draw.
    n_jobs, verbose, on_incomplete
        See `TransformImportance`.

    Returns
    -------
    Explanation or list of Explanation

    Raises
    ------
    ValueError
        If X does not fit the network or the transformer, or a parameter is out of
        its range.
    sklearn.exceptions.NotFittedError
        If the network or the transformer is not fitted.

    See Also
    --------
    TransformImportance : The same as an estimator, for Pipelines and grid searches.
    Explanation : What is returned.
    sktrim.scorers.get_scorer_names : What ``scorer=`` takes.

    Notes
    -----
    The method is TRIM :footcite:p:`singh2020trim`. Nothing is fitted here: neither the
    network nor the transformer is changed.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import CosineTransformer, transform_importance
    >>> X = np.random.default_rng(0).standard_normal((2, 3)).astype("float32")
    >>> net, cosine = torch.nn.Linear(3, 1), CosineTransformer().fit(X)
    >>> explanation = transform_importance(net, X, transformer=cosine)
    >>> explanation
    Explanation(2 samples x 3 groups, scorer='cd', output='raw', unit='cycles')
    >>> explanation.group_names
    ['0.0 cycles', '0.5 cycles', '1.0 cycles']
    """
    check_option("on_incomplete", on_incomplete, ON_INCOMPLETE)
    several = isinstance(transformer, (list, tuple))
    transformers = list(transformer) if several else [transformer]
    rules = _rules(groups, transformers, several)
    X, held, order = taken_apart(X, context, layer)
    columns = _get_feature_names(X)
    check_columns(columns, unwrap(model))
    network = resolve_network(model, X).taking(order).at(layer, call)
    names = _names(network, columns, transformers)
    x, seed = _entered(network, X, held), draw_seed(random_state)
    rows = None
    if background is not None:
        apart = taken_apart(background, context, layer)
        check_same_columns(columns, _get_feature_names(apart[0]))
        rows = _background(network, *apart[:2], x, n_background, seed)
    questions = [
        ask(
            network,
            x,
            transformer=fitted,
            scorer=scorer,
            groups=rule,
            names=names,
            background=rows if rows is None else coefficients_of(fitted, rows),
            target=target,
            output=output,
            residual=residual,
            seed=seed,
            n_jobs=n_jobs,
            verbose=verbose,
            on_incomplete=on_incomplete,
        )
        for fitted, rule in zip(transformers, rules, strict=True)
    ]
    given = X if order is None else order.arrange(X, held)
    check_network(network, rows_of(given, np.arange(min(2, x.shape[0]))))
    explanations = explain_spaces(questions, x, y)
    return explanations if several else explanations[0]


def layer_output(model, X, layer, call=None) -> np.ndarray:
    """Compute what a layer of a trained network puts out: the signal at that layer.

    Parameters
    ----------
    model : torch.nn.Module, fitted skorch net or Pipeline ending in one
    X : array-like of shape (n_samples, ...)
        What the whole network takes.
    layer : str or torch.nn.Module
        A name of ``named_modules()``, or the module itself.
    call : int or None, default=None
        Which call of the layer, from 0, where the network calls it several times.

    Returns
    -------
    ndarray of shape (n_samples, *layer_shape)
        In the network's dtype.

    Raises
    ------
    ValueError
        If there is no such layer, or it puts out anything but one tensor with a row
        per sample.

    See Also
    --------
    TransformImportance : Takes `layer` too.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import layer_output
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    >>> layer_output(net, np.ones((2, 4), dtype="float32"), "0").shape
    (2, 3)
    """
    X, held, order = taken_apart(X, None, layer)
    network = resolve_network(model, X).taking(order).at(layer, call)
    return signal_of(_entered(network, X, held))


def _names(network, columns, transformers):
    """Return the names of the signal's coordinates, if there are any, checked."""
    if network.layer is not None:
        return None
    if network.preprocessing:
        return names_out(network)
    for fitted in transformers:
        check_columns(columns, fitted)
    return columns


def _entered(network, X, held):
    """Return the signals of X, checked, at the layer that is explained."""
    x = check_signals(network.prepare(X), network)
    return network.enter(Inputs(x, held) if held else x)


def _background(network, X, held, x, n_background, seed):
    """Return some of the background's signals, laid out as x."""
    rows = _entered(network, X, held)
    check_background(rows, x)
    return rows[pick_rows(rows.shape[0], n_background, seed)]


def _rules(groups, transformers: list, several: bool) -> list:
    """Give every transformer, if it is fitted, its rule for groups."""
    if not transformers:
        raise ValueError("transformer is an empty list; give at least one, or None.")
    for fitted in filter(None, transformers):
        check_is_fitted(fitted)
    n_transformers = len(transformers)
    if not several or not isinstance(groups, (list, tuple)):
        return [groups] * n_transformers
    if len(groups) != n_transformers:
        raise ValueError(
            f"groups is a list of {len(groups)} for {n_transformers} transformers; "
            "give one per transformer, or a single rule such as 'natural'."
        )
    return list(groups)
