"""Every byte of an exchange: the link breaks, closes one way, stalls or slows down behind the first k
bytes of it, or the processor is killed there; k goes from nothing to all of it, both ways.

An exchange is what one operation needs on the links of one role. All else is quiet meanwhile.
"""
from __future__ import annotations

import hashlib
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import ClassVar

from checker import judge, read_effects
from faults import Fault, Injection
from generator import SUBMIT, submit_parameters
from rounds import Outcome, measure
from submissions import ACKNOWLEDGED, Submission
from wire import DOWN, UP, Link, Trap
from world import Plan, World

STUCK_MAX = 2
BYTES_MAX = 20000
FIRST_BYTE_SECONDS, LATE_BYTE_SECONDS = 5, 0.3
PARTITIONS = 16
MODES = ("cut", "half-close", "hold", "delay", "kill")


class Exchange(Fault):
    """A fault of its own kind of round: see `rounds_of`."""
    plan = Plan(wires=True, processors=1, workers=1, patience_ms=700)
    role: ClassVar[str]
    is_durable: ClassVar[bool] = False
    op: ClassVar[str] = "chaos_work"
    works: ClassVar[tuple[dict, ...]] = ({},)  # what the operations of one exchange do
    within_s = 3.5
    # By mode: every which byte, in the short version (0: none) and in the full one.
    steps: ClassVar[dict[str, tuple[int, int]]] = {
        "cut": (16, 1), "half-close": (256, 1), "hold": (512, 1), "delay": (512, 8), "kill": (512, 16)}

    @classmethod
    def seconds(cls, is_full: bool) -> float:
        return sum(2000 / steps[is_full] * 0.3 for steps in cls.steps.values() if steps[is_full])

    @classmethod
    def rounds_of(cls, seed: str, is_full: bool) -> Iterator[Outcome]:
        """One world for all modes, and a new one behind each that left a lane standing."""
        parts = [(mode, way, steps[is_full]) for mode, steps in cls.steps.items() if steps[is_full]
                 for way in (UP, DOWN)]
        while parts:
            exchange = cls()
            yield exchange._play(seed, parts)

    def _play(self, seed: str, parts: list[tuple[str, str, int]]) -> Outcome:
        """Takes from `parts` what it has played."""
        outcome = Outcome(self.name, seed)
        self.rng = random.Random(f"{seed}:{self.name}:{parts[0]}")
        self.submissions: list[Submission] = []
        self.happened: list[Injection] = []
        with World(self.plan) as world:
            world.start_processors()
            self.world, self.redis, self.sql = world, world.redis.client(), world.postgres.open()
            self.wire = world.postgres_wire if self.role in ("worker", "journal") else world.redis_wire
            while parts and not outcome.problems:
                self._iterate(outcome, *parts.pop(0))
            outcome.injected = len(self.happened)
            self._judge(outcome)
            self.sql.close()
        return outcome

    def _iterate(self, outcome: Outcome, mode: str, way: str, step: int) -> None:
        for offset in range(0, BYTES_MAX, step):
            self._do_one(f"warm-{mode}-{way}-{offset}", 10)
            injection = self._break_at(mode, way, offset)
            if not injection:
                if offset == 0:
                    outcome.problems.append(f"{mode} {way}: nothing of the role {self.role} went by")
                return
            self.happened.append(injection)
            if self.is_stuck:
                outcome.problems.append(f"{mode} {way} behind byte {offset}: the lane stood still for 8 s")
            if len(outcome.problems) == STUCK_MAX:
                return

    def _break_at(self, mode: str, way: str, offset: int) -> Injection | None:
        """None where the exchange has fewer bytes than that."""
        sprung_at: list[float] = []
        spring = self._spring(mode, way)

        def note(link: Link) -> bool | None:
            sprung_at.append(time.time())
            return spring(link)

        trap = Trap(self.role, way, offset, note)
        self.wire.set_trap(trap)
        lane = f"lane-{mode}-{way}-{offset}"
        self.is_stuck = not self._do_one(lane, 8)
        # Its effect is seen before the last answer has gone by.
        trap.has_sprung.wait(FIRST_BYTE_SECONDS if offset == 0 else LATE_BYTE_SECONDS)
        self.wire.set_trap(None)
        if not sprung_at:
            return None
        return Injection(sprung_at[0], sprung_at[0], {lane})

    def _spring(self, mode: str, way: str) -> Callable[[Link], bool | None]:
        if mode == "cut":
            return lambda link: link.cut()
        if mode == "half-close":
            return lambda link: link.close_way(way)
        if mode == "hold":
            return lambda link: time.sleep(self.plan.patience_ms / 1000 + 0.3)
        if mode == "delay":
            return lambda link: time.sleep(0.1)
        return self._kill

    def _kill(self, link: Link) -> None:
        for processor in self.world.alive():
            processor.kill()
        link.cut()

    def _do_one(self, lane: str, seconds: float) -> bool:
        """One exchange: true where its operations have ended and left Redis in time."""
        batch = []
        for n, work in enumerate(self.works):
            operation = str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
            batch.append(Submission(operation, lane, n, self.is_durable, dict(work), self.op,
                                    sent_at=time.time()))
        self.submissions += batch
        self._submit(batch)
        for submission in batch:
            submission.note(ACKNOWLEDGED, time.time(), into=submission.id)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(self._has_ended(submission) for submission in batch):
                return True
            self.world.keep_alive()
            time.sleep(0.004)
        return False

    def _submit(self, batch: list[Submission]) -> None:
        if self.is_durable:
            with self.sql, self.sql.cursor() as cursor:
                for s in batch:
                    cursor.execute(SUBMIT, submit_parameters(s))
            return
        # At once, so that one claim takes all of them.
        with self.redis.pipeline(transaction=True) as pipeline:
            for s in batch:
                pipeline.execute_command("FCALL", "heddle_submit", 0, s.lane, s.op, "", s.payload,
                                         "id", s.id)
            pipeline.execute()

    def _has_ended(self, submission: Submission) -> bool:
        partition = int(hashlib.sha1(submission.lane.encode()).hexdigest()[:4], 16) % PARTITIONS
        if self.redis.hexists(f"heddle:{{{partition}}}:ops", submission.id):
            return False
        with self.sql, self.sql.cursor() as cursor:
            cursor.execute("select from heddle.operations where id = %s and finished_at is not null",
                           (submission.id,))
            return cursor.rowcount == 1

    def _judge(self, outcome: Outcome) -> None:
        world = self.world
        if not outcome.problems and not world.wait_drained(20):
            outcome.problems.append(f"not drained within 20 s; Redis has {world.queued()}")
        effects = read_effects(world.sql)
        outcome.verdict = judge(self.submissions, effects, world.sql)
        if not outcome.problems:
            outcome.problems += world.stop_processors()
        measure(outcome, self.happened, self.submissions, effects)
        if outcome.findings():
            outcome.logs = world.logs()


class CommitDirect(Exchange):
    """The unit of work of a direct operation, its COMMIT included, at every byte."""
    name = "bytes-of-commit-direct"
    role = "worker"


class CommitDurable(CommitDirect):
    """The same of a durable operation."""
    name = "bytes-of-commit-durable"
    is_durable = True


class CommitBundle(CommitDirect):
    """The unit of work of a bundle of direct operations, at every byte."""
    name = "bytes-of-commit-bundle"
    op = "chaos_set"
    works = ({}, {}, {"refuse": True}, {})
    steps = {"cut": (64, 1), "half-close": (0, 4), "hold": (0, 16), "delay": (0, 32), "kill": (512, 16)}


class CommitDurableBundle(CommitBundle):
    """The same of durable operations, in savepoints."""
    name = "bytes-of-commit-durable-bundle"
    op = "chaos_step"
    is_durable = True


class Settle(Exchange):
    """The settle exchange at every byte."""
    name = "bytes-of-settle"
    role = "settle"


class SettleParts(Exchange):
    """The settle exchanges of a claim that is settled in parts."""
    name = "bytes-of-settle-parts"
    role = "settle"
    works = ({}, {}, {"ms": 25}, {})
    steps = {"cut": (32, 1), "half-close": (0, 4), "hold": (0, 4), "delay": (0, 32), "kill": (0, 32)}


class Claim(Exchange):
    """The claim exchange at every byte."""
    name = "bytes-of-claim"
    role = "claim"
    steps = {"cut": (64, 1), "half-close": (0, 4), "hold": (0, 4), "delay": (0, 32), "kill": (0, 32)}


class Push(Exchange):
    """What the relay pushes to Redis, at every byte."""
    name = "bytes-of-push"
    role = "push"
    is_durable = True
    steps = {"cut": (64, 1), "half-close": (0, 4), "hold": (0, 4), "delay": (0, 32), "kill": (0, 32)}


class Outbox(Exchange):
    """What the relay says to Postgres, at every byte."""
    name = "bytes-of-outbox"
    role = "journal"
    is_durable = True
    steps = {"cut": (64, 1), "half-close": (0, 8), "hold": (0, 16), "delay": (0, 32), "kill": (0, 32)}


ALL = (CommitDirect, CommitDurable, CommitBundle, CommitDurableBundle, Settle, SettleParts, Claim, Push, Outbox)
