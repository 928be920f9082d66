"""f' = f o T^-1 bound to a chunk of samples, and the group masks in torch."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from sktrim._memory import rows_in_memory, rows_in_working_memory
from sktrim.network._inputs import Bound
from sktrim.propagation import Mixtures, OutputMismatchError


class SharedGradients:
    """Input-space gradients found in one space, for other spaces to take over."""

    def __init__(self):
        # spaces of lossless transforms share the explained point and the paths to a
        # baseline: the gradient there is computed once and pulled back to each
        self._found = []

    def get(
        self,
        target,
        signals: tuple[torch.Tensor, ...],
        compute: Callable[[], torch.Tensor],
    ) -> torch.Tensor:
        """Return the gradient at signals, computed unless it is known."""
        # the explained `signals` come first, then whatever else says where it is taken
        for known_target, known, gradient in self._found:
            if known_target is target and _same_signals(known, signals):
                return gradient
        gradient = compute()
        self._found.append((target, signals, gradient))
        return gradient


def _same_signals(first, second) -> bool:
    """Tell whether signals are the same up to the round-off of a transform."""
    if [a.shape for a in first] != [b.shape for b in second]:
        return False
    scale = first[0].abs().max()
    off = 64 * torch.finfo(scale.dtype).eps * scale
    return all(
        bool(((a - b).abs() <= off).all()) for a, b in zip(first, second, strict=True)
    )


class ComposedModel:
    r"""The network as a function of coefficients, for a chunk of samples.

    .. math::

       f'(s') = f\bigl(x + D (s' - s)\bigr) = f\bigl(T^{-1}(s') + r\bigr), \qquad
       r = x - T^{-1}(s),

    where f is the network, x are the signals, s their coefficients and D is the linear
    part of :math:`T^{-1}`. The first form is what is computed where :math:`T^{-1}` is
    affine, so that :math:`f'(s) = f(x)` to the bit; otherwise the second.

    Parameters
    ----------
    network : sktrim.network.Network
    inverse : InverseModule
        Torch twin of T^-1, in the network's dtype.
    x : torch.Tensor of shape (n_samples, *signal_shape)
        The signals, exactly as the network eats them.
    s : torch.Tensor of shape (n_samples, n_coefficients)
        Their coefficients.
    residual : {"constant", "component", "drop"}
        What becomes of r = x - T^-1(s): held constant, driven by one extra last
        coefficient that is 1 for the sample and 0 at every baseline, or left out.
    held : tuple of torch.Tensor of shape (n_samples, ...)
        What the network takes beside the signal: the same at every baseline.

    Attributes
    ----------
    x : torch.Tensor of shape (n_samples, *signal_shape)
        The explained point; T^-1(s) where the residual is dropped.
    s : torch.Tensor of shape (n_samples, n_coefficients [+ 1])
        The explained coefficients, the residual's own last where it is a component.
    r : torch.Tensor of shape (n_samples, *signal_shape)
        What T does not represent.
    known : torch.Tensor of shape (n_samples, n_outputs) or None
        The network's outputs at `x`, where they were computed before.
    differentiable : bool
        Whether scores keep their graph, so that one can train by them.

    See Also
    --------
    sktrim.TransformImportance.composed_models : Makes them for samples.
    sktrim.TrimModel : A plain module, for tools that know nothing of sktrim.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from sktrim import CosineTransformer, TransformImportance
    >>> X = np.random.default_rng(0).standard_normal((5, 8)).astype("float32")
    >>> net = torch.nn.Linear(8, 2)
    >>> trim = TransformImportance(net, CosineTransformer()).fit(X)
    >>> for rows, model, target, masks in trim.composed_models(X):
    ...     outputs = model(model.s)
    >>> torch.equal(outputs, net(torch.from_numpy(X)))
    True
    """

    def __init__(self, network, inverse, x, s, residual="constant", held=()):
        self.network = network
        self.inverse = inverse
        self.is_affine: bool = inverse.is_affine
        self.component = residual == "component"
        self.shared: SharedGradients | None = None
        self.known: torch.Tensor | None = None
        self.differentiable = False
        self.held = held
        self._s = s
        with torch.no_grad():
            represented = inverse(s).reshape(x.shape)
        self.r = x - represented
        self.x = represented if residual == "drop" else x
        self._held = torch.zeros_like(self.r) if residual == "drop" else self.r
        self.s = s
        if self.component:
            self.s = torch.cat([s, s.new_ones(len(s), 1)], dim=1)

    @property
    def module(self) -> nn.Module:
        """The network as a torch module of the signal, for model-specific scorers."""
        whole = self.network.explained
        return Bound(whole, self.held) if self.held else whole

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The signals, and what the network takes beside them."""
        return self.x, *self.held

    def __getitem__(self, rows: slice) -> "ComposedModel":
        """Restrict the model to some of its samples."""
        part = copy.copy(self)
        for name in ("x", "s", "r", "_s", "_held"):
            setattr(part, name, getattr(self, name)[rows])
        part.held = tuple(values[rows] for values in self.held)
        part.shared = None
        part.known = None if self.known is None else self.known[rows]
        return part

    def check_output(self, whole: torch.Tensor) -> None:
        """Compare outputs that a method found on its way with those that are known.

        Parameters
        ----------
        whole : torch.Tensor of shape (n_samples, ...)

        Raises
        ------
        OutputMismatchError
            If they differ by more than rounding.
        """
        off = self._mismatch(whole)
        if off:
            raise OutputMismatchError(
                "Under the rules of this method the network gives other outputs than "
                f"by itself: they differ by {off:.2g} of the largest output. "
                "Likely causes: (a) it asks what it was given (type(x) is ...) and "
                "takes another branch; (b) it is random, or its weights changed "
                "meanwhile; (c) an operation is registered with the wrong kind. Let "
                "it do the same for every kind of tensor, or use a scorer that runs "
                'it as it is, such as "integrated_gradients" or "occlusion".'
            )

    def _mismatch(self, whole: torch.Tensor) -> float:
        """Return by how much outputs differ from those that are known; 0: rounding."""
        if self.known is None:
            return 0.0
        outputs, known = whole.detach().reshape(len(self.known), -1), self.known
        scale = known.abs().amax().clamp(min=torch.finfo(known.dtype).tiny)
        off = (outputs - known).abs().amax() / scale
        # under autocast the output alone tells
        dtypes = {outputs.dtype, known.dtype, self.x.dtype}
        rounding = max(torch.finfo(dtype).eps for dtype in dtypes)
        return 0.0 if off <= rounding**0.5 else off.item()

    def zero_baseline(self) -> torch.Tensor:
        """Coefficients of the all-zero baseline, shape (1, n_coefficients [+ 1])."""
        return torch.zeros_like(self.s[:1])

    def extend(self, rows: torch.Tensor) -> torch.Tensor:
        """Give baseline rows the residual's coefficient, 0, where there is one.

        Parameters
        ----------
        rows : torch.Tensor of shape (..., n_coefficients)

        Returns
        -------
        torch.Tensor of shape (..., n_coefficients [+ 1])
        """
        if not self.component:
            return rows
        return torch.cat([rows, torch.zeros_like(rows[..., :1])], dim=-1)

    def linear(self, v: torch.Tensor) -> torch.Tensor:
        """Return the signal that coefficients carry: T^-1(v) - T^-1(0).

        Parameters
        ----------
        v : torch.Tensor of shape (..., n_samples, n_coefficients [+ 1])

        Returns
        -------
        torch.Tensor of shape (..., n_samples, *signal_shape)
        """
        core = v[..., : self._s.shape[1]]
        if self.is_affine:
            signal = self.inverse.linear(core)
        else:
            signal = self.inverse(core) - self.inverse(torch.zeros_like(core[:1]))
        return self._with_component(signal, v)

    def _with_component(self, signal: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Lay signals out, and add the residual where it has a coefficient."""
        signal = signal.reshape(*v.shape[:-1], *self.x.shape[1:])
        if not self.component:
            return signal
        amount = v[..., -1].reshape(*v.shape[:-1], *[1] * (self.x.ndim - 1))
        return signal + amount * self.r

    def signal(self, s: torch.Tensor) -> torch.Tensor:
        """Return T^-1(s) plus the residual; x bit for bit at the explained s.

        Parameters
        ----------
        s : torch.Tensor of shape (..., n_samples, n_coefficients [+ 1])

        Returns
        -------
        torch.Tensor of shape (..., n_samples, *signal_shape)
        """
        if self.is_affine:
            return self.x + self.linear(s - self.s)
        signal = self._with_component(self.inverse(s[..., : self._s.shape[1]]), s)
        return signal if self.component else signal + self._held

    def output(self, x: torch.Tensor) -> torch.Tensor:
        """Return the network's outputs at signals.

        Parameters
        ----------
        x : torch.Tensor of shape (..., n_samples, *signal_shape)

        Returns
        -------
        torch.Tensor of shape (..., n_samples, n_outputs)
        """
        leading = x.shape[: x.ndim - self.x.ndim + 1]
        # a copy, since networks may write into what they are given
        rows = x.reshape(-1, *self.x.shape[1:]).clone()
        out = self.network.forward(rows, *self.held)
        return out.reshape(*leading, out.shape[-1])

    def __call__(self, s: torch.Tensor) -> torch.Tensor:
        """Return f'(s), the network's outputs at coefficients.

        Parameters
        ----------
        s : torch.Tensor of shape (..., n_samples, n_coefficients [+ 1])

        Returns
        -------
        torch.Tensor of shape (..., n_samples, n_outputs)
        """
        return self.output(self.signal(s))

    def mixing(self, parts: torch.Tensor):
        """Prepare the outputs at the explained signals with parts of them added.

        Parameters
        ----------
        parts : torch.Tensor of shape (n_parts, n_samples, *signal_shape)

        Returns
        -------
        callable
            Takes weights of shape (n_points, n_parts) to outputs of shape
            (n_points, n_samples, n_outputs) at ``x + weights @ parts``.
        """
        mixtures = Mixtures(torch.cat([self.x[None], parts]))
        network, held = self.network, self.held

        def run(weights: torch.Tensor) -> torch.Tensor:
            whole = weights.new_ones(len(weights), 1)
            weights = torch.cat([whole, weights], dim=1)
            out = mixtures.run(
                lambda x: network.forward(x, *held), network.composed, weights
            )
            return out.reshape(len(weights), len(self.x), -1)

        # weights of 0 are the signals themselves
        if self.known is not None and self._mismatch(
            run(parts.new_zeros(2, len(parts)))[1]
        ):
            mixtures.run_as_they_are()
        return run

    def pull_back(self, gradient: torch.Tensor) -> torch.Tensor:
        """Turn a gradient in signal space into one in coefficients: D^T g.

        Parameters
        ----------
        gradient : torch.Tensor of shape (..., n_samples, *signal_shape)

        Returns
        -------
        torch.Tensor of shape (..., n_samples, n_coefficients [+ 1])
        """
        n_axes = self.x.ndim - 1
        rows = gradient.flatten(-n_axes)
        width = self._s.shape[1]
        pulled = self.inverse.adjoint(rows.reshape(-1, rows.shape[-1]), width)
        pulled = pulled.reshape(*rows.shape[:-1], width)
        if not self.component:
            return pulled
        residual = (rows * self.r.flatten(1)).sum(-1, keepdim=True)
        return torch.cat([pulled, residual], dim=-1)

    def rows_at_once(self) -> int:
        """How many network rows fit into the working memory at once."""
        return rows_in_memory(self.network.bytes_per_row + self._overhead())

    def _overhead(self) -> int:
        """Bytes of a row's coefficients and signal, and copies of them."""
        numbers = 4 * (self.s.shape[1] + self.x[0].numel())
        return numbers * self.s.element_size()

    def masks_at_once(self, n_masks: int) -> int:
        """How many samples times masks to decompose at once.

        No activation outlives the next operations, so the largest one bounds the
        memory. Chunks as small as the cache would like cost networks more in passes of
        the whole activation, and in operations that are small, than they gain.

        Parameters
        ----------
        n_masks : int

        Returns
        -------
        int
        """
        alive = 12 * self.network.largest_bytes + self._overhead()
        useful = max(2 * self.rows_at_once(), 64, min(n_masks, 512))
        return min(useful, rows_in_working_memory(alive))
