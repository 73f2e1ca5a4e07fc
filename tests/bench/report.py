"""Results, and how they are told."""
from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median

from targets import TARGETS, Figures

QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
# A table a group of figures, in this order; what they are called there.
TITLES = {
    "message": "send_message, operations a second",
    "message_wide": "send_message, one operation a user",
    "message_durable": "send_message, durable: submission and execution",
    "noop_bursts": "no-op, 100 operations a user, bursts of 20",
    "noop_rounds": "no-op, 100 operations a user, round-robin",
    "noop_wide": "no-op, one operation a user (bare, beanstalkd, BullMQ, Sidekiq: of nobody)",
    "bulk": "submitted in bulk, operations a second",
    "one": "submitted one at a time, operations a second",
    "start": "from submission to start of a no-op, µs",
    "committed": "from due to committed send_message, µs",
    "beside": "one-operation users beside a backlog: from submission to start, µs",
    "idle": "idle processor",
    "corpus": "corpus, submit --file --wait: operations a second",
}
TIMES = ("p50", "p99", "p99.9", "max")
COSTS = ("processor", "redis", "postgres")


@dataclass
class Case:
    """One thing to measure; its results have figures of their own."""
    group: str
    contestant: str
    measure: Callable[[], list[Result]]


@dataclass
class Result:
    """One figure of one measurement. What is counted has been verified."""
    figure: str
    values: dict[str, float]
    others: float  # the share of the machine that went to other processes
    contestant: str = ""
    run: int = 0

    def brief(self) -> str:
        told = [f"{self.figure} {self.values['rate']:.0f}/s" if "rate" in self.values else self.figure]
        told += [f"{name} {self.values[name]:.0f} µs" for name in ("p50", "p99") if name in self.values]
        return ", ".join(told)


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {name: ordered[min(int(len(ordered) * q), len(ordered) - 1)]
            for name, q in QUANTILES.items()}


def load() -> str:
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def figures_of(results: list[Result]) -> Figures:
    found: Figures = {}
    for r in results:
        found.setdefault(r.figure, {}).setdefault(r.contestant, []).append(r.values | {"others": r.others})
    return found


def as_json(facts: dict, results: list[Result]) -> dict:
    figures = figures_of(results)
    return {"conditions": facts, "results": [asdict(r) for r in results],
            "targets": [{"target": t.text, "wanted": t.wanted, "measured": told, "verdict": met}
                        for t in TARGETS for told, met in [t.judge(figures)]]}


def as_text(facts: dict, results: list[Result]) -> str:
    figures = figures_of(results)
    parts = ["\n".join(f"{name:>18}  {value}" for name, value in facts.items())]
    order = list(TITLES) + sorted(figures.keys() - TITLES.keys(), key=_scale)
    parts += [_figure(name, figures[name]) for name in order if name in figures]
    parts.append(_targets(figures))
    return "\n\n".join(parts)


def _scale(figure: str) -> int:
    return int(figure.split()[-1])


def _figure(name: str, runs_of: dict[str, list[dict]]) -> str:
    columns = [c for c in ("rate", *TIMES, "cpu_percent", "busiest", "left", *COSTS, "rss_mib")
               if any(c in runs[0] for runs in runs_of.values())]
    headings = {"rate": "median", "cpu_percent": "% of a core", "busiest": "wakes/s", "rss_mib": "MiB"}
    rows = [[TITLES.get(name, f"{name}, one no-op each: operations a second"),
             *(headings.get(c, c) for c in columns), "lowest-highest", "runs", "others"]]
    main = columns[0] if "p99" not in columns else "p99"
    for contestant, runs in runs_of.items():
        rows.append([contestant, *(_median(runs, c) for c in columns),
                     f"{_number(min(r[main] for r in runs))}-{_number(max(r[main] for r in runs))}",
                     str(len(runs)), f"{median(r['others'] for r in runs):.0%}"])
    return _table(rows)


def _median(runs: list[dict], column: str) -> str:
    values = [r[column] for r in runs if column in r and r[column] >= 0]
    return _number(median(values)) if values else "-"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _targets(figures: Figures) -> str:
    rows = [["target", "wanted", "measured", ""]]
    for target in TARGETS:
        told, met = target.judge(figures)
        rows.append([target.text, target.wanted, told, met])
    return _table(rows) + "\n  Ratios of medians, and the range over the runs. tie: missed by less than 15 %."


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  " + "  ".join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)
