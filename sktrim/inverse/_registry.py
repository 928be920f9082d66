"""Inverses of fitted transformers as differentiable torch modules, and f o T^-1."""

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import LatentDirichletAllocation as _TopicModel
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sktrim.exceptions import InverseNotAvailableError
from sktrim.inverse._affine import (
    NotAffineError,
    as_rows,
    read_affine,
    some_rows,
    transformed,
)
from sktrim.inverse._frames import LappedTwin, ShortTimeTwin
from sktrim.inverse._modules import IdentityTwin, InverseModule, MatrixTwin, chain
from sktrim.inverse._signals import (
    AlongAxisTwin,
    CosineTwin,
    FourierTwin,
    PacketTwin,
    PolarFourierTwin,
    WaveletTwin,
)
from sktrim.transforms import (
    AlongAxis,
    CosineTransformer,
    FourierTransformer,
    LappedTransformer,
    LatentDirichletAllocation,
    LinearDictionary,
    ShortTimeFourierTransformer,
    WaveletPacketTransformer,
    WaveletTransformer,
)


def _not_available(transformer: Any, reason: str) -> InverseNotAvailableError:
    """Name the transformer, the reason and the way out."""
    name = type(transformer).__name__
    if isinstance(transformer, _TopicModel):
        reason += " (sktrim.LatentDirichletAllocation is the same model with one)"
    return InverseNotAvailableError(
        f"There is no torch module for the inverse of {name}: {reason}. Scorers that "
        "take gradients or decompose activations need one; register your own:\n\n"
        f"    @sktrim.inverse.inverse_module.register({name})\n"
        "    def _(transformer, *, X=None):\n"
        "        return MyInverse(...)  # a sktrim.inverse.InverseModule\n\n"
        "Perturbation scorers (occlusion) need only inverse_transform."
    )


def _width(transformer: Any, samples: np.ndarray | None) -> int:
    """Return the number of coefficients of a fitted transformer."""
    if samples is not None:
        return samples.shape[1]
    try:
        return len(transformer.get_feature_names_out())
    except (AttributeError, ValueError):
        pass
    if hasattr(transformer, "components_"):
        return len(transformer.components_)
    if hasattr(transformer, "n_features_in_"):
        return transformer.n_features_in_
    raise _not_available(
        transformer, "the number of its coefficients is not known; pass rows as X="
    )


def _check_fitted(transformer: Any) -> None:
    """Raise where a transformer is a class, or an estimator that is not fitted."""
    if isinstance(transformer, type):
        raise TypeError(
            f"{transformer.__name__} is a class; pass a fitted instance, e.g. "
            f"{transformer.__name__}().fit(X)."
        )
    if isinstance(transformer, BaseEstimator):
        check_is_fitted(transformer)


@singledispatch
def inverse_module(transformer: Any, *, X: Any = None) -> InverseModule:
    r"""Return the inverse of a fitted transformer as a differentiable torch module.

    .. math::

       T^{-1}(s) = s W + b, \qquad b = T^{-1}(0), \qquad W_k = T^{-1}(e_k) - T^{-1}(0),

    is how an affine inverse is read off a transformer that brings no module, with the
    unit vectors :math:`e_k`, and verified on random rows. The transforms of this
    package have native modules (FFT, wavelet synthesis, matrix). A Pipeline becomes the
    chain of its steps' inverses in reverse, with consecutive matrices multiplied.

    A module for a transformer of one's own is registered with
    ``@inverse_module.register(MyTransformer)`` on a function of
    ``(transformer, *, X=None)`` that returns an `InverseModule`.

    Parameters
    ----------
    transformer : fitted transformer, None or "passthrough"
        With ``inverse_transform``. None and "passthrough" are the identity.
    X : array-like, sparse or DataFrame of shape (n_samples, ...), default=None
        Rows as the transformer takes them; an inverse that is read off is verified on
        some of their coefficients too, beside random ones.

    Returns
    -------
    InverseModule
        Maps coefficients (..., n_coefficients) to signals (..., *layout), the layout
        that ``inverse_transform`` gives. Buffers are float64, and follow s in dtype
        and device.

    Raises
    ------
    InverseNotAvailableError
        If the inverse is missing, or neither affine nor registered, or its matrix
        would exceed scikit-learn's ``working_memory``.
    NotFittedError
        If the transformer is not fitted.

    See Also
    --------
    sktrim.inverse.InverseModule : Base class of the modules.
    sktrim.inverse.forward_module : The transform itself, where it is affine.
    sktrim.TrimModel : The network behind the inverse.

    Notes
    -----
    Affine inverses are those of PCA :footcite:p:`pearson1901pca`, NMF
    :footcite:p:`lee1999nmf`, FastICA, TruncatedSVD, DictionaryLearning and of scalers
    that act on every column alone; not that of QuantileTransformer or PowerTransformer.
    Unit vectors are scaled up where b would drown W in round-off. What is read off must
    give what the transformer gives to 1e-9 (1e-4 in single precision), relative to the
    terms summed, else it is refused: a wrong inverse would be a wrong explanation. The
    matrix takes 8 bytes times coefficients times values.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.decomposition import PCA
    >>> from sktrim.inverse import inverse_module
    >>> X = np.random.default_rng(0).normal(size=(20, 6))
    >>> pca = PCA(3).fit(X)
    >>> inverse = inverse_module(pca, X=X)
    >>> s = torch.tensor(pca.transform(X))
    >>> np.allclose(inverse(s), pca.inverse_transform(pca.transform(X)))
    True
    >>> inverse.is_affine
    True
    """
    _check_fitted(transformer)
    if not hasattr(transformer, "inverse_transform"):
        raise _not_available(transformer, "it has no inverse_transform")
    try:
        samples = None
        if X is not None:
            # scikit-learn's SparsePCA gives a single row as a vector
            samples = transformed(transformer, some_rows(X))
            samples = np.atleast_2d(as_rows(samples))
        n_coefficients = _width(transformer, samples)
        return read_affine(transformer.inverse_transform, n_coefficients, samples)
    except NotAffineError as error:
        raise _not_available(transformer, str(error)) from error


@inverse_module.register(type(None))
def _(transformer: None, *, X: Any = None) -> InverseModule:
    return IdentityTwin(None if X is None else np.shape(X)[1:])


@inverse_module.register(str)
def _(transformer: str, *, X: Any = None) -> InverseModule:
    if transformer != "passthrough":
        raise ValueError(
            f"{transformer!r} is no transformer; expected a fitted one, None or "
            "'passthrough'."
        )
    return inverse_module(None, X=X)


@inverse_module.register(FunctionTransformer)
def _(transformer: FunctionTransformer, *, X: Any = None) -> InverseModule:
    if transformer.inverse_func is not None:
        return inverse_module.dispatch(object)(transformer, X=X)
    if transformer.func is not None:
        raise _not_available(transformer, "it has func but no inverse_func; pass both")
    return inverse_module(None, X=X)


@inverse_module.register(FrozenEstimator)
def _(transformer: Any, *, X: Any = None) -> InverseModule:
    return inverse_module(transformer.estimator, X=X)


@inverse_module.register(Pipeline)
def _(transformer: Pipeline, *, X: Any = None) -> InverseModule:
    rows = None if X is None else some_rows(X)
    twins = []
    for _, step in transformer.steps:
        twins.append(inverse_module(step, X=rows))
        if rows is not None and hasattr(step, "transform"):
            rows = transformed(step, rows)
    return chain(twins[::-1])


@inverse_module.register(AlongAxis)
def _(transformer: AlongAxis, *, X: Any = None) -> InverseModule:
    _check_fitted(transformer)
    rows = None if X is None else transformer.rows(some_rows(X))
    return AlongAxisTwin(transformer, inverse_module(transformer.transformer_, X=rows))


def _register_native(kind: type, twin: Callable[[Any], InverseModule]) -> None:
    def native(transformer: Any, *, X: Any = None) -> InverseModule:
        _check_fitted(transformer)
        return twin(transformer)

    inverse_module.register(kind)(native)


_register_native(
    FourierTransformer,
    lambda fourier: (
        PolarFourierTwin(fourier)
        if fourier.coordinates == "polar"
        else FourierTwin(fourier)
    ),
)
_register_native(CosineTransformer, CosineTwin)
_register_native(WaveletTransformer, WaveletTwin)
_register_native(WaveletPacketTransformer, PacketTwin)
_register_native(ShortTimeFourierTransformer, ShortTimeTwin)
_register_native(LappedTransformer, LappedTwin)
_register_native(LinearDictionary, lambda dictionary: MatrixTwin(dictionary.atoms_))
_register_native(LatentDirichletAllocation, lambda topics: MatrixTwin(topics.atoms_))


def forward_module(transformer: Any, X: Any) -> nn.Module | None:
    r"""Return the transform of a fitted transformer as a torch module, if affine.

    .. math::

       T(x) = x W + b, \qquad b = T(0), \qquad W_j = T(e_j) - T(0),

    with the unit vectors :math:`e_j` of signals.

    Parameters
    ----------
    transformer : fitted transformer, None or "passthrough"
        A scaler, PCA, a Pipeline of them, ...
    X : array-like, sparse or DataFrame of shape (n_samples, n_features)
        Rows as the transformer takes them; the module is verified on some of them and
        on random ones like them.

    Returns
    -------
    nn.Module or None
        Maps (..., n_features) to (..., n_features_out), differentiable. None where
        the transform is not affine or X is no table of numbers, or where its matrix
        would exceed scikit-learn's ``working_memory``.

    Raises
    ------
    NotFittedError
        If the transformer is not fitted.

    See Also
    --------
    sktrim.inverse_module : The way back.

    Notes
    -----
    It is read off as an affine inverse is, see `sktrim.inverse_module`: leading steps
    of a Pipeline (a scaler, a PCA) become a part of the network that is explained.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.preprocessing import Normalizer, StandardScaler
    >>> from sktrim.inverse import forward_module
    >>> X = np.array([[0.0, 10.0], [2.0, 30.0]])
    >>> forward_module(StandardScaler().fit(X), X)(torch.tensor([[1.0, 20.0]]))
    tensor([[0., 0.]])
    >>> forward_module(Normalizer().fit(X), X) is None
    True
    """
    if transformer is None or isinstance(transformer, str):
        return inverse_module(transformer)  # the identity is its own inverse
    _check_fitted(transformer)
    if not hasattr(transformer, "transform"):
        return None
    try:
        rows = as_rows(some_rows(X))
        flat = rows.ndim == 2
        function = partial(transformed, transformer)
        return read_affine(function, rows.shape[1], rows) if flat else None
    except (ValueError, TypeError):
        return None
