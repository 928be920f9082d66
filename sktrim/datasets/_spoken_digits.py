"""Recordings of spoken digits."""

import hashlib
import tarfile
import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import get_data_home
from sklearn.utils import Bunch

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/26eb9aa.tar.gz"
ARCHIVE = "free-spoken-digit-dataset.tgz"
# of the names and samples of all recordings, in order of their names: archives of the
# same recordings may differ in how they were packed
CONTENT = "c8561bca57f668363317b9a5c554392cae37561fa99077368d9a9f32b9618584"
RATE = 8000
_N_TEST = 5


def fetch_spoken_digits(
    *,
    data_home: Any = None,
    download_if_missing: bool = True,
    n_samples: int = 6000,
) -> Bunch:
    """Load 3,000 recordings of the digits 0 to 9 by six speakers, and get them first.

    Parameters
    ----------
    data_home : str or path, default=None
        Where the archive is kept, or has been put by hand, as
        ``free-spoken-digit-dataset.tgz``. None: the folder of scikit-learn's data.
    download_if_missing : bool, default=True
        Whether to download it where it is missing.
    n_samples : int, default=6000
        Length of every recording: longer ones are cut at their ends, shorter ones
        followed by zeros. At 8 kHz.

    Returns
    -------
    sklearn.utils.Bunch
        data : ndarray of float32 of shape (3000, 1, n_samples)
            In [-1, 1].
        target : ndarray of int of shape (3000,)
            The digits.
        speakers : ndarray of str of shape (3000,)
            Who speaks.
        test : ndarray of bool of shape (3000,)
            The official test part: the first five recordings of each digit and speaker.
        lengths : ndarray of int of shape (3000,)
            Samples before zeros were added or the end was cut.
        sampling_rate : int
            8000.
        DESCR : str
            Where they come from, and their licence.

    Raises
    ------
    FileNotFoundError
        If the archive is missing and is not downloaded; it says where to put it.
    ImportError
        If it is to be downloaded without the package pooch.
    ValueError
        If the archive is damaged, or its recordings are others.

    See Also
    --------
    sktrim.LappedTransformer : Frequencies and times of sound.

    Notes
    -----
    The recordings are those of the Free Spoken Digit Dataset
    :footcite:p:`jackson2018spoken`, under CC BY-SA 4.0. They are read out of the
    archive, which is written under its name when it is complete, and compared with a
    checksum of what they hold.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from sktrim.datasets import fetch_spoken_digits
    >>> digits = fetch_spoken_digits()  # doctest: +SKIP
    >>> digits.data.shape  # doctest: +SKIP
    (3000, 1, 6000)
    """
    if not isinstance(n_samples, (int, np.integer)) or n_samples < 1:
        raise ValueError(f"n_samples={n_samples!r}; expected an integer of at least 1.")
    folder = Path(get_data_home(data_home))
    path = folder / ARCHIVE
    if not path.is_file():
        if not download_if_missing:
            raise FileNotFoundError(f"There is no {path}. {_by_hand(folder)}")
        _download(path)
    names, recordings = _recordings(path)
    data = np.zeros((len(names), 1, n_samples), dtype=np.float32)
    for row, samples in zip(data[:, 0], recordings, strict=True):
        kept = samples[:n_samples]
        row[: len(kept)] = kept / 32768
    parts = [name.removesuffix(".wav").split("_") for name in names]
    return Bunch(
        data=data,
        target=np.array([int(digit) for digit, _, _ in parts]),
        speakers=np.array([speaker for _, speaker, _ in parts]),
        test=np.array([int(index) < _N_TEST for _, _, index in parts]),
        lengths=np.array([len(samples) for samples in recordings]),
        sampling_rate=RATE,
        DESCR="Free Spoken Digit Dataset, Z. Jackson and others, CC BY-SA 4.0.",
    )


def _by_hand(folder: Path) -> str:
    return f"Get {URL} and put it there as {ARCHIVE}, or name its folder as data_home=."


def _download(path: Path) -> None:
    """Get the archive; under its name there is a whole one or none."""
    try:
        import pooch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "Downloading needs the package pooch (pip install 'sktrim[data]'). "
            f"{_by_hand(path.parent)}"
        ) from error
    try:
        pooch.retrieve(URL, known_hash=None, fname=path.name, path=path.parent)
    except Exception as error:
        raise FileNotFoundError(
            f"{URL} could not be downloaded to {path.parent}: {error}. "
            f"{_by_hand(path.parent)}"
        ) from error


def _recordings(path: Path) -> tuple[list[str], list[np.ndarray]]:
    """Return names and samples of an archive's recordings, checked."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".wav"):
                    file: Any = archive.extractfile(member)
                    found[Path(member.name).name] = _samples(file.read(), member.name)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); remove it, and it is downloaded again."
        ) from error
    names, digest = sorted(found), hashlib.sha256()
    for name in names:
        digest.update(name.encode() + found[name])
    if digest.hexdigest() != CONTENT:
        raise ValueError(
            f"The {len(names)} recordings in {path} are not those that are expected "
            f"(checksum {digest.hexdigest()[:12]}..., expected {CONTENT[:12]}...). "
            "Remove it, and it is downloaded again."
        )
    return names, [np.frombuffer(found[name], dtype="<i2") for name in names]


def _samples(content: bytes, name: str) -> bytes:
    """Return the samples of a recording: one channel, 16 bits, 8 kHz."""
    try:
        with wave.open(BytesIO(content)) as sound:
            kind = sound.getnchannels(), 8 * sound.getsampwidth(), sound.getframerate()
            samples = sound.readframes(sound.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} is no wav file of plain samples: {error}.") from error
    if kind != (1, 16, RATE):
        raise ValueError(
            f"{name} has {kind[0]} channels of {kind[1]} bits at {kind[2]} Hz; "
            f"expected 1 of 16 at {RATE}."
        )
    return samples
