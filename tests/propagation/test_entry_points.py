"""Every way into torch that does not ask the carrier is refused, and none is fatal.

Each is tried in a forked process: at worst, torch's C++ ends it.
"""

import copy
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sktrim.propagation import contextual_decomposition
from sktrim.propagation.carrier import Carrier
from sktrim.propagation.decomposition._method import ContextualDecomposition

X = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(3, 4) / 10


def make():
    method = ContextualDecomposition("channel", "relevant", False)
    return Carrier(method, X.clone(), torch.stack([X / 4, 0 * X]), -2)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient


class Same(Doubled):
    @staticmethod
    def forward(ctx, x):
        return x


def with_backward_hook(c):
    layer = nn.ReLU()
    layer.register_full_backward_hook(lambda *_: None)
    return layer(c)


def plain():
    return torch.zeros(3, 4, dtype=torch.float64)


WAYS = {
    "data =": lambda c: setattr(plain(), "data", c),
    "data = of a parameter": lambda c: setattr(nn.Parameter(plain()), "data", c),
    "grad =": lambda c: setattr(plain(), "grad", c),
    "Parameter": nn.Parameter,
    "tensor": torch.tensor,
    "tensor of a list": lambda c: torch.tensor([c, c]),
    "as_tensor": torch.as_tensor,
    "asarray": torch.asarray,
    "Tensor": torch.Tensor,
    "DoubleTensor": torch.DoubleTensor,
    "numpy": np.asarray,
    "from_numpy": torch.from_numpy,
    "from_dlpack": torch.from_dlpack,
    "to_dlpack": torch.utils.dlpack.to_dlpack,
    "vmap": torch.vmap(lambda v: v + 1),
    "func.grad": torch.func.grad(lambda v: (v * v).sum()),
    "func.jvp": lambda c: torch.func.jvp(lambda v: v * v, (c,), (c,)),
    "script": lambda c: torch.jit.script(nn.ReLU())(c),
    "trace": lambda c: torch.jit.trace(nn.ReLU(), plain())(c),
    "traced over": lambda c: torch.jit.trace(nn.ReLU(), c),
    "_make_subclass": lambda c: torch.Tensor._make_subclass(torch.Tensor, c),
    "as_subclass": lambda c: torch.Tensor.as_subclass(c, torch.Tensor),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": pickle.dumps,
    "checkpoint": lambda c: checkpoint(torch.relu, c, use_reentrant=False),
    "reentrant": lambda c: checkpoint(torch.relu, c, use_reentrant=True),
    "aten packet": lambda c: torch.ops.aten.relu(c),
    "aten": lambda c: torch.ops.aten.relu.default(c),
    "register_hook": lambda c: c.register_hook(print),
    "backward hook": with_backward_hook,
    "autograd function": Doubled.apply,
    "autograd identity": Same.apply,
    "storage": lambda c: c.untyped_storage(),
    "set_": lambda c: plain().set_(c),
    "swap": lambda c: torch.utils.swap_tensors(plain(), c),
    "sparse": lambda c: torch.sparse_coo_tensor(torch.arange(3)[None], c),
    "nested": lambda c: torch.nested.nested_tensor([c, c]),
    "collate": lambda c: torch.utils.data.default_collate([c, c]),
    "buffer": lambda c: nn.Module().register_buffer("kept", c),
    "index": lambda c: plain()[c],
    "index of a list": lambda c: [1, 2][c],
    "times of numpy": lambda c: np.float64(2) * c,
    "plus of numpy": lambda c: np.ones((3, 4)) + c,
    "backward": torch.autograd.backward,
    "autograd.grad": lambda c: torch.autograd.grad(c, c),
    "pin": lambda c: c.pin_memory(),
    "share": lambda c: c.share_memory_(),
    "names": lambda c: setattr(c, "names", ("a", "b")),
    "zeros": torch.zeros,
    "Size": lambda c: torch.Size([c]),
}


def outcome(way):
    """Return 0 for a result that is right, 1 for an error, 2 for a wrong result."""
    try:
        result = way(make())
    except Exception:
        return 1
    if isinstance(result, Carrier):
        return 0 if bool(result.full.isfinite().all()) else 2
    # nothing that C++ made of a carrier may have values of its own
    return 2 if isinstance(result, torch.Tensor) else 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_way_into_torch_is_fatal_or_yields_values(way):
    child = os.fork()
    if not child:
        # no cleanup: the parent's fixtures are its own
        os._exit(outcome(way))
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status), f"killed by signal {os.WTERMSIG(status)}"
    assert os.WEXITSTATUS(status) in (0, 1)


def test_a_refused_way_leaves_the_plain_tensor_as_it_was():
    kept = plain()
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        kept.data = make()
    assert torch.equal(kept, plain())


@pytest.mark.parametrize("inner", [torch.func.grad, torch.vmap])
def test_transforms_of_functorch_inside_a_model_are_refused(inner):
    def model(x):
        return inner(lambda v: (v * v).sum())(x)

    with pytest.raises(TypeError, match=r"vmap or torch\.func\.grad"):
        contextual_decomposition(model, X, X)
