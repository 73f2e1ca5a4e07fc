"""What operators do while it runs: they hold work up, and let it go on. No fault, but it must not
become one beside others."""
from __future__ import annotations

import random
import time

from faults import Fault, Injection
from world import World

OPS = ("chaos_work", "chaos_set", "chaos_step")


class Pause(Fault):
    """A user, an op or everything is paused for a moment."""
    name = "pause"
    short, full = 5, 100
    gap_s, lasts_s = 0.5, 0.4

    def inject(self, world: World, rng: random.Random) -> Injection:
        lanes = [lane for lane, in world.sql(
            "select distinct user_id from heddle.operations where finished_at is null")] or ["lane-0-0"]
        target = rng.choice([("user_id", rng.choice(sorted(lanes))), ("op", rng.choice(OPS)), ("everything", True)])
        world.sql(f"select heddle.pause({target[0]} => %s)", target[1])
        time.sleep(rng.uniform(0, 2 * self.lasts_s))
        at = time.time()
        world.sql(f"select heddle.resume({target[0]} => %s)", target[1])
        return Injection(at, time.time(), {target[1]} if target[0] == "user_id" else None)

    def heal(self, world: World) -> None:
        world.sql("select heddle.resume(everything => true)")
        for op in OPS:
            world.sql("select heddle.resume(op => %s)", op)
        for name, in world.sql("select name from heddle.paused where what = 'user'"):
            world.sql("select heddle.resume(user_id => %s)", name)


class Limit(Fault):
    """An op, or everything, may run only so often, or an op in so few places at once, for a moment."""
    name = "limit"
    short, full = 5, 100
    gap_s, lasts_s = 0.5, 0.4
    within_s = 5.0  # shares find the partitions that need them by rounds of a second

    def inject(self, world: World, rng: random.Random) -> Injection:
        op, n = rng.choice(OPS), rng.randint(1, 3)
        set_to, remove = rng.choice([
            (f"op => '{op}', concurrency => {n}", f"op => '{op}'"),
            (f"op => '{op}', rate => '{10 * n}/s'", f"op => '{op}'"),
            (f"everything => true, rate => '{30 * n}/s'", "everything => true")])
        world.sql(f"select heddle.set_limit({set_to})")
        time.sleep(rng.uniform(0, 2 * self.lasts_s))
        at = time.time()
        world.sql(f"select heddle.remove_limit({remove})")
        return Injection(at, time.time())

    def heal(self, world: World) -> None:
        world.sql("select heddle.remove_limit(everything => true)")
        for op in OPS:
            world.sql("select heddle.remove_limit(op => %s)", op)


ALL = (Pause, Limit)
