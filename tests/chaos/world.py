"""What a round happens in: a Redis, a Postgres, processors, and wires between them where wanted."""
from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import redis
from harness import Processor, binary
from servers import new_directory, template

from generator import TookTooLong
from namespace import Namespace
from nodes import Clock, PostgresNode, RedisNode
from wire import Wire

HERE = Path(__file__).parent


@dataclass
class Plan:
    """What a fault needs of the world."""
    processors: int = 2
    workers: int = 3
    user_concurrency: int = 1
    user_idle_ms: int = 0
    is_supervised: bool = False    # each processor has a supervisor
    lease_ms: int = 1500
    patience_ms: int = 1500
    fsync: str | None = "always"   # of Redis' append-only file; None: it has none
    wires: bool = False            # processors and generator speak through wires
    redis_clock: bool = False
    processor_clock: bool = False
    postgres_clock: bool = False
    postgres_settings: tuple[str, ...] = ()
    is_apart: bool = False         # every second processor lives in a network namespace of its own
    disk_mib: tuple[str, int] | None = None  # a small disk: "redis" or "postgres", MiB


class World:
    """A context manager. Whatever it started has ended when it is left."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.directory = new_directory()
        self.processors: list[Processor] = []
        self.started = 0
        self.owner = threading.get_ident()
        self.mounted: Path | None = None
        self.redis_wire = self.postgres_wire = None
        self.environment_of_next = dict  # what else the next processor is given
        self.namespace = Namespace() if plan.is_apart else None
        self._make_nodes()

    def _make_nodes(self) -> None:
        plan = self.plan
        self.clock = Clock(self.directory / "clock") if (
            plan.redis_clock or plan.processor_clock or plan.postgres_clock) else None
        if plan.disk_mib:
            self._mount(*plan.disk_mib)
        self.redis = RedisNode(self.directory / "redis" / "node" if self._has_disk("redis")
                               else self.directory / "redis", plan.fsync,
                               self.namespace and self.namespace.here,
                               clock=self.clock if plan.redis_clock else None)
        cache = Path(os.environ.get("TESTS_CACHE", "/tmp/heddle-tests-cache"))
        self.postgres = PostgresNode(self.directory / "postgres" / "node" if self._has_disk("postgres")
                                     else self.directory / "postgres", template(cache),
                                     *plan.postgres_settings,
                                     clock=self.clock if plan.postgres_clock else None)

    def _has_disk(self, which: str) -> bool:
        return self.plan.disk_mib is not None and self.plan.disk_mib[0] == which

    def _mount(self, which: str, mib: int) -> None:
        folder = self.directory / which
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "tmpfs", folder],
                              capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"a small disk needs mount: {done.stderr.strip()}")
        self.mounted = folder

    def __enter__(self) -> World:
        try:
            if self.namespace:
                self.namespace.lay()
                self.postgres.admit(self.namespace.here, self.namespace.there)
            self.redis.start()
            self.postgres.start()
            if self.plan.wires:
                self.redis_wire = Wire(lambda: self.redis.connect())
                self.postgres_wire = Wire(lambda: self.postgres.connect_socket())
            self._migrate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for processor in self.processors:
            processor.kill()
        for wire in (self.redis_wire, self.postgres_wire):
            if wire:
                wire.close()
        self.redis.stop()
        self.postgres.stop()
        if self.namespace:
            self.namespace.remove()
        if self.mounted:
            subprocess.run(["umount", "-l", self.mounted], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _migrate(self) -> None:
        done = self.cli("migrate")
        assert done.returncode == 0, done.stderr
        self.sql("insert into heddle.settings values ('partitions', '16'), ('payload_max', '1048576')"
                 " on conflict do nothing")
        self.sql((HERE / "chaos.sql").read_text())

    def environment(self, is_apart: bool = False, through_wires: bool = False) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")}
        redis_url, conninfo = self.redis.url, self.postgres.conninfo()
        if is_apart:
            redis_url = f"redis://{self.namespace.here}:6379"
            conninfo = f"host={self.namespace.here} dbname=heddle user=heddle"
        elif through_wires and self.plan.wires:
            redis_url = f"redis://127.0.0.1:{self.redis_wire.port}"
            conninfo = f"host=127.0.0.1 port={self.postgres_wire.port} dbname=heddle user=heddle"
        return {**clean, "HEDDLE_REDIS": redis_url, "HEDDLE_POSTGRES": conninfo}

    def cli(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess:
        return subprocess.run([binary("TESTS_HEDDLE"), *arguments], capture_output=True, text=True,
                              timeout=timeout, env=self.environment())

    def sql(self, query: str, *parameters) -> list[tuple]:
        connection = self.postgres.open()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(query, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start_processor(self, wait: bool = True) -> Processor:
        self.started += 1
        plan = self.plan
        is_apart = self.namespace is not None and self.started % 2 == 0
        environment = {**self.environment(is_apart, through_wires=True), **self.environment_of_next()}
        if plan.processor_clock:
            environment |= self.clock.environment()
        processor = Processor(
            [*(self.namespace.enter() if is_apart else []), binary("TESTS_CHAOS"), "--workers", str(plan.workers), "--lease",
             str(plan.lease_ms), "--patience", str(plan.patience_ms), "--strands", str(plan.user_concurrency),
             "--idle", str(plan.user_idle_ms),
             *(["--supervised"] if plan.is_supervised else [])],
            environment, self.directory / f"processor-{self.started}.log")
        self.processors.append(processor)
        return processor.wait_ready() if wait else processor

    def start_processors(self) -> None:
        for processor in [self.start_processor(wait=False) for _ in range(self.plan.processors)]:
            processor.wait_ready()

    def alive(self) -> list[Processor]:
        return [p for p in self.processors if p.process.poll() is None]

    def apart(self) -> list[Processor]:
        """Those of the living in the namespace."""
        return [p for p in self.alive() if self.namespace.here in p.environment["HEDDLE_REDIS"]]

    def keep_alive(self) -> None:
        """Starts anew what has ended, as a service manager would. The kernel ends what a thread has
        started together with the thread: so the world's own does, whoever asks."""
        if threading.get_ident() != self.owner:
            return
        dead = [p for p in self.processors if p.process.poll() is not None]
        for processor in dead:
            self.processors.remove(processor)
        for _ in range(self.plan.processors - len(self.processors)):
            self.start_processor(wait=False)

    @staticmethod
    def child(processor: Processor) -> int | None:
        """The processor below a supervisor; None between two of them."""
        children = Path(f"/proc/{processor.pid}/task/{processor.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def redis_connection(self) -> redis.connection.Connection:
        """For the generator: what a web tier has."""
        if self.plan.wires:
            return redis.connection.Connection(host="127.0.0.1", port=self.redis_wire.port,
                                               socket_timeout=2, socket_connect_timeout=2)
        return redis.connection.UnixDomainSocketConnection(path=str(self.redis.socket), socket_timeout=2)

    def postgres_connection(self):
        return self.postgres.open(self.postgres_wire.port if self.plan.wires else None)

    def held_lanes(self, processor: Processor) -> set[str]:
        """Lanes that Redis says the processor has claimed."""
        client, name = self.redis.client(), f"-{processor.pid}-"
        keys = [key for key in client.scan_iter("heddle:{*}:held:*", 1000) if name in key.decode()]
        return {lane.decode() for key in keys for lane in client.hkeys(key)}

    def queued(self) -> dict[str, int]:
        """What Redis still has of the queue, by the kind of key."""
        client, left = self.redis.client(), {}
        for key in client.scan_iter("heddle:*", 1000):
            kind = key.decode().split("}:", 1)[-1].split(":")[0]
            if kind not in ("heddle", "meta", "results", "idle", "beats", "seen"):
                left[kind] = left.get(kind, 0) + 1
        return left

    def forgotten_dead(self) -> bool:
        """Whether Redis has no beat of a processor that does not live."""
        client = self.redis.client()
        living = [f"-{processor.pid}-" for processor in self.alive()]
        return all(any(mark in name.decode() for mark in living)
                   for key in client.scan_iter("heddle:{*}:beats", 1000)
                   for name in client.zrange(key, 0, -1))

    def is_drained(self) -> bool:
        self.keep_alive()
        try:
            return not self.queued() and self.forgotten_dead() and self.sql(
                "select (select count(*) from heddle.outbox) + (select count(*) from heddle.lane_tails)"
                " + (select count(*) from heddle.operations where finished_at is null)"
                " + (select count(*) from heddle.batches where completed_at is null)")[0][0] == 0
        except (psycopg2.Error, redis.RedisError, TookTooLong):
            return False

    def wait_drained(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.is_drained():
                return True
            time.sleep(0.1)
        return False

    def stop_processors(self) -> list[str]:
        """Findings: processors that did not drain, or left something behind."""
        found = []
        alive = self.alive()
        for processor in alive:
            processor.tell_to_stop()
        for processor in alive:
            code = processor.wait_end(20)
            if code != 0:
                found.append(f"{processor.log_path.name} ended with {code}: {processor.log()[-600:]}")
        client = self.redis.client()
        found += [f"left behind in Redis: {key.decode()}" for kind in ("beats", "held", "idle")
                  for key in client.scan_iter(f"heddle:{{*}}:{kind}*", 1000)]
        checked = self.cli("check")
        if checked.returncode:
            found.append(f"heddle check: {checked.stdout}{checked.stderr}")
        return found

    def logs(self, size: int = 1500) -> str:
        return "\n".join(f"--- {p.log_path.name}\n{p.log()[-size:]}" for p in self.processors[-4:])
