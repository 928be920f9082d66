"""Holds a network in evaluation mode, and notices who changes it meanwhile."""

import contextlib
import os
import threading
import weakref
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sktrim.exceptions import ChangedMeanwhileError

_OURS = threading.local()


class _Recorder:
    """Stands before a module's ``train`` and notes the mode that somebody asked for."""

    def __init__(self, module: nn.Module):
        self._method = module.train
        # a flag that is False says nothing of who set it; this tells another thread's
        # ``network.eval()`` apart from ours
        self.asked: bool | None = None

    def __call__(self, mode: bool = True):
        if not getattr(_OURS, "asking", False):
            self.asked = mode
        return self._method(mode)

    def __reduce__(self):
        # a copy of the module gets its own method
        return getattr, (self._method.__self__, "train")


class _Held:
    """One module that is held: by which threads, and what its flags were."""

    def __init__(self, module: nn.Module):
        self.threads: dict[int, int] = {}
        self.recorders = {}
        for part in module.modules():
            if _trains(part):
                self.recorders[part] = vars(part)["train"] = _Recorder(part)
                part.training = False

    def restore(self) -> None:
        """Give each flag back, unless somebody set it meanwhile."""
        for part, recorder in self.recorders.items():
            if vars(part).get("train") is recorder:
                del vars(part)["train"]
            if recorder.asked is None and not part.training:
                part.training = True


class _EvalHolders:
    """Who holds which module in evaluation mode; the last one out restores it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._held = weakref.WeakKeyDictionary()

    def enter(self, module: nn.Module) -> int:
        with self._lock:
            held = self._held.get(module)
            if held is None:
                held = self._held[module] = _Held(module)
            me = threading.get_ident()
            held.threads[me] = held.threads.get(me, 0) + 1
            return me

    def leave(self, module: nn.Module, thread: int) -> None:
        with self._lock:
            held = self._held.get(module)
            if held is None or thread not in held.threads:
                return  # let go of in a child
            held.threads[thread] -= 1
            if not held.threads[thread]:
                del held.threads[thread]
            if not held.threads:
                del self._held[module]
                held.restore()

    def before_fork(self) -> None:
        """Let no child begin in the middle of a change."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Go on as before, in the parent."""
        self._lock.release()

    def in_child(self) -> None:
        """Let go of what threads held that do not live in the child."""
        self._lock = threading.Lock()
        me = threading.get_ident()
        for module, held in list(self._held.items()):
            held.threads = {me: held.threads[me]} if me in held.threads else {}
            if not held.threads:
                del self._held[module]
                held.restore()


_EVAL_HOLDERS = _EvalHolders()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_EVAL_HOLDERS.before_fork,
        after_in_parent=_EVAL_HOLDERS.after_fork,
        after_in_child=_EVAL_HOLDERS.in_child,
    )


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Hold a module in evaluation mode, shared by threads, and restore every flag."""
    # each submodule's own ``training`` flag comes back when the last holder leaves,
    # after an exception too, unless somebody else set it meanwhile; who sets one to
    # training mode, or writes a parameter or buffer, while the module is held is told
    # so by an error
    thread = _EVAL_HOLDERS.enter(module)
    try:
        before = _tensors(module)
        try:
            with _without_cudnn_for_recurrent(module):
                yield
        except Exception as error:
            _check_unchanged(module, before, error)
            raise
        _check_unchanged(module, before)
    finally:
        _EVAL_HOLDERS.leave(module, thread)


@contextlib.contextmanager
def asking_ourselves(module: nn.Module) -> Iterator[None]:
    """Hold a module while its estimator predicts, which calls ``eval()`` on it."""
    with evaluation_mode(module):
        _OURS.asking = True
        try:
            yield
        finally:
            _OURS.asking = False


class Draws:
    """Gives torch's global generator back as it was, and tells whether it was used."""

    def __init__(self, device: torch.device):
        # the network's own, looked at beside the CPU's
        self._cuda = device if device.type == "cuda" else None
        self.drew = False

    def __enter__(self) -> "Draws":
        self._before = self._states()
        return self

    def __exit__(self, *error) -> None:
        before, after = self._before, self._states()
        self.drew = any(
            not torch.equal(a, b) for a, b in zip(before, after, strict=True)
        )
        if self.drew:
            torch.set_rng_state(before[0])
        if self.drew and self._cuda is not None:
            torch.cuda.set_rng_state(before[1], self._cuda)

    def _states(self) -> list[torch.Tensor]:
        states = [torch.get_rng_state()]
        if self._cuda is not None:
            states.append(torch.cuda.get_rng_state(self._cuda))
        return states


def _trains(module: nn.Module) -> bool:
    # frozen TorchScript has no flag
    return getattr(module, "training", False)


def _tensors(module: nn.Module) -> list[tuple]:
    """Return each parameter and buffer: its module, its name, itself, its version."""
    return [
        (part, name, t, -1 if t.is_inference() else t._version)
        for part in module.modules()
        for held in (part._parameters, part._buffers)
        for name, t in held.items()
        if t is not None and not is_lazy(t)
    ]


def _written(module: nn.Module, before: list[tuple]) -> list[str]:
    """Return the names of parameters and buffers that are not what they were."""
    now = {(id(part), name): (t, v) for part, name, t, v in _tensors(module)}
    names = []
    for part, name, t, version in before:
        other, later = now.get((id(part), name), (None, version))
        if other is not t or later != version:
            paths = [path for path, m in module.named_modules() if m is part]
            names.append(".".join(filter(None, [*paths[:1], name])))
    return names


def _check_unchanged(module: nn.Module, before: list, error=None) -> None:
    """Raise where somebody trained or wrote into a module that was held."""
    trained = [name for name, m in module.named_modules() if _trains(m)]
    written = _written(module, before)
    if not trained and not written:
        return
    what = (
        f"{trained[0] or 'it'!r} was put into training mode"
        if trained
        else f"its {written[0]!r} was written"
    )
    raise ChangedMeanwhileError(
        f"The network ({type(module).__name__}) was changed while it was explained: "
        f"{what}, so that the result would belong to no one network. Likely causes: "
        "(a) another thread trains it; explain a copy (copy.deepcopy) or wait for the "
        "thread; (b) the network does it itself, in its forward."
    ) from error


def _without_cudnn_for_recurrent(module):
    """Turn cuDNN off where it refuses a backward pass: recurrent nets in eval mode."""
    recurrent = any(isinstance(m, nn.RNNBase) for m in module.modules())
    on_gpu = any(p.is_cuda for p in module.parameters())
    if recurrent and on_gpu:
        return torch.backends.cudnn.flags(enabled=False)
    return contextlib.nullcontext()
