"""Recognises a final softmax, log-softmax or sigmoid, so that logits are explained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from sktrim.propagation.carrier import Carrier, find_carriers, is_plain, map_carriers

ENDINGS = frozenset({"softmax", "log_softmax", "sigmoid"})
_DERIVED = {("softmax", "log"): "log_softmax", ("log_softmax", "exp"): "softmax"}
# what keeps values off infinity, with the bounds' names; not replayed
_GUARDS = {
    "clamp": ("min", "max"),
    "clamp_min": ("min",),
    "clamp_max": ("max",),
    "nan_to_num": (),
}
# a clamp beyond these changes no prediction worth the name
_LEAST, _MOST = 0.01, 0.99


@dataclass(frozen=True)
class Ending:
    """The ending of a value, and how to get the same value without it."""

    # "softmax", "log_softmax" or "sigmoid"
    kind: str
    # what the ending was applied to
    source: Carrier
    # the views and selections since, each from the source's to the next carrier
    replays: tuple[Callable[[Carrier], Carrier], ...] = ()
    # how often the value and its source were written to, through whatever view
    versions: tuple = ()

    def strip(self) -> Carrier:
        """Return the value as it would be without the ending."""
        carrier = self.source
        for replay in self.replays:
            carrier = replay(carrier)
        return carrier


def ending_of(carrier: Carrier) -> Ending | None:
    """Return the ending of a value, unless it or its source was written to since."""
    ending = carrier.ending
    if ending is None or ending.versions != _versions(carrier, ending.source):
        return None
    return ending


def give_ending(carrier: Carrier, ending: Ending | None) -> None:
    """Tag a value with an ending that it has now."""
    if ending is not None:
        ending = replace(ending, versions=_versions(carrier, ending.source))
    carrier.ending = ending


def without_ending(carrier: Carrier) -> Carrier:
    """Return a value as it is before its ending, if it has one."""
    ending = ending_of(carrier)
    return carrier if ending is None else ending.strip()


def _versions(*carriers: Carrier) -> tuple:
    wholes: list[Any] = [carrier.full for carrier in carriers]
    # a whole may be a carrier itself, or made in inference mode
    plain = [w if is_plain(w) and not w.is_inference() else None for w in wholes]
    return tuple(None if whole is None else whole._version for whole in plain)


def follow_ending(method: Any, call: Any, result: Any) -> None:
    """Tag the results of a call that applies an ending, or that follows one."""
    name = call.operation.name
    if name in ENDINGS:
        source = call.carriers[0]
        # its own object: the model may yet give the logits another value
        past = Carrier(method, source.full, source.rel, source.axis)
        give_ending(result, Ending(name, past))
        return
    carriers = call.carriers
    ending = ending_of(carriers[0]) if len(carriers) == 1 else None
    if ending is None:
        return
    options = call.operation.options
    if name in _GUARDS:
        give_ending(result, ending if _guards_only(call, ending) else None)
    elif (ending.kind, name) in _DERIVED:
        give_ending(result, replace(ending, kind=_DERIVED[ending.kind, name]))
    elif call.operation.kind == "shape":
        # joined with constants, or filled in, it is another value, with no ending
        if options.get("joins") or options.get("fills"):
            return
        for index, carrier in enumerate(find_carriers(result)):
            replay = _replay(method, call, index)
            give_ending(carrier, replace(ending, replays=(*ending.replays, replay)))


def _guards_only(call: Any, ending: Ending) -> bool:
    """Tell whether a clamp only keeps values off the ends of their range."""
    names = _GUARDS[call.operation.name]
    bounds = dict(zip(names, call.bind("input", *names)[1:], strict=True))
    if any(isinstance(bound, torch.Tensor) for bound in bounds.values()):
        return False
    least, most = _LEAST, _MOST
    if ending.kind == "log_softmax":
        least, most = math.log(least), math.log(most)
    low, high = bounds.get("min"), bounds.get("max")
    return (low is None or low <= least) and (high is None or high >= most)


def _replay(method: Any, call: Any, index: int) -> Callable[[Carrier], Carrier]:
    def run(source: Carrier) -> Carrier:
        args, kwargs = map_carriers(lambda _: source, (call.args, call.kwargs))
        return list(find_carriers(method(call.func, args, kwargs)))[index]

    return run
