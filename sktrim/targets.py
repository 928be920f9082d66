"""Which scalar of the network's output is explained, for each sample."""

from dataclasses import dataclass

import numpy as np
import torch

OUTPUTS = ("auto", "margin", "logit", "probability", "raw")
_LONG = 16
"""With fewer outputs torch takes several times longer for a softmax of a last axis."""


@dataclass(frozen=True)
class Target:
    r"""Scalars of the network's output: linear in logits or in probabilities.

    .. math::

       t(y) = w \cdot \sigma(y) + c, \qquad
       \text{margin of } k: \; t(y) = y_k - \frac{1}{C - 1} \sum_{l \ne k} y_l,

    with weights w, an offset c and :math:`\sigma` the identity, softmax or sigmoid; the
    margin of class k of C is the case of :math:`w_k = 1` and
    :math:`w_l = -1 / (C - 1)`. It is 0 where the class has no more evidence than the
    others on average, and unlike a logit it does not change if all logits rise alike.

    Parameters
    ----------
    weights : torch.Tensor of shape (n_samples or 1, n_targets, n_outputs)
        One linear functional of the outputs per sample and target; a first axis of
        length 1 is shared by all samples.
    squash : {None, "softmax", "sigmoid"}
        Applied to the outputs before the weights: the probability is explained.
    offset : torch.Tensor of shape (n_samples or 1, n_targets) or None
        Added after the weights (1 for the probability of class 0 of one output).

    See Also
    --------
    resolve_target : Makes it from what a user gives.
    sktrim.Scorer : What is given it.

    Examples
    --------
    The margin of class 0 of three:

    >>> import torch
    >>> from sktrim.targets import Target
    >>> target = Target(torch.tensor([[[1.0, -0.5, -0.5]]]))
    >>> target(torch.tensor([[3.0, 1.0, 2.0]]))
    tensor([[1.5000]])
    """

    weights: torch.Tensor
    squash: str | None = None
    offset: torch.Tensor | None = None

    @property
    def n_targets(self) -> int:
        """Number of scalars explained per sample."""
        return self.weights.shape[1]

    @property
    def is_linear(self) -> bool:
        """Whether the scalar is linear in the network's outputs."""
        return self.squash is None

    def __call__(self, outputs: torch.Tensor) -> torch.Tensor:
        """Pick the scalars.

        Parameters
        ----------
        outputs : torch.Tensor of shape (..., n_samples, n_outputs)

        Returns
        -------
        torch.Tensor of shape (..., n_samples, n_targets)
        """
        if self.squash == "softmax":
            outputs = _softmax(outputs)
        elif self.squash == "sigmoid":
            outputs = outputs.sigmoid()
        offset = 0 if self.offset is None else self.offset.to(outputs)
        return self.linear(outputs) + offset

    def linear(self, outputs: torch.Tensor) -> torch.Tensor:
        """Apply the weights alone: for parts of an output that add up to it.

        Parameters
        ----------
        outputs : torch.Tensor of shape (..., n_samples, n_outputs)

        Returns
        -------
        torch.Tensor of shape (..., n_samples, n_targets)
        """
        weights = self.weights.to(outputs)
        return (weights @ outputs.unsqueeze(-1)).squeeze(-1)

    def __getitem__(self, rows) -> "Target":
        """Restrict the target to some samples."""

        def pick(tensor):
            return tensor if tensor is None or len(tensor) == 1 else tensor[rows]

        return Target(pick(self.weights), self.squash, pick(self.offset))


def _softmax(outputs: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis."""
    if outputs.shape[-1] >= _LONG:
        return outputs.softmax(-1)
    return outputs.mT.contiguous().softmax(-2).mT


@dataclass(frozen=True)
class ResolvedTarget:
    """A target and what to call it.

    Parameters
    ----------
    target : Target
    columns : ndarray of shape (n_samples,), (n_targets,) or (n_samples, 2)
        Output column explained per sample, or per target for ``target="all"``; the
        two columns of a contrast.
    names : list of str
        A name for each entry of `columns`.
    every : bool
        Whether all outputs are explained side by side.

    See Also
    --------
    resolve_target : Makes it.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim.targets import ResolvedTarget, Target
    >>> target = Target(torch.tensor([[[0.0, 1.0]]]))
    >>> ResolvedTarget(target, np.array([1]), ["spoon"], every=False).names
    ['spoon']
    """

    target: Target
    columns: np.ndarray
    names: list[str]
    every: bool


def check_output(output: str, network) -> str:
    """Resolve ``output="auto"`` and refuse what the network cannot give.

    Parameters
    ----------
    output : {"auto", "margin", "logit", "probability", "raw"}
    network : sktrim.network.Network
        After `inspect`.

    Returns
    -------
    str

    Raises
    ------
    ValueError
    """
    if output not in OUTPUTS:
        raise ValueError(f"output={output!r}; expected one of {', '.join(OUTPUTS)}.")
    if network.pick is not None:
        if output in ("auto", "raw"):
            return "raw"
        raise ValueError(
            f"output={output!r} reads a class off its logits, but target= says what is "
            'explained of these outputs; use output="auto".'
        )
    classifier = network.kind == "classifier"
    shares = network.ending in ("softmax", "log_softmax")
    if (shares or (classifier and not network.has_gradient)) and network.n_outputs == 1:
        raise ValueError(
            "The network gives the probability of one class alone, which is 1 whatever "
            "the input. Likely causes: (a) a softmax over one output, where a sigmoid "
            "was meant; (b) a classifier that saw a single label."
        )
    if network.gives_probabilities:
        if output in ("margin", "logit"):
            raise ValueError(
                f"output={output!r} needs logits, but this estimator gives "
                'probabilities alone; use output="probability".'
            )
        if output == "auto" and network.has_gradient:
            raise ValueError(
                "The network's outputs look like probabilities, but no final softmax "
                'was recognised. Pass output="probability" to explain them as they '
                "are, or let the network return logits."
            )
        return "probability"
    if output == "auto":
        return "margin" if classifier else "raw"
    if output in ("margin", "probability") and not classifier:
        raise ValueError(
            f"output={output!r} needs a classifier, but the estimator is a regressor; "
            'use output="raw" (or "auto").'
        )
    return output


def predicted_columns(outputs: np.ndarray, network) -> np.ndarray:
    """Return the predicted class of each sample, as a column index.

    Parameters
    ----------
    outputs : ndarray of shape (n_samples, n_outputs)
        Logits.
    network : sktrim.network.Network

    Returns
    -------
    ndarray of shape (n_samples,)
        0 or 1 for a classifier with one output.
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > _cut(network)).astype(int)
    return outputs.argmax(axis=1)


def _cut(network) -> float:
    """Return the value that the one output exceeds where class 1 is predicted."""
    share = network.threshold
    if network.ending == "sigmoid" and not network.strip:
        return share
    with np.errstate(divide="ignore"):
        return float(np.log(share) - np.log1p(-share))


def probabilities(outputs: np.ndarray, network) -> np.ndarray:
    """Return the probability of each class.

    Parameters
    ----------
    outputs : ndarray of shape (n_samples, n_outputs)
        What `Network.forward` gives.
    network : sktrim.network.Network

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Of two classes for one output; of labels that do not exclude each other, each
        one's own.
    """
    values = torch.as_tensor(outputs)
    if network.ending and not network.strip:
        values = values.exp() if network.ending == "log_softmax" else values
    elif values.shape[1] == 1 or network.independent:
        values = values if network.gives_probabilities else values.sigmoid()
    elif not network.gives_probabilities:
        values = values.softmax(dim=1)
    shares = values.numpy()
    return np.hstack([1 - shares, shares]) if shares.shape[1] == 1 else shares


def own_columns(network, x, otherwise):
    """Return the columns of the labels that a predictor without torch predicts.

    Some do not predict what they find most probable (another threshold, a machine
    with calibrated probabilities).

    Parameters
    ----------
    network : sktrim.network.Network
    x : ndarray or CSR matrix of shape (n_samples, ...)
        Signals.
    otherwise : object

    Returns
    -------
    ndarray of shape (n_samples,), or `otherwise` where the largest output decides
    """
    labels = network.own_labels(network.to_tensor(x))
    if labels is None or labels.ndim != 1 or network.classes is None:
        return otherwise
    columns = {label: k for k, label in enumerate(network.classes.tolist())}
    if not columns.keys() >= set(labels.tolist()):
        return otherwise
    return np.array([columns[label] for label in labels.tolist()], dtype=int)


def resolve_target(
    target, outputs: np.ndarray, y, network, output: str
) -> ResolvedTarget:
    """Turn the `target` parameter into linear functionals of the outputs.

    Parameters
    ----------
    target : "predicted", "true", "all", int, array of int, ("label", v) or (k, l)
        An index into outputs of several axes, or a function of the outputs, was
        followed by the network already.
    outputs : ndarray of shape (n_samples, n_outputs)
        The network's raw outputs (logits) for the samples.
    y : array-like of shape (n_samples,) or None
        True labels, for ``target="true"``.
    network : sktrim.network.Network
    output : {"margin", "logit", "probability", "raw"}

    Returns
    -------
    ResolvedTarget

    Raises
    ------
    ValueError
        If the target is out of range, needs a classifier, or needs y.

    See Also
    --------
    Target : The scalar of each sample.
    sktrim.TransformImportance : Whose ``target=`` and ``output=`` are resolved.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim.network import Network
    >>> from sktrim.targets import resolve_target
    >>> network = Network(torch.nn.Linear(2, 3), kind="classifier")
    >>> outputs = np.array([[3.0, 1.0, 2.0]])
    >>> found = resolve_target("predicted", outputs, None, network, "margin")
    >>> found.columns, found.target.weights
    (array([0]), tensor([[[ 1.0000, -0.5000, -0.5000]]], dtype=torch.float64))
    """
    if network.pick is not None:
        return _picked(network.pick, *outputs.shape)
    n_samples, n_outputs = outputs.shape
    # one output of a classifier speaks of two classes
    two = n_outputs == 1 and network.kind == "classifier"
    n_columns = 2 if two else n_outputs
    if isinstance(target, tuple) and len(target) == 2 and target[0] != "label":
        return _contrast(target, n_samples, n_outputs, n_columns, network, output)
    every = isinstance(target, str) and target == "all"
    columns = _columns(target, outputs, y, network, n_columns)
    weights, offset = _weights(columns, n_outputs, output, network)
    # targets of all samples, or of each
    axis = 0 if every else 1
    picked = Target(
        torch.as_tensor(weights).unsqueeze(axis),
        _squash(output, n_outputs, network),
        None if offset is None else torch.as_tensor(offset).unsqueeze(axis),
    )
    names = [_name(column, network) for column in columns]
    return ResolvedTarget(picked, columns, names, every)


def _picked(pick, n_samples: int, n_outputs: int) -> ResolvedTarget:
    """Take the columns that were picked of the outputs as they are."""
    weights = torch.eye(n_outputs, dtype=torch.float64)
    if pick.several:
        columns, names = np.arange(n_outputs), pick.names
    else:
        columns, names = np.zeros(n_samples, dtype=int), pick.names * n_samples
    return ResolvedTarget(Target(weights[None]), columns, names, pick.several)


def _squash(output: str, n_outputs: int, network) -> str | None:
    if output != "probability" or network.gives_probabilities:
        return None
    one = n_outputs == 1 or network.independent
    return "sigmoid" if one else "softmax"


def _columns(target, outputs, y, network, n_columns) -> np.ndarray:
    if isinstance(target, str):
        return _named_columns(target, outputs, y, network, n_columns)
    if isinstance(target, tuple) and len(target) == 2:
        columns = _label_columns([target[1]], network, "target")
        return np.repeat(columns, len(outputs))
    columns = np.asarray(target)
    if isinstance(target, tuple) or columns.dtype.kind not in "iu" or columns.ndim > 1:
        raise ValueError(
            f"target={target!r}; expected 'predicted', 'true', 'all', an output "
            "column, an integer array of one column per sample, ('label', v) or a "
            "pair of columns (k, l)."
        )
    if columns.ndim == 1 and len(columns) != len(outputs):
        raise ValueError(
            f"target has {len(columns)} entries for {len(outputs)} samples; give one "
            "column per sample, or a single one."
        )
    _check_range(columns, n_columns)
    return np.broadcast_to(columns, (len(outputs),)).copy()


def _check_range(columns, n_columns: int) -> None:
    columns = np.atleast_1d(columns)
    if len(columns) and (columns.min() < 0 or columns.max() >= n_columns):
        bad = columns[(columns < 0) | (columns >= n_columns)][0]
        raise ValueError(
            f"target {bad} is out of range: the network has output columns 0 to "
            f"{n_columns - 1}. For a class label rather than a column use "
            "target=('label', value)."
        )


def _named_columns(target, outputs, y, network, n_columns) -> np.ndarray:
    if target == "all":
        one = n_columns == 2 and outputs.shape[1] == 1
        return np.array([1]) if one else np.arange(n_columns)
    if target == "predicted":
        if network.kind == "classifier":
            return predicted_columns(outputs, network)
        if n_columns > 1:
            raise ValueError(
                f"The regressor has {n_columns} outputs, so target= is required: an "
                "output column, an array of them, or 'all'."
            )
        return np.zeros(len(outputs), dtype=int)
    if target == "true":
        if network.kind != "classifier":
            raise ValueError("target='true' needs a classifier; this is a regressor.")
        if y is None:
            raise ValueError(
                "target='true' needs the true labels: pass y, or use "
                "target='predicted'."
            )
        if np.ndim(y) != 1:
            raise ValueError(
                f"y has shape {np.shape(y)}; expected one label per sample, "
                f"({len(outputs)},): y.ravel() of a column, or y.argmax(axis=1) of "
                "one-hot rows."
            )
        if len(y) != len(outputs):
            raise ValueError(
                f"y has {len(y)} labels for {len(outputs)} samples; expected one each."
            )
        return _label_columns(y, network, "y")
    raise ValueError(
        f"target={target!r}; as a string, expected 'predicted', 'true' or 'all'."
    )


def _label_columns(labels, network, what: str) -> np.ndarray:
    if network.kind != "classifier":
        raise ValueError(
            "target=('label', v) needs a classifier; for a regressor give the output "
            "column."
        )
    classes = network.labels.tolist()
    position = {label: i for i, label in enumerate(classes)}
    try:
        columns = [position[label] for label in np.asarray(labels).tolist()]
        return np.array(columns, dtype=int)
    except KeyError as error:
        raise ValueError(
            f"{what} holds the label {error.args[0]!r}, which the network does not "
            f"know; its classes are {classes}."
        ) from None


def _weights(columns, n_outputs: int, output: str, network):
    """One functional of the outputs for each column, and what to add to it."""
    if n_outputs == 1 and network.kind == "classifier" and output != "raw":
        positive = columns == 1
        weights = np.where(positive, 1.0, -1.0)[:, None]
        offset = np.where(positive, 0.0, 1.0) if output == "probability" else None
        return weights, offset
    weights = _one_hot(np.minimum(columns, n_outputs - 1), n_outputs)
    if output == "margin" and n_outputs > 1 and not network.independent:
        weights = weights - (1 - weights) / (n_outputs - 1)
    return weights, None


def _one_hot(columns: np.ndarray, n_columns: int) -> np.ndarray:
    rows = np.zeros((len(columns), n_columns))
    rows[np.arange(len(columns)), columns] = 1
    return rows


def _contrast(pair, n_samples, n_outputs, n_columns, network, output) -> ResolvedTarget:
    columns = np.asarray(pair)
    if columns.dtype.kind not in "iu" or columns.shape != (2,):
        raise ValueError(
            f"target={pair!r}; a contrast is a pair of output columns (k, l): "
            "column k minus column l."
        )
    _check_range(columns, n_columns)
    if columns[0] == columns[1]:
        raise ValueError(f"target={pair!r} contrasts a column with itself, which is 0.")
    first, second = _one_hot(columns, n_columns)
    weights, offset = first - second, None
    if n_outputs == 1:
        # the one output speaks of class 1, as a probability p of both: p and 1 - p
        weights = weights[1:]
        if output == "probability":
            weights, offset = 2 * weights, torch.as_tensor(-weights)[None]
    name = f"{_name(columns[0], network)} - {_name(columns[1], network)}"
    squash = _squash(output, n_outputs, network)
    target = Target(torch.as_tensor(weights)[None, None], squash, offset)
    pairs = np.tile(columns, (n_samples, 1))
    return ResolvedTarget(target, pairs, [name] * n_samples, False)


def _name(column: int, network) -> str:
    classes = network.classes
    if classes is None or column >= len(classes):
        return str(int(column))
    return str(classes[column])
