"""Tests of the torch modules of Fourier, cosine and wavelet inverses."""

import numpy as np
import pytest
import pywt
import torch

from sktrim.inverse import _signals as _signal_twins
from sktrim.inverse import inverse_module
from sktrim.transforms import CosineTransformer, FourierTransformer, WaveletTransformer

torch.set_num_threads(1)


@pytest.mark.parametrize("dense", [0, 256])
@pytest.mark.parametrize("mode", pywt.Modes.modes)
def test_wavelets_equal_pywavelets(mode, dense, monkeypatch):
    monkeypatch.setattr(_signal_twins, "_DENSE", dense)
    rng = np.random.default_rng(0)
    for wavelet in pywt.wavelist(kind="discrete"):
        for shape in [(101,), (64,), (2, 29, 32)]:
            transformer = WaveletTransformer(wavelet, mode=mode).fit(
                np.ones((1, *shape))
            )
            s = rng.normal(size=(2, transformer.n_coefficients_))
            np.testing.assert_allclose(
                inverse_module(transformer)(torch.tensor(s)),
                transformer.inverse_transform(s),
                rtol=0,
                atol=1e-10,
            )


@pytest.mark.parametrize("dense", [0, 256])
@pytest.mark.parametrize("kind", [FourierTransformer, CosineTransformer])
@pytest.mark.parametrize(
    "shape", [(1,), (2,), (7,), (300,), (5, 6), (3, 4, 7), (2, 1, 9)]
)
def test_frequencies_equal_scipy(kind, shape, dense, monkeypatch):
    monkeypatch.setattr(_signal_twins, "_DENSE", dense)
    for axes in {None, (0,), (len(shape) - 1,), tuple(range(len(shape)))}:
        transformer = kind(shape, axes).fit(np.ones((1, *shape)))
        s = np.random.default_rng(0).normal(size=(2, transformer.n_coefficients_))
        inverse = inverse_module(transformer)
        np.testing.assert_allclose(
            inverse(torch.tensor(s)), transformer.inverse_transform(s), atol=1e-12
        )
        assert torch.autograd.gradcheck(inverse, torch.tensor(s).requires_grad_())
        values = torch.randn(3, int(np.prod(shape)), dtype=torch.float64)
        adjoint = inverse.adjoint(values, s.shape[1])
        basis = inverse(torch.eye(s.shape[1], dtype=torch.float64)).flatten(1)
        torch.testing.assert_close(adjoint, values @ basis.T, rtol=0, atol=1e-12)


def test_wavelets_equal_pywavelets_at_every_level():
    for mode in pywt.Modes.modes:
        for level in range(6):
            transformer = WaveletTransformer("db2", level, mode, signal_shape=(97, 96))
            transformer.fit(np.ones((1, 97 * 96)))
            s = np.random.default_rng(level).normal(
                size=(1, transformer.n_coefficients_)
            )
            np.testing.assert_allclose(
                inverse_module(transformer)(torch.tensor(s)),
                transformer.inverse_transform(s),
                atol=1e-12,
            )


def test_long_signals_take_no_matrix():
    for transformer in (
        FourierTransformer(),
        CosineTransformer(),
        WaveletTransformer(),
    ):
        inverse = inverse_module(transformer.fit(np.ones((1, 1, 8000))))
        n_values = sum(buffer.numel() for buffer in inverse.buffers())
        assert n_values < 400_000
        s = torch.ones(1, transformer.n_coefficients_)
        assert inverse(s).shape == (1, 1, 8000)


def test_layout_of_images_is_given_back():
    X = np.random.default_rng(0).normal(size=(3, 2, 8, 8))
    for transformer in (
        FourierTransformer(),
        CosineTransformer(),
        WaveletTransformer(),
    ):
        s = torch.tensor(transformer.fit(X).transform(X))
        inverse = inverse_module(transformer)
        assert inverse.layout == (2, 8, 8)
        np.testing.assert_allclose(inverse(s), X, atol=1e-10)
