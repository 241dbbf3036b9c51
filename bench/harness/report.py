# SPDX-License-Identifier: MIT
"""Medians over the rounds, and the tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from . import cases, servers
from .cases import Case
from .claims import Verdict, judge
from .plan import Holding, Results, Sample

SUMMARY_CONNECTIONS = 64


@dataclass(frozen=True)
class Row:
    """All rounds of one server in one case at one number of connections."""

    server: str
    samples: tuple[Sample, ...]
    ratio: float | None  # to the canned program, median of the ratios round by round

    def median(self, figure: Callable[[Sample], float]) -> float:
        return median(figure(sample) for sample in self.samples)

    def spread(self, figure: Callable[[Sample], float]) -> tuple[float, float]:
        figures = [figure(sample) for sample in self.samples]
        return min(figures), max(figures)


def rows(results: Results, case: str, connections: int) -> list[Row]:
    """In the order of servers.SERVERS."""
    found: dict[str, list[Sample]] = {}
    for sample in results.samples:
        if sample.case == case and sample.connections == connections:
            found.setdefault(sample.server, []).append(sample)
    yardstick = {sample.round_no: sample.cpu_us for sample in found.get("canned", [])}
    return [
        Row(server.name, tuple(found[server.name]), _ratio(found[server.name], yardstick))
        for server in servers.SERVERS
        if server.name in found
    ]


def markdown(results: Results) -> str:
    parts = [_about(results), _summary(results)]
    parts += [_case(results, case) for case in cases.LOADED]
    parts += [_idle(results), _slow(results), _stream(results), _claims(judge(results))]
    parts += [_not_measured(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def claims_text(results: Results) -> str:
    """The claims for a terminal."""
    lines = []
    for verdict in judge(results):
        lines.append(f"{verdict.word:12} {verdict.claim}: {verdict.measured}")
    return "\n".join(lines) + "\n"


def _ratio(samples: Iterable[Sample], yardstick: dict[int, float]) -> float | None:
    ratios = [
        sample.cpu_us / yardstick[sample.round_no]
        for sample in samples
        if yardstick.get(sample.round_no)
    ]
    return median(ratios) if ratios else None


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """The first column is text, the others are figures."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines))


def _about(results: Results) -> str:
    about = results.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return "\n".join(
        [
            f"- Date: {about['date']}",
            f"- Command: `{about['command']}`",
            f"- Machine: {about['machine']}",
            f"- Versions: {versions}",
            f"- Rounds: {about['rounds']} of {about['seconds']} s; medians, with the least and the "
            "greatest in brackets",
        ]
    )


def _summary(results: Results) -> str:
    chosen = [case for case in cases.LOADED if rows(results, case.name, SUMMARY_CONNECTIONS)]
    if not chosen:
        return ""
    by_case = {
        case: {row.server: row for row in rows(results, case.name, SUMMARY_CONNECTIONS)}
        for case in chosen
    }
    lines = []
    for server in servers.SERVERS:
        found = [by_case[case].get(server.name) for case in chosen]
        if any(found):
            name = f"{server.name} ({server.note})" if server.note else server.name
            lines.append([name, *(_cpu_cell(row) for row in found)])
    title = "## CPU time per request in microseconds, 64 connections\n\n"
    about = "In brackets: times the canned-reply program of the same round.\n\n"
    return title + about + _table(["server", *(case.name for case in chosen)], lines)


def _cpu_cell(row: Row | None) -> str:
    if row is None:
        return "-"
    cpu = row.median(lambda sample: sample.cpu_us)
    return f"{cpu:.1f}" + (f" ({row.ratio:.2f})" if row.ratio is not None else "")


def _case(results: Results, case: Case) -> str:
    header = ["server", "conns", "CPU us/request", "x canned", "requests/s", "p50 ms", "p99 ms"]
    header += ["memory MiB"]
    counts = sorted({sample.connections for sample in results.samples if sample.case == case.name})
    lines = [
        _case_line(row, case, count) for count in counts for row in rows(results, case.name, count)
    ]
    return f"## {case.title} (`{case.name}`)\n\n{_table(header, lines)}" if lines else ""


def _case_line(row: Row, case: Case, connections: int) -> list[str]:
    low, high = row.spread(lambda sample: sample.cpu_us)
    p50, p99 = row.median(lambda sample: sample.p50_us), row.median(lambda sample: sample.p99_us)
    # wrk times pipelined requests from the last batch it sent: no latency that means anything.
    latency = ["-", "-"] if case.depth > 1 else [f"{p50 / 1000:.2f}", f"{p99 / 1000:.2f}"]
    return [
        row.server,
        f"{connections:,}",
        f"{row.median(lambda sample: sample.cpu_us):.2f} ({low:.2f}-{high:.2f})",
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        f"{row.median(lambda sample: sample.rps):,.0f}",
        *latency,
        f"{row.median(lambda sample: sample.memory_kib) / 1024:.1f}",
    ]


def _held(results: Results, case: str) -> list[Holding]:
    return [holding for holding in results.holdings if holding.case == case]


def _holding_title(case: str) -> str:
    return f"## {cases.BY_NAME[case].title} (`{case}`)\n\n"


def _idle(results: Results) -> str:
    lines = [
        [
            one.server,
            f"{one.held:,}",
            f"{one.before_kib / 1024:.1f}",
            f"{one.after_kib / 1024:.1f}",
            f"{one.grown_kib / 1024:.1f}",
            f"{one.grown_kib * 1024 / one.held:,.0f}" if one.held else "-",
        ]
        for one in _held(results, "idle")
    ]
    header = ["server", "held", "before MiB", "with them MiB", "more MiB", "bytes each"]
    return _holding_title("idle") + _table(header, lines) if lines else ""


def _slow(results: Results) -> str:
    lines = []
    for one in _held(results, "slow"):
        if one.alone is None or one.beside is None:
            continue
        lines.append(
            [
                one.server,
                f"{one.held:,}",
                f"{one.grown_kib / 1024:.1f}",
                f"{one.alone.rps:,.0f}",
                f"{one.beside.rps:,.0f}",
                f"{one.alone.p99_us / 1000:.2f}",
                f"{one.beside.p99_us / 1000:.2f}" if one.beside.requests else "-",
            ]
        )
    header = ["server", "held", "more MiB", "others alone, requests/s", "with them"]
    header += ["alone, p99 ms", "with them"]
    about = (
        "A third each: half a head, half a body, one byte a second of a 256 KiB response. "
        "Others: hello, 16 connections.\n\n"
    )
    return _holding_title("slow") + about + _table(header, lines) if lines else ""


def _stream(results: Results) -> str:
    lines = [
        [one.server, f"{one.before_kib / 1024:.1f}", f"{one.grown_kib / 1024:.1f}"]
        for one in _held(results, "stream")
    ]
    about = "The reader takes about 1 MiB a second; the greatest growth within 5 s.\n\n"
    table = _table(["server", "before MiB", "more MiB"], lines)
    return _holding_title("stream") + about + table if lines else ""


def _claims(verdicts: list[Verdict]) -> str:
    measured = [verdict for verdict in verdicts if verdict.passed is not None]
    if not measured:
        return ""
    lines = [[verdict.claim, verdict.measured, verdict.word] for verdict in measured]
    table = _table(["", "measured", "held"], lines).replace("---:", "---")
    return f"## What Saola promises\n\n{table}"


def _not_measured(results: Results) -> str:
    lines = [f"- {name} could not be installed: {why}" for name, why in results.missing.items()]
    lines += [f"- {where}: {why}" for where, why in results.failures.items()]
    return "## Not measured\n\n" + "\n".join(lines) if lines else ""
