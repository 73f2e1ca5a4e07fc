"""Operations that run too long: told to end, then ended with their process; nobody else is charged."""
import json

import pytest
from servers import until


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


def children(processor) -> list[int]:
    return [pid for pid in processor.pids() if pid != processor.pid]


def order_of(stack, user: str) -> list[int]:
    return [n for n, in stack.sql(
        "select n from probe.events where lane = %s and phase = 'in' order by seq", user)]


def attempts_of(stack, operation: str) -> int:
    return stack.sql("select attempt from heddle.operations where id = %s", operation)[0][0]


@pytest.mark.parametrize("kind", ["sleep", "wait_apply", "wait_prepare"])
def test_past_the_soft_deadline_an_operation_comes_again_and_the_process_lives(stack, client, user,
                                                                              kind):
    neighbours = [f"{user}-{i}" for i in range(8)]
    limits = ("--soft", "500", "--hard", "60000", "--statement", "60000", "--lease", "90000")
    with stack.probe("--processes", "1", *limits) as supervisor:
        until(lambda: len(children(supervisor)) == 1, "the quarantine has ended")
        before = children(supervisor)
        ids = [(n, submit(client, n, "probe_record", n=1, ms=30)) for n in neighbours]
        stuck = submit(client, user, "probe_stick", n=1, kind=kind, sticks=1)
        behind = submit(client, user, "probe_record", n=2)
        ids += [(n, submit(client, n, "probe_record", n=2)) for n in neighbours]
        for name, operation in [*ids, (user, stuck), (user, behind)]:
            assert client.result(name, operation)["state"] == "done"
        assert children(supervisor) == before
        assert supervisor.log().count("operation_overdue") == 1
    assert attempts_of(stack, stuck) == 2
    assert order_of(stack, user) == [1, 2]
    for name in neighbours:
        assert order_of(stack, name) == [1, 2]
    assert {attempts_of(stack, operation) for _, operation in ids} == {1}


def test_past_the_hard_deadline_only_the_operation_that_loops_is_given_up(stack, client, user):
    neighbours = [f"{user}-{i}" for i in range(8)]
    with stack.probe("--processes", "1", "--soft", "300", "--hard", "600", "--lease", "15000",
                     "--workers", "8") as supervisor:
        stuck = submit(client, user, "probe_stick", n=1, kind="loop", sticks=1000)
        behind = submit(client, user, "probe_record", n=2)
        ids = [(name, submit(client, name, "probe_record", n=n, ms=20))
               for n in range(1, 31) for name in neighbours]
        result = client.result(user, stuck, 60)
        assert result["state"] == "dead" and result["error"]["kind"] == "internal"
        assert client.result(user, behind)["state"] == "done"
        for name, operation in ids:
            assert client.result(name, operation)["state"] == "done"
        log = supervisor.log()
    # In the processor, and then as often as it takes in quarantine.
    assert log.count(" worker_stuck ") == 1 + 3
    assert log.count(f"operation_suspected id={stuck} ") == log.count("operation_suspected") == 4
    assert order_of(stack, user) == [2]
    for name in neighbours:
        assert order_of(stack, name) == list(range(1, 31))
        assert stack.sql("select count from probe.counters where lane = %s", name) == [(30,)]
    assert {attempts_of(stack, operation) for _, operation in ids} == {1}
    assert stack.sql("select state from heddle.status where id = %s", stuck) == [("dead",)]
