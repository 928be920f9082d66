"""Contextual decomposition: what part of a value the features in question make."""

# each of these registers its rules
import sktrim.propagation.composite
import sktrim.propagation.decomposition._affine
import sktrim.propagation.decomposition._bilinear
import sktrim.propagation.decomposition._elementwise
import sktrim.propagation.decomposition._normalise
import sktrim.propagation.decomposition._select
import sktrim.propagation.decomposition._shape
import sktrim.propagation.operations
import sktrim.propagation.recurrent  # noqa: F401
