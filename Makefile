# One command each; every one does its own set-up first (.ci/setup says how) and repeats it only where something changed.
#
#   make test    the tests            make bench   the benchmarks       make asan    the tests, under sanitizers
#   make check   lint, types, C       make model   the ring's model     make debug   the tests, -O0 and bounds checks
#   make stress  long, random tests   make setup   set up and build     make clean   remove what was built
#
# PYTHON=python3.12 picks the interpreter; ARGS="-k ring -x" goes to pytest.

PYTHON ?= python3
PY := .venv/bin/python
PYTEST := $(PY) -P -m pytest $(ARGS)
SOURCES := $(wildcard csrc/*.c)
WARNINGS := -std=c11 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Werror

setup build compile:
	@PYTHON='$(PYTHON)' .ci/setup

# A variant is a whole copy of the package in build/<variant>; ahead on PYTHONPATH, it hides the one in this folder.
build-%: setup
	FASTFEED_BUILD=$* $(PY) setup.py -q build --build-lib build/$* --build-temp build/$*/objects

test: setup build-killpoints
	$(PYTEST) --benchmark-disable --ignore=tests/faults
	PYTHONPATH='$(CURDIR)/build/killpoints' $(PYTEST) --benchmark-disable tests/faults

stress: setup
	$(PYTEST) --benchmark-disable -m stress

debug: setup build-debug
	PYTHONPATH='$(CURDIR)/build/debug' FASTFEED_DEBUG=1 $(PYTEST) --benchmark-disable --ignore=tests/faults

# Python leaks by design, hence no leak check; its allocator would hide overruns.  A worker that a sanitizer ends is
# replaced, and its test may pass: so stderr is kept, and a report in it is a failure.
asan: setup build-asan
	status=0; PYTHONPATH='$(CURDIR)/build/asan' PYTHONMALLOC=malloc LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(PYTEST) --benchmark-disable --ignore=tests/faults --capture=sys 2>build/asan/stderr || status=$$?; \
	if grep -q 'runtime error:\|Sanitizer' build/asan/stderr; then cat build/asan/stderr; exit 1; fi; exit $$status

check: setup
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	for cc in $(CC) $$(command -v clang); do for file in $(SOURCES); do for define in -UFF_KILL_POINTS -DFF_KILL_POINTS=1; do \
	    $$cc $(WARNINGS) $$define -Icsrc -c -o /dev/null $$file || exit 1; \
	done; done; done

model:
	@.ci/setup model
	tests/model/run

bench: setup
	$(PY) -m fastfeed bench $(SOURCE)
	$(PYTEST) bench

clean:
	rm -rf build dist *.egg-info fastfeed/_native.*.so .pytest_cache .mypy_cache .ruff_cache .benchmarks
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

.PHONY: setup build compile test stress debug asan check model bench clean distclean
