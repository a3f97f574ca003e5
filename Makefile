# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs: see .ci/setup.

BIN := .venv/bin
# Our own tests and products are small: NumPy's threads would only wait for each other.
export OPENBLAS_NUM_THREADS := 1
# Each half of the tests in its order, so that most modules' fixtures are made once; who is done
# first takes over what is left.
BESIDE := -n 2 --dist worksteal

.PHONY: help setup demo test test-slow fuzz soak prove lint format docs bench bench-fpga tables \
	clean clean-venv
.DEFAULT_GOAL := help

help: ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup: ## a virtual environment with deltaloom and its tools, system packages where missing
	@.ci/setup

demo: setup ## the whole flow on the shipped speech model; figures and report in build/demo
	$(BIN)/deltaloom demo -o build/demo

test: setup ## all tests but place and route (make test ARGS="-m fpga") and the slow ones
	$(BIN)/python -m pytest $(BESIDE) $(ARGS)

test-slow: setup ## the slow ones: simulations that take minutes together
	$(BIN)/python -m pytest $(BESIDE) -m slow $(ARGS)

fuzz: setup ## wrong inputs for a minute; make fuzz ARGS="--seconds 3600 --seed 7" for more
	$(BIN)/python tests/fuzz/run.py $(ARGS)

soak: setup ## random designs against golden, resumable; make soak ARGS="--seconds 86400"
	$(BIN)/python tests/soak/soak.py $(ARGS)

prove: setup ## what is proved of the hardware's parts, by induction and bounded; planted bugs
	$(BIN)/python -m pytest tests/proofs -v $(ARGS)

lint: setup ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## bring the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## the site in build/site; a warning or a broken link is an error
	@$(BIN)/python -c 'import furo, myst_parser, sphinx' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/doctrees -b html $(ARGS) . build/site

bench: setup ## cycles and speed of the software, some minutes; one suite: make bench ARGS=speech
	$(BIN)/python benchmarks/run.py $(ARGS)

tables: setup ## the paper's tables on the speech models, in build/tables; some minutes
	$(BIN)/python benchmarks/tables/make.py $(ARGS)

bench-fpga: setup ## area and clock by yosys and nextpnr; an hour
	$(BIN)/python benchmarks/run.py --fpga $(ARGS)

clean: ## remove what was built, but not the virtual environment
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

clean-venv: ## remove the virtual environment
	rm -rf .venv
