"""The rules of contextual decomposition, written for one row and one mask.

Formulas: Murdoch et al. 2018; Singh et al. 2019; "symmetric" and the shares of a bias
as `sktrim.contextual_decomposition` documents them.
"""

import math

import torch
import torch.nn.functional as F

from tests.propagation.naive_pairs import NotInterpreted, Pair, mapped, pairs_in

NOISE = 1e-13
RULES = {}
LINEAR = frozenset(
    """view reshape flatten unflatten unsqueeze squeeze transpose permute movedim t
    narrow select __getitem__ chunk split split_with_sizes unbind expand repeat
    repeat_interleave flip roll index_select gather tril unfold diagonal contiguous
    clone real imag view_as_real view_as_complex conj resolve_conj complex mean sum
    avg_pool1d avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d neg cumsum diff
    fft_fft fft_ifft fft_rfft fft_irfft dropout view_as double""".split()
)
JOINS = frozenset("cat stack where masked_fill pad".split())
QUERIES = frozenset(
    """shape size dim eq ne lt le gt ge is_floating_point is_complex __len__ __eq__
    __ne__ __lt__ __le__ __gt__ __ge__ __bool__ zeros_like is_nested is_cuda numel
    argmax is_contiguous data_ptr""".split()
)
SMOOTH = frozenset(
    """gelu tanh sigmoid silu softplus elu sin abs square exp clamp hardtanh
    softmax log_softmax""".split()
)
SINGULAR = frozenset("sqrt log rsqrt reciprocal".split())
DUNDERS = {"truediv": "div", "getitem": "__getitem__", "setitem": "__setitem__"}


def rule(*names):
    def register(function):
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


def interpret(run, func, args, kwargs):
    """Return the result of one call, pairs included."""
    name, in_place, reflected = _spelled(func)
    if reflected:
        args = (args[1], args[0])
    if "inplace" in kwargs:
        in_place = in_place or kwargs["inplace"]
        kwargs = {k: v for k, v in kwargs.items() if k != "inplace"}
    if name in QUERIES:
        return func(*mapped(_full, args), **mapped(_full, kwargs))
    target = args[0] if in_place else None
    plain = _out_of_place(name, func) if in_place or reflected else func
    result = _by_rule(run, name, plain, args, kwargs)
    if not in_place:
        return result
    if not isinstance(target, Pair):
        raise NotInterpreted("a write into a plain tensor")
    for part in ("full", "rel", "irr"):
        getattr(target, part).copy_(getattr(result, part))
    return target


def _full(pair):
    return pair.full


def _spelled(func):
    """Return canonical name, whether it writes, and whether operands are swapped."""
    name = func.__name__
    if name in ("__getitem__", "__setitem__") or name in QUERIES:
        return name, False, False
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        known = ("add", "sub", "mul", "truediv", "matmul", "pow", "neg")
        if name in known:
            return DUNDERS.get(name, name), False, False
        if name[1:] in known and name[0] in "ri":
            plain = DUNDERS.get(name[1:], name[1:])
            return plain, name[0] == "i", name[0] == "r"
        raise NotInterpreted(name)
    in_place = name.endswith("_")
    name = "threshold" if name == "_threshold" else name.rstrip("_")
    return ("sub", in_place, True) if name == "rsub" else (name, in_place, False)


def _out_of_place(name, func):
    places = (torch, F, torch.Tensor)
    return next((getattr(p, name) for p in places if hasattr(p, name)), func)


def _by_rule(run, name, func, args, kwargs):
    if name in RULES:
        return RULES[name](run, func, args, kwargs)
    if name in LINEAR:
        return linear(run, func, args, kwargs)
    if name in JOINS:
        return join(run, func, args, kwargs)
    if name in SMOOTH:
        return symmetric(run, lambda v: func(*mapped(lambda _: v, args),
                                             **mapped(lambda _: v, kwargs)),
                         next(pairs_in((args, kwargs))))  # fmt: skip
    if name in SINGULAR:
        return shared_value(run, args[0], func(args[0].full))
    raise NotInterpreted(name)


def call(func, args, kwargs, part):
    """Return a plain call with one part in place of every pair."""
    pick = (lambda p: getattr(p, part)) if isinstance(part, str) else part
    return func(*mapped(pick, args), **mapped(pick, kwargs))


def result(run, func, args, kwargs, rel, irr, full=None, axis=None):
    """Return the pair, laid out as plain torch lays the result out."""
    full = call(func, args, kwargs, "full") if full is None else full
    return Pair(run, full, _like(full, rel), _like(full, irr), axis)


def _like(full, part):
    part = part.expand(full.shape)
    if 0 in full.stride():
        return part.clone()
    room = torch.empty_strided(full.shape, full.stride(), dtype=full.dtype)
    return room.copy_(part)


# shares of a bias


def shares(run, a, c, bias_shape, axis, fallback=None, beside=None):
    """Return the relevant part's share of a bias, unit by unit.

    Parameters
    ----------
    a, c : torch.Tensor
        The linear operation of the relevant and of the other part.
    bias_shape : tuple of int
        Broadcastable; "channel" pools over the axes along which it is constant.
    axis : int or None
        Rows that are shared apart.
    fallback : float, optional
        Where the whole operation is 0 / 0, before the mask's own share.
    beside : torch.Tensor, optional
        What counts as 0 beside it is what round-off leaves.
    """
    eps = torch.finfo(a.abs().dtype).eps
    nothing = 0 if beside is None else 16 * eps * beside.abs().max()
    size_a, size_c = a.abs(), c.abs()
    every = [d for d in range(a.ndim) if d != axis]
    pool = []
    if run.bias == "channel":
        padded = (1,) * (a.ndim - len(bias_shape)) + tuple(bias_shape)
        pool = [d for d in every if padded[d] == 1]
    part, total = _sum(size_a, pool), _sum(size_a + size_c, pool)
    whole_part, whole = _sum(size_a, every), _sum(size_a + size_c, every)
    last = run.share if fallback is None else fallback
    few = size_a + size_c <= nothing
    few = few.all(pool, keepdim=True) if pool else few
    some = ~(few.all(every, keepdim=True) if every else few)
    over_all = torch.where(some, whole_part / torch.where(some, whole, 1), last)
    over_all = torch.where(over_all < NOISE, 0, over_all)
    over_all = torch.where(over_all > 1 - NOISE, 1, over_all)
    level = _mean(_sum((a + c).abs(), pool), every)
    none = few | (total <= 100 * eps * level)
    share = torch.where(none, over_all, part / torch.where(none, 1, total))
    settled = (over_all == 0) | (over_all == 1)
    return torch.where(settled, over_all, share)


def _sum(values, dims):
    return values.sum(dims, keepdim=True) if dims else values


def _mean(values, dims):
    return values.mean(dims, keepdim=True) if dims else values


def with_bias(run, a, c, b, axis, fallback=None, shape=None):
    """Return both parts with their shares of a bias."""
    b = b.expand(torch.broadcast_shapes(a.shape, b.shape))
    finite = torch.where(b.isinf(), 0, b)
    if run.bias == "context":
        return a, c + b
    shape = b.shape if shape is None else shape
    share = shares(run, a, c, shape, axis, fallback, finite)
    return a + share * finite, c + (b - share * finite)


def whole_share(run, pair):
    """Return the share of a value over its row."""
    every = [d for d in range(pair.full.ndim) if d != pair.axis]
    a, c = _sum(pair.rel.abs(), every), _sum(pair.irr.abs(), every)
    share = torch.where(a + c > 0, a / torch.where(a + c > 0, a + c, 1), run.share)
    share = torch.where(share < NOISE, 0, share)
    return torch.where(share > 1 - NOISE, 1, share)


# linear operations and averages


def linear(run, func, args, kwargs):
    """Apply what has no bias to every part."""
    parts = [call(func, args, kwargs, p) for p in ("full", "rel", "irr")]
    if isinstance(parts[0], torch.Tensor):
        return Pair(run, *parts)
    return type(parts[0])(Pair(run, *p) for p in zip(*parts, strict=True))


def affine(run, func, args, kwargs, bias_shape, axis, fallback=None):
    """Share the value at zero among the parts."""
    rel, irr = (call(func, args, kwargs, p) for p in ("rel", "irr"))
    b = call(func, args, kwargs, lambda p: torch.zeros_like(p.full))
    lift = torch.where(b.isinf(), 0, b)
    hidden = b.isinf()
    rel, irr = (torch.where(hidden, 0, p - lift) for p in (rel, irr))
    shape = b.shape if bias_shape is None else bias_shape
    if not b.any():
        return result(run, func, args, kwargs, rel, irr)
    parts = with_bias(run, rel, irr, b, axis, fallback, shape)
    return result(run, func, args, kwargs, *parts)


def _out_axis(run, args, kwargs):
    """Return the axis of merged rows, where all operands agree on it."""
    axes = {p.axis for p in pairs_in((args, kwargs))}
    if len(axes) > 1:
        raise NotInterpreted("operands that disagree about the rows")
    return axes.pop()


@rule("linear", "addmm")
def dense(run, func, args, kwargs):
    axis = _out_axis(run, args, kwargs)
    if func.__name__ == "addmm":
        return affine(run, func, args, kwargs, args[0].shape, axis)
    b = kwargs.get("bias", args[2] if len(args) > 2 else None)
    shape = () if b is None else b.shape
    return affine(run, func, args, kwargs, shape, axis)


@rule("conv1d", "conv2d", "conv_transpose1d")
def convolution(run, func, args, kwargs):
    b = kwargs.get("bias", args[2] if len(args) > 2 else None)
    spatial = args[1].ndim - 2
    shape = () if b is None else (len(b), *(1,) * spatial)
    return affine(run, func, args, kwargs, shape, _out_axis(run, args, kwargs))


@rule("batch_norm")
def batch_norm(run, func, args, kwargs):
    x = args[0]
    shape = (x.full.shape[1], *(1,) * (x.full.ndim - 2))
    return affine(run, func, args, kwargs, shape, x.axis)


@rule("add", "sub")
def add(run, func, args, kwargs):
    a, b = args
    axis = _out_axis(run, args, kwargs)
    if isinstance(a, Pair) and isinstance(b, Pair):
        return linear(run, func, args, kwargs)
    constant = b if isinstance(a, Pair) else a
    shape = constant.shape if isinstance(constant, torch.Tensor) else ()
    return affine(run, func, args, kwargs, shape, axis)


def join(run, func, args, kwargs):
    """Move parts; what is constant, or filled in, is shared like a bias."""
    first = next(pairs_in((args, kwargs)))
    axis = _out_axis(run, args, kwargs)
    full = call(func, args, kwargs, "full")
    fallback = whole_share(run, first) if first.full.ndim == full.ndim else None
    return affine(run, func, args, kwargs, None, axis, fallback)


@rule("fill", "zero")
def fill(run, func, args, kwargs):
    target = args[0]
    value = args[1] if len(args) > 1 else 0.0
    full = torch.full_like(target.full, value)
    share = 0 if run.bias == "context" else whole_share(run, target)
    return result(run, func, args, kwargs, share * full, (1 - share) * full, full)


@rule("copy")
def copy(run, func, args, kwargs):
    target, source = args[:2]
    if not isinstance(source, Pair):
        raise NotInterpreted("a constant that is copied")
    parts = (p.expand(target.full.shape).clone() for p in (source.rel, source.irr))
    full = source.full.expand(target.full.shape).clone()
    return result(run, func, args, kwargs, *parts, full)


@rule("__setitem__")
def write_item(run, func, args, kwargs):
    target, index, value = args
    if not isinstance(target, Pair):
        raise NotInterpreted("a write into a plain tensor")
    if isinstance(value, Pair):
        for part in ("full", "rel", "irr"):
            where, what = (mapped(lambda p: p.full, index), getattr(value, part))
            getattr(target, part)[where] = what.clone()
        return
    before = whole_share(run, target)
    index = mapped(_full, index)
    # an axis that is expanded is a single place in memory
    once = [d for d, stride in enumerate(target.full.stride()) if stride == 0]
    sizes = [1 if d in once else n for d, n in enumerate(target.full.shape)]
    b = torch.zeros(sizes, dtype=target.full.dtype).expand(target.full.shape)
    b[index] = value
    for part in (target.rel, target.irr):
        part[index] = 0
    target.full[index] = value
    if not b.any():
        return
    parts = with_bias(run, target.rel, target.irr, b, target.axis, before)
    for part, shared in zip((target.rel, target.irr), parts, strict=True):
        part[index] = shared[index]


# one value at a time


@rule("relu", "leaky_relu", "relu6", "clamp_min", "threshold", "clamp", "hardtanh")
def rectifier(run, func, args, kwargs):
    x = args[0]
    phi = lambda v: func(v, *args[1:], **kwargs)  # noqa: E731
    name = func.__name__.strip("_")
    bounds = [v for v in (*args[1:], *kwargs.values()) if v is not None]
    if name in ("clamp", "clamp_min", "threshold", "hardtanh"):
        low = kwargs.get("min", args[1] if len(args) > 1 else None)
        if low != 0 or len(bounds) > (2 if name == "threshold" else 1):
            return symmetric(run, phi, x)
    if run.nonlinearity == "relevant":
        full, rel = phi(x.full), phi(x.rel)
        return result(run, func, args, kwargs, rel, full - rel, full, x.axis)
    return symmetric(run, phi, x)


def symmetric(run, phi, x):
    """Average what a part does alone and what it does to the whole."""
    none, full = phi(torch.zeros_like(x.full)), phi(x.full)
    alone, rest = phi(x.rel), phi(x.irr)
    rel = 0.5 * (alone - none + full - rest)
    irr = 0.5 * (rest - none + full - alone)
    if run.bias == "context":
        share = torch.zeros(())
    elif none.any():
        share = shares(run, x.rel, x.irr, (), x.axis, beside=none)
    else:
        share = torch.zeros(())
    rel, irr = rel + share * none, irr + (1 - share) * none
    return Pair(run, full, _like(full, rel), _like(full, irr), x.axis)


def shared_value(run, x, full):
    """Share the whole value of what is singular at 0 as the argument is shared."""
    share = shares(run, x.rel, x.irr, full.shape, x.axis)
    parts = share * full, (1 - share) * full
    return Pair(run, full, *(_like(full, p) for p in parts), x.axis)


@rule("softmax", "log_softmax")
def softmax(run, func, args, kwargs):
    x = args[0]
    hidden = x.full <= -1e3
    if not hidden.any():
        return symmetric(run, lambda v: func(v, *args[1:], **kwargs), x)

    def phi(values):
        return func(torch.where(hidden, x.full, values), *args[1:], **kwargs)

    seen = Pair(run, *(torch.where(hidden, 0, p) for p in (x.full, x.rel, x.irr)))
    return symmetric(run, phi, seen)


@rule("pow")
def power(run, func, args, kwargs):
    x, n = args
    if not isinstance(x, Pair) or isinstance(n, Pair) or n != int(n) or n <= 0:
        raise NotInterpreted("a power that is not whole")
    return symmetric(run, lambda v: v**n, x)


@rule("norm", "var", "logsumexp")
def of_a_vector(run, func, args, kwargs):
    x = args[0]
    phi = lambda v: func(v, *args[1:], **kwargs)  # noqa: E731
    none, full, alone, rest = map(phi, (torch.zeros_like(x.full), x.full, x.rel, x.irr))
    if x.axis is not None:
        raise NotInterpreted("a statistic of merged rows")
    share = torch.zeros(()) if run.bias == "context" else whole_share(run, x)
    share = share.reshape(())
    rel = 0.5 * (alone - none + full - rest) + share * none
    irr = 0.5 * (rest - none + full - alone) + (1 - share) * none
    return Pair(run, full, _like(full, rel), _like(full, irr))


# products


@rule("mul", "matmul", "bmm", "einsum")
def product(run, func, args, kwargs):
    found = list(pairs_in(args))
    if len(found) == 1:
        return linear(run, func, args, kwargs)
    if len(found) > 2:
        raise NotInterpreted("a product of three")
    half = []
    for part in ("rel", "irr"):
        total = 0
        for chosen in (0, 1):
            seen = iter((0, 1))
            pick = lambda p, s=seen, c=chosen, w=part: (  # noqa: E731
                getattr(p, w) if next(s) == c else p.full
            )
            total = total + func(*mapped(pick, args), **kwargs)
        half.append(0.5 * total)
    return result(run, func, args, kwargs, *half)


@rule("div")
def quotient(run, func, args, kwargs):
    a, b = args
    if not isinstance(a, Pair):
        return shared_value(run, b, 1 / b.full) * a
    divisor = b.full if isinstance(b, Pair) else b
    return result(run, func, args, kwargs, a.rel / divisor, a.irr / divisor)


# winners


@rule("max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d")
def max_pool(run, func, args, kwargs):
    """Average the parts of the winners of every window."""
    x = args[0]
    kwargs = {k: v for k, v in kwargs.items() if k != "return_indices"}
    spatial = int(func.__name__.split("pool")[1][0])
    full = func(*mapped(_full, args), **kwargs)
    windows = _windows(x.full.shape[-spatial:], func, args[1:], kwargs)
    rel, irr = torch.zeros_like(full), torch.zeros_like(full)
    for at in torch.cartesian_prod(*map(torch.arange, full.shape[-spatial:])).reshape(
        -1, spatial
    ):
        place = (..., *at.tolist())
        inside = windows[tuple(at.tolist())]
        values = x.full.flatten(-spatial)[..., inside]
        wins = (values == values.amax(-1, keepdim=True)).to(values)
        wins = wins / wins.sum(-1, keepdim=True)
        for out, part in ((rel, x.rel), (irr, x.irr)):
            out[place] = (wins * part.flatten(-spatial)[..., inside]).sum(-1)
    return result(run, func, args, kwargs, rel, irr, full)


def _windows(sizes, func, args, kwargs):
    """Return the flat positions in every window, found by lighting one at a time."""
    count = math.prod(sizes)
    lit = torch.zeros(count, 1, *sizes, dtype=torch.float64)
    lit.reshape(count, -1).fill_diagonal_(1)
    seen = func(lit, *args, **kwargs)[:, 0] > 0
    places = torch.cartesian_prod(*map(torch.arange, seen.shape[1:]))
    places = places.reshape(-1, len(sizes)).tolist()
    return {tuple(p): seen[(slice(None), *p)].nonzero().flatten() for p in places}


@rule("amax", "amin", "max")
def extreme(run, func, args, kwargs):
    x, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim")
    if not isinstance(dim, int):
        raise NotInterpreted("an extreme over several axes")
    sign = -1 if func.__name__ == "amin" else 1
    keep = kwargs.get("keepdim", False)
    values = sign * x.full
    wins = (values == values.amax(dim, keepdim=True)).to(values)
    wins = wins / wins.sum(dim, keepdim=True)
    parts = ((wins * p).sum(dim, keepdim=keep) for p in (x.rel, x.irr))
    full = func(*mapped(_full, args), **kwargs)
    value = full if isinstance(full, torch.Tensor) else full[0]
    pair = Pair(run, value, *(_like(value, p) for p in parts))
    return pair if isinstance(full, torch.Tensor) else type(full)((pair, full[1]))


@rule("maximum")
def larger(run, func, args, kwargs):
    a, b = args
    full = call(func, args, kwargs, "full")
    wins, loses = ((v.full if isinstance(v, Pair) else v) == full for v in args)
    tied = wins & loses
    larger = join(run, torch.where, (wins, a, b), {})
    if not tied.any():
        return larger
    return join(run, torch.where, (tied, 0.5 * (a + b), larger), {})
