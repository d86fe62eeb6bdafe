# `make` lists what there is to do. LIVEKIT_URL, from the environment or .env.local, names a LiveKit server to use instead of
# one of our own; a livekit-server on the PATH saves building it.
LIVEKIT_URL ?= $(shell sed -n 's/^LIVEKIT_URL=//p' .env.local 2>/dev/null)
livekit_server := $(if $(shell command -v livekit-server),,bin/livekit-server)
run_in_venv := .venv/bin/python -m
page := worker/page/dist/index.html
livekit_app := tests/end_to_end/livekit_app

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /    make \1 \t/p' Makefile | expand -t 20

setup: .venv/ready $(page) $(if $(LIVEKIT_URL),,$(livekit_server))  ## install everything into .venv, build the web page and a LiveKit server

run: setup  ## start LiveKit, the engine and the worker; Ctrl-C stops them (PUBLIC_IP=...: for callers from elsewhere)
	@$(run_in_venv) deploy.run

test: .venv/ready $(page) $(livekit_app)/dist/index.html $(livekit_server) bin/compose-spec  ## run all tests
	@deploy/programs.sh
	@deploy/tools.sh || echo "test: tests of what is deployed say what they lack" >&2
	OMP_NUM_THREADS=1 $(run_in_venv) deploy.tests

images: .venv/ready  ## build the container images without Docker, and try them (root, buildah, mmdebstrap; minutes)
	IMAGES=1 $(run_in_venv) pytest --timeout 1800 tests/deploy/test_images.py

lint: .venv/ready $(page)  ## check style and types
	$(run_in_venv) ruff check .
	$(run_in_venv) ruff format --check .
	$(run_in_venv) mypy
	npm run --silent --prefix worker/page check

fix: .venv/ready  ## format, repair what can be repaired, write docs/settings.md anew
	$(run_in_venv) ruff check --fix .
	$(run_in_venv) ruff format .
	$(run_in_venv) deploy.settings_page
	$(run_in_venv) deploy.chart_settings

kubernetes: bin/kube-apiserver bin/kube-score  ## build what the Helm chart is tried against (once, some minutes)

bench: .venv/ready  ## measure the engine on this machine
	$(run_in_venv) engine bench

lock: .venv/ready  ## pin what pyproject.toml asks for (UPGRADE=1: the newest of all)
	deploy/requirements/lock.sh

clean:  ## remove all that was installed and built
	rm -rf .venv .reference .pipecat .cache bin build dist worker/page/dist worker/page/node_modules $(livekit_app)/dist $(livekit_app)/node_modules *.egg-info .mypy_cache .pytest_cache .ruff_cache

.PHONY: help setup run test images lint fix kubernetes bench lock clean

.venv/ready: $(wildcard deploy/requirements/*.txt) pyproject.toml deploy/setup.sh
	@PYTHON="$(PYTHON)" deploy/setup.sh

$(page): $(wildcard worker/page/*.* worker/page/src/* worker/page/src/styles/* worker/page/public/*) deploy/page.sh
	@deploy/page.sh

$(livekit_app)/dist/index.html: $(wildcard $(livekit_app)/*.*) deploy/page.sh
	@deploy/page.sh $(livekit_app)

bin/livekit-server: $(wildcard deploy/livekit-server/*)
	@deploy/livekit-server/build.sh

bin/kube-apiserver: $(wildcard deploy/kube-apiserver/*)
	@deploy/kube-apiserver/build.sh

bin/kube-score:
	GOBIN=$(CURDIR)/bin go install github.com/zegl/kube-score/cmd/kube-score@v1.20.0

bin/compose-spec: $(wildcard deploy/compose-spec/*)
	@deploy/compose-spec/build.sh
