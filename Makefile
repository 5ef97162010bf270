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

# The checkout is always on the import path. Set-up prints to stderr, so that `eval "$$(make env)"` reads only exports.
export PYTHONPATH := $(CURDIR)

# A required variable of a command: $(call required,NAME,description)
required = test -n "$${$(1):-}" || { echo "error: $(1) is missing: make $@ $(1)=$(2)" >&2; exit 2; }

# Most of these are `filegate` commands now and stay for one release: each prints the new one.
renamed = echo "make $@ is now: $(FILEGATE) $(1)" >&2
FILEGATE := $(VENV)/bin/filegate

##@ Run the platform
.PHONY: demo up down status env drop clean

demo: $(STAMP) ## set up, start, drop good and bad sample files, print the outcome of each
	@$(PYTHON) -m local demo

up: $(STAMP) ## start PostgreSQL, bucket, broker and Airflow; wait until they are ready
	@$(PYTHON) -m local up

down: $(STAMP) ## stop everything; the data stays
	@$(PYTHON) -m local down

status: $(STAMP) ## show each service; exit code 0 when all are healthy
	@$(call renamed,status)
	@$(PYTHON) -m local status

env: $(STAMP) ## print addresses and logins, for: eval "$(make env)"; more with OWNER=1, AWS=1, SERVICES=1
	@$(call renamed,env)
	@$(PYTHON) -m local env $${OWNER:+--owner} $${AWS:+--aws} $${SERVICES:+--services}

# Some systems set NAME to the host's name; only a value from the command line is used.
drop: export DROP_NAME = $(if $(filter command,$(origin NAME)),$(NAME))
drop: $(STAMP) ## put a file into the bucket: make drop FILE=path [DATASET=sales] [NAME=name]
	@$(call renamed,drop FILE [--wait])
	@$(PYTHON) -m local drop --dataset "$${DATASET:-}" --name "$$DROP_NAME" -- "$${FILE:-}"

clean: $(STAMP) ## stop everything and delete the platform's data
	@$(PYTHON) -m local clean

##@ Operate the platform
.PHONY: backup restore rotate-secrets ansible

backup: $(STAMP) ## stop, copy databases, buckets and secrets to a new folder, start: make backup [TO=folder] [YES=1]
	@$(call renamed,backup [FOLDER] [--yes])
	@$(PYTHON) -m local backup $${YES:+--yes} $${TO:+-- "$$TO"}

restore: $(STAMP) ## replace the platform's data by a backup: make restore FROM=folder [FORCE=1]
	@$(call renamed,restore FOLDER)
	@$(call required,FROM,folder)
	@$(PYTHON) -m local restore $${FORCE:+--force} -- "$$FROM"

rotate-secrets: $(STAMP) ## replace all passwords and keys; restarts the running services
	@$(call renamed,rotate-secrets)
	@$(PYTHON) -m local rotate-secrets

# The playbook calls make on the host, which may be this machine: it must not inherit the variables of this make.
FOR_ANSIBLE = cd deploy/ansible && PATH="$(CURDIR)/$(VENV)/bin:$$PATH" VIRTUAL_ENV="$(CURDIR)/$(VENV)" \
  env -u MAKEFLAGS -u MAKELEVEL -u PYTHONPATH

ansible: $(STAMP) ## set a host up, start, feed and verify it: make ansible [ARGS="-i inventories/hosts.yml --tags verify"]
	@$(FOR_ANSIBLE) ansible-playbook site.yml $(ARGS)

##@ Work with data
.PHONY: contract generate schema

contract: $(STAMP) ## draft a data contract from a sample: make contract FILE=path NAME=dataset
	@$(call renamed,contract draft FILE --dataset NAME --write)
	@$(call required,FILE,path)
	@$(call required,NAME,dataset)
	@$(PYTHON) -m include.cli contract draft --dataset "$$NAME" --write -- "$$FILE"

generate: $(STAMP) ## make sample data: make generate DATASET=sales [ROWS=] [FORMAT=] [BAD=] [SEED=] [OUT=]
	@$(call renamed,generate DATASET)
	@$(PYTHON) -m include.cli generate $${ROWS:+--rows "$$ROWS"} $${FORMAT:+--format "$$FORMAT"} $${BAD:+--bad "$$BAD"} \
	  $${SEED:+--seed "$$SEED"} $${OUT:+--out "$$OUT"} -- "$${DATASET:-sales}"

schema: $(STAMP) ## a dataset's Avro schema and the registry: make schema DATASET=sales [ACTION=show|check|register] [TOPIC=]
	@$(call renamed,schema show DATASET)
	@$(call required,DATASET,name)
	@$(PYTHON) -m include.streams.schema_command "$${ACTION:-show}" $${TOPIC:+--topic "$$TOPIC"} -- "$$DATASET"

# The library's commands get the running platform's addresses, unless KAFKA_BOOTSTRAP is set in the environment.
WITH_BROKER = $(PYTHON) -m local exec --unless KAFKA_BOOTSTRAP -- $(PYTHON)

produce: $(STAMP) ## publish rows: make produce TOPIC=sales FILE=path or ROWS=1000 [RATE=a second] [DATASET=] [SEED=]
	@$(call renamed,produce --topic TOPIC)
	@$(call required,TOPIC,name)
	@$(WITH_BROKER) -m include.cli produce --topic "$$TOPIC" \
	  $${FILE:+--file "$$FILE"} $${ROWS:+--rows "$$ROWS"} $${RATE:+--rate "$$RATE"} $${SEED:+--seed "$$SEED"} \
	  $${DATASET:+--dataset "$$DATASET"}

replay-dlq: $(STAMP) ## put dead letters back into their topic: make replay-dlq TOPIC=sales [LIMIT=]
	@$(call renamed,replay-dlq --topic TOPIC)
	@$(call required,TOPIC,name)
	@$(WITH_BROKER) -m include.cli replay-dlq --topic "$$TOPIC" \
	  $${LIMIT:+--limit "$$LIMIT"}

##@ From GitHub to a model
.PHONY: ingest-github dbt dbt-docs check-quality report train schedules

# dbt runs as the role `transform` and writes its artefacts to the platform's home.
WITH_PLATFORM = $(PYTHON) -m local exec --start --
DBT = $(WITH_PLATFORM) env DBT_USE_COLORS="$$(test -t 1 && echo true || echo false)" DBT_SEND_ANONYMOUS_USAGE_STATS=false \
  PGOPTIONS="-c lock_timeout=30s -c statement_timeout=3600s" DBT_PROJECT_DIR=dbt DBT_PROFILES_DIR=dbt \
  bash -c 'DBT_TARGET_PATH="$$PLATFORM_HOME/dbt/target" DBT_LOG_PATH="$$PLATFORM_HOME/dbt/logs" exec $(VENV)/bin/dbt "$$@"' dbt

ingest-github: $(STAMP) ## collect commits now: make ingest-github [FULL=1]
	@$(call renamed,run ingest_github)
	@$(PYTHON) -m local run ingest_github $${FULL:+--conf '{"full": true}'}

dbt: $(STAMP) ## build all dbt models now; or any dbt command: make dbt ARGS="build --full-refresh"
ifdef ARGS
	@$(call renamed,dbt $(ARGS))
	@$(DBT) $(ARGS)
else
	@$(call renamed,run transform_warehouse)
	@$(PYTHON) -m local run transform_warehouse
endif

dbt-docs: $(STAMP) ## write the models' documentation as one page
	@$(DBT) --quiet docs generate --static
	@$(WITH_PLATFORM) bash -c 'echo "$$PLATFORM_HOME/dbt/target/static_index.html"' 

check-quality: $(STAMP) ## check every table of the warehouse now
	@$(call renamed,run check_quality)
	@$(PYTHON) -m local run check_quality

report: $(STAMP) ## write the dashboards as one page with charts: make report [OUT=path]
	@$(call renamed,report)
	@$(WITH_PLATFORM) bash -c 'exec $(PYTHON) -m metabase report --out "$${OUT:-$$PLATFORM_HOME/report.html}"' 

train: $(STAMP) ## train the commit model now
	@$(call renamed,run train_commit_model)
	@$(PYTHON) -m local run train_commit_model

schedules: $(STAMP) ## show every DAG: what starts it, its last runs, its next run
	@$(call renamed,schedules)
	@$(PYTHON) -m local schedules

##@ Run it in containers
.PHONY: env-file compose-check

env-file: $(STAMP) ## write .env with random secrets; never overwrites: make env-file [PROFILES=streaming,ml,bi,observability]
	@$(call renamed,dev env-file)
	@$(PYTHON) -m deploy env-file --profiles "$${PROFILES:-}"

compose-check: $(STAMP) ## check docker-compose.yaml: schema, variables, mounts, order, memory, secrets, names
	@$(call renamed,dev compose-check)
	@$(PYTHON) -m deploy check

##@ Long tests
.PHONY: test-long torture soak mutation

# Four parts, each of several minutes on a machine with two processors.
LONG_1 := tests/long/test_torture.py
LONG_2 := tests/long/test_ansible.py tests/long/test_supervisor_killed.py
LONG_3 := tests/long/test_scale_out.py tests/long/test_backup_restore.py tests/long/test_secret_rotation.py
LONG_4 := tests/integration/proof

test-long: $(STAMP) ## tests of minutes each, and 2,000 generated cases: make test-long [PART=1..4] [EXAMPLES=2000]
	@test -n "$(LONG_$(or $(PART),1))" || { echo "error: there is no part $(PART): make test-long PART=1..4" >&2; exit 2; }
	@TEST_EXAMPLES="$${EXAMPLES:-2000}" $(PYTHON) -m pytest \
	  $(if $(PART),$(LONG_$(PART)),$(LONG_1) $(LONG_2) $(LONG_3) $(LONG_4))

torture: $(STAMP) ## inject faults into a platform under load, then compare counts: make torture [FAULTS=200] [SEED=1]
	@$(call renamed,dev torture)
	@$(PYTHON) -m proof.torture $${FAULTS:+--faults "$$FAULTS"} $${SEED:+--seed "$$SEED"}

soak: $(STAMP) ## measure growth under steady load, or the cost of an idle platform: make soak [MINUTES=30] [IDLE=1]
	@$(call renamed,dev soak)
	@$(PYTHON) -m proof.soak $${MINUTES:+--minutes "$$MINUTES"} $${IDLE:+--idle}

mutation: $(STAMP) ## change the core's code and check that a test fails: make mutation [ONLY=module] [MUTANTS=]
	@$(call renamed,dev mutation)
	@$(PYTHON) -m proof.mutation $${ONLY:+--only "$$ONLY"} $${MUTANTS:+--mutants "$$MUTANTS"}

##@ Work on the code
.PHONY: setup test lint format bench lock help

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

lint: $(STAMP) ## check style, types, SQL and Dockerfiles
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/sqlfluff lint sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff lint models tests
	@$(VENV)/bin/hadolint --no-color deploy/docker/*/Dockerfile ml_api/Dockerfile monitoring/sql_exporter/Dockerfile
	@$(FOR_ANSIBLE) ansible-lint --strict -q

format: $(STAMP) ## format the code
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/sqlfluff fix --quiet sql metabase/questions
	@cd dbt && ../$(VENV)/bin/sqlfluff fix --quiet models tests

bench: $(STAMP) ## measure speed and memory: make bench [ROWS=] [MEMORY_ROWS=] [MESSAGES=] [DROPS=] [FILES=] [FORMATS=1] [SCALING=1]
ifdef FORMATS
	@$(PYTHON) -m proof.bench.formats $${ROWS:+--rows "$$ROWS"}
else ifdef SCALING
	@$(PYTHON) -m proof.bench.scaling $${FILES:+--files "$$FILES"} $${ROWS:+--rows "$$ROWS"}
else
	@$(PYTHON) -m proof.bench $${ROWS:+--rows "$$ROWS"} $${MEMORY_ROWS:+--memory-rows "$$MEMORY_ROWS"} \
	  $${MESSAGES:+--messages "$$MESSAGES"} $${DROPS:+--drops "$$DROPS"} $${FILES:+--files "$$FILES"}
endif

lock: $(STAMP) ## compile the requirements*.in to lock files, with the versions of the present ones where they fit
	@for lock in $(REQUIREMENTS); do \
	  $(VENV)/bin/uv pip compile --quiet --python-version 3.11 --no-emit-index-url \
	    --custom-compile-command "make lock" --output-file "$$lock" "$${lock%.txt}.in"; \
	done

help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
