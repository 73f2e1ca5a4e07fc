"""What processes cost: CPU time of whole trees, and the most memory that they held."""
from __future__ import annotations

import os
import re
import resource
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


class Meter:
    """CPU seconds by group between entering and leaving; children that ended count for "client"."""

    def __init__(self, groups: dict[str, list[int]]):
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self.cpu_s: dict[str, float] = {}

    def __enter__(self) -> Meter:
        self._before = self._read()
        return self

    def __exit__(self, *_) -> None:
        after = self._read()
        self.cpu_s = {name: after[name] - self._before.get(name, 0) for name in after}

    def add(self, group: str, pid: int) -> None:
        """A process that was started meanwhile: all that it used."""
        self._groups.setdefault(group, []).append(pid)

    def _read(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = _processes()
        return {"client": used.ru_utime + used.ru_stime,
                **{name: sum(_tree_ticks(pid, table) for pid in pids) / TICKS
                   for name, pids in self._groups.items()}}


def rss_max_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+)", status, re.M).group(1))


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
