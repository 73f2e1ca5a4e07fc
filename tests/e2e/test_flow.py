"""Operations for later, that expire, that are one of a key: submitted either way, with order and effects exact."""
import json
import time

import pytest
from ends import Lane
from servers import until

HOUR = 3_600_000


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user) -> Lane:
    return FlowLane(stack, request.param, user)


class FlowLane(Lane):
    """Options by the names of FCALL; in SQL by its own."""

    def submit(self, n, op="probe_record", *, reply=False, policy=None, **options):
        if self.mode == "direct":
            body = json.dumps({"n": n})
            return self.stack.client.submit(self.user, op, payload=body, reply=int(reply), **options)[0]
        values = {"delay_ms": ("delay => %s", lambda ms: f"{ms} milliseconds"),
                  "expires_ms": ("expires => %s", lambda ms: f"{ms} milliseconds"),
                  "at_ms": ("at => to_timestamp(%s)", lambda ms: ms / 1000),
                  "unique_key": ("unique_key => %s", str),
                  "unique_ms": ("unique_for => %s", lambda ms: f"{ms} milliseconds"),
                  "replace": ("replace => %s", bool)}
        named = "".join(", " + values[name][0] for name in options)
        given = [values[name][1](value) for name, value in options.items()]
        return self.stack.sql(f"select heddle.submit(%s, %s, %s::jsonb{named})::text", self.user, op,
                              json.dumps({"n": n}), *given)[0][0]

    def known_state(self, operation):
        if self.mode == "durable":
            return self.state(operation)
        return self.stack.client.status(self.user, operation)[0]


def test_what_is_for_later_runs_then_in_the_order_in_which_it_is_due(stack, lane):
    now_ms = int(time.time() * 1000)
    later = [lane.submit(4, delay_ms=900), lane.submit(3, at_ms=now_ms + 600), lane.submit(2, delay_ms=300)]
    never = lane.submit(9, delay_ms=HOUR)
    first = lane.submit(1)
    assert [lane.known_state(o) for o in later] == ["scheduled"] * 3
    with stack.probe():
        lane.wait_ended(first, *later)
        assert lane.order() == [1, 2, 3, 4]
        assert lane.known_state(never) == "scheduled"
        told = stack.cli("await", never, "--timeout", "10ms")
        assert told.returncode == 5 and told.stderr.endswith("its state is scheduled\n")
        assert stack.cli("cancel", never).returncode == 0
        lane.wait_ended(never, state="cancelled")
    assert lane.order() == [1, 2, 3, 4]
    # Not before its time, by the clock of whoever keeps it.
    early = "select count(*) from heddle.operations where id = any (%s::uuid[]) and started_at < to_timestamp(%s)"
    assert stack.sql(early, [later[1]], (now_ms + 599) / 1000) == [(0,)]
    assert stack.cli("check").returncode == 0


def test_what_has_not_begun_in_time_ends_cancelled_and_the_others_go_on(stack, lane):
    expiring = [lane.submit(n, expires_ms=1) for n in (1, 2, 3)]
    lasting = [lane.submit(n, expires_ms=HOUR) for n in (4, 5)]
    rest = lane.submit(6)
    scheduled = lane.submit(7, delay_ms=500, expires_ms=HOUR)
    time.sleep(0.01)
    with stack.probe():
        lane.wait_ended(*expiring, state="cancelled")
        lane.wait_ended(*lasting, rest, scheduled)
    assert lane.order() == [4, 5, 6, 7]
    ends = stack.sql("select distinct code, error ->> 'kind' from heddle.operations where id = any (%s::uuid[])",
                     expiring)
    assert ends == [(410, "expired")]
    result = json.loads(stack.cli("await", expiring[0]).stdout)
    assert result["state"] == "cancelled" and result["code"] == 410
    assert not any(lane.failed_attempts(o) for o in expiring)


def test_one_of_a_key_at_a_time_until_it_has_ended(stack, lane):
    first = lane.submit(1, unique_key="k")
    assert {lane.submit(n, unique_key="k") for n in range(2, 10)} == {first}
    other = lane.submit(10, unique_key="another")
    with stack.probe():
        lane.wait_ended(first, other)
        if lane.mode == "direct":
            until(lambda: stack.client.status(lane.user, first)[0] == "unknown", "it has left Redis")
        again = lane.submit(11, unique_key="k")
        assert again != first
        lane.wait_ended(again)
    assert lane.order() == [1, 10, 11]


def test_the_newest_payload_of_one_that_waits_runs(stack, lane):
    lane.submit(0)
    operations = [lane.submit(n, unique_key="k", replace=1) for n in range(1, 6)]
    behind = lane.submit(6)
    with stack.probe():
        lane.wait_ended(operations[-1], behind)
    assert lane.order() in ([0, 5, 6], [0, 6, 5])
    if lane.mode == "direct":
        assert len(set(operations)) == 1 and lane.order() == [0, 5, 6]
    else:
        lane.wait_ended(*operations[:-1], state="cancelled")
    assert stack.sql("select count(*) from heddle.operations where user_id = %s and state = 'done'",
                     lane.user) == [(3,)]


def test_what_is_submitted_while_one_runs_is_not_lost_in_it(stack, user):
    """Under load each payload that was the last one of its kind takes effect, each once, in order."""
    for mode in ("direct", "durable"):
        lane = FlowLane(stack, mode, f"{user}-{mode}")
        with stack.probe():
            operations = [lane.submit(n, unique_key="k", replace=1) for n in range(300)]
            lane.wait_ended(operations[-1])
        order = lane.order()
        assert order == sorted(set(order)) and order[-1] == 299


def test_a_lost_redis_loses_nothing_that_is_scheduled_durably(new_stack, user):
    lane = FlowLane(new_stack, "durable", user)
    operations = [lane.submit(n, delay_ms=1500) for n in range(1, 6)]
    with new_stack.probe():
        new_stack.redis.flushall()
        lane.wait_ended(*operations)
    assert lane.order() == [1, 2, 3, 4, 5]


def test_the_command_line_says_what_it_is_told(stack, user):
    for flag in ("--direct", "--durable"):
        name = user + flag
        done = stack.cli("submit", "--user", name, "--op", "get_thread", "--delay", "1h", flag,
                         "--unique-key", "k", "--output", "json")
        first = json.loads(done.stdout)
        assert first["state"] == "scheduled"
        done = stack.cli("submit", "--user", name, "--op", "get_thread", flag, "--unique-key", "k", "--wait=10ms")
        assert done.returncode == 5 and first["id"] in done.stderr
        assert json.loads(stack.cli("show", first["id"], "--output", "json").stdout)["state"] == "scheduled"
        assert stack.cli("cancel", first["id"]).returncode == 0
