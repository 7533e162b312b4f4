# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make            build/pyleak-bpf        make STATIC=1   one static file, build/static/pyleak-bpf
# make demo       see it find a leak      make check      install what is missing, build, test
# make bench      what exact mode costs   make bench-budget   what budget mode costs; make bench-openings, bench-detect, bench-census
# make V=1        show commands           make fuzz       every fuzzer for FUZZ_SECONDS (60) each
# make check-interpreters                 on the Pythons of other Debian releases, downloaded once

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKG_CONFIG ?= pkg-config
O ?= build$(if $(STATIC),/static)$(if $(SANITIZE),/sanitize)$(if $(FUZZ),/fuzz)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)

VERSION := 0.1.0
LAYERS := base os python probe model report cli
INC_base := user/base
INC_os := $(INC_base) user/os
INC_python := $(INC_os) user/python include
INC_probe := $(INC_python) user/probe $(O)
INC_model := user/base user/model
INC_report := $(INC_model) user/report
INC_cli := $(INC_probe) user/model user/report user/cli

PKGS := libbpf libelf capstone libcap zlib
WARN := -Wall -Wextra -Werror
CFLAGS ?= -O2 -g
comma := ,
SAN := $(if $(SANITIZE),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
ifdef FUZZ
CC := $(CLANG)
SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) $(SAN) -D_GNU_SOURCE -DPYLEAK_VERSION='"$(VERSION)"' \
	$(if $(LIBBPF_DIR),-I$(LIBBPF_DIR)/include)
LIBS = $(if $(LIBBPF_DIR),-L$(LIBBPF_DIR)/lib) $(if $(STATIC),-static) \
	$(shell $(PKG_CONFIG) $(if $(STATIC),--static) --libs $(PKGS)) -lpthread -lm

SRCS := $(wildcard $(LAYERS:%=user/%/*.c))
OBJS := $(SRCS:%.c=$(O)/%.o)
UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
UNITS := $(UNIT_SRCS:tests/unit/%.c=$(O)/tests/%)
TOOLS := $(patsubst tests/unit/%.c,$(O)/tests/%,$(wildcard tests/unit/python/live_*.c))
BPF_HDRS := $(wildcard bpf/*.h include/*.h vmlinux/*.h)

all: $(O)/pyleak-bpf

$(O)/%.bpf.o: bpf/%.bpf.c $(BPF_HDRS)
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -O2 -g -target bpf -mcpu=v3 $(WARN) -Ivmlinux -Iinclude -Ibpf \
		$(if $(LIBBPF_DIR),-I$(LIBBPF_DIR)/include) -c $< -o $@

$(O)/%.skel.h: $(O)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@

# A layer sees the layers below it only: a wrong dependency does not build.
define layer
$(O)/user/$(1)/%.o: user/$(1)/%.c Makefile
	$$(call say,CC,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CFLAGS) $$(addprefix -I,$$(INC_$(1))) -MMD -MP -c $$< -o $$@
endef
$(foreach l,$(LAYERS),$(eval $(call layer,$(l))))
$(O)/user/probe/engine.o: $(O)/pyleak.skel.h
$(O)/user/probe/watch.o: $(O)/watch.skel.h
$(O)/user/probe/global_pid.o: $(O)/pids.skel.h

$(O)/pyleak-bpf: $(OBJS)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS) $(SAN) $^ $(LIBS) -o $@
	$(if $(STATIC),$(Q)strip $@)

$(O)/tests/%: tests/unit/%.c $(filter-out %/cli/main.o,$(OBJS))
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(addprefix -I,$(INC_cli)) -MMD -MP -MF $@.d $^ $(LIBS) -lcmocka -o $@

# with layouts of their own making
$(O)/tests/python/live_spoilt: LIBS += -Wl,--wrap=py_layout__find_patch

$(O)/tests/e2e/spoilt_tool: tests/e2e/spoilt_tool.c tests/unit/python/spoil.h $(OBJS)
	$(call say,TEST,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Iuser/python -Iinclude -MMD -MP -MF $@.d $(filter-out %.h,$^) $(LIBS) \
		-Wl,--wrap=py_layout__find_patch -o $@

$(O)/tests/bench/probes: tests/bench/probes.c $(filter-out %/cli/main.o,$(OBJS))
	$(call say,BENCH,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(addprefix -I,$(INC_cli)) $^ $(LIBS) -o $@

# libFuzzer targets over what they need of the layers: made by "make fuzz-targets"
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,$(O)/fuzz_%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_OBJS := $(filter $(O)/user/base/% $(O)/user/os/% $(O)/user/python/% $(O)/user/report/json_writer.o,$(OBJS)) \
	$(addprefix $(O)/user/probe/,place.o recycle.o gc_probe.o)
FUZZ_WRAPS := procfs__maps procfs__status procfs__memory procfs__run_ns pagemap__open pagemap__next

$(O)/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_OBJS) $(wildcard tests/fuzz/*.h)
	$(call say,FUZZER,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $(FUZZ_CFLAGS) $(addprefix -I,$(INC_cli)) $(filter-out %.h %.image,$^) $(LIBS) -o $@

$(O)/fuzz_process: tests/fuzz/image.c $(O)/python.image
$(O)/fuzz_process: FUZZ_CFLAGS = -DFUZZ_IMAGE_PATH='"$(O)/python.image"' $(FUZZ_WRAPS:%=-Wl,--wrap=%)

# Only good for fuzzers of the same build
$(O)/python.image: $(O)/record
	$(call say,RECORD,$@)
	$(Q)$(O)/record $(FUZZ_PYTHON) $@

$(O)/record: tests/fuzz/record.c tests/fuzz/image.h $(FUZZ_OBJS)
	$(call say,FUZZER,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(addprefix -I,$(INC_cli)) $(filter-out %.h %.image,$^) $(LIBS) -o $@

fuzzers: $(FUZZERS)

units: $(UNITS) $(TOOLS) $(O)/tests/bench/probes $(O)/tests/e2e/spoilt_tool

deps:
	@tests/install-deps.sh

check: deps
	@+tests/check.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@PYLEAK=$(O)/pyleak-bpf tests/demo/demo.sh

# 10,000 attach/detach rounds on a busy process: some 20 minutes
check-rounds: all units
	PYLEAK_PROBE_ROUNDS=10000 PYLEAK=$(O)/pyleak-bpf tests/e2e/run.sh tests/e2e/test_attach_rounds.py -k by_the_thousand

# what make check tries on some interpreters, on all of them: half an hour
check-everywhere: all units
	PYLEAK_EVERYWHERE=1 PYLEAK=$(O)/pyleak-bpf tests/e2e/run.sh tests/e2e/test_corpus.py tests/e2e/test_corpus_truth.py \
		tests/e2e/test_allocators.py tests/e2e/test_spoilt.py

# budget mode's numbers against the truth: on a quiet machine
check-estimates: all
	PYLEAK_ESTIMATES=1 PYLEAK_WORKERS=1 PYLEAK=$(O)/pyleak-bpf tests/e2e/run.sh tests/e2e/test_budget_estimates.py

FUZZ_PYTHON ?= /usr/bin/python3
FUZZ_SECONDS ?= 60
fuzz-targets:
	@$(MAKE) --no-print-directory FUZZ=1 FUZZ_PYTHON=$(FUZZ_PYTHON) fuzzers

fuzz: fuzz-targets
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/fuzz.sh build/fuzz $(ARGS)

check-interpreters: deps
	@$(MAKE) --no-print-directory all
	@PYLEAK=$(O)/pyleak-bpf tests/check-interpreters.sh $(ARGS)

bench: all $(O)/tests/bench/probes
	@PYLEAK=$(O)/pyleak-bpf PYLEAK_BENCH_PROBES=$(O)/tests/bench/probes tests/bench/bench.sh

bench-budget: all
	@PYLEAK=$(O)/pyleak-bpf /usr/bin/python3 tests/bench/budget.py $(ARGS)

# what one opening takes beside what is told
bench-openings: all
	@PYLEAK=$(O)/pyleak-bpf /usr/bin/python3 tests/bench/openings.py $(ARGS)

# how fast the census reads, what it takes, and what it costs the process; some 3 GB of memory
bench-census: all
	@PYLEAK=$(O)/pyleak-bpf /usr/bin/python3 -B tests/bench/census.py $(ARGS)

# after how long budget mode has found each leak of the corpus; "healthy" as ARGS: whether it leaves the others alone, 20 minutes each
bench-detect: all
	@PYLEAK=$(O)/pyleak-bpf /usr/bin/python3 -B tests/bench/detect.py $(or $(ARGS),leaks --runs 3)

clean:
	rm -rf build

-include $(OBJS:.o=.d) $(wildcard $(O)/tests/*/*.d)
.PHONY: all units fuzzers fuzz-targets fuzz deps check check-everywhere check-estimates check-rounds check-interpreters demo bench bench-budget bench-openings bench-census \
	bench-detect clean
.SECONDARY:
