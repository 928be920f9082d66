"""What a fitted transformer calls its coefficients."""

from typing import Any

import numpy as np


def coefficient_names(transformer: Any, *given: Any) -> Any:
    """Return the names of a fitted transformer's coefficients, if it tells them."""
    # `given`: the names of what the transformer is given, if they are known
    try:
        names = transformer.get_feature_names_out(*given)
    except AttributeError:  # a Pipeline has the method, but some step may not
        return None
    last = transformer.steps[-1][1] if hasattr(transformer, "steps") else transformer
    if not getattr(last, "split_sign", False):
        return names
    # scikit-learn names the atoms, but gives two columns of each
    parts = [[f"{name} {part}" for name in names] for part in ("positive", "negative")]
    return np.array(parts, dtype=object).ravel()
