"""Processors come and go while work is under way: shared at once, drained on TERM, taken over."""
import json

import pytest
from servers import until

LANES, OPERATIONS = 30, 10


def submit_all(client, prefix: str, duration_ms: int) -> list[tuple[str, str]]:
    """OPERATIONS in each of LANES lanes; returns (user, id) of each."""
    submitted = []
    for n in range(1, OPERATIONS + 1):
        for lane in range(LANES):
            user = f"{prefix}-{lane}"
            payload = json.dumps({"n": n, "ms": duration_ms})
            submitted.append((user, client.submit(user, "probe_record", payload=payload, reply=1)[0]))
    return submitted


def done(stack, prefix: str) -> int:
    return int(stack.sql("select coalesce(sum(count), 0) from probe.counters where lane like %s",
                         prefix + "-%")[0][0])


def queued(stack) -> int:
    return sum(stack.redis.hlen(key) for key in stack.redis.keys("heddle:*:ops"))


def assert_no_lane_is_claimed(stack) -> None:
    assert stack.redis.keys("heddle:*:held:*") == []
    assert [key for key in stack.redis.keys("heddle:*:beats") if stack.redis.zcard(key)] == []
    assert [key for key in stack.redis.keys("heddle:*:idle") if stack.redis.scard(key)] == []


def assert_all_ran_once(stack, client, prefix: str, submitted: list[tuple[str, str]]) -> None:
    for user, operation in submitted:
        assert client.result(user, operation)["state"] == "done"
    rows = stack.sql("select array_agg(n order by seq) from probe.events"
                     " where phase = 'in' and lane like %s group by lane", prefix + "-%")
    assert rows == [(list(range(1, OPERATIONS + 1)),)] * LANES


def test_a_second_processor_takes_its_share_at_once(stack, client, user):
    with stack.probe("--workers", "2") as first:
        submitted = submit_all(client, user, duration_ms=20)
        with stack.probe("--workers", "2") as second:
            assert_all_ran_once(stack, client, user, submitted)
    shares = dict(stack.sql("select pid, count(*) from probe.events where phase = 'in'"
                            " and lane like %s group by pid", user + "-%"))
    assert min(shares[first.pid], shares[second.pid]) > LANES * OPERATIONS / 5, shares


def test_a_processor_that_is_told_to_stop_finishes_settles_and_releases(stack, client, user):
    with stack.probe("--workers", "2") as processor:
        submitted = submit_all(client, user, duration_ms=10)
        until(lambda: done(stack, user) > 20, "some operations are done")
        assert processor.stop() == 0
    finished = done(stack, user)
    assert 20 < finished < len(submitted)
    assert_no_lane_is_claimed(stack)
    stack.wait_no_sessions()
    with stack.probe("--workers", "8"):
        assert_all_ran_once(stack, client, user, submitted)
    assert_no_lane_is_claimed(stack)


def test_a_processor_that_cannot_drain_in_time_leaves_the_rest_to_others(stack, client, user):
    with stack.probe("--drain", "300") as processor:
        operation, _ = client.submit(user, "probe_prepare", payload=json.dumps(
            {"n": 1, "gate": user}), reply=1)
        until(stack.prepare_log, "prepare is entered")
        assert processor.stop(seconds=20) == 5
    with stack.probe() as other:
        stack.open_gate(user, other)
        assert client.result(user, operation)["state"] == "done"


def test_the_lanes_of_a_killed_processor_are_free_after_the_lease(stack, client, user):
    lease = ("--lease", "2000", "--statement", "1000")
    with stack.probe(*lease) as victim, stack.probe(*lease):
        submitted = submit_all(client, user, duration_ms=20)
        until(lambda: done(stack, user) > 20, "some operations are done")
        victim.kill()
        assert_all_ran_once(stack, client, user, submitted)
    stack.wait_no_sessions()
    assert_no_lane_is_claimed(stack)


@pytest.mark.parametrize("lanes", [50, 500])
def test_lanes_leave_nothing_behind(stack, client, user, lanes):
    def keys() -> set[bytes]:
        return {key for key in stack.redis.scan_iter("heddle:*", 1000) if stack.redis.ttl(key) < 0}

    with stack.probe() as _:
        before = keys()
        for lane in range(lanes):
            client.submit(f"{user}-{lane}", "probe_record", payload='{"n":1}')
        until(lambda: done(stack, user) == lanes, "all are done")
        until(lambda: queued(stack) == 0, "all are settled")
        # What stays is of a partition, not of a lane.
        assert not [key for key in keys() - before if user.encode() in key]
        assert len(keys()) <= len(before) + 3 * int(stack.redis.get("heddle:partitions"))
