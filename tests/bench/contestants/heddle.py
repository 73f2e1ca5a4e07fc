"""Heddle, by `heddle bench`, which verifies what it counts and tells what it costs."""
from __future__ import annotations

import gzip
import json
import time
from functools import partial
from pathlib import Path

from corpus import EXPECTATION_SQL, Corpus
from meter import Meter
from report import Case, Result
from stage import Stage

BURST = 20
SERVERS = ("processor", "redis", "postgres")


def cases(stage: Stage) -> list[Case]:
    options = stage.options
    bursts, rounds = f"--order=bursts={BURST}", "--order=round-robin"
    many, wide = (f"--users={users}" for users in (options.users, options.count))
    noop_many = f"--users={max(options.count // 100, 1)}"
    found = []
    for processes, workers in (text.split("x") for text in options.configurations.split(",")):
        name, size = f"heddle {processes}x{workers}", ("--processes", processes, "--workers", workers)

        def drain(figure, *arguments, measured="run", size=size):
            return partial(measure_drain, stage, figure, measured, *size, *arguments)

        found += [
            Case("message", name, drain("message", "send_message", many, bursts)),
            Case("message", f"{name}, one a user", drain("message_wide", "send_message", wide, rounds)),
            Case("message", f"{name}, durable", drain("message_durable", "send_message", "--durable",
                                                      many, bursts)),
            Case("noop", name, drain("noop_bursts", "noop", noop_many, bursts)),
            Case("noop", f"{name}, round-robin", drain("noop_rounds", "noop", noop_many, rounds)),
            Case("noop", f"{name}, one a user", drain("noop_wide", "noop", wide, rounds)),
            Case("one", name, drain("one", "submit", "--window=1", many, measured="submit")),
            Case("start", name, partial(measure_latency, stage, "start", *size)),
            Case("committed", name, partial(measure_latency, stage, "committed", *size, "--op",
                                            "send_message")),
            Case("beside", name, partial(measure_latency, stage, "beside", *size, "--op", "send_message",
                                         "--rate=50", f"--seconds={options.beside_seconds}",
                                         f"--beside={options.beside}")),
            Case("idle", name, partial(measure_idle, stage, *size)),
            *(Case("scale", f"{name}, {users} users",
                   drain(f"scale {users}", "noop", f"--users={users}", f"--operations={users}", rounds))
              for users in map(int, options.scale.split(","))),
            Case("corpus", name, partial(measure_corpus, stage, *size)),
        ]
    return found


def measure_drain(stage: Stage, figure: str, measured: str, *arguments: str) -> list[Result]:
    """The submission of a no-op backlog is a figure of its own."""
    told = bench(stage, f"--operations={stage.options.count}", *arguments)
    results = [result_of(told, figure, measured)]
    if figure == "noop_bursts":
        results.append(result_of(told, "bulk", "submit"))
    return results


def measure_latency(stage: Stage, figure: str, *arguments: str) -> list[Result]:
    options = stage.options
    told = bench(stage, "latency", f"--rate={options.rate}", f"--seconds={options.paced_seconds}",
                 *arguments)
    times = told["due_to_done_us" if figure == "committed" else "to_start_us"]
    values = {"operations": told["operations"], **times}
    if figure == "beside":
        values |= {"bundle_p99": told["bundle_beside_us"]["p99"], "left": told["beside_left"]}
    return [Result(figure, values, told["others"])]


def measure_idle(stage: Stage, *arguments: str) -> list[Result]:
    told = bench(stage, "idle", f"--seconds={stage.options.idle_seconds}", *arguments)
    return [Result("idle", {"cpu_percent": told["processor_cpu_percent"],
                            "busiest": told["busiest_thread_wakes_per_second"],
                            "rss_mib": told["processor_rss_max_mib"]}, told["others"])]


def measure_corpus(stage: Stage, *arguments: str) -> list[Result]:
    """`submit --file --wait`, from its start to its end; then the database is what it shall be."""
    path, count, expected = corpus_files(stage)
    processes, workers = arguments[1::2]
    with stage.stack() as stack, stack.run("--processes", processes, workers=workers) as processor:
        with Meter({**stage.server_pids(stack), "processor": [processor.pid]}) as meter:
            began = time.monotonic()
            done = stack.cli("submit", "--file", str(path), "--direct", "--wait=10m",
                             "--output", "json", timeout=900)
            seconds = time.monotonic() - began
        assert done.returncode in (0, 1), done.stderr
        submitted = json.loads(done.stdout.splitlines()[-1])["submitted"]
        assert submitted == count, f"{submitted} of {count} operations of the corpus"
        found = "".join(line + "\n" for line, in stack.sql(EXPECTATION_SQL))
        assert found == expected, "the database is not what the corpus expects"
    costs = {name: meter.cost.cpu_us(name, count) for name in SERVERS}
    return [Result("corpus", {"operations": count, "rate": count / seconds, **costs},
                   meter.cost.others)]


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


def bench(stage: Stage, *arguments: str) -> dict:
    with stage.stack() as stack:
        done = stack.cli("bench", *arguments, "--keep", "--output", "json", timeout=900)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}{done.stdout}"
    return json.loads(done.stdout)


def result_of(told: dict, figure: str, measured: str) -> Result:
    part = told[measured]
    values = {"operations": told["operations"], "rate": part["operations_per_second"],
              **{name: part["cpu_us_per_operation"][name] for name in SERVERS}}
    if measured == "run":
        values["rss_mib"] = told["processor_rss_max_mib"]
    return Result(figure, values, told["others"])
