"""Constant tensors that a model made itself become carriers once it writes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from sktrim.propagation.axes import probed
from sktrim.propagation.carrier import Carrier, is_plain

# how deep a tensor may lie in the attributes of a module or the closure of a function
_DEPTH = 4


def adopt(method: Any, call: Any) -> str | None:
    """Turn the tensor that is written into a carrier of a constant, or say why not."""
    tensor: Any = call.args[0]
    value = call.carriers[0]
    base: Any = tensor._base
    base = tensor if base is None else base
    why = _objection(method, tensor, base)
    if why is not None:
        return why
    # it stays the same object: whatever holds the tensor then holds the carrier
    if base is tensor:
        _become(method, tensor, value, _axis(call, tensor, value))
        return None
    size, stride = tensor.size(), tensor.stride()
    offset = tensor.storage_offset() - base.storage_offset()
    axis = _axis_of_base(call, tensor, value)
    # a view is adopted together with its base, which only one may hold
    _exchange(tensor)
    _become(method, base, value, axis)
    seen = base.method(torch.Tensor.as_strided, (base, size, stride, offset), {})
    tensor.__dict__.update(vars(seen))
    return None


def _objection(method: Any, tensor: Any, base: Any) -> str | None:
    if type(tensor) is not torch.Tensor or type(base) is not torch.Tensor:
        return "is a parameter or of a class of its own"
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return "holds no real or complex numbers"
    if tensor.requires_grad or tensor.layout != torch.strided:
        return "requires gradients or is not strided"
    count = getattr(torch._C, "_storage_Use_Count", None)
    holders = 1 if base is tensor else 2
    shared = count is None or count(base.untyped_storage()._cdata) != holders + 1
    if shared or _holders(base) != holders or _holders(tensor) != 1:
        return "is looked at by other tensors too"
    modules = list(_modules(method.model, _DEPTH))
    if not modules or any(kept is base for kept in _kept(modules)):
        return "may be kept by the model from call to call"
    return None


def _holders(tensor: Any) -> int:
    return tensor._use_count()


def _become(method: Any, tensor: torch.Tensor, value: Carrier, axis: Any) -> None:
    full = _exchange(tensor)
    rel = method.constant(full, value, axis)
    Carrier.__init__(tensor, method, full, rel, axis)  # pyright: ignore


def _exchange(tensor: Any) -> Any:
    """Make an object an empty carrier; what it was is another object now."""
    make = torch.Tensor._make_wrapper_subclass
    meta = torch.device("meta")
    other: Any = make(Carrier, tensor.shape, dtype=tensor.dtype, device=meta)
    with torch._C.DisableTorchFunctionSubclass():
        torch._C._swap_tensor_impl(tensor, other)
        tensor.__class__, other.__class__ = Carrier, torch.Tensor
    return other


def _axis(call: Any, tensor: torch.Tensor, value: Carrier) -> int | None:
    """Return the axis of the samples in what is written, if the value has one."""
    if value.axis is None:
        return None
    if call.operation.name == "__setitem__":
        return _axis_before(call.args[1], tensor, value)
    if tensor.ndim != value.full.ndim:
        return value.axis if -value.axis <= tensor.ndim else None
    n_rows, n_samples = tensor.shape[value.axis], value.method.n_samples
    if n_rows == value.full.shape[value.axis]:
        return value.axis
    # rows of a sample follow each other, and are written by their numbers
    whole = n_samples and n_rows % n_samples == 0 and value.axis == -tensor.ndim
    return value.axis if whole else None


def _axis_of_base(call: Any, tensor: torch.Tensor, value: Carrier) -> int | None:
    size, stride, base = tensor.size(), tensor.stride(), tensor._base
    axis = _axis(call, tensor, value)
    if axis is None or base is None or not base.is_contiguous():
        return None
    # a view keeps the step of an axis
    same = [d for d in range(base.ndim) if base.stride(d) == stride[axis]]
    same = [d for d in same if base.shape[d] == size[axis] > 1]
    return same[0] - base.ndim if len(same) == 1 else None


def _axis_before(index: Any, tensor: torch.Tensor, value: Carrier) -> int | None:
    """Return the axis that an index moves to where the samples of a value lie."""
    n_samples, shape = value.full.shape[value.axis], tuple(tensor.shape)
    fits = (
        axis
        for axis in range(-tensor.ndim, 0)
        if shape[axis] == n_samples
        and probed(lambda probe: probe[index], shape, axis) == [value.axis]
    )
    return next(fits, None)


def _modules(model: Any, depth: int) -> Iterator[nn.Module]:
    """Yield the modules that a callable is, holds or refers to."""
    if isinstance(model, nn.Module):
        yield from model.modules()
    elif depth:
        for value in _referred(model):
            yield from _modules(value, depth - 1)


def _referred(value: Any) -> Iterator[Any]:
    if isinstance(value, Callable) and hasattr(value, "__closure__"):
        yield from (cell.cell_contents for cell in value.__closure__ or ())
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, type):
        yield owner
    if hasattr(value, "__dict__") and not isinstance(value, type):
        yield from vars(value).values()


def _kept(modules: list[nn.Module]) -> Iterator[torch.Tensor]:
    """Yield the tensors in the attributes of modules, and in what lies in them."""
    for module in modules:
        yield from _tensors(vars(module), _DEPTH)


def _tensors(value: Any, depth: int) -> Iterator[torch.Tensor]:
    if is_plain(value):
        yield value
    elif depth and not isinstance(value, nn.Module | type | Callable):
        items = list(value) if isinstance(value, list | tuple | set) else []
        if isinstance(value, dict):
            items = list(value.values())
        elif hasattr(value, "__dict__"):
            items += list(vars(value).values())
        for item in items:
            yield from _tensors(item, depth - 1)
