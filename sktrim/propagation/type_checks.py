"""Tells where a model insisted on the type of a tensor."""

from __future__ import annotations

import linecache

from sktrim.propagation.method import _HERE, _TORCH


def type_check(error: BaseException) -> str | None:
    """Return where a model asked for a type and raised, or None if it did not."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return None
    # the innermost frame counts, if it is the model's own and its lines ask for the
    # type of something
    code, last = trace.tb_frame.f_code, trace.tb_lineno
    file = code.co_filename
    lines = [linecache.getline(file, k) for k in range(max(1, last - 2), last + 1)]
    asks = any(word in line for line in lines for word in ("type(", "isinstance("))
    if not asks or file.startswith((_HERE, _TORCH)):
        return None
    return f"{file}:{last}, in {code.co_name}"
