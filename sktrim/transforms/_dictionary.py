"""A linear transform given by its atoms."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sktrim.groups import FeatureGroups
from sktrim.transforms._base import FLOATS, check_width

__all__ = ["LinearDictionary"]

_ORTHONORMAL_TOLERANCE = 1e-6


def _matrix(values: Any, name: str, shape: tuple[int | None, int | None]) -> np.ndarray:
    """Return a finite float64 matrix whose sides are as long as `shape` asks."""
    matrix = np.asarray(values)
    if matrix.dtype.kind not in "biuf" or not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be a matrix of finite real numbers.")
    fits = matrix.ndim == 2 and matrix.size > 0
    if not fits or any(
        n not in (None, length) for n, length in zip(shape, matrix.shape, strict=True)
    ):
        wanted = tuple("any" if n is None else n for n in shape)
        raise ValueError(
            f"{name} has shape {matrix.shape}, expected ({wanted[0]}, {wanted[1]}): "
            "X, the atoms and the analysis matrix must agree in n_features, and the "
            "last two in n_atoms."
        )
    return matrix.astype(np.float64)


class LinearDictionary(TransformerMixin, BaseEstimator):
    r"""Signals as weighted sums of given atoms.

    .. math::

       s = \arg\min_s \lVert x - s A \rVert^2 = x A^+, \qquad T^{-1}(s) = s A, \qquad
       r = x - s A,

    where A has the atoms as rows and :math:`A^+` is its pseudo-inverse. The inverse is
    linear, without offset. The coefficients are those of least squares (of the smallest
    norm where atoms are dependent), unless another linear analysis is given. What the
    atoms cannot represent is the residual r.

    Parameters
    ----------
    atoms : array-like of shape (n_atoms, n_features) or callable, default=None
        The atoms as rows. A callable gives them from n_features, e.g.
        ``scipy.linalg.hadamard``. None: the unit vectors, so nothing changes.
    analysis : {"lstsq", "transpose"} or array-like, default="lstsq"
        Matrix that `transform` multiplies by: the pseudo-inverse of the atoms, their
        transpose (the same for orthonormal atoms, and required to be so), or one's
        own, of shape (n_features, n_atoms).
    atom_names : sequence of str of length n_atoms, default=None
        Names of the atoms. None: "atom0", "atom1", ...

    Attributes
    ----------
    atoms_ : ndarray of shape (n_atoms, n_features), float64
        The atoms.
    analysis_ : ndarray of shape (n_features, n_atoms), float64
        The matrix of `transform`.
    n_features_in_ : int
        Number of columns of X.

    See Also
    --------
    sklearn.decomposition.PCA : Atoms that are learned; sktrim takes it as it is.
    LatentDirichletAllocation : Atoms that are distributions over words.
    sktrim.inverse_module : The inverse as a torch module.

    Notes
    -----
    Coefficients are in the units of the signal, over those of the atoms. Where atoms
    are not orthogonal a coefficient depends on which others there are, as in any
    regression: leave one out and its neighbours take over.

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.transforms import LinearDictionary
    >>> strokes = LinearDictionary([[1, 1, 0], [0, 1, 1]], atom_names=["left", "right"])
    >>> s = strokes.fit_transform(np.array([[2.0, 5.0, 3.0]]))
    >>> s.round(6)
    array([[2., 3.]])
    >>> strokes.inverse_transform(s).round(6)
    array([[2., 5., 3.]])
    """

    def __init__(
        self,
        atoms: ArrayLike | Callable[[int], ArrayLike] | None = None,
        analysis: str | ArrayLike = "lstsq",
        atom_names: Sequence[str] | None = None,
    ) -> None:
        self.atoms = atoms
        self.analysis = analysis
        self.atom_names = atom_names

    def _analysis_matrix(self, atoms: np.ndarray) -> np.ndarray:
        """Return the matrix that maps signals to coefficients."""
        if not isinstance(self.analysis, str):
            return _matrix(self.analysis, "analysis", atoms.shape[::-1])
        if self.analysis == "lstsq":
            return np.linalg.pinv(atoms)
        if self.analysis != "transpose":
            raise ValueError(
                f"analysis={self.analysis!r}; expected 'lstsq', 'transpose' or matrix."
            )
        gram = atoms @ atoms.T
        off = np.abs(gram - np.eye(len(gram))).max()
        if off > _ORTHONORMAL_TOLERANCE:
            raise ValueError(
                "analysis='transpose' needs orthonormal atoms, but atoms @ atoms.T is "
                f"off the identity by {off:.3g}; use analysis='lstsq'."
            )
        return atoms.T.copy()

    def fit(self, X: Any, y: Any = None) -> Self:
        """Prepare the matrices; X only tells the number of features.

        Parameters
        ----------
        X : array-like or sparse of shape (n_samples, n_features)
            Signals.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is empty, complex or not finite, or `atoms`, `analysis` or
            `atom_names` do not fit.
        """
        X = validate_data(self, X, dtype=FLOATS, accept_sparse="csr")
        n_features = X.shape[1]
        atoms = self.atoms(n_features) if callable(self.atoms) else self.atoms
        atoms = np.eye(n_features) if atoms is None else atoms
        atoms = _matrix(atoms, "atoms", (None, n_features))
        if self.atom_names is not None and len(self.atom_names) != len(atoms):
            raise ValueError(
                f"{len(self.atom_names)} atom_names were given for {len(atoms)} atoms."
            )
        self.analysis_ = self._analysis_matrix(atoms)
        self.atoms_ = atoms
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the coefficients.

        Parameters
        ----------
        X : array-like or sparse of shape (n_samples, n_features)
            Signals.

        Returns
        -------
        ndarray of shape (n_samples, n_atoms)
            ``X @ analysis_``; float32 is kept.

        Raises
        ------
        ValueError
            If X is empty, complex, not finite or has the wrong number of columns.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=FLOATS, accept_sparse="csr", reset=False)
        return np.asarray(X @ self.analysis_.astype(X.dtype, copy=False))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Sum the atoms, weighted by the coefficients.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_atoms)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            ``X @ atoms_``; float32 is kept.

        Raises
        ------
        ValueError
            If X is not finite or has the wrong number of columns.
        """
        check_is_fitted(self)
        X = check_width(X, len(self.atoms_), self)
        return X @ self.atoms_.astype(X.dtype, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the atoms.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against the names seen in `fit`.

        Returns
        -------
        ndarray of str objects of shape (n_atoms,)
            `atom_names`, or "atom0", "atom1", ...
        """
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        names = self.atom_names
        if names is None:
            names = [f"atom{i}" for i in range(len(self.atoms_))]
        return np.asarray(names, dtype=object)

    def feature_groups(self, by: str = "natural") -> FeatureGroups:
        """Make one group per atom.

        Parameters
        ----------
        by : {"natural", "coefficient"}, default="natural"
            Either gives one group per atom.

        Returns
        -------
        FeatureGroups
            Named as the atoms.

        Raises
        ------
        ValueError
            If `by` is unknown, or two atoms share a name.

        See Also
        --------
        sktrim.FeatureGroups : What is returned; groups of one's own.
        """
        if by not in ("natural", "coefficient"):
            raise ValueError(f"by={by!r}; expected 'natural' or 'coefficient'.")
        names = self.get_feature_names_out()
        return FeatureGroups.singletons(len(names), names)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
