"""The registry: every torch operation declared once, by kind, for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

KINDS = MappingProxyType(
    {
        "shape": "moves values without mixing them: view, permute, cat, pad, index",
        "affine": "linear, convolution, batch norm in eval, FFT, adding a constant",
        "average": "mean, sum, average pooling",
        "elementwise": "one value at a time: relu, gelu, tanh, sigmoid",
        "select": "the winner of several: max pooling, maximum, amax",
        "bilinear": "linear in each of two operands: product, matmul, einsum",
        "normalise": "divides by a statistic: layer norm, softmax",
        "recurrent": "lstm, gru, rnn",
        "composite": "written in terms of other operations",
        "query": "answered from the whole activation: shape, comparison, item",
    }
)


@dataclass(frozen=True)
class Operation:
    """One declared operation."""

    # canonical, that of the out-of-place form ("relu" for ``relu_``)
    name: str
    # a key of ``KINDS``
    kind: str
    # what the rules of the kind may need to know
    options: Mapping[str, Any] = field(default_factory=dict)


EVERY = "every method"
"""Key of the rules that are written in terms of other operations."""

_by_name: dict[str, Operation] = {}
_by_function: dict[Any, Operation] = {}
_rules: dict[tuple[str, Any], Callable] = {}


def declare(kind: str, names: Iterable[str] | str, **options: Any) -> None:
    """Declare operations of one kind, by canonical name."""
    names = names.split() if isinstance(names, str) else names
    _by_name.update({name: Operation(name, kind, options) for name in names})


def rule(method: str, *keys: str) -> Callable[[Callable], Callable]:
    """Register the decorated rule of a method for kinds ("kind:...") or names."""
    # called as ``rule(method, call)``; that of contextual decomposition returns parts,
    # which the method pairs with `call.full` and `call.axis`, or carriers as they are

    def register(function: Callable) -> Callable:
        _rules.update({(method, key): function for key in keys})
        return function

    return register


def find_operation(func: Callable, name: str) -> Operation | None:
    """Return the declaration of a torch function, or None."""
    return _by_function.get(func) or _by_name.get(name)


def find_rule(method: str, operation: Operation) -> Callable | None:
    """Return the rule of a method for an operation or its kind, or of every method."""
    name, kind = operation.name, f"kind:{operation.kind}"
    for place in ((method, name), (method, kind), (EVERY, name), (EVERY, kind)):
        rule = _rules.get(place)
        if rule is not None:
            return rule
    return None


def register_operation(
    func: Callable | Iterable[Callable],
    kind: str,
    *,
    decomposition: Callable | None = None,
    **options: Any,
) -> None:
    r"""Declare how a torch operation is treated by every propagation method.

    An elementwise function :math:`\varphi` needs no more than its kind: contextual
    decomposition then splits it by

    .. math::

       \beta \mapsto \tfrac{1}{2} \bigl[ \varphi(\beta) - \varphi(0) + \varphi(h)
       - \varphi(h - \beta) \bigr] + q \, \varphi(0),

    DeepLIFT multiplies by :math:`\Delta\varphi / \Delta h`, relevance is passed on, and
    guided backpropagation takes the gradient.

    Parameters
    ----------
    func : callable or iterable of callables
        The operation as the model calls it: a function of torch, a function of
        one's own that calls `torch.overrides.handle_torch_function`, or several
        spellings of one operation.
    kind : str
        What sort of operation it is: "shape", "affine", "average",
        "elementwise", "select", "bilinear", "normalise", "recurrent",
        "composite" or "query". The rule of the kind is then used.
    decomposition : callable, optional
        A rule of its own for contextual decomposition, called as
        ``decomposition(full, rel, irrel, *args, **kwargs)`` with the tensors of
        the first argument (`rel` and `irrel` carry the masks on a leading axis)
        and the remaining arguments of the call. It returns the relevant part of
        the result, of shape ``(K, *result.shape)``.
    **options
        Facts that rules of the kind read; see `sktrim.propagation.operations`.

    Raises
    ------
    ValueError
        If the kind is not known or `func` is not callable.

    See Also
    --------
    sktrim.contextual_decomposition : The rules of the kinds.
    sktrim.UnsupportedOperationError : What a model meets without a rule.

    Notes
    -----
    What a method does with a kind (h the whole activation, :math:`\beta` its relevant
    part):

    - shape: all move parts, differences and relevance as values.
    - affine, average: contextual decomposition maps :math:`\beta` and shares out the
      bias; DeepLIFT takes the gradient; relevance is shared out by contributions.
    - elementwise: as above.
    - select: parts, differences and relevance are those of the winner, evened where
      values tie.
    - bilinear: :math:`\tfrac{1}{2} (\beta_1 h_2 + h_1 \beta_2)`; half of the
      difference, or of the relevance, through each factor.
    - normalise: the statistic is that of the whole; DeepLIFT treats it as a quotient,
      LRP as a constant, in the operations that they know by name.
    - recurrent, composite: in terms of other operations.
    - query: answered from the whole activation, without a part.

    Examples
    --------
    >>> import torch
    >>> from sktrim import contextual_decomposition
    >>> from sktrim.propagation import register_operation
    >>> register_operation(torch.special.erf, "elementwise")
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> rel = torch.tensor([[1.0, 0.0]])
    >>> rel_out, irrel_out = contextual_decomposition(torch.special.erf, x, rel)
    >>> torch.allclose(rel_out + irrel_out, torch.special.erf(x))
    True
    """
    functions = (func,) if callable(func) else tuple(func)
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is not known; choose one of {list(KINDS)}.")
    if not functions or not all(map(callable, functions)):
        raise ValueError(f"func={func!r} is not a callable or several of them.")
    name = getattr(functions[0], "__name__", repr(functions[0]))
    operation = Operation(name, kind, MappingProxyType(options))
    if decomposition is not None:
        operation = Operation(name, kind, {**options, "decomposition": decomposition})
    _by_function.update(dict.fromkeys(functions, operation))
