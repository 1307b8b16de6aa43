# Every target makes the environment it needs: on a fresh clone, `make demo` and `make test` are all it takes.

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_READY := $(VENV)/.ready-demo
BUILD := build

.PHONY: help demo check test fast-tests every-test lint bench release-model model-cards pictures format-table costs site clean

help:
	@echo "make demo           train, export, verify and predict, from nothing"
	@echo "make check          the quick checks: ruff, mypy, import-linter, the fast tests"
	@echo "make test           every check: ruff, mypy, import-linter, pytest (fast and slow)"
	@echo "make lint           the checks that run no code"
	@echo "make bench          measure the budgets and print each ratio against its bar"
	@echo "make release-model  train and export the built-in models again, and write their cards"
	@echo "make model-cards    measure the built-in models, and write their cards and the README's tables of figures"
	@echo "make pictures       draw the pictures of examples/ and docs/ again"
	@echo "make format-table   write the README's table of formats again"
	@echo "make costs          measure what each format costs, and write the tables and the figure of docs/choosing.md"
	@echo "make site           build docs/ as a site, into build/site"
	@echo "make clean          remove the environment and what was built"

INSTALL := $(BIN)/pip install --quiet --constraint $(CONSTRAINTS) --editable

# Python keeps the bytecode of what it imports: several commands import the same.
unexport PYTHONDONTWRITEBYTECODE

$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[all,dev]'
	touch $@

$(DEMO_READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[export]' --no-compile
	touch $@

# In an environment that has everything, or else in one that has what the demo runs: compiling all of it, too, would take
# pip half of its time.
demo: $(or $(wildcard $(READY)),$(DEMO_READY))
	$(BIN)/mnist-edge train
	$(BIN)/mnist-edge export --format onnx --format torchscript --quantize
	$(BIN)/mnist-edge verify exports/mnist-*.*
	$(BIN)/mnist-edge predict --model exports/mnist-mlp-int8.onnx examples/*.png examples/*.jpg
	@echo
	@echo "To try next:"
	@echo "  $(BIN)/mnist-edge predict --show-input PICTURE"
	@echo "      reads a picture of your own and shows what the model saw of it"
	@echo "  $(BIN)/mnist-edge evaluate exports/mnist-*.*"
	@echo "      measures each file: accuracy, calibration, confusions"
	@echo "  $(BIN)/mnist-edge train --recipe robust --epochs 20 --output checkpoints/robust.safetensors"
	@echo "      trains on distorted digits, as the built-in models were"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# One thread for each process: several that start threads of their own on few cores wait for one another. Four on two
# cores, since tests wait for children and signals too.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

# Side by side: mypy keeps one core busy for half a minute where it has no cache yet.
check: $(READY)
	$(MAKE) --no-print-directory --jobs=2 lint fast-tests

test: $(READY)
	$(MAKE) --no-print-directory --jobs=2 lint every-test

fast-tests: $(READY)
	$(PYTEST) $(PYTEST_ARGS)

every-test: $(READY)
	$(PYTEST) -m "slow or not slow" $(PYTEST_ARGS)

bench: $(READY)
	missed=0; for what in training verify runner; do $(BIN)/python benchmarks/$${what}_speed.py || missed=1; done; exit $$missed

release-model: $(READY)
	$(BIN)/mnist-edge train --recipe robust --arch mlp --license Apache-2.0 --output release/mnist-mlp.safetensors
	$(BIN)/mnist-edge train --recipe robust --arch cnn --license Apache-2.0 --output release/mnist-cnn.safetensors
	$(BIN)/mnist-edge export release/mnist-mlp.safetensors --format onnx --quantize --output $(BUILD)/release
	$(BIN)/mnist-edge export release/mnist-cnn.safetensors --format onnx --quantize --output $(BUILD)/release
	cp $(BUILD)/release/*-int8.onnx mnist_edge/models/
	$(MAKE) model-cards

model-cards: $(READY)
	$(BIN)/python docs/measure_release.py
	$(BIN)/python docs/model_cards.py --write

format-table: $(READY)
	$(BIN)/python docs/format_table.py --write

costs: $(READY)
	rm -rf $(BUILD)/costs
	$(BIN)/mnist-edge export release/mnist-mlp.safetensors --format all --precision all --output $(BUILD)/costs
	$(BIN)/mnist-edge export release/mnist-cnn.safetensors --format all --precision all --output $(BUILD)/costs
	$(BIN)/mnist-edge benchmark $(BUILD)/costs --force --figure docs/figures/pareto.png --json > $(BUILD)/benchmark.json
	mv $(BUILD)/benchmark.json release/benchmark.json
	$(BIN)/python docs/cost_table.py --write

site: $(READY)
	$(BIN)/mkdocs build --site-dir $(BUILD)/site

pictures: $(READY)
	$(BIN)/python examples/draw_digits.py
	$(BIN)/python docs/draw_page.py
	$(BIN)/python docs/draw_proof.py
	$(BIN)/python docs/draw_parity.py
	$(BIN)/python docs/draw_steps.py
	$(BIN)/python docs/draw_ood.py
	$(BIN)/mnist-edge plot augmentation --index 3 --force --output docs/figures/augmentation.png
	$(BIN)/mnist-edge plot curves release/mnist-mlp.safetensors --force --output docs/figures/curves.png
	$(BIN)/mnist-edge plot reliability release/mnist-mlp.safetensors --force --output docs/figures/reliability.png
	$(BIN)/mnist-edge plot mistakes release/mnist-mlp.safetensors --force --output docs/figures/mistakes.png
	$(BIN)/mnist-edge train
	$(BIN)/mnist-edge evaluate checkpoints/mnist-mlp.safetensors release/mnist-mlp.safetensors \
		--corruptions --force --figure docs/figures/robustness.png

clean:
	rm -rf $(VENV) $(BUILD) dist *.egg-info checkpoints
