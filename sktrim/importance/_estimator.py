"""The meta-estimator `TransformImportance` and the function behind it."""

from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from sktrim._memory import chunks
from sktrim.composed._coefficients import as_rows, coefficients_of
from sktrim.evaluation import faithfulness_score
from sktrim.explanation import Explanation
from sktrim.importance._completeness import ON_INCOMPLETE
from sktrim.importance._explain import explain_spaces
from sktrim.importance._question import (
    RESIDUALS,
    Question,
    ask,
    check_parts,
    names_out,
    pick_rows,
)
from sktrim.importance._sets import SetScores, check_sets
from sktrim.importance._signals import (
    check_columns,
    check_numbers,
    check_rows,
    check_signals,
    checks,
    taken_apart,
)
from sktrim.network import resolve_network
from sktrim.network._checks import check_network
from sktrim.network._estimators import is_trained, unwrap
from sktrim.network._evaluation import evaluation_mode
from sktrim.network._fit import (
    as_estimator,
    clone_keeping_modules,
    fit_network,
    has_probabilities,
)
from sktrim.network._inputs import Inputs, rows_of
from sktrim.network._layer import settle_axes
from sktrim.scorers import check_scorer
from sktrim.scorers._base import draw_seed
from sktrim.targets import (
    OUTPUTS,
    own_columns,
    predicted_columns,
    probabilities,
    resolve_target,
)
from sktrim.transforms._fourier import has_phases


class TransformImportance(MetaEstimatorMixin, TransformerMixin, BaseEstimator):
    r"""What a trained network uses, in the space of a transform.

    .. math::

       f'(s) = f\bigl(T^{-1}(s) + r\bigr), \qquad
       r = x - T^{-1}\bigl(T(x)\bigr), \qquad
       \phi_g = \mathrm{attr}\bigl(t \circ f';\, M_g, s = T(x)\bigr):

    for a network f, a signal x and a transform T, the composed function f' is explained
    at s = T(x), where it is f(x), group of coefficients by group, with any attribution
    method. r is what T cannot represent, :math:`M_g` are the weights of group g and t
    picks the explained scalar from the outputs. A high score says what the scorer says
    (`sktrim.scorers`); the default's, that what the group carries raises the output, in
    units of it.

    Parameters
    ----------
    estimator : skorch net, torch.nn.Module, classifier, regressor or Pipeline
        Whatever is fitted is used as it is; what is not fitted is cloned and fitted.
        In a fitted Pipeline, leading steps with an affine ``transform`` (scalers,
        PCA) count as part of the network, others are preprocessing and the signal is
        their output. Predictors without torch, such as a random forest, go with the
        scorers that need no gradient; a classifier's probability is explained.
        A module with several outputs counts as a classifier; for a regressor give
        skorch's ``NeuralNetRegressor(module).initialize()``. A ``FrozenEstimator``
        keeps clones (grid searches) from refitting.
    transformer : transformer with ``inverse_transform`` or None, default=None
        T; cloned and fitted. None: the signal's own coordinates.
    scorer : str or scorer object, default="cd"
        Attribution method; see `sktrim.scorers.get_scorer_names`.
    groups : str, FeatureGroups, array, dict or callable, default="natural"
        What gets one score each: the transformer's "natural" groups, single
        "coefficients", others it has a name for, such as "level"; without a
        transformer, the "positions" along the first axis of signals, such as the tokens
        behind an embedding. An array of shape
        (n_coefficients,) holds labels (-1: ungrouped), one of shape (n_groups,
        n_coefficients) masks in [0, 1]. A callable is given the fitted transformer.
    target : str, int, array of int, tuple or callable, default="predicted"
        Which output is explained: each sample's "predicted" or "true" class, "all"
        outputs side by side, one column, one column per sample, the column of a label
        ("label", v), or column k minus column l, (k, l). Of outputs of several axes
        (a forecast of several series, a map of segments): an index into them, such as
        (3, 0), or (slice(None), 0) for the whole horizon side by side. A function is
        given the outputs, as the network returns them, and returns one number per
        sample, (n_samples,), by torch operations.
    output : {"auto", "margin", "logit", "probability", "raw"}, default="auto"
        What is read off the output: the logit minus the mean of the other logits
        (classifiers' default), the logit, the probability, or the output as it is
        (regressors' default).
    residual : {"constant", "component", "drop"}, default="constant"
        Hold r, score it as one group more, the last, or explain f(T^-1(T(x))).
    layer : str, torch.nn.Module or None, default=None
        Where T acts: on what this module of the network puts out, which then is the
        signal, while f is the rest of the network. A name of ``named_modules()``,
        such as "features.8", or the module itself.
    call : int or None, default=None
        Which call of the layer, from 0, where the network calls it several times.
    context : str, int, sequence of these or None, default=None
        Of an X that is a dict of arrays, or a tuple, as the network takes them by name
        or by position: those that are held as they are for each sample. The one that
        remains is explained.
    n_background : int, default=100
        Rows of X kept, as coefficients, for scorers that compare with them.
    random_state : int, RandomState or None, default=None
        Seeds the choice of background rows and the scorers that draw.
    n_jobs : int or None, default=None
        Chunks explained at once, in threads unless joblib is told otherwise.
    verbose : int, default=0
        1 shows a progress bar.
    on_incomplete : {"warn", "raise", "ignore"}, default="warn"
        What to do where base value plus scores of a method that promises
        completeness miss the explained output; the message names the operation of
        the network, where the method can tell.

    Attributes
    ----------
    estimator_ : estimator
        The trained network's estimator.
    transformer_ : transformer or None
        Fitted.
    groups_ : FeatureGroups
    network_ : sktrim.network.Network
    background_ : ndarray of shape (n_rows, n_coefficients)
    reconstruction_error_ : float
        Mean of ||r|| / ||x|| over the background rows.
    classes_ : ndarray
        Labels of a classifier.
    n_features_in_ : int
        ``X.shape[1]``.
    question_ : Question
        All that is settled before samples are seen; studies exchange parts of it.

    See Also
    --------
    transform_importance : The same for people who want no meta-estimator.
    Explanation : What ``explain`` returns.
    TrimModel : The composed network as a torch module.
    sktrim.evaluation.explanation_card : How far to trust the result.

    Notes
    -----
    The method is TRIM :footcite:p:`singh2020trim`. In their code a residual may be
    computed from s at every call; here it belongs to the sample and stays as it is
    while s varies.

    What is transformed is the question, not the answer: the transform of a map of
    scores in signal space is no attribution to coefficients. Of a linear network that
    uses one frequency alone, the Fourier transform of the map of scores over time shows
    others.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    A network that looks at 2 cycles alone:

    >>> import numpy as np
    >>> import torch
    >>> from sktrim import FourierTransformer, TransformImportance
    >>> X = np.random.default_rng(0).standard_normal((5, 8)).astype("float32")
    >>> net = torch.nn.Linear(8, 1, bias=False)
    >>> wave = torch.cos(2 * torch.pi * 2 * torch.arange(8) / 8)
    >>> torch.nn.utils.vector_to_parameters(wave, net.parameters())
    >>> trim = TransformImportance(net, FourierTransformer()).fit(X)
    >>> explanation = trim.explain(X)
    >>> explanation.values.shape
    (5, 5)
    >>> explanation.top_k(1, over="mean").names
    array(['2.0 cycles'], dtype='<U10')
    """

    _parameter_constraints: ClassVar[dict] = {
        "output": [StrOptions(set(OUTPUTS))],
        "residual": [StrOptions(set(RESIDUALS))],
        "n_background": [Interval(Integral, 1, None, closed="left")],
        "call": [None, Interval(Integral, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [None, Integral],
        "verbose": ["verbose"],
        "on_incomplete": [StrOptions(set(ON_INCOMPLETE))],
    }

    def __init__(
        self,
        estimator,
        transformer=None,
        scorer="cd",
        *,
        groups="natural",
        target="predicted",
        output="auto",
        residual="constant",
        layer=None,
        call=None,
        context=None,
        n_background=100,
        random_state=None,
        n_jobs=None,
        verbose=0,
        on_incomplete="warn",
    ):
        self.estimator = estimator
        self.transformer = transformer
        self.scorer = scorer
        self.groups = groups
        self.target = target
        self.output = output
        self.residual = residual
        self.layer = layer
        self.call = call
        self.context = context
        self.n_background = n_background
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.on_incomplete = on_incomplete

    @torch.inference_mode(False)
    def fit(self, X, y=None):
        """Fit the transformer, and the network where it is not fitted yet.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
            Signals, or what the Pipeline given as `estimator` takes.
        y : array-like of shape (n_samples,), default=None
            Only an unfitted network needs it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X does not fit the network or the transformer, or a parameter is out
            of its range.
        sklearn.exceptions.NotFittedError
            If a frozen network is not fitted.
        """
        self._validate_params()
        check_parts(self.estimator, self.transformer, check_scorer(self.scorer))
        X, held, order = taken_apart(X, self.context, self.layer)
        X, y = self._check_fit(X, y)
        given = X if order is None else order.arrange(X, held)
        self.estimator_, classes = self.estimator, None
        if not (
            is_trained(self.estimator) or isinstance(self.estimator, FrozenEstimator)
        ):
            self.estimator_, classes = fit_network(self.estimator, given, y)
        check_columns(getattr(self, "feature_names_in_", None), unwrap(self.estimator_))
        network = resolve_network(self.estimator_, X).taking(order)
        self.network_ = network.at(self.layer, self.call)
        x = check_signals(self.network_.prepare(X), self.network_)
        self._layout = x.shape[1:]
        x = self.network_.enter(Inputs(x, held) if held else x)
        self.transformer_ = self._fitted_transformer(x)
        self._seed = draw_seed(self.random_state)
        picked = pick_rows(x.shape[0], self.n_background, self._seed)
        rows = x[picked]
        self.background_ = coefficients_of(self.transformer_, rows)
        self.question_ = self._ask(rows)
        check_network(self.network_, rows_of(given, picked[:2]))
        if classes is not None:
            self.network_.classes = np.asarray(classes)
        self.groups_ = self.question_.groups
        self._check_target()
        with evaluation_mode(self.network_.module), torch.no_grad():
            model = self.question_.model(rows, self.background_)
            size = self.network_.to_tensor(rows).norm()
        self.reconstruction_error_ = float(model.r.norm() / size) if size > 0 else 0.0
        if self.network_.kind == "classifier":
            self.classes_ = self.network_.labels
        return self

    def _check_fit(self, X, y):
        """Validate X, and y where it is needed; a Pipeline validates its own."""
        if hasattr(unwrap(self.estimator), "steps"):
            return validate_data(self, X, skip_check_array=True), y
        check_numbers(X)
        if is_trained(self.estimator) or isinstance(self.estimator, FrozenEstimator):
            return validate_data(self, X, **checks(self.layer)), y
        regressor = get_tags(self.estimator).estimator_type == "regressor"
        several = regressor and len(getattr(y, "shape", (0,))) == 2 and y.shape[1] > 1
        X, y = validate_data(
            self, X, y, y_numeric=regressor, multi_output=several, **checks(self.layer)
        )
        if not regressor:
            check_classification_targets(y)
        return X, y

    def _fitted_transformer(self, x):
        if self.transformer is None:
            return None
        transformer: Any = clone(self.transformer)
        if self.layer is None:
            settle_axes(transformer, self.network_, x)
        if hasattr(transformer, "set_output"):
            transformer.set_output(transform="default")
        if isinstance(transformer, FrozenEstimator):  # whose fit asks for y
            return transformer
        return transformer.fit(as_rows(transformer, x))

    def _ask(self, x) -> Question:
        names = getattr(self, "feature_names_in_", None)
        if self.network_.preprocessing:
            names = names_out(self.network_)
        # what a layer puts out has none
        names = names if self.layer is None else None
        return ask(
            self.network_,
            x,
            transformer=self.transformer_,
            scorer=self.scorer,
            groups=self.groups,
            names=names,
            background=self.background_,
            target=self.target,
            output=self.output,
            residual=self.residual,
            seed=self._seed,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            on_incomplete=self.on_incomplete,
        )

    def _check_target(self) -> None:
        """Raise for a target that can never be met, before any sample is explained."""
        target = self.target
        network = self.network_
        picked = network.pick is not None
        if picked or (not isinstance(target, (str, tuple)) and np.ndim(target) > 0):
            return  # met already, or one for each sample
        outputs = np.zeros((1, network.n_explained))
        some = network.labels[:1]
        resolve_target(target, outputs, some, network, self.question_.output)

    def signals(self, X):
        """Validate X as `fit` saw it and run the preprocessing.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        ndarray, CSR matrix or Inputs of shape (n_samples, *signal_shape)
            What the network eats; where T acts at a layer, what that puts out, with
            what the network eats as ``held``.
        """
        check_is_fitted(self)
        X, held, _ = taken_apart(X, self.context, self.layer)
        if hasattr(unwrap(self.estimator), "steps"):
            X = validate_data(self, X, skip_check_array=True, reset=False)
        else:
            check_numbers(X)
            check_rows(X, self._layout)
            X = validate_data(self, X, reset=False, **checks(self.layer))
        x = check_signals(self.network_.prepare(X), self.network_)
        check_rows(x, self._layout)
        return self.network_.enter(Inputs(x, held) if held else x)

    def explain(self, X, y=None) -> Explanation:
        """Explain samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
            Laid out as in `fit`.
        y : array-like of shape (n_samples,), default=None
            True labels, for ``target="true"``.

        Returns
        -------
        Explanation
            One score per sample and group, with what is needed to judge them.

        Raises
        ------
        ValueError
            If X or the target does not fit.
        """
        return explain_spaces([self._question_now()], self.signals(X), y)[0]

    def _question_now(self) -> Question:
        """Return the question with parameters that may change after `fit`."""
        check_is_fitted(self)
        later = ("verbose", "on_incomplete", "n_jobs")
        return replace(self.question_, **{name: getattr(self, name) for name in later})

    def explain_sets(self, X, sets, y=None) -> np.ndarray:
        """Score sets of groups as wholes: a phrase, a patch, a band of bands.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)
        sets : array-like of shape (n_sets, n_groups) or (n_samples, n_sets, n_groups)
            1 for the groups of a set, 0 for others; with three axes, sets of each
            sample's own.
        y : array-like of shape (n_samples,), default=None
            True labels, for ``target="true"``.

        Returns
        -------
        ndarray of shape (n_samples, n_sets) or (n_samples, n_sets, n_targets)

        Raises
        ------
        TypeError
            If the scorer has no notion of a whole set and its scores do not add up.
        ValueError
            If X, the sets or the target do not fit.

        See Also
        --------
        sktrim.hierarchy.AgglomerativeDecomposition : Finds sets that act together.

        Notes
        -----
        The score of a set is that of one group with all of its coefficients: what it
        contributes by "cd", what is lost without it by "occlusion", what it adds as a
        single player by "shapley". The scores of additive scorers are summed.

        Examples
        --------
        Of a product, at (2, 3), each factor and both:

        >>> import numpy as np
        >>> import torch
        >>> from sktrim import TransformImportance
        >>> class Product(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x[:, :1] * x[:, 1:]
        >>> X = np.array([[2.0, 3.0]])
        >>> trim = TransformImportance(Product()).fit(X)
        >>> trim.explain_sets(X, [[1, 0], [0, 1], [1, 1]])
        array([[3., 3., 6.]], dtype=float32)
        """
        bound = self.bind_sets(X, y)
        sets = check_sets(sets, len(bound), len(self.groups_))
        values = bound(np.arange(len(bound)), sets)
        return values if bound.resolved.every else values[..., 0]

    def bind_sets(self, X, y=None) -> SetScores:
        """Prepare samples for many batches of sets, for studies of one's own.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None

        Returns
        -------
        callable
            Takes indices of n samples and sets (n, n_sets, n_groups) of their groups
            to scores (n, n_sets, n_targets).
        """
        return SetScores(self._question_now(), self.signals(X), y)

    def transform(self, X):
        """Compute the scores alone, for Pipelines.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, *signal_shape)

        Returns
        -------
        ndarray of shape (n_samples, n_groups)

        Raises
        ------
        ValueError
            For ``target="all"``, whose scores are 3-D: use `explain`.
        """
        if isinstance(self.target, str) and self.target == "all":
            raise ValueError(
                'target="all" gives scores of shape (n_samples, n_groups, n_targets), '
                "but transform returns 2-D arrays; use explain(X).values."
            )
        return self.explain(X).values

    def composed_models(self, X, y=None):
        """Yield f' = f o T^-1 bound to chunks of samples, for studies of one's own.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None

        Yields
        ------
        rows : slice
            Which samples.
        model : sktrim.scorers.ComposedModel
            ``model(s)`` gives the network's outputs at coefficients.
        target : sktrim.targets.Target
            ``target(outputs)`` picks the scalar: the probability of the explained
            class for a classifier, else the explained output.
        masks : sktrim.scorers.GroupMasks
        """
        question = self._question_now()
        x = self.signals(X)
        s = coefficients_of(self.transformer_, x)
        outputs, _ = question.resolve(x, y)
        rule = "probability" if self.explains_probability else question.output
        resolved = question.resolve_rule(x, outputs, y, rule)
        masks = question.masks()
        with evaluation_mode(self.network_.module):
            for rows in chunks(len(s), question.rows_at_once(len(s))):
                model = question.model(x[rows], s[rows])
                yield rows, model, resolved.target[rows], masks

    @property
    def explains_probability(self) -> bool:
        """Whether faithfulness is measured on a probability: for classifiers."""
        check_is_fitted(self)
        raw = self.question_.output == "raw"
        return self.network_.kind == "classifier" and not raw

    def score(self, X, y=None) -> float:
        """Measure faithfulness; the network's own accuracy is ``scoring="accuracy"``.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
        y : array-like of shape (n_samples,), default=None
            Only used for ``target="true"``.

        Returns
        -------
        float
            Mean area between insertion and deletion curves, for searches to maximise.
            Removed groups become zero; of amplitudes and phases, those of other rows.
        """
        # an amplitude of 0 has no phase that could be put back
        baseline = "rows" if has_phases(self.transformer_) else "zero"
        return faithfulness_score(self, X, y, baseline=baseline)

    def predict(self, X):
        """Predict with the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs) or (n_samples, ...)
            Labels of a classifier, outputs of a regressor.
        """
        x, network = self.signals(X), self.network_.unpicked
        outputs = replace(self._question_now(), network=network).outputs(x)
        if network.kind == "classifier":
            columns = predicted_columns(outputs, network)
            return self.classes_[own_columns(network, x, columns)]
        if outputs.shape[1] == 1:
            return outputs[:, 0]
        return outputs.reshape(len(outputs), *network.output_shape)

    @available_if(has_probabilities)
    def predict_proba(self, X):
        """Predict the probability of each class with the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        question = replace(self._question_now(), network=self.network_.unpicked)
        outputs = question.outputs(self.signals(X))
        return probabilities(outputs, self.network_)

    def get_feature_names_out(self, input_features=None):
        """Return the names of the groups, the residual last where it is a component.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Only checked against the names seen in `fit`.

        Returns
        -------
        ndarray of str objects of shape (n_groups,)
        """
        check_is_fitted(self)
        if input_features is not None:
            _check_feature_names_in(self, input_features)
        return np.asarray(self.question_.group_names, dtype=object)

    def __sklearn_clone__(self):
        return clone_keeping_modules(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(as_estimator(self.estimator))
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags = inner.target_tags
        tags.target_tags.required = not is_trained(self.estimator)
        accepts = self.transformer is None or get_tags(self.transformer).input_tags
        tags.input_tags.sparse = accepts is True or accepts.sparse
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags
