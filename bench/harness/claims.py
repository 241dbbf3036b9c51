# SPDX-License-Identifier: MIT
"""What Saola promises about its cost, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from .plan import Holding, Results

PEERS = ("fastpysgi", "bjoern", "granian")
KIB_PER_MIB = 1024

CANNED_RATIO = 1.6
PEER_RATIO = 0.65
ACCESS_LOG_US = 1.5
MANY_CONNECTIONS_RATIO = 1.2
IDLE_MIB = 12
PIPELINED_US = 4.0
SLOW_MIB = 64
SLOW_RPS_RATIO = 0.8
SLOW_P99_RATIO = 2.0
SLOW_P99_SLACK_US = 1000.0
STREAM_MIB = 8


@dataclass(frozen=True)
class Verdict:
    claim: str
    measured: str
    passed: bool | None  # None: not measured

    @property
    def word(self) -> str:
        return {True: "yes", False: "NO", None: "not measured"}[self.passed]


Claim = Callable[[Results], Verdict]


def judge(results: Results) -> list[Verdict]:
    return [claim(results) for claim in CLAIMS]


def _cpu(results: Results, server: str, case: str, connections: int) -> float | None:
    """Median of CPU microseconds per request."""
    figures = [
        sample.cpu_us
        for sample in results.samples
        if (sample.server, sample.case, sample.connections) == (server, case, connections)
    ]
    return median(figures) if figures else None


def _holding(results: Results, server: str, case: str) -> Holding | None:
    for holding in results.holdings:
        if (holding.server, holding.case) == (server, case):
            return holding
    return None


def _at_most(claim: str, figure: float | None, limit: float, text: str) -> Verdict:
    if figure is None:
        return Verdict(claim, "-", None)
    return Verdict(claim, text.format(figure), figure <= limit)


def _quotient(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _against_canned(results: Results) -> Verdict:
    canned = {s.round_no: s.cpu_us for s in results.samples if _is_hello(s, "canned")}
    ratios = [
        s.cpu_us / canned[s.round_no]
        for s in results.samples
        if _is_hello(s, "saola") and canned.get(s.round_no)
    ]
    claim = f"hello, 64 connections: at most {CANNED_RATIO} times the canned-reply program"
    return _at_most(claim, median(ratios) if ratios else None, CANNED_RATIO, "{:.2f} times")


def _is_hello(sample: object, server: str) -> bool:
    wanted = (server, "hello", 64)
    found = tuple(getattr(sample, name) for name in ("server", "case", "connections"))
    return found == wanted


def _against_peers(results: Results) -> Verdict:
    found = {name: _cpu(results, name, "hello", 64) for name in PEERS}
    measured = {name: figure for name, figure in found.items() if figure is not None}
    best = min(measured, key=lambda name: measured[name], default=None)
    ours = _cpu(results, "saola", "hello", 64)
    ratio = _quotient(ours, measured[best]) if best else None
    claim = f"hello, 64 connections: at most {PEER_RATIO} times the best of {', '.join(PEERS)}"
    return _at_most(claim, ratio, PEER_RATIO, "{:.2f} times " + str(best))


def _access_log(results: Results) -> Verdict:
    without, with_log = (_cpu(results, name, "hello", 64) for name in ("saola", "saola-log"))
    more = None if without is None or with_log is None else with_log - without
    claim = f"access log: at most {ACCESS_LOG_US} us more"
    return _at_most(claim, more, ACCESS_LOG_US, "{:.2f} us more")


def _many_connections(results: Results) -> Verdict:
    many, few = (_cpu(results, "saola", "hello", count) for count in (1000, 64))
    claim = f"1,000 connections: at most {MANY_CONNECTIONS_RATIO} times the CPU per request of 64"
    return _at_most(claim, _quotient(many, few), MANY_CONNECTIONS_RATIO, "{:.2f} times")


def _idle(results: Results) -> Verdict:
    claim = f"10,000 idle keep-alive connections: less than {IDLE_MIB} MiB"
    holding = _holding(results, "saola", "idle")
    if holding is None:
        return Verdict(claim, "-", None)
    mib = holding.grown_kib / KIB_PER_MIB
    passed = mib < IDLE_MIB and holding.held == holding.connections
    return Verdict(claim, f"{mib:.1f} MiB, {holding.held:,} held", passed)


def _pipelined(results: Results) -> Verdict:
    claim = f"16 pipelined requests: at most {PIPELINED_US:.0f} us each"
    return _at_most(claim, _cpu(results, "saola", "pipeline", 64), PIPELINED_US, "{:.2f} us")


def _slow(results: Results) -> Verdict:
    claim = f"5,000 slow clients: under {SLOW_MIB} MiB more, the others served as before"
    holding = _holding(results, "saola", "slow")
    if holding is None or holding.alone is None or holding.beside is None:
        return Verdict(claim, "-", None)
    alone, beside = holding.alone, holding.beside
    mib = holding.grown_kib / KIB_PER_MIB
    served = (
        beside.rps >= alone.rps * SLOW_RPS_RATIO
        and beside.p99_us <= alone.p99_us * SLOW_P99_RATIO + SLOW_P99_SLACK_US
    )
    text = (
        f"{mib:.1f} MiB more, {holding.held:,} held; requests/s {alone.rps:,.0f} to "
        f"{beside.rps:,.0f}, p99 {alone.p99_us / 1000:.2f} to {beside.p99_us / 1000:.2f} ms"
    )
    return Verdict(claim, text, served and mib < SLOW_MIB)


def _stream(results: Results) -> Verdict:
    claim = f"1 GiB from a generator to a slow reader: grows by less than {STREAM_MIB} MiB"
    holding = _holding(results, "saola", "stream")
    if holding is None:
        return Verdict(claim, "-", None)
    mib = holding.grown_kib / KIB_PER_MIB
    return Verdict(claim, f"{mib:.1f} MiB", mib < STREAM_MIB and holding.held == 1)


CLAIMS: tuple[Claim, ...] = (
    _against_canned,
    _against_peers,
    _access_log,
    _many_connections,
    _pipelined,
    _idle,
    _slow,
    _stream,
)
