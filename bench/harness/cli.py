# SPDX-License-Identifier: MIT
"""The command line of bench/run."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import resource
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import cases, envs, layout, load, report, servers
from .cases import Case
from .plan import Cells, Options, Plan, Results
from .servers import Server

CONNECTIONS = (1, 64, 1000)
LOG_CONNECTIONS = 64
ROUNDS = 3
SECONDS = 2
MARK = "<!-- bench/run --write replaces what follows -->"

CHECK: tuple[tuple[str, tuple[int, ...], tuple[str, ...]], ...] = (
    ("hello", (64,), ("canned", "saola", "saola-log", "fastpysgi", "bjoern", "granian")),
    ("hello", (1000,), ("saola",)),
    ("pipeline", (64,), ("canned", "saola")),
    ("idle", (0,), ("saola",)),
    ("slow", (0,), ("saola",)),
    ("stream", (0,), ("saola",)),
)
"""What --check measures: case, connections, servers."""

EPILOG = """\
Servers: %(servers)s.
Cases: %(cases)s.
Everything is made under build/bench: environments, logs and last.json, the figures of the last run.
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if options.show:
        results = Results.from_json(json.loads(layout.RESULTS.read_text()))
    else:
        try:
            results = _measure(options)
        except load.LoadFailed as error:
            parser.exit(1, f"bench/run: {error}\n")
        except KeyboardInterrupt:
            return 130
        layout.RESULTS.write_text(json.dumps(results.to_json(), indent=1))
    if options.check:
        print(report.claims_text(results), end="")
    else:
        print(report.markdown(results), end="")
    if options.write:
        _write(report.markdown(results))
    return 0


def _parser() -> argparse.ArgumentParser:
    epilog = EPILOG % {"servers": ", ".join(servers.BY_NAME), "cases": ", ".join(cases.BY_NAME)}
    parser = argparse.ArgumentParser(
        prog="bench/run",
        description="Saola beside its peers: CPU time per request, throughput, latency, memory.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", type=_names(servers.BY_NAME), help="comma-separated [all]")
    parser.add_argument("--cases", type=_names(cases.BY_NAME), help="comma-separated [all]")
    parser.add_argument("--connections", type=_counts, help="comma-separated [1,64,1000]")
    parser.add_argument("--rounds", type=int, help=f"turns of each server [{ROUNDS}]")
    parser.add_argument("--seconds", type=int, help=f"length of a turn [{SECONDS}]")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s, 64 connections")
    parser.add_argument("--check", action="store_true", help="print Saola's promises, kept or not")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks.md")
    parser.add_argument("--show", action="store_true", help="measure nothing, show the last run")
    parser.add_argument("--python", default=sys.executable, help="Python of the environments")
    parser.add_argument("--refresh", action="store_true", help="make the environments again")
    return parser


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if not all(count > 0 for count in counts):
        raise argparse.ArgumentTypeError("a number of connections is at least 1")
    return counts


def _measure(options: argparse.Namespace) -> Results:
    server_core, load_core = _cores()
    layout.make_folders()
    wrk_version = load.wrk_version()
    _raise_fd_limit()
    cells = _check_cells() if options.check else _cells(options)
    wanted = _servers_of(cells)
    missing = envs.prepare(wanted, options.python, options.refresh)
    for name, reason in missing.items():
        print(f"{name} is left out: {reason}", file=sys.stderr)
    measured = [server for server in wanted if server.name not in missing]
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    seconds = options.seconds or (1 if options.quick else SECONDS)
    results = Results(missing=missing)
    results.about = {
        "date": datetime.date.today().isoformat(),
        "command": shlex.join(["bench/run", *sys.argv[1:]]),
        "machine": _machine(),
        "versions": {**_versions(measured), "wrk": wrk_version},
        "rounds": rounds,
        "seconds": seconds,
    }
    plan = Plan(_without(cells, missing), Options(rounds, seconds, server_core, load_core), results)
    plan.run()
    return results


def _cells(options: argparse.Namespace) -> Cells:
    names = options.servers or list(servers.BY_NAME)
    chosen = [cases.BY_NAME[name] for name in options.cases or cases.BY_NAME]
    connections = options.connections or ([64] if options.quick else CONNECTIONS)
    cells: Cells = {}
    for case in chosen:
        for count in [0] if case.holds else connections:
            takers = [servers.BY_NAME[name] for name in names]
            takers = [server for server in takers if _takes(server, case, count)]
            cells.setdefault(case, {})[count] = takers
    return cells


def _takes(server: Server, case: Case, connections: int) -> bool:
    if server.log and connections != LOG_CONNECTIONS:
        return False
    return not server.cases or case.name in server.cases


def _check_cells() -> Cells:
    cells: Cells = {}
    for case, counts, names in CHECK:
        for count in counts:
            cells.setdefault(cases.BY_NAME[case], {})[count] = [servers.BY_NAME[n] for n in names]
    return cells


def _servers_of(cells: Cells) -> list[Server]:
    groups = [group for by_connections in cells.values() for group in by_connections.values()]
    wanted = {server.name for group in groups for server in group}
    return [server for server in servers.SERVERS if server.name in wanted]


def _without(cells: Cells, missing: Iterable[str]) -> Cells:
    gone = set(missing)
    return {
        case: {
            count: [server for server in group if server.name not in gone]
            for count, group in by_connections.items()
        }
        for case, by_connections in cells.items()
    }


def _cores() -> tuple[int, int]:
    """One for the server, another for the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise load.LoadFailed("needs two cores, one for the server and one for the load")
    return cores[0], cores[-1]


def _raise_fd_limit() -> None:
    """Inherited by the servers: one descriptor for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _versions(measured: Iterable[Server]) -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for server in measured:
        number = envs.version(server)
        if number:
            versions[server.requirement or server.env_name] = number
    return versions


def _machine() -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    kernel = re.match(r"[\d.]+", platform.release())
    return f"{model}, {os.cpu_count()} cores, Linux {kernel.group() if kernel else ''}"


def _write(text: str) -> None:
    """Replaces what stands below the mark; what stands above it is written by hand."""
    document = layout.DOCUMENT.read_text()
    head, mark, _ = document.partition(MARK)
    if not mark:
        raise SystemExit(f"bench/run: {layout.DOCUMENT} has no line {MARK}")
    layout.DOCUMENT.write_text(f"{head}{MARK}\n\n{text}")
