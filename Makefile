# One command each; every one does its own set-up first (.ci/setup says how) and repeats it only where something changed.
#
#   make test    the tests                 make bench   fastfeed beside what people have today
#   make check   lint, types, stubs, C      make table   what is promised, and what is measured here
#   make model   the ring's model          make stress  long and random tests
#   make asan    tests under sanitizers    make debug   tests with -O0 and bounds checks
#   make fuzz    the decoder under libFuzzer, SECONDS=60
#   make setup   set up and build, only    make suites  the benchmarks of the parts
#   make test-frameworks   the adapters, with the frameworks that they are for (several GB)
#   make wheels  what is released, into dist: an sdist, and wheels that need no compiler (docs/releasing.md)
#   make test-wheel   the tests, with the wheel in dist installed where there is no compiler
#   make clean   remove what was built
#
# PYTHON=python3.12 picks the interpreter, SOURCE=folder the photographs to measure with; ARGS="-k ring -x" goes to pytest.
# `make test` spreads the tests over the processors; ARGS=-n0 keeps them in one process, for a debugger.

PYTHON ?= python3
PY := .venv/bin/python
PYTEST := $(PY) -P -m pytest $(ARGS)
# In as many processes as tests/conftest.py says; -n0 and the like come after it, and count.
SPREAD := $(PY) -P -m pytest $(if $(findstring no:xdist,$(ARGS)),,-n auto --dist worksteal) $(ARGS)
SOURCES := $(wildcard csrc/*/*.c)
WARNINGS := -std=c11 -O2 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Werror

setup build compile:
	@PYTHON='$(PYTHON)' .ci/setup

# A variant is a whole copy of the package in build/<variant>; ahead on PYTHONPATH, it hides the one in this folder.
build-%: setup
	FASTFEED_BUILD=$* $(PY) setup.py -q build --build-lib build/$* --build-temp build/$*/objects

test: setup build-killpoints
	$(SPREAD) --benchmark-disable --ignore=tests/faults
	PYTHONPATH='$(CURDIR)/build/killpoints' $(PYTEST) --benchmark-disable tests/faults

# A framework lies in a folder of its own, ahead of what .venv has and of what it stands on.  Keras is tested with each of
# its backends, and skipped elsewhere.  FRAMEWORKS=torch tests one alone.
FRAMEWORKS := torch tensorflow jax lightning accelerate transformers metrics ray
test-frameworks: setup
	for name in $(FRAMEWORKS); do \
	    .ci/setup framework $$name && \
	    KERAS_BACKEND=$$name PYTHONPATH="$$(cat build/$$name.path)" \
	        $(PYTEST) --benchmark-disable tests/adapters/test_$$name*.py tests/adapters/test_keras*.py || exit 1; \
	done

stress: setup
	$(PYTEST) --benchmark-disable -m stress

debug: setup build-debug
	PYTHONPATH='$(CURDIR)/build/debug' FASTFEED_DEBUG=1 $(PYTEST) --benchmark-disable --ignore=tests/faults

# Python leaks by design, hence no leak check; its allocator would hide overruns.  Without libstdc++ ahead of it, libasan
# stops at the first C++ exception of any package.  A worker that a sanitizer ends is replaced, and its test may pass: so
# stderr is kept, and a report in it is a failure.
asan: setup build-asan
	status=0; export LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so.6)"; \
	PYTHONPATH='$(CURDIR)/build/asan' PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	    $(PYTEST) --benchmark-disable --ignore=tests/faults -m 'not stress and not pages' --capture=sys 2>build/asan/stderr || status=$$?; \
	unset LD_PRELOAD; if grep -q 'runtime error:\|Sanitizer' build/asan/stderr; then cat build/asan/stderr; exit 1; fi; exit $$status

check: setup
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -P -m mypy.stubtest fastfeed._native --concise --ignore-disjoint-bases --allowlist tests/stubtest.txt
	for cc in $(CC) $$(command -v clang); do for file in $(SOURCES); do for define in -UFF_KILL_POINTS -DFF_KILL_POINTS=1; do \
	    $$cc $(WARNINGS) $$define -Icsrc -c -o /dev/null $$file || exit 1; \
	done; done; done

model:
	@.ci/setup model
	$(PYTHON) tests/model/run

SECONDS := 60
fuzz: setup
	@.ci/setup fuzz
	$(PY) tests/fuzz/run $(SECONDS)

bench: setup
	$(PY) -m fastfeed bench $(if $(SOURCE),'$(SOURCE)')

table: setup
	$(PY) bench/table.py $(if $(SOURCE),'$(SOURCE)')
	$(PY) bench/table_kernel.py $(if $(SOURCE),'$(SOURCE)')
	$(PY) bench/table_python.py

suites: setup
	$(PYTEST) bench

# For each Python that is here, or PYTHON alone; ARCH=x86_64 builds for that architecture alone.
wheels:
	@PYTHON='$(PYTHON)' .ci/wheels $(ARCH)

test-wheel:
	@PYTHON='$(PYTHON)' .ci/test_wheel $(ARGS)

clean:
	rm -rf build dist *.egg-info fastfeed/_native.*.so .pytest_cache .mypy_cache .ruff_cache .benchmarks
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv

.PHONY: setup build compile test test-frameworks stress debug asan check model fuzz bench table suites wheels test-wheel clean distclean
