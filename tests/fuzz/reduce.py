"""Makes a failing program small: statements go while it still fails."""

import re
from dataclasses import replace

from tests.fuzz.programs import is_valid


def reduced(program, fails):
    """Return a smaller program that fails too.

    Parameters
    ----------
    program : Program
    fails : callable
        Tells whether a valid program fails.
    """
    program = replace(program, kind=program.kind)
    while True:
        smaller = next((c for c in _smaller(program) if _still(c, fails)), None)
        if smaller is None:
            return program
        program = smaller


def _still(candidate, fails):
    try:
        return is_valid(candidate) and fails(candidate)
    except Exception:
        return False


def _smaller(program):
    """Yield programs with a row, a statement or a result less."""
    if program.n_rows > 1:
        yield replace(program, n_rows=program.n_rows - 1)
    if program.kind != "normal":
        yield replace(program, kind="normal")
    for i in reversed(range(len(program.body))):
        name, _, value = program.body[i].partition(" = ")
        if re.fullmatch(r"h\d+", name):
            yield from _without_value(program, i, name)
            shorter = replace(program, body=program.body[:i], result=_flat(value))
            if "x" in value or "h" in value:
                yield from _results(shorter, i, name)
        else:
            body = program.body[:i] + program.body[i + 1 :]
            yield _pruned(replace(program, body=body))


def _without_value(program, i, name):
    """Take an earlier value instead of one."""
    before = ["x", *re.findall(r"^(h\d+) =", "\n".join(program.body[:i]), re.M)]
    for other in reversed(before):
        swap = re.compile(rf"\b{name}\b")
        rest = tuple(swap.sub(other, line) for line in program.body[i + 1 :])
        result = swap.sub(other, program.result)
        yield _pruned(replace(program, body=program.body[:i] + rest, result=result))


def _results(program, i, name):
    value = program.result
    if value != _flat(value):
        return
    yield _pruned(program)


def _flat(value):
    return f"({value}).reshape(len(x), -1)"


def _pruned(program):
    """Leave out weights that are not used."""
    text = "\n".join((*program.body, program.result))
    setup = tuple(
        line
        for line in program.setup
        if re.search(rf"\b{line.split(' = ')[0]}\b", text)
    )
    return replace(program, setup=setup)
