"""What operators decide: halted lanes, dead letters, cancellations. And deaths between a decision, which
is in the ledger first, and its settlement in Redis."""
import pytest
from ends import HOUR_MS, Lane
from proxy import Proxy
from servers import until

LEASE = ("--lease", "2000", "--statement", "1000")
SLOW = {"backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS}
HALT = {"attempts": 2, "on_failure": "halt", "backoff_ms": 20}


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user) -> Lane:
    return Lane(stack, request.param, user)


def halted(lane: Lane, **payload) -> str:
    """A halted operation 1 that another attempt would not fail once `cure` exists: the lane's user."""
    operation = lane.submit(1, "probe_flaky", policy=HALT, fails=999, cure=lane.user, **payload)
    lane.wait(operation, "halted")
    lane.wait_redis(operation, "halted")
    return operation


def test_a_halted_lane_stops_alone_until_it_is_retried(stack, lane):
    with stack.probe():
        first = halted(lane)
        second = lane.submit(2)
        other = Lane(stack, lane.mode, lane.user + "-other")
        other.wait_ended(*(other.submit(n) for n in (1, 2)))
        assert lane.failed_attempts(first) == [1, 2] and lane.order() == []
        assert stack.client.status(lane.user, second)[0] == "halted"
        assert stack.sql("select state, attempt from heddle.dead where id = %s", first) == [("halted", 2)]
        # Uncured it halts again, after all its attempts.
        assert stack.sql("select heddle.retry(%s)::text", first) == [(first,)]
        until(lambda: lane.failed_attempts(first) == [1, 2, 1, 2], "it was tried again")
        lane.wait_redis(first, "halted")
        lane.cure(lane.user)
        stack.sql("select heddle.retry(%s)", first)
        lane.wait_ended(first, second)
    assert lane.order() == [1, 2]
    assert lane.attempt(first) == 1
    assert stack.sql("select count(*) from heddle.halted where id = %s", first) == [(0,)]


@pytest.mark.parametrize("decide", ["drop_dead", "cancel"])
def test_a_halted_operation_that_is_dropped_or_cancelled_lets_its_lane_go_on(stack, lane, decide):
    with stack.probe():
        first = halted(lane)
        second = lane.submit(2)
        stack.sql(f"select heddle.{decide}(%s)", first)
        lane.wait_ended(first, state="cancelled")
        lane.wait_ended(second)
    assert lane.order() == [2]
    assert stack.sql("select count(*) from heddle.dead where id = %s", first) == [(0,)]


def test_a_halted_lane_halts_again_when_redis_has_lost_it_and_runs_nothing(new_stack, user):
    lane = Lane(new_stack, "durable", user)
    with new_stack.probe():
        first = halted(lane)
        second = lane.submit(2)
        lane.wait_redis(second, "halted")
        prepared = lane.prepared(first)
        new_stack.redis.flushall()
        until(lambda: new_stack.redis.exists("heddle:{15}:meta"), "Redis is set up again")
        lane.wait_redis(second, "halted")
        assert lane.prepared(first) == prepared and lane.failed_attempts(first) == [1, 2]
        assert lane.order() == []
        lane.cure(user)
        new_stack.sql("select heddle.retry(%s)", first)
        lane.wait_ended(first, second)
    assert lane.order() == [1, 2]


@pytest.mark.parametrize("op, decide, order", [
    ("probe_flaky", "retry", [1, 2]), ("probe_flaky", "cancel", [2]), ("nobody_knows", "cancel", [2])])
def test_a_lane_that_redis_halts_after_its_operator_has_decided_goes_on(new_stack, user, op, decide, order):
    lane = Lane(new_stack, "durable", user)
    with new_stack.probe():
        first = halted(lane) if op == "probe_flaky" else lane.submit(1, op)
        second = lane.submit(2)
        lane.wait_redis(second, "halted")
    lane.cure(user)
    new_stack.sql(f"select heddle.{decide}(%s)", first)
    # As after a failover to a replica that had not heard of it.
    new_stack.sql("delete from heddle.outbox")
    with new_stack.probe():
        lane.wait_ended(second)
    assert lane.order() == order


def test_a_halted_direct_operation_that_redis_lost_is_retried_from_the_ledger(new_stack, user):
    lane = Lane(new_stack, "direct", user)
    with new_stack.probe():
        first = halted(lane)
        new_stack.redis.flushall()
        until(lambda: new_stack.redis.exists("heddle:{15}:meta"), "Redis is set up again")
        lane.cure(user)
        new_stack.sql("select heddle.retry(%s)", first)
        lane.wait_ended(first)
    assert lane.order() == [1]


@pytest.mark.parametrize("reaction, state", [("block", "retrying"), ("park", "parked"), ("halt", "halted")])
def test_a_death_between_decision_and_settlement_repeats_no_decision(stack, lane, reaction, state):
    proxy = Proxy(stack.directory / f"proxy-{lane.user}", stack.redis_server.directory, "redis.sock")
    policy = {"attempts": 1 if reaction == "halt" else 3, "on_failure": reaction, **SLOW}
    with stack.probe(*LEASE, HEDDLE_REDIS=f"unix://{proxy.directory}/redis.sock") as processor:
        first = lane.submit(1, "probe_flaky", policy=policy, fails=1, gate=lane.user, cure=lane.user)
        rest = [lane.submit(n) for n in (2, 3)]
        until(lambda: lane.prepared(first) == 1, "it runs")
        until(lambda: stack.client.status(lane.user, rest[1])[0] != "unknown", "all are there")
        proxy.hold(b"heddle_settle")
        stack.open_gate(lane.user, processor)
        lane.wait(first, state)
        proxy.wait_held()
        processor.kill()
        proxy.drop()
    assert stack.client.status(lane.user, first)[0] in ("running", "queued"), "Redis heard nothing"
    lane.cure(lane.user)
    with stack.probe(*LEASE) as processor:
        stack.open_gate(lane.user, processor)
        if reaction == "halt":
            lane.wait_redis(first, "halted")
            assert lane.order() == []
            stack.sql("select heddle.retry(%s)", first)
        elif reaction == "park":
            lane.wait_ended(*rest)
            assert lane.order() == [2, 3] and lane.state(first) == "parked"
            stack.sql("update heddle.parked set due_at = now() where id = %s", first)
        lane.wait_ended(first, *rest)
    assert lane.order() == ([2, 3, 1] if reaction == "park" else [1, 2, 3])
    assert lane.failed_attempts(first) == [1]
    assert lane.attempt(first) == (1 if reaction == "halt" else 2)


def test_a_dead_operation_is_tried_again_as_a_new_one_that_knows_the_old(stack, lane):
    with stack.probe():
        dead = lane.submit(1, "probe_flaky", policy={"attempts": 1}, fails=999, cure=lane.user)
        lane.wait_ended(dead, state="dead")
        lane.wait_ended(lane.submit(2))
        again = stack.sql("select heddle.retry(%s)::text", dead)[0][0]
        assert again != dead
        lane.wait_ended(again, state="dead")
        assert lane.failed_attempts(again) == [1], "the policy of its submission is kept"
        lane.cure(lane.user)
        third = stack.sql("select heddle.retry(%s)::text", again)[0][0]
        lane.wait_ended(third)
    assert lane.order() == [2, 1]
    assert stack.sql("select id::text, retry_of::text, state::text from heddle.operations"
                     " where retry_of is not null and user_id = %s order by submitted_at", lane.user) == [
        (again, dead, "dead"), (third, again, "done")]
    assert stack.sql("select count(*) from heddle.dead where user_id = %s", lane.user) == [(0,)]
    for operation in (dead, again, third):
        with pytest.raises(Exception, match="HEDDLE not_found .* is no dead letter and halts no lane"):
            stack.sql("select heddle.retry(%s)", operation)


def test_an_operation_that_waits_is_cancelled_at_once_and_its_lane_goes_on(stack, lane):
    with stack.probe():
        first = lane.submit(1, "probe_flaky", policy={"on_failure": "block", **SLOW}, fails=9, reply=True)
        second = lane.submit(2)
        lane.wait(first, "retrying")
        lane.wait_redis(first, "retrying")
        prepared = lane.prepared(first)
        assert stack.sql("select heddle.cancel(%s)", first) == [("cancelled",)]
        assert lane.state(first) == "cancelled"
        result = stack.client.result(lane.user, first)
        lane.wait_ended(first, state="cancelled")
        lane.wait_ended(second)
        assert stack.sql("select heddle.cancel(%s)", first) == [("cancelled",)]
        assert stack.sql("select heddle.cancel(%s)", second) == [("done",)]
        assert lane.prepared(first) == prepared
    assert (result["state"], result["code"], result["error"]["kind"]) == ("cancelled", 499, "cancelled")
    assert lane.order() == [2] and lane.failed_attempts(first) == [1]


def test_whoever_waits_for_a_parked_operation_is_told_that_it_was_cancelled(stack, lane):
    with stack.probe():
        first = lane.submit(1, "probe_flaky", policy={"on_failure": "park", **SLOW}, fails=9, reply=True)
        lane.wait(first, "parked")
        lane.wait_redis(first, "unknown")
        assert stack.sql("select heddle.cancel(%s)", first) == [("cancelled",)]
        assert stack.client.result(lane.user, first)["state"] == "cancelled"
        lane.wait_ended(first, state="cancelled")
        lane.wait_ended(lane.submit(2))
    assert lane.order() == [2]
    assert stack.sql("select count(*) from heddle.parked where id = %s", first) == [(0,)]


def test_a_queued_operation_that_is_cancelled_keeps_its_place_and_hastens_nobody(stack, user):
    lane = Lane(stack, "durable", user)
    with stack.probe():
        first = lane.submit(1, "probe_flaky", policy={"on_failure": "block", **SLOW}, fails=1)
        second, third, fourth = (lane.submit(n) for n in (2, 3, 4))
        lane.wait_redis(first, "retrying")
        until(lambda: stack.client.status(user, fourth)[0] == "retrying", "all are there")
        assert stack.sql("select heddle.cancel(%s)", third) == [("cancelled",)]
        until(lambda: stack.sql("select count(*) from heddle.outbox") == [(0,)], "Redis was told")
        assert lane.attempt(first) == 1 and stack.client.status(user, first)[0] == "retrying"
        # Not by its own time, but by a look of the operator's.
        stack.sql("select heddle.nudge(%s)", first)
        lane.wait_ended(first, second, fourth)
        lane.wait_ended(third, state="cancelled")
    assert lane.order() == [1, 2, 4]


def test_an_operation_that_nobody_knows_is_cancelled_and_its_lane_goes_on(stack, user):
    lane = Lane(stack, "durable", user)
    with stack.probe():
        unknown = lane.submit(1, "probe_of_the_future", reply=True)
        behind = lane.submit(2)
        lane.wait_redis(unknown, "halted")
        assert stack.sql("select heddle.cancel(%s)", unknown) == [("cancelled",)]
        assert stack.client.result(user, unknown)["state"] == "cancelled"
        lane.wait_ended(behind)
    assert lane.order() == [2]


def test_an_operation_that_runs_and_one_that_nobody_knows_of_are_not_cancelled_here(stack, user):
    lane = Lane(stack, "durable", user)
    with stack.probe("--statement", "60000"):
        first = lane.submit(1, ms=2000)
        until(lambda: stack.sql("select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
                                " and datname = current_database()")[0][0], "it runs")
        assert stack.sql("select heddle.cancel(%s)", first) == [("running",)]
        lane.wait_ended(first)
    assert stack.sql("select heddle.cancel(gen_random_uuid())") == [("unknown",)]
    assert lane.order() == [1]
