"""`heddle pause` and `heddle resume`: what is paused does not begin, and then goes on in order."""
import json

import pytest
import redis
from ends import Lane
from harness import new_id
from servers import until


def pause(stack, *flags: str, ok: int = 0) -> str:
    told = stack.cli("pause", *flags)
    assert told.returncode == ok, told.stderr
    return told.stdout or told.stderr


def resume(stack, *flags: str) -> None:
    told = stack.cli("resume", *flags)
    assert told.returncode == 0, told.stderr


def shown(stack) -> list[dict]:
    return [json.loads(line) for line in pause(stack, "--output", "json").splitlines()]


def show_paused(lane: Lane, operation: str) -> None:
    until(lambda: lane.stack.client.status(lane.user, operation)[0] == "paused", "it is paused")


def wait_settled(lane: Lane) -> None:
    key = f"heddle:{{{lane.stack.client.partition(lane.user)}}}:lane:{lane.user}"
    until(lambda: not lane.stack.redis.exists(key), "the lane is gone")


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user):
    return Lane(stack, request.param, user)


def test_a_user_waits_while_others_go_on(lane):
    stack, other = lane.stack, Lane(lane.stack, lane.mode, lane.user + "-other")
    with stack.probe():
        lane.wait_ended(lane.submit(0))
        pause(stack, "--user", lane.user, "--reason", "looks odd", "--by", "ops")
        mine = [lane.submit(n) for n in (1, 2, 3)]
        other.wait_ended(other.submit(1))
        for operation in mine:
            show_paused(lane, operation)
        [row] = shown(stack)
        assert (row["what"], row["name"], row["by"], row["reason"], row["refuses"]) == (
            "user", lane.user, "ops", "looks odd", False)
        assert row["since"] and f"user {lane.user} since=" in pause(stack)
        assert lane.order() == [0]
        resume(stack, "--user", lane.user)
        lane.wait_ended(*mine)
    assert lane.order() == [0, 1, 2, 3] and other.order() == [1] and shown(stack) == []
    assert stack.cli("resume", "--user", lane.user).returncode == 1


def test_an_op_stops_its_lanes_where_it_stands(lane):
    stack, other = lane.stack, Lane(lane.stack, lane.mode, lane.user + "-other")
    with stack.probe():
        pause(stack, "--op", "probe_flaky")
        first, second, third = lane.submit(1), lane.submit(2, "probe_flaky", fails=0), lane.submit(3)
        lane.wait_ended(first)
        other.wait_ended(other.submit(1))
        show_paused(lane, second)
        assert lane.order() == [1]
        cancelled = lane.submit(4, "probe_flaky", fails=0)
        assert stack.cli("cancel", cancelled).returncode == 0
        resume(stack, "--op", "probe_flaky")
        lane.wait_ended(second, third)
        lane.wait_ended(cancelled, state="cancelled")
    assert lane.order() == [1, 2, 3]


def test_a_pause_of_everything_outlives_processors_and_the_loss_of_redis(new_stack):
    stack = new_stack
    durable, direct = (Lane(stack, mode, mode) for mode in ("durable", "direct"))
    with stack.probe():
        durable.wait_ended(durable.submit(0))
        stack.sql("select heddle.pause(everything => true, set_by => 'the application')")
        until(lambda: direct.stack.redis.hget("heddle:{0}:controls.pause", "all"), "the queue has heard")
        mine = [durable.submit(n) for n in (1, 2, 3)]
    stack.redis.flushall()
    with stack.probe() as processor:
        until(lambda: stack.redis.get("heddle:partitions"), "Redis is set up again")
        more = [direct.submit(n) for n in (1, 2)]
        for operation in mine:
            show_paused(durable, operation)
        assert direct.stack.client.status(direct.user, more[0])[0] == "paused"
        assert stack.sql("select count(*) from probe.events where phase = 'in'") == [(1,)]
        assert [row["by"] for row in shown(stack)] == ["the application"]
        calls = "cmdstat_fcall"
        before = stack.redis.info("commandstats").get(calls, {"calls": 0})["calls"]
        assert processor.process.poll() is None
        resume(stack, "--all")
        durable.wait_ended(*mine)
        direct.wait_ended(*more)
        assert stack.redis.info("commandstats")[calls]["calls"] > before
    assert durable.order() == [0, 1, 2, 3] and direct.order() == [1, 2]
    assert stack.cli("check").returncode == 0


def test_a_file_stops_at_a_pause_that_refuses_and_goes_on_later(stack, user, tmp_path):
    lines = tmp_path / "lines.ndjson"
    lines.write_text("".join(json.dumps({"user": name, "op": "list_threads"}) + "\n"
                             for name in (f"{user}-other", user, f"{user}-other")))
    with stack.run():
        for mode in ("--direct", "--durable"):
            command = ("submit", mode, "--file", str(lines), "--batch", user + mode, "--wait")
            pause(stack, "--user", user, "--refuse")
            told = stack.cli(*command)
            assert told.returncode == 6 and "paused: the user is paused" in told.stderr, told.stderr
            assert "2 lines submitted" in told.stderr
            resume(stack, "--user", user)
            told = stack.cli(*command, "--output", "json")
            assert told.returncode == 0 and json.loads(told.stdout)["done"] == 3


def test_a_pause_may_refuse_what_is_new(stack, user):
    known = new_id()
    stack.client.submit(user, "probe_record", payload='{"n":1}', id=known)
    for op in ("probe_record", "get_thread"):
        pause(stack, "--op", op, "--refuse")
    with pytest.raises(redis.ResponseError, match="^HEDDLE paused op probe_record is paused$"):
        stack.client.submit(user, "probe_record", payload='{"n":2}')
    assert stack.client.submit(user, "probe_record", payload='{"n":1}', id=known) == (known, "paused")
    for mode in ("--direct", "--durable"):
        told = stack.cli("submit", mode, "--user", user, "--op", "get_thread", "--thread", new_id())
        assert told.returncode == 6 and "op get_thread is paused" in told.stderr, told.stderr
    answers = stack.sql("select refusal from heddle.submit_many(array[%s, %s], array['probe_record', 'probe_flaky'],"
                        " array['{}', '{}'], array[null, null], array[null, null]::uuid[], null)", user, user)
    assert answers == [("HEDDLE paused op probe_record is paused",), (None,)]
    for op in ("probe_record", "get_thread"):
        resume(stack, "--op", op)
    lane = Lane(stack, "durable", user)
    with stack.probe():
        lane.wait_ended(lane.submit(2))
        wait_settled(lane)
    assert sorted(lane.order()) == [0, 1, 2]


def test_what_begun_is_finished_and_the_rest_given_back(stack, user):
    lane = Lane(stack, "direct", user)
    with stack.probe("--workers", "1") as processor:
        running = lane.submit(1, "probe_prepare", gate="shut")
        until(lambda: lane.prepared(running) == 1, "it runs")
        behind = lane.submit(2)
        others = [Lane(stack, "direct", f"{user}-{n}") for n in range(5)]
        waiting = [other.submit(1) for other in others]
        pause(stack, "--all")
        for other, operation in zip(others, waiting, strict=True):
            show_paused(other, operation)
        stack.open_gate("shut", processor)
        lane.wait_ended(running)
        show_paused(lane, behind)
        resume(stack, "--all")
        lane.wait_ended(behind)
        for other, operation in zip(others, waiting, strict=True):
            other.wait_ended(operation)
    assert lane.order() == [1, 2]


@pytest.mark.parametrize("words", [("pause", "--user", "u", "--all"), ("pause", "--refuse"), ("resume",),
                                   ("pause", "--op", "No Op"), ("resume", "--op", "x", "--user", "u")])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli(*words)
    assert told.returncode == 2 and told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
