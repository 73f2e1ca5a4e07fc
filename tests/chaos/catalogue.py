"""All faults, and how many rounds of each make the short and the full version."""
from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import exchange
import faults
import faults_host
import faults_mixed
import faults_network
import faults_operator
import faults_points
from faults import Fault
from rounds import Outcome, run_round

FAULTS: dict[str, type[Fault]] = {fault.name: fault for fault in (
    *faults.ALL, *faults_network.ALL, *exchange.ALL, *faults_points.ALL, *faults_host.ALL,
    *faults_operator.ALL, *faults_mixed.ALL)}


def short_version() -> list[str]:
    return [name for name, fault in FAULTS.items() if fault.short]


def start(pool: ThreadPoolExecutor, names: Iterable[str], seed: str, is_full: bool,
          injections: int | None = None) -> dict[str, Future[list[Outcome]]]:
    """All rounds of these faults, those that take longest first."""
    ordered = sorted(names, key=lambda name: -FAULTS[name].seconds(is_full))
    return {name: pool.submit(lambda name: list(play(FAULTS[name], seed, is_full, injections)), name)
            for name in ordered}


def play(fault: type[Fault], seed: str, is_full: bool, injections: int | None = None) -> Iterator[Outcome]:
    """The rounds of a fault. What keeps a round from being played is a failure of its fault."""
    rounds = _rounds(fault, seed, is_full, injections)
    while True:
        try:
            yield next(rounds)
        except StopIteration:
            return
        except Exception:
            yield Outcome(fault.name, seed, problems=["could not be played:\n" + traceback.format_exc()])
            return


def _rounds(fault: type[Fault], seed: str, is_full: bool, injections: int | None) -> Iterator[Outcome]:
    if issubclass(fault, exchange.Exchange):
        yield from fault.rounds_of(seed, is_full)
        return
    total = injections or (fault.full if is_full else fault.short)
    number = 0
    while total > 0:
        count = min(total, fault.per_round)
        # The first has the seed itself, so that a short run replays it.
        yield run_round(fault(), seed if number == 0 else f"{seed}.{number}", count)
        total -= count
        number += 1
