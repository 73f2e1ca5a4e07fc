"""`heddle why`: the reason is the true one, and what it names as release releases it."""
import json
import signal

import pytest
from ends import HOUR_MS, Lane
from harness import new_id
from servers import until


def why(stack, *words: str) -> dict:
    told = stack.cli("why", *words, "--output", "json")
    answer = json.loads(told.stdout)
    assert told.returncode == (1 if answer["reason"] == "unknown" else 0), told.stderr
    assert answer["detail"] and answer["release"]
    return answer


def wait_for(stack, reason: str, *words: str) -> dict:
    return until(lambda: next((a for a in [why(stack, *words)] if a["reason"] == reason), None),
                 f"the reason is {reason}")


@pytest.fixture(params=["direct", "durable"])
def lane(request, stack, user):
    return Lane(stack, request.param, user)


def test_what_runs_what_is_behind_it_and_what_has_ended(lane):
    stack = lane.stack
    with stack.probe("--workers", "1") as processor:
        running = lane.submit(1, "probe_prepare", gate="why")
        until(lambda: lane.prepared(running) == 1, "it runs")
        behind = [lane.submit(n) for n in (2, 3)]
        other = Lane(stack, lane.mode, lane.user + "-other")
        waits = other.submit(1)
        seen = wait_for(stack, "running", running)
        assert (seen["user"], seen["op"], seen["state"], seen["phase"]) == (
            lane.user, "probe_prepare", "running", "prepare")
        assert seen["holder"].split("-")[-2] == str(processor.pid) and 0 < seen["since_ms"]
        last = wait_for(stack, "behind", behind[1])
        assert (last["before"], last["state"], last["first"]["id"], last["first"]["reason"]) == (
            2, "queued", running, "running")
        assert why(stack, "--user", lane.user)["id"] == running
        assert wait_for(stack, "claimed", waits)["holder"] == seen["holder"]
        assert stack.cli("cancel", behind[0]).returncode == 0
        # A direct one has ended by that: its lane only passes over it.
        reason = "ended" if lane.mode == "direct" else "cancelled"
        assert wait_for(stack, reason, behind[0])["state"] == "cancelled"
        text = stack.cli("why", behind[1])
        assert text.returncode == 0 and "reason     behind\n" in text.stdout and running in text.stdout
        stack.open_gate("why", processor)
        lane.wait_ended(running, behind[1])
        other.wait_ended(waits)
        assert wait_for(stack, "ended", running)["state"] == "done"
        lane.wait_ended(behind[0], state="cancelled")
        until(lambda: why(stack, "--user", lane.user)["reason"] == "idle", "nothing is left")
    assert lane.order() == [1, 3]


def test_what_failed_comes_again_is_set_aside_or_halts(lane):
    stack = lane.stack
    policy = {"backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS}
    with stack.probe():
        retried = lane.submit(1, "probe_flaky", fails=9, policy=policy)
        seen = wait_for(stack, "retry", retried)
        assert (seen["state"], seen["attempt"]) == ("retrying", 1) and seen["error"]["message"] in seen["detail"]
        assert seen["until_ms"] > 0 and why(stack, "--user", lane.user)["id"] == retried
        parking = Lane(stack, lane.mode, lane.user + "-parks")
        parked = parking.submit(1, "probe_flaky", fails=9, policy={**policy, "on_failure": "park"})
        assert wait_for(stack, "parked", parked)["until_ms"] > 0
        if lane.mode == "durable":
            assert why(stack, "--user", parking.user)["id"] == parked
        halting = Lane(stack, lane.mode, lane.user + "-halts")
        halted = halting.submit(1, "probe_flaky", fails=9, cure="cured-" + lane.mode,
                                policy={"attempts": 1, "on_failure": "halt"})
        behind = halting.submit(2)
        seen = wait_for(stack, "halted", halted)
        assert seen["state"] == "halted" and seen["error"]["message"] and halted in seen["release"]
        seen = wait_for(stack, "behind", behind)
        assert seen["first"]["reason"] == "halted" and seen["release"] == seen["first"]["release"]
        halting.cure("cured-" + lane.mode)
        assert stack.cli("dead", "retry", halted).returncode == 0
        halting.wait_ended(halted, behind)
        for operation in (retried, parked):
            assert stack.cli("cancel", operation).returncode == 0
            lane.wait_ended(operation, state="cancelled")
        seen = wait_for(stack, "ended", parked)
        assert (seen["state"], seen["error"]["kind"]) == ("cancelled", "cancelled")


def test_what_is_paused_and_by_whom(lane):
    stack = lane.stack
    with stack.probe():
        for target, key in ((("--user", lane.user), f"user:{lane.user}"), (("--op", "probe_record"), "op:probe_record"),
                            (("--all",), "all")):
            assert stack.cli("pause", *target, "--by", "ops", "--reason", "looks odd").returncode == 0
            operation = lane.submit(1)
            seen = wait_for(stack, "paused", operation)
            assert (seen["state"], seen["key"], seen["by"], seen["why"]) == ("paused", key, "ops", "looks odd")
            assert {**seen, "at_ms": 0, "detail": ""} == {**why(stack, "--user", lane.user), "at_ms": 0, "detail": ""}
            assert seen["since_ms"] > 0
            words = seen["release"].strip("`").split(" ")[1:]
            assert stack.cli(*words).returncode == 0, seen["release"]
            lane.wait_ended(operation)


def test_what_is_beyond_a_rate_and_what_has_no_slot(new_stack):
    stack = new_stack
    for words in (("--user", "rated", "1/d"), ("--op", "probe_flaky", "1/d"), ("--op", "probe_prepare", "--concurrency", "1")):
        told = stack.cli("limit", "set", *words, "--by", "ops")
        assert told.returncode == 0, told.stderr
    lanes = {name: Lane(stack, "durable", name) for name in ("rated", "two", "three", "four")}
    with stack.probe() as processor:
        lanes["rated"].wait_ended(lanes["rated"].submit(1))
        seen = wait_for(stack, "rate", lanes["rated"].submit(2))
        assert (seen["key"], seen["limit"], seen["by"], seen["state"]) == ("user:rated", "1/d", "ops", "queued")
        assert seen["until_ms"] > 0
        seen = wait_for(stack, "rate", lanes["two"].submit(1, "probe_flaky", fails=0))
        assert (seen["key"], seen["before"]) == ("op:probe_flaky", 0)
        running = lanes["three"].submit(1, "probe_prepare", gate="slot")
        wait_for(stack, "running", running)
        waits = lanes["four"].submit(1, "probe_prepare")
        seen = wait_for(stack, "busy", waits)
        assert (seen["key"], seen["limit"]) == ("op:probe_prepare", "1")
        stack.open_gate("slot", processor)
        lanes["four"].wait_ended(running, waits)
        for target in (("--user", "rated"), ("--op", "probe_flaky")):
            assert stack.cli("limit", "remove", *target).returncode == 0
        for name in ("rated", "two"):
            until(lambda n=name: why(stack, "--user", n)["reason"] == "idle", "it goes on")


def test_what_no_processor_knows(lane):
    with lane.stack.probe():
        unknown = lane.submit(1, "nobody.knows")
        assert "nobody.knows" in wait_for(lane.stack, "unknown_op", unknown)["detail"]
        assert lane.stack.cli("cancel", unknown).returncode == 0
        lane.wait_ended(unknown, state="cancelled")


def test_nobody_serves_everybody_is_quiet_somebody_is_silent(new_stack):
    stack = new_stack
    direct, durable = Lane(stack, "direct", "one"), Lane(stack, "durable", "two")
    operations = direct.submit(1), durable.submit(1)
    assert why(stack, operations[0])["reason"] == "unserved"
    assert "no processor" in wait_for(stack, "relay", operations[1])["release"]
    assert why(stack, "--user", "two")["id"] == operations[1]
    with stack.probe() as processor:
        direct.wait_ended(operations[0])
        durable.wait_ended(operations[1])
        running = direct.submit(2, "probe_prepare", gate="silent")
        until(lambda: direct.prepared(running) == 1, "it runs")
        processor.pause()
        seen = wait_for(stack, "silent", running)
        assert seen["holder"].split("-")[-2] == str(processor.pid) and seen["until_ms"] > 0
        processor.resume()
        stack.open_gate("silent", processor)
        direct.wait_ended(running)
    with stack.run() as supervisor:
        supervisor.tell(signal.SIGTSTP)
        until(lambda: {p["state"] for p in json.loads(stack.cli("top", "--output", "json").stdout)["processors"]}
              == {"quiet"}, "all are quiet")
        quiet = stack.client.submit("three", "get_thread", new_id())[0]
        assert "quiet" in wait_for(stack, "unserved", quiet)["detail"]
        supervisor.tell(signal.SIGCONT)
        stack.client.wait_ended("three", quiet)


def test_of_several_at_once_each_is_seen_to_run(new_stack):
    stack, lane = new_stack, Lane(new_stack, "direct", "both")
    running = [stack.client.submit(lane.user, "probe_prepare", thread, json.dumps({"n": n, "gate": "both"}))[0]
               for n, thread in enumerate(("a", "b", "c", "d"))]
    with stack.probe("--strands", "8") as processor:
        until(lambda: len(stack.prepare_log()) >= 2, "several run")
        begun = {line["operation"] for line in stack.prepare_log()}
        assert len({wait_for(stack, "running", operation)["worker"] for operation in begun}) == len(begun)
        stack.open_gate("both", processor)
        lane.wait_ended(*running)


def test_a_processor_that_drains_still_answers_and_hears(new_stack):
    stack, lane = new_stack, Lane(new_stack, "direct", "drains")
    with stack.probe() as processor:
        running = lane.submit(1, "probe_prepare", gate="drain")
        patient = Lane(stack, "direct", "patient").submit(1, "probe_stick", kind="wait_prepare", sticks=9)
        until(lambda: len(stack.prepare_log()) == 2, "both run")
        processor.tell_to_stop()
        until(lambda: "draining" in processor.log(), "it drains")
        assert wait_for(stack, "running", running)["phase"] == "prepare"
        assert stack.cli("cancel", patient).returncode == 0
        assert stack.client.wait_ended("patient", patient) == "cancelled"
        stack.open_gate("drain", processor)
        assert processor.wait_end(30) == 0
    assert lane.order() == [1]


def test_a_lane_waits_for_its_turn(new_stack):
    stack = new_stack
    with stack.probe("--workers", "1") as processor:
        running = Lane(stack, "direct", "busy").submit(0, "probe_prepare", gate="turn")
        until(lambda: stack.prepare_log(), "it runs")
        others = [Lane(stack, "direct", f"other-{n}") for n in range(400)]
        waiting = [other.submit(1) for other in others]
        seen = wait_for(stack, "turn", waiting[-1])
        assert (seen["busy"], seen["workers"]) == (1, 1) and seen["before"] >= 0
        stack.open_gate("turn", processor)
        stack.client.wait_ended("busy", running)
        others[-1].wait_ended(waiting[-1])


def test_what_redis_has_lost_and_what_nobody_knows(new_stack):
    stack = new_stack
    lane = Lane(stack, "durable", "lost")
    with stack.probe():
        retried = lane.submit(1, "probe_flaky", fails=1, policy={"backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS})
        wait_for(stack, "retry", retried)
    key = f"heddle:{{{stack.client.partition('lost')}}}:"
    stack.redis.delete(key + "ops", key + "lane:lost", key + "waiting")
    assert why(stack, retried)["reason"] == "missing"
    direct = stack.client.submit("stray", "probe_record")[0]
    stack.redis.delete(f"heddle:{{{stack.client.partition('stray')}}}:ready")
    assert "check --repair" in wait_for(stack, "lost", direct)["release"]
    seen = why(stack, new_id())
    assert seen["state"] == "unknown"
    assert why(stack, "--user", "nobody")["reason"] == "idle"
    assert stack.cli("check", "--repair").returncode == 0
    assert why(stack, direct, "--user", "stray")["reason"] == "unserved"


def test_what_is_for_later_and_what_has_expired(lane):
    stack = lane.stack
    scheduled = lane.submit(1, policy={"delay_ms": HOUR_MS})
    seen = wait_for(stack, "scheduled", scheduled)
    assert seen["state"] == "scheduled" and seen["user"] == lane.user and seen["until_ms"] > 0
    with stack.probe():
        retried = lane.submit(1, "probe_flaky", fails=9, policy={"backoff_ms": HOUR_MS, "backoff_max_ms": HOUR_MS})
        expiring = lane.submit(2, policy={"expires_ms": 1})
        wait_for(stack, "expired", expiring)
        for operation in (retried, scheduled):
            assert stack.cli("cancel", operation).returncode == 0
        lane.wait_ended(retried, expiring, scheduled, state="cancelled")
        assert wait_for(stack, "ended", expiring)["error"]["kind"] == "expired"


def test_a_suspect_waits_for_the_quarantine_and_a_new_redis_for_its_controls(new_stack):
    stack = new_stack
    operation = stack.client.submit("u", "probe_record", payload='{"n": 1}')[0]
    key = f"heddle:{{{stack.client.partition('u')}}}"

    def call(function: str, *arguments) -> None:
        stack.redis.execute_command("FCALL", function, 1, key, *arguments)

    assert stack.cli("pause", "--op", "other").returncode == 0
    stack.redis.hdel(f"{key}:meta", "controls")
    call("heddle_setup", stack.redis.get("heddle:partitions"), 1 << 20, 1)
    assert why(stack, operation)["reason"] == "uncontrolled"
    with stack.probe():
        stack.client.wait_ended("u", operation)
    operation = stack.client.submit("u", "probe_record", payload='{"n": 2}')[0]
    call("heddle_claim", "somebody", 1, 1, 1, 1 << 20, 15000)
    assert why(stack, operation)["reason"] == "silent"
    call("heddle_suspect", "somebody", "u", operation, 0)
    assert why(stack, operation)["reason"] == "suspect"
    with stack.probe("--processes", "1"):
        stack.client.wait_ended("u", operation)


def test_what_could_not_be_tried(stack, user):
    lane = Lane(stack, "durable", user)
    with stack.probe():
        with lane.held_elsewhere():
            operation = lane.submit(1)
            assert wait_for(stack, "outage", operation)["until_ms"] > 0
        lane.wait_ended(operation)


@pytest.mark.parametrize("words", [(), ("no-id",), ("--user", ""), ("--user", "u" * 257)])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("why", *words)
    assert told.returncode == 2 and told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
