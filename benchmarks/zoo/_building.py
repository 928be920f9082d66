"""Building one network of the zoo, seeded and randomised, with its input."""

import os
import random
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from benchmarks.zoo._entries import WIDEST, Entry, Projected
from benchmarks.zoo._randomise import randomise
from benchmarks.zoo._stubs import stub

STUBBED = (
    "torchvision",
    "torchaudio",
    "librosa",
    "torchinfo",
    "fastdownload",
    "spacy",
    "mne_bids",
    "fasthtml",
)


class NotBuilt(Exception):
    """A network that cannot be built here, or that fails by itself."""


@dataclass
class Built:
    """A network that runs, and what it gives.

    Attributes
    ----------
    model : nn.Module
        From rows to a few columns.
    x : torch.Tensor
    output : torch.Tensor of shape (n, n_out)
    rows_apart : bool
        Whether the output of a row is the same alone as among others.
    """

    model: nn.Module
    x: torch.Tensor
    output: torch.Tensor
    rows_apart: bool


def prepare(package: str) -> None:
    """Set up the process for networks of a package."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    _widen()
    if package != "transformers":
        # transformers asks for versions of what it finds
        stub(*STUBBED)


def _widen() -> None:
    """Let every name of single precision mean double, before a package is imported.

    Many networks ask for single precision inside, in a softmax or a norm, whatever
    they are given; then no identity could be held to 1e-10.
    """
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double


def build(entry: Entry) -> Built:
    """Build a network and run it once.

    Raises
    ------
    NotBuilt
        With the reason.
    """
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  what packages draw from
    torch.manual_seed(0)
    try:
        return _build(entry)
    except Exception as error:
        first = str(error).strip().splitlines() or [""]
        raise NotBuilt(f"{type(error).__name__}: {first[0][:200]}") from error


def _build(entry: Entry) -> Built:
    model, x = entry.build()
    model, x = model.double().eval().requires_grad_(False), x.double()
    randomise(model, x)
    with torch.no_grad():
        output = model(x)
    if output.ndim != 2 or output.shape[1] > WIDEST:
        model = Projected(model, output[0].numel()).double().eval()
    with torch.no_grad():
        output, again, alone = model(x), model(x), model(x[1:2])
    if output.dtype != torch.float64 or not output.isfinite().all():
        raise ValueError(f"gives {output.dtype}, finite: {output.isfinite().all()}")
    if not torch.equal(output, again):
        raise ValueError("two runs differ")
    apart = torch.allclose(alone[0], output[1], rtol=1e-9, atol=1e-9)
    return Built(model, x, output, apart)
