"""The application under chaos: submits operations, and notes what it was told for each.

A lane belongs to one thread, so that its order is defined. What is submitted follows from the seed
alone, how much of it also from how long the faults take. A try whose fate is unknown is sometimes
repeated with the same id, as a web tier would.
"""
from __future__ import annotations

import random
import select
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Callable

import psycopg2
import psycopg2.extensions
import redis

from submissions import ACKNOWLEDGED, REFUSED, UNKNOWN, Submission

PATIENCE_SECONDS = 2.0
OBSERVERS_PATIENCE_SECONDS = 10.0
REPEATS_MAX = 20
SUBMIT = ("select heddle.submit(%s, %s, %s::jsonb, %s, %s::uuid, priority => %s,"
          " delay => %s * interval '1 millisecond', batch => %s, unique_key => %s, replace => %s)::text")
CLOSE_BATCH = "select heddle.batch_close(%s, 'chaos_step', %s, '{\"n\": 0}', even_on_failure => true)"
BATCH_EVERY = 15  # operations of a thread


class TookTooLong(Exception):
    pass


def submit_parameters(s: Submission, user: str | None = None) -> tuple:
    return (s.lane if user is None else user, s.op, s.payload, s.thread or None, s.id, s.priority, s.delay_ms,
            s.batch, s.unique_key, s.replaces)


_thread = threading.local()


def _wait(connection) -> None:
    """Bounds whatever psycopg2 waits for: the application's threads are less patient than who only
    looks at it all. For psycopg2's wait callback."""
    deadline = time.monotonic() + getattr(_thread, "patience_s", OBSERVERS_PATIENCE_SECONDS)
    while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
        left = deadline - time.monotonic()
        reads = [connection] if state == psycopg2.extensions.POLL_READ else []
        writes = [connection] if state == psycopg2.extensions.POLL_WRITE else []
        if left <= 0 or not any(select.select(reads, writes, [], left)):
            raise TookTooLong


psycopg2.extensions.set_wait_callback(_wait)


@dataclass
class Load:
    operations: int = 200
    lanes: int = 12
    threads: int = 3
    seconds: float = 6.0        # over which they are spread
    burst: int = 8
    durable: float = 0.5        # their share
    slow: float = 0.5
    slow_ms: int = 120
    in_postgres: float = 0.5    # of the slow ones; the others are slow before their transaction
    fails: float = 0.05
    refuse: float = 0.05
    malformed: float = 0.02
    roll_back: float = 0.05     # of the durable ones
    urgent: float = 0.15
    bulk: float = 0.15
    delayed: float = 0.1
    delay_ms: int = 250
    again: float = 0.05         # sent twice although acknowledged
    repeat: float = 0.7         # of the tries whose fate is unknown
    fresh_lanes: float = 0.1    # of the operations, each in a lane of its own
    follow: float = 0.08
    batched: float = 0.3
    unique: float = 0.06        # begin a row of submissions with one key
    same_key: float = 0.6       # of such a row: there is another one


class Generator:
    """`open_redis` and `open_postgres` give a new connection each."""

    def __init__(self, seed: str, load: Load, open_redis: Callable[[], redis.Connection],
                 open_postgres: Callable):
        self.load = load
        self.submissions: list[Submission] = []
        self._redis, self._postgres = open_redis, open_postgres
        self._stop = threading.Event()
        self._may_end = threading.Event()
        self._threads = [threading.Thread(target=self._body, args=(i, random.Random(f"{seed}:{i}")),
                                          daemon=True) for i in range(load.threads)]
        self._failures: list[BaseException] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def may_end(self) -> None:
        """From here on no more than the load's number of operations is submitted."""
        self._may_end.set()

    def stop(self) -> None:
        self._stop.set()

    def is_active(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * PATIENCE_SECONDS + 1)
        if self._failures:
            raise self._failures[0]

    def _body(self, number: int, rng: random.Random) -> None:
        _thread.patience_s = PATIENCE_SECONDS
        try:
            load = self.load
            submitter = Submitter(self._redis, self._postgres, load, rng, self._stop)
            lanes = [f"lane-{number}-{i}" for i in range(max(load.lanes // load.threads, 1))]
            count = load.operations // load.threads
            next_at, n = time.monotonic(), 0
            submission = None
            while (n < count or not self._may_end.is_set()) and not self._stop.is_set():
                n += 1
                if submission and submission.unique_key and rng.random() < load.same_key:
                    submission = self._draw_unique(rng, n, submission.lane, submission.unique_key)
                elif rng.random() < load.unique:
                    submission = self._draw_unique(rng, n, lanes[0], rng.choice(("once", "newest")) +
                                                   rng.choice(("-direct", "-durable")))
                else:
                    submission = self._draw(rng, number, n, lanes)
                self.submissions.append(submission)
                submitter.submit(submission)
                if n % BATCH_EVERY == 0:
                    submitter.close_batch(_batch_of(number, n))
                if submission.told == REFUSED and not submission.is_malformed \
                        and submission.text != "rolled back":
                    # Weather: it does not count, and the application comes back soon.
                    count += 1
                    self._stop.wait(0.1)
                if submission.unique_key:
                    continue
                # In bursts, so that lanes have something to wait for.
                if rng.random() < 1 / load.burst:
                    next_at += rng.expovariate(1) * load.seconds * load.threads / load.operations * load.burst
                self._stop.wait(max(next_at - time.monotonic(), 0))
            submitter.close_batch(_batch_of(number, n))
        except BaseException as failure:
            self._failures.append(failure)

    def _draw(self, rng: random.Random, number: int, n: int, lanes: list[str]) -> Submission:
        load, work = self.load, {}
        lane = rng.choice(lanes)
        if rng.random() < load.fresh_lanes:
            lane = f"fresh-{number}-{n}"
        if rng.random() < load.slow:
            work["ms" if rng.random() < load.in_postgres else "outside"] = rng.randint(1, load.slow_ms)
        if rng.random() < load.fails:
            work["fails"] = 1
        elif rng.random() < load.refuse:
            work["refuse"] = True
        operation = uuid.UUID(int=rng.getrandbits(128), version=4)
        op = "chaos_work" if "outside" in work else "chaos_set" if operation.int % 2 else "chaos_step"
        kind = rng.random()
        if rng.random() < load.follow:
            work["follow"] = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return Submission(
            str(operation), lane, n, rng.random() < load.durable, work, op,
            priority="interactive" if kind < load.urgent else
            "bulk" if kind < load.urgent + load.bulk else "normal",
            delay_ms=rng.randint(1, load.delay_ms) if rng.random() < load.delayed else None,
            is_malformed=rng.random() < load.malformed, thread=rng.choice(("", "a", "b")),
            batch=_batch_of(number, n) if rng.random() < load.batched else None)

    def _draw_unique(self, rng: random.Random, n: int, lane: str, key: str) -> Submission:
        """All with a key are alike, so that their order is that of the key."""
        replaces, where = key.startswith("newest"), "ms" if self.load.in_postgres else "outside"
        return Submission(
            str(uuid.UUID(int=rng.getrandbits(128), version=4)), lane, n, key.endswith("durable"),
            {where: rng.randint(1, self.load.slow_ms)}, "chaos_step" if where == "ms" else "chaos_work",
            unique_key=key, replaces=replaces,
            delay_ms=self.load.delay_ms if replaces and self.load.delayed and rng.random() < 0.5 else None)


def _batch_of(number: int, n: int) -> str:
    return f"batch-{number}-{(n - 1) // BATCH_EVERY}"


class Submitter:
    """One thread's connections. Knows what an answer, or its absence, means."""

    def __init__(self, open_redis, open_postgres, load: Load, rng: random.Random, stop: threading.Event):
        self._open_redis, self._open_postgres = open_redis, open_postgres
        self._load, self._rng, self._stop = load, rng, stop
        self._redis = self._postgres = None

    def submit(self, submission: Submission) -> None:
        send = self._send_durable if submission.is_durable else self._send_direct
        repeats = self._rng.random() < self._load.repeat
        again = self._rng.random() < self._load.again
        rolls_back = submission.is_durable and self._rng.random() < self._load.roll_back
        submission.sent_at = time.time()
        send(submission, rolls_back)
        for _ in range(REPEATS_MAX):
            if submission.told != UNKNOWN or submission.into or not repeats or self._stop.wait(0.1):
                break
            send(submission, False)
        if submission.told == ACKNOWLEDGED and again:
            send(submission, False)

    def _send_direct(self, submission: Submission, _: bool) -> None:
        try:
            if not self._redis:
                self._redis = self._open_redis()
            self._redis.connect()
        except (redis.RedisError, OSError) as failure:
            self._redis = None
            submission.note(REFUSED, time.time(), f"not connected: {failure}")
            return
        user = "" if submission.is_malformed else submission.lane
        try:
            self._redis.send_command("FCALL", "heddle_submit", 0, user, submission.op, submission.thread,
                                     submission.payload, *submission.options)
            answer = self._redis.read_response()
            submission.note(ACKNOWLEDGED, time.time(), into=answer[0].decode())
        except redis.ResponseError as failure:
            submission.note(REFUSED, time.time(), str(failure))
        except (redis.RedisError, OSError) as failure:
            self._redis.disconnect()
            self._redis = None
            submission.note(UNKNOWN, time.time(), str(failure))

    def _send_durable(self, submission: Submission, rolls_back: bool) -> None:
        user = "" if submission.is_malformed else submission.lane
        told, text, into = REFUSED, "", ""
        try:
            if not self._postgres or self._postgres.closed:
                self._postgres = self._open_postgres()
            with self._postgres.cursor() as cursor:
                cursor.execute("insert into chaos.orders values (%s) on conflict do nothing",
                               (submission.id,))
                cursor.execute(SUBMIT, submit_parameters(submission, user))
                into, = cursor.fetchone()
            if rolls_back:
                self._postgres.rollback()
                text = "rolled back"
            else:
                told = UNKNOWN
                self._postgres.commit()
                told = ACKNOWLEDGED
        except (psycopg2.Error, TookTooLong, OSError) as failure:
            text = str(failure) or type(failure).__name__
            if self._postgres:
                self._postgres.close()
            self._postgres = None
        submission.note(told, time.time(), text, into)

    def close_batch(self, name: str) -> None:
        """Until it is closed."""
        while not self._stop.is_set():
            try:
                if not self._postgres or self._postgres.closed:
                    self._postgres = self._open_postgres()
                with self._postgres.cursor() as cursor:
                    cursor.execute(CLOSE_BATCH, (name, f"behind-{name}"))
                self._postgres.commit()
                return
            except (psycopg2.Error, TookTooLong, OSError):
                if self._postgres:
                    self._postgres.close()
                self._postgres = None
                self._stop.wait(0.1)
