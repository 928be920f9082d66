"""Soft bands on the scales of hearing share every frequency once."""

import numpy as np
import pytest

from sktrim import CosineTransformer, FourierTransformer

RATE = 16000


def groups(n=4000, cls=FourierTransformer, rate=RATE, **options):
    fitted = cls().fit(np.ones((1, n)))
    return fitted, fitted.feature_groups(by="band", sample_spacing=1 / rate, **options)


@pytest.mark.parametrize("cls", [FourierTransformer, CosineTransformer])
@pytest.mark.parametrize(
    "options",
    [
        {"edges": "mel", "n_bands": 80},
        {"edges": "mel", "n_bands": 2},
        {"edges": "bark", "n_bands": 24},
        {"edges": "octave"},
        {"edges": "third-octave"},
        {"edges": [0, 100, 500, 4000, 8000], "soft": True},
        {"centers": [100, 200, 3000], "soft": True},
        {"n_bands": 7, "soft": True},
    ],
)
def test_weights_of_every_frequency_sum_to_one(cls, options):
    _, bands = groups(cls=cls, **options)
    total = np.asarray(bands.masks.sum(axis=0)).ravel()
    np.testing.assert_allclose(total, 1, atol=1e-15, rtol=0)
    assert bands.masks.data.min() > 0
    # no more than the two bands beside it
    assert bands.masks.nnz <= 2 * bands.n_coefficients
    assert (np.diff(bands.centers) > 0).all()
    assert bands.sums_to_one


def test_mel_bands_are_triangles_on_the_mel_scale():
    fitted, bands = groups(edges="mel", n_bands=40)
    hertz = fitted.frequencies_[fitted.frequency_of_, 0] * RATE / 4000
    mels = 2595 * np.log10(1 + hertz / 700)
    middles = np.linspace(0, mels.max(), 40)
    width = middles[1]
    expected = np.clip(1 - np.abs(mels - middles[:, None]) / width, 0, None)
    np.testing.assert_allclose(bands.masks.toarray(), expected, atol=1e-12)
    np.testing.assert_allclose(bands.centers, 700 * (10 ** (middles / 2595) - 1))
    assert bands.names[20].startswith("around ")
    assert bands.unit == "Hz"


def test_octaves_are_those_around_a_thousand_hertz():
    fitted, bands = groups(edges="octave")
    assert bands.centers.tolist() == [1000 * 2.0**k for k in range(-8, 4)]
    hertz = fitted.frequencies_[fitted.frequency_of_, 0] * RATE / 4000
    mask = bands.masks.toarray()[8]
    np.testing.assert_allclose(mask[hertz == 1000], 1)
    np.testing.assert_allclose(mask[hertz == 1424], 1 - np.log2(1.424))
    # what lies below the first band, the constant part too, is in it
    assert bands.masks.toarray()[0, 0] == 1
    thirds = groups(edges="third-octave")[1].centers
    # 4 Hz apart: bands of a third begin where they are as wide as that
    assert 6 < thirds[0] < 12
    np.testing.assert_allclose(thirds[1:] / thirds[:-1], 2 ** (1 / 3))


def test_hard_bands_of_a_scale_give_every_frequency_to_the_nearest_middle():
    fitted, bands = groups(edges="octave", soft=False)
    hertz = fitted.frequencies_[fitted.frequency_of_, 0] * RATE / 4000
    masks = bands.masks.toarray()
    assert set(np.unique(masks)) == {0, 1}
    np.testing.assert_array_equal(masks.sum(axis=0), 1)
    own = masks[bands.centers.tolist().index(1000)] == 1
    edges = 1000 * 2**-0.5, 1000 * 2**0.5
    np.testing.assert_array_equal(own, (hertz >= edges[0]) & (hertz < edges[1]))
    _, mels = groups(edges="mel", n_bands=20, soft=False)
    np.testing.assert_array_equal(mels.masks.sum(axis=0), 1)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"edges": "mel"}, "n_bands=None; edges='mel' needs an integer"),
        ({"edges": "erb", "n_bands": 3}, "edges='erb'; as a string"),
        ({"edges": "octave", "n_bands": 3}, "has bands of its own"),
        ({"edges": "mel", "n_bands": 3, "width": 2.0}, "width cannot go with"),
        ({"edges": "mel", "n_bands": 3, "unit": "kHz"}, "frequencies are in 'kHz'"),
        ({"edges": "mel", "n_bands": 400}, r"bands contain no frequency: 'around"),
        ({"centers": [3, 2, 5], "soft": True}, "middles that increase"),
    ],
)
def test_bands_that_cannot_be_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        groups(n=200, **options)


def test_octaves_need_a_frequency_above_zero():
    with pytest.raises(ValueError, match="divides frequencies above 0, and there is"):
        groups(n=1, edges="octave")


def test_a_scale_needs_to_know_the_spacing():
    fitted = FourierTransformer().fit(np.ones((1, 100)))
    with pytest.raises(ValueError, match="unit='Hz' needs sample_spacing="):
        fitted.feature_groups(by="band", edges="mel", n_bands=4)
    with pytest.raises(ValueError, match="need by='band'"):
        fitted.feature_groups(soft=True)
