"""The trained network as the scorers see it: a torch module, its labels, its dtype."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sktrim._memory import ByteCounter, chunks
from sktrim.exceptions import LayerBypassedWarning
from sktrim.network._documents import preprocessed
from sktrim.network._estimators import contains_net, unwrap
from sktrim.network._evaluation import Draws, evaluation_mode
from sktrim.network._inputs import (
    Arranged,
    Inputs,
    Order,
    Prefixed,
    held_of,
    repeated,
    signal_of,
)
from sktrim.network._inside import AtLayer, find_layer
from sktrim.network._pick import Picked, pick_of
from sktrim.network._predictor import PredictorModule
from sktrim.propagation import (
    AsItIs,
    explained_output,
    find_ending,
    looks_like_probabilities,
    outputs_of,
)

_ROWS = 256
"""So many samples are brought to a layer at once."""
_BYPASSED = (
    "The output depends on the input by ways around {} as well, such as a skip "
    "connection. What goes around is held for each sample; the scores are those of "
    "what passes the layer."
)
_COMPILES = (
    "The network calls a function that torch compiles as it runs, such as "
    "flex_attention, within which nothing can be followed or counted. Let it call "
    "torch.nn.functional.scaled_dot_product_attention instead, with the same weights."
)


class Network:
    """A trained network: raw outputs as a differentiable function of the signal.

    Parameters
    ----------
    module : torch.nn.Module
        The network; called with one tensor of shape (n_samples, *signal_shape).
    kind : {"classifier", "regressor", None}
        What its estimator says it is; None for a bare module, which then counts as
        a classifier when it has two or more outputs or ends in a softmax or sigmoid.
    classes : ndarray or None
        The label of each output of a classifier.
    preprocessing : list of transformers
        Fitted steps that run in NumPy before the signal is reached.
    prefix : torch.nn.Module or None
        Torch twins of fitted steps that stand between the signal and the module.
    estimator : object
        What the user gave, for predictions.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        kind: str | None = None,
        classes=None,
        preprocessing: Sequence = (),
        prefix: nn.Module | None = None,
        estimator=None,
    ):
        self.module = module
        self.dtype, self.device = floating_type(module)
        self.prefix: nn.Module | None = None
        if prefix is not None:
            self.prefix = prefix.to(dtype=self.dtype, device=self.device).eval()
        self.order: Order | None = None
        self.layer: str | nn.Module | None = None
        self.call: int | None = None
        self.composed = self.compose(module)
        self.kind = kind
        self.classes = None if classes is None else np.asarray(classes)
        self.preprocessing = list(preprocessing)
        self.estimator = estimator
        self.ending: str | None = None
        self.strip = True
        self.link: str | None = None
        self.threshold = 0.5
        self.trial: tuple[tuple[torch.Tensor, ...], torch.Tensor] | None = None
        self.n_outputs: int | None = None
        self.n_explained = 1
        self.output_shape: tuple[int, ...] = ()
        self.pick: Any = None
        self.bare_probabilities = False
        self.bypassed = False
        self.takes_tokens: bool | None = None
        self.bytes_per_row = 0
        self.signal_bytes = 0
        self.largest_bytes = 0

    def at(self, layer: str | nn.Module | None, call: int | None = None) -> "Network":
        """Have signals enter as what a layer of the network puts out.

        Parameters
        ----------
        layer : str, torch.nn.Module or None
            None: as what the whole network takes.
        call : int or None
            Which call of the layer, from 0; None: the only one.

        Returns
        -------
        Network
            Itself.
        """
        if layer is not None and not self.has_gradient:
            kind = type(unwrap(self.estimator)).__name__
            raise TypeError(
                f"layer={layer!r} is a module of a torch network, and {kind} has none."
            )
        if call is not None and layer is None:
            raise ValueError(f"call={call} counts the calls of a layer; give layer=.")
        if isinstance(layer, nn.Module):
            # copies of the network have one of that name
            names = {part: name for name, part in self.module.named_modules()}
            layer = names.get(layer) or layer
        self.layer, self.call = layer, call
        self.composed = self.compose(self.module)
        return self

    def taking(self, order: Order | None) -> "Network":
        """Have the network take several inputs.

        Parameters
        ----------
        order : Order or None

        Returns
        -------
        Network
            Itself.
        """
        if order is not None and (self.preprocessing or not self.has_gradient):
            kind = type(unwrap(self.estimator)).__name__
            raise TypeError(
                f"X has several inputs, which {kind} cannot take: a torch.nn.Module or "
                "a skorch net does. Give that, with what leading steps would do done "
                "before."
            )
        self.order = order
        self.composed = self.compose(self.module)
        return self

    def compose(self, module: nn.Module) -> nn.Module:
        """Return a network like this one's module as a function of the signal.

        Parameters
        ----------
        module : torch.nn.Module

        Returns
        -------
        torch.nn.Module
        """
        whole = module if self.order is None else Arranged(module, self.order)
        whole = whole if self.prefix is None else Prefixed(self.prefix, whole)
        if self.layer is None:
            return whole
        return AtLayer(whole, *find_layer(module, self.layer), self.call)

    def enter(self, x):
        """Bring signals to the layer where they are explained.

        Parameters
        ----------
        x : ndarray, CSR matrix or Inputs of shape (n_samples, ...)
            What the whole network takes.

        Returns
        -------
        ndarray, CSR matrix or Inputs
            What the layer puts out, beside what the network takes; without a layer,
            x itself.
        """
        rest = self.composed
        if not isinstance(rest, AtLayer):
            return x
        signal = signal_of(x)
        signal = signal if sp.issparse(signal) else np.asarray(signal)
        given = (signal, *held_of(x))
        with evaluation_mode(self.module), torch.no_grad():
            if self.takes_tokens is None:
                self.takes_tokens = self._runs_on_integers(rest, given)
            if not self.takes_tokens and signal.dtype.kind != "f":
                given = (signal.astype(np.float64), *given[1:])
            parts = [
                to_numpy(rest.output(*(self.held_tensor(v[rows]) for v in given)))
                for rows in chunks(signal.shape[0], _ROWS)
            ]
        return Inputs(np.concatenate(parts), given)

    def given(self, x) -> tuple:
        """Return what the whole network takes, of signals anywhere in it.

        Parameters
        ----------
        x : ndarray, CSR matrix or Inputs of shape (n_samples, ...)
            Signals, as `enter` gives them.

        Returns
        -------
        tuple of ndarray or CSR matrix
            The input that is explained, or leads to the layer, then the others.
        """
        return (signal_of(x), *held_of(x)) if self.layer is None else held_of(x)

    def _runs_on_integers(self, rest: AtLayer, given: tuple) -> bool:
        """Tell whether a network takes integers as they are: tokens, not pixels."""
        if given[0].dtype.kind == "f":
            return False
        try:
            rest.module(*(self.held_tensor(v[:1]) for v in given))
        except Exception:
            return False
        return True

    @property
    def has_gradient(self) -> bool:
        """Whether the outputs are differentiable: not for predictors without torch."""
        return not isinstance(self.module, PredictorModule)

    @property
    def gives_probabilities(self) -> bool:
        """Whether the outputs are probabilities that no logits are known behind."""
        return self.kind == "classifier" and (
            self.bare_probabilities or not self.has_gradient
        )

    @property
    def explained(self) -> nn.Module:
        """The whole network; with its ending as a part of it where that is kept."""
        if self.pick is not None:
            return Picked(self.composed, self.pick)
        return self.composed if self.strip else AsItIs(self.composed)

    @property
    def unpicked(self) -> "Network":
        """The network with all of its outputs."""
        whole = copy.copy(self)
        whole.pick = None
        return whole

    @property
    def labels(self) -> np.ndarray:
        """What the columns of a classifier are called: 0, 1, ... by default."""
        if self.classes is not None:
            return self.classes
        return np.arange(max(2, self.n_outputs or 1))

    @property
    def independent(self) -> bool:
        """Whether each of several outputs is a label of its own."""
        return "sigmoid" in (self.ending, self.link)

    def prepare(self, X):
        """Run the preprocessing steps; the result is the signal.

        Parameters
        ----------
        X : array-like, CSR matrix or a list of documents
            What the whole pipeline takes.

        Returns
        -------
        ndarray or CSR matrix

        Raises
        ------
        TypeError, ValueError
            If a vectoriser of texts is given what is none, or in another encoding.
        """
        for step in self.preprocessing:
            X = preprocessed(step, X)
        return X

    def expect(self, x) -> None:
        """Have a predictor without torch given signals in the dtype that they have.

        Parameters
        ----------
        x : ndarray or CSR matrix of float32 or float64
        """
        if isinstance(self.module, PredictorModule):
            net = contains_net(self.module.predictor)
            self.module.row_dtype = np.float32 if net else x.dtype

    def to_tensor(self, X) -> torch.Tensor:
        """Cast signals to the network's dtype and device.

        Parameters
        ----------
        X : ndarray or CSR matrix of shape (n_samples, ...)

        Returns
        -------
        torch.Tensor
            A copy that nothing else refers to.
        """
        X = signal_of(X)
        if sp.issparse(X):
            return self._filled(X, self.dtype)
        return self._copied(np.asarray(X), self.dtype)

    def tensors(self, x) -> tuple[torch.Tensor, ...]:
        """Cast signals, and what is held beside them.

        Parameters
        ----------
        x : ndarray, CSR matrix or Inputs of shape (n_samples, ...)

        Returns
        -------
        tuple of torch.Tensor
            The signal first; integers among the others stay integers.
        """
        return self.to_tensor(x), *map(self.held_tensor, held_of(x))

    def held_tensor(self, values) -> torch.Tensor:
        """Cast what is held beside signals; integers stay integers.

        Parameters
        ----------
        values : ndarray or CSR matrix

        Returns
        -------
        torch.Tensor
        """
        dtype = self.dtype if values.dtype.kind == "f" else None
        if sp.issparse(values):
            return self._filled(values, dtype)
        return self._copied(values, dtype)

    def _filled(self, X, dtype: torch.dtype | None) -> torch.Tensor:
        """Write what a sparse matrix holds into zeros: the one dense copy of it."""
        entries = X.tocoo(copy=True)
        entries.sum_duplicates()
        values = torch.as_tensor(entries.data).to(self.device, dtype)
        rows = values.new_zeros(X.shape)
        places = (torch.as_tensor(c).to(self.device).long() for c in entries.coords)
        rows[tuple(places)] = values
        return rows

    def _copied(self, values: np.ndarray, dtype: torch.dtype | None) -> torch.Tensor:
        # axes of length 1 may have any stride, and torch takes some for a layout
        rows = torch.tensor(values.ravel(), dtype=dtype, device=self.device)
        return rows.view(values.shape)

    def inspect(self, x, target=None) -> "Network":
        """Find the ending, the number of outputs and the memory of one sample.

        Parameters
        ----------
        x : ndarray, CSR matrix or Inputs of shape (n_samples, *signal_shape)
            Real signals; the first two are run.
        target : object
            What the user wants to have explained, where it says what to pick of
            outputs of several axes or is a function of them.

        Raises
        ------
        ValueError
            If the network cannot eat them, or gives anything but one row per sample.
        """
        inputs = self.tensors(x[:2])
        rows, draws = inputs[0], Draws(self.device)
        with draws, evaluation_mode(self.module), torch.no_grad():
            with ByteCounter() as counter:
                plain = self.whole(*inputs)
            self.bytes_per_row = max(1, counter.total // len(rows))
            self.largest_bytes = counter.largest // len(rows)
            self.signal_bytes = rows[0].numel() * rows.element_size()
            self._settle_layer(*inputs[1:])
            if self.has_gradient:
                self.ending = find_ending(self.composed, inputs)
        self.trial = inputs, plain
        _check_shape(plain, len(rows))
        self.output_shape = tuple(plain.shape[1:])
        if self.pick is None and target is not None:
            self.pick = pick_of(target, self.output_shape)
        self.n_outputs = plain[0].numel()
        self.n_explained = self.n_outputs
        if self.pick is not None:
            self.n_explained = self.pick(plain).shape[1]
        # skorch lists the labels it saw, but column j always stands for label j
        if self.classes is not None and 1 < self.n_outputs != len(self.classes):
            self.classes = np.arange(self.n_outputs)
        if self.kind is None:
            several = self.n_outputs > 1 or self.ending is not None
            several = several and plain.ndim < 3
            self.kind = "classifier" if several else "regressor"
        self.bare_probabilities = not self.ending and looks_like_probabilities(plain)
        return self

    def _settle_layer(self, *inputs: torch.Tensor) -> None:
        """Try the layer, if any, and warn once where something goes around it."""
        if not isinstance(self.composed, AtLayer):
            return
        bypassed = not self.composed.settle(*inputs)
        if bypassed and not self.bypassed:
            warnings.warn(
                _BYPASSED.format(self.composed.name), LayerBypassedWarning, stacklevel=3
            )
        self.bypassed = bypassed

    def own_labels(self, x: torch.Tensor) -> np.ndarray | None:
        """Return the labels that a predictor without torch gives to signals.

        Parameters
        ----------
        x : torch.Tensor of shape (n_samples, *signal_shape)

        Returns
        -------
        ndarray of shape (n_samples,) or None
            None for a network: its largest output says its label.
        """
        if not isinstance(self.module, PredictorModule) or self.kind != "classifier":
            return None
        return self.module.labels(x if self.prefix is None else self.prefix(x))

    def whole(self, x: torch.Tensor, *held: torch.Tensor) -> torch.Tensor:
        """Return the outputs as they are, a final softmax or sigmoid included.

        Parameters
        ----------
        x : torch.Tensor of shape (n, *signal_shape)
        *held : torch.Tensor of shape (n, ...)
            Further inputs.

        Returns
        -------
        torch.Tensor
        """
        try:
            out = self.composed(x, *held)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            if "HigherOrderOperator" in str(error):
                raise ValueError(_COMPILES) from error
            raise ValueError(
                f"The network failed on a signal of shape {tuple(x.shape[1:])} "
                f"(dtype {x.dtype}): {error} Likely causes: (a) X has another layout "
                "than the one the network was trained on (e.g. flat rows where it "
                "wants (1, 28, 28)); (b) the network takes several inputs; (c) its "
                "parameters were changed since it was trained."
            ) from error
        return _picked(out)

    def forward(self, x: torch.Tensor, *held: torch.Tensor) -> torch.Tensor:
        """Return the outputs before a final softmax or sigmoid; differentiable.

        Parameters
        ----------
        x : torch.Tensor of shape (n, *signal_shape)
        *held : torch.Tensor of shape (m, ...)
            Further inputs; where m is less than n, they are repeated round by round.

        Returns
        -------
        torch.Tensor of shape (n, n_outputs)
        """
        whole = self.ending is None or not self.strip or self.pick is not None
        rows = torch.cat([x, x]) if whole and self._mistakes_one_row(x) else x
        inputs = rows, *repeated(held, len(rows))
        if self.pick is not None:
            out = self.pick(self.whole(*inputs))
        elif whole:
            out = self.whole(*inputs)
        else:
            out = explained_output(self.composed, inputs)[0]
        return out.reshape(len(rows), -1)[: len(x)]

    def _mistakes_one_row(self, x: torch.Tensor) -> bool:
        """Tell whether torch may get the gradient of a batch norm wrong."""
        # that of a single row, where it arrives transposed; two rows are right
        if len(x) != 1 or not torch.is_grad_enabled():
            return False
        return any(isinstance(m, _BatchNorm) for m in self.composed.modules())


def _picked(out) -> torch.Tensor:
    """Return the tensor that stands for a network's output, or raise."""
    output = out if isinstance(out, torch.Tensor) else outputs_of(out)
    several = isinstance(out, dict) and "logits" not in out and len(out) > 1
    if isinstance(output, list) and output and not several:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        names = f" with {', '.join(map(repr, out))}" if isinstance(out, dict) else ""
        raise ValueError(
            f"The network returned a {type(out).__name__}{names}; expected a tensor, "
            "a tuple that begins with one, or a dict with 'logits'. Wrap it in a "
            "module that picks the output to explain."
        )
    if not output.is_floating_point():
        raise ValueError(
            f"The network returned {output.dtype}; expected floating point. Wrap it in "
            "a module that returns what comes before its decision (argmax or >), or "
            "the real part or size of a complex number."
        )
    return output


def _check_shape(out: torch.Tensor, n_rows: int) -> None:
    if out.ndim and out.shape[0] == n_rows and out.numel():
        return
    hint = " (squeeze() drops the axis of a single sample: squeeze(-1) does not)"
    raise ValueError(
        f"The network returned shape {tuple(out.shape)} for {n_rows} samples; expected "
        "(n_samples,), (n_samples, n_outputs) or more axes behind that of the samples. "
        "Wrap it in a module that reduces its output to "
        f"that{'' if out.ndim else hint}."
    )


def floating_type(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return the one dtype and device that a module lives on, or raise."""
    tensors = [*module.parameters(), *module.buffers()]
    floating = [t for t in tensors if t.is_floating_point()]
    dtypes = {t.dtype for t in floating}
    devices = {t.device for t in tensors}
    for what, several in (("dtypes", dtypes), ("devices", devices)):
        if len(several) > 1:
            raise ValueError(
                f"The network's parameters and buffers are on mixed {what}: "
                f"{sorted(map(str, several))}; expected one. Call network.to(...) with "
                "the one to use."
            )
    dtype = dtypes.pop() if dtypes else torch.get_default_dtype()
    device = devices.pop() if devices else torch.device("cpu")
    return dtype, device


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Bring a tensor to NumPy, which has no bfloat16: float32 then."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
