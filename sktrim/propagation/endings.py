"""Recognises a final softmax, log-softmax or sigmoid, so that logits are explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from .carrier import Carrier, find_carriers, map_carriers

ENDINGS = frozenset({"softmax", "log_softmax", "sigmoid"})
_DERIVED = {("softmax", "log"): "log_softmax", ("log_softmax", "exp"): "softmax"}
# what may follow the ending without using it up; the last ones are not replayed
_FOLLOWERS = frozenset({"clamp", "clamp_min", "clamp_max", "nan_to_num"})


@dataclass(frozen=True)
class Ending:
    """The ending of a value, and how to get the same value without it.

    Attributes
    ----------
    kind : str
        "softmax", "log_softmax" or "sigmoid".
    source : Carrier
        What the ending was applied to.
    replays : tuple of callables
        The views taken since, each from the source's to the next carrier.
    """

    kind: str
    source: Carrier
    replays: tuple[Callable[[Carrier], Carrier], ...] = ()

    def strip(self) -> Carrier:
        """Return the value as it would be without the ending."""
        carrier = self.source
        for replay in self.replays:
            carrier = replay(carrier)
        return carrier


def follow_ending(method: Any, call: Any, result: Any) -> None:
    """Tag the results of a call that applies an ending, or that follows one."""
    name = call.operation.name
    if name in ENDINGS:
        source = call.carriers[0]
        # its own object: the model may yet write into the logits in place
        past = Carrier(method, source.full, source.rel, source.axis)
        result.ending = Ending(name, past)
        return
    carriers = call.carriers
    if len(carriers) != 1 or carriers[0].ending is None:
        return
    ending = carriers[0].ending
    if name in _FOLLOWERS:
        result.ending = ending
    elif (ending.kind, name) in _DERIVED:
        result.ending = replace(ending, kind=_DERIVED[ending.kind, name])
    elif call.operation.kind == "shape":
        for index, carrier in enumerate(find_carriers(result)):
            replay = _replay(method, call, index)
            carrier.ending = replace(ending, replays=(*ending.replays, replay))


def _replay(method: Any, call: Any, index: int) -> Callable[[Carrier], Carrier]:
    def run(source: Carrier) -> Carrier:
        args, kwargs = map_carriers(lambda _: source, (call.args, call.kwargs))
        return list(find_carriers(method(call.func, args, kwargs)))[index]

    return run
