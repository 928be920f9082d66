"""One page that says how far an explanation can be trusted."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ExplanationCard:
    """Findings in the order of the PDR framework (Murdoch et al. 2019).

    Predictive accuracy first: an explanation of a wrong network says little about the
    world. Then descriptive accuracy: whether the explanation is right about the
    network. Then relevance: what it says.

    Parameters
    ----------
    title : str
    sections : dict of str to list of tuple (str, str)
        What was asked and what was found.
    """

    title: str
    sections: dict[str, list[tuple[str, str]]]

    def __str__(self) -> str:
        width = max(len(name) for rows in self.sections.values() for name, _ in rows)
        lines = [self.title, "=" * len(self.title)]
        for section, rows in self.sections.items():
            lines += ["", section, "-" * len(section)]
            for name, text in rows:
                first, *rest = text.split("\n")
                lines.append(f"{name:{width}s}  {first}")
                lines += [" " * (width + 2) + line for line in rest]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        parts = [f"<h3>{html.escape(self.title)}</h3>"]
        for section, rows in self.sections.items():
            cells = "".join(
                f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
                f"<td style='text-align:left;white-space:pre'>{html.escape(text)}</td>"
                "</tr>"
                for name, text in rows
            )
            parts.append(f"<h4>{html.escape(section)}</h4><table>{cells}</table>")
        return "".join(parts)


def make_card(
    explanation: Any, *, y, sample, classes, k, faithfulness, randomisation, stability
) -> ExplanationCard:
    """Gather what an explanation knows of itself and what studies found."""
    # `sktrim.explanation.Explanation.card` documents the parameters
    chosen = explanation if sample is None else explanation[sample]
    whole = "all samples" if sample is None else f"sample {sample}"
    sections = {
        "Predictive accuracy": _predictive(explanation, y, sample, classes),
        "Descriptive accuracy": [
            *_descriptive(chosen),
            ("faithfulness", _found(faithfulness, "faithfulness_report")),
            ("randomised weights", _found(randomisation, "randomisation_test")),
            ("stability", _found(stability, "stability_report")),
        ],
        f"Relevance ({whole})": _relevance(
            chosen, k, stability, single=sample is not None
        ),
    }
    n = len(explanation)
    title = f"{explanation.scorer}, {explanation.output} of {n} sample{'s' * (n != 1)}"
    return ExplanationCard(title, sections)


def _found(result, how: str) -> str:
    return f"not measured; sktrim.evaluation.{how}" if result is None else str(result)


def is_regression(explanation: Any) -> bool:
    """Tell whether predictions are values rather than scores of classes."""
    kind = explanation.kind
    return explanation.output == "raw" if kind is None else kind == "regressor"


def absolute_errors(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the absolute error of each sample, mean over the outputs."""
    # one value per sample and output
    values = y.reshape(len(y), -1)
    if values.shape != outputs.shape:
        raise ValueError(
            f"y has shape {y.shape}, but the network has {outputs.shape[1]} outputs "
            f"for {len(outputs)} samples; give a true value for each."
        )
    if np.isnan(values).any():
        raise ValueError("y holds NaN; leave those samples out of both first.")
    return np.abs(outputs - values).mean(axis=1)


def predicted_labels(outputs: np.ndarray, y: np.ndarray, classes: Any) -> np.ndarray:
    """Return the predicted labels (n_samples,), to compare with the true ones."""
    if y.shape != (len(outputs),):
        raise ValueError(
            f"y has shape {y.shape} for {len(outputs)} samples; expected one label "
            "each: y.ravel() of a column, or y.argmax(axis=1) of one-hot rows."
        )
    column = (outputs[:, 0] > 0).astype(int)
    if outputs.shape[1] > 1:
        column = outputs.argmax(axis=1)
    # 0, 1, 2, ... where no classes are known
    labels = np.arange(max(2, outputs.shape[1])) if classes is None else classes
    labels = np.asarray(labels)
    if not set(y.tolist()) & set(labels.tolist()):
        raise ValueError(
            f"y holds {y[0]!r}, but the labels are {labels.tolist()}: none of them "
            "occurs in y. Give the labels of the outputs as classes=, or y as columns."
        )
    return labels[column]


def _predictive(explanation, y, sample, classes) -> list[tuple[str, str]]:
    outputs = explanation.predictions
    if y is None or outputs is None:
        return [("accuracy", "not measured; pass y")]
    y, outputs = np.asarray(y), outputs.reshape(len(outputs), -1)
    n_samples = len(explanation)
    if y.ndim and len(y) != n_samples:
        raise ValueError(f"y has {len(y)} entries for {n_samples} samples.")
    if is_regression(explanation):
        error = absolute_errors(outputs, y)
        rows = [("mean absolute error", f"{error.mean():.4g}")]
        if sample is not None:
            rows.append((f"error at sample {sample}", f"{error[sample]:.4g}"))
        return rows
    predicted = predicted_labels(outputs, y, classes)
    rows = [("accuracy", f"{(predicted == y).mean():.3f} over {len(y)} samples")]
    if sample is not None:
        labels = f"predicted {predicted[sample]}, true {y[sample]}"
        rows.append((f"sample {sample}", labels))
    return rows


def _descriptive(explanation) -> list[tuple[str, str]]:
    error = explanation.reconstruction_error
    mean, average = ("", "") if len(explanation) == 1 else ("mean ", " on average")
    rows = []
    if error is not None:
        text = f"||x - T^-1 T x|| / ||x|| = {error:.3g}{average}"
        rows.append(("reconstruction error", text))
    residual = explanation.residual_values
    if residual is not None:
        total = np.abs(explanation.values).sum()
        if not explanation.residual_is_group:
            total += np.abs(residual).sum()
        share = np.abs(residual).sum() / (total if total > 0 else 1)
        rows.append(("residual's share", f"{100 * share:.1f} % of all magnitudes"))
    missed = explanation.completeness_error
    text = "not defined for this scorer and these groups"
    if missed is not None and not np.isnan(missed).any():
        size = np.abs(explanation.values.sum(axis=1)).mean()
        text = f"{mean}error {np.abs(missed).mean():.3g}"
        text += f"; |sum of scores| = {size:.3g}{average}"
    rows.append(("completeness", text))
    return rows


def _relevance(
    explanation, k: int, stability, *, single: bool
) -> list[tuple[str, str]]:
    # means are of magnitudes, one sample's scores have signs
    top = explanation.top_k(k, over="mean")
    if single:
        top = [entries[0] for entries in explanation.top_k(k)]
    intervals = _intervals(stability)
    rows = []
    for index, name, value in zip(*top, strict=True):
        where = ""
        if explanation.centers is not None and explanation.unit is not None:
            where = f"  at {explanation.centers[index]:.4g} {explanation.unit}"
        rows.append((str(name), f"{value:.4g}{where}{intervals.get(index, '')}"))
    return rows


def _intervals(stability) -> dict[int, str]:
    """Put the interval of each group's importance into words."""
    if stability is None or not stability.kinds:
        return {}
    kind, draws = next(iter(stability.kinds.items()))
    limits = enumerate(zip(*draws.interval(), strict=True))
    return {
        group: f"  mean magnitude {low:.4g} to {high:.4g} (95 %, {kind})"
        for group, (low, high) in limits
    }
