"""The operations that random programs are made of: views and writes."""

import torch

TEMPLATES = []


def template(weight=1.0):
    def register(function):
        TEMPLATES.append((function, weight))
        return function

    return register


def one_of(b, *choices):
    return b.rng.choice(choices)


def last(b, name):
    return b.value(name).shape[-1]


def sizes(b, name):
    return tuple(b.value(name).shape[1:])


# views


@template(2)
def part(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[1] > 1)
    size = b.value(h).shape[1]
    start = b.rng.randint(0, size - 1)
    stop = b.rng.randint(start + 1, size)
    b.let(
        b.spell(
            f"{h}[:, {start}:{stop}]",
            f"{h}.narrow(1, {start}, {stop - start})",
            f"torch.narrow({h}, 1, {start}, {stop - start})",
        )
    )


@template(1.5)
def two_parts(b):
    """Two views of one value, treated unlike and joined."""
    h = b.pick(2, 3, 4, where=lambda v: v.shape[1] > 1)
    size = b.value(h).shape[1]
    cut = b.rng.randint(1, size - 1)
    left, right = b.spell(
        (f"{h}[:, :{cut}]", f"{h}[:, {cut}:]"),
        tuple(f"{h}.split([{cut}, {size - cut}], 1)[{i}]" for i in (0, 1)),
    )
    one = b.let(f"torch.{one_of(b, 'tanh', 'relu', 'sin')}({left})")
    b.let(f"torch.cat([{one}, {right}], 1)")


@template(1.5)
def column(b):
    h = b.pick(2, 3, 4)
    i = b.rng.randrange(b.value(h).shape[1])
    b.let(b.spell(f"{h}[:, {i}]", f"{h}.select(1, {i})", f"{h}.unbind(1)[{i}]"))


@template()
def last_column(b):
    h = b.pick(2, 3, 4)
    i = b.rng.randrange(last(b, h))
    b.let(b.spell(f"{h}[..., {i}]", f"{h}.select(-1, {i})", f"{h}.unbind(-1)[{i}]"))


@template()
def column_back(b):
    """A vector of a number per row is given an axis again."""
    h = b.pick(1)
    b.let(b.spell(f"{h}[:, None]", f"{h}.unsqueeze(1)", f"{h}.view(-1, 1)"))


@template()
def chunk(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[-1] > 1)
    i = b.rng.randrange(2)
    b.let(
        b.spell(
            f"{h}.chunk(2, -1)[{i}]",
            f"{h}.split({-(-last(b, h) // 2)}, -1)[{i}]",
        )
    )


@template()
def every_second(b):
    h = b.pick(2, 3, 4, where=lambda v: v.shape[1] > 1)
    b.let(one_of(b, f"{h}[:, ::2]", f"{h}[..., ::2]", f"{h}[:, 1::2]"))


@template(1.5)
def turn(b):
    h = b.pick(3, 4)
    if b.value(h).ndim == 3:
        b.let(b.spell(f"{h}.transpose(1, 2)", f"{h}.mT", f"{h}.permute(0, 2, 1)"))
    else:
        b.let(
            one_of(
                b,
                f"{h}.permute(0, 2, 3, 1)",
                b.spell(f"{h}.movedim(1, 2)", f"{h}.transpose(1, 2)"),
                f"{h}.mT",
            )
        )


@template(1.5)
def flatten(b):
    h = b.pick(3, 4)
    b.let(
        b.spell(
            f"{h}.flatten(1)",
            f"{h}.reshape(len(x), -1)",
            f"torch.flatten({h}, 1)",
            f"nn.Flatten()({h})",
        )
    )


@template()
def split_axis(b):
    h = b.pick(2, 3, where=lambda v: v.shape[1] in (4, 6, 8, 9))
    size = b.value(h).shape[1]
    first = 3 if size == 9 else 2
    rest = "".join(f", {s}" for s in sizes(b, h)[1:])
    b.let(
        b.spell(
            f"{h}.unflatten(1, ({first}, {size // first}))",
            f"{h}.reshape(-1, {first}, {size // first}{rest})",
        )
    )


@template()
def new_axis(b):
    h = b.pick(2, 3)
    b.let(b.spell(f"{h}.unsqueeze(1)", f"{h}[:, None]"))


@template()
def widen(b):
    h = b.pick(2, 3)
    rest = ", -1" * (b.value(h).ndim - 1)
    b.let(
        one_of(
            b,
            f"{h}.unsqueeze(1).expand(-1, 2{rest})",
            f"{h}.repeat(1, 2{', 1' * (b.value(h).ndim - 2)})",
            f"{h}.repeat_interleave(2, 1)",
        )
    )


@template()
def reorder(b):
    h = b.pick(2, 3, 4)
    size = b.value(h).shape[1]
    order = [b.rng.randrange(size) for _ in range(b.rng.randint(1, size))]
    b.let(
        one_of(
            b,
            f"{h}.flip(1)",
            f"{h}.roll(1, -1)",
            b.spell(f"{h}[:, {order}]", f"{h}.index_select(1, torch.tensor({order}))"),
            f"{h}.tril()" if b.value(h).ndim > 2 else f"{h}.flip(-1)",
        )
    )


@template()
def windows(b):
    h = b.pick(2, 3, where=lambda v: v.shape[-1] > 2)
    # writing where windows overlap has no defined result
    b.let(f"{h}.unfold(-1, 2, {one_of(b, 2, '1).clone(')})")


@template()
def diagonal(b):
    h = b.pick(3, 4)
    b.let(f"{h}.diagonal(0, -2, -1)")


@template()
def samples_last(b):
    """The samples go to another axis and come back."""
    h = b.pick(2, 3)
    turned = b.let(b.spell(f"{h}.transpose(0, 1)", f"{h}.movedim(0, 1)"))
    name = one_of(b, "tanh", "relu", "sigmoid")
    moved = f"torch.{name}({turned} {one_of(b, '+ 0.3', '- 0.2', '* 1.5')})"
    if b.rng.random() < 0.4 and b.value(h).ndim == 3:
        w, c = b.weight(b.rng.randint(2, 4), last(b, h)), b.weight(3)
        c = c if b.value(w).shape[0] == 3 else None
        moved = f"F.linear({turned}, {w}, {c})"
    b.let(f"{b.let(moved)}.transpose(0, 1)")


@template()
def rows_merged(b):
    """The axes between join the samples for a linear layer."""
    h = b.pick(3, 4)
    *between, size = sizes(b, h)
    w, c = b.weight(3, size), b.weight(3)
    merged = b.let(f"{h}.reshape(-1, {size})")
    out = b.let(f"F.linear({merged}, {w}, {one_of(b, c, 'None')})")
    b.let(f"{out}.reshape(len(x), {', '.join(map(str, between))}, 3)")


@template(0.2)
def row_by_row(b):
    h = b.pick(2, 3)
    b.let(f"torch.stack([row.tanh() for row in {h}])")


# writes


def _reads_what_it_writes(target, other):
    """Tell whether an element of the target is another element of the operand.

    What such a write reads depends on the order in which torch takes the elements.
    """
    if target.untyped_storage().data_ptr() != other.untyped_storage().data_ptr():
        return False
    mine, its = (_places(value) for value in (target, other))
    return bool(((mine != its) & torch.isin(its, mine)).any())


def _places(value):
    """Return where in memory every element is."""
    room = torch.arange(value.untyped_storage().nbytes() // value.element_size())
    return room.as_strided(value.shape, value.stride(), value.storage_offset())


@template(2)
def written(b):
    h = b.pick(1, 2, 3, 4)
    like = [n for n in b.names if b.value(n).shape == b.value(h).shape and n != h]
    like = [n for n in like if not _reads_what_it_writes(b.value(h), b.value(n))]
    other = b.rng.choice(like) if like else "0.4"
    b.run(
        one_of(
            b,
            f"{h}.relu_()",
            f"F.relu({h}, inplace=True)",
            f"{h}.add_(0.3)",
            f"{h}.add_({other})",
            f"{h}.mul_(1.5)",
            f"{h}.tanh_()",
            f"{h}.clamp_(min=0)",
            f"{h} += {other}",
            f"{h} *= 0.5",
            f"{h}.masked_fill_(torch.arange({last(b, h)}) % 3 == 1, 0.2)",
        )
    )


@template(2)
def written_through_a_view(b):
    h = b.pick(2, 3, 4)
    size = b.value(h).shape[1]
    i = b.rng.randrange(size)
    view = one_of(
        b,
        f"{h}[:, {i}]",
        f"{h}[:, {i}:]",
        f"{h}[..., 0]",
        f"{h}[:, ::2]",
        f"{h}.transpose(0, 1)",
        f"{h}.mT",
        f"{h}.unbind(1)[{i}]",
        f"{h}.view(len(x), -1)",
        f"{h}.flatten(1)",
    )
    how = one_of(b, "relu_()", "add_(0.3)", "mul_(-0.7)", "tanh_()", "sigmoid_()")
    b.run(f"{view}.{how}")


@template(1.5)
def item_written(b):
    h = b.pick(2, 3, 4)
    size = b.value(h).shape[1]
    i, j = b.rng.randrange(size), b.rng.randrange(size)
    b.run(
        one_of(
            b,
            f"{h}[:, {i}] = 0.5",
            f"{h}[:, {i}] = {h}[:, {j}].tanh()",
            f"{h}[:, {i}:] = 0.0",
            f"{h}[..., 0] = {h}[..., -1] * 2",
            f"{h}[:, {i}].fill_(0.3)",
            f"{h}[:, {i}].zero_()",
            f"{h}[:, {i}].copy_({h}[:, {j}].clone())",
            f"{h}[:, [{i}]] += 1.5",
            f"{h}[:, {i}] *= {h}[:, {j}]",
        )
    )


@template()
def written_where_masked(b):
    h = b.pick(2, 3, 4)
    b.traits.add("asks")
    b.run(
        one_of(
            b,
            f"{h}[{h} > 0.6] = 0.1",
            f"{h}.masked_fill_({h} < -0.5, 0.2)",
            f"{h}[{h} < 0] = 0.0",
        )
    )


@template(0.7)
def copy_written(b):
    h = b.pick(2, 3, 4)
    new = b.let(f"{h}.{one_of(b, 'clone()', 'contiguous()')}")
    b.run(f"{new}{one_of(b, '.relu_()', '.add_(0.2)', '[:, 0] = 0.5')}")
