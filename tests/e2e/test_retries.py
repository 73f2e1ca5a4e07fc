"""Operations that fail and may succeed later: tried again in their place, set aside, or given up."""
import os
import shutil
from pathlib import Path

import pytest
from ends import HOUR_MS, Lane
from harness import Stack
from servers import Postgres, new_directory, template, until

FAST = {"backoff_ms": 20, "backoff_max_ms": 40}


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user) -> Lane:
    return Lane(stack, request.param, user)


@pytest.mark.parametrize("phase", ["prepare", "apply"])
def test_a_lane_waits_for_an_operation_that_fails_and_keeps_its_order(stack, lane, phase):
    with stack.probe():
        policy = {"attempts": 5, "on_failure": "block", **FAST}
        first = lane.submit(1, "probe_flaky", policy=policy, fails=3, kind=phase, reply=True)
        rest = [lane.submit(n) for n in (2, 3)]
        assert stack.client.result(lane.user, first)["state"] == "done"
        lane.wait_ended(first, *rest)
    assert lane.order() == [1, 2, 3]
    assert lane.attempt(first) == 4 and lane.failed_attempts(first) == [1, 2, 3]
    assert [lane.attempt(operation) for operation in rest] == [1, 1]
    errors = stack.sql("select error ->> 'message' from heddle.attempts where id = %s order by attempt", first)
    assert errors == [(f"attempt {n} fails",) for n in (1, 2, 3)]


@pytest.mark.parametrize("phase", ["prepare", "apply"])
def test_a_parked_operation_lets_its_lane_go_on_and_comes_back_behind_it(stack, lane, phase):
    policy = {"attempts": 5, "on_failure": "park", **FAST}
    first = lane.submit(1, "probe_flaky", policy=policy, fails=2, kind=phase, reply=True)
    rest = [lane.submit(n) for n in (2, 3, 4)]
    with stack.probe():
        assert stack.client.result(lane.user, first)["state"] == "done"
        lane.wait_ended(first, *rest)
        again = lane.submit(5)
        lane.wait_ended(again)
    assert lane.order() == [2, 3, 4, 1, 5]
    assert lane.attempt(first) == 3 and lane.failed_attempts(first) == [1, 2]
    assert stack.sql("select count(*) from heddle.parked where id = %s", first) == [(0,)]


def test_several_parked_operations_of_a_lane_come_back_in_the_order_in_which_they_are_due(stack, lane):
    policy = {"attempts": 5, "on_failure": "park", "backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS}
    parked = [lane.submit(n, "probe_flaky", policy=policy, fails=1) for n in (1, 2, 3)]
    with stack.probe():
        for operation in parked:
            lane.wait(operation, "parked")
        lane.wait_ended(lane.submit(4))
        # The last one first, and all at once.
        stack.sql("update heddle.parked p set due_at = now() - o.n * interval '1 second'"
                  " from unnest(%s::uuid[]) with ordinality o (id, n) where p.id = o.id", parked)
        lane.wait_ended(*parked)
    assert lane.order() == [4, 3, 2, 1]


def test_a_parked_operation_survives_the_loss_of_all_of_redis(new_stack, request, user):
    stack = new_stack
    lanes = [Lane(stack, mode, f"{user}-{mode}") for mode in ("direct", "durable")]
    policy = {"attempts": 3, "on_failure": "park", "backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS}
    with stack.probe():
        first = [lane.submit(1, "probe_flaky", policy=policy, fails=1) for lane in lanes]
        for lane, operation in zip(lanes, first, strict=True):
            lane.wait(operation, "parked")
            lane.wait_redis(operation, "unknown")
        stack.redis.flushall()
        until(lambda: stack.redis.exists("heddle:{15}:meta"), "Redis is set up again")
        for lane in lanes:
            lane.wait_ended(lane.submit(2))
        stack.sql("update heddle.parked set due_at = now()")
        for lane, operation in zip(lanes, first, strict=True):
            lane.wait_ended(operation)
            assert lane.order() == [2, 1]
            assert lane.attempt(operation) == 2 and lane.failed_attempts(operation) == [1]


@pytest.mark.parametrize("reaction", ["block", "park"])
def test_after_its_last_attempt_an_operation_is_a_dead_letter_with_its_attempts(stack, lane, reaction):
    with stack.probe():
        policy = {"attempts": 3, "on_failure": reaction, **FAST}
        first = lane.submit(1, "probe_flaky", policy=policy, fails=99, reply=True)
        second = lane.submit(2)
        result = stack.client.result(lane.user, first)
        lane.wait_ended(second)
    assert result["state"] == "dead" and result["error"] == {"kind": "internal", "message": "attempt 3 fails"}
    assert lane.state(first) == "dead"
    assert lane.failed_attempts(first) == [1, 2, 3] and lane.attempt(first) == 3
    letter = stack.sql("select op, state, attempt, error, payload ->> 'n' from heddle.dead where id = %s", first)
    assert letter == [("probe_flaky", "dead", 3, result["error"], "1")]
    assert lane.order() == [2]


@pytest.mark.parametrize("reaction", ["block", "park"])
def test_past_its_deadline_an_operation_is_not_tried_again(stack, lane, reaction):
    with stack.probe():
        policy = {"deadline_ms": 900, "on_failure": reaction, "backoff_ms": 100, "backoff_max_ms": 200}
        first = lane.submit(1, "probe_flaky", policy=policy, fails=999)
        lane.wait_ended(first, state="dead")
        lane.wait_ended(lane.submit(2))
    attempts = lane.failed_attempts(first)
    assert len(attempts) > 1 and attempts == list(range(1, len(attempts) + 1))
    late = "select max(ended_at) - min(submitted_at) < interval '6 seconds' from heddle.attempts a" \
           " join heddle.operations o using (id) where a.id = %s"
    assert stack.sql(late, first) == [(True,)]
    assert lane.order() == [2]


def test_the_handler_says_what_the_submission_does_not(stack, lane):
    first = lane.submit(1, "probe_patient", fails=99)
    second = lane.submit(2, "probe_patient", policy={"attempts": 1}, fails=99)
    third = lane.submit(3, "probe_patient", policy={"on_failure": "block", **FAST}, fails=1)
    fourth = lane.submit(4)
    with stack.probe():
        lane.wait_ended(first, second, state="dead")
        lane.wait_ended(third, fourth)
    assert lane.failed_attempts(first) == [1, 2, 3]
    assert lane.failed_attempts(second) == [1]
    assert lane.failed_attempts(third) == [1]
    assert lane.order() == [3, 4]


@pytest.mark.parametrize("reaction", ["block", "park", "halt"])
def test_readers_are_tried_again_too(stack, lane, reaction):
    policy = {"attempts": 3, "on_failure": reaction, **FAST}
    look = lane.submit(1, "probe_look", policy=policy, fails=2, reply=True)
    behind = lane.submit(2)
    with stack.probe():
        result = stack.client.result(lane.user, look)
        lane.wait_ended(behind)
    assert result["state"] == "done" and result["data"] == {"looked": True}
    if lane.mode == "durable" or reaction == "park":
        assert lane.failed_attempts(look) == [1, 2]
    else:
        assert stack.sql("select 1 from heddle.operations where id = %s", look) == []
    assert lane.order() == [2]


def test_a_reader_that_is_given_up_is_a_dead_letter(stack, lane):
    look = lane.submit(1, "probe_look", policy={"attempts": 2, **FAST}, fails=9, reply=True)
    with stack.probe():
        assert stack.client.result(lane.user, look)["state"] == "dead"
        assert stack.sql("select payload ->> 'n' from heddle.dead where id = %s", look) == [("1",)]


def test_a_lane_that_somebody_else_holds_costs_no_attempt(stack, lane):
    with stack.probe():
        with lane.held_elsewhere():
            first = lane.submit(1, policy={"attempts": 1})
            second = lane.submit(2)
            lane.wait_redis(first, "retrying")
            assert lane.state(first) in (None, "queued")
        lane.wait_ended(first, second)
    assert lane.order() == [1, 2]
    assert lane.attempt(first) == 1 and lane.failed_attempts(first) == []


@pytest.fixture
def own_postgres():
    """One that a test may stop."""
    directory = new_directory()
    postgres = Postgres(directory / "pg", template(Path(os.environ.get("TESTS_CACHE", "/tmp/heddle-tests-cache"))))
    postgres.start()
    yield postgres
    postgres.stop()
    shutil.rmtree(directory)


def test_a_postgres_that_stops_and_comes_back_costs_no_attempt(own_postgres, user):
    with Stack(own_postgres) as stack, stack.probe():
        lanes = [Lane(stack, mode, f"{user}-{mode}") for mode in ("direct", "durable")]
        policy = {"attempts": 1}
        first = [lane.submit(1, policy=policy, ms=3000) for lane in lanes]
        for lane, operation in zip(lanes, first, strict=True):
            until(lambda w=lane, o=operation: stack.client.status(w.user, o)[0] == "running", "it runs")
        rest = [lane.submit(2, policy=policy) for lane in lanes]
        own_postgres.stop()
        for lane, operation in zip(lanes, first, strict=True):
            until(lambda w=lane, o=operation: stack.client.status(w.user, o)[0] != "running", "it is given back")
        own_postgres.start()
        stack.connection = own_postgres.connect(stack.database)
        for lane, one, two in zip(lanes, first, rest, strict=True):
            lane.wait_ended(one, two)
            assert lane.order() == [1, 2]
            assert (lane.attempt(one), lane.attempt(two)) == (1, 1)
        assert stack.sql("select count(*) from heddle.attempts") == [(0,)]


def test_an_operation_that_ends_its_session_each_time_is_given_up(lane):
    with lane.stack.probe():
        first = lane.submit(1, "probe_fail", policy={"attempts": 2, "backoff_ms": 1}, kind="terminated")
        behind = lane.submit(2)
        lane.wait_ended(first, state="dead")
        lane.wait_ended(behind)
    assert lane.order() == [2] and lane.failed_attempts(first) == [1, 2]


def test_an_operation_that_crashes_its_process_is_a_dead_letter(stack, lane):
    with stack.probe("--processes", "1", "--lease", "15000"):
        poison = lane.submit(1, "probe_crash", kind="abort")
        behind = lane.submit(2)
        lane.wait_ended(poison, state="dead")
        lane.wait_ended(behind)
    assert stack.sql("select state, payload ->> 'kind' from heddle.dead where id = %s", poison) == [
        ("dead", "abort")]
    assert len(lane.failed_attempts(poison)) == 1
    assert lane.order() == [2]
