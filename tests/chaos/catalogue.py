"""All faults, and how many rounds of each make the short and the full version."""
from __future__ import annotations

from collections.abc import Iterator

import exchange
import faults
import faults_host
import faults_mixed
import faults_network
from faults import Fault
from rounds import Outcome, run_round

FAULTS: dict[str, type[Fault]] = {fault.name: fault for fault in (
    faults.Kill, faults.Stop, faults.Terminate, faults.PostgresRestart, faults.RedisKill,
    faults.RedisKillEverySecond, faults.Flush, faults.FullMemory, faults_network.Cut,
    faults_network.CutRole, faults_network.HalfClose, faults_network.Hold, faults_network.Delay,
    faults_network.Failover, *exchange.ALL,
    *faults_host.ALL, *faults_mixed.ALL)}


def play(fault: type[Fault], seed: str, is_full: bool, injections: int | None = None) -> Iterator[Outcome]:
    """The rounds of a fault. The first has the seed itself, so that a short run replays it."""
    if issubclass(fault, exchange.Exchange):
        yield from fault.rounds_of(seed, is_full)
        return
    total = injections or (fault.full if is_full else fault.short)
    number = 0
    while total > 0:
        count = min(total, fault.per_round)
        yield run_round(fault(), seed if number == 0 else f"{seed}.{number}", count)
        total -= count
        number += 1
