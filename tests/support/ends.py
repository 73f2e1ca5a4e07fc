"""Operations with retry policies: submitted either way, and what the ledger says of them."""
from __future__ import annotations

import contextlib
import hashlib
import json

from harness import Stack
from servers import until

# Nobody's test waits so long: what happens earlier has another cause.
HOUR_MS = 3_600_000
ENDED = "('done', 'failed', 'dead', 'cancelled')"


class Lane:
    """One user's operations; all are submitted `direct`, to Redis, or all `durable`, in SQL."""

    def __init__(self, stack: Stack, mode: str, user: str):
        self.stack, self.mode, self.user = stack, mode, user

    def submit(self, n: int, op: str = "probe_record", *, policy: dict | None = None, reply: bool = False,
               **payload) -> str:
        """Submits operation `n` with the policy's options (attempts, backoff_ms, …); its id."""
        body = json.dumps({"n": n, **payload})
        if self.mode == "direct":
            return self.stack.client.submit(self.user, op, payload=body, reply=int(reply), **policy or {})[0]
        options = dict(policy or {})
        for name in ("backoff", "backoff_max", "deadline", "delay", "expires"):
            if f"{name}_ms" in options:
                options[name] = f"{options.pop(f'{name}_ms')} milliseconds"
        named = "".join(f", {name} => %s" for name in options)
        operation = self.stack.sql(f"select heddle.submit(%s, %s, %s::jsonb{named})", self.user, op, body,
                                   *options.values())[0][0]
        if reply:
            partition = self.stack.client.partition(self.user)
            self.stack.redis.execute_command("FCALL", "heddle_want", 1, f"heddle:{{{partition}}}", operation)
        return operation

    @contextlib.contextmanager
    def held_elsewhere(self):
        """Another session has the lane's lock."""
        key = int.from_bytes(hashlib.sha256(self.user.encode()).digest()[:8], "big", signed=True)
        holder = self.stack.postgres.connect(self.stack.database)
        try:
            with holder.cursor() as cursor:
                cursor.execute("select pg_advisory_lock(%s)", (key,))
            yield
        finally:
            holder.close()

    def state(self, operation: str) -> str | None:
        return next((s for s, in self.stack.sql("select state from heddle.status where id = %s", operation)),
                    None)

    def wait(self, operation: str, *states: str, seconds: float = 30) -> str:
        return until(lambda: next((s for s in [self.state(operation)] if s in states), None),
                     f"{operation} is {' or '.join(states)}", seconds)

    def wait_ended(self, *operations: str, state: str = "done") -> None:
        """As the ledger says: a cancelled one has ended when its lane has come to it."""
        for operation in operations:
            until(lambda o=operation: self.stack.sql(
                "select 1 from heddle.operations where id = %s and finished_at is not null", o),
                f"{operation} has ended")
            assert self.state(operation) == state

    def wait_redis(self, operation: str, state: str) -> None:
        until(lambda: self.stack.client.status(self.user, operation)[0] == state, f"Redis says {state}")

    def order(self) -> list[int]:
        """The operations that took effect, in their order; each effect happened once."""
        ran = [n for n, in self.stack.sql(
            "select n from probe.events where lane = %s and phase = 'in' order by seq", self.user)]
        counted = self.stack.sql("select count from probe.counters where lane = %s", self.user)
        assert counted == ([(len(ran),)] if ran else [])
        return ran

    def attempt(self, operation: str) -> int:
        return self.stack.sql("select attempt from heddle.operations where id = %s", operation)[0][0]

    def failed_attempts(self, operation: str) -> list[int]:
        return [n for n, in self.stack.sql(
            "select attempt from heddle.attempts where id = %s order by ended_at", operation)]

    def prepared(self, operation: str) -> int:
        return sum(line["operation"] == operation and line["phase"] == "in"
                   for line in self.stack.prepare_log())

    def cure(self, name: str) -> None:
        """From now on operations with this `cure` do not fail."""
        (self.stack.directory / name).touch()
