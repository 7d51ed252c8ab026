# One command each; every target first sets up what it needs in .venv, and a second call starts at once.
# Settings of the product are environment variables (`.venv/bin/understudy config show`); those of this file:
#   PYTHON=...   the interpreter to make .venv with (default: the first of 3.11, 3.12, 3.13 that works)
#   SUITES=DIR   where `make bench`, `make serving` and `make report` find the suites
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
SHELL := /bin/sh

export VENV ?= .venv
export PYTHON
STAMPS := $(VENV)/.stamps
DATA := $(or $(UNDERSTUDY_DATA__DIRECTORY),data)
UNDERSTUDY := $(VENV)/bin/understudy

# The demo's questions; the second domain's last one has no answer in its documents.
DEMO_MODEL_CHOICE ?= "What is the loss of earlier abilities through narrow tuning called?"
DEMO_PLANT ?= "What number do I call for the nurse if somebody collapses from heat?" \
  "After a bushing change, how long do we run to scrap?" "What is the Wi-Fi password for visitors?"

.PHONY: help demo serve test check bench fuzz serving report suites

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

# --- what the targets stand on -----------------------------------------------------------------

$(STAMPS)/dev $(STAMPS)/run: $(STAMPS)/%: pyproject.toml constraints.txt scripts/setup.sh
	@sh scripts/setup.sh $*
	@mkdir -p $(STAMPS) && touch $@

# `dev` includes all of `run`: demo after test installs nothing.
INSTALLED := $(STAMPS)/$(if $(wildcard $(STAMPS)/dev),dev,run)

# Once for a data directory: exports the embedder, picks the weights format by speed on this machine.
$(DATA)/.prepared: constraints.txt | $(INSTALLED)
	@$(VENV)/bin/python -m rag.build prepare
	@mkdir -p $(DATA) && touch $@

# --- the product -------------------------------------------------------------------------------

# Exit status 3 says that a question was left unanswered: for the demo that is a right answer too.
demo: $(DATA)/.prepared | $(INSTALLED) ## ingest the two sample corpora and print cited answers
	@$(UNDERSTUDY) ingest apply corpora/model-choice --domain model-choice
	@$(UNDERSTUDY) ingest apply corpora/plant --domain plant
	@$(UNDERSTUDY) ask --domain model-choice $(DEMO_MODEL_CHOICE) || test $$? -eq 3
	@$(UNDERSTUDY) ask --domain plant $(DEMO_PLANT) || test $$? -eq 3

serve: $(DATA)/.prepared | $(INSTALLED) ## serve the API on loopback; the sample corpora come in where nothing is stored yet
	@if ! ls $(DATA)/domains/*/current >/dev/null 2>&1; then \
	  $(UNDERSTUDY) ingest apply corpora/model-choice --domain model-choice && \
	  $(UNDERSTUDY) ingest apply corpora/plant --domain plant; fi
	@exec $(UNDERSTUDY) serve

bench: suites $(DATA)/.prepared | $(INSTALLED) ## measure over real corpora, serving included: make bench SUITES=DIR
	@for part in ingest "ingest --suite financebench --documents 2000" retrieval precision chunkers answers judge; do \
	  $(VENV)/bin/python -m bench.$$part --suites "$(SUITES)" || exit; done
	@for part in statistics isolation bookkeeping pdf crashes "scale --plot docs/results/scale.svg"; do \
	  $(VENV)/bin/python -m bench.$$part || exit; done
	@$(MAKE) --no-print-directory serving

fuzz: | $(INSTALLED) ## ten minutes of damaged files for every parser, nearly three hours
	@$(VENV)/bin/python -m bench.fuzz_readers --minutes 10

# What the peers need is an extra; `dev` and `run` do without.
$(STAMPS)/bench: pyproject.toml constraints.txt | $(INSTALLED)
	@$(VENV)/bin/python -m pip install -q -c constraints.txt -e '.[bench]'
	@touch $@

serving: suites $(STAMPS)/bench | $(INSTALLED) ## the service under load beside its peers, about two hours: make serving SUITES=DIR
	@$(VENV)/bin/python -m bench.serving --suites "$(SUITES)"

# A folder a suite: ingested once, asked once (a second call goes on or only writes the reports anew), its report kept.
# Of a suite 300 questions are drawn; MIRAGE, four benchmarks in one, is asked whole, or there were too few of each.
RUNS := .cache/report
REPORT_ARMS := slm,slm+rag,slm+gold,overlap
report: export UNDERSTUDY_DATA__DIRECTORY = .cache/bench
report: suites | $(INSTALLED) ## small model against recorded large ones: make report SUITES=DIR
	@$(VENV)/bin/python -m rag.build prepare
	@for suite in "$(SUITES)"/*/; do name=$$(basename "$$suite"); \
	  $(UNDERSTUDY) ingest apply "$$suite" --domain "$$(echo "$$name" | tr _ -)" && \
	  $(UNDERSTUDY) evaluate run "$$suite" --out "$(RUNS)/$$name" --arms $(REPORT_ARMS) \
	    $$(test "$$name" = nq_evouna || echo --no-texts) $$(test "$$name" = mirage_pubmed || echo --limit 300) && \
	  mkdir -p "docs/results/$$name" && cp "$(RUNS)/$$name"/report.* "docs/results/$$name/" || exit; done
	@$(VENV)/bin/python -m evaluation summary docs/results

suites:
	@test -n "$(SUITES)" || { echo "bench: name the folder of the suites: make bench SUITES=DIR" >&2; exit 2; }
	@test -d "$(SUITES)" || { echo "bench: $(SUITES) is no folder: make bench SUITES=DIR" >&2; exit 2; }

# --- the code ----------------------------------------------------------------------------------

test: $(STAMPS)/dev ## run all tests
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(STAMPS)/dev ## style, types and import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
