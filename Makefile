CARGO ?= cargo
CARGO_DENY_VERSION := 0.20.2

.DEFAULT_GOAL := help
.PHONY: run test check bench help

run: ## Build and run the main job: a devnet of 4 validators and 10,000 sessions (cargo, git and a C compiler suffice)
	$(CARGO) run --release -p hpb -- devnet

test: ## Run every test, without root; HPB_DATA names the folder of outside vectors (else ../shared/data, else skipped)
	$(CARGO) test --workspace

check: ## Formatting, lints, documentation, dependencies: all without a warning
	$(CARGO) fmt --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps
	@$(CARGO) deny --version >/dev/null 2>&1 || { \
	    echo 'make check: cargo-deny is not installed; run: cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked' >&2; exit 1; }
	$(CARGO) deny check --hide-inclusion-graph bans licenses sources

bench: ## Compare the card with the kernel's TCP at 10,000 sessions, then echo while most of the sessions reconnect
	$(CARGO) run --release -p hpb -- bench sessions --count 10000
	$(CARGO) run --release -p hpb -- bench reconnect

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
