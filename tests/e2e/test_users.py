"""`heddle users list|show`: whose lane holds what, where it stands, who fails."""
import json

import pytest
from ends import HOUR_MS, Lane
from servers import until


def rows(stack, *flags: str) -> list[dict]:
    told = stack.cli("users", "list", *flags, "--output", "json")
    assert told.returncode == 0, told.stderr
    return [json.loads(line) for line in told.stdout.splitlines()]


def shown(stack, user: str) -> dict:
    told = stack.cli("users", "show", user, "--output", "json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_users_come_by_backlog_by_wait_and_by_failures(new_stack):
    stack = new_stack
    old, long, failing = (Lane(stack, "direct", name) for name in ("old", "lüng", "failing"))
    old.submit(1, "nobody.knows")
    until(lambda: rows(stack)[0]["wait_ms"] > 2, "the other is younger")
    for priority in ("normal", "interactive", "bulk"):
        long.submit(1, "nobody.knows", policy={"priority": priority})
    Lane(stack, "direct", "bulk").submit(1, "nobody.knows", policy={"priority": "bulk"})
    assert sorted((row["user"], row["backlog"], row["state"]) for row in rows(stack)) == [
        ("bulk", 1, "ready"), ("lüng", 3, "ready"), ("old", 1, "ready")]
    assert rows(stack)[0]["user"] == "lüng"
    assert [row["user"] for row in rows(stack, "--by", "wait")][:2] == ["old", "lüng"]
    assert [row["user"] for row in rows(stack, "--by", "wait", "--limit", "1")] == ["old"]
    with stack.probe():
        failing.wait_ended(*[failing.submit(n, "probe_fail", kind="refuse_check") for n in (1, 2)], state="failed")
        done = Lane(stack, "durable", "fine")
        done.wait_ended(done.submit(1))
        until(lambda: {row["state"] for row in rows(stack)} == {"halted"}, "nobody knows the op")
    [row] = rows(stack, "--by", "failures")
    assert (row["user"], row["failed"], row["dead"], row["backlog"], row["state"]) == ("failing", 2, 0, 0, "idle")
    text = stack.cli("users", "list").stdout.splitlines()
    assert text[0].split() == ["BACKLOG", "WAIT_MS", "FAILURES", "STATE", "USER"] and text[1].split()[-1] == "lüng"
    assert rows(stack, "--by", "backlog")[1]["wait_ms"] > 0


def test_a_user_is_shown_with_holder_running_operation_and_the_journal(stack, user):
    lane = Lane(stack, "durable", user)
    with stack.probe() as processor:
        failed = lane.submit(0, "probe_fail", kind="refuse_check")
        lane.wait_ended(failed, state="failed")
        running = lane.submit(1, "probe_prepare", gate="users")
        until(lambda: lane.prepared(running) == 1, "it runs")
        behind = [lane.submit(n) for n in (2, 3)]
        parked = Lane(stack, "durable", user)
        until(lambda: shown(stack, user)["backlog"] == 3, "the relay has pushed them")
        seen = shown(stack, user)
        assert (seen["state"], seen["journal"], seen["failed"], seen["dead"]) == ("claimed", 3, 1, 0)
        assert seen["holder"].split("-")[-2] == str(processor.pid) and seen["lease_left_ms"] > 0
        assert seen["first"]["id"] == running and seen["first"]["op"] == "probe_prepare"
        [run] = seen["running"]
        assert run["ids"] == [running] and run["phase"] == "prepare"
        stack.open_gate("users", processor)
        lane.wait_ended(running, *behind)
        retried = lane.submit(4, "probe_flaky", fails=9, policy={"backoff_ms": HOUR_MS})
        set_aside = parked.submit(5, "probe_flaky", fails=9,
                                  policy={"backoff_ms": HOUR_MS, "on_failure": "park"})
        until(lambda: shown(stack, user)["state"] == "waiting", "it comes again")
        seen = shown(stack, user)
        assert seen["until_ms"] > seen["first"]["submitted_ms"] and seen["first"]["id"] == retried
        assert stack.cli("cancel", retried).returncode == 0
        lane.wait(set_aside, "parked")
        until(lambda: shown(stack, user)["state"] == "idle", "the lane is gone")
        assert (shown(stack, user)["journal"], shown(stack, user)["set_aside"]) == (0, 1)
        assert stack.cli("cancel", set_aside).returncode == 0
        lane.wait_ended(set_aside, state="cancelled")
    assert lane.order() == [1, 2, 3]


def test_names_move_no_cursor(stack):
    name = "\x1b[2Jevil"
    stack.client.submit(name, "nobody.knows")
    for words in (("list",), ("show", name)):
        told = stack.cli("users", *words)
        assert told.returncode == 0 and "[2Jevil" in told.stdout and "\x1b" not in told.stdout


@pytest.mark.parametrize("words", [(), ("lost",), ("show",), ("list", "u"), ("list", "--by", "name"),
                                   ("list", "--limit", "0"), ("show", "u" * 257)])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("users", *words)
    assert told.returncode == 2 and told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
