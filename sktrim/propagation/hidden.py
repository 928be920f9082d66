"""What to do where a model calls code in which nothing can be followed."""

from __future__ import annotations

from sktrim.exceptions import UnsupportedOperationError
from sktrim.propagation.carrier import Carrier

# what errors say of a carrier that code without rules could not take
_HIDDEN = (Carrier.__name__, "TorchScript interpreter")


def explained_error(error: BaseException) -> UnsupportedOperationError | None:
    """Return an error that names causes and way out, None for the model's own."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if isinstance(error, NotImplementedError) and "backward" in str(error):
        return UnsupportedOperationError(
            f"The model calls a function that has no gradient here ({lines[0]}). Let "
            "it call one that has, such as F.scaled_dot_product_attention for "
            "flex_attention, or use a scorer that needs no gradient, such as "
            '"occlusion" or "kernel_shap".'
        )
    compiled = type(error).__module__.startswith("torch._dynamo")
    if not compiled and not any(name in str(error) for name in _HIDDEN):
        return None
    return UnsupportedOperationError(
        "The model calls (a) a function that is TorchScript, (b) compiled code of "
        "another library, (c) a transform such as torch.vmap or torch.func.grad, (d) a "
        "module with backward hooks, or (e) a function that torch compiles as it runs, "
        "such as flex_attention; there its operations are hidden from the rules "
        f"({lines[0]}). Let the model call the Python function that was scripted, "
        "traced or transformed, or F.scaled_dot_product_attention, remove the hooks, "
        "or use a scorer that needs no rules."
    )
