"""Timing by medians, and tables that print as text or leave as JSON."""

import time
from dataclasses import dataclass, field
from statistics import median

import torch


def _clock(device):
    """Read the processor time; the wall clock of a GPU that has nothing left to do."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def alternating_seconds(functions, repeats=7, device="cpu"):
    """Median seconds of each function, called in turn under the same load."""
    for function in functions:
        function()
    seconds = [[] for _ in functions]
    for _ in range(repeats):
        for function, record in zip(functions, seconds, strict=True):
            start = _clock(device)
            function()
            record.append(_clock(device) - start)
    return [median(record) for record in seconds]


def median_seconds(function, repeats=7, device="cpu"):
    """Median seconds of ``function()``, after one call to warm up."""
    return alternating_seconds([function], repeats, device)[0]


def device_name(device):
    """Say what the seconds were taken on."""
    if device == "cpu":
        return "one thread, freed memory kept"
    return torch.cuda.get_device_name(device)


def _show(value):
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass
class Table:
    """Rows of one benchmark, a line on what was measured and the figure to reach."""

    title: str
    columns: list
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def as_dict(self):
        """Give the table as plain lists and dictionaries, ready for JSON."""
        return {
            "title": self.title,
            "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows],
            "notes": self.notes,
        }

    def __str__(self):
        cells = [self.columns, *([_show(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", lines[0], rule, *lines[1:], "", *self.notes])
