"""What a user may pass as groups, and what a transformer calls its coefficients."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp

from sktrim.groups._groups import FeatureGroups


def coefficient_names(transformer: Any, *names_in: Any) -> Any:
    """Return the names of a fitted transformer's coefficients, if it tells them."""
    # `names_in`: the names of what the transformer takes, if they are known
    try:
        names = transformer.get_feature_names_out(*names_in)
    except AttributeError:  # a Pipeline has the method, but some step may not
        return None
    last = transformer.steps[-1][1] if hasattr(transformer, "steps") else transformer
    if not getattr(last, "split_sign", False):
        return names
    # scikit-learn names the atoms, but gives two columns of each
    parts = [[f"{name} {part}" for name in names] for part in ("positive", "negative")]
    return np.array(parts, dtype=object).ravel()


def last_step(transformer: Any) -> Any:
    """Return the last step of a Pipeline; anything else as it is."""
    return transformer.steps[-1][1] if hasattr(transformer, "steps") else transformer


def _named_groups(name: str, transformer: Any, n_coefficients: int) -> FeatureGroups:
    """Return the groups of a transformer, or a Pipeline's last step, by their name."""
    last = last_step(transformer)
    if name == "coefficients":
        return _coefficient_groups(transformer, n_coefficients)
    if hasattr(last, "feature_groups"):
        try:
            return last.feature_groups(by=name)
        except ValueError as error:
            raise ValueError(
                f"groups={name!r} of {type(last).__name__}: {error} For bands and "
                "other options pass a function of the fitted transformer, such as "
                "groups=lambda t: t.feature_groups(by='band', n_bands=10)."
            ) from error
    if name == "natural":
        return _coefficient_groups(transformer, n_coefficients)
    raise ValueError(
        f"groups={name!r} is not known; expected 'natural', 'coefficients', "
        "'positions' (of signals without a transformer), a FeatureGroups, integer "
        "labels, a matrix, a dict or a function of the fitted transformer."
    )


def _coefficient_groups(transformer: Any, n_coefficients: int) -> FeatureGroups:
    """Return one group per coefficient, named by the transformer where it can."""
    return FeatureGroups.singletons(n_coefficients, coefficient_names(transformer))


def _from_array(groups: Any) -> FeatureGroups:
    """Read a 1-D array as labels and a 2-D one as masks."""
    if sp.issparse(groups):
        return FeatureGroups(groups)
    try:
        groups = np.asarray(groups)
    except ValueError:
        raise ValueError("groups is ragged: its rows differ in length.") from None
    if groups.ndim == 1:
        return FeatureGroups.from_labels(groups)
    return FeatureGroups(groups)


def check_groups(groups: Any, transformer: Any, n_coefficients: int) -> FeatureGroups:
    """Resolve what a user may pass as `groups` to a `FeatureGroups`.

    Parameters
    ----------
    groups : str, FeatureGroups, array-like, sparse or dict
        "natural": the transformer's own groups (of a Pipeline: those of its last
        step), one per coefficient where it has none. "coefficients": one per
        coefficient. Another name, such as "level": ``feature_groups(by=...)`` of the
        transformer. Otherwise a `FeatureGroups`, integer labels of shape
        (n_coefficients,), a matrix of shape (n_groups, n_coefficients) or a dict
        {name: indices or mask}.
    transformer : fitted transformer or None
        Where "natural" and "coefficients" find groups and names.
    n_coefficients : int
        Number of columns of the transformer's output.

    Returns
    -------
    FeatureGroups
        Groups over `n_coefficients` coefficients.

    Raises
    ------
    ValueError
        If the name is unknown, the width is wrong, there is no group, or a weight
        lies outside [0, 1] or is NaN.

    See Also
    --------
    FeatureGroups : What is returned.
    sktrim.TransformImportance : Whose ``groups=`` is resolved.

    Examples
    --------
    >>> from sktrim.groups import check_groups
    >>> check_groups([0, 0, 1, -1], None, 4)
    FeatureGroups(2 groups over 4 coefficients: '0', '1')
    """
    if isinstance(groups, str):
        resolved = _named_groups(groups, transformer, n_coefficients)
    elif isinstance(groups, FeatureGroups):
        resolved = groups
    elif isinstance(groups, Mapping):
        resolved = FeatureGroups.from_dict(groups, n_coefficients)
    elif groups is None or isinstance(groups, Integral):
        raise ValueError(f"groups={groups!r}; the default is groups='natural'.")
    else:
        resolved = _from_array(groups)
    if resolved.n_coefficients != n_coefficients:
        raise ValueError(
            f"The groups are over {resolved.n_coefficients} coefficients, but the "
            f"transformer gives {n_coefficients}. Likely causes: (a) the groups come "
            "from a transformer fitted with another signal_shape or n_components; "
            "(b) the matrix is transposed, expected (n_groups, n_coefficients)."
        )
    return resolved
