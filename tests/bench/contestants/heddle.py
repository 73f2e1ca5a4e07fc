"""Heddle: direct operations, drained by `heddle run`.

queued      all submitted before the processors start: how fast they drain
overlapped  submitted while they run: from the first submission to the last end
"""
from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import time
import uuid
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from corpus import EXPECTATION_SQL, Corpus
from harness import Processor, Stack, binary
from meter import Meter, rss_max_kib
from report import CORPUS, DRAIN, PACED, Case, Result, quantiles
from servers import until
from stage import Stage

WORKERS_PACED, CORPUS_PROCESSORS, CORPUS_WORKERS = 8, 2, 4
SLOWEST_RATE = 100


def cases(stage: Stage) -> list[Case]:
    configurations = [tuple(map(int, text.split("x")))
                      for text in stage.options.configurations.split(",")]
    return [
        *(Case(DRAIN, f"heddle {mode.__name__}, {processors}x{workers} workers",
               partial(mode, stage, processors, workers))
          for mode in (queued, overlapped) for processors, workers in configurations),
        Case(CORPUS, f"heddle corpus, {CORPUS_PROCESSORS}x{CORPUS_WORKERS} workers",
             partial(corpus, stage)),
        Case(PACED, f"heddle 1x{WORKERS_PACED} workers", partial(paced, stage))]


def queued(stage: Stage, processors: int, workers: int) -> Result:
    with stage.stack() as stack:
        submit_s = submit(stack, operations_file(stage))
        with ExitStack() as running, Meter(stage.server_pids(stack)) as meter:
            started = start(running, stack, processors, workers, meter)
            wait_drained(stack, len(stage.workload))
            meter.cost.rss_max_kib = max(rss_max_kib(processor.pid) for processor in started)
            # Leaving stops the meter first, then the processors.
        stage.workload.verify(stack)
        first, last = ledger_span(stack)
    return Result(len(stage.workload), last - first, meter.cost,
                  notes={"submitted_per_second": len(stage.workload) / submit_s})


def overlapped(stage: Stage, processors: int, workers: int) -> Result:
    with stage.stack() as stack, ExitStack() as running:
        started = start(running, stack, processors, workers)
        pids = [processor.pid for processor in started]
        with Meter({**stage.server_pids(stack), "processor": pids}) as meter:
            began = time.time()
            submit_s = submit(stack, operations_file(stage))
            wait_drained(stack, len(stage.workload))
        meter.cost.rss_max_kib = max(map(rss_max_kib, pids))
        stage.workload.verify(stack)
        _, last = ledger_span(stack)
    return Result(len(stage.workload), last - began, meter.cost,
                  notes={"submitted_per_second": len(stage.workload) / submit_s})


def corpus(stage: Stage) -> Result:
    """`submit --file --wait`, from its start to its end."""
    path, count, expected = corpus_files(stage)
    with stage.stack(seeded=False) as stack, ExitStack() as running:
        started = start(running, stack, CORPUS_PROCESSORS, CORPUS_WORKERS)
        pids = [processor.pid for processor in started]
        with Meter({**stage.server_pids(stack), "processor": pids}) as meter:
            began = time.monotonic()
            done = stack.cli("submit", "--file", str(path), "--direct", "--wait=10m",
                             "--output", "json", timeout=900)
            seconds = time.monotonic() - began
        assert done.returncode in (0, 1), done.stderr
        submitted = json.loads(done.stdout.splitlines()[-1])["submitted"]
        assert submitted == count, f"{submitted} of {count} operations of the corpus"
        found = "".join(line + "\n" for line, in stack.sql(EXPECTATION_SQL))
        assert found == expected, "the database is not what the corpus expects"
        meter.cost.rss_max_kib = max(map(rss_max_kib, pids))
    return Result(count, seconds, meter.cost)


def paced(stage: Stage) -> Result:
    """One operation every 1/rate seconds, each submission by itself, whatever became of the others."""
    options = stage.options
    count = options.rate * options.paced_seconds
    with stage.stack() as stack, ExitStack() as running:
        processor, = start(running, stack, 1, WORKERS_PACED)
        with Meter({**stage.server_pids(stack), "processor": [processor.pid]}) as meter:
            began = time.monotonic()
            done = subprocess.run(
                [binary("TESTS_PACED"), str(stack.redis_server.socket), str(options.rate)],
                input=paced_input(stage, stack, count), capture_output=True, text=True,
                timeout=options.paced_seconds + 60)
            seconds = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        lines = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        starts = [float(us) for us, in stack.sql(
            "select extract(epoch from started_at - submitted_at) * 1e6 from heddle.operations"
            " where state = 'done' order by submitted_at")]
        assert len(lines) == len(starts) == count, f"{len(lines)}, {len(starts)} of {count} operations"
        meter.cost.rss_max_kib = rss_max_kib(processor.pid)
    skip = options.rate if count > options.rate else 0
    sent, accepted, ended = (quantiles(values) for values in zip(*lines[skip:]))
    return Result(count, seconds, meter.cost, latency_us={
        "due to sent": sent, "due to accepted": accepted,
        "submitted to started": quantiles(starts[skip:]), "due to result": ended})


def start(running: ExitStack, stack: Stack, processors: int, workers: int,
          meter: Meter | None = None) -> list[Processor]:
    """Processors that stop, drained, when `running` ends."""
    started = []
    for _ in range(processors):
        started.append(running.enter_context(stack.run(workers=workers)))
        if meter:
            meter.add("processor", started[-1].pid)
    return started


def operations_file(stage: Stage) -> Path:
    path = stage.directory / "operations.ndjson"
    if not path.exists():
        stage.workload.write(path)
    return path


def submit(stack: Stack, path: Path) -> float:
    """Submits a file, without waiting for results; returns the seconds that it took."""
    began = time.monotonic()
    done = stack.cli("submit", "--file", str(path), "--direct", timeout=900)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


def wait_drained(stack: Stack, count: int) -> None:
    keys = [f"heddle:{{{p}}}:ops" for p in range(int(stack.redis.get("heddle:partitions")))]
    until(lambda: not stack.redis.exists(*keys), "all operations have ended",
          60 + count / SLOWEST_RATE, 0.05)


def ledger_span(stack: Stack) -> tuple[float, float]:
    """When the first operation started and the last one finished, in seconds since the epoch."""
    first, last = stack.sql("select extract(epoch from min(started_at)),"
                            " extract(epoch from max(finished_at)) from heddle.operations")[0]
    return float(first), float(last)


def corpus_files(stage: Stage) -> tuple[Path, int, str]:
    """The operations, their number, and what the database must hold."""
    path = Path(stage.options.corpus)
    if path.exists():
        expected = gzip.open(path.with_name("dialogues.expect.tsv.gz"), "rt").read()
        return path, sum(1 for _ in gzip.open(path)), expected
    made = Corpus(count=stage.options.count)
    path = stage.directory / "corpus.ndjson"
    path.write_text(made.ndjson())
    return path, len(made.operations), made.expectation


def paced_input(stage: Stage, stack: Stack, count: int) -> str:
    """A line an operation: user, thread, payload, id, key of its reply."""
    partitions = int(stack.redis.get("heddle:partitions"))
    lines = []
    for operation in itertools.islice(itertools.cycle(stage.workload.operations()), count):
        user, identity = operation["user"], str(uuid.uuid4())
        p = int(hashlib.sha1(user.encode()).hexdigest()[:4], 16) % partitions
        lines.append("\t".join((user, operation["thread"], json.dumps(operation["payload"]),
                                identity, f"heddle:{{{p}}}:reply:{identity}")) + "\n")
    return "".join(lines)
