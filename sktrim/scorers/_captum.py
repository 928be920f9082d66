"""Any attribution method of captum, on coefficients."""

import contextlib
import inspect
import threading

import numpy as np
import torch
from torch import nn

from sktrim._memory import chunks
from sktrim.scorers._base import Attribution
from sktrim.scorers._baselines import FromBaseline

_THROUGH_INVERSE = (
    "it walks over the modules of a network and cannot follow the inverse transform, "
    "functional calls or operations it has no rule for"
)
_HOOKS = (
    "it replaces gradients by module hooks, which silently miss functional "
    "activations and fail for modules used twice and under threads"
)
_ADJACENT = _HOOKS + "; it is wrong where two nonlinearities meet"
REFUSED = {
    "LRP": (_THROUGH_INVERSE, "lrp_epsilon"),
    "DeepLift": (_ADJACENT, "deeplift"),
    "DeepLiftShap": (_ADJACENT, "deeplift"),
    "GuidedBackprop": (_HOOKS, "guided_backprop"),
    "Deconvolution": (_HOOKS, "deconvnet"),
    "FeaturePermutation": (
        "it exchanges values between the samples of a batch, so that a score depends "
        "on the other samples",
        "occlusion",
    ),
}
"""Methods that give wrong scores here: why, and what to use instead."""

_GIVEN = frozenset(
    {"inputs", "baselines", "target", "additional_forward_args", "feature_mask"}
    | {"return_convergence_delta", "return_input_shape", "forward_func", "self"}
)
_RANDOM = frozenset({"Lime", "KernelShap", "ShapleyValueSampling", "GradientShap"})
_NO_GRADIENT = frozenset(
    {"FeatureAblation", "Occlusion", "ShapleyValueSampling", "ShapleyValues"}
    | {"Lime", "KernelShap"}
)
_DRAWING = threading.Lock()


class CaptumScorer(FromBaseline):
    r"""A method of captum on the network composed with T^-1.

    .. math::

       \phi_g = \sum_k M_{gk} \, a_k \bigl(f \circ T^{-1};\, s, b\bigr),

    where :math:`a_k` is what the method gives for coefficient k of the sample s, with
    the baseline b where it takes one, and :math:`M_{gk}` the weight of coefficient k in
    group g; of methods that are given the groups as a ``feature_mask``, the value that
    the members of a group share. What is high, and in what units, is the method's.

    Parameters
    ----------
    captum_class : class
        Such as ``captum.attr.IntegratedGradients``; one that attributes a function's
        inputs. Methods known to give wrong scores here are refused with the reason.
    baseline : {"zero", "mean", "rows"} or array-like, default="zero"
        In coefficients, for methods that take baselines; "rows" are the background
        rows. An array of shape (n_coefficients,) or (n_rows, n_coefficients). Scores
        are averaged over several rows, except where the method itself takes a
        distribution of them (GradientShap).
    **kwargs
        Options of the class or of its ``attribute``, such as ``n_steps=50``.

    See Also
    --------
    sktrim.TrimModel : The composed network as a module, for any torch tool.
    sktrim.Scorer : For a method of one's own.

    Notes
    -----
    captum is described by :footcite:t:`kokhlikyan2020captum`. Methods with a
    ``feature_mask`` are given the groups, which then must not overlap and have weights
    0 and 1. Coefficients in no group have themselves as a baseline. Methods that draw
    see one sample at a time, with the same seed each.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from captum.attr import FeatureAblation
    >>> from sktrim import transform_importance
    >>> from sktrim.scorers import CaptumScorer
    >>> class Product(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :1] * x[:, 1:]
    >>> x = np.array([[2.0, 3.0]])
    >>> scorer = CaptumScorer(FeatureAblation, perturbations_per_eval=2)
    >>> transform_importance(Product(), x, scorer=scorer).values
    array([[6., 6.]], dtype=float32)
    >>> scorer.get_params()
    {'baseline': 'zero', 'captum_class': <class '...FeatureAblation'>,
    'perturbations_per_eval': 2}
    """

    def __init__(self, captum_class, *, baseline="zero", **kwargs):
        self.captum_class = captum_class
        self.baseline = baseline
        self.kwargs = kwargs

    def get_params(self, deep=True):
        """Return the parameters, captum's own options among them.

        Parameters
        ----------
        deep : bool, default=True
            Nothing is nested here.

        Returns
        -------
        dict
        """
        own = {"baseline": self.baseline, "captum_class": self.captum_class}
        return {**own, **self.kwargs}

    def set_params(self, **params):
        """Set parameters; names that are not this class's are captum's options.

        Parameters
        ----------
        **params
            See the class.

        Returns
        -------
        self
        """
        for name, value in params.items():
            if name in ("captum_class", "baseline"):
                setattr(self, name, value)
            else:
                self.kwargs = {**self.kwargs, name: value}
        return self

    @property
    def needs_gradient(self) -> bool:
        """Whether the method goes through the gradient."""
        return getattr(self.captum_class, "__name__", "") not in _NO_GRADIENT

    @property
    def is_random(self) -> bool:
        """Whether the method draws."""
        return getattr(self.captum_class, "__name__", "") in _RANDOM

    def attribute(
        self, model, s, groups, target, *, background=None, random_state=None
    ):
        """Score groups; see `Scorer.attribute`."""
        accepted = self._check(model)
        rows = self.baseline_rows(model, background)
        labels = _labels(groups) if "feature_mask" in accepted else None
        parts = []
        for part in chunks(len(s), self._samples_at_once(model, accepted)):
            bound, picked = model[part], target[part]
            starts = base = None
            if "baselines" in accepted:
                starts = _baselines(bound, rows, groups, labels)
                base = _base_values(bound, picked, starts)
            with _seeded(random_state if self.is_random else None):
                scores = [
                    self._scores(bound, _Function(bound, picked, t), starts, labels)
                    for t in range(target.n_targets)
                ]
            scores = torch.stack(scores, dim=-1)
            parts.append(Attribution(_per_group(scores, groups, labels), base))
        return Attribution.join(parts)

    def _samples_at_once(self, model, accepted) -> int:
        """How many samples captum gets at once; it repeats each of them."""
        if self.is_random:
            return 1
        repeats = 50 if "n_steps" in accepted else 1
        repeats = 16 if "perturbations_per_eval" in accepted else repeats
        repeats = self.kwargs.get("n_steps", repeats)
        return max(1, model.rows_at_once() // repeats)

    def _check(self, model) -> set[str]:
        """Refuse what cannot be right; return the options of ``attribute``."""
        name = _check_class(self.captum_class)
        if any(p.is_complex() for p in model.module.parameters()):
            raise ValueError(
                "The network has complex parameters, for which captum takes z * g "
                "where Re(conj(z) * g) is meant. Pack them as real numbers."
            )
        accepted = set(inspect.signature(self.captum_class.attribute).parameters)
        own = set(inspect.signature(self.captum_class).parameters)
        wrong = [k for k in self.kwargs if k in _GIVEN or k not in accepted | own]
        if wrong:
            raise ValueError(
                f"{name} is given {', '.join(sorted(wrong))}; expected options of its "
                f"own: {', '.join(sorted((accepted | own) - _GIVEN))}. Baselines are "
                "baseline=, targets and groups those of the explanation."
            )
        return accepted

    def _scores(self, model, function, starts, labels) -> torch.Tensor:
        """Scores of one target, shape (n_samples, n_coefficients)."""
        own = inspect.signature(self.captum_class).parameters
        method = self.captum_class(
            function, **{k: v for k, v in self.kwargs.items() if k in own}
        )
        options = {k: v for k, v in self.kwargs.items() if k not in own}
        if labels is not None:
            options["feature_mask"] = labels[None]
            at_once = max(1, model.rows_at_once() // len(model.s))
            options.setdefault("perturbations_per_eval", at_once)
        index = torch.arange(len(model.s), device=model.s.device)
        if starts is None:
            starting = [{}]
        elif self.captum_class.__name__ == "GradientShap":
            starting = [{"baselines": starts[:, 0]}]
        else:
            starting = [{"baselines": start} for start in starts]
        attributions = []
        for more in starting:
            s = model.s.clone().requires_grad_(self.needs_gradient)
            arguments = {"additional_forward_args": (index,), **options, **more}
            attributions.append(method.attribute(s, **arguments).detach())
        return torch.stack(attributions).mean(0)


class _Function(nn.Module):
    """One explained scalar as a plain function of coefficients and sample indices."""

    def __init__(self, model, target, column):
        super().__init__()
        self.model, self.target, self.column = model, target, column

    def forward(self, s, index):
        part = self.model[index]
        return self.target[index](part(s))[:, self.column]


def _check_class(captum_class) -> str:
    """Return the name of a class that attributes inputs; raise for others."""
    from captum.attr import Attribution as Base

    if not (isinstance(captum_class, type) and issubclass(captum_class, Base)):
        raise TypeError(
            f"captum_class={captum_class!r}; expected a class out of captum.attr, such "
            "as captum.attr.IntegratedGradients, not an object of it."
        )
    name = captum_class.__name__
    if name in REFUSED:
        reason, instead = REFUSED[name]
        raise ValueError(
            f"captum's {name} is refused: {reason}. Use scorer={instead!r} instead."
        )
    needed = [
        p
        for p, parameter in inspect.signature(captum_class).parameters.items()
        if parameter.default is inspect.Parameter.empty and p != "forward_func"
    ]
    if needed or not hasattr(captum_class, "attribute"):
        raise ValueError(
            f"captum's {name} does not attribute the inputs of a function (it asks "
            f"for {', '.join(needed) or 'more'}); expected a method such as "
            "IntegratedGradients, FeatureAblation or KernelShap."
        )
    return name


def _labels(groups) -> torch.Tensor:
    """Return the group of each coefficient; one past the last for those in none."""
    counts = torch.bincount(groups.columns, minlength=groups.n_coefficients)
    if bool((groups.weights != 1).any()) or int(counts.max()) > 1:
        raise ValueError(
            "captum's feature_mask puts each coefficient in one group, but these "
            "groups overlap or have weights between 0 and 1. Use 'occlusion', "
            "'shapley', 'kernel_shap' or 'lime', which take any groups."
        )
    labels = torch.full_like(counts, len(groups))
    return labels.index_put_((groups.columns,), groups.rows)


def _per_group(scores, groups, labels) -> torch.Tensor:
    """Turn scores (n, n_coefficients, n_targets) into scores of groups."""
    if labels is None:
        return groups.aggregate(scores.movedim(-1, 0)).movedim(0, -1)
    # captum repeats the score of a group on each of its coefficients
    out = scores.new_zeros(len(scores), len(groups) + 1, scores.shape[-1])
    out[:, labels] = scores
    return out[:, :-1]


def _baselines(model, rows, groups, labels) -> torch.Tensor:
    """Baselines (n_rows, n_samples, n_coefficients); what is in no group is held."""
    starts = rows[:, None].expand(-1, *model.s.shape)
    if labels is None:
        return starts
    return torch.where(labels == len(groups), model.s, starts)


@torch.no_grad()
def _base_values(model, target, starts) -> torch.Tensor:
    """Explained output at the baselines, averaged, shape (n_samples, n_targets)."""
    return torch.stack([target(model(start)) for start in starts]).mean(0)


@contextlib.contextmanager
def _seeded(seed):
    """Seed the global generators that captum draws from, and put them back."""
    if seed is None:
        yield
        return
    with _DRAWING, torch.random.fork_rng():
        state = np.random.get_state()  # noqa: NPY002
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
