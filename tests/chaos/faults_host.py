"""What happens to hosts: their disks fill up, their clocks jump, the network between them parts."""
from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import psycopg2
import redis
from servers import until

from faults import Fault, Injection
from generator import Load, TookTooLong
from world import Plan, World

HOUR = 3600


class FullDisk(Fault):
    """Shared by both servers: the disk fills up for a while, then there is room again."""
    short, full, per_round, gap_s = 2, 20, 5, 1.5

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        self._fill(world.mounted)
        time.sleep(rng.uniform(0.5, 2.0))
        self.heal(world)
        return Injection(at, time.time(), loses_redis=self.loses_redis)

    def heal(self, world: World) -> None:
        (world.mounted / "filler").unlink(missing_ok=True)
        self._restart(world)

    @staticmethod
    def _fill(folder: Path) -> None:
        with open(folder / "filler", "wb", buffering=0) as filler:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    continue

    def _restart(self, world: World) -> None:
        raise NotImplementedError


class PostgresDisk(FullDisk):
    """Postgres' disk is full: an outage, not a loss."""
    name = "postgres-disk"
    plan = Plan(disk_mib=("postgres", 160), postgres_settings=("max_wal_size=48MB", "min_wal_size=32MB"))
    within_s = 3.5

    def _restart(self, world: World) -> None:
        """A Postgres that found no room for its log has ended, or is about to."""
        def answers() -> bool:
            if not world.postgres.is_alive():
                world.postgres.start()
            try:
                world.sql("create table if not exists chaos.room ()")
                return True
            except (psycopg2.Error, TookTooLong):
                return False
        until(answers, "Postgres is back", 30, 0.05)


class RedisDisk(FullDisk):
    """Redis' disk is full: with appendfsync always it ends; everything told is kept."""
    name = "redis-disk"
    plan = Plan(disk_mib=("redis", 24))
    within_s = 3.5

    def _restart(self, world: World) -> None:
        def answers() -> bool:
            if not world.redis.is_alive():
                world.redis.start()
            try:
                return bool(world.redis.client().set("heddle-chaos-room", 1, px=1))
            except redis.RedisError:
                return False
        until(answers, "Redis is back", 30, 0.05)


class RedisDiskEverySecond(RedisDisk):
    """The same with appendfsync everysec: Redis refuses to write until there is room."""
    name = "redis-disk-everysec"
    plan = Plan(disk_mib=("redis", 24), fsync="everysec")
    loses_redis = True


class Jump(Fault):
    """Shared by the clocks: a jump to and fro, by seconds and by hours. Each stays until the next."""
    short, full, per_round, gap_s = 5, 60, 12, 0.8
    within_s = 3.5

    def processes(self, world: World) -> list[int]:
        """Those whose clock it is."""
        raise NotImplementedError

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        assert all(map(world.clock.is_bent_for, self.processes(world))), "their clock is the machine's"
        world.clock.jump(rng.choice([-1, 1]) * rng.choice([0.5, 2, 30, HOUR, 24 * HOUR]))
        return Injection(at, at)

    def heal(self, world: World) -> None:
        world.clock.jump(0)


class RedisClock(Jump):
    """Redis' clock jumps: leases, waiting lanes and virtual time are of its time."""
    name = "redis-clock"
    load = Load(delayed=0)  # what is due by the clock would be, in a day
    plan = Plan(redis_clock=True)

    def processes(self, world: World) -> list[int]:
        return [world.redis.process.pid]


class ProcessorClock(Jump):
    """The wall clock of the processors jumps."""
    name = "processor-clock"
    plan = Plan(processor_clock=True)

    def processes(self, world: World) -> list[int]:
        return [processor.pid for processor in world.alive()]


class PostgresClock(Jump):
    """Postgres' clock jumps: ages of the journal's rows are of its time."""
    name = "postgres-clock"
    load = Load(in_postgres=0, delayed=0)  # pg_sleep waits for the wall clock, and would for a day
    plan = Plan(postgres_clock=True)
    has_time = False

    def processes(self, world: World) -> list[int]:
        return [world.postgres.process.pid]


class Partition(Fault):
    """A network namespace with some of the processors is cut off, one way or both, and joined again."""
    name = "partition"
    plan = Plan(processors=3, is_apart=True)
    short, full, per_round, gap_s = 2, 100, 10, 1.0
    within_s = 3.5

    def set_up(self, world: World) -> None:
        assert self._is_joined(world)
        world.namespace.part(True, True)
        assert not self._is_joined(world), "a partition that lets bytes through"
        world.namespace.join()

    @staticmethod
    def _is_joined(world: World) -> bool:
        there = [*world.namespace.enter(), "timeout", "1", "redis-cli", "-h", world.namespace.here, "ping"]
        return subprocess.run(there, capture_output=True).returncode == 0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        world.namespace.part(*rng.choice([(True, True), (True, False), (False, True)]))
        time.sleep(rng.uniform(0.5, 5.0))
        world.namespace.join()
        return Injection(at, time.time())

    def heal(self, world: World) -> None:
        world.namespace.join()


class Host(Partition):
    """A host vanishes: the network to it parts, and what dies there dies unheard. The leading relay was
    there, and lanes were held."""
    name = "host"
    short, full, per_round, gap_s = 1, 50, 5, 0.5
    lasts_s = 8.0
    within_s = target_s = 3.5  # lease + 2 s

    def inject(self, world: World, rng: random.Random) -> Injection:
        until(lambda: self._leads_from_there(world), "the relay over there leads", 30, 0.1)
        world.namespace.part(True, True)
        at = time.time()
        for victim in world.apart():
            victim.kill()
        until(lambda: self._is_relayed(world, at + 0.3), "another relay leads", 2 * self.within_s)
        time.sleep(max(at + self.within_s - time.time(), 0))
        world.namespace.join()
        return Injection(at, at)

    @staticmethod
    def _leads_from_there(world: World) -> bool:
        """Where it does not, those that are not there die, so that it will."""
        if world.sql("select 1 from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and granted"
                     " and application_name = 'heddle relay' and client_addr = %s", world.namespace.there):
            return len(world.alive()) > len(world.apart())
        for processor in world.alive():
            if processor not in world.apart():
                processor.kill()
        time.sleep(1.5)
        world.keep_alive()
        return False

    @staticmethod
    def _is_relayed(world: World, until_s: float) -> bool:
        """Whether Redis has all that was accepted until then."""
        return time.time() > until_s + 0.1 and not world.sql(
            "select 1 from heddle.outbox join heddle.operations using (id) where submitted_at < to_timestamp(%s)", until_s)


ALL = (Host, PostgresDisk, RedisDisk, RedisDiskEverySecond, RedisClock, ProcessorClock, PostgresClock, Partition)
