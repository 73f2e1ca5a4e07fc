"""What happens to links, and to the address that Redis has."""
from __future__ import annotations

import random
import time
from collections import Counter

import redis
from servers import until

from faults import Fault, Injection
from nodes import RedisNode
from wire import DOWN, UP, Wire
from world import Plan, World


class Weather(Fault):
    """Shared by faults of the wires."""
    plan = Plan(wires=True, patience_ms=1000)

    def wires(self, world: World, rng: random.Random) -> list[Wire]:
        both = [world.redis_wire, world.postgres_wire]
        return rng.choice([both, both[:1], both[1:]])

    def heal(self, world: World) -> None:
        for wire in (world.redis_wire, world.postgres_wire):
            wire.is_refusing, wire.delay_s = False, 0.0
            wire.release()


class Cut(Weather):
    """Links of Redis, of Postgres or of both are cut; for a while no new one is made."""
    name = "cut"
    short, full, per_round, gap_s = 6, 500, 50, 0.3
    within_s = 2.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at, wires = time.time(), self.wires(world, rng)
        for wire in wires:
            wire.is_refusing = rng.random() < 0.3
            wire.cut()
        time.sleep(rng.uniform(0, 0.4))
        self.heal(world)
        return Injection(at, time.time())


class CutRole(Weather):
    """The links of one kind of thread are cut: claims, settlements, beats, wake-ups, relay, workers."""
    name = "cut-role"
    short, full, per_round, gap_s = 30, 2000, 200, 0.1
    within_s = 2.0

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        role = rng.choice(["claim", "settle", "beat", "wake", "push", "reconcile", "worker", "journal"])
        wire = world.postgres_wire if role in ("worker", "journal") else world.redis_wire
        count = wire.cut(role)
        self.tried[role] += 1
        self.cut[role] += count
        return Injection(at, at, None, count)

    def findings(self) -> list[str]:
        return [f"no link of the role {role} was there in {tries} tries" for role, tries in self.tried.items()
                if tries >= 3 and not self.cut[role]]


class HalfClose(Weather):
    """One way of each link is closed, the other stays open."""
    name = "half-close"
    short, full, per_round, gap_s = 6, 300, 50, 0.5
    within_s = 3.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        for wire in self.wires(world, rng):
            wire.half_close(rng.choice([UP, DOWN]))
        return Injection(at, at)


class Hold(Weather):
    """Bytes stay on the way, in one direction or both, up to beyond every time limit, and then arrive."""
    name = "hold"
    short, full, per_round, gap_s = 4, 200, 20, 0.7
    within_s = 3.5

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        for wire in self.wires(world, rng):
            wire.hold(*rng.choice([(UP,), (DOWN,), (UP, DOWN)]))
        time.sleep(rng.uniform(0.2, 3.0))
        self.heal(world)
        return Injection(at, time.time())


class Delay(Weather):
    """Every chunk takes its time."""
    name = "delay"
    short, full, per_round, gap_s = 3, 100, 20, 0.5
    within_s = 3.0

    def inject(self, world: World, rng: random.Random) -> Injection:
        at = time.time()
        for wire in self.wires(world, rng):
            wire.delay_s = rng.uniform(0.005, 0.1)
        time.sleep(rng.uniform(0.5, 1.5))
        self.heal(world)
        return Injection(at, time.time())


class Failover(Weather):
    """A replica that lags behind is promoted; the old Redis dies at once, or lives on for a while
    with the links it had."""
    name = "failover"
    short, full, per_round, gap_s = 4, 100, 10, 1.0
    loses_redis = True
    within_s = 5.0

    def set_up(self, world: World) -> None:
        self.number = 0
        self.old: list[RedisNode] = []
        self._add_replica(world)

    def inject(self, world: World, rng: random.Random) -> Injection:
        self.replication.hold(DOWN)
        time.sleep(rng.uniform(0.05, 0.8))
        at, before = time.time(), world.redis
        if is_gone := rng.random() < 0.6:
            before.kill()
        self.replication.close()
        self.replica.client().execute_command("REPLICAOF", "NO", "ONE")
        world.redis = self.replica
        if is_gone:
            world.redis_wire.cut()
        else:
            # Each link is cut on its own, so that both answer for a while.
            roles = ["claim", "settle", "beat", "wake", "push", "reconcile"]
            rng.shuffle(roles)
            for role in roles:
                world.redis_wire.cut(role)
                time.sleep(rng.uniform(0, 0.2))
            world.redis_wire.cut()
            before.kill()
        over_at = time.time()
        self._add_replica(world)
        return Injection(at, over_at, loses_redis=True)

    def close(self) -> None:
        self.replication.close()
        self.replica.stop()

    def _add_replica(self, world: World) -> None:
        self.number += 1
        self.replica = RedisNode(world.directory / f"replica-{self.number}")
        self.replica.start()
        master = world.redis
        self.replication = Wire(master.connect)
        client = self.replica.client()
        client.execute_command("REPLICAOF", "127.0.0.1", self.replication.port)
        until(lambda: self._is_in_step(client), "the replica is in step", 20)

    @staticmethod
    def _is_in_step(client: redis.Redis) -> bool:
        facts = client.info("replication")
        return facts.get("master_link_status") == "up"


ALL = (Cut, CutRole, HalfClose, Hold, Delay, Failover)
