"""Contextual decomposition once more: a slow interpreter of pairs, relevant and not.

One row of the input and one mask at a time; both parts propagate, and their sum is
compared with plain torch after every operation. The rules are in `naive_rules`.
"""

import torch


class NotInterpreted(Exception):
    """An operation, or a way to call it, that the interpreter has no rule for."""


class Pair:
    """A value and its two parts, which share no memory but have alike views.

    Attributes
    ----------
    run : Run
    full, rel, irr : torch.Tensor
        Of one shape and one layout.
    axis : int or None
        The axis of rows, where a reshape has made several of the one row.
    """

    def __init__(self, run, full, rel, irr, axis=None):
        self.run, self.full, self.rel, self.irr = run, full, rel, irr
        self.axis = axis

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        pair = next(pairs_in((args, kwargs or {})))
        return pair.run(func, args, kwargs or {})

    def __getattr__(self, name):
        attribute = getattr(torch.Tensor, name)
        if callable(attribute):
            return lambda *args, **kwargs: self.run(attribute, (self, *args), kwargs)
        if name in ("T", "mT", "H", "mH", "real", "imag", "data"):
            read = {"T": torch.t, "mT": torch.transpose}.get(name)
            if name == "T":
                return self.run(read, (self,), {})
            if name == "mT":
                return self.run(read, (self, -2, -1), {})
            if name in ("real", "imag"):
                return self.run(getattr(torch, name), (self,), {})
            raise NotInterpreted(name)
        return getattr(self.full, name)

    def __iter__(self):
        return iter(self.run(torch.unbind, (self, 0), {}))


def _dunder(name):
    def call(self, *args):
        return self.run(getattr(torch.Tensor, name), (self, *args), {})

    return call


for _name in """add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv
    matmul rmatmul pow neg getitem setitem len eq ne lt le gt ge bool""".split():
    setattr(Pair, f"__{_name}__", _dunder(f"__{_name}__"))
Pair.__hash__ = object.__hash__


def pairs_in(value):
    if isinstance(value, Pair):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from pairs_in(item)
    elif isinstance(value, dict):
        yield from pairs_in(list(value.values()))


def mapped(function, value):
    """Rebuild nested arguments with every pair replaced."""
    if isinstance(value, Pair):
        return function(value)
    if isinstance(value, dict):
        return {k: mapped(function, v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(mapped(function, v) for v in value)
    return value


class Probe(torch.Tensor):
    """Notes the shape of every result, to tell which axes grow with the rows."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        out = super().__torch_function__(func, types, args, kwargs or {})
        if func.__name__ == "multi_head_attention_forward":
            # rows first in memory, as the quick path of a prediction has them
            with torch._C.DisableTorchFunctionSubclass():
                first = out[0].transpose(0, 1).contiguous().transpose(0, 1)
            out = first.as_subclass(cls), out[1]
        if func.__name__ in ("__setitem__", "__get__") and out is None:
            return out
        constant = func.__name__ in ("zeros_like", "ones_like")
        if isinstance(out, torch.Tensor) and (constant or not _floating(out)):
            return out.as_subclass(torch.Tensor)
        found = [v for v in _flat(out) if isinstance(v, torch.Tensor)]
        found = [v for v in found if _floating(v)]
        if found:
            with torch._C.DisableTorchFunctionSubclass():
                cls.seen.append([tuple(v.shape) for v in found])
        return out


def _floating(tensor):
    with torch._C.DisableTorchFunctionSubclass():
        return tensor.is_floating_point() or tensor.is_complex()


def _flat(value):
    if isinstance(value, tuple | list):
        return [v for item in value for v in _flat(item)]
    return [value]


def _shapes(model, x):
    Probe.seen = []
    with torch.no_grad():
        model(x.clone().as_subclass(Probe))
    return Probe.seen


def merged_axes(model, x):
    """Return for every operation which axis of its result holds several rows of x[0].

    Parameters
    ----------
    model : callable
    x : torch.Tensor of shape (3 or more, ...)
    """
    noted = [_shapes(model, x[:n]) for n in (1, 2, 3)]
    if len({len(n) for n in noted}) != 1:
        raise NotInterpreted("another path for another number of rows")
    return [
        [_grown(*shapes) for shapes in zip(*results, strict=True)]
        for results in zip(*noted, strict=True)
    ]


def _grown(one, two, three):
    if not len(one) == len(two) == len(three):
        raise NotInterpreted("another number of axes for another number of rows")
    grown = [d for d, sizes in enumerate(zip(one, two, three, strict=True))
             if len(set(sizes)) > 1]  # fmt: skip
    if len(grown) > 1:
        raise NotInterpreted("two axes that grow with the rows")
    return grown[0] if grown and one[grown[0]] > 1 else None


class Run:
    """One run of a model on the pair of an input.

    Attributes
    ----------
    bias, nonlinearity : str
    share : float
        The mask's own share of the model's input, where all else is 0 / 0.
    """

    def __init__(self, bias, nonlinearity, share, axes):
        self.bias, self.nonlinearity, self.share = bias, nonlinearity, share
        self._axes = axes
        self._count = self._depth = 0

    def __call__(self, func, args, kwargs):
        """Run one operation and note where its result has rows."""
        from tests.propagation import naive_norms, naive_recurrent, naive_rules  # noqa: F401

        self._depth += 1
        try:
            result = naive_rules.interpret(self, func, args, kwargs)
        finally:
            self._depth -= 1
        found = list(pairs_in(result if result is not None else ()))
        if found and self._depth == 0:
            axes = self._axes[self._count]
            self._count += 1
            for pair, axis in zip(found, axes, strict=True):
                pair.axis = axis
        for pair in found:
            self.check(pair)
        return result

    def check(self, pair):
        """Raise where the parts do not add up to the plain value."""
        full, found = pair.full, pair.rel + pair.irr
        finite = full.isfinite()
        # parts that cancel carry the round-off of their own size
        sizes = torch.where(finite, pair.rel.abs() + pair.irr.abs(), 0)
        scale = 1 + sizes.amax() if sizes.numel() else 1
        error = torch.where(finite, found - full, 0).abs().amax()
        if not error <= 1e-9 * scale:
            raise AssertionError(f"the parts miss the whole by {error:.2e}")


def decomposed(model, x, rel, *, bias, nonlinearity):
    """Return the relevant and the other part of a model's output.

    Parameters
    ----------
    model : callable
    x : torch.Tensor of shape (n, ...)
    rel : torch.Tensor of shape (K, n, ...)

    Returns
    -------
    rel_out, irrel_out : torch.Tensor of shape (K, n, k)
    """
    rows = x if len(x) > 2 else x.repeat(3, *(1,) * (x.ndim - 1))
    axes = merged_axes(model, rows)
    found = []
    for part in rel:
        outs = [
            _one(model, x[i : i + 1], part[i : i + 1], bias, nonlinearity, axes)
            for i in range(len(x))
        ]
        found.append([torch.cat(parts) for parts in zip(*outs, strict=True)])
    return tuple(torch.stack(parts) for parts in zip(*found, strict=True))


def _one(model, x, part, bias, nonlinearity, axes):
    irr = x - part
    sizes = part.abs().sum(), irr.abs().sum()
    share = sizes[0] / sum(sizes) if sum(sizes) > 0 else torch.zeros(())
    run = Run(bias, nonlinearity, share.to(x), axes)
    out = model(Pair(run, x.clone(), part.clone(), irr.clone()))
    return out.rel, out.irr
