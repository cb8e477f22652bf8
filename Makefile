# k2lab: `make report` runs the main job, `make test` the tests. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENGINES := 0.11.0 0.11.1 0.32.0
WORKERS ?= 3 # one more than cores: tests wait for servers and for deadlines, too
unexport PYTHONDONTWRITEBYTECODE # or each of the hundred processes that tests start compiles what it imports
MINUTES ?= 10
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder --max-worker-restart=0

.PHONY: setup engines report report-full lab test test-long quick slow-list fuzz check audit-speed bench-speed enforce-speed guard-proof proxy-speed start-speed nano lock docs pages picture screens publish-reports clean

setup: $(VENV)/.done ## the notebook environment: no torch, no vllm

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "k2lab needs Python 3.11 or later, $(PYTHON) is $$($(PYTHON) --version): make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	-@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1' # several times sooner than pip, which does it where uv can't
	$(BIN)/python -P k2lab/engine/installers.py -e '.[all,dev]'
	@touch $@

engines: setup ## real vLLM releases, each in its own environment under the user's cache
	$(BIN)/k2lab engine install $(ENGINES)

report: engines ## run the notebooks on live servers; reports/*.html and reports/summary.json
	$(BIN)/k2lab report

report-full: engines ## the same on more requests, 4,000 an arm in the benchmarks: the figures of README and guides
	$(BIN)/k2lab report -p 1_generation_prompt.requests 200 -p 2_empty_content.requests 200 -p 3_tool_call_ids.asks 60 \
		-p 4_benchmark.requests 4000 -p 5_enforcer.requests 4000 -p 8_k3.requests 1000 -p 9_thinking.requests 300

lab: setup ## JupyterLab on the notebooks
	$(BIN)/k2lab lab

test: engines ## the suite, live engines included
	$(PYTEST) -m 'not long'

test-long: engines ## what make test leaves out: set-ups of the doctor, the sweep, kept seeds; properties on at least four times the examples
	$(PYTEST) -m 'long or hypothesis' --hypothesis-profile=thorough

quick: setup ## what needs no engine and takes no long, in about a minute; WORKERS=6 on four cores
	$(PYTEST) --ignore=tests/live --ignore=tests/browser -m 'not slow and not long'

slow-list: engines ## the suite, measured: which tests make quick leaves out, into tests/data/slow.json
	$(PYTEST) -m 'not long' --measure-slow

fuzz: setup ## every command on hostile files, answers and moments; make fuzz MINUTES=10 SUBJECTS=files
	$(BIN)/python -m tests.fuzz $(SUBJECTS) --minutes $(MINUTES)

check: setup ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench-speed: setup ## requests a second beside other clients; K2VV=PATH adds a checkout of K2-Vendor-Verifier
	$(BIN)/python -m benchmarks.bench_speed --long 100000 $(if $(K2VV),--k2vv $(K2VV)) $(if $(K2VV_PYTHON),--k2vv-python $(K2VV_PYTHON))

guard-proof: engines ## the guard on live servers, beside the same requests sent to them directly
	$(BIN)/python -m benchmarks.guard_proof lost
	$(BIN)/python -m benchmarks.guard_proof cache --count 40
	$(BIN)/python -m benchmarks.guard_proof pinned --count 4000
	$(BIN)/python -m benchmarks.guard_proof salvage --count 100

audit-speed: setup ## k2lab audit on N exchanges (a million): rate, memory of all processes, sizes of files
	$(BIN)/python -m benchmarks.audit_speed --lines $(or $(N),1000000)

enforce-speed: engines ## the pinned tag against the same server without it, in turns
	$(BIN)/python -m benchmarks.enforcer_speed

proxy-speed: setup ## k2lab proxy beside nginx, a bare pass-through and LITELLM=PATH, before one stub
	$(BIN)/python -m benchmarks.proxy_speed $(if $(LITELLM),--litellm $(LITELLM)) $(if $(LONG),--seconds 8 --rounds 3 --streams 200 --requests 100000)

start-speed: engines ## what a start of vLLM costs, alone and forked from a process that has imported it
	$(BIN)/python -m benchmarks.start_speed

nano: setup ## train k2-nano anew (under 45 minutes on 2 cores), or FAMILY=k2-thinking, FAMILY=k3
	$(BIN)/k2lab engine install 0.32.0
	$(BIN)/k2lab nano$(if $(FAMILY), --family $(FAMILY))

lock: setup ## make lock VERSION=0.32.0: resolve the locked requirements of a vLLM release
	$(BIN)/python -m k2lab.engine.locking $(VERSION)

docs: pages ## the pages of docs/ as HTML into build/docs; a link that leads nowhere is an error
	$(BIN)/python -m sphinx -q -W --keep-going -n -b html docs build/docs
	@echo build/docs/index.html

pages: setup ## the parts of docs/ that are made from the code
	$(BIN)/cog -r -I docs docs/*.md docs/guides/guard.md docs/reports/index.md

screens: engines ## pictures of the workbench and of the last `make report`, in Chromium, light and dark
	$(BIN)/python docs/screens.py reports data/pictures

publish-reports: setup ## the reports of the last `make report` into docs/reports, where they open from a clone
	$(BIN)/python docs/publish.py reports docs/reports
	$(BIN)/cog -r -I docs docs/reports/index.md

picture: ## the README's picture, out of the last report of notebook 1
	$(BIN)/python docs/picture.py reports/summary.json data/pictures

clean: ## what was made here; the engines in the user's cache stay
	rm -rf $(VENV) reports build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
