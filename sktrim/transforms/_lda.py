"""Latent Dirichlet allocation with an inverse: expected word counts per topic."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import LatentDirichletAllocation as _TopicModel
from sklearn.utils.validation import check_is_fitted

from sktrim.groups import FeatureGroups
from sktrim.transforms._base import check_width

__all__ = ["LatentDirichletAllocation"]


def _words(vocabulary: Any, n_features: int) -> list[str]:
    """Return the word of every column, from a list or a dict {word: column}."""
    if isinstance(vocabulary, Mapping):
        vocabulary = sorted(vocabulary, key=vocabulary.__getitem__)
    words = [str(word) for word in vocabulary]
    if len(words) != n_features:
        raise ValueError(
            f"vocabulary has {len(words)} words, but the topics are over {n_features}; "
            "pass vectorizer.get_feature_names_out()."
        )
    return words


class LatentDirichletAllocation(_TopicModel):
    r"""scikit-learn's topic model, with counts as coefficients and a linear inverse.

    .. math::

       s_k = N \theta_k, \qquad T^{-1}(s)_w = \sum_k s_k \, \beta_{kw},

    where N is the number of words of a document, :math:`\theta_k` the share of topic k
    in it and :math:`\beta_{kw}` the probability of word w in topic k. A coefficient is
    the expected number of words that a topic puts into the document, in words. Hence
    the inverse is linear without offset. Fitting is unchanged, and so are the
    parameters and the other attributes, which
    `sklearn.decomposition.LatentDirichletAllocation` documents.

    Attributes
    ----------
    atoms_ : ndarray of shape (n_components, n_features)
        Probability of every word in every topic; rows sum to 1.

    See Also
    --------
    sklearn.decomposition.LatentDirichletAllocation : With shares, without inverse.
    LinearDictionary : Given atoms in place of topics.
    sktrim.inverse_module : The inverse as a torch module.

    Notes
    -----
    The model is that of :footcite:t:`blei2003lda`; topics are the space of an
    explanation of news in :footcite:t:`singh2020trim`, section 4. The shares are found
    by scikit-learn's variational inference, so the transform is not linear; only its
    inverse is. The residual is large, since a document holds few of the words that its
    topics let expect, and those more often: ``residual="constant"`` keeps the document
    what it is.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> from sktrim.transforms import LatentDirichletAllocation
    >>> X = np.array([[4, 2, 0, 0], [0, 0, 3, 3]])
    >>> topics = LatentDirichletAllocation(n_components=2, random_state=0).fit(X)
    >>> topics.transform(X).sum(axis=1).round(6)
    array([6., 6.])
    >>> topics.inverse_transform([[0.0, 0.0]])
    array([[0., 0., 0., 0.]])
    """

    @property
    def atoms_(self) -> np.ndarray:
        """Probability of every word in every topic; rows sum to 1."""
        check_is_fitted(self)
        return self.components_ / self.components_.sum(axis=1, keepdims=True)

    def transform(self, X: Any) -> np.ndarray:
        """Compute the expected word counts per topic.

        Parameters
        ----------
        X : array-like or sparse of shape (n_samples, n_features)
            Word counts.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Counts that sum to the length of each document; 0 for an empty one.

        Raises
        ------
        ValueError
            If X is negative, not finite or has the wrong number of columns.
        """
        shares = np.asarray(super().transform(X))
        counts = X if sp.issparse(X) else np.asarray(X)
        lengths = np.asarray(counts.sum(axis=1), dtype=shares.dtype).reshape(-1, 1)
        return shares * lengths

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and compute the expected word counts per topic.

        Parameters
        ----------
        X : array-like or sparse of shape (n_samples, n_features)
            Word counts.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            What `transform` gives.
        """
        return self.fit(X).transform(X)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Compute the expected word counts of documents.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Expected word counts per topic.

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
        X = check_width(X, len(self.components_), self)
        return X @ self.atoms_.astype(X.dtype, copy=False)

    def feature_groups(
        self,
        by: str = "natural",
        *,
        vocabulary: Sequence[str] | Mapping[str, int] | None = None,
        n_words: int = 3,
    ) -> FeatureGroups:
        """Make one group per topic, named by its most probable words.

        Parameters
        ----------
        by : {"natural", "coefficient"}, default="natural"
            Either gives one group per topic; "coefficient" names it as
            `get_feature_names_out` does.
        vocabulary : sequence of str or mapping of str to int, default=None
            Word of every column, or a vectoriser's ``vocabulary_``. None: the column
            names of the DataFrame seen in `fit`, where there was one.
        n_words : int, default=3
            Number of words in a name.

        Returns
        -------
        FeatureGroups
            Names such as "topic12: clinton emails", or "topic12" without words.

        Raises
        ------
        ValueError
            If `by` is unknown, or the vocabulary does not fit the topics.

        See Also
        --------
        sktrim.FeatureGroups : What is returned; groups of one's own.
        """
        check_is_fitted(self)
        if by not in ("natural", "coefficient"):
            raise ValueError(f"by={by!r}; expected 'natural' or 'coefficient'.")
        n_topics, n_features = self.components_.shape
        if by == "coefficient":
            return FeatureGroups.singletons(n_topics, self.get_feature_names_out())
        if vocabulary is None:
            vocabulary = getattr(self, "feature_names_in_", None)
        names = [f"topic{i}" for i in range(n_topics)]
        if vocabulary is not None:
            words = _words(vocabulary, n_features)
            top = np.argsort(-self.components_, axis=1, kind="stable")[:, :n_words]
            names = [
                f"{name}: {' '.join(words[j] for j in row)}"
                for name, row in zip(names, top, strict=True)
            ]
        return FeatureGroups.singletons(n_topics, names)
