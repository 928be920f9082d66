"""The list of the zoo. Nothing is dropped from it: what fails, is shown as failing."""

from benchmarks.zoo import (
    _pictures,
    _series,
    _tables,
    _timm,
    _transformers_other,
    _transformers_text,
    _vit_pytorch,
)

ENTRIES = [
    *_transformers_text.ENTRIES,
    *_transformers_other.ENTRIES,
    *_timm.ENTRIES,
    *_vit_pytorch.ENTRIES,
    *_pictures.ENTRIES,
    *_series.ENTRIES,
    *_tables.ENTRIES,
]
