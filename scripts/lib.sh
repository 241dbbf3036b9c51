# SPDX-License-Identifier: MIT
#
# Sourced by the scripts beside it: where things are, and how to speak. Everything can be moved by
# the environment: PYTHON (the interpreter for the virtual environment), VENV, BUILD.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

VENV=$(realpath -m "${VENV:-.venv}")
BUILD=$(realpath -m "${BUILD:-build}")
JOBS=${JOBS:-$(nproc)}
PATH=$VENV/bin:$PATH
export VENV BUILD PATH PIP_DISABLE_PIP_VERSION_CHECK=1

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# The files of the working tree that git tracks or would track, by pathspec.
tree_files() {
    git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
        if [ -f "$file" ]; then
            printf '%s\n' "$file"
        fi
    done
}
