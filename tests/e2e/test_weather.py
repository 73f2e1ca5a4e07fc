"""Servers that are away for a while: nothing is claimed that could not be executed, nobody is charged."""
import json

from servers import until

LANES = 40


def set_postgres(stack, is_there: bool) -> None:
    with stack.postgres.connect("postgres", "postgres").cursor() as cursor:
        cursor.execute(f"alter database {stack.database} with allow_connections {is_there}")
        cursor.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
                       " and application_name like 'heddle%%'", (stack.database,))


def claimed(stack) -> int:
    return sum(stack.redis.fcall("heddle_census", 1, f"heddle:{{{p}}}")[2] for p in range(16))


def arrivals(stack) -> int:
    """How often lanes were made ready: each time moves the virtual time on."""
    return sum(int(stack.redis.hget(f"heddle:{{{p}}}:meta", "vt") or 0) for p in range(16))


def test_without_postgres_lanes_are_left_to_others_and_charged_no_attempt(new_stack):
    stack = new_stack
    with stack.probe("--workers", "2") as processor:
        stack.client.do("first", "probe_record", payload={"n": 1})
        set_postgres(stack, False)
        ids = {lane: stack.client.submit(lane, "probe_record", payload=json.dumps({"n": 1}), reply=1)[0]
               for lane in (f"lane-{i}" for i in range(LANES))}
        # Each worker has found out by what it began, and holds nothing any more.
        until(lambda: processor.log().count(" where=heddle_begin ") >= 2 and claimed(stack) == 0, "all went back")
        before, tried = arrivals(stack), processor.log().count("relay_retry")
        until(lambda: processor.log().count("relay_retry") >= tried + 7, "Postgres is asked for again and again")
        assert arrivals(stack) == before and claimed(stack) == 0
        set_postgres(stack, True)
        for lane, operation in ids.items():
            assert stack.client.result(lane, operation)["state"] == "done"
    assert {attempt for attempt, in stack.sql("select attempt from heddle.operations")} == {1}
