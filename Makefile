# The one-word commands. `make` alone prints them; each works as the first one in a clean clone.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

UV_VERSION := 0.13.8
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.requirements.stamp

# The checkout is always on the import path; set-up talks on stderr, so that `eval "$$(make env)"` reads only exports.
export PYTHONPATH := $(CURDIR)

# A variable that a command cannot do without: $(call required,NAME,what it is)
required = test -n "$${$(1):-}" || { echo "error: $(1) is missing: make $@ $(1)=$(2)" >&2; exit 2; }

##@ Run the platform
.PHONY: demo up down status env drop clean

demo: $(STAMP) ## set up, start, drop good and bad sample files, print what became of them
	@$(PYTHON) -m local demo

up: $(STAMP) ## start PostgreSQL, bucket, broker and Airflow; wait until they work
	@$(PYTHON) -m local up

down: $(STAMP) ## stop everything; the data stays
	@$(PYTHON) -m local down

status: $(STAMP) ## show each service; exit code 0 when all are healthy
	@$(PYTHON) -m local status

env: $(STAMP) ## print addresses and logins, for: eval "$(make env)"; more with OWNER=1, AWS=1, SERVICES=1
	@$(PYTHON) -m local env $${OWNER:+--owner} $${AWS:+--aws} $${SERVICES:+--services}

# Some systems set NAME to the host's; only one given on the command line is meant.
drop: export DROP_NAME = $(if $(filter command,$(origin NAME)),$(NAME))
drop: $(STAMP) ## put a file into the bucket: make drop FILE=path [DATASET=sales] [NAME=name]
	@$(PYTHON) -m local drop --dataset "$${DATASET:-}" --name "$$DROP_NAME" -- "$${FILE:-}"

clean: $(STAMP) ## stop everything and delete the platform's data
	@$(PYTHON) -m local clean

##@ Look after the platform
.PHONY: backup restore rotate-secrets ansible

backup: $(STAMP) ## databases, buckets and secrets into a new folder: make backup [TO=folder]
	@$(PYTHON) -m local backup $${TO:+-- "$$TO"}

restore: $(STAMP) ## the platform as a backup has it: make restore FROM=folder [FORCE=1]
	@$(call required,FROM,folder)
	@$(PYTHON) -m local restore $${FORCE:+--force} -- "$$FROM"

rotate-secrets: $(STAMP) ## new passwords and keys for everything; restarts what runs
	@$(PYTHON) -m local rotate-secrets

# The playbook calls make on the host, which may be this one: it must not hear what this make was told.
FOR_ANSIBLE = cd ansible && PATH="$(CURDIR)/$(VENV)/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
  env -u MAKEFLAGS -u MAKELEVEL -u PYTHONPATH

ansible: $(STAMP) ## set a host up, start, feed and verify it: make ansible [ARGS="-i inventories/hosts.yml --tags verify"]
	@$(FOR_ANSIBLE) ansible-playbook site.yml $(ARGS)

##@ Work with data
.PHONY: contract generate schema

contract: $(STAMP) ## draft a data contract from a sample: make contract FILE=path NAME=dataset
	@$(call required,FILE,path)
	@$(call required,NAME,dataset)
	@$(PYTHON) -m include.contracts draft --name "$$NAME" -- "$$FILE"

generate: $(STAMP) ## make sample data: make generate DATASET=sales [ROWS=] [FORMAT=] [BAD=] [SEED=] [OUT=]
	@$(PYTHON) -m include.samples $${ROWS:+--rows "$$ROWS"} $${FORMAT:+--format "$$FORMAT"} $${BAD:+--bad "$$BAD"} \
	  $${SEED:+--seed "$$SEED"} $${OUT:+--out "$$OUT"} -- "$${DATASET:-sales}"

schema: $(STAMP) ## a dataset's Avro schema and the registry: make schema DATASET=sales [ACTION=show|check|register] [TOPIC=]
	@$(call required,DATASET,name)
	@$(PYTHON) -m include.streams.schema_command "$${ACTION:-show}" $${TOPIC:+--topic "$$TOPIC"} -- "$$DATASET"

# The library's commands get the running platform's addresses, unless the environment says where the broker is.
WITH_BROKER = $(PYTHON) -m local exec --unless KAFKA_BOOTSTRAP -- $(PYTHON)

produce: $(STAMP) ## publish rows: make produce TOPIC=sales FILE=path or ROWS=1000 [RATE=a second] [DATASET=] [SEED=]
	@$(call required,TOPIC,name)
	@$(WITH_BROKER) -m include.streams produce --topic "$$TOPIC" \
	  $${FILE:+--file "$$FILE"} $${ROWS:+--rows "$$ROWS"} $${RATE:+--rate "$$RATE"} $${SEED:+--seed "$$SEED"} \
	  $${DATASET:+--dataset "$$DATASET"}

replay-dlq: $(STAMP) ## put dead letters back into their topic: make replay-dlq TOPIC=sales [LIMIT=]
	@$(call required,TOPIC,name)
	@$(WITH_BROKER) -m include.streams replay-dlq --topic "$$TOPIC" \
	  $${LIMIT:+--limit "$$LIMIT"}

##@ From GitHub to a model
.PHONY: ingest-github dbt dbt-docs check-quality report train schedules

# As the role `transform`; what dbt makes goes to the platform's home.
WITH_PLATFORM = $(PYTHON) -m local exec --start --
DBT = $(WITH_PLATFORM) env DBT_USE_COLORS="$$(test -t 1 && echo true || echo false)" DBT_SEND_ANONYMOUS_USAGE_STATS=false \
  PGOPTIONS="-c lock_timeout=30s -c statement_timeout=3600s" DBT_PROJECT_DIR=dbt DBT_PROFILES_DIR=dbt \
  bash -c 'DBT_TARGET_PATH="$$PLATFORM_HOME/dbt/target" DBT_LOG_PATH="$$PLATFORM_HOME/dbt/logs" exec $(VENV)/bin/dbt "$$@"' dbt

ingest-github: $(STAMP) ## collect commits now: make ingest-github [FULL=1]
	@$(PYTHON) -m local run ingest_github $${FULL:+--conf '{"full": true}'}

dbt: $(STAMP) ## build all dbt models now; or any dbt command: make dbt ARGS="build --full-refresh"
ifdef ARGS
	@$(DBT) $(ARGS)
else
	@$(PYTHON) -m local run transform_warehouse
endif

dbt-docs: $(STAMP) ## write the models' documentation as one page
	@$(DBT) --quiet docs generate --static
	@$(WITH_PLATFORM) bash -c 'echo "$$PLATFORM_HOME/dbt/target/static_index.html"' 

check-quality: $(STAMP) ## check every table of the warehouse now
	@$(PYTHON) -m local run check_quality

report: $(STAMP) ## write the dashboards as one page with charts: make report [OUT=path]
	@$(WITH_PLATFORM) bash -c 'exec $(PYTHON) -m metabase report --out "$${OUT:-$$PLATFORM_HOME/report.html}"' 

train: $(STAMP) ## train the commit model now
	@$(PYTHON) -m local run train_commit_model

schedules: $(STAMP) ## show every DAG: what starts it, its last runs, its next run
	@$(PYTHON) -m local schedules

##@ Run it in containers
.PHONY: env-file compose-check

env-file: $(STAMP) ## write .env with random secrets; never overwrites: make env-file [PROFILES=streaming,ml,bi,observability]
	@$(PYTHON) -m deploy env-file --profiles "$${PROFILES:-}"

compose-check: $(STAMP) ## hold docker-compose.yaml to its rules: schema, variables, mounts, order, memory, secrets, names
	@$(PYTHON) -m deploy check

##@ Prove it
.PHONY: test-long torture soak mutation

# Four parts, of minutes each on a machine of two processors.
LONG_1 := tests/long/test_torture.py
LONG_2 := tests/long/test_ansible.py tests/long/test_supervisor_killed.py
LONG_3 := tests/long/test_scale_out.py tests/long/test_backup_restore.py tests/long/test_secret_rotation.py
LONG_4 := tests/integration/proof

test-long: $(STAMP) ## tests of minutes each, and 2,000 generated cases: make test-long [PART=1..4] [EXAMPLES=2000]
	@test -n "$(LONG_$(or $(PART),1))" || { echo "error: there is no part $(PART): make test-long PART=1..4" >&2; exit 2; }
	@TEST_EXAMPLES="$${EXAMPLES:-2000}" $(PYTHON) -m pytest \
	  $(if $(PART),$(LONG_$(PART)),$(LONG_1) $(LONG_2) $(LONG_3) $(LONG_4))

torture: $(STAMP) ## kill, cut and fill a platform under load, then count: make torture [FAULTS=200] [SEED=1]
	@$(PYTHON) -m proof.torture $${FAULTS:+--faults "$$FAULTS"} $${SEED:+--seed "$$SEED"}

soak: $(STAMP) ## a steady load for a while, and what grows; IDLE=1: the cost of none: make soak [MINUTES=30] [IDLE=]
	@$(PYTHON) -m proof.soak $${MINUTES:+--minutes "$$MINUTES"} $${IDLE:+--idle}

mutation: $(STAMP) ## change the core's code and look whether a test notices: make mutation [ONLY=module] [MUTANTS=]
	@$(PYTHON) -m proof.mutation $${ONLY:+--only "$$ONLY"} $${MUTANTS:+--mutants "$$MUTANTS"}

##@ Work on the code
.PHONY: setup test lint format bench lock help

setup: $(STAMP) ## make the virtualenv and install the locked versions

# Tests without the whole platform run in two processes, each with a PostgreSQL and an S3 server of its own.
test: $(STAMP) ## run the tests: unit, DAGs, integration, end to end
	@code=0; \
	$(PYTHON) -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder tests/unit tests/dags tests/integration \
	  || code=$$?; \
	$(PYTHON) -m pytest tests/e2e || code=$$?; \
	exit $$code

lint: $(STAMP) ## check style, types and SQL
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/sqlfluff lint sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff lint models tests
	@$(FOR_ANSIBLE) ansible-lint --strict -q

format: $(STAMP) ## put the code into its form
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/sqlfluff fix --quiet sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff fix --quiet models tests

bench: $(STAMP) ## measure speed and memory: make bench [ROWS=] [MEMORY_ROWS=] [MESSAGES=] [DROPS=] [FILES=] [SCALING=1]
ifdef SCALING
	@$(PYTHON) -m bench.scaling $${FILES:+--files "$$FILES"} $${ROWS:+--rows "$$ROWS"}
else
	@$(PYTHON) -m bench $${ROWS:+--rows "$$ROWS"} $${MEMORY_ROWS:+--memory-rows "$$MEMORY_ROWS"} \
	  $${MESSAGES:+--messages "$$MESSAGES"} $${DROPS:+--drops "$$DROPS"} $${FILES:+--files "$$FILES"}
endif

lock: $(STAMP) ## compile requirements.in to requirements.txt
	@$(VENV)/bin/uv pip compile --quiet --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" --output-file requirements.txt requirements.in

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A python3.11 on the path may be a version manager's shim that only complains: each candidate has to prove itself.
$(STAMP): requirements.txt
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
	  echo "making the virtualenv with $$python"; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "error: no virtualenv could be made: install the venv module of Python 3.11 (Debian: python3.11-venv)"; exit 1; }; \
	fi; \
	echo "installing the locked versions"; \
	if $(PYTHON) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) && \
	   $(VENV)/bin/uv pip sync --quiet --compile-bytecode --python $(PYTHON) requirements.txt; then :; else \
	  echo "uv cannot install them here, trying pip"; \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement requirements.txt; \
	fi; } >&2
	@touch $@
