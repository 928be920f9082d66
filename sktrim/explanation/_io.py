"""An Explanation as a file, a table, a shap object and HTML."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from sktrim.exceptions import ExplanationFileError
from sktrim.explanation._arrays import PER_SAMPLE
from sktrim.explanation._components import StoredComponents
from sktrim.explanation._files import CHECKSUM, Archive, check_kind, write_arrays
from sktrim.explanation._queries import ExplanationQueries
from sktrim.groups import FeatureGroups

FORMAT = "sktrim.Explanation"
VERSION = 3
_MATRICES = ("coefficients", "signals")
_ARRAYS = ("centers", "targets", *(n for n in PER_SAMPLE if n not in _MATRICES))
_TEXTS = ("group_names", "target_names")
_WORDS = ("unit", "scorer", "output", "kind")
_SCALARS = {"n_axes": "iu", "signal_space": "b"}
_DTYPES = {**dict.fromkeys((*_TEXTS, *_WORDS), str), "signal_shape": int}
_NUMBERS, _ANYTHING = "biuf", "biufcUSmM"
_SPARSE_KINDS = {"data": _NUMBERS, "indices": "iu", "indptr": "iu", "shape": "iu"}
_KINDS = {
    **dict.fromkeys(_ARRAYS, _NUMBERS),
    **dict.fromkeys((*_MATRICES, "components"), _NUMBERS),
    **dict.fromkeys(("mask_centers", "mask_coordinates"), _NUMBERS),
    **dict.fromkeys((*_TEXTS, *_WORDS, "mask_names", "mask_unit", "mask_parents"), "U"),
    **dict.fromkeys(("format", "metadata", CHECKSUM), "U"),
    **dict.fromkeys(("version", "signal_shape"), "iu"),
    **{
        f"{matrix}_{part}": kinds
        for matrix in (*_MATRICES, "masks")
        for part, kinds in _SPARSE_KINDS.items()
    },
    **_SCALARS,
    "targets": _ANYTHING,
}


def _kinds(name: str) -> str:
    """Return the letters of ``dtype.kind`` that a member of the file may have."""
    return _KINDS.get(name, _ANYTHING if name.startswith("metadata.") else "")


def save(explanation: ExplanationQueries, path, *, components: bool) -> None:
    """Write an Explanation as npz; see `Explanation.save`."""
    arrays = _to_arrays(explanation)
    if components:
        arrays["components"] = _all_components(explanation)
        if explanation.signals is not None:
            arrays |= _matrix_to_arrays("signals", explanation.signals)
    for name, array in arrays.items():
        check_kind(name, array, _kinds(name))
    write_arrays(Path(path), arrays)


def load(path, make: Callable[..., Any]) -> Any:
    """Read an npz and make an Explanation of it; see `Explanation.load`."""
    with open(path, "rb") as file:
        with _teaching(path):
            archive = Archive(file, _kinds)
            version = _version(archive)
        if version > VERSION:
            raise ExplanationFileError(
                f"{path} is of format version {version}, but this sktrim reads up to "
                f"{VERSION}; upgrade sktrim to load it."
            )
        with _teaching(path):
            return make(**_from_arrays(archive.read_all()))


@contextmanager
def _teaching(path) -> Iterator[None]:
    """Turn whatever a damaged file leads to into one error."""
    try:
        yield
    except Exception as error:
        raise ExplanationFileError(
            f"{path} is not a file that Explanation.save wrote "
            f"({type(error).__name__}: {error}). Likely causes: (a) it is another kind "
            "of file, (b) it was damaged or cut short while copying, (c) it holds "
            "pickled objects, which are never loaded, (d) it is larger than the memory."
        ) from error


def _version(archive: Archive) -> int:
    if _text("format", archive.read("format")) != FORMAT:
        raise ExplanationFileError("it is of another format")
    version = archive.read("version").item()
    if 1 < version <= VERSION and CHECKSUM not in archive:
        raise ExplanationFileError("it has no checksum")
    return version


def _text(name: str, array: np.ndarray) -> str:
    if array.ndim:
        raise ExplanationFileError(f"{name} has shape {array.shape}")
    return str(array)


def _texts(name: str, array: np.ndarray) -> list[str]:
    if array.ndim != 1:
        raise ExplanationFileError(f"{name} has shape {array.shape}")
    return array.tolist()


def _to_arrays(explanation: ExplanationQueries) -> dict[str, np.ndarray]:
    arrays = {"format": np.array(FORMAT), "version": np.array(VERSION)}
    for name in (*_ARRAYS, *_TEXTS, *_WORDS, *_SCALARS, "signal_shape"):
        value = getattr(explanation, name)
        if value is not None:
            arrays[name] = np.asarray(value, dtype=_DTYPES.get(name))
    plain = {}
    for key, value in explanation.metadata.items():
        if isinstance(value, np.ndarray) and value.dtype != object:
            arrays[f"metadata.{key}"] = value
        else:
            plain[key] = value
    arrays["metadata"] = np.array(_to_json(plain))
    if explanation.coefficients is not None:
        arrays |= _matrix_to_arrays("coefficients", explanation.coefficients)
    return arrays | _groups_to_arrays(explanation.feature_groups)


def _groups_to_arrays(groups: FeatureGroups | None) -> dict[str, np.ndarray]:
    if groups is None:
        return {}
    arrays = _sparse_to_arrays("masks", groups.masks)
    arrays["mask_names"] = np.asarray(groups.names, dtype=str)
    if groups.centers is not None:
        arrays["mask_centers"] = np.asarray(groups.centers)
    if groups.coordinates is not None:
        arrays["mask_coordinates"] = groups.coordinates
    if groups.parents is not None:
        arrays["mask_parents"] = np.asarray(groups.parents, dtype=str)
    if groups.unit is not None:
        arrays["mask_unit"] = np.array(str(groups.unit))
    return arrays


def _from_arrays(stored: dict[str, np.ndarray]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: stored.get(name) for name in _ARRAYS}
    for names, read in ((_TEXTS, _texts), (_WORDS, _text)):
        for name in names:
            fields[name] = read(name, stored[name]) if name in stored else None
    fields |= {name: stored[name].item() for name in _SCALARS if name in stored}
    if "signal_shape" in stored:
        fields["signal_shape"] = _shape("signal_shape", stored["signal_shape"])
    fields["metadata"] = _metadata_from_arrays(stored)
    fields["coefficients"] = _matrix_from_arrays("coefficients", stored)
    fields["feature_groups"] = _groups_from_arrays(stored)
    if "components" in stored:
        parts = stored["components"]
        _check_components(parts, fields["values"], fields.get("signal_shape"))
        fields["component_function"] = StoredComponents(parts)
        fields["signals"] = _matrix_from_arrays("signals", stored)
    return fields


def _metadata_from_arrays(stored: dict[str, np.ndarray]) -> dict[str, Any]:
    metadata = json.loads(_text("metadata", stored["metadata"]))
    if not isinstance(metadata, dict):
        raise ExplanationFileError(f"metadata is a {type(metadata).__name__}")
    for name, array in stored.items():
        if name.startswith("metadata."):
            metadata[name.removeprefix("metadata.")] = array
    return metadata


def _groups_from_arrays(stored: dict[str, np.ndarray]) -> FeatureGroups | None:
    if not any(name.startswith("mask") for name in stored):
        return None
    unit, parents = stored.get("mask_unit"), stored.get("mask_parents")
    return FeatureGroups(
        _sparse_from_arrays("masks", stored),
        _texts("mask_names", stored["mask_names"]),
        centers=stored.get("mask_centers"),
        unit=None if unit is None else _text("mask_unit", unit),
        coordinates=stored.get("mask_coordinates"),
        parents=None if parents is None else _texts("mask_parents", parents),
    )


def _check_components(parts, values, signal_shape) -> None:
    fits = parts.ndim > 2 and parts.shape[:2] == values.shape[:2]
    if not fits or signal_shape not in (None, parts.shape[2:]):
        raise ExplanationFileError(
            f"components has shape {parts.shape}, values {values.shape}, and "
            f"signal_shape is {signal_shape}"
        )


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
    if any(f"{name}_{part}" in stored for part in _SPARSE_KINDS):
        return _sparse_from_arrays(name, stored)
    return stored.get(name)


def _sparse_to_arrays(name: str, matrix) -> dict[str, np.ndarray]:
    csr = sp.csr_array(matrix)
    parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
    parts["shape"] = np.asarray(csr.shape)
    return {f"{name}_{part}": array for part, array in parts.items()}


def _sparse_from_arrays(name: str, stored: dict[str, np.ndarray]) -> sp.csr_array:
    data, indices, indptr, shape = (stored[f"{name}_{part}"] for part in _SPARSE_KINDS)
    shape = _shape(name, shape)
    if data.dtype == np.float16:
        raise ExplanationFileError(f"{name} is sparse, but of half precision")
    # check_format leaves an empty matrix unchecked, whose rows may still claim entries
    if indptr.ndim != 1 or (indptr[1:] < indptr[:-1]).any():
        raise ExplanationFileError(f"{name} has rows of negative length")
    csr = sp.csr_array((data, indices, indptr), shape=shape)
    # without it an index out of range ends in a crash of the process
    csr.check_format(full_check=True)
    return csr


def _shape(name: str, array: np.ndarray) -> tuple[int, ...]:
    if array.ndim != 1 or (array < 0).any():
        raise ExplanationFileError(f"{name} has the shape {array}")
    return tuple(array.tolist())


def _all_components(explanation: ExplanationQueries) -> np.ndarray:
    samples = np.arange(len(explanation))
    parts = [explanation.component(samples, name) for name in explanation.group_names]
    return np.stack(parts, axis=1)
