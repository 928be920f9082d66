"""Words, phrases and sentences of texts, over the positions of their tokens."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

# a word keeps its apostrophes and hyphens; other signs stand alone
_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_SENTENCE_END = re.compile(r"[.!?\u2026]+[\"'\u201d\u2019)]*(?=\s|$)")


@dataclass(frozen=True)
class TextUnits:
    """The unit that every token of every text belongs to.

    Parameters
    ----------
    labels : ndarray of int, shape (n_texts, n_tokens)
        From 0 on in the order of the text; -1 for padding, and for tokens that stand
        for no part of it, such as markers of the beginning and the end.
    names : list of list of str
        The units of each text, as they are written there.

    See Also
    --------
    TokenizedTexts : Makes it.
    sktrim.hierarchy.AgglomerativeDecomposition.explain : Takes both.

    Examples
    --------
    >>> from sktrim.groups import tokenize_texts
    >>> units = tokenize_texts(["not bad . at all"]).sentences()
    >>> units.names, units.labels.tolist()
    ([['not bad .', 'at all']], [[0, 0, 0, 1, 1]])
    """

    labels: np.ndarray
    names: list[list[str]]

    def sets(self) -> np.ndarray:
        """Return the units as sets of tokens.

        Returns
        -------
        ndarray of bool, shape (n_texts, n_units, n_tokens)
            For `TransformImportance.explain_sets`; empty where a text has fewer units
            than another.
        """
        most = max(map(len, self.names))
        return self.labels[:, None] == np.arange(most)[:, None]


class TokenizedTexts:
    """Texts, and the part of them that each token stands for.

    Make one with `tokenize_texts`.

    Parameters
    ----------
    texts : sequence of str
    offsets : list of list of (int, int)
        Where the token at each position of the network begins and ends in its text;
        (0, 0) for one that stands for no part of it.
    n_tokens : int
        Positions of the network: behind the last of a text there is padding.

    See Also
    --------
    TextUnits : What `words` and `sentences` give.

    Examples
    --------
    >>> from sktrim.groups import tokenize_texts
    >>> tokenized = tokenize_texts(["It's not very good."])
    >>> tokenized.words().names
    [["It's", 'not', 'very', 'good', '.']]
    >>> tokenized.ngrams(2)[0][1]
    ('not very', [1, 2])
    """

    def __init__(self, texts: Sequence[str], offsets: list, n_tokens: int) -> None:
        self.texts = list(texts)
        self.offsets = offsets
        self.n_tokens = n_tokens

    def __len__(self) -> int:
        return len(self.texts)

    def tokens(self) -> TextUnits:
        """Return one unit per token that stands for a part of its text.

        Returns
        -------
        TextUnits
        """
        return self._units(lambda text, spans: [s for s in spans if s[1] > s[0]])

    def words(self) -> TextUnits:
        """Join the tokens of every word; other signs are units of their own.

        Returns
        -------
        TextUnits
        """
        return self._units(lambda text, _: [m.span() for m in _WORD.finditer(text)])

    def sentences(self) -> TextUnits:
        """Join the tokens of every sentence.

        Returns
        -------
        TextUnits
            Sentences end at full stops, question marks and exclamation marks with
            white space behind them.
        """
        return self._units(lambda text, _: _sentence_spans(text))

    def ngrams(self, n: int) -> list[list[tuple[str, list[int]]]]:
        """List all runs of n words, with the positions of their tokens.

        Parameters
        ----------
        n : int

        Returns
        -------
        list of list of (str, list of int)
            For each text.

        Raises
        ------
        ValueError
            If n is not a positive integer.
        """
        if not isinstance(n, (int, np.integer)) or n < 1:
            raise ValueError(f"n={n!r}; expected an integer of at least 1.")
        words, found = self.words(), []
        for text, names, labels in zip(
            self.texts, words.names, words.labels, strict=True
        ):
            spans = [m.span() for m in _WORD.finditer(text)]
            runs = []
            for first in range(len(names) - n + 1):
                inside = (labels >= first) & (labels < first + n)
                name = text[spans[first][0] : spans[first + n - 1][1]]
                runs.append((name, np.flatnonzero(inside).tolist()))
            found.append(runs)
        return found

    def phrases(self, phrases: Iterable[str]) -> np.ndarray:
        """Find phrases in every text, in any case of letters.

        Parameters
        ----------
        phrases : iterable of str

        Returns
        -------
        ndarray of bool, shape (n_texts, n_phrases, n_tokens)
            The tokens of the first place of a phrase, none where a text does not have
            it: for `TransformImportance.explain_sets`.

        Raises
        ------
        ValueError
            If a phrase is in none of the texts.
        """
        phrases = [phrases] if isinstance(phrases, str) else list(phrases)
        sets = np.zeros((len(self), len(phrases), self.n_tokens), dtype=bool)
        for k, phrase in enumerate(phrases):
            pattern = re.compile(rf"(?<!\w){re.escape(phrase)}(?!\w)", re.IGNORECASE)
            for i, text in enumerate(self.texts):
                match = pattern.search(text) if phrase.strip() else None
                if match is not None:
                    start, stop = match.span()
                    sets[i, k] = _inside(self.offsets[i], start, stop, self.n_tokens)
            if not sets[:, k].any():
                raise ValueError(
                    f"The phrase {phrase!r} is in none of the {len(self)} texts, or "
                    "behind their last token."
                )
        return sets

    def _units(self, spans_of: Callable) -> TextUnits:
        labels = np.full((len(self), self.n_tokens), -1)
        names = []
        for i, (text, offsets) in enumerate(zip(self.texts, self.offsets, strict=True)):
            kept: list[str] = []
            for start, stop in spans_of(text, offsets):
                inside = _inside(offsets, start, stop, self.n_tokens)
                inside &= labels[i] < 0
                if inside.any():
                    labels[i, inside] = len(kept)
                    kept.append(text[start:stop])
            names.append(kept)
        return TextUnits(labels, names)


def _inside(offsets: list, start: int, stop: int, n_tokens: int) -> np.ndarray:
    """Tell which tokens begin in a part of a text, whatever space they begin with."""
    inside = np.zeros(n_tokens, dtype=bool)
    for at, (first, last) in enumerate(offsets[:n_tokens]):
        inside[at] = last > first and start <= first < stop
    return inside


def _sentence_spans(text: str) -> list[tuple[int, int]]:
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    if not ends or text[ends[-1] :].strip():
        ends.append(len(text))
    spans = []
    for start, stop in pairwise([0, *ends]):
        own = text[start:stop]
        begin = start + len(own) - len(own.lstrip())
        if begin < stop:
            spans.append((begin, stop))
    return spans


def tokenize_texts(
    texts: Sequence[str],
    tokenizer: Any = None,
    *,
    n_tokens: int | None = None,
    padding: str = "right",
) -> TokenizedTexts:
    """Find the part of each text that every token of a tokenizer stands for.

    Parameters
    ----------
    texts : sequence of str
    tokenizer : object, default=None
        What makes the network's tokens: a fast tokenizer of Hugging Face's
        transformers or tokenizers; the analyzer of a scikit-learn vectorizer
        (``vectorizer.build_analyzer()``), or any function from a text to the list of
        its tokens in order; None: words and other signs, each alone.
    n_tokens : int, default=None
        Positions that the network takes; what lies behind is left out. None: those of
        the longest text.
    padding : {"right", "left"}, default="right"
        On which side of shorter texts the network has padding.

    Returns
    -------
    TokenizedTexts

    Raises
    ------
    ValueError
        If there is no text, one has no token, a token cannot be found in its text, or
        the padding is unknown.
    TypeError
        If texts is one string, or the tokenizer gives no offsets.

    See Also
    --------
    sktrim.TransformImportance : ``groups="positions"`` has a group for every token.

    Examples
    --------
    >>> from sktrim.groups import tokenize_texts
    >>> def pieces(text):
    ...     return ["un", "watch", "able", "film"]
    >>> tokenize_texts(["Unwatchable film!"], pieces).words().labels.tolist()
    [[0, 0, 0, 1]]
    """
    if isinstance(texts, str):
        raise TypeError("texts is one string; pass a list of them.")
    texts = list(texts)
    if padding not in ("right", "left"):
        raise ValueError(f"padding={padding!r}; expected 'right' or 'left'.")
    if not texts:
        raise ValueError("There is no text; expected at least one.")
    offsets = _offsets(texts, tokenizer)
    for i, spans in enumerate(offsets):
        if not any(stop > start for start, stop in spans):
            raise ValueError(f"Text {i} has no token: {texts[i][:60]!r}. Leave it out.")
    n_tokens = max(map(len, offsets)) if n_tokens is None else n_tokens
    if padding == "left":
        none = [(0, 0)] * n_tokens
        offsets = [none[len(spans) :] + spans[:n_tokens] for spans in offsets]
    return TokenizedTexts(texts, offsets, n_tokens)


def split_words(text: str) -> list[str]:
    """Return the words and other signs of a text."""
    return _WORD.findall(text)


def _offsets(texts: list[str], tokenizer: Any) -> list[list[tuple[int, int]]]:
    if tokenizer is None:
        return [[m.span() for m in _WORD.finditer(text)] for text in texts]
    if hasattr(tokenizer, "encode") and hasattr(tokenizer, "token_to_id"):
        return [list(tokenizer.encode(text).offsets) for text in texts]
    if hasattr(tokenizer, "convert_ids_to_tokens"):
        if not getattr(tokenizer, "is_fast", False):
            raise TypeError(
                f"{type(tokenizer).__name__} tells no offsets of its tokens; take its "
                "fast version (use_fast=True)."
            )
        encoded = tokenizer(texts, return_offsets_mapping=True)
        return [list(map(tuple, spans)) for spans in encoded["offset_mapping"]]
    if not callable(tokenizer):
        raise TypeError(
            f"tokenizer={tokenizer!r}; expected a tokenizer with offsets, a function "
            "from a text to its tokens, or None."
        )
    split: Any = tokenizer
    return [_find(text, list(split(text))) for text in texts]


def _find(text: str, tokens: list[str]) -> list[tuple[int, int]]:
    """Find tokens in a text one after the other."""
    spans, at, low = [], 0, text.lower()
    low = low if len(low) == len(text) else text
    for token in tokens:
        start = low.find(token.lower(), at)
        if start < 0:
            raise ValueError(
                f"The token {token!r} is not found behind position {at} of the text "
                f"{text[:60]!r}: the tokenizer changes what it reads. Give one that "
                "tells offsets."
            )
        at = start + len(token)
        spans.append((start, at))
    return spans
