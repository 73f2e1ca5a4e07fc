"""What is done to the world: one small class a fault.

A fault is injected and healed by `inject`, which says when it began, when the world was whole again,
and which lanes it hit (None: every lane with something to do).
"""
from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

from harness import Processor
from servers import until

from generator import Load
from world import Plan, World


@dataclass
class Injection:
    at: float
    over_at: float
    lanes: set[str] | None = None
    count: int = 1
    loses_redis: bool = False  # Redis lost data between the two


class Fault:
    """Injected, healed, and measured by rounds.run_round."""
    name: ClassVar[str]
    plan: ClassVar[Plan] = Plan()
    load: ClassVar[Load] = Load()
    short: ClassVar[int] = 6          # injections of the short version
    full: ClassVar[int] = 60
    per_round: ClassVar[int] = 20     # of the full version
    gap_s: ClassVar[float] = 0.8      # between two injections, on average
    lasts_s: ClassVar[float] = 0.0    # what an injection takes, where that is long: the load goes on meanwhile
    loses_redis: ClassVar[bool] = False
    ticks: ClassVar[bool] = False     # an operation recurs every second
    has_time: ClassVar[bool] = True   # Postgres' clock, which times the effects, can be trusted
    within_s: ClassVar[float] = 3.5   # from the moment the world is whole until a lane moves on, as a rule
    target_s: ClassVar[float | None] = None  # what is promised of it, for nearly all lanes

    @classmethod
    def seconds(cls, is_full: bool) -> float:
        """What playing it takes, roughly."""
        return (cls.full if is_full else cls.short) * (cls.gap_s + cls.lasts_s) + 4

    def set_up(self, world: World) -> None:
        pass

    def inject(self, world: World, rng: random.Random) -> Injection:
        raise NotImplementedError

    def heal(self, world: World) -> None:
        """Behind the last injection, whatever happened."""

    def findings(self) -> list[str]:
        """What could not be done as it should; after `heal`."""
        return []

    def close(self) -> None:
        """At the end of the round: ends what set_up started."""


def catch(world: World, rng: random.Random) -> tuple[Processor, set[str], float]:
    """Stops a processor, in most cases one that is at work: it, its lanes, and when. Stopped, so that
    what it holds is known."""
    for tries in range(20):
        victim = rng.choice(world.alive())
        victim.pause()
        lanes, at = world.held_lanes(victim), time.time()
        if lanes or tries == 19 or rng.random() < 0.1:
            break
        victim.resume()
        time.sleep(0.01)
    return victim, lanes, at


class Kill(Fault):
    """SIGKILL of a processor below its supervisor, which frees its lanes and starts another."""
    name = "kill"
    plan = Plan(is_supervised=True, processors=3)
    short, full, per_round, gap_s = 8, 2000, 12, 0.7  # more in a row, and supervisors hold back
    within_s = target_s = 1.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        victim = self._catch(world, rng)
        lanes, at = world.held_lanes(victim[0]), time.time()
        os.kill(victim[1], signal.SIGKILL)
        return Injection(at, at, lanes)

    @staticmethod
    def _catch(world: World, rng: random.Random) -> tuple[Processor, int]:
        """Stopped first, so that what it holds is known; where it is stopped is where it dies."""
        for tries in range(50):
            supervisor = rng.choice(world.alive())
            # A quarantine that has nothing to do ends meanwhile.
            with contextlib.suppress(ProcessLookupError):
                if child := world.child(supervisor):
                    os.kill(child, signal.SIGSTOP)
                    if world.held_lanes(supervisor) or tries > 30 or rng.random() < 0.1:
                        return supervisor, child
                    os.kill(child, signal.SIGCONT)
            time.sleep(0.01)
        raise RuntimeError("no processor below its supervisor")


class Vanish(Fault):
    """SIGKILL of a processor that nobody supervises, as when its host vanishes."""
    name = "vanish"
    short, full, per_round, gap_s = 6, 500, 100, 0.5
    within_s = target_s = 3.5  # lease + 2 s

    def inject(self, world: World, rng: random.Random) -> Injection:
        victim, lanes, at = catch(world, rng)
        victim.kill()
        world.keep_alive()
        return Injection(at, at, lanes)


class Stop(Fault):
    """SIGSTOP for longer than the lease, then CONT."""
    name = "stop"
    plan = Plan(user_concurrency=3)
    short, full, per_round, gap_s = 2, 300, 30, 0.5

    def inject(self, world: World, rng: random.Random) -> Injection:
        victim, lanes, at = catch(world, rng)
        time.sleep(world.plan.lease_ms / 1000 * rng.uniform(1.1, 1.6))
        victim.resume()
        return Injection(at, at, lanes)


class Terminate(Fault):
    """pg_terminate_backend of a session of ours."""
    name = "terminate"
    plan = Plan(user_concurrency=3)
    short, full, per_round, gap_s = 40, 2100, 200, 0.06
    within_s = 2.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        sessions = world.sql(
            "select pid from pg_stat_activity where application_name like 'heddle%%'"
            " and datname = current_database() order by state = 'active' desc, md5(pid::text || %s) limit 1",
            str(rng.random()))
        at = time.time()
        if sessions:
            world.sql("select pg_terminate_backend(%s)", sessions[0][0])
        return Injection(at, at, None, len(sessions))


class PostgresRestart(Fault):
    """Postgres stopped in the way of a crash, and started."""
    name = "postgres-restart"
    short, full, per_round, gap_s = 2, 50, 10, 1.5
    within_s = target_s = 2.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        world.postgres.stop_immediately()
        time.sleep(rng.uniform(0, 1.5))
        world.postgres.start()
        return Injection(at, time.time())


class RedisKill(Fault):
    """SIGKILL of a Redis that appends to its file always; everything told is kept."""
    name = "redis-kill"
    short, full, per_round, gap_s = 3, 100, 10, 1.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        world.redis.kill()
        time.sleep(rng.uniform(0, 0.8))
        world.redis.start()
        return Injection(at, time.time(), loses_redis=self.loses_redis)


class RedisKillEverySecond(RedisKill):
    """The same, with appendfsync everysec: the last of the direct ones may be lost."""
    name = "redis-kill-everysec"
    plan = Plan(fsync="everysec")
    short, full = 2, 50
    loses_redis = True


class Flush(Fault):
    """FLUSHALL: Redis forgets all, its partitions included."""
    name = "flush"
    short, full, per_round, gap_s = 3, 100, 10, 1.5
    loses_redis = True
    within_s = 4.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        client, at = world.redis.client(), time.time()
        client.flushall()
        # Whatever the traffic: where there is only that of web tiers, nothing else tells of it.
        until(lambda: client.exists("heddle:partitions"), "Redis is set up again", self.within_s)
        return Injection(at, at, loses_redis=True)


class FullMemory(Fault):
    """maxmemory is reached: submissions are refused, the queue drains."""
    name = "maxmemory"
    short, full, per_round, gap_s = 2, 30, 10, 1.0
    within_s = 2.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        client, at = world.redis.client(), time.time()
        client.config_set("maxmemory", max(client.info("memory")["used_memory"] - (64 << 10), 1))
        time.sleep(rng.uniform(0.5, 1.5))
        self.heal(world)
        return Injection(at, time.time())

    def heal(self, world: World) -> None:
        world.redis.client().config_set("maxmemory", 0)
        self.refused = "errorstat_OOM" in world.redis.client().info("errorstats")

    def findings(self) -> list[str]:
        return [] if self.refused else ["Redis never was full"]


ALL = (Kill, Vanish, Stop, Terminate, PostgresRestart, RedisKill, RedisKillEverySecond, Flush, FullMemory)
