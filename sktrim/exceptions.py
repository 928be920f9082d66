"""Every error and warning that a user may want to catch."""

__all__ = [
    "CancellationWarning",
    "ChangedMeanwhileError",
    "ExplanationFileError",
    "IncompleteError",
    "InputWrittenError",
    "InverseNotAvailableError",
    "LayerBypassedWarning",
    "LayerError",
    "NonFiniteLossError",
    "NotTheEstimatorError",
    "OutputMismatchError",
    "QuadratureWarning",
    "ReconstructionWarning",
    "RowsDependError",
    "SlippedPastError",
    "UnsupportedOperationError",
]


class UnsupportedOperationError(TypeError):
    """An operation of the model has no rule.

    The message names the operation, the place in the model that called it and
    the line that would register it.

    See Also
    --------
    sktrim.propagation.register_operation : The line that it proposes.

    Examples
    --------
    >>> import torch
    >>> from sktrim import UnsupportedOperationError, contextual_decomposition
    >>> x = torch.ones(1, 2)
    >>> try:
    ...     contextual_decomposition(torch.special.bessel_j0, x, x)
    ... except UnsupportedOperationError as error:
    ...     print("bessel_j0" in str(error))
    True
    """


class OutputMismatchError(RuntimeError):
    """What a network gave under the rules is not what it gives by itself.

    An explanation of it would be one of another network.

    See Also
    --------
    sktrim.UnsupportedOperationError : Where there is no rule at all.
    """


class SlippedPastError(RuntimeError):
    """A carrier reached code of torch that does not ask `__torch_function__`."""


class InputWrittenError(UnsupportedOperationError):
    """A model writes into a view of its input, of which others keep what it was."""


class InverseNotAvailableError(ValueError):
    """The inverse of a transformer has no differentiable torch module.

    Its message names the transformer, the reason and the ways out.

    See Also
    --------
    sktrim.inverse_module : What raises it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import PowerTransformer
    >>> from sktrim.inverse import InverseNotAvailableError, inverse_module
    >>> power = PowerTransformer().fit(np.random.default_rng(0).normal(size=(50, 2)))
    >>> try:
    ...     inverse_module(power)
    ... except InverseNotAvailableError as error:
    ...     print(str(error).partition(":")[0])
    There is no torch module for the inverse of PowerTransformer
    """


class ChangedMeanwhileError(RuntimeError):
    """The network was changed, by another thread perhaps, while it was explained."""


class RowsDependError(ValueError):
    """What the network gives for a row depends on other rows, or on chance."""


class NotTheEstimatorError(ValueError):
    """What the estimator predicts is not what its network gives."""


class ExplanationFileError(ValueError):
    """A file is not what `Explanation.save` wrote.

    See Also
    --------
    sktrim.Explanation.load : What raises it.
    """


class QuadratureWarning(UserWarning):
    """The scores of a complete method do not add up as they should."""


class CancellationWarning(UserWarning):
    """Scores that nearly cancel: they are far larger than what they explain."""


class ReconstructionWarning(UserWarning):
    """The transform leaves out most of the signals."""


class IncompleteError(ValueError):
    """The scores of a complete method do not add up, and that was to be an error."""


class LayerError(ValueError):
    """What a layer puts out cannot stand for the network's input.

    It is not met where it was expected, is no tensor with a row per sample, or the
    output does not depend on it.

    See Also
    --------
    sktrim.TransformImportance : Takes a `layer`.
    """


class LayerBypassedWarning(UserWarning):
    """The output depends on the input by ways around the layer that is explained.

    What goes around is held as it is for each sample.

    See Also
    --------
    sktrim.TransformImportance : Takes a `layer`.
    """


class HullWarning(UserWarning):
    """A credible region reaches the edge of where its emulator is defined.

    See Also
    --------
    sktrim.lensing.Posterior : Its `area` warns.
    """


class NonFiniteLossError(FloatingPointError):
    """A loss became NaN or infinite in training; what is kept is the last good state.

    See Also
    --------
    sktrim.learning.ExplanationPenalty : Raises it before a step is taken.
    sktrim.learning.LearnedTransformer : Goes back to the last good epoch.
    """
