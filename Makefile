# Two commands: `make demo` and `make test`. Both build .venv first, with the pinned versions of constraints.txt.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test test-other-pythons docs models clean

demo: .venv/installed
	$(BIN)/python scripts/demo.py

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

# A clean installation and the quick tests with each other Python that is here, 25 minutes at most.
test-other-pythons:
	.ci/other_pythons

# The pages for people, without network: docs/_build/html/index.html. Tutorials run; warnings are errors; links are checked.
docs: .venv/installed-docs
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python scripts/check_links.py docs/_build/html

models: .venv/installed
	$(BIN)/python scripts/train_models.py

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 13) else \
	"Python 3.10 to 3.13 is needed, this is %d.%d; try: make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch -e '.[dev]'
	$(BIN)/ik-mdn solve xarm6 --pose 0.3 0 0.2 1 0 0 0 >/dev/null # compiles what solving needs, once
	@touch $@

.venv/installed-docs: .venv/installed
	@$(BIN)/python -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	"the pages need Python 3.11 or later; try: make clean, then make docs PYTHON=python3.11")'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

clean:
	rm -rf .venv out runs dist build docs/_build docs/generated
