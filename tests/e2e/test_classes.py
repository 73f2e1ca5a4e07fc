"""Priorities: each class of a user's operations keeps its order, whatever dies, and all run once."""
import json

from servers import until

USERS, EACH = 12, 30
LIMITS = ("--statement", "500", "--lease", "1500")  # ms
PRIORITIES = ("normal", "interactive", "bulk")


def submit_durable(stack) -> None:
    """Of every user in each class EACH, numbered, in one interleaved stream."""
    stack.sql("select heddle.submit('user-' || u, 'probe_record', jsonb_build_object('n', n + (place - 1) * %s), priority => p)"
              " from generate_series(0, %s) n, generate_series(1, %s) u, unnest(%s) with ordinality as p (p, place) order by n, u, p",
              EACH, EACH - 1, USERS, list(PRIORITIES))


def submit_direct(stack) -> None:
    pipeline = stack.redis.pipeline(transaction=False)
    for n in range(EACH):
        for user in range(1, USERS + 1):
            for place, priority in enumerate(PRIORITIES):
                pipeline.execute_command("FCALL", "heddle_submit", 0, f"user-{user}", "probe_record", "",
                                         json.dumps({"n": n + place * EACH}), "priority", priority)
    pipeline.execute()


def ended(stack) -> int:
    return stack.sql("select count(*) from heddle.operations where finished_at is not null")[0][0]


def wait_ended(stack, count: int) -> None:
    until(lambda: ended(stack) == count, "every operation has ended", 60)


def assert_each_once_in_the_order_of_its_class(stack) -> None:
    """By what the transactions left; a number says its class."""
    lanes = stack.sql("select n / %s, array_agg(n %% %s order by seq) from probe.events where phase = 'in'"
                      " group by lane, n / %s", EACH, EACH, EACH)
    assert len(lanes) == USERS * len(PRIORITIES)
    assert all(numbers == list(range(EACH)) for _, numbers in lanes)
    assert stack.sql("select distinct count from probe.counters") == [(EACH * len(PRIORITIES),)]


def flush(stack) -> None:
    stack.redis.flushall()
    stack.redis.execute_command("FUNCTION", "FLUSH")


def test_durable_ones_through_crashes_and_the_loss_of_redis(new_stack):
    stack, count = new_stack, USERS * EACH * len(PRIORITIES)
    stack.probe("--workers", "2").kill()
    submit_durable(stack)
    first = stack.probe("--workers", "2", *LIMITS)
    until(lambda: ended(stack) > count // 6, "some have ended", 30)
    first.kill()
    flush(stack)
    with stack.probe("--workers", "2", *LIMITS):
        until(lambda: ended(stack) > count // 2, "half of them have ended", 30)
        flush(stack)
        wait_ended(stack, count)
        assert_each_once_in_the_order_of_its_class(stack)
        until(lambda: stack.sql("select (select count(*) from heddle.lane_tails),"
                                " (select count(*) from heddle.lane_heads)") == [(0, 0)],
              "idle lanes are forgotten", 20)
    assert stack.cli("check").returncode == 0


def test_direct_ones_through_a_crash(new_stack):
    stack, count = new_stack, USERS * EACH * len(PRIORITIES)
    stack.probe("--workers", "2").kill()
    submit_direct(stack)
    first = stack.probe("--workers", "2", *LIMITS)
    until(lambda: ended(stack) > count // 4, "some have ended", 30)
    first.kill()
    with stack.probe("--workers", "2", *LIMITS):
        wait_ended(stack, count)
    assert_each_once_in_the_order_of_its_class(stack)
    assert stack.cli("check").returncode == 0
