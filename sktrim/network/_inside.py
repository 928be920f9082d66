"""The rest of a network: what follows the output of one of its layers."""

import difflib
import threading
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from sktrim.exceptions import LayerError
from sktrim.propagation.running import first_tensor

_MEETING = threading.local()
"""What each thread waits for a layer to put out."""


class _Hook:
    """One hook on every module of the process, as long as somebody waits."""

    # nothing is attached to the network, and a layer that is called through a list or
    # a bound method is met too

    def __init__(self) -> None:
        self._lock, self._n, self._handle = threading.Lock(), 0, None

    def __enter__(self) -> None:
        with self._lock:
            if not self._n:
                self._handle = register_module_forward_hook(_meet)
            self._n += 1

    def __exit__(self, *error: Any) -> None:
        with self._lock:
            self._n -= 1
            if not self._n and self._handle is not None:
                self._handle.remove()


_HOOK = _Hook()


def _meet(module: nn.Module, args: tuple, output: Any) -> Any:
    waiting = getattr(_MEETING, "waiting", None)
    return waiting.meet(output) if waiting and waiting.layer is module else None


class _Wait:
    """Notes what a layer puts out, and puts something else in place of one call's."""

    def __init__(self, layer: nn.Module, call: int | None, instead: Any = None) -> None:
        self.layer, self.call, self.instead = layer, call, instead
        self.n_calls, self.output = 0, None

    def __enter__(self) -> "_Wait":
        self._before = getattr(_MEETING, "waiting", None)
        _MEETING.waiting = self
        _HOOK.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        _MEETING.waiting = self._before
        _HOOK.__exit__()

    def meet(self, output: Any) -> Any:
        """Return what the layer is to put out, None for its own."""
        self.n_calls += 1
        if self.n_calls - 1 != (self.call or 0):
            return None
        if self.instead is None:
            # the network may go on to write into it
            tensor = isinstance(output, torch.Tensor)
            self.output = output.clone() if tensor else output
        return self.instead


class AtLayer(nn.Module):
    """The rest of a network as a function of what a layer of it puts out."""

    # the whole network runs, unmodified, and the layer's output is replaced; what goes
    # around the layer is computed from `inputs`, those of the samples

    def __init__(
        self, module: nn.Module, layer: nn.Module, name: str, call: int | None
    ) -> None:
        super().__init__()
        self.module = module
        # in a tuple, since the network knows it by another name
        self._layer = (layer,)
        self.name = name
        self.call = call
        # whether nothing goes around the layer, so that one row upstream will do
        self.alone = False
        self.training = False

    def forward(self, value: Any, *inputs: Any) -> Any:
        """Return what the network gives where the layer puts out `value`."""
        if self.alone:
            inputs = tuple(rows[:1] for rows in inputs)
        with _Wait(self._layer[0], self.call, value) as wait:
            out = self.module(*inputs)
        if wait.n_calls <= (self.call or 0):
            raise LayerError(_never(self, wait.n_calls))
        return out

    def output(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer puts out, or raise where that cannot be explained."""
        with _Wait(self._layer[0], self.call) as wait:
            self.module(*inputs)
        if wait.n_calls <= (self.call or 0):
            raise LayerError(_never(self, wait.n_calls))
        if wait.n_calls > 1 and self.call is None:
            raise LayerError(
                f"The network calls {self.name} {wait.n_calls} times in a pass; say "
                f"which output is meant: call=0 to call={wait.n_calls - 1}."
            )
        return _checked(self.name, wait.output, len(inputs[0]))

    def settle(self, *inputs: torch.Tensor) -> bool:
        """Compare the rest with the whole network; tell whether nothing goes around."""
        self.alone = False
        value = self.output(*inputs)
        whole = self._given(value, *inputs)
        if not _close(whole, first_tensor(self.module(*inputs))):
            raise LayerError(
                f"The network gives other outputs when what {self.name} puts out is "
                "put back in its place. Likely causes: (a) it reads that elsewhere, "
                "from an attribute or by a hook of its own; (b) it draws random "
                "numbers. Choose another layer."
            )
        ramp = torch.linspace(-1, 1, value[0].numel()).to(value).view_as(value[0])
        ramp = ramp * (1 + value.abs().amax())
        if all(
            torch.equal(self._given(value + sign * ramp, *inputs), whole)
            for sign in (1, -1)
        ):
            raise LayerError(
                f"The output does not depend on what {self.name} puts out; choose a "
                "layer on the way from the input to the output."
            )
        others = tuple(map(_other_rows, inputs))
        if not torch.equal(self._given(value, *others), whole):
            return False
        same = [self._keeps(value, whole, mark, inputs) for mark in (0.0, torch.nan)]
        if False in same:
            return False
        # whatever id stands for padding, these rows may have none of it
        if None in same or not all(rows.is_floating_point() for rows in inputs):
            return True
        self.alone = True
        try:
            self.alone = torch.equal(self._given(value, *others), whole)
        except Exception:
            # the network reads the number of rows off its input
            self.alone = False
        return True

    def _keeps(self, value: Any, whole: Any, mark: float, inputs: Any) -> bool | None:
        """Tell whether inputs of a mark for padding or gaps alone change nothing."""
        marked = [
            torch.full_like(rows, mark if rows.is_floating_point() else 0)
            for rows in inputs
        ]
        try:
            return torch.equal(self._given(value, *marked), whole)
        except Exception:
            # of some networks no step may be missing, or not all
            return None

    def _given(self, value: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        # a clone, since the network may go on to write into it
        return first_tensor(self(value.clone(), *inputs))


def find_layer(module: nn.Module, layer: Any) -> tuple[nn.Module, str]:
    """Return a layer that is named or given, and what errors call it."""
    names = dict(module.named_modules(remove_duplicate=False))
    if isinstance(layer, nn.Module):
        name = next((n for n, part in names.items() if part is layer), None)
        return layer, repr(name) if name else f"the given {type(layer).__name__}"
    if not isinstance(layer, str):
        raise TypeError(
            f"layer={layer!r}; expected a name of network.named_modules() or the "
            "module itself."
        )
    known = [name for name in names if name]
    if layer in known:
        return names[layer], repr(layer)
    near = difflib.get_close_matches(layer, known, n=5, cutoff=0.4) or known[:5]
    raise ValueError(
        f"layer={layer!r} is no module of the network; expected a name of its "
        f"named_modules(), such as {', '.join(map(repr, near))}."
    )


def _never(rest: AtLayer, n_calls: int) -> str:
    if rest.call:
        return (
            f"call={rest.call}, but the network calls {rest.name} {n_calls} time(s) in "
            "a pass; calls are counted from 0."
        )
    return (
        f"The network never calls {rest.name} as a module. Likely causes: (a) it calls "
        "its forward, or uses its weights, directly; (b) TorchScript or a fused path "
        "does. Choose the module around it, or one behind it."
    )


def _checked(name: str, output: Any, n_rows: int) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        raise LayerError(
            f"{name} puts out a {type(output).__name__}; expected one tensor. Choose a "
            "module behind it that takes that apart, or wrap it in one that returns "
            "the tensor to explain."
        )
    if not output.is_floating_point():
        raise LayerError(f"{name} puts out {output.dtype}; expected floating point.")
    if output.ndim < 2 or output.shape[0] != n_rows:
        raise LayerError(
            f"{name} puts out shape {tuple(output.shape)} for {n_rows} samples; "
            "expected (n_samples, ...). Choose a layer whose first axis is that of the "
            "samples."
        )
    return output


def _other_rows(rows: torch.Tensor) -> torch.Tensor:
    """Return other inputs: the rows in turn, each from its other end."""
    flipped = rows.flip(tuple(range(rows.ndim)))
    return torch.zeros_like(rows) if torch.equal(flipped, rows) else flipped


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    rounding = float(torch.finfo(b.dtype).eps) ** 0.5
    return a.shape == b.shape and torch.allclose(a, b, rounding, rounding)
