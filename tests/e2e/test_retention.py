"""Retention: what has ended goes when it is old, in small steps beside live load; what somebody needs stays."""
import contextlib
import json
import os
import signal

import psycopg2
import pytest
from servers import until

OLD, LANES, MESSAGES, DAY_MS = 100_000, 5, 40, 86_400_000
FLAGS = ("--batch-retention", "60d", "--retention", "30d", "--dead-retention", "90d")

MANY = """
insert into heddle.operations (id, user_id, op, digest, state, attempt, submitted_at, finished_at, code)
select gen_random_uuid(), 'old-' || n % 1000, 'create_thread', '', 'done', 1, t, t, 200
  from generate_series(1, %s) as n, (select now() - interval '31 days' as t) as x;
insert into heddle.attempts (id, attempt, ended_at, error, processor, claim)
select id, 1, finished_at, '{}', 'p', 1 from heddle.operations where user_id = 'old-7';
"""


def put(stack, days: int, state: str = "done", batch: str | None = None, user: str = "someone") -> str:
    """An operation that ended then."""
    row, = stack.sql(
        "insert into heddle.operations (id, user_id, op, thread, digest, state, attempt, submitted_at, finished_at,"
        " code, batch, result) select gen_random_uuid(), %s, 'create_thread', null,"
        " heddle.digest(%s, 'create_thread', '', '{}'), %s, 1, t, t, 200, %s, '{\"was\": 1}'"
        " from (select now() - %s * interval '1 day' as t) as x returning id::text", user, user, state, batch, days)
    return row[0]


def letter(stack, days: int) -> str:
    operation = put(stack, days, "dead")
    stack.sql("insert into heddle.dead_letters values (%s, now() - %s * interval '1 day')", operation, days)
    return operation


def batch(stack, name: str, days: int, **values) -> str:
    stack.sql("select heddle.batch_close(%s, 'create_thread', 'someone')", name)
    stack.sql("update heddle.batches set completed_at = now() - %s * interval '1 day', is_followed = %s where name = %s",
              days, values.get("is_followed", True), name)
    return name


def arrange(stack) -> tuple[dict, dict]:
    """(what is to be kept, what is to go) by what it is."""
    kept = {"young": put(stack, 29), "letter": letter(stack, 89), "counted": put(stack, 59, batch="unclosed")}
    gone = {"old": put(stack, 31), "old letter": letter(stack, 91), "uncounted": put(stack, 61, batch="unclosed")}
    kept["answers a key"], gone["answered a key"] = put(stack, 31), put(stack, 31)
    stack.sql("insert into heddle.uniques values ('someone', 'x', 'k', %s, now() + interval '1 day', now()),"
              " ('someone', 'x', 'l', %s, now() - interval '1 day', now())", kept["answers a key"], gone["answered a key"])
    kept["of a batch under way"] = put(stack, 99, "failed", "under way")
    stack.sql("select heddle.batch_close('under way')")
    kept["unfinished"] = stack.sql("select heddle.submit('paused', 'create_thread', batch => 'under way')::text")[0][0]
    kept["may yet be completed"] = put(stack, 59, "failed", batch(stack, "not followed", 59, is_followed=False))
    gone["is completed"] = put(stack, 59, batch=batch(stack, "followed", 59))
    gone["long completed"] = put(stack, 61, "failed", batch(stack, "old", 61, is_followed=False))
    kept["waiting"] = stack.sql("select heddle.submit('paused', 'create_thread')::text")[0][0]
    kept["scheduled"] = stack.sql("select heddle.submit('someone', 'create_thread', delay => '9 days')::text")[0][0]
    stack.sql("update heddle.operations set submitted_at = now() - interval '99 days' where finished_at is null")
    return kept, gone


def there(stack, operations: dict) -> set[str]:
    rows = {row[0] for row in stack.sql("select id::text from heddle.operations")}
    return {name for name, operation in operations.items() if operation in rows}


def say(stack, is_direct: bool, user: str, thread: str, text: int) -> None:
    payload = json.dumps({"role": "user", "content": str(text)})
    if is_direct:
        stack.client.submit(user, "send_message", thread, payload)
    else:
        stack.sql("select heddle.submit(%s, 'send_message', %s, %s)", user, payload, thread)


def run(stack) -> tuple:
    return stack.sql("select began_at is not null and ended_at is not null, operations, dead_letters, batches"
                     " from heddle.pruning")[0]


def test_old_operations_go_beside_live_load_and_what_is_needed_stays(new_stack):
    stack, client = new_stack, new_stack.client
    stack.sql("select heddle.pause(user_id => 'paused')")
    stack.sql("select heddle.pause(op => 'other'), heddle.resume(op => 'other')")
    stack.sql("select heddle.pause(op => 'third'), heddle.resume(op => 'third')")
    stack.sql("update heddle.controls set set_at = now() - interval '31 days' where value is null")
    kept, gone = arrange(stack)
    stack.sql(MANY.replace("%s", str(OLD)))
    # Whoever is killed half-way leaves the rest to another.
    first = stack.run(*FLAGS)
    threads = [client.do(f"live-{n}", "create_thread")["data"]["id"] for n in range(LANES)]
    until(lambda: run(stack)[1] > OLD // 20, "some are deleted")
    pids = first.children()
    first.kill()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not run(stack)[0]
    with stack.run(*FLAGS):
        for text in range(MESSAGES):
            for n, thread in enumerate(threads):
                say(stack, n % 2 == 0, f"live-{n}", thread, text)
        until(lambda: run(stack)[0], "the run has ended", 60)
        assert there(stack, kept) == set(kept) and not there(stack, gone)
        assert stack.sql("select count(*) from heddle.attempts") == [(0,)]
        # One that ended within the time is known, whoever asks and however.
        again = client.do("someone", "create_thread", payload={}, id=kept["young"])
        assert again["data"] == {"was": 1}
        assert stack.sql("select heddle.submit('someone', 'create_thread', id => %s)::text", kept["young"]) \
            == [(kept["young"],)]
        with pytest.raises(psycopg2.Error, match="conflict"):
            stack.sql("select heddle.submit('someone', 'create_thread', '{\"title\":\"x\"}', id => %s)", kept["young"])
        assert stack.sql("select count(*) from chat.threads") == [(LANES,)]
        until(lambda: stack.sql("select count(*) from chat.messages") == [(LANES * MESSAGES,)], "all is said")
        for thread in threads:
            assert [int(text) for text, in stack.sql(
                "select content from chat.messages where thread_id = %s order by seq", thread)] == list(range(MESSAGES))
    assert run(stack)[1:] == (OLD + len(gone), 1, 1)
    assert stack.sql("select name from heddle.batches order by 1") == [("followed",), ("not followed",), ("under way",)]
    assert stack.sql("select key from heddle.controls order by 1") == [("op:third",), ("user:paused",)]
    assert stack.sql("select next_at - ended_at between '22 hours' and '26 hours' from heddle.pruning") == [(True,)]
    told = json.loads(stack.cli("check", "--output", "json").stdout)
    text, = [check["text"] for check in told["checks"] if check["name"] == "retention"]
    assert f"{OLD + len(gone)} operations, 1 dead letters, 1 batches, 1 controls deleted" in text


def prune(stack, days: int = 30, batch_days: int | None = None) -> None:
    batch_ms = (days if batch_days is None else batch_days) * DAY_MS
    stack.sql("update heddle.pruning set next_at = now()")
    until(lambda: stack.sql("select heddle.prune(%s, %s, %s)", days * DAY_MS, days * DAY_MS, batch_ms)[0][0] > 0,
          "the run has ended")


def test_it_waits_for_nobody_and_nobody_runs_it_twice(stack):
    held, free = put(stack, 31), put(stack, 31)
    with stack.postgres.connect(stack.database) as other, other.cursor() as cursor:
        other.autocommit = False
        cursor.execute("select from heddle.operations where id = %s for update", (held,))
        prune(stack)
        assert there(stack, {"held": held, "free": free}) == {"held"}
        other.rollback()
        cursor.execute("update heddle.pruning set next_at = now()")
        assert stack.sql("select heddle.prune(1, 1, 1)") == [(1000,)]
        other.rollback()
    prune(stack)
    assert not there(stack, {"held": held})


def test_zero_keeps_everything(stack):
    kept = {"old": put(stack, 9999), "letter": letter(stack, 9999), "batch": put(stack, 9999, batch="zero")}
    batch(stack, "zero", 9999)
    prune(stack, 0)
    assert there(stack, kept) == set(kept)
    assert stack.sql("select count(*) from heddle.batches") == [(1,)]
    assert stack.sql("select count(*) from heddle.dead_letters") == [(1,)]
    prune(stack)
    assert not there(stack, kept)


def test_a_batch_stays_as_long_as_what_it_counts(stack):
    kept = {"counted": put(stack, 40, "failed", batch(stack, "stays", 40))}
    prune(stack, 60, 30)
    assert there(stack, kept) == set(kept)
    assert stack.sql("select state from heddle.batch_status where name = 'stays'") == [("complete",)]


def test_where_postgres_refuses_it_relaying_goes_on(stack, user):
    stack.sql("alter function heddle.prune rename to prune_otherwise")
    try:
        with stack.run() as processor:
            until(lambda: "retention_later" in processor.log(), "it is told")
            for _ in range(3):
                operation, = stack.sql("select heddle.submit(%s, 'create_thread')::text", user)[0]
                until(lambda: stack.sql("select state from heddle.status where id = %s", operation) == [("done",)],
                      "it is done")
            assert "relay_retry" not in processor.log() and processor.log().count("retention_later") == 1
    finally:
        stack.sql("alter function heddle.prune_otherwise rename to prune")


def test_a_time_in_which_something_may_come_late_is_refused(stack):
    refused = stack.cli("config", "--retention", "59m")
    assert refused.returncode == 3 and "at least 1h" in refused.stderr
    assert stack.cli("config", "--retention", "2h", "--hard-deadline", "2h").returncode == 3
