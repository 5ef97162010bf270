# The commands of the project. `make` without a target lists them; each works as the first command in a clean clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.8
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.requirements.stamp
REQUIREMENTS := requirements.txt requirements-local.txt requirements-dev.txt
# Feast has a virtualenv of its own, which `filegate feast setup` makes.
LOCKS := $(REQUIREMENTS) requirements-feast.txt

# The checkout is always on the import path. Set-up prints to stderr: the standard output is the command's alone.
export PYTHONPATH := $(CURDIR)

##@ Run the platform
.PHONY: demo up down clean

demo: $(STAMP) ## set up, start, drop good and bad sample files, print the outcome of each
	@$(PYTHON) -m local demo

up: $(STAMP) ## start PostgreSQL, bucket, broker and Airflow; wait until they are ready
	@$(PYTHON) -m local up

down: $(STAMP) ## stop everything; the data stays
	@$(PYTHON) -m local down

clean: $(STAMP) ## stop everything and delete the platform's data
	@$(PYTHON) -m local clean

##@ Work on the code
.PHONY: setup test test-long lint format bench lock help

setup: $(STAMP) ## create the virtualenv and install the locked versions

# Tests without the whole platform run in two processes, each with its own PostgreSQL and S3 server.
# A process that dies is not replaced: pytest-xdist would wait for ever for the rest of its file.
test: $(STAMP) ## run the tests: unit, DAGs, integration, end to end
	@code=0; \
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder \
	  --max-worker-restart=0 tests/unit tests/dags tests/integration \
	  || code=$$?; \
	$(PYTHON) -m pytest tests/e2e || code=$$?; \
	exit $$code

# Four parts, each of several minutes on a machine with two processors.
LONG_1 := tests/long/test_torture.py
LONG_2 := tests/long/test_ansible.py tests/long/test_supervisor_killed.py
LONG_3 := tests/long/test_scale_out.py tests/long/test_backup_restore.py tests/long/test_secret_rotation.py
LONG_4 := tests/integration/proof

test-long: $(STAMP) ## tests of minutes each, and 2,000 generated cases: make test-long [PART=1..4] [EXAMPLES=2000]
	@test -n "$(LONG_$(or $(PART),1))" || { echo "error: there is no part $(PART): make test-long PART=1..4" >&2; exit 2; }
	@TEST_EXAMPLES="$${EXAMPLES:-2000}" $(PYTHON) -m pytest \
	  $(if $(PART),$(LONG_$(PART)),$(LONG_1) $(LONG_2) $(LONG_3) $(LONG_4))

lint: $(STAMP) ## check style, types, SQL and Dockerfiles
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/sqlfluff lint sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff lint models tests
	@$(VENV)/bin/hadolint --no-color deploy/docker/*/Dockerfile ml_api/Dockerfile monitoring/sql_exporter/Dockerfile
	@cd deploy/ansible && env -u PYTHONPATH PATH="$(CURDIR)/$(VENV)/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
	  ansible-lint --strict -q

format: $(STAMP) ## format the code
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/sqlfluff fix --quiet sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff fix --quiet models tests

bench: $(STAMP) ## measure speed and memory: make bench [ROWS=] [MEMORY_ROWS=] [MESSAGES=] [DROPS=] [FILES=] [FORMATS=1] [DATABASES=1] [SCALING=1]
ifdef FORMATS
	@$(PYTHON) -m proof.bench.formats $${ROWS:+--rows "$$ROWS"}
else ifdef DATABASES
	@$(PYTHON) -m proof.bench.databases $${ROWS:+--rows "$$ROWS"}
else ifdef SCALING
	@$(PYTHON) -m proof.bench.scaling $${FILES:+--files "$$FILES"} $${ROWS:+--rows "$$ROWS"}
else
	@$(PYTHON) -m proof.bench $${ROWS:+--rows "$$ROWS"} $${MEMORY_ROWS:+--memory-rows "$$MEMORY_ROWS"} \
	  $${MESSAGES:+--messages "$$MESSAGES"} $${DROPS:+--drops "$$DROPS"} $${FILES:+--files "$$FILES"}
endif

lock: $(STAMP) ## compile the requirements*.in to lock files, with the versions of the present ones where they fit
	@for lock in $(LOCKS); do \
	  $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --no-emit-index-url \
	    --custom-compile-command "make lock" --output-file "$$lock" "$${lock%.txt}.in"; \
	done

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Targets of before, for one release: each prints the `filegate` command that replaces it, and runs it.
# Some systems set NAME to the host's name; only a value from the command line is used.
.PHONY: status env drop backup restore rotate-secrets ansible contract generate schema produce replay-dlq ingest-github dbt \
  dbt-docs check-quality report train schedules env-file compose-check torture soak mutation
FILEGATE := $(VENV)/bin/filegate
renamed = @set -- $(1); echo "make $@ is now: .venv/bin/filegate$$(printf ' %q' "$$@")" >&2; exec $(FILEGATE) "$$@"
drop contract: export GIVEN_NAME = $(if $(filter command,$(origin NAME)),$(NAME))

status: $(STAMP)
	$(call renamed,status)
env: $(STAMP)
	$(call renamed,env $${OWNER:+--owner} $${AWS:+--aws} $${SERVICES:+--services})
drop: $(STAMP)
	$(call renamed,drop $${DATASET:+--dataset "$$DATASET"} $${GIVEN_NAME:+--name "$$GIVEN_NAME"} -- $${FILE:+"$$FILE"})
backup: $(STAMP)
	$(call renamed,backup $${YES:+--yes} $${TO:+-- "$$TO"})
restore: $(STAMP)
	$(call renamed,restore $${FORCE:+--force} -- $${FROM:+"$$FROM"})
rotate-secrets: $(STAMP)
	$(call renamed,rotate-secrets)
ansible: $(STAMP)
	$(call renamed,dev ansible $(if $(ARGS),-- $(ARGS)))
contract: $(STAMP)
	$(call renamed,contract draft $${GIVEN_NAME:+--dataset "$$GIVEN_NAME"} --write -- $${FILE:+"$$FILE"})
generate: $(STAMP)
	$(call renamed,generate $${ROWS:+--rows "$$ROWS"} $${FORMAT:+--format "$$FORMAT"} $${BAD:+--bad "$$BAD"} \
	  $${SEED:+--seed "$$SEED"} $${OUT:+--out "$$OUT"} -- "$${DATASET:-sales}")
schema: $(STAMP)
	$(call renamed,schema "$${ACTION:-show}" $${TOPIC:+--topic "$$TOPIC"} -- $${DATASET:+"$$DATASET"})
produce: $(STAMP)
	$(call renamed,produce $${TOPIC:+--topic "$$TOPIC"} $${FILE:+--file "$$FILE"} $${ROWS:+--rows "$$ROWS"} \
	  $${RATE:+--rate "$$RATE"} $${SEED:+--seed "$$SEED"} $${DATASET:+--dataset "$$DATASET"})
replay-dlq: $(STAMP)
	$(call renamed,replay-dlq $${TOPIC:+--topic "$$TOPIC"} $${LIMIT:+--limit "$$LIMIT"})
ingest-github: $(STAMP)
	$(call renamed,run collect_github_commits $${FULL:+--conf '{"full": true}'})
dbt: $(STAMP)
	$(call renamed,$(if $(ARGS),dbt $(ARGS),run transform_warehouse))
dbt-docs: $(STAMP)
	$(call renamed,dbt docs generate --static)
check-quality: $(STAMP)
	$(call renamed,run check_quality)
report: $(STAMP)
	$(call renamed,report $${OUT:+--out "$$OUT"})
train: $(STAMP)
	$(call renamed,run train_commit_model)
schedules: $(STAMP)
	$(call renamed,schedules)
env-file: $(STAMP)
	$(call renamed,dev env-file $${PROFILES:+--profiles "$$PROFILES"})
compose-check: $(STAMP)
	$(call renamed,dev compose-check)
torture: $(STAMP)
	$(call renamed,dev torture $${FAULTS:+--faults "$$FAULTS"} $${SEED:+--seed "$$SEED"})
soak: $(STAMP)
	$(call renamed,dev soak $${MINUTES:+--minutes "$$MINUTES"} $${IDLE:+--idle})
mutation: $(STAMP)
	$(call renamed,dev mutation $${ONLY:+--only "$$ONLY"} $${MUTANTS:+--mutants "$$MUTANTS"})

# A python3.11 on the PATH may be a shim of a version manager that does not work: each candidate is tested.
$(STAMP): $(REQUIREMENTS) include/cli/install.py
	@{ python=""; \
	for candidate in $(PYTHON) python3.11 python3 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
	    python="$$candidate"; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: Python 3.11 is missing: install it so that python3.11 is on the PATH, then run make again"; exit 1; \
	fi; \
	if [ ! -x $(PYTHON) ] || [ "$$python" != $(PYTHON) ]; then \
	  echo "creating the virtualenv with $$python"; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "error: the virtualenv cannot be created: install the venv module of Python 3.11 (Debian: python3.11-venv)"; exit 1; }; \
	fi; \
	echo "installing the locked versions"; \
	if $(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) && \
	   $(VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(PYTHON) $(REQUIREMENTS); then :; else \
	  echo "uv cannot install them here, trying pip"; \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check $(REQUIREMENTS:%=--requirement %); \
	fi; } >&2
	@$(PYTHON) -m include.cli.install "$(CURDIR)"
	@touch $@
