"""The table of figures, per fault."""
from __future__ import annotations

import json
from pathlib import Path

from rounds import Outcome

HEAD = ("fault", "rounds", "injected", "operations", "acked", "refused", "unknown", "forgiven", "lost",
        "repeated", "out of order", "other", "target", "recovery p50", "p99", "since fault p50", "p99")


def percentile(values: list[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else None


class Figures:
    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def rows(self) -> list[dict]:
        names = dict.fromkeys(outcome.fault for outcome in self.outcomes)
        return [self._row([o for o in self.outcomes if o.fault == name]) for name in names]

    def _row(self, outcomes: list[Outcome]) -> dict:
        verdicts = [outcome.verdict for outcome in outcomes]
        recoveries = [s for outcome in outcomes for s in outcome.recoveries]
        since = [s for outcome in outcomes for s in outcome.since_fault]
        return {
            "fault": outcomes[0].fault,
            "rounds": len(outcomes),
            "injected": sum(o.injected for o in outcomes),
            "operations": sum(v.operations for v in verdicts),
            "acknowledged": sum(v.acknowledged for v in verdicts),
            "refused": sum(v.refused for v in verdicts),
            "unknown": sum(v.unknown for v in verdicts),
            "forgiven": sum(v.forgiven for v in verdicts),
            "lost": sum(len(v.lost) for v in verdicts),
            "repeated": sum(len(v.repeated) for v in verdicts),
            "out_of_order": sum(len(v.disordered) for v in verdicts),
            "other": sum(len(v.others) for v in verdicts) + sum(len(o.problems) for o in outcomes),
            "target_s": outcomes[0].target_s,
            "recovery_p50_s": percentile(recoveries, 0.5),
            "recovery_p99_s": percentile(recoveries, 0.99),
            "since_fault_p50_s": percentile(since, 0.5),
            "since_fault_p99_s": percentile(since, 0.99),
        }

    def table(self) -> str:
        rows = [HEAD] + [tuple("–" if v is None else str(v) for v in row.values()) for row in self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
        return "\n".join("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                                   for i, (cell, w) in enumerate(zip(row, widths))) for row in rows)

    def write(self, path: Path, seed: str) -> None:
        findings = [{"fault": o.fault, "seed": o.seed, "findings": o.findings()}
                    for o in self.outcomes if o.findings()]
        path.write_text(json.dumps({"seed": seed, "faults": self.rows(), "findings": findings}, indent=1) + "\n")
