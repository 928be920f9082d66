"""Running a model on carriers, and what is said of its output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from sktrim.exceptions import UnsupportedOperationError
from sktrim.propagation.carrier import Carrier, find_carriers, is_plain
from sktrim.propagation.endings import ending_of
from sktrim.propagation.hidden import explained_error
from sktrim.propagation.passthrough import PassThrough
from sktrim.propagation.state import KeptState
from sktrim.propagation.type_checks import type_check


def check_model(model: Any, *, trains: bool = False) -> None:
    """Raise if a model cannot run on a carrier, or is not in eval mode."""
    # `trains`: it may be in training mode, where nothing is random
    if isinstance(model, torch.jit.ScriptFunction):
        _refuse_script("model", model)
    if not isinstance(model, nn.Module):
        return
    for name, module in model.named_modules():
        where = f"model.{name}" if name else "model"
        if isinstance(module, torch.jit.ScriptModule):
            _refuse_script(where, module)
        if hasattr(module, "_orig_mod") or module._compiled_call_impl is not None:
            raise UnsupportedOperationError(
                f"{where} is compiled by torch.compile, which hides its operations "
                f"from the rules. Pass the module it was made from ({where}._orig_mod, "
                "or a copy that was not compiled); the weights are the same."
            )
        if module.training and not trains:
            raise ValueError(
                f"{where} ({type(module).__name__}) is in training mode, so that "
                "dropout and batch norm would make the result random or dependent on "
                "the other samples. Call model.eval() first."
            )


@contextmanager
def running_statistics(model: Any) -> Iterator[None]:
    """Have norms in training mode use their running statistics, and not change them."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    norms = [
        part
        for part in modules
        if isinstance(part, _NormBase) and part.training and part.track_running_stats
    ]
    for part in norms:
        part.training = False
    try:
        yield
    finally:
        for part in norms:
            part.training = True


def _refuse_script(where: str, module: Any) -> None:
    raise UnsupportedOperationError(
        f"{where} is TorchScript ({type(module).__name__}), which hides its operations "
        "from the rules. Pass the Python module that was scripted or traced, with the "
        "same state_dict, or use a scorer that needs no rules."
    )


def run_model(model: Callable, *carriers: Any) -> Any:
    """Run a model on carriers; refuse where it keeps them, and put that back."""
    with nothing_kept(model):
        return run_unguarded(model, *carriers)


@contextmanager
def nothing_kept(model: Callable) -> Iterator[None]:
    """Put back what a model keeps of the carriers that it meets here, and raise."""
    with KeptState(model) as state:
        yield
    if state.names:
        raise UnsupportedOperationError(
            f"The model keeps what passes through it in {', '.join(state.names)}, and "
            "here that is a stand-in for a tensor, which nothing must meet later; it "
            "was put back as it was. Let the model return such a value, keep it in "
            "training mode only, or remove the hook that records it; or use a scorer "
            'that needs no rules, such as "occlusion" or "integrated_gradients".'
        )


def run_unguarded(model: Callable, *carriers: Any) -> Any:
    """Run a model on carriers, where `nothing_kept` is entered around many runs."""
    for carrier in find_carriers(carriers):
        carrier.method.model = model
    try:
        return model(*carriers)
    except UnsupportedOperationError:
        raise
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        site = type_check(error)
        if site is not None:
            raise UnsupportedOperationError(
                f"The model insists on the type of a tensor at {site}, where the rules "
                f"pass a stand-in: {type(error).__name__} {error}. Leave that check "
                "out or ask isinstance(x, torch.Tensor), which the stand-in is; or use "
                "a scorer that needs no rules."
            ) from error
        clear = explained_error(error)
        if clear is None:
            raise
        raise clear from error


def explained_output(
    model: Callable, x: Any, strip: bool = True
) -> tuple[torch.Tensor, str | None]:
    """Return a model's output without its final softmax, log-softmax or sigmoid.

    The model runs as it is, every operation by torch itself; only the ending is
    followed, through views, indexing, clamps and tuples. The result is differentiable
    with respect to `x` and the parameters. Logits are explained rather than
    probabilities, since the gradient of a probability near 1 is next to 0 whatever it
    owes.

    Parameters
    ----------
    model : nn.Module or callable
    x : torch.Tensor of shape (n, ...), or tuple of them
        Tensors that are not floating point are passed as they are.
    strip : bool, default=True
        Whether to return the value before the ending.

    Returns
    -------
    output : torch.Tensor
        The first of a tuple of outputs.
    ending : {None, "softmax", "log_softmax", "sigmoid"}
        What the model ends in.

    See Also
    --------
    find_ending : What a model ends in.
    AsItIs : Keeps an ending.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import explained_output
    >>> linear = torch.nn.Linear(2, 3)
    >>> net = torch.nn.Sequential(linear, torch.nn.Softmax(dim=1)).eval()
    >>> x = torch.ones(1, 2)
    >>> output, ending = explained_output(net, x)
    >>> ending, torch.equal(output, linear(x))
    ('softmax', True)
    """
    inputs = x if isinstance(x, tuple) else (x,)
    if not strip:
        return _plain_output(model, inputs), find_ending(model, x)
    method = PassThrough()
    carriers = [_stand_in(method, value) for value in inputs]
    try:
        with KeptState(model):
            value = model(*carriers)
    except NotImplementedError as error:
        clear = explained_error(error)
        if clear is None:
            raise
        raise clear from error
    carrier = next(find_carriers(outputs_of(value)), None)
    if carrier is None:
        return first_tensor(value), None
    ending = ending_of(carrier)
    if ending is None:
        # what autograd did not see is asked of the plain model
        seen = _plain_output(model, inputs) if method.hidden else carrier.full
        return seen, None
    if method.hidden:
        raise UnsupportedOperationError(
            "The model has a torch.autograd.Function with a backward pass of its own, "
            f"and ends in a {ending.kind}: the gradient of what is before it cannot be "
            "followed. Let the model return its logits, or explain its outputs with "
            'output="raw".'
        )
    return ending.strip().full, ending.kind


def _plain_output(model: Callable, inputs: tuple[Any, ...]) -> torch.Tensor:
    """Return the first output of a model by itself, whose inputs it may write."""
    own = (v if isinstance(v, Carrier) else v.clone() for v in inputs)
    return first_tensor(model(*own))


def _stand_in(method: Any, value: Any) -> Any:
    """Return what is floating point as a carrier; another carrier has no storage."""
    if not value.is_floating_point():
        return value
    whole: Any = value if isinstance(value, Carrier) else value.clone()
    return Carrier(method, whole)


def find_ending(model: Callable, x: Any, n_rows: int = 2) -> str | None:
    """Return "softmax", "log_softmax", "sigmoid" or None: what a model ends in.

    A few rows are run without gradients. A model that cannot run on a carrier
    (TorchScript, or one that insists on tensors) gives None: see
    `looks_like_probabilities` for its output.

    Parameters
    ----------
    model : nn.Module or callable
    x : torch.Tensor of shape (n, ...), or tuple of them
    n_rows : int, default=2
        How many rows are run.

    Returns
    -------
    ending : str or None

    See Also
    --------
    explained_output : The output before it.
    looks_like_probabilities : Asks the outputs alone.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import find_ending
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid()).eval()
    >>> find_ending(net, torch.ones(4, 2))
    'sigmoid'
    """
    rows = tuple(v[:n_rows] for v in (x if isinstance(x, tuple) else (x,)))
    try:
        check_scripted(model)
        with torch.inference_mode(False), torch.no_grad():
            return explained_output(model, rows)[1]
    except Exception:
        # whatever the model thinks of stand-ins, it runs on tensors
        return None


def check_scripted(model: Any) -> None:
    """Raise UnsupportedOperationError if a model or a part of it is TorchScript."""
    script = (torch.jit.ScriptModule, torch.jit.ScriptFunction)
    modules = model.modules() if isinstance(model, nn.Module) else (model,)
    for module in modules:
        if isinstance(module, script):
            _refuse_script("model", module)


def looks_like_probabilities(output: torch.Tensor, tolerance: float = 1e-4) -> bool:
    """Return whether every row of an output lies in [0, 1] and sums to 1.

    Parameters
    ----------
    output : torch.Tensor of shape (n, n_out)
        With one column, never.
    tolerance : float, default=1e-4

    Returns
    -------
    bool

    See Also
    --------
    find_ending : Asks the model.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import looks_like_probabilities
    >>> looks_like_probabilities(torch.tensor([[0.25, 0.75], [1.0, 0.0]]))
    True
    """
    if output.ndim < 2 or output.shape[1] < 2 or not output.numel():
        return False
    inside = bool((output >= 0).all() and (output <= 1).all())
    sums = output.sum(1)
    return inside and bool(((sums - 1).abs() <= tolerance).all())


def outputs_of(value: Any) -> Any:
    """Return what a model gave as a list, its logits alone where it names them.

    Parameters
    ----------
    value : torch.Tensor, tuple, list, dict or object with ``logits``
        What the model returned.

    Returns
    -------
    torch.Tensor or list
        A tensor as it is.

    See Also
    --------
    explained_output : The first of them, before its ending.

    Examples
    --------
    >>> import torch
    >>> from sktrim.propagation import outputs_of
    >>> outputs_of({"loss": torch.tensor(0.5), "logits": torch.tensor([1.0, 2.0])})
    [tensor([1., 2.])]
    """
    if isinstance(value, dict):
        named = value.get("logits")
        return list(value.values()) if named is None else [named]
    if not isinstance(value, torch.Tensor | tuple | list) and hasattr(value, "logits"):
        return [value.logits]
    return list(value) if isinstance(value, tuple | list) else value


def first_carrier(value: Any) -> Carrier:
    """Return the first decomposed value of a model's output, or raise."""
    carrier = next(find_carriers(outputs_of(value)), None)
    if carrier is None:
        raise UnsupportedOperationError(
            f"The model returned {type(value).__name__}, which holds no decomposed "
            "value: it left the rules on the way (through NumPy, .item() or a constant "
            "output). Keep the path from input to output in torch operations."
        )
    return carrier


def first_tensor(value: Any) -> torch.Tensor:
    """Return the tensor that stands for what a model gave."""
    value = outputs_of(value)
    return value if is_plain(value) else first_tensor(value[0])
