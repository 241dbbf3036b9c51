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
export VENV BUILD PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_DEFAULT_TIMEOUT=${PIP_DEFAULT_TIMEOUT:-60}

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# For tests: without what would configure a server behind a test's back. Names of unix sockets in
# the directory for temporary files have to be short; a name server that does not answer is asked
# once.
clean_environment() {
    local name temporary=${TMPDIR:-}
    unset GUNICORN_CMD_ARGS WEB_CONCURRENCY PORT FORWARDED_ALLOW_IPS SENDFILE SCRIPT_NAME
    unset GUNICORN_PID GUNICORN_FD NOTIFY_SOCKET LISTEN_PID LISTEN_FDS LISTEN_FDNAMES
    unset WATCHDOG_PID WATCHDOG_USEC
    for name in ${!SAOLA_@}; do
        [ "$name" = SAOLA_TEST_SERVER ] || unset "$name"
    done
    if [ ${#temporary} -gt 24 ]; then
        unset TMPDIR
    fi
    export RES_OPTIONS="timeout:1 attempts:1"
}

# Once more if it fails: for what comes over a network.
twice() {
    "$@" || {
        echo "once more: $*" >&2
        "$@"
    }
}

# The files of the working tree that git tracks or would track, by pathspec.
tree_files() {
    git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do
        if [ -f "$file" ]; then
            printf '%s\n' "$file"
        fi
    done
}
