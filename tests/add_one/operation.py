"""An elementwise operation that the library has no rule for."""

import torch

from sktrim.propagation import register_operation

register_operation(torch.special.erfcx, "elementwise")
