"""Rules of one backward pass: guided backpropagation, DeepLIFT, relevance."""

# each of these registers its rules
import sktrim.propagation.backward._deeplift_rules
import sktrim.propagation.backward._gaps
import sktrim.propagation.backward._lrp
import sktrim.propagation.backward._relu
import sktrim.propagation.composite
import sktrim.propagation.operations
import sktrim.propagation.recurrent  # noqa: F401
