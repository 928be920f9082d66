"""Sentences of film reviews, rated by people."""

import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

_INNER = "hutto_ICWSM_2014.tar.gz"
_TABLE = "movieReviewSnippets_GroundTruth.txt"
_HOW = (
    "It is in the source archive of the PyPI package vaderSentiment: pip download "
    "--no-deps --no-binary :all: vaderSentiment==3.3.2"
)


def load_movie_reviews(path) -> Bunch:
    r"""Load 10,605 sentences of film reviews with the mean of their ratings.

    Parameters
    ----------
    path : str or path
        The archive ``vaderSentiment-3.3.2.tar.gz``, a folder that holds it, or the
        table of it, ``movieReviewSnippets_GroundTruth.txt``.

    Returns
    -------
    sklearn.utils.Bunch
        data : list of str
            The sentences.
        target : ndarray of float of shape (n_sentences,)
            Mean of at least 20 people's ratings, from -4 (very negative) to 4.
        DESCR : str
            Where they come from.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says how to get it.
    ValueError
        If the file is damaged or holds something else.

    See Also
    --------
    sktrim.groups.tokenize_texts : Their words, for a network's tokens.

    Notes
    -----
    The sentences are those of :footcite:t:`pang2004sentimental`, rated for
    :footcite:t:`hutto2014vader`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktrim.datasets import load_movie_reviews
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder) / "movieReviewSnippets_GroundTruth.txt"
    ...     _ = table.write_text("1\t-2.5\tA dull film.\n")
    ...     reviews = load_movie_reviews(table)
    >>> reviews.data, reviews.target
    (['A dull film.'], array([-2.5]))
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(path.glob("vaderSentiment-*.tar.gz")) or [path / _TABLE]
        path = found[-1]
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {str(path)!r}. {_HOW}.")
    content = path.read_bytes()
    if path.name.endswith((".tar.gz", ".tgz")):
        content = _unpacked(content, path)
    texts, ratings = [], []
    try:
        for line in content.decode("utf-8").splitlines():
            _, rating, text = line.split("\t", 2)
            ratings.append(float(rating))
            texts.append(text.strip())
    except ValueError as error:
        raise ValueError(
            f"Line {len(texts) + 1} of {str(path)!r} is not a number, a rating and a "
            f"sentence between tabulators. {_HOW}."
        ) from error
    if not texts:
        raise ValueError(f"{str(path)!r} is empty. {_HOW}.")
    described = (
        "Sentences of film reviews, rated by people from -4 to 4 (vaderSentiment)."
    )
    return Bunch(data=texts, target=np.array(ratings), DESCR=described)


def _unpacked(content: bytes, path: Path) -> bytes:
    """Return the table out of an archive, or out of one within it."""
    try:
        with tarfile.open(fileobj=BytesIO(content)) as archive:
            for member in archive.getmembers():
                file = archive.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                if member.name.endswith(_TABLE):
                    return file.read()
                if member.name.endswith(_INNER):
                    return _unpacked(file.read(), path)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}. {_HOW}.") from error
    raise ValueError(f"{str(path)!r} does not hold {_TABLE}. {_HOW}.")
