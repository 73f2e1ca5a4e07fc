"""Bare Postgres: one transaction a job, by pgbench. No queue, no order of a user, no ledger.

Two scripts: `transaction` as an application writes it, `statement` in one round trip.
"""
from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

from meter import Meter
from report import Case, Result, quantiles
from stage import Stage
from workload import CONTENT_BYTES, GAPS_SQL

SQL = Path(__file__).parents[1] / "sql"
SCRIPTS = ("transaction", "statement")
PACED_CONNECTIONS = 8


def cases(stage: Stage) -> list[Case]:
    connections = [int(text) for text in stage.options.connections.split(",")]
    return [
        *(Case("message", f"pgbench {script} x{count}", partial(drain, stage, script, count))
          for script in SCRIPTS for count in connections),
        *(Case("committed", f"pgbench {script}", partial(paced, stage, script)) for script in SCRIPTS)]


def drain(stage: Stage, script: str, connections: int) -> list[Result]:
    options = stage.options
    length = ["-T", str(options.seconds)] if options.seconds else \
        ["-t", str(options.count // connections)]
    count, rate, cost = run(stage, script, ["-c", str(connections), "-j", str(min(connections, 2)),
                                            *length])
    return [Result("message", {"rate": rate, "operations": count,
                               "postgres": cost.cpu_us("postgres", count)}, cost.others)]


def paced(stage: Stage, script: str) -> list[Result]:
    """By pgbench's own schedule: random gaps, latency from the moment that was due."""
    options = stage.options
    prefix = stage.directory / "pgbench"
    count, rate, cost = run(stage, script, [
        "-c", str(PACED_CONNECTIONS), "-j", "1", "-R", str(options.rate),
        "-T", str(options.paced_seconds), "-l", f"--log-prefix={prefix}"])
    log, = stage.directory.glob("pgbench.*")
    lines = [line.split() for line in log.read_text().splitlines()]
    log.unlink()
    lines.sort(key=lambda line: (int(line[4]), int(line[5])))
    kept = lines[options.rate:] or lines
    return [Result("committed", {"operations": count,
                                 **quantiles([float(line[2]) for line in kept])}, cost.others)]


def run(stage: Stage, script: str, arguments: list[str]) -> tuple[int, float, object]:
    users = stage.options.users
    with stage.stack(users) as stack:
        with Meter({"postgres": [stage.postgres.process.pid]}) as meter:
            done = subprocess.run(
                ["pgbench", "-n", "-M", "prepared", "-h", str(stage.postgres.directory), "-U", "heddle",
                 "-f", str(SQL / f"{script}.sql"), "-D", f"users={users}",
                 "-D", f"content={'x' * CONTENT_BYTES}", *arguments, stack.database],
                capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        count = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
        rate = float(re.search(r"^tps = ([\d.]+)", done.stdout, re.M).group(1))
        messages, = stack.sql("select count(*) from chat.messages")[0]
        assert messages == count, f"{messages} messages of {count} transactions"
        assert stack.sql(GAPS_SQL) == [(0,)], "threads whose messages have gaps"
    return count, rate, meter.cost
