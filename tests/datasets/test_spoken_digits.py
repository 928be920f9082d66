"""Recordings are read out of a whole archive of the right ones, or not at all."""

import hashlib
import io
import sys
import tarfile
import wave

import numpy as np
import pytest

from sktrim.datasets import _spoken_digits as module
from sktrim.datasets import fetch_spoken_digits

NAMES = ["0_ann_0.wav", "0_ann_7.wav", "3_bob_4.wav"]


def sound(samples, channels=1, width=2, rate=8000):
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def recordings():
    rng = np.random.default_rng(0)
    return [rng.integers(-9999, 9999, n, dtype="<i2") for n in (5, 12, 20)]


def packed(contents, names=NAMES, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, content in zip(names, contents, strict=True):
            info = tarfile.TarInfo(f"digits-26eb9aa/recordings/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A whole archive of three recordings, whose checksum is the expected one."""
    digest = hashlib.sha256()
    for name, samples in zip(NAMES, recordings(), strict=True):
        digest.update(name.encode() + samples.tobytes())
    monkeypatch.setattr(module, "CONTENT", digest.hexdigest())
    path = tmp_path / module.ARCHIVE
    path.write_bytes(packed([sound(s) for s in recordings()]))
    return path


def test_recordings_are_laid_out_in_rows(archive):
    digits = fetch_spoken_digits(data_home=archive.parent, n_samples=10)
    assert digits.data.shape == (3, 1, 10)
    assert digits.data.dtype == np.float32
    for row, samples in zip(digits.data[:, 0], recordings(), strict=True):
        expected = np.zeros(10)
        kept = samples[:10] / 32768
        expected[: len(kept)] = kept
        np.testing.assert_allclose(row, expected, atol=1e-7)
    assert digits.target.tolist() == [0, 0, 3]
    assert digits.speakers.tolist() == ["ann", "ann", "bob"]
    assert digits.test.tolist() == [True, False, True]
    assert digits.lengths.tolist() == [5, 12, 20]


def test_how_it_was_packed_does_not_count(archive):
    order = [2, 0, 1]
    own = [sound(recordings()[i]) for i in order]
    archive.write_bytes(packed(own, [NAMES[i] for i in order], "w:xz"))
    assert len(fetch_spoken_digits(data_home=archive.parent).data) == 3


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (lambda: packed([sound(s) for s in recordings()])[:150], "is damaged"),
        (lambda: b"", "is damaged"),
        (lambda: packed([sound(s + 1) for s in recordings()]), "are not those that"),
        (
            lambda: packed([sound(s) for s in recordings()[:2]], NAMES[:2]),
            "The 2 recordings",
        ),
        (lambda: packed([b"RIFF"] * 3), "is no wav file of plain samples"),
        (
            lambda: packed([sound(s, channels=2) for s in [np.zeros(8, "<i2")] * 3]),
            "has 2 channels of 16 bits at 8000 Hz; expected 1 of 16 at 8000",
        ),
        (
            lambda: packed([sound(s, width=1, rate=44100) for s in recordings()]),
            "has 1 channels of 8 bits at 44100 Hz",
        ),
    ],
)
def test_other_files_are_refused(archive, content, match):
    archive.write_bytes(content())
    with pytest.raises(ValueError, match=match):
        fetch_spoken_digits(data_home=archive.parent)


def test_what_is_missing_says_where_to_put_it(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"Get https://.* as free-spoken"):
        fetch_spoken_digits(data_home=tmp_path, download_if_missing=False)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"sktrim\[data\].* Get https://"):
        fetch_spoken_digits(data_home=tmp_path)

    class Offline:
        def retrieve(self, url, **options):
            assert url.startswith("https://")
            raise OSError("no network")

    monkeypatch.setitem(sys.modules, "pooch", Offline())
    with pytest.raises(FileNotFoundError, match=r"no network\. Get https://"):
        fetch_spoken_digits(data_home=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="n_samples=0; expected"):
        fetch_spoken_digits(data_home=tmp_path, n_samples=0)


def test_a_download_is_put_under_its_name(archive, monkeypatch):
    content = archive.read_bytes()
    archive.unlink()

    class Online:
        def retrieve(self, url, *, known_hash, fname, path):
            (path / fname).write_bytes(content)

    monkeypatch.setitem(sys.modules, "pooch", Online())
    assert len(fetch_spoken_digits(data_home=archive.parent).data) == 3
    assert archive.is_file()
