"""A page that puts each figure beside the paper's finding."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@dataclass
class Finding:
    """What a paper found, what was found here, and whether they agree."""

    title: str
    paper: str
    here: str
    # None where there is nothing to compare with
    holds: bool | None
    why: str = ""
    figures: list[tuple[str, str]] = field(default_factory=list)
    # rows of cells, the first one the header
    table: list[list[str]] = field(default_factory=list)

    @property
    def verdict(self):
        """Say whether the finding was reproduced."""
        if self.holds is None:
            return "new"
        return "reproduced" if self.holds else "not reproduced"

    def __str__(self):
        why = f" ({self.why})" if self.why else ""
        return f"{self.title}: {self.verdict}{why}\n    {self.here}"


def write(findings, scale, path):
    """Write the page beside the figures."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    text = environment.get_template("page.html.j2").render(
        findings=findings, scale=scale
    )
    path.write_text(text)
    return path
