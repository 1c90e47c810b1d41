# SPDX-License-Identifier: LGPL-2.1-or-later
# rauc-ocpp-agent: `make help` lists the targets.
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

PREFIX  ?= /usr
DESTDIR ?=
CC      ?= cc
CFLAGS  ?= -O2 -g
PYTHON  := /usr/bin/python3
JOBS    ?= $(shell nproc)

VERSION := 0.1.0
# Certificates are never judged at an earlier time than this (include/adapter/tls.h).
BUILD_TIME := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)

# Variants: release (default), asan, ubsan (for the guest, where ASan finds no room).  Each builds into a folder of its own.
VARIANT ?= release
OUT     := build/$(VARIANT)
ifeq ($(VARIANT),asan)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifeq ($(VARIANT),ubsan)
SANITIZE := -fsanitize=undefined -fno-sanitize-recover=undefined
endif

PACKAGES := glib-2.0 gio-2.0 gio-unix-2.0 libwebsockets jansson openssl sqlite3
# libcurl is loaded when the first transfer wants it (src/adapter/transfer_libcurl.c): its headers alone are needed here.
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wpointer-arith
# DEVELOPER=1 turns warnings into errors (lint, CI).
ifdef DEVELOPER
WARNINGS += -Werror
endif
ALL_CPPFLAGS = -Iinclude -I. -D_GNU_SOURCE -DVERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 $(WARNINGS) $(CFLAGS) $(SANITIZE) -fstack-protector-strong $(shell pkg-config --cflags $(PACKAGES))
ALL_LDFLAGS  = $(LDFLAGS) $(SANITIZE) -Wl,-z,relro,-z,now -Wl,--as-needed
LIBS         = $(shell pkg-config --libs $(PACKAGES))

MIGRATIONS := $(sort $(wildcard db/migrations/*.sql))
LIB_C      := $(sort $(filter-out src/agent/main.c,$(wildcard ocpp/*.c db/*.c src/*/*.c src/*/*/*.c)))
LIB_O      := $(LIB_C:%.c=$(OUT)/%.o) $(OUT)/db/migrations.o
MOCK_O     := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tools/mock-csms/*.c)))
UNIT_C     := $(sort $(wildcard tests/unit/*.c))
UNIT_BIN   := $(UNIT_C:tests/unit/%.c=$(OUT)/tests/%) $(OUT)/tests/test_year
YEAR_O     := $(patsubst %.c,$(OUT)/%.o,$(sort $(wildcard tests/year/*.c)))

.PHONY: all
all: $(OUT)/rauc-ocpp-agent ## build the agent (build/release)

.PHONY: tools
tools: $(OUT)/mock-csms ## build the mock CSMS

.PHONY: unit-tests
unit-tests: $(UNIT_BIN)

.PHONY: test
test: ## install what is missing, build with ASan and UBSan, run all tests (as root)
	tools/install-packages.sh build test
	$(MAKE) -j$(JOBS) VARIANT=asan DEVELOPER=1 all tools unit-tests
	$(PYTHON) tests/run.py build/asan

.PHONY: test-guest
test-guest: ## the tests that need a streaming RAUC, dm-verity and nbd, in user-mode Linux (as root)
	tools/install-packages.sh build test guest
	$(MAKE) -j$(JOBS) VARIANT=ubsan DEVELOPER=1 all tools
	$(PYTHON) tests/guest/run.py --guests=$(JOBS) build/ubsan

.PHONY: test-crash
test-crash: ## an update with agent, power, RAUC or CSMS lost at every durable boundary (as root); POINTS=N: at most so many; SEED=N
	tools/install-packages.sh build test
	$(MAKE) -j$(JOBS) all tools $(OUT)/tests/boundaries.so
	$(PYTHON) tests/crash/run.py $(OUT)
	$(PYTHON) tests/crash/run.py $(OUT) --mutations

.PHONY: test-boot
test-boot: ## updates in emulated machines: real kernel, boot loaders that count attempts, power cuts (as root); CUTS=N; SEED=N
	tools/install-packages.sh build test
	-tools/install-packages.sh boot
	$(MAKE) -j$(JOBS) all tools
	$(PYTHON) tests/boot/run.py $(OUT)

.PHONY: test-year
test-year: ## a year of updates, outages, reboots and crashes in virtual time; YEARS=N; SEED=N: the first one's
	tools/install-packages.sh build test
	$(MAKE) -j$(JOBS) $(OUT)/tests/test_year
	$(OUT)/tests/test_year

.PHONY: bench
bench: ## measure the release build beside the bare tools, into build/bench.json (as root); STRICT=1: fail on a missed budget
	tools/install-packages.sh build bench guest boot
	$(MAKE) -j$(JOBS) all tools $(OUT)/tests/stamp
	$(PYTHON) -B tests/bench/bench.py $(OUT)

.PHONY: demo
demo: ## a whole update with the real RAUC, a mock CSMS and a simulated reboot (as root); BAD=1: a rollback
	tools/install-packages.sh build demo
	$(MAKE) -j$(JOBS) all tools
	$(PYTHON) tools/demo.py $(if $(BAD),--bad)

C_FILES     = $(shell git ls-files '*.c' '*.h')
SHELL_FILES = $(shell git ls-files '*.sh') .ci/run
.PHONY: lint
lint: ## floors, formatting, both compilers with -Werror, clang-tidy, cppcheck, shellcheck, codespell
	tools/install-packages.sh build lint
	tools/check-floors.py
	clang-format --dry-run -Werror $(C_FILES)
	$(MAKE) -j$(JOBS) OUT=build/lint-gcc CC=gcc DEVELOPER=1 all tools unit-tests
	$(MAKE) -j$(JOBS) OUT=build/lint-clang CC=clang DEVELOPER=1 all tools unit-tests
	printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P $(JOBS) -n 4 sh -c 'clang-tidy --quiet "$$@" -- -Iinclude -I. -D_GNU_SOURCE -DVERSION=__FILE__ \
	    -std=gnu11 $(shell pkg-config --cflags $(PACKAGES) check) 2>/dev/null' clang-tidy
	cppcheck --quiet --error-exitcode=1 --inline-suppr --enable=warning,performance,portability --std=c11 -j $(JOBS) \
	    --suppress=unknownMacro --suppress=missingInclude -Iinclude -I. $(filter %.c,$(C_FILES))
	shellcheck $(SHELL_FILES)
	codespell $(shell git ls-files)

.PHONY: install
install: all ## install the agent, its bus policy, unit and an example of the settings (DESTDIR=, PREFIX=)
	install -D -m 755 $(OUT)/rauc-ocpp-agent $(DESTDIR)$(PREFIX)/bin/rauc-ocpp-agent
	install -D -m 644 src/agent/org.rauc_ocpp.Agent.conf $(DESTDIR)$(PREFIX)/share/dbus-1/system.d/org.rauc_ocpp.Agent.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed "s|/usr/bin/|$(PREFIX)/bin/|" tools/systemd/rauc-ocpp-agent.service \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/system/rauc-ocpp-agent.service
	install -D -m 644 tools/systemd/rauc-ocpp-agent.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/rauc-ocpp-agent.conf
	install -D -m 644 tools/agent.conf.example $(DESTDIR)$(PREFIX)/share/doc/rauc-ocpp-agent/agent.conf.example

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

$(OUT)/rauc-ocpp-agent: $(OUT)/src/agent/main.o $(OUT)/librauc-ocpp-agent.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/librauc-ocpp-agent.a: $(LIB_O)
	rm -f $@ && ar rcs $@ $^

$(OUT)/mock-csms: $(MOCK_O)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/tests/%: $(OUT)/tests/unit/%.o $(OUT)/librauc-ocpp-agent.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(LIBS)

$(OUT)/tests/test_year: $(YEAR_O) $(OUT)/librauc-ocpp-agent.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(LIBS)

$(OUT)/tests/stamp: $(OUT)/tests/bench/stamp.o
	$(CC) $(ALL_LDFLAGS) -o $@ $^

# Preloaded into the agent by tests/crash; not into a sanitized one, whose runtime wants to come first.
$(OUT)/tests/boundaries.so: tests/crash/boundaries.c tests/crash/shadow.c tests/crash/shim.h $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -shared -fPIC -o $@ $(filter %.c,$^)

$(OUT)/db/migrations.c: $(MIGRATIONS) db/embed-migrations.sh
	@mkdir -p $(@D)
	db/embed-migrations.sh $(MIGRATIONS) > $@

$(OUT)/db/migrations.o: $(OUT)/db/migrations.c $(OUT)/flags
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

$(OUT)/src/adapter/tls.o: ALL_CPPFLAGS += -DBUILD_TIME=$(BUILD_TIME)

$(OUT)/%.o: %.c $(OUT)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Rebuild everything when the flags change.
$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS)' > $@
FORCE:

-include $(shell find $(OUT) -type f -name '*.d' 2>/dev/null)
