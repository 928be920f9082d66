"""Random programs of a few operations: readable source, a function of the seed alone.

Every program maps (n, ...) to (n, k) and treats its rows apart from each other; what
plain torch refuses, or takes to numbers that are not finite, is drawn again.
"""

import random
import re
import warnings
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

LARGEST = 1e4
# while a program is drawn: no other axis is as long
ROWS = 13
INPUTS = ("normal", "zero border", "rounded", "zero row")


class Rejected(Exception):
    """The drawn operation does not fit the values at hand."""


@dataclass(frozen=True)
class Program:
    """Straight-line source over an input `x`.

    Attributes
    ----------
    seed, n_rows : int
    shape : tuple of int
        Of one row of the input.
    kind : str
        Which input, one of `INPUTS`.
    setup, body : tuple of str
        The statements that make weights, and those of the program.
    result : str
        What it returns.
    traits : frozenset of str
        What a check must know, such as "asks" for a mask that depends on values.
    """

    seed: int
    n_rows: int
    shape: tuple[int, ...]
    kind: str
    setup: tuple[str, ...]
    body: tuple[str, ...]
    result: str
    traits: frozenset[str] = frozenset()

    def __str__(self):
        head = f"# seed {self.seed}: x {(self.n_rows, *self.shape)}, {self.kind}"
        body = [f"    {line}" for line in (*self.body, f"return {self.result}")]
        return "\n".join([head, *self.setup, "def program(x):", *body])

    def build(self):
        """Return the program as a function of torch."""
        space = namespace()
        exec("\n".join(self.setup), space)
        exec(str(self), space)
        return space["program"]

    def writes(self, x):
        """Return how often every value is written to, through whatever view."""
        space, counts = namespace() | {"x": x.clone()}, {"x": 0}
        for line in (*self.setup, *self.body):
            exec(line, space)
            name = line.split(" = ")[0]
            if re.fullmatch(r"h\d+", name):
                # torch itself may have written on the way to it
                counts[name] = -space[name]._version
        return {name: count + space[name]._version for name, count in counts.items()}

    def inputs(self, n_rows=None):
        """Return its input; the first rows are the same for any number of them."""
        return drawn_input(self.seed, n_rows or self.n_rows, self.shape, self.kind)


def namespace():
    return {"torch": torch, "F": F, "nn": nn, "draw": draw, "module": module}


def draw(seed, *shape):
    """Draw a weight."""
    generator = torch.Generator().manual_seed(seed)
    return 0.7 * torch.randn(shape, generator=generator, dtype=torch.float64)


def module(seed, layer):
    """Give a layer weights and statistics of its own, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double().eval()
    for name, value in (*layer.named_parameters(), *layer.named_buffers()):
        if value.is_floating_point():
            new = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            value.data = new.square() + 0.5 if "var" in name else 0.6 * new
    return layer.requires_grad_(False)


def drawn_input(seed, n_rows, shape, kind):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, *shape, generator=generator, dtype=torch.float64)[:n_rows]
    if kind == "zero border":
        x[..., : shape[-1] // 2] = 0
    elif kind == "rounded":
        x = (2 * x).round() / 2
    elif kind == "zero row":
        x[0] = 0
    return x


class Builder:
    """A program in the making: its statements run as they are added."""

    def __init__(self, seed, spelling=0):
        self.seed = seed
        self.rng = random.Random(seed)
        self.spelling = random.Random(f"{seed} {spelling}")
        self.setup, self.body, self.traits = [], [], set()
        self.space = namespace()
        self.shape = self._draw_shape()
        self.kind = self.rng.choices(INPUTS, (6, 2, 2, 1))[0]
        self.space["x"] = drawn_input(seed, ROWS, self.shape, self.kind)
        self.names = ["x"]
        self.count = 0

    def _draw_shape(self):
        r = self.rng.randint
        return self.rng.choice(
            [
                (r(4, 9),),
                (r(1, 4), r(5, 9)),
                (r(3, 5), r(4, 6)),
                (r(1, 3), r(4, 6), r(4, 6)),
            ]
        )

    def value(self, name):
        return self.space[name]

    def pick(self, *ranks, complex_=False, where=None):
        """Return the name of a value of one of the ranks, mostly a late one."""

        def fits(name):
            v = self.value(name)
            good = (not ranks or v.ndim in ranks) and v.is_complex() == complex_
            return good and v.shape[0] == ROWS and (where is None or where(v))

        names = [name for name in self.names if fits(name)]
        if not names:
            raise Rejected
        late = self.rng.random() < 0.75
        return self.rng.choice(names[-2:] if late else names)

    def spell(self, *spellings):
        """Return one of several spellings of the same operation."""
        return self.spelling.choice(spellings)

    def weight(self, *shape):
        """Return the name of a weight: an old one of that shape, or a new one."""
        old = [n for n, v in self.space.items() if n[0] == "w" and v.shape == shape]
        if old and self.rng.random() < 0.5:
            return self.rng.choice(old)
        return self._set_up("w", f"draw({self.rng.randrange(10**6)}, {_list(shape)})")

    def layer(self, expression):
        """Return the name of a layer of torch.nn: an old one like it, or a new one."""
        old = [s.split(" = ")[0] for s in self.setup if s.endswith(f", {expression})")]
        if old and self.rng.random() < 0.5:
            return self.rng.choice(old)
        return self._set_up("m", f"module({self.rng.randrange(10**6)}, {expression})")

    def _set_up(self, letter, expression):
        name = f"{letter}{len(self.setup)}"
        self.setup.append(f"{name} = {expression}")
        exec(self.setup[-1], self.space)
        return name

    def let(self, expression):
        """Add a value to the program and return its name."""
        self.count += 1
        name = f"h{self.count}"
        self.run(f"{name} = {expression}")
        if not isinstance(self.value(name), torch.Tensor):
            self.body.pop()
            raise Rejected
        self.names.append(name)
        return name

    def run(self, statement):
        """Add a statement; values must stay finite and small."""
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("error")
                exec(statement, self.space)
        except (RuntimeError, TypeError, ValueError, IndexError, Warning) as error:
            raise Rejected from error
        self.body.append(statement)

    def sound(self):
        """Tell whether every value is finite and of a tame size."""
        values = [self.value(n) for n in self.names]
        return all(v.numel() and bool((v.abs() < LARGEST).all()) for v in values)


def _list(shape):
    return ", ".join(map(str, shape))


@cache
def generate(seed, spelling=0):
    """Return the program of a seed, in one of its spellings.

    Parameters
    ----------
    seed : int
    spelling : int
        Programs of one seed and other spellings do the same.
    """
    for attempt in range(1000):
        program = _attempt(seed + 10**7 * attempt, spelling)
        if program is not None and is_valid(program):
            return program
    raise RuntimeError(f"no valid program of seed {seed}")


def _attempt(seed, spelling):
    from tests.fuzz.templates import TEMPLATES
    from tests.fuzz.templates_layers import finish

    builder = Builder(seed, spelling)
    rng = builder.rng
    templates, weights = zip(*TEMPLATES, strict=True)
    wanted = rng.randint(3, 10)
    for _ in range(60):
        mark = len(builder.body), len(builder.names)
        try:
            rng.choices(templates, weights)[0](builder)
            wanted -= 1
        except Rejected:
            if len(builder.body) > mark[0]:
                return None
        if not builder.sound():
            return None
        if not wanted:
            break
    try:
        result = finish(builder)
    except Rejected:
        return None
    return Program(
        builder.seed,
        rng.choice((1, 2, 5)),
        builder.shape,
        builder.kind,
        tuple(builder.setup),
        tuple(builder.body),
        result,
        frozenset(builder.traits),
    )


def is_valid(program):
    """Tell whether plain torch runs it, to finite numbers, row by row alike."""
    f = program.build()
    try:
        with torch.no_grad():
            x = program.inputs(max(program.n_rows, 2))
            whole = f(x.clone())
            alone = [f(x[i : i + 1].clone()) for i in range(len(x))]
            # a view of one row may be a copy of several, even where no value tells
            alike = program.writes(x) == program.writes(x[:1])
    except (RuntimeError, TypeError, ValueError, IndexError):
        return False
    good = whole.ndim == 2 and whole.is_floating_point() and whole.numel() > 0
    good = good and bool((whole.abs() < LARGEST).all()) and bool(whole.any())
    if not good or not alike or any(a.shape != (1, whole.shape[1]) for a in alone):
        return False
    return torch.allclose(torch.cat(alone), whole, rtol=1e-9, atol=1e-10)
