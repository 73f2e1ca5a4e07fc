"""`heddle cancel` and `heddle dead`: what an operator decides holds, and the lane goes on in order."""
import json

import pytest
from ends import Lane
from harness import new_id
from servers import until


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user):
    return Lane(stack, request.param, user)


def is_gone(lane: Lane) -> None:
    key = f"heddle:{{{lane.stack.client.partition(lane.user)}}}:lane:{lane.user}"
    until(lambda: not lane.stack.redis.exists(key), "the lane is gone")


def dead(stack, *arguments: str) -> list[dict]:
    told = stack.cli("dead", *arguments, "--output", "json")
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def test_what_is_queued_never_happens(lane):
    first, second, third = (lane.submit(n) for n in (1, 2, 3))
    told = lane.stack.cli("cancel", second)
    assert (told.returncode, told.stdout) == (0, "cancelled\n"), told.stderr
    assert lane.state(second) == "cancelled"
    assert lane.stack.cli("cancel", second).returncode == 0
    with lane.stack.probe():
        lane.wait_ended(first, third)
        too_late = lane.stack.cli("cancel", third)
        assert too_late.returncode == 6 and "too late, it is done" in too_late.stderr
        is_gone(lane)
    assert lane.order() == [1, 3]
    waited = lane.stack.cli("await", second)
    assert waited.returncode == 1 and json.loads(waited.stdout)["code"] == 499
    assert lane.stack.cli("check").returncode == 0


def test_whoever_waits_for_what_is_queued_is_told_at_once(stack, user):
    lane = Lane(stack, "direct", user)
    lane.submit(1)
    operation = lane.submit(2, reply=True)
    assert stack.cli("cancel", operation).returncode == 0
    assert stack.client.result(user, operation)["state"] == "cancelled"
    assert stack.client.status(user, operation)[0] == "cancelled"
    with stack.probe():
        is_gone(lane)
    assert lane.order() == [1]


@pytest.mark.parametrize("kind", ["wait_prepare", "wait_apply", "sleep"])
def test_what_runs_is_asked_to_stop_and_takes_no_effect(lane, kind):
    with lane.stack.probe("--statement", "60000"):
        operation = lane.submit(1, "probe_stick", kind=kind, sticks=1)
        behind = lane.submit(2)
        until(lambda: lane.prepared(operation) > 0 or any(
            line["operation"] == operation for line in lane.stack.prepare_log()), "it runs")
        told = lane.stack.cli("cancel", operation, "--wait")
        assert (told.returncode, told.stdout) == (0, "cancelled\n"), told.stderr
        lane.wait_ended(behind)
    lane.wait_ended(operation, state="cancelled")
    assert lane.order() == [2]
    assert lane.stack.sql("select count(*) from heddle.dead where id = %s", operation) == [(0,)]


def test_what_nobody_knows_is_not_cancelled(stack):
    told = stack.cli("cancel", new_id())
    assert told.returncode == 1 and "neither the queue nor the ledger knows it" in told.stderr
    assert stack.cli("cancel", "please").returncode == 2
    assert stack.cli("cancel").returncode == 2


def test_a_dead_operation_is_listed_and_comes_again_as_a_new_one(lane):
    with lane.stack.probe():
        operation = lane.submit(1, "probe_flaky", policy={"attempts": 2, "backoff_ms": 5}, fails=99, cure="well")
        lane.wait(operation, "dead")
        [row] = dead(lane.stack, "list", "--user", lane.user)
        assert (row["id"], row["state"], row["attempt"], row["op"]) == (operation, "dead", 2, "probe_flaky")
        assert operation in lane.stack.cli("dead", "list", "--op", "probe_flaky").stdout
        lane.cure("well")
        [told] = dead(lane.stack, "retry", operation)
        assert told["id"] == operation
        lane.wait_ended(told["retried_as"])
    assert lane.state(operation) == "dead" and lane.order() == [1]
    assert dead(lane.stack, "list", "--user", lane.user) == []
    again = lane.stack.cli("dead", "retry", operation)
    assert again.returncode == 1 and "is no dead letter and halts no lane" in again.stderr
    (lane.stack.directory / "well").unlink()


@pytest.mark.parametrize("decision", ["retry", "drop", "cancel"])
def test_a_halted_lane_goes_on_when_it_is_decided(lane, decision):
    with lane.stack.probe():
        operation = lane.submit(1, "probe_flaky", policy={"attempts": 1, "on_failure": "halt"}, fails=99, cure="fit")
        behind = lane.submit(2)
        lane.wait(operation, "halted")
        [row] = dead(lane.stack, "list", "--user", lane.user)
        assert (row["id"], row["state"]) == (operation, "halted")
        if decision == "retry":
            lane.cure("fit")
        words = ("cancel",) if decision == "cancel" else ("dead", decision)
        told = lane.stack.cli(*words, operation)
        assert told.returncode == 0, told.stderr
        lane.wait_ended(behind)
        lane.wait_ended(operation, state="done" if decision == "retry" else "cancelled")
        assert dead(lane.stack, "list", "--user", lane.user) == []
    assert lane.order() == ([1, 2] if decision == "retry" else [2])
    (lane.stack.directory / "fit").unlink(missing_ok=True)


def test_all_of_a_user_are_retried_in_order_and_all_of_another_dropped(stack, user):
    lanes = [Lane(stack, "durable", name) for name in (user, user + "-b")]
    with stack.probe():
        ids = [lane.submit(n, "probe_flaky", policy={"attempts": 1}, fails=99, cure="all")
               for n in (1, 2, 3) for lane in lanes]
        for n, operation in enumerate(ids):
            lanes[n % 2].wait(operation, "dead")
        assert [row["id"] for row in dead(stack, "list", "--user", user, "--limit", "2")] == [ids[4], ids[2]]
        lanes[0].cure("all")
        assert dead(stack, "retry", "--all", "--user", user) == [{"retried": 3}]
        assert dead(stack, "drop", "--all", "--user", lanes[1].user) == [{"dropped": 3}]
        until(lambda: lanes[0].order() == [1, 2, 3], "they have come again, in order")
    assert lanes[1].order() == []
    assert [dead(stack, "list", "--user", lane.user) for lane in lanes] == [[], []]


@pytest.mark.parametrize("words", [(), ("bury",), ("list", "x"), ("list", "--all"), ("retry",), ("drop", "x"),
                                   ("retry", "--all", "00000000-0000-4000-8000-000000000000"),
                                   ("list", "--limit", "0"), ("drop", "--user", "u")])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("dead", *words)
    assert told.returncode == 2 and told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
