"""What operations enqueue: as many as effects and in their order, whatever dies on the way."""
import contextlib
import json
import os
import signal

from servers import until

OPERATIONS, LANES, KILLS = 100, 4, 3


def numbers(stack, lane: str) -> list[int]:
    return [n for n, in stack.sql("select n from probe.events where lane = %s and phase = 'in' order by seq", lane)]


def test_they_are_as_many_as_effects_and_in_their_order_though_processors_are_killed(stack, user):
    lanes = [f"{user}-{i}" for i in range(LANES)]
    with stack.probe("--processes", "1", "--workers", "2", "--lease", "90000") as supervisor:
        for n in range(OPERATIONS):
            for lane in lanes:
                payload = {"n": n, "to": f"{lane}-next"}
                if n % 2:
                    stack.sql("select heddle.submit(%s, 'probe_follow', %s)", lane, json.dumps(payload))
                else:
                    stack.client.submit(lane, "probe_follow", payload=json.dumps(payload))
        for kill in range(1, KILLS + 1):
            done = kill * OPERATIONS * LANES // (KILLS + 2)
            until(lambda: stack.sql("select count(*) from probe.events where lane = any(%s) and phase = 'in'",
                                    lanes)[0][0] >= done, "some are done", 30)
            for pid in supervisor.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for lane in lanes:
            until(lambda: len(numbers(stack, f"{lane}-next")) >= OPERATIONS, "their follow-ups are done", 60)
    for lane in lanes:
        # Direct and durable operations each keep their order; follow-ups keep that of the effects.
        effects = numbers(stack, lane)
        assert sorted(effects) == list(range(OPERATIONS))
        assert numbers(stack, f"{lane}-next") == effects
    assert stack.sql("select count(*) from heddle.operations where user_id like %s and finished_at is null",
                     f"{user}-%") == [(0,)]
