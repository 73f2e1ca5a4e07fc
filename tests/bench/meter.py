"""What processes cost: CPU time of whole trees.

And how much of the machine others took meanwhile: a figure is worth little where that is much.
"""
from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    cpu_s: dict[str, float] = field(default_factory=dict)
    others: float = 0  # the share of the machine's CPU time that other processes took

    def cpu_us(self, group: str, operations: int) -> float:
        return self.cpu_s.get(group, 0) * 1e6 / operations


class Meter:
    """Cost between entering and leaving, by group; children that ended count for "client"."""

    def __init__(self, groups: dict[str, list[int]]):
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self.cost = Cost()

    def __enter__(self) -> Meter:
        self._before = self._read()
        self._busy_before, self._began = _busy_s(), time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        after = self._read()
        self.cost.cpu_s = {name: after[name] - self._before.get(name, 0) for name in after}
        all_s = (time.monotonic() - self._began) * os.cpu_count()
        others_s = _busy_s() - self._busy_before - sum(self.cost.cpu_s.values())
        self.cost.others = min(max(others_s / all_s, 0), 1)

    def _read(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = _processes()
        return {"client": used.ru_utime + used.ru_stime,
                **{name: sum(_tree_ticks(pid, table) for pid in pids) / TICKS
                   for name, pids in self._groups.items()}}


def _busy_s() -> float:
    """CPU seconds that the machine has used: what is neither idle nor waiting, nor counted twice."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS


def _processes() -> dict[int, tuple[int, int]]:
    """pid -> (parent, ticks of itself and of its children that have ended)."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = stat.rpartition(")")[2].split()
        table[int(entry)] = int(fields[1]), sum(map(int, fields[11:15]))
    return table


def _tree_ticks(root: int, table: dict[int, tuple[int, int]]) -> int:
    own = table[root][1] if root in table else 0
    return own + sum(_tree_ticks(pid, table) for pid, (parent, _) in table.items() if parent == root)
