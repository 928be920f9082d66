"""Attribution methods: how much each group of coefficients counts."""

from sktrim.composed import ComposedModel, GroupMasks
from sktrim.scorers._base import Attribution, Scorer
from sktrim.scorers._captum import CaptumScorer
from sktrim.scorers._cd import ContextualDecomposition
from sktrim.scorers._deeplift import DeepLift
from sktrim.scorers._gradient import (
    ExpectedGradients,
    Gradient,
    GradientShap,
    InputTimesGradient,
    IntegratedGradients,
    SmoothGrad,
    SquaredGradient,
)
from sktrim.scorers._guided import Deconvnet, GuidedBackprop
from sktrim.scorers._kernel_shap import KernelShap
from sktrim.scorers._lime import Lime
from sktrim.scorers._lrp import (
    DeepTaylor,
    LRPAlphaBeta,
    LRPComposite,
    LRPEpsilon,
    LRPFlat,
    LRPGamma,
    LRPWSquare,
    LRPZBox,
    LRPZPlus,
)
from sktrim.scorers._occlusion import Occlusion
from sktrim.scorers._shapley import Shapley
from sktrim.scorers._sobol import Sobol

__all__ = [
    "Attribution",
    "CaptumScorer",
    "ComposedModel",
    "ContextualDecomposition",
    "Deconvnet",
    "DeepLift",
    "DeepTaylor",
    "ExpectedGradients",
    "Gradient",
    "GradientShap",
    "GroupMasks",
    "GuidedBackprop",
    "InputTimesGradient",
    "IntegratedGradients",
    "KernelShap",
    "LRPAlphaBeta",
    "LRPComposite",
    "LRPEpsilon",
    "LRPFlat",
    "LRPGamma",
    "LRPWSquare",
    "LRPZBox",
    "LRPZPlus",
    "Lime",
    "Occlusion",
    "Scorer",
    "Shapley",
    "SmoothGrad",
    "Sobol",
    "SquaredGradient",
    "check_scorer",
    "get_scorer_names",
    "scorer_name",
]

SCORERS: dict[str, type[Scorer]] = {
    "cd": ContextualDecomposition,
    "gradient": Gradient,
    "gradient_squared": SquaredGradient,
    "input_x_gradient": InputTimesGradient,
    "integrated_gradients": IntegratedGradients,
    "expected_gradients": ExpectedGradients,
    "gradient_shap": GradientShap,
    "smoothgrad": SmoothGrad,
    "guided_backprop": GuidedBackprop,
    "deconvnet": Deconvnet,
    "deeplift": DeepLift,
    "lrp_epsilon": LRPEpsilon,
    "lrp_alpha_beta": LRPAlphaBeta,
    "lrp_gamma": LRPGamma,
    "lrp_z_plus": LRPZPlus,
    "lrp_z_box": LRPZBox,
    "lrp_w_square": LRPWSquare,
    "lrp_flat": LRPFlat,
    "lrp_composite": LRPComposite,
    "deep_taylor": DeepTaylor,
    "occlusion": Occlusion,
    "shapley": Shapley,
    "kernel_shap": KernelShap,
    "lime": Lime,
    "sobol": Sobol,
}


def get_scorer_names() -> list[str]:
    """Return the names that ``scorer=`` takes.

    Returns
    -------
    list of str

    See Also
    --------
    check_scorer : Turns a name into a scorer.

    Examples
    --------
    >>> from sktrim.scorers import get_scorer_names
    >>> "cd" in get_scorer_names()
    True
    """
    return sorted(SCORERS)


def check_scorer(scorer):
    """Turn a name into a scorer; pass objects through.

    Parameters
    ----------
    scorer : str or object with an ``attribute`` method

    Returns
    -------
    Scorer

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor a scorer.

    See Also
    --------
    get_scorer_names : The names.
    scorer_name : The way back.

    Examples
    --------
    >>> from sktrim.scorers import check_scorer
    >>> check_scorer("integrated_gradients")
    IntegratedGradients()
    """
    if isinstance(scorer, str):
        if scorer not in SCORERS:
            raise ValueError(
                f"scorer={scorer!r} is not known; expected one of "
                f"{', '.join(get_scorer_names())}, or a scorer object."
            )
        return SCORERS[scorer]()
    if isinstance(scorer, type) or not hasattr(scorer, "attribute"):
        raise TypeError(
            f"scorer={scorer!r}; expected a name or an object with an attribute("
            "model, s, groups, target) method, e.g. "
            "sktrim.scorers.ContextualDecomposition()."
        )
    return scorer


def scorer_name(scorer) -> str:
    """Return the name a scorer goes by: its registered one, or its class's.

    Parameters
    ----------
    scorer : object with an ``attribute`` method

    Returns
    -------
    str

    See Also
    --------
    check_scorer : The way back.

    Examples
    --------
    >>> from sktrim.scorers import ContextualDecomposition, scorer_name
    >>> scorer_name(ContextualDecomposition(bias="channel"))
    'cd'
    """
    names = {cls: name for name, cls in SCORERS.items()}
    return names.get(type(scorer), type(scorer).__name__)
