"""A plain forward pass of many mixtures of a few signals, which meet in its middle.

The first linear operation of the model runs on the signals, once, and its results are
mixed; everything after it runs on the mixtures as usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from sktrim.propagation.carrier import Carrier, is_plain, map_carriers
from sktrim.propagation.first_linear import NeedsDense, Products, move, pays
from sktrim.propagation.method import Call, Method
from sktrim.propagation.registry import Operation, find_operation
from sktrim.propagation.running import check_model
from sktrim.propagation.signatures import CONVOLUTION
from sktrim.propagation.spelling import spell
from sktrim.propagation.state import KeptState

# answered without values
_LAYOUT = frozenset(
    """shape size dim ndim ndimension numel nelement dtype device layout __len__
    is_floating_point is_complex is_cuda is_cpu get_device requires_grad""".split()
)


@dataclass
class _Moved:
    """Signals that the model has moved, of shape ``(m, n, ...)``, and how it did."""

    signals: torch.Tensor
    moves: tuple[Callable, ...] = ()


class Mixtures(Method):
    r"""Carry the signals and hand the model their mixtures where it must see them.

    .. math::

       x_{pi} = \sum_j w_{pj} \, v_{ji}

    is mixture p of the signals :math:`v_j` of sample i. The first linear operation of a
    model runs on the signals, once, and its results are mixed. A carrier holds the
    signals (or a view of them) in `rel`; its `full` only has the shape of the mixtures,
    ``(P * n, ...)``.

    Parameters
    ----------
    signals : torch.Tensor of shape (m, n, *signal)
        What is mixed, sample by sample.

    See Also
    --------
    LowRankParts : The same idea for decompositions.
    sktrim.scorers.Shapley : Runs on mixtures of groups.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import Mixtures
    >>> net = torch.nn.Linear(4, 2).eval()
    >>> signals = torch.randn(3, 5, 4)
    >>> weights = torch.tensor([[1.0, 0.0, 0.5]])
    >>> with torch.no_grad():
    ...     out = Mixtures(signals).run(net, net, weights)
    ...     torch.allclose(out, net(signals[0] + 0.5 * signals[2]), atol=1e-6)
    True
    """

    name = "a forward pass of mixtures"

    def __init__(self, signals: torch.Tensor) -> None:
        self._signals = signals
        self._weights = signals.new_zeros(0, len(signals))
        self._and_one = self._weights
        self._whole: torch.Tensor | None = None
        self._products = Products()
        self._checked = self._as_they_are = False

    def run(self, forward: Callable, model: Any, weights: torch.Tensor) -> Any:
        """Return what ``forward`` gives for the mixtures.

        Parameters
        ----------
        forward : callable
            Runs the model on ``P * n`` signals, the samples of each mixture together.
        model : nn.Module or callable
            What it runs; one that cannot take a stand-in gets the mixtures themselves.
        weights : torch.Tensor of shape (P, m)
        """
        self._weights = weights
        self._and_one = torch.cat([weights, weights.new_ones(len(weights), 1)], 1)
        self._whole = None
        if not self._as_they_are:
            try:
                if not self._checked:
                    check_model(model)
                    self._checked = True
                with KeptState(model):
                    return self._settled(forward(self._carrier(_Moved(self._signals))))
            except Exception:
                # an error of the model itself shows again on the mixtures
                self._as_they_are = True
            finally:
                self._whole = None
        return forward(self._mix())

    def run_as_they_are(self) -> None:
        """Give the model nothing but mixtures from now on."""
        self._as_they_are = True

    def __call__(self, func: Callable, args: tuple, kwargs: dict) -> Any:
        """Run one operation: on the signals where that is enough, else on mixtures."""
        spelling = spell(func)
        operation = find_operation(func, spelling.name)
        operation = operation or Operation(spelling.name, "composite")
        call = Call(operation, func, args, kwargs)
        writes = spelling.in_place or operation.name == "__setitem__"
        if writes or kwargs.get("inplace") or kwargs.get("out") is not None:
            raise NeedsDense
        if operation.name in _LAYOUT:
            return call.on_full()
        first = args[0] if args else None
        if isinstance(first, Carrier) and operation.options.get("folds"):
            result = self._on_signals(call, first)
            if result is not None:
                return result
        return self._on_mixtures(call)

    def _on_mixtures(self, call: Call) -> Any:
        """Run an operation on mixtures that nothing else holds."""
        held: set[int] = set()

        def mixture(carrier: Carrier) -> torch.Tensor:
            mixed = self._mixed(carrier.rel)
            held.add(_storage(mixed))
            return mixed

        args, kwargs = call.replaced(mixture)
        result = call.func(*args, **kwargs)
        if any(_storage(tensor) in held for tensor in _tensors(result)):
            # a view: what the model writes into it must reach the other mixtures
            raise NeedsDense
        return result

    def _settled(self, value: Any) -> Any:
        """Mix what a model only moved."""
        return map_carriers(lambda carrier: self._mixed(carrier.rel), value)

    def _carrier(self, moved: _Moved) -> Carrier:
        signals = moved.signals
        n_rows = len(self._weights) * signals.shape[1]
        stand_in = signals.new_empty(1).expand(n_rows, *signals.shape[2:])
        return Carrier(self, stand_in, moved)

    def _mix(self) -> torch.Tensor:
        mixed = self._weights @ self._signals.flatten(1)
        return mixed.view(-1, *self._signals.shape[2:])

    def _mixed(self, moved: _Moved) -> torch.Tensor:
        """Move the mixtures: those of moved signals would be rounded otherwise."""
        if self._whole is None:
            self._whole = self._mix()
        mixed = self._whole
        for how in moved.moves:
            mixed = how(mixed)
        return mixed

    def _on_signals(self, call: Call, first: Carrier) -> Any:
        if call.operation.kind == "shape":
            return self._moved(call, first)
        return self._linear(call, first)

    def _moved(self, call: Call, first: Carrier) -> Carrier | None:
        """Move the signals as the model moves the mixtures, if rows stay rows."""
        moved = cast(_Moved, first.rel)
        own = move(call, moved.signals.flatten(0, 1), first.full)
        if own is None:
            return None
        how, rows = own
        signals = rows.unflatten(0, moved.signals.shape[:2])
        return self._carrier(_Moved(signals, (*moved.moves, how)))

    def _linear(self, call: Call, x: Carrier) -> torch.Tensor | None:
        """Mix the results of a linear operation on the signals, where that is less."""
        names = CONVOLUTION.get(call.operation.name, ())
        _, weight, bias, *rest = call.bind("input", "weight", bias=None, **_none(names))
        rows = cast(_Moved, x.rel).signals.flatten(0, 1)
        plain = is_plain(weight) and not isinstance(bias, Carrier)
        if not plain or not pays(len(self._signals), weight):
            return None
        if names and rows.ndim != weight.ndim:
            return None
        pairs = zip(names, rest, strict=True)
        options = {name: value for name, value in pairs if value is not None}

        def pushed() -> _Pushed:
            arguments = (None,) if names else ()
            out = call.func(rows, weight, *arguments, **options)
            return _Pushed(out, len(self._signals), weight, bias)

        what = call.operation.name, repr(options)
        product = self._products.get(what, (rows, weight, bias), pushed)
        weights = self._weights if bias is None else self._and_one
        return product.restore(weights @ product.table)


class _Pushed:
    """A linear operation's results for the signals, a row each, the last its bias."""

    def __init__(
        self, out: torch.Tensor, count: int, weight: torch.Tensor, bias: Any
    ) -> None:
        self._last = out.ndim == 4 and not out.is_contiguous()
        out = out.movedim(1, -1) if self._last else out
        self._shape = out.shape[1:]
        self.table = out.reshape(count, -1)
        if bias is not None:
            behind = 0 if self._last or weight.ndim == 2 else weight.ndim - 2
            shift = bias.reshape(-1, *(1,) * behind)
            shift = shift.expand(len(out) // count, *self._shape).reshape(1, -1)
            self.table = torch.cat([self.table, shift])

    def restore(self, mixed: torch.Tensor) -> torch.Tensor:
        """Lay a table of mixtures out as the operation's result."""
        out = mixed.view(-1, *self._shape)
        return out.movedim(-1, 1) if self._last else out


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value: Any) -> list[torch.Tensor]:
    values = value if isinstance(value, tuple | list) else [value]
    return [v for v in values if is_plain(v)]


def _none(names: tuple[str, ...]) -> dict[str, None]:
    return dict.fromkeys(names)
