"""Texts that a vectoriser is given, checked."""

from typing import Any

from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer


def preprocessed(step: Any, X: Any) -> Any:
    """Return what a fitted step makes of X, whose documents, if any, are checked."""
    _check_documents(step, X)
    return step.transform(X)


def _check_documents(step: Any, X: Any) -> None:
    """Raise where a vectoriser of texts is given what is none."""
    if not isinstance(step, (CountVectorizer, HashingVectorizer)):
        return
    own = callable(step.analyzer) or step.preprocessor is not None
    if own or step.input != "content" or isinstance(X, str):
        return
    for i, document in enumerate(X):
        if isinstance(document, bytes):
            _check_encoding(step, i, document)
        elif not isinstance(document, str):
            raise TypeError(
                f"Document {i} is {document!r}, a {type(document).__name__}; expected "
                "a string. Leave such documents out, or make them strings."
            )


def _check_encoding(step: Any, i: int, document: bytes) -> None:
    try:
        document.decode(step.encoding, step.decode_error)
    except UnicodeError as error:
        raise ValueError(
            f"Document {i} is not {step.encoding}: {error}. Decode it first, such as "
            'by document.decode("latin-1"), or have the vectoriser do so: '
            f'{type(step).__name__}(encoding="latin-1").'
        ) from error
