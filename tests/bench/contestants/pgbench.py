"""Bare Postgres: one transaction a job, by pgbench. No queue, no order of a user, no ledger.

Two scripts: `transaction` as an application writes it, `statement` in one round trip.
"""
from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path

from meter import Meter
from report import DRAIN, PACED, Case, Result, quantiles
from stage import Stage
from workload import GAPS_SQL, content

SQL = Path(__file__).parents[1] / "sql"
SCRIPTS = ("transaction", "statement")
PACED_CONNECTIONS = 8


def cases(stage: Stage) -> list[Case]:
    connections = [int(text) for text in stage.options.connections.split(",")]
    return [
        *(Case(DRAIN, f"pgbench {script}, {count} connections", partial(drain, stage, script, count))
          for script in SCRIPTS for count in connections),
        *(Case(PACED, f"pgbench {script}", partial(paced, stage, script)) for script in SCRIPTS)]


def drain(stage: Stage, script: str, connections: int) -> Result:
    options = stage.options
    length = ["-T", str(options.seconds)] if options.seconds else \
        ["-t", str(options.count // connections)]
    return run(stage, script, ["-c", str(connections), "-j", str(min(connections, 2)), *length])


def paced(stage: Stage, script: str) -> Result:
    """By pgbench's own schedule: random gaps, latency from the moment that was due."""
    options = stage.options
    prefix = stage.directory / "pgbench"
    result = run(stage, script, ["-c", str(PACED_CONNECTIONS), "-j", "1", "-R", str(options.rate),
                                 "-T", str(options.paced_seconds), "-l", f"--log-prefix={prefix}"])
    log, = stage.directory.glob("pgbench.*")
    lines = [line.split() for line in log.read_text().splitlines()]
    log.unlink()
    lines.sort(key=lambda line: (int(line[4]), int(line[5])))
    kept = lines[options.rate:] or lines
    result.latency_us = {"due to start": quantiles([float(line[6]) for line in kept]),
                         "due to committed": quantiles([float(line[2]) for line in kept])}
    return result


def run(stage: Stage, script: str, arguments: list[str]) -> Result:
    with stage.stack() as stack:
        with Meter({"postgres": [stage.postgres.process.pid]}) as meter:
            done = subprocess.run(
                ["pgbench", "-n", "-M", "prepared", "-h", str(stage.postgres.directory), "-U", "heddle",
                 "-f", str(SQL / f"{script}.sql"), "-D", f"users={stage.workload.users}",
                 "-D", f"content={content(0)}", *arguments, stack.database],
                capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        count = int(re.search(r"actually processed: (\d+)", done.stdout).group(1))
        rate = float(re.search(r"^tps = ([\d.]+)", done.stdout, re.M).group(1))
        messages, = stack.sql("select count(*) from chat.messages")[0]
        assert messages == count, f"{messages} messages of {count} transactions"
        assert stack.sql(GAPS_SQL) == [(0,)], "threads whose messages have gaps"
    return Result(count, count / rate, meter.cpu_s)
