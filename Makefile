# SPDX-License-Identifier: Apache-2.0
# In front of meson; the same goals work on a fresh clone and later. Every goal installs the Debian packages it lacks.
#
#   make build     builds build/libmote.so, tools, examples and the Python package in build/python (the default)
#   make run       builds and runs the example census, in C and in Python
#   make test      builds and runs all tests
#   make check     sanitizers, valgrind, clang, aarch64, models, fuzzing, style;  make check-asan runs one stage
#   make bench     measures (bench/run); make bench-python measures the Python package
#   make docs      writes docs/reference.md and docs/reference-python.md anew from the headers and docstrings
#   make install   into PREFIX (/usr/local), under DESTDIR
#   make clean     removes everything that was built

PREFIX ?= /usr/local
STAGES := style asan tsan valgrind clang arm64 spin fuzz python

.PHONY: build run test check bench bench-python docs install clean help packages $(STAGES:%=check-%)
MAKEFLAGS += --no-print-directory

build: packages build/build.ninja
	@echo "make: building into build/"
	@ninja -C build

packages:
	@scripts/install-packages build

build/build.ninja: | packages
	@echo "make: setting up build/"
	@meson setup build --prefix $(abspath $(PREFIX))

run: build
	@echo "make: running build/examples/census --compare: counts the words of 40,000 files at most, with a process for each (one core, then all of them)"
	@build/examples/census --compare
	@if ls build/python/mote/_mote.*.so >/dev/null 2>&1; then \
	    echo "make: running examples/census.py --kill-workers, the same in Python on all cores, with half as many files (60 lines; some seconds);" \
	        "all interpreters but one are shot now and then, and the counts are right"; \
	    PYTHONPATH=build/python PYTHONDONTWRITEBYTECODE=1 "$$(scripts/pythons system | cut -f3)" examples/census.py --kill-workers; \
	else echo "make: examples/census.py is left out: the Python package is not built"; fi

test:
	@scripts/install-packages build test
	@$(MAKE) build
	@echo "make: running the tests (details: build/meson-logs/testlog.txt)"
	@scripts/run-tests build

check:
	@scripts/check

$(STAGES:%=check-%): check-%:
	@scripts/check $*

bench: build
	@scripts/install-packages bench
	@bench/run

bench-python: build
	@scripts/install-packages bench
	@bench/run --python

docs:
	@scripts/gen-docs reference docs/reference.md
	@scripts/gen-docs reference-python docs/reference-python.md
	@echo "make: wrote docs/reference.md and docs/reference-python.md"

install: build
	@meson configure build --prefix $(abspath $(PREFIX))
	@DESTDIR=$(DESTDIR) meson install -C build
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig # so that programs find the library at once

clean:
	rm -rf build build-*

help:
	@sed -n 's/^#   //p' Makefile
