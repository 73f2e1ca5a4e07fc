"""Processors die; their supervisor has their lanes free and a new one at work below a second later."""
import json
import os
import signal
import time

import pytest
from servers import until


def children(processor) -> list[int]:
    return [pid for pid in processor.pids() if pid != processor.pid]


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


def order_of(stack, user: str) -> list[int]:
    return [n for n, in stack.sql(
        "select n from probe.events where lane = %s and phase = 'in' order by seq", user)]


def kill_in_the_middle(stack, client, user: str) -> float:
    """SIGKILL of the only processor while it is at work on the user's operation: the seconds until that
    one and the user's next one are done."""
    with stack.probe("--processes", "1", "--lease", "15000") as supervisor:
        until(lambda: len(children(supervisor)) == 1, "the quarantine has ended")
        first = submit(client, user, "probe_record", n=1, ms=250)
        second = submit(client, user, "probe_record", n=2)
        until(lambda: client.status(user, first)[0] == "running", "it runs")
        os.kill(children(supervisor)[0], signal.SIGKILL)
        killed_at = time.monotonic()
        assert client.result(user, first)["state"] == "done"
        assert client.result(user, second)["state"] == "done"
        took_s = time.monotonic() - killed_at
    assert order_of(stack, user) == [1, 2]
    return took_s


def test_a_killed_processors_operation_and_the_next_one_are_done_below_a_second_later(stack, client, user):
    took_s = []
    # A machine that is busy otherwise may hold it up, but not each time.
    for i in range(5):
        took_s.append(kill_in_the_middle(stack, client, f"{user}-{i}"))
        if took_s[-1] < 1:
            return
    pytest.fail(f"they took {took_s} s")


@pytest.mark.parametrize("kind", ["abort", "segv", "overflow"])
def test_only_the_operation_that_crashes_is_given_up(stack, client, user, kind):
    neighbours = [f"{user}-{i}" for i in range(8)]
    with stack.probe("--processes", "1", "--lease", "15000"):
        ids = {n: submit(client, n, "probe_record", n=1, ms=30) for n in neighbours}
        poison = submit(client, user, "probe_crash", n=1, kind=kind)
        behind = submit(client, user, "probe_record", n=2)
        more = {n: submit(client, n, "probe_record", n=2) for n in neighbours}
        result = client.result(user, poison, 60)
        assert result["state"] == "dead" and result["error"]["kind"] == "internal"
        assert client.result(user, behind)["state"] == "done"
        for name in neighbours:
            assert client.result(name, ids[name])["state"] == "done"
            assert client.result(name, more[name])["state"] == "done"
    assert order_of(stack, user) == [2]
    for name in neighbours:
        assert order_of(stack, name) == [1, 2]
        assert stack.sql("select count from probe.counters where lane = %s", name) == [(2,)]
        assert stack.sql("select attempt from heddle.operations where user_id = %s", name) == [(1,), (1,)]
    assert stack.sql("select state from heddle.status where id = %s", poison) == [("dead",)]


def test_a_supervisor_that_is_killed_leaves_nobody_behind(stack, client, user):
    supervisor = stack.probe("--processes", "2")
    pids = children(supervisor)
    supervisor.kill()
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "its processors have ended")


def test_term_drains_every_processor(stack, client, user):
    with stack.probe("--processes", "2") as supervisor:
        assert client.do(user, "probe_record", payload={"n": 1})["state"] == "done"
        assert supervisor.stop() == 0
    held = [key for p in range(16) for key in stack.redis.keys(f"heddle:{{{p}}}:held:*")]
    assert held == []


def test_a_supervisor_whose_processors_cannot_start_ends_with_their_code(stack):
    done = stack.cli("run", HEDDLE_POSTGRES="host=/nonexistent dbname=x", timeout=30)
    assert done.returncode == 4
