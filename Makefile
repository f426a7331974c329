# What a person types. Each target installs what it needs when it is missing, and
# says so in one line. `make help` explains; .ci/run is `make check test`.
#
# CARGO_TARGET_DIR is honoured; fetched peers go to target/tools.

target := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo build test check fmt bench
.PHONY: check-tree check-format check-dependencies check-lints check-docs
.DEFAULT_GOAL := help

help:
	@echo 'Spanwire: an RPC mesh for Java Dubbo in one binary.'
	@echo
	@echo '  make demo    real Java consumers and providers, and a Go client, calling through'
	@echo '               two sidecars, found through an embedded store, moved by a rule;'
	@echo '               about 3 minutes after the first build'
	@echo '  make build   the optimised binary: $(target)/release/spanwire'
	@echo '  make test    every test, with real Java, Go, etcd, ZooKeeper, MariaDB and web servers'
	@echo '  make check   format, lints, documentation, dependencies, repository'
	@echo '  make bench   side by side with Envoy and haproxy; about 20 minutes on a quiet'
	@echo '               machine. BENCH="--quick" for 5, BENCH="--help" for all options'
	@echo '  make fmt     formats the code'
	@echo
	@echo 'Needed: Rust $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer, a C compiler; for demo and test Java 17, Maven and Go 1.26; for test Node.js 20 with npm, and curl.'
	@echo 'The rest is fetched into $(target)/ when it is first used.'

demo:
	@tools/setup build java go
	cargo build -p cli
	examples/demo/run

build:
	@tools/setup build
	cargo build --release -p cli

test:
	@tools/setup build java etcd zookeeper namespace mariadb go web
	cargo build -p cli
	tools/run-tests

check: check-tree check-format check-dependencies check-lints check-docs

check-tree:
	tools/check-tree

check-format:
	@tools/setup build lint
	cargo fmt --all -- --check

check-dependencies:
	@tools/setup build
	tools/check-dependencies

check-lints:
	@tools/setup build lint
	cargo clippy --workspace --all-targets --locked -- -D warnings

check-docs:
	@tools/setup build
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

fmt:
	cargo fmt --all

# BENCH: options of the bench program; SPANWIRE: another binary to measure.
bench:
	@tools/setup build peers
	cargo build --release -p cli -p tests --bin spanwire --bin bench
	$(target)/release/bench --report docs/performance.md $(BENCH)
