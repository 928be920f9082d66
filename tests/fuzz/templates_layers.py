"""The operations that random programs are made of: layers, and how they end."""

from tests.fuzz.programs import ROWS
from tests.fuzz.templates import last, one_of, sizes, template

# affine


@template(3)
def linear(b):
    h = b.pick(2, 3, 4)
    # as many as there are channels: what takes one axis for another is not noticed
    out = one_of(b, b.rng.randint(2, 6), sizes(b, h)[0])
    w, c = b.weight(out, last(b, h)), b.weight(out)
    if b.rng.random() < 0.3:
        b.let(b.spell(f"F.linear({h}, {w})", f"{h} @ {w}.T", f"{h}.matmul({w}.mT)"))
        return
    two = b.value(h).ndim == 2
    b.let(
        b.spell(
            f"F.linear({h}, {w}, {c})",
            f"{h} @ {w}.T + {c}",
            f"torch.matmul({h}, {w}.T).add({c})",
            f"torch.addmm({c}, {h}, {w}.T)" if two else f"F.linear({h}, {w}, {c})",
        )
    )


@template(1.5)
def siamese(b):
    """One layer sees two views."""
    h = b.pick(2, 3, where=lambda v: v.shape[-1] in (4, 6, 8))
    half = last(b, h) // 2
    w, c = b.weight(3, half), b.weight(3)
    left = b.let(f"F.linear({h}[..., :{half}], {w}, {c})")
    right = b.let(f"F.linear({h}[..., {half}:], {w}, {c})")
    b.let(one_of(b, f"{left} * {right}", f"{left}.relu() - {right}"))


@template(2)
def convolution_1d(b):
    h = b.pick(3, where=lambda v: v.shape[-1] > 2)
    channels = sizes(b, h)[0]
    w = b.weight(b.rng.randint(2, 3), channels, one_of(b, 1, 2, 3))
    c = b.weight(b.value(w).shape[0])
    options = one_of(b, "", ", padding=1", ", stride=2", ", padding=2, dilation=2")
    b.let(f"F.conv1d({h}, {w}, {one_of(b, c, c, 'None')}{options})")


@template(2)
def convolution_2d(b):
    h = b.pick(4)
    w = b.weight(b.rng.randint(2, 3), sizes(b, h)[0], 2, one_of(b, 1, 2))
    c = b.weight(b.value(w).shape[0])
    options = one_of(b, "", ", padding=1", ", stride=2", ", padding=1, dilation=2")
    b.let(f"F.conv2d({h}, {w}, {one_of(b, c, c, 'None')}{options})")


@template(1.2)
def one_kernel_twice(b):
    """The same weight with another stride or dilation."""
    h = b.pick(3, where=lambda v: v.shape[-1] >= 5)
    w = b.weight(2, sizes(b, h)[0], 3)
    first = b.let(f"F.conv1d({h}, {w}, padding=1)")
    again = one_of(b, "padding=2, dilation=2", "padding=3, dilation=3")
    second = b.let(f"F.conv1d({h}, {w}, {again})")
    b.let(one_of(b, f"{first} + {second}.tanh()", f"torch.cat([{first}, {second}], 1)"))


@template()
def transposed_convolution(b):
    h = b.pick(3)
    w, c = b.weight(sizes(b, h)[0], 2, 3), b.weight(2)
    b.let(f"F.conv_transpose1d({h}, {w}, {one_of(b, c, 'None')}, stride=2)")


@template(1.5)
def batch_norm(b):
    h = b.pick(2, 3, 4)
    dims = b.value(h).ndim - 2 or 1
    m = b.layer(f"nn.BatchNorm{dims}d({sizes(b, h)[0]})")
    b.let(f"{m}({h})")


@template(1.5)
def constant(b):
    h = b.pick(1, 2, 3, 4)
    rank = b.value(h).ndim
    shape = sizes(b, h)
    number = one_of(b, "0.3", "1.5", "-0.7")
    if rank > 1 and b.rng.random() < 0.6:
        per_channel = (shape[0], *(1,) * (rank - 2))
        number = b.weight(*one_of(b, per_channel, shape[-1:], shape))
    sign, name = one_of(b, ("+", "add"), ("-", "sub"), ("*", "mul"))
    choices = [f"{h} {sign} {number}", f"torch.{name}({h}, {number})"]
    choices.append(f"{h}.{name}({number})")
    b.let(b.spell(*choices))


@template()
def other_arithmetic(b):
    h = b.pick(1, 2, 3, 4)
    b.let(one_of(b, f"-{h}", f"1 - {h}", f"{h} / 2.5", f"0.2 + {h}", f"3 * {h}"))


@template()
def differences(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[-1] > 2)
    b.let(one_of(b, f"{h}.cumsum(-1)", f"torch.diff({h}, dim=-1)", f"{h}.cumsum(1)"))


@template(1.2)
def average(b):
    h = b.pick(2, 3, 4)
    keep = one_of(b, "", ", keepdim=True")
    dim = one_of(b, 1, -1) if b.value(h).ndim < 4 else one_of(b, 1, -1, (2, 3))
    name = one_of(b, "mean", "sum")
    b.let(b.spell(f"{h}.{name}({dim}{keep})", f"torch.{name}({h}, dim={dim}{keep})"))


# complex values


@template(3)
def spectrum(b):
    h = b.pick(2, 3, where=lambda v: v.shape[-1] > 2)
    norm = one_of(b, "", ", norm='ortho'")
    b.let(f"torch.fft.{one_of(b, 'rfft', 'fft')}({h}{norm})")


@template(6)
def of_spectrum(b):
    h = b.pick(2, 3, 4, complex_=True)
    i = b.rng.randrange(b.value(h).shape[1])
    real = b.weight(last(b, h))
    b.let(
        one_of(
            b,
            f"{h}.abs()",
            f"torch.view_as_real({h})",
            f"torch.view_as_real({h}.resolve_conj()).flatten(-2)",
            f"torch.fft.irfft({h})",
            f"torch.fft.ifft({h}).real",
            f"{h}.real",
            f"{h}.imag",
            f"{h}.conj()",
            f"{h} * {real}",
            f"{h} * torch.complex({real}, {real} + 0.3)",
            f"{h}[:, {i}:]",
            f"torch.cat([{h}, {h}.conj()], -1)",
            f"torch.stack([{h}.real, {h}.imag], 1)",
            f"{h}.real * {h}.imag",
        )
    )


# masks and joins


@template(1.5)
def masked(b):
    h = b.pick(2, 3, 4)
    m = f"(torch.arange({last(b, h)}) % 2 == {b.rng.randrange(2)})"
    c = one_of(b, "0.0", "0.5", "-1.0")
    b.let(
        b.spell(
            f"torch.where({m}, {c}, {h})",
            f"{h}.masked_fill({m}, {c})",
        )
    )


@template(1.2)
def asked(b):
    h = b.pick(1, 2, 3, 4)
    like = [n for n in b.names if b.value(n).shape == b.value(h).shape]
    g = b.rng.choice(like)
    b.traits.add("asks")
    b.let(
        one_of(
            b,
            f"torch.where({h} > 0.1, {h}, {g} * 0.5)",
            f"torch.where({h} > {g}, {h}, 0.3)",
            f"{h}.masked_fill({h} > 0.5, 0.5)",
            f"{h} * ({h} > 0)",
        )
    )


def _alike(b, h):
    shape = b.value(h).shape
    names = [n for n in b.names if b.value(n).shape == shape]
    return b.rng.choice([n for n in names if not b.value(n).is_complex()])


@template(2)
def joined(b):
    h = b.pick(2, 3, 4)
    g = _alike(b, h)
    b.let(
        one_of(
            b,
            f"torch.cat([{h}, {g}], 1)",
            f"torch.stack([{h}, {g}], 1)",
            f"torch.stack([{h}, {g}], -1)",
            f"torch.cat([{h}, {g}.tanh()], -1)",
            f"torch.cat([{h}, -{g}], {b.value(h).ndim - 1})",
        )
    )


@template()
def padded(b):
    h = b.pick(2, 3, 4)
    c = b.weight(last(b, h))
    rest = ", ".join(("len(x)", *map(str, sizes(b, h))))
    b.let(
        one_of(
            b,
            f"F.pad({h}, (1, 0))",
            f"F.pad({h}, (1, 1), value=0.4)",
            f"torch.cat([{h}, {c}.expand({rest})], 1)",
            f"torch.cat([{h}, torch.zeros_like({h})], -1)",
        )
    )


# recurrent layers and attention


@template(2)
def recurrent(b):
    h = b.pick(3, where=lambda v: v.shape[1] <= 6)
    kind = one_of(b, "LSTM", "GRU", "RNN")
    more = one_of(b, "", "", ", bidirectional=True", ", bias=False")
    m = b.layer(f"nn.{kind}({last(b, h)}, 3, batch_first=True{more})")
    b.let(one_of(b, f"{m}({h})[0]", f"{m}({h})[0][:, -1]"))


@template(1.5)
def cells(b):
    h = b.pick(3)
    kind = one_of(b, "GRUCell", "LSTMCell", "RNNCell")
    m = b.layer(f"nn.{kind}({last(b, h)}, 3)")
    state = None
    for t in range(min(3, sizes(b, h)[0])):
        given = "" if state is None else f", {state}"
        b.count += 1
        state = f"s{b.count}"
        b.run(f"{state} = {m}({h}[:, {t}]{given})")
    b.let(f"{state}[0]" if kind == "LSTMCell" else f"{state} * 1")


@template(1.2)
def attention(b):
    h = b.pick(3, where=lambda v: v.shape[1] <= 6)
    w = b.weight(6, last(b, h))
    causal = one_of(b, "", ", is_causal=True")
    qkv = b.let(f"F.linear({h}, {w})")
    q, k, v = (f"{qkv}[..., {2 * i}:{2 * i + 2}]" for i in range(3))
    hand = f"torch.softmax({q} @ {k}.mT / 2**0.5, -1) @ {v}"
    library = f"F.scaled_dot_product_attention({q}, {k}, {v}{causal})"
    b.let(library if causal else b.spell(hand, library))


@template(0.8)
def many_heads(b):
    h = b.pick(3, where=lambda v: v.shape[-1] in (2, 4, 6) and v.shape[1] <= 6)
    m = b.layer(f"nn.MultiheadAttention({last(b, h)}, 2, batch_first=True)")
    b.let(f"{m}({h}, {h}, {h}, need_weights=False)[0]")


# pools, norms, nonlinearities


@template(1.5)
def max_pool(b):
    h = b.pick(3, 4, where=lambda v: min(v.shape[2:]) >= 2)
    d = b.value(h).ndim - 2
    b.let(
        one_of(
            b,
            f"F.max_pool{d}d({h}, 2)",
            f"F.max_pool{d}d({h}, 2, 1)",
            f"F.max_pool{d}d({h}, 3, 1, 1)",
            f"F.adaptive_max_pool{d}d({h}, 2)",
            f"F.avg_pool{d}d({h}, 2, 1)",
            f"F.adaptive_avg_pool{d}d({h}, 2)",
            f"nn.MaxPool{d}d(2)({h})",
        )
    )


@template()
def largest(b):
    h = b.pick(2, 3, 4)
    b.let(
        one_of(
            b,
            b.spell(f"{h}.amax(-1)", f"{h}.max(-1).values", f"{h}.max(-1)[0]"),
            f"{h}.amin(1, keepdim=True)",
            f"torch.maximum({h}, {h}.flip(-1))",
            f"torch.maximum({h}, torch.tensor(0.2, dtype=torch.float64))",
        )
    )


@template(1.5)
def norm(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[-1] > 2)
    size, channels = last(b, h), sizes(b, h)[0]
    w, c = b.weight(size), b.weight(size)
    layer = b.spell(
        f"F.layer_norm({h}, ({size},), {w}, {c})",
        f"torch.layer_norm({h}, ({size},), {w}, {c})",
    )
    rms = f"F.rms_norm({h}, ({size},), {w})"
    if b.value(h).ndim == 2:
        b.let(one_of(b, layer, rms))
        return
    v, d = b.weight(channels), b.weight(channels)
    group = f"F.group_norm({h}, 1, {v}, {d})"
    instance = f"F.instance_norm({h}, None, None, {v}, {d})"
    b.let(one_of(b, layer, rms, group, instance))


@template(2.5)
def relu(b):
    h = b.pick(1, 2, 3, 4)
    b.let(
        b.spell(
            f"torch.relu({h})",
            f"{h}.relu()",
            f"F.relu({h})",
            f"{h}.clamp(min=0)",
            f"torch.clamp({h}, 0)",
            f"{h}.clamp_min(0)",
            f"F.threshold({h}, 0, 0)",
            f"nn.ReLU()({h})",
            f"F.relu({h}.clone(), inplace=True)",
            f"{h}.clone().relu_()",
        )
    )


@template(2.5)
def nonlinear(b):
    h = b.pick(1, 2, 3, 4)
    b.let(
        one_of(
            b,
            f"F.gelu({h})",
            f"F.gelu({h}, approximate='tanh')",
            b.spell(f"{h}.tanh()", f"torch.tanh({h})", f"F.tanh({h})"),
            b.spell(f"{h}.sigmoid()", f"torch.sigmoid({h})", f"F.sigmoid({h})"),
            f"F.silu({h})",
            f"F.softplus({h})",
            f"F.elu({h})",
            f"F.leaky_relu({h}, 0.1)",
            f"F.relu6({h})",
            f"{h}.sin()",
            f"{h}.abs()",
            f"{h}.square()",
            f"{h} ** 2",
            f"{h}.clamp(-0.5, 1.0)",
            f"torch.exp(-{h}.abs())",
            f"({h}.square() + 0.5).sqrt()",
            f"({h}.abs() + 0.5).log()",
        )
    )


@template()
def weights_of_one(b):
    h = b.pick(2, 3, 4)
    dim = one_of(b, -1, 1)
    b.let(b.spell(f"{h}.softmax({dim})", f"torch.softmax({h}, {dim})"))


# products


@template(2)
def product(b):
    h = b.pick(1, 2, 3, 4)
    g = _alike(b, h)
    choices = [
        f"{h} * {g}",
        f"{h} * {g}.sigmoid()",
        f"{h} + {g}",
        f"{h} - 0.5 * {g}",
        f"{h} / (1 + {g}.abs())",
        f"{h} + {h}",
    ]
    # the last axis of a vector is that of the rows
    if b.value(h).ndim > 1:
        choices.append(f"{h} * {h}.mean(-1, keepdim=True)")
        choices.append(f"{h} - {h}.mean(-1, keepdim=True)")
    b.let(one_of(b, *choices))


@template(1.2)
def matrix_product(b):
    h = b.pick(3)
    g = _alike(b, h)
    b.let(
        one_of(
            b,
            b.spell(f"{h} @ {g}.mT", f"torch.einsum('nij,nkj->nik', {h}, {g})"),
            f"{h}.mT @ {g}",
            f"torch.einsum('nij,nij->nj', {h}, {g})",
            f"torch.bmm({h}, {g}.transpose(1, 2))",
        )
    )


@template()
def statistic(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[-1] > 2)
    b.let(
        one_of(
            b,
            f"{h}.var(-1)",
            f"{h}.var(-1, keepdim=True)",
            f"({h} + 0.1).norm(dim=-1)",
            f"{h}.logsumexp(-1)",
            f"F.normalize({h} + 0.1, dim=-1)",
        )
    )


def finish(b):
    """Join late values into (n, k) and return what the program returns."""
    names = [n for n in b.names if not b.value(n).is_complex()]
    names = [n for n in names if b.value(n).shape[:1] == (ROWS,)]
    kept = names[-1:]
    if len(names) > 2 and b.rng.random() < 0.5:
        kept = [*kept, b.rng.choice(names[:-1])]
    flat = [f"{n}.reshape(len(x), -1)" for n in kept]
    out = b.let(f"torch.cat([{', '.join(flat)}], 1)" if len(flat) > 1 else flat[0])
    if b.rng.random() < 0.7:
        k = b.rng.randint(1, 3)
        w, c = b.weight(k, last(b, out)), b.weight(k)
        return b.let(f"F.linear({out}, {w}, {c})")
    # a softmax or sigmoid must not end the program: what ends it is explained apart
    return b.let(f"{out} * 1.5")
