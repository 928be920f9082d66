"""An Explanation as a file, a table, a shap object and HTML."""

from __future__ import annotations

import json
import os
import uuid
import zipfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from sktrim._explanation.components import StoredComponents
from sktrim.groups import FeatureGroups

if TYPE_CHECKING:
    from sktrim.explanation import Explanation

FORMAT = "sktrim.Explanation"
VERSION = 1
_ARRAYS = (
    "values",
    "centers",
    "targets",
    "predictions",
    "base_values",
    "residual_values",
    "completeness_error",
    "std_errors",
)
_TEXTS = ("group_names", "target_names")
_WORDS = ("unit", "scorer", "output")


def save(explanation: Explanation, path, *, components: bool) -> None:
    """Write an Explanation as npz; see `Explanation.save`."""
    arrays = _to_arrays(explanation)
    if components:
        arrays["components"] = _all_components(explanation)
        if explanation.signals is not None:
            arrays |= _matrix_to_arrays("signals", explanation.signals)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"the folder {path.parent} does not exist; make it before saving "
            f"{path.name}."
        )
    # replaced in one step, so that a reader never sees half a file
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path) -> dict[str, Any]:
    """Read an npz into the arguments of Explanation; see `Explanation.load`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    # TypeError: a single array, which is no context manager
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _foreign(path) from error
    if str(stored.get("format", "")) != FORMAT:
        raise _foreign(path)
    if int(stored["version"]) > VERSION:
        raise ValueError(
            f"{path} is of format version {int(stored['version'])}, but this sktrim "
            f"reads up to {VERSION}; upgrade sktrim to load it."
        )
    return _from_arrays(stored)


def _foreign(path) -> ValueError:
    return ValueError(
        f"{path} is not a file that Explanation.save wrote. Likely causes: (a) it is "
        "another kind of file, (b) it was cut short while copying, (c) it holds "
        "pickled objects, which are never loaded."
    )


def _to_arrays(explanation: Explanation) -> dict[str, Any]:
    arrays: dict[str, Any] = {"format": np.array(FORMAT), "version": np.array(VERSION)}
    for name in (*_ARRAYS, *_TEXTS, *_WORDS):
        value = getattr(explanation, name)
        if value is not None:
            arrays[name] = np.asarray(value, dtype=None if name in _ARRAYS else str)
    if explanation.signal_shape is not None:
        arrays["signal_shape"] = np.asarray(explanation.signal_shape, dtype=int)
    plain = {}
    for key, value in explanation.metadata.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            arrays[f"metadata.{key}"] = value
        else:
            plain[key] = value
    arrays["metadata"] = np.array(_to_json(plain))
    if explanation.coefficients is not None:
        arrays |= _matrix_to_arrays("coefficients", explanation.coefficients)
    groups = explanation.feature_groups
    if groups is not None:
        arrays |= _sparse_to_arrays("masks", groups.masks)
        arrays["mask_names"] = np.asarray(groups.names, dtype=str)
        if groups.centers is not None:
            arrays["mask_centers"] = np.asarray(groups.centers)
        if groups.coordinates is not None:
            arrays["mask_coordinates"] = groups.coordinates
        if groups.unit is not None:
            arrays["mask_unit"] = np.array(str(groups.unit))
    return arrays


def _from_arrays(stored: dict[str, np.ndarray]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: stored.get(name) for name in _ARRAYS}
    for name in _TEXTS:
        fields[name] = stored[name].tolist() if name in stored else None
    for name in _WORDS:
        fields[name] = str(stored[name]) if name in stored else None
    if "signal_shape" in stored:
        fields["signal_shape"] = tuple(stored["signal_shape"].tolist())
    fields["metadata"] = json.loads(str(stored["metadata"]))
    for name, array in stored.items():
        if name.startswith("metadata."):
            fields["metadata"][name.removeprefix("metadata.")] = array
    fields["coefficients"] = _matrix_from_arrays("coefficients", stored)
    if "masks_data" in stored:
        unit = str(stored["mask_unit"]) if "mask_unit" in stored else None
        fields["feature_groups"] = FeatureGroups(
            _sparse_from_arrays("masks", stored),
            stored["mask_names"].tolist(),
            centers=stored.get("mask_centers"),
            unit=unit,
            coordinates=stored.get("mask_coordinates"),
        )
    if "components" in stored:
        fields["component_function"] = StoredComponents(stored["components"])
        fields["signals"] = _matrix_from_arrays("signals", stored)
    return fields


def _to_json(metadata: dict) -> str:
    def plain(value):
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        raise TypeError(
            f"metadata holds a {type(value).__name__}, which a file cannot keep; use "
            "numbers, strings, lists and dicts, or delete the entry before saving."
        )

    return json.dumps(metadata, default=plain)


def _matrix_to_arrays(name: str, matrix) -> dict[str, np.ndarray]:
    return _sparse_to_arrays(name, matrix) if sp.issparse(matrix) else {name: matrix}


def _matrix_from_arrays(name: str, stored: dict[str, np.ndarray]):
    if f"{name}_data" in stored:
        return _sparse_from_arrays(name, stored)
    return stored.get(name)


def _sparse_to_arrays(name: str, matrix) -> dict[str, np.ndarray]:
    csr = sp.csr_array(matrix)
    parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
    parts["shape"] = np.asarray(csr.shape)
    return {f"{name}_{part}": array for part, array in parts.items()}


def _sparse_from_arrays(name: str, stored: dict[str, np.ndarray]) -> sp.csr_array:
    data, indices, indptr, shape = (
        stored[f"{name}_{part}"] for part in ("data", "indices", "indptr", "shape")
    )
    return sp.csr_array((data, indices, indptr), shape=tuple(shape.tolist()))


def _all_components(explanation: Explanation) -> np.ndarray:
    samples = np.arange(len(explanation))
    parts = [explanation.component(samples, name) for name in explanation.group_names]
    return np.stack(parts, axis=1)


def to_frame(explanation: Explanation, *, wide: bool):
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
    return pd.DataFrame(columns)


def _row_targets(
    explanation: Explanation, n_samples: int, n_targets: int
) -> np.ndarray:
    labels = explanation.target_labels()
    if labels is None:
        if explanation.values.ndim == 2:
            return np.full(n_samples, None, dtype=object)
        labels = np.arange(n_targets)
    return labels if explanation.values.ndim == 2 else np.tile(labels, n_samples)


def to_shap(explanation: Explanation):
    """Give a shap.Explanation; see `Explanation.to_shap`."""
    try:
        import shap  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "to_shap needs the package shap, which cannot be imported here: pip "
            "install shap. Without it, explanation.plot has displays of its own."
        ) from error
    base = explanation.base_values
    if base is not None and explanation.residual_values is not None:
        base = base + explanation.residual_values
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


def _is_one_each(explanation: Explanation) -> bool:
    if explanation.feature_groups is None:
        return False
    masks = explanation.feature_groups.masks
    n_groups = len(explanation.group_names)
    if masks.shape != (n_groups, n_groups) or masks.nnz != n_groups:
        return False
    return bool((sp.csr_array(masks).diagonal() == 1).all())


def to_html(explanation: Explanation, *, k: int = 10) -> str:
    """Give a small table of the groups that matter most on average."""
    title = escape(repr(explanation))
    if not len(explanation):
        return f"<div>{title}</div>"
    # over samples, and over targets where there are several
    axes = (0, 2)[: explanation.values.ndim - 1]
    signed = explanation.values.mean(axis=axes)
    size = np.abs(explanation.values).mean(axis=axes)
    order = np.argsort(-size, kind="stable")[:k]
    unit = "" if explanation.unit is None else f" ({escape(explanation.unit)})"
    centers = explanation.centers
    head = f"<th>center{unit}</th>" if centers is not None else ""
    rows = []
    for index in order:
        cells = [escape(explanation.group_names[index])]
        if centers is not None:
            cells.append(f"{centers[index]:.4g}")
        cells += [f"{signed[index]:+.4g}", f"{size[index]:.4g}"]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = len(explanation.group_names) - len(order)
    foot = f"<div>and {more} more groups</div>" if more else ""
    return (
        f"<div><div>{title}</div><table><thead><tr><th>group</th>{head}"
        "<th>mean importance</th><th>mean |importance|</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{foot}</div>"
    )
