"""A slice of the random programs; `python -m tests.fuzz` runs the rest."""

import warnings

import pytest

from tests.fuzz.checks import check
from tests.fuzz.programs import generate

# seeds and the methods whose identities they are checked for
SLICES = {
    "cd": range(0, 120),
    "deeplift": range(120, 180),
    "lrp": range(400, 450),
    "guided_backprop": range(180, 240),
    "deconvnet": range(240, 280),
    "endings": range(280, 320),
    "mixtures": range(320, 400),
}
BATCH = 10


def batches():
    for method, seeds in SLICES.items():
        for start in range(0, len(seeds), BATCH):
            yield method, seeds[start : start + BATCH]


@pytest.mark.parametrize(("method", "seeds"), list(batches()))
def test_identities(method, seeds):
    for seed in seeds:
        program = generate(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = check(method, program)
        assert outcome.verdict != "wrong", f"{outcome.why}\n{program}"


@pytest.mark.parametrize("spelling", [0, 1])
def test_a_program_is_a_function_of_its_seed(spelling):
    for seed in range(20):
        first = generate(seed, spelling)
        generate.cache_clear()
        assert str(generate(seed, spelling)) == str(first)
