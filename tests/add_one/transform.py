"""A transform: where a signal starts and how it goes on, step by step."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sktrim import FeatureGroups


class IncrementTransformer(TransformerMixin, BaseEstimator):
    """The first value of a signal and its increments; their sums lead back."""

    def fit(self, X, y=None):
        validate_data(self, X)
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return np.diff(X, axis=1, prepend=0.0)

    def inverse_transform(self, s):
        return np.cumsum(s, axis=1)

    def get_feature_names_out(self, input_features=None):
        steps = [f"step {i}" for i in range(1, self.n_features_in_)]
        return np.array(["start", *steps], dtype=object)

    def feature_groups(self, by="natural"):
        n = self.n_features_in_
        if by == "natural":
            return FeatureGroups.singletons(n, self.get_feature_names_out())
        if by == "start":
            return FeatureGroups.from_dict({"start": [0], "steps": range(1, n)}, n)
        raise ValueError(f"by={by!r}; expected 'natural' or 'start'.")
