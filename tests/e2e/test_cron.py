"""Recurring operations: each tick once and in order, whatever number of processors and whatever dies; the command."""
import json

import pytest
from servers import until

MISSED = 600


def rows(stack) -> dict[str, dict]:
    done = stack.cli("cron", "list", "--output", "json")
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


def add(stack, name: str, user: str, schedule: str = "@every 1s", catch_up: str = "all") -> None:
    stack.sql("select heddle.cron_add(%s, %s, %s, 'probe_record', '{\"n\":1}', catch_up => %s)",
              name, schedule, user, catch_up)


def assert_each_tick_once(stack, name: str, user: str) -> int:
    """What was submitted are the ticks, one after the other; each took effect once, in that order."""
    ticks = [tick for tick, in stack.sql(
        "select t.n from generate_series((select extract(epoch from min(submitted_at))::bigint - %s"
        " from heddle.operations where user_id = %s), (select extract(epoch from last_at)::bigint from heddle.cron"
        " where name = %s)) as t (n) join heddle.operations o on o.id = heddle.cron_id(%s, to_timestamp(t.n))"
        " where o.state = 'done' order by o.seq", 2 * MISSED, user, name, name)]
    assert ticks == list(range(ticks[0], ticks[0] + len(ticks)))
    [(count,)] = stack.sql("select count(*) from heddle.operations where user_id = %s", user)
    assert count == len(ticks)
    effects = stack.sql("select o.seq from probe.events e join heddle.operations o on o.id::text = e.operation::text"
                        " where e.lane = %s and e.phase = 'in' order by e.seq", user)
    assert effects == sorted(set(effects)) and len(effects) == count
    return count


def test_each_tick_happens_once_though_the_processor_that_fires_is_killed(new_stack, user):
    stack = new_stack
    with stack.probe(), stack.probe():
        pass  # its schema is there
    add(stack, "tick", user)
    stack.sql("update heddle.cron set next_at = next_at - %s * interval '1 second'", MISSED)
    stack.sql("update heddle.cron set due_at = next_at")
    fired = "select count(*) from heddle.operations where user_id = %s"
    first, second = stack.probe(), stack.probe()
    until(lambda: stack.sql(fired, user)[0][0] > MISSED // 10, "some ticks have come")
    leader = first if "relay_leads" in first.log() else second
    assert "relay_leads" in leader.log()
    leader.kill()
    with second if leader is first else first, stack.probe():
        until(lambda: stack.sql("select next_at > now() from heddle.cron")[0][0], "it has caught up")
        until(lambda: stack.sql(fired, user)[0][0] > MISSED + 1, "and goes on")
        assert stack.cli("cron", "pause", "tick").returncode == 0
        until(lambda: stack.sql(fired + " and finished_at is null", user) == [(0,)], "all are done")
    assert assert_each_tick_once(stack, "tick", user) > MISSED
    assert stack.cli("check").returncode == 0


def test_the_command_adds_shows_pauses_and_removes(stack, user):
    added = stack.cli("cron", "add", "nightly", "--schedule", "30 2 * * mon-fri", "--zone", "Europe/Berlin",
                      "--user", user, "--op", "list_threads", "--payload", '{"limit":5}', "--attempts", "3",
                      "--expires", "1h", "--priority", "bulk", "--by", "ann", "--output", "json")
    assert added.returncode == 0, added.stderr
    next_at = json.loads(added.stdout)["next"]
    row = rows(stack)["nightly"]
    assert (row["schedule"], row["zone"], row["user_id"], row["op"], row["payload"], row["catch_up"], row["set_by"]) == (
        "30 2 * * mon-fri", "Europe/Berlin", user, "list_threads", {"limit": 5}, "once", "ann")
    assert row["options"] == {"attempts": 3, "expires_ms": 3_600_000, "priority": "bulk"}
    assert stack.sql("select to_char(next_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') from heddle.cron") == [(next_at,)]
    assert stack.cli("cron", "pause", "nightly").stdout == "nightly paused\n"
    assert " paused " in stack.cli("cron", "list").stdout and rows(stack)["nightly"]["paused"]
    assert stack.cli("cron", "resume", "nightly").stdout == "nightly resumed\n"
    # As if its tick had come: a running processor submits it, with its options.
    with stack.run():
        stack.sql("update heddle.cron set next_at = now() - interval '1 second', due_at = now()")
        until(lambda: rows(stack)["nightly"]["last_id"], "it has come")
        operation = rows(stack)["nightly"]["last_id"]
        assert stack.cli("await", operation).returncode == 0
    assert stack.sql("select user_id, op, class, state from heddle.operations where id = %s", operation) == [
        (user, "list_threads", 2, "done")]
    assert rows(stack)["nightly"]["next_at"].startswith(next_at[:10])
    assert stack.cli("cron", "remove", "nightly").stdout == "nightly removed\n"
    assert rows(stack) == {}


GOOD = ("add", "bad", "--schedule", "@daily", "--user", "u", "--op", "list_threads")


@pytest.mark.parametrize("words, reason", [
    ((), "allowed are add, list"),
    (("fire", "x"), "allowed are add, list"),
    (("pause",), "cron pause NAME"),
    (("list", "--user", "u"), "--user: not with cron list"),
    (GOOD[:4], "--user is needed"),
    ((*GOOD[:3], "1 2 3 4", *GOOD[4:]), "five fields"),
    ((*GOOD[:3], "61 * * * *", *GOOD[4:]), "61: allowed are 0 to 59"),
    ((*GOOD, "--zone", "Mars"), "zone = Mars"),
    ((*GOOD, "--catch-up", "never"), "skip, once or all"),
    ((*GOOD, "--payload", "[]"), "object"),
    ((*GOOD, "--replace"), "unique_key"),
    ((*GOOD[:-1], "nothing"), "op = nothing"),
    (("add", "a b", *GOOD[2:]), "name"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_what_does_not_fit_is_refused_with_one_line(stack, words, reason):
    done = stack.cli("cron", *words)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and reason in line, line
    assert rows(stack) == {}


def test_what_is_not_there_is_told(stack):
    for verb in ("pause", "resume", "remove"):
        done = stack.cli("cron", verb, "absent")
        assert done.returncode == 1 and "nothing recurs by the name absent" in done.stderr
