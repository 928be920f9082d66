"""An explanation as a table, and as shap's own."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sktrim.explanation._queries import ExplanationQueries


def to_frame(explanation: ExplanationQueries, *, wide: bool):
    """Give the values as a pandas table; see `Explanation.to_frame`."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "to_frame needs pandas, which cannot be imported here. Install the 'plot' "
            "extra: pip install 'sktrim[plot]', or use the arrays: values, group_names."
        ) from error
    values = explanation.values
    n_samples, n_groups, n_targets = (*values.shape, 1)[:3]
    # one row per sample and target, each with all the groups
    rows = values if values.ndim == 2 else values.transpose(0, 2, 1)
    rows = rows.reshape(-1, n_groups)
    sample = np.repeat(np.arange(n_samples), n_targets)
    target = _row_targets(explanation, n_samples, n_targets)
    if wide:
        index = pd.Index(sample, name="sample")
        if values.ndim == 3:
            index = pd.MultiIndex.from_arrays(
                [sample, target], names=["sample", "target"]
            )
        return pd.DataFrame(rows, index=index, columns=explanation.group_names)
    centers = explanation.centers
    if centers is None:
        centers = np.full(n_groups, np.nan)
    columns = {
        "sample": np.repeat(sample, n_groups),
        "group": np.tile(np.array(explanation.group_names, dtype=object), len(rows)),
        "center": np.tile(centers, len(rows)),
        "target": np.repeat(target, n_groups),
        "value": rows.ravel(),
    }
    parents = parents_of(explanation)
    if parents is not None:
        columns["parent"] = np.tile(np.array(parents, dtype=object), len(rows))
    return pd.DataFrame(columns)


def parents_of(explanation: ExplanationQueries) -> list[str] | None:
    """Return each group's parent; the residual is its own."""
    groups = explanation.feature_groups
    if groups is None or groups.parents is None:
        return None
    rest = explanation.group_names[len(groups.parents) :]
    return [*groups.parents, *rest]


def _row_targets(
    explanation: ExplanationQueries, n_samples: int, n_targets: int
) -> np.ndarray:
    labels = explanation.target_labels()
    if labels is None:
        if explanation.values.ndim == 2:
            return np.full(n_samples, None, dtype=object)
        labels = np.arange(n_targets)
    return labels if explanation.values.ndim == 2 else np.tile(labels, n_samples)


def to_shap(explanation: ExplanationQueries):
    """Give a shap.Explanation; see `Explanation.to_shap`."""
    try:
        import shap  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "to_shap needs the package shap, which cannot be imported here: pip "
            "install shap. Without it, explanation.plot has displays of its own."
        ) from error
    base = explanation.base_values
    apart = None if explanation.residual_is_group else explanation.residual_values
    if base is not None and apart is not None:
        base = base + apart
    data = None
    coefficients = explanation.coefficients
    if coefficients is not None and _is_one_each(explanation):
        if sp.issparse(coefficients):
            coefficients = sp.csr_array(coefficients).toarray()
        data = np.asarray(coefficients)
    per_target = explanation.values.ndim == 3
    return shap.Explanation(
        values=explanation.values,
        base_values=base,
        data=data,
        feature_names=explanation.group_names,
        output_names=explanation.target_names if per_target else None,
    )


def _is_one_each(explanation: ExplanationQueries) -> bool:
    if explanation.feature_groups is None:
        return False
    masks = explanation.feature_groups.masks
    n_groups = len(explanation.group_names)
    if masks.shape != (n_groups, n_groups) or masks.nnz != n_groups:
        return False
    return bool((sp.csr_array(masks).diagonal() == 1).all())
