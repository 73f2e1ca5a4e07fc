"""Results, and how they are told."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import median

TIE = 0.15
DRAIN, PACED, CORPUS = "drain", "paced", "corpus"
BASELINE = "pgbench"
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
CPU_GROUPS = ("client", "processor", "redis", "postgres")


@dataclass
class Case:
    """One thing to measure. Names begin with the contestant's."""
    group: str
    name: str
    measure: Callable[[], Result]


@dataclass
class Result:
    """One measurement. What is counted has been verified."""
    operations: int
    seconds: float
    cpu_s: dict[str, float]
    rss_max_kib: int = 0
    latency_us: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: dict[str, float] = field(default_factory=dict)
    name: str = ""
    group: str = ""
    run: int = 0

    @property
    def rate(self) -> float:
        return self.operations / self.seconds

    def cpu_us(self, group: str) -> float:
        return self.cpu_s.get(group, 0) * 1e6 / self.operations

    def brief(self) -> str:
        told = [f"{self.operations} at {self.rate:.0f}/s"]
        told += [f"{what} p50 {values['p50']:.0f} µs" for what, values in self.latency_us.items()]
        return ", ".join(told)


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {name: ordered[min(int(len(ordered) * q), len(ordered) - 1)]
            for name, q in QUANTILES.items()}


def load() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def as_json(facts: dict, results: list[Result]) -> dict:
    return {"conditions": facts, "results": [{**asdict(r), "rate": r.rate} for r in results]}


def as_text(facts: dict, results: list[Result]) -> str:
    by_case: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        by_case.setdefault((result.group, result.name), []).append(result)
    groups = {group: {name: runs for (g, name), runs in by_case.items() if g == group}
              for group in (DRAIN, CORPUS, PACED)}
    parts = ["\n".join(f"{name:>18}  {value}" for name, value in facts.items())]
    if groups[DRAIN] or groups[CORPUS]:
        parts.append(_rates(groups[DRAIN], groups[CORPUS]))
    if groups[PACED]:
        parts.append(_latencies(groups[PACED]))
    return "\n\n".join(parts)


def _rates(drain: dict[str, list[Result]], corpus: dict[str, list[Result]]) -> str:
    bare = [median(r.rate for r in runs) for name, runs in drain.items() if name.startswith(BASELINE)]
    rows = [["operations a second", "median", "lowest-highest", "to best pgbench", *CPU_GROUPS,
             "RSS MiB"]]
    for name, runs in (drain | corpus).items():
        rates = [r.rate for r in runs]
        ratio = median(rates) / max(bare) if bare and name in drain else None
        rows.append([name, f"{median(rates):,.0f}", f"{min(rates):,.0f}-{max(rates):,.0f}",
                     _verdict(ratio, name), *_cpu(runs), _rss(runs)])
    return _table(rows) + (
        f"\n  client to postgres: CPU time in µs an operation. Within {TIE:.0%} is a tie."
        "\n  The corpus is other work than send_message: no ratio.")


def _latencies(paced: dict[str, list[Result]]) -> str:
    rows = [["latency in µs", *QUANTILES, "p99 of each run", *CPU_GROUPS]]
    for name, runs in paced.items():
        for what in runs[0].latency_us:
            told = [f"{median(r.latency_us[what][q] for r in runs):,.0f}" for q in QUANTILES]
            each = "-".join(f"{r.latency_us[what]['p99']:,.0f}" for r in runs)
            rows.append([f"{name}: {what}", *told, each, *_cpu(runs)])
    return _table(rows) + "\n  Medians of the runs. The first second of each is left out."


def _cpu(runs: list[Result]) -> list[str]:
    return [f"{median(r.cpu_us(group) for r in runs):,.0f}" if group in runs[0].cpu_s else "-"
            for group in CPU_GROUPS]


def _rss(runs: list[Result]) -> str:
    most = max(r.rss_max_kib for r in runs)
    return f"{most / 1024:.1f}" if most else "-"


def _verdict(ratio: float | None, name: str) -> str:
    if ratio is None:
        return "-"
    is_tie = abs(ratio - 1) < TIE and not name.startswith(BASELINE)
    return f"{ratio:.2f}" + (" (tie)" if is_tie else "")


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)
