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
JOBS    := $(shell nproc)

VERSION := 0.1.0
# Certificates are never judged at an earlier time than this (include/adapter/tls.h).
BUILD_TIME := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)

# Variants: release (default), asan.  Each builds into a folder of its own.
VARIANT ?= release
OUT     := build/$(VARIANT)
ifeq ($(VARIANT),asan)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif

PACKAGES := glib-2.0 gio-2.0 gio-unix-2.0 libwebsockets jansson openssl sqlite3
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
UNIT_BIN   := $(UNIT_C:tests/unit/%.c=$(OUT)/tests/%)

.PHONY: all
all: $(OUT)/rauc-ocpp-agent ## build the agent (build/release)

.PHONY: tools
tools: $(OUT)/mock-csms ## build the mock CSMS

.PHONY: unit-tests
unit-tests: $(UNIT_BIN)

$(OUT)/rauc-ocpp-agent: $(OUT)/src/agent/main.o $(OUT)/librauc-ocpp-agent.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/librauc-ocpp-agent.a: $(LIB_O)
	rm -f $@ && ar rcs $@ $^

$(OUT)/mock-csms: $(MOCK_O)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(OUT)/tests/%: $(OUT)/tests/unit/%.o $(OUT)/librauc-ocpp-agent.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(shell pkg-config --libs check) $(LIBS)

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

-include $(shell find build -name '*.d' 2>/dev/null)
