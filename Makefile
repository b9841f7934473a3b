# Linli: everything a contributor runs. `make demo` and `make test` work on a fresh machine with Python 3.11.
VENV ?= .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed

.PHONY: demo test test-fast check bench chaos fuzz fuzz-rules sbom audit clean lock schemas kafka

$(STAMP): deploy/requirements.lock pyproject.toml
	test -x $(PY) || python3 -m venv $(VENV)
	$(PY) -m pip install --quiet --require-hashes -r deploy/requirements.lock
	$(PY) -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)          ## a living community on this machine; open the printed address
	$(VENV)/bin/linli demo

test: $(STAMP)          ## everything, real servers and browser included
	PY=$(PY) deploy/test.sh

test-fast: $(STAMP)     ## no services, no long runs
	$(PY) -m pytest -q -m "not service and not slow" -n auto --dist loadfile

check: $(STAMP)         ## ruff, mypy strict, the rings of imports
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m tests.rings

bench: $(STAMP)         ## measured figures, ratios in one run
	$(PY) -m bench

chaos: $(STAMP)         ## an hour of faults on a real district; prints its seed; CHAOS="--seconds 900 --seed 7"
	$(PY) -m tests.chaos $(CHAOS)

fuzz: $(STAMP)          ## ≥ 100,000 cases a decoder
	LINLI_FUZZ_CASES=100000 $(PY) -m pytest -q tests/ingest/pipeline/test_fuzz.py --timeout 3600

fuzz-rules: $(STAMP)    ## 3,000 random runs of the real rules against the clean run; prints its seed; FUZZ="--runs 300 --seed 7"
	$(PY) -m tests.fuzz $(FUZZ)

sbom: $(STAMP)          ## what the product is made of, as CycloneDX JSON, from the locks: sbom.cdx.json
	$(PY) -m tests.supply.sbom

audit: $(STAMP)         ## known faults of dependencies, by osv.dev; exit 2 and one sentence when it cannot be reached
	$(PY) -m tests.supply.audit

kafka:                  ## a Kafka broker for trials on 127.0.0.1:9092, in the foreground; KAFKA_PORT=, KAFKA_DATA=
	deploy/kafka/run.sh --port $(or $(KAFKA_PORT),9092) --data $(or $(KAFKA_DATA),kafka-data)

schemas: $(STAMP)       ## write docs/contracts from the types, docs/rules from the rules, docs/access.md from its tables
	$(PY) -m app.operations.schemas
	$(PY) -m app.operations.rule_pages
	$(PY) -m tests.access.page

lock:                   ## lock dependencies, without download addresses
	$(PY) -m piptools compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	  --no-emit-find-links --all-extras -o deploy/requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-data kafka-data sbom.cdx.json
