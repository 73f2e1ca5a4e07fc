"""Operations that the journal accepted outlive everything that happens to Redis."""
import json
import threading
import time

import pytest
from harness import new_id
from servers import until

SUBMIT = "select heddle.submit(%s, %s, %s::jsonb)"


def unfinished(stack) -> int:
    return stack.sql("select count(*) from heddle.operations where finished_at is null")[0][0]


def wait_all_ended(stack, seconds: float = 60) -> None:
    until(lambda: unfinished(stack) == 0, "every operation has ended", seconds)


def submit(stack, user: str, n: int, op: str = "probe_record") -> str:
    return stack.sql(SUBMIT, user, op, json.dumps({"n": n}))[0][0]


def order_of(stack, user: str) -> list[int]:
    return [n for n, in stack.sql(
        "select n from probe.events where lane = %s and phase = 'in' order by seq", user)]


def test_it_is_accepted_exactly_when_the_callers_transaction_commits(stack, user):
    with stack.probe():
        other = stack.postgres.connect(stack.database)
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute(SUBMIT, (user, "probe_record", '{"n":1}'))
            other.rollback()
            cursor.execute(SUBMIT, (user, "probe_record", '{"n":2}'))
            cursor.execute(SUBMIT, (user, "probe_record", '{"n":3}'))
            other.commit()
        other.close()
        wait_all_ended(stack)
    assert order_of(stack, user) == [2, 3]


def test_an_open_transaction_holds_up_nobody_elses_operations(stack, user):
    with stack.probe():
        other = stack.postgres.connect(stack.database)
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute(SUBMIT, (user, "probe_record", '{"n":1}'))
            submit(stack, user + "-other", 7)
            until(lambda: order_of(stack, user + "-other") == [7], "the other one ran", 10)
            other.commit()
        other.close()
        until(lambda: order_of(stack, user) == [1], "it ran after the commit", 10)


def test_the_same_id_is_the_same_operation_and_other_content_a_conflict(stack, user):
    operation = new_id()
    with stack.probe():
        for _ in range(3):
            stack.sql("select heddle.submit(%s, 'probe_record', '{\"n\":1}', null, %s)", user, operation)
        with pytest.raises(Exception, match="HEDDLE conflict"):
            stack.sql("select heddle.submit(%s, 'probe_record', '{\"n\":2}', null, %s)", user, operation)
        wait_all_ended(stack)
    assert order_of(stack, user) == [1]


@pytest.mark.parametrize("arguments", [
    ("", "probe_record", "{}"), ("u" * 257, "probe_record", "{}"), ("u", "No Op", "{}"),
    ("u", "probe_record", "[]")], ids=["no user", "a long user", "no op", "no object"])
def test_what_is_not_an_operation_is_refused(stack, arguments):
    with pytest.raises(Exception, match="HEDDLE invalid"):
        stack.sql(SUBMIT, *arguments)


def test_all_of_redis_is_lost_and_nothing_else(new_stack):
    stack, lanes, count = new_stack, 20, 40
    with stack.probe("--lease", "2000", "--statement", "1000"):
        stop = threading.Event()

        def flush() -> None:
            while not stop.wait(0.4):
                stack.redis.flushall()

        flusher = threading.Thread(target=flush)
        flusher.start()
        connection = stack.postgres.connect(stack.database)
        try:
            with connection.cursor() as cursor:
                for n in range(count):
                    for lane in range(lanes):
                        cursor.execute(SUBMIT, (f"lane-{lane}", "probe_record", f'{{"n":{n},"ms":1}}'))
        finally:
            stop.set()
            flusher.join()
            connection.close()
        wait_all_ended(stack, 90)
    for lane in range(lanes):
        assert order_of(stack, f"lane-{lane}") == list(range(count)), lane
    assert {c for c, in stack.sql("select count from probe.counters")} == {count}


def test_an_idle_lane_leaves_no_row_and_its_numbers_go_on(stack, user):
    with stack.probe():
        submit(stack, user, 1)
        wait_all_ended(stack)
        until(lambda: stack.sql("select count(*) from heddle.lane_tails where lane = %s", user)[0][0] == 0
              and stack.sql("select count(*) from heddle.lane_heads where lane = %s", user)[0][0] == 0,
              "the lane is forgotten", 20)
        submit(stack, user, 2)
        wait_all_ended(stack)
    numbers = stack.sql("select prev, seq from heddle.operations where user_id = %s order by seq", user)
    assert [prev for prev, _ in numbers] == [0, 0] and numbers[0][1] < numbers[1][1]
    assert order_of(stack, user) == [1, 2]
    assert stack.sql("select count(*) from heddle.outbox")[0][0] == 0


def test_a_later_operation_never_runs_before_an_earlier_one(stack, client, user):
    """Redis is not given the second operation: the third one waits until it is there."""
    ids = [submit(stack, user, n) for n in (1, 2, 3)]
    stack.sql("delete from heddle.outbox where id = %s", ids[1])
    with stack.probe():
        wait_all_ended(stack)
    assert order_of(stack, user) == [1, 2, 3]
    assert [i for i, in stack.sql("select id::text from heddle.operations where user_id = %s"
                                  " order by finished_at", user)] == ids


def test_what_redis_lost_comes_back_without_any_other_traffic(new_stack, user):
    stack = new_stack
    with stack.probe():
        first = str(stack.sql(SUBMIT, user, "probe_record", '{"n":0,"ms":700}')[0][0])
        until(lambda: stack.client.status(user, first)[0] == "running", "it is claimed alone")
        for n in range(1, 5):
            submit(stack, user, n)
        until(lambda: stack.sql("select count(*) from heddle.outbox")[0][0] == 0, "all are relayed")
        stack.redis.flushall()
        wait_all_ended(stack)
    assert order_of(stack, user) == list(range(5))


def test_a_redis_that_lost_everything_takes_direct_operations_again(new_stack, user):
    stack = new_stack
    with stack.probe():
        assert stack.client.do(user, "probe_record", payload={"n": 1})["state"] == "done"
        stack.redis.flushall()
        until(lambda: stack.redis.get("heddle:partitions"), "it is set up again")
        until(lambda: stack.redis.exists("heddle:{15}:meta"), "to the last partition")
        assert stack.client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
    assert order_of(stack, user) == [1, 2]


def test_a_direct_operation_that_was_tried_comes_back_when_redis_has_lost_it(new_stack, user):
    stack = new_stack
    with stack.probe():
        operation, _ = stack.client.submit(user, "probe_fail", payload='{"n":1,"kind":"late_serialization"}',
                                           backoff_ms=3600000)
        until(lambda: stack.sql("select state::text from heddle.operations where id = %s", operation)
              == [("retrying",)], "it is to be tried again")
        stack.redis.flushall()
        wait_all_ended(stack)
    assert stack.sql("select state::text, attempt from heddle.operations where id = %s",
                     operation) == [("done", 2)]
    assert order_of(stack, user) == [1]


def test_a_redis_that_lost_everything_is_set_up_by_the_first_processor_that_starts(new_stack, user):
    stack = new_stack
    submit(stack, user, 1)
    stack.redis.flushall()
    stack.redis.execute_command("FUNCTION", "FLUSH")
    with stack.probe():
        wait_all_ended(stack)
        assert stack.client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
    assert order_of(stack, user) == [1, 2]
    assert stack.cli("check").returncode == 0


def test_an_operation_that_the_journal_does_not_know_never_runs(stack, client, user):
    with stack.probe():
        operation, _ = client.submit(user, "probe_record", payload='{"n":1}', journal=1, reply=1)
        assert client.result(user, operation)["state"] == "dead"
    assert order_of(stack, user) == []


def test_two_processors_share_one_leading_relay_and_the_other_takes_over(stack, user):
    with stack.probe() as first:
        with stack.probe() as second:
            submit(stack, user, 1)
            wait_all_ended(stack)
            leader, follower = (first, second) if "relay_leads" in first.log() else (second, first)
            assert "relay_leads" not in follower.log()
            leader.kill()
            submit(stack, user, 2)
            wait_all_ended(stack)
            if leader is first:
                assert "relay_leads" in second.log()
    assert order_of(stack, user) == [1, 2]


def test_a_sleeping_relay_is_woken_by_each_of_many_submitters(stack, user):
    """Every submission comes after a pause, so that the relay sleeps, or is about to."""
    with stack.probe():
        for n in range(60):
            time.sleep(0.001 * (n % 7))
            submit(stack, user, n)
        wait_all_ended(stack, 20)
    assert order_of(stack, user) == list(range(60))


def test_the_command_submits_durably_by_default_and_waits(stack, user):
    with stack.run():
        done = stack.cli("submit", "--user", user, "--op", "create_thread", "--wait")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["state"] == "done"
        assert stack.sql("select seq is not null from heddle.operations where id = %s",
                         result["id"]) == [(True,)]
        failed = stack.cli("submit", "--user", user, "--op", "send_message", "--thread", new_id(),
                           "--payload", '{"role":"user","content":"x"}', "--wait")
        assert failed.returncode == 1 and json.loads(failed.stdout)["code"] == 404
