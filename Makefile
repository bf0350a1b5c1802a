CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2
FUZZ_SECONDS ?= 60
REVM := tools/bench/peers/revm
SIM_FROM ?= 0
SIM_SECONDS ?= 3600
KILL_ROUNDS ?= 100
CUT_POINTS ?= 1000

.DEFAULT_GOAL := help
.PHONY: run test test-net check bench fuzz sim kill durable canaries help

# Ports over DPDK are built and tested where it is installed (libdpdk-dev).
DPDK := $(shell pkg-config --exists libdpdk 2>/dev/null && echo yes)

run: ## Build and run the main job: a devnet of 4 validators and 10,000 sessions (cargo, git and a C compiler suffice)
	$(CARGO) run --release -p hpb -- devnet

test: ## Run every test, without root; HPB_DATA names the folder of outside vectors (else ../shared/data, else skipped)
	$(CARGO) test --workspace

test-net: ## Test every port and the card against the kernel and foreign programs; root; prints what it skips
	HPB_NET=1 $(CARGO) test -p hpb-net --test devices --test xdp --test steering -- --nocapture
	HPB_NET=1 $(CARGO) test -p hpb-lab --test host --test agents --test nats -- --nocapture
	HPB_NET=1 $(CARGO) test -p hpb --test doctor --test afar -- --nocapture
	HPB_NET=1 $(CARGO) test -p hpb-tests --test interop --test lanes --test twin --test tools --test doctor -- --nocapture
ifeq ($(DPDK),yes)
	HPB_NET=1 $(CARGO) test -p hpb-net --features dpdk --lib --test dpdk -- --nocapture
else
	@echo 'skipped: DPDK is not installed (libdpdk-dev)'
endif
	@echo 'skipped: PCI hardware, which a test does not take from the host'

check: ## Formatting, lints, documentation, dependencies: all without a warning
	$(CARGO) fmt --check
	$(CARGO) fmt --check --manifest-path $(REVM)/Cargo.toml
	$(CARGO) clippy --workspace --all-targets -- -D warnings
ifeq ($(DPDK),yes)
	$(CARGO) clippy -p hpb-net -p hpb-dpdk-sys -p hpb-card --features hpb-net/dpdk --all-targets -- -D warnings
endif
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
	    echo 'make check: cargo-deny is not installed; run: cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked' >&2; exit 1; }
	$(CARGO) deny check --hide-inclusion-graph bans licenses sources

bench: ## Compare the card with the kernel's TCP at 10,000 sessions, echo while most of the sessions reconnect, churn a million, execute and commit transfers beside revm
	$(CARGO) build --release --locked --manifest-path $(REVM)/Cargo.toml --target-dir $(REVM)/target
	$(CARGO) run --release -p hpb -- bench sessions --count 10000
	$(CARGO) run --release -p hpb -- bench reconnect
	$(CARGO) run --release -p hpb -- bench churn
	$(CARGO) run --release -p hpb -- bench ledger --revm $(REVM)/target/release/hpb-peer-revm

fuzz: ## Fuzz every decoder of foreign bytes, FUZZ_SECONDS each (60); needs a C++ compiler
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { \
	    echo 'make fuzz: cargo-fuzz is not installed; run: cargo install cargo-fuzz --version $(CARGO_FUZZ_VERSION) --locked' >&2; exit 1; }
	$(CARGO) fuzz build --fuzz-dir tests/fuzz --sanitizer none
	@set -e; for target in $$(ls tests/fuzz/corpus); do mkdir -p tests/fuzz/found/$$target; \
	    $(CARGO) fuzz run --fuzz-dir tests/fuzz --sanitizer none $$target tests/fuzz/found/$$target tests/fuzz/corpus/$$target \
	    -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20; done

sim: ## Simulate chains with faults for SIM_SECONDS (3600), seed by seed from SIM_FROM (0); says how to run a failing one again
	$(CARGO) build --release -p hpb
	timeout --foreground --preserve-status --signal=INT $(SIM_SECONDS) target/release/hpb sim --seeds $(SIM_FROM)..1000000000

kill: ## Kill a devnet under load KILL_ROUNDS times (100), and look each time for all that it told final
	HPB_KILL_ROUNDS=$(KILL_ROUNDS) $(CARGO) test --release -p hpb --test killed -- --nocapture

durable: ## Drop writes since the last sync at CUT_POINTS (1000) points, and kill a node and fill its disk at every write call
	HPB_CUT_POINTS=$(CUT_POINTS) HPB_KILL_STEP=1 $(CARGO) test -p hpb-tests --test durable -- --nocapture

canaries: ## Put each deliberate bug into the simulated chain and look whether its checker finds it within 300 seeds
	$(CARGO) run --release -p hpb --features canary -- sim --canary all

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
