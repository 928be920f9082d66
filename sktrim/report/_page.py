"""An explanation as one HTML page."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np


def to_html(explanation: Any, *, k: int = 10) -> str:
    """Give a small table of the groups that matter most on average."""
    title = escape(repr(explanation))
    if not len(explanation):
        return f"<div>{title}</div>"
    # over samples, and over targets where there are several
    axes = (0, 2)[: explanation.values.ndim - 1]
    signed = explanation.values.mean(axis=axes)
    size = np.abs(explanation.values).mean(axis=axes)
    order = np.argsort(-size, kind="stable")[:k]
    unit = "" if explanation.unit is None else f" ({escape(explanation.unit)})"
    centers = explanation.centers
    head = f"<th>center{unit}</th>" if centers is not None else ""
    rows = []
    for index in order:
        cells = [escape(explanation.group_names[index])]
        if centers is not None:
            cells.append(f"{centers[index]:.4g}")
        cells += [f"{signed[index]:+.4g}", f"{size[index]:.4g}"]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = len(explanation.group_names) - len(order)
    foot = f"<div>and {more} more groups</div>" if more else ""
    return (
        f"<div><div>{title}</div><table><thead><tr><th>group</th>{head}"
        "<th>mean importance</th><th>mean |importance|</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{foot}</div>"
    )
