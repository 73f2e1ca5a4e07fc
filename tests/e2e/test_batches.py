"""Batches: what is counted together, and what follows once all of it has ended: exactly once."""
import contextlib
import json
import os
import signal
import subprocess

import pytest
from harness import binary, new_id
from servers import until

OPERATIONS, LANES = 40, 4


def submit(stack, mode: str, user: str, n: int, batch: str, op: str = "probe_record", **more) -> str:
    options = {name: more.pop(name) for name in ("attempts",) if name in more}
    payload = json.dumps({"n": n, **more})
    if mode == "direct":
        return stack.client.submit(user, op, payload=payload, batch=batch, **options)[0]
    return stack.sql("select heddle.submit(%s, %s, %s, batch => %s, attempts => %s)::text", user, op, payload,
                     batch, options.get("attempts"))[0][0]


def close(stack, batch: str, user: str, n: int = 99, even_on_failure: bool = False) -> str:
    return stack.sql("select heddle.batch_close(%s, 'probe_record', %s, %s, null, %s)::text", batch, user,
                     json.dumps({"n": n}), even_on_failure)[0][0]


def show(stack, batch: str) -> dict:
    """{} where nobody knows it."""
    told = stack.cli("batch", "show", batch, "--output", "json")
    assert told.returncode == (0 if told.stdout else 1), told.stderr
    return json.loads(told.stdout or "{}")


def counts(view: dict) -> dict:
    return {name: view[name] for name in ("queued", "running", "done", "failed", "dead", "cancelled") if view.get(name)}


def complete(stack, batch: str) -> dict:
    told = stack.cli("batch", "show", batch, "--wait", "--output", "json")
    assert told.returncode in (0, 1), told.stderr
    return json.loads(told.stdout)


def effects(stack, lane: str) -> list[int]:
    return [n for n, in stack.sql("select n from probe.events where lane = %s and phase = 'in' order by seq", lane)]


def assert_nothing_left(stack) -> None:
    assert not [key for key in stack.redis.keys("heddle:{*") if key.endswith(b":batches")]


def test_its_completion_runs_exactly_once_behind_all_of_it_though_processors_are_killed(stack, user):
    batch, lanes = f"{user} ü", [f"{user}-{i}" for i in range(LANES)]
    with stack.probe("--processes", "2", "--workers", "2", "--lease", "90000") as supervisor:
        for n in range(OPERATIONS):
            for lane in lanes:
                submit(stack, "direct" if n % 2 else "durable", lane, n, batch,
                       op="probe_look" if n % 8 == 1 else "probe_record")
        completion = close(stack, batch, user)
        assert close(stack, batch, user) == completion
        for kill in (1, 2):
            until(lambda: sum(show(stack, batch)[name] for name in ("done",)) >= kill * 40, "some are done", 30)
            for pid in supervisor.children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        view = complete(stack, batch)
        until(lambda: effects(stack, user), "its completion has run")
        assert stack.cli("await", completion).returncode == 0
    # Direct ones that only read have their rows, too: what is counted is what has ended.
    assert counts(view) == {"done": OPERATIONS * LANES} and view["is_followed"] and view["state"] == "complete"
    assert stack.sql("select count(*) from heddle.operations where batch = %s", batch) == [(OPERATIONS * LANES,)]
    assert effects(stack, user) == [99]
    for lane in lanes:
        assert sorted(effects(stack, lane)) == [n for n in range(OPERATIONS) if n % 8 != 1]
    assert stack.sql("select count(*) from probe.events where phase = 'in' and seq > (select seq from probe.events"
                     " where lane = %s and phase = 'in') and lane like %s", user, f"{user}-%") == [(0,)]
    assert_nothing_left(stack)


def test_where_some_of_it_failed_its_completion_follows_if_asked_or_once_the_dead_are_retried(stack, user):
    batches = {f"{user}-{mode}-{even}": even for mode in ("direct", "durable") for even in (True, False)}
    unasked = [batch for batch, even in batches.items() if not even]
    with stack.probe():
        for batch, even in batches.items():
            mode = batch.split("-")[2]
            submit(stack, mode, f"{batch}-lane", 1, batch)
            submit(stack, mode, f"{batch}-lane", 2, batch, op="probe_flaky", fails=99, cure=batch, attempts=1)
            close(stack, batch, batch, even_on_failure=even)
        for batch, even in batches.items():
            view = complete(stack, batch)
            assert counts(view) == {"done": 1, "dead": 1} and view["is_followed"] == even
            until(lambda: effects(stack, batch) == [99] * even, "what was asked for has run")
        # The dead ones, cured and retried: now all is done.
        for batch in unasked:
            (stack.directory / batch).touch()
            dead, = stack.sql("select id::text from heddle.dead_letters join heddle.operations using (id)"
                              " where batch = %s", batch)[0]
            assert stack.cli("dead", "retry", dead).returncode == 0
        for batch in unasked:
            until(lambda: effects(stack, batch) == [99], "its completion has run after all")
            assert counts(show(stack, batch)) == {"done": 2}
    assert all(effects(stack, batch) == [99] for batch in batches)
    assert_nothing_left(stack)


@pytest.mark.parametrize("mode", ["direct", "durable"])
def test_what_has_not_begun_is_cancelled_and_the_rest_is_left_alone(stack, user, mode):
    batch, other = f"{user}-batch", f"{user}-other"
    with stack.probe() as processor:
        first = submit(stack, mode, user, 0, batch, op="probe_prepare", gate=user)
        until(lambda: any(row["operation"] == first for row in stack.prepare_log()), "the first has begun")
        for n in range(1, 30):
            submit(stack, mode, user, n, batch)
        mine = submit(stack, mode, user, 50, other)
        assert counts(show(stack, batch))["queued"] + counts(show(stack, batch)).get("running", 0) == 30
        told = stack.cli("batch", "cancel", batch)
        assert told.returncode == 0, told.stderr
        stack.open_gate(user, processor)
        view = complete(stack, batch)
        until(lambda: 50 in effects(stack, user), f"{mine} of another batch is done")
    assert view["cancelled_at"] and view["cancelled"] >= 20 and view["done"] + view["cancelled"] == 30
    taken = effects(stack, user)
    assert taken == sorted(taken) and len(taken) == view["done"] + 1
    assert stack.cli("batch", "cancel", batch).stdout == "0 cancelled\n"
    assert counts(show(stack, other))["done"] == 1
    assert_nothing_left(stack)


def test_two_who_complete_it_do_so_once_and_wait_for_nobody(stack, user):
    stack.sql("select heddle.batch_close(%s, 'probe_record', %s)", user, user)
    with stack.postgres.connect(stack.database) as other, other.cursor() as cursor:
        other.autocommit = False
        # A submitter holds what the completion needs; then another who completes it holds the batch.
        cursor.execute("select heddle.submit(%s, 'probe_record')", (user,))
        assert stack.sql("select heddle.batch_complete(%s)", user) == [("not yet",)]
        other.rollback()
        cursor.execute("select heddle.batch_complete(%s)", (user,))
        assert cursor.fetchone() == ("complete",)
        assert stack.sql("select heddle.batch_complete(%s)", user) == [("not yet",)]
        other.commit()
    assert stack.sql("select heddle.batch_complete(%s)", user) == [("not yet",)]
    assert stack.sql("select state from heddle.status where user_id = %s", user) == [("queued",)]


def lines(user: str, count: int) -> bytes:
    """Wide ones: a pipe is read some hundred KiB at a time."""
    return b"".join(b" " * 400 + json.dumps({"user": f"{user}-{n % 7}", "op": "create_thread", "payload": {"title": str(n)}}).encode()
                    + b"\n" for n in range(count))


@pytest.mark.parametrize("mode", ["direct", "durable"])
def test_a_file_that_was_interrupted_repeats_nothing_and_is_closed_at_its_end(stack, user, mode):
    batch, count = f"{user}-file", 3000
    command = ["submit", "--file", "-", f"--{mode}", "--batch", batch, "--then-op", "create_thread", "--then-user", user,
               "--then-payload", '{"title": "all is there"}']
    rejects = ["--rejects", str(stack.directory / "rejects")]  # so that it does not read all of it first
    with subprocess.Popen([binary("TESTS_HEDDLE"), *command, *rejects], env=stack.environment, stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as interrupted:
        interrupted.stdin.write(lines(user, count)[:len(lines(user, 2100))])
        interrupted.stdin.flush()
        until(lambda: counts(show(stack, batch)).get("queued", 0) >= 1000, "some of it is submitted")
        interrupted.send_signal(signal.SIGKILL)
    assert show(stack, batch)["state"] == "open"
    with stack.run():
        for _ in range(2):
            told = stack.cli(*command, input=lines(user, count))
            assert told.returncode == 0, told.stderr
        view = complete(stack, batch)
        until(lambda: stack.sql("select count(*) from chat.threads where user_id = %s", user) == [(1,)],
              "its completion has run")
    assert counts(view) == {"done": count}
    assert stack.sql("select count(*) from chat.threads where user_id like %s", f"{user}-_") == [(count,)]
    assert stack.sql("select count(*) from chat.threads where user_id = %s", user) == [(1,)]
    listed = [json.loads(line) for line in stack.cli("batch", "list", "--output", "json").stdout.splitlines()]
    assert [row["done"] for row in listed if row["name"] == batch] == [count]
    assert_nothing_left(stack)


def test_what_makes_no_sense_is_refused(stack, user):
    refused = {
        ("batch",): 2, ("batch", "close"): 2, ("batch", "show", "x" * 201): 2, ("batch", "list", "--wait"): 2,
        ("batch", "show", new_id()): 1, ("batch", "close", new_id()): 1, ("batch", "cancel", new_id()): 1,
        ("batch", "list", "--limit", "0"): 2,
        ("submit", "--file", "-", "--then-op", "create_thread", "--then-user", user): 2,
        ("submit", "--user", user, "--op", "create_thread", "--then-op", "create_thread"): 2,
    }
    for command, code in refused.items():
        told = stack.cli(*command, input=b"")
        assert told.returncode == code, (command, told.stderr)
    stack.sql("select heddle.submit(%s, 'create_thread', batch => %s)", user, user)
    for flags in (["--then-op", "create_thread"], ["--then-op", "no_such", "--then-user", user],
                  ["--then-op", "create_thread", "--then-user", user, "--then-payload", "[]"]):
        assert stack.cli("batch", "close", user, *flags).returncode in (2, 6), flags
    assert show(stack, user)["state"] == "open"
    told = stack.cli("batch", "close", user, "--then-op", "create_thread", "--then-user", user)
    assert told.returncode == 0, told.stderr
    other = stack.cli("batch", "close", user, "--then-op", "create_thread", "--then-user", f"{user}-2")
    assert other.returncode != 0 and "another completion" in other.stderr
    again = stack.cli("batch", "close", user)
    assert (again.returncode, again.stdout) == (0, told.stdout)
