"""Inverses of fitted transformers as differentiable torch modules, and f o T^-1."""

from sktrim.exceptions import InverseNotAvailableError
from sktrim.inverse._modules import InverseModule
from sktrim.inverse._registry import forward_module, inverse_module
from sktrim.inverse._trim_model import TrimModel

__all__ = [
    "InverseModule",
    "InverseNotAvailableError",
    "TrimModel",
    "forward_module",
    "inverse_module",
]
