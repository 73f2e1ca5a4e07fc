"""user_concurrency: several operations of a user at once, each thread in its order, all once."""
import json
import signal
from collections import Counter, defaultdict

import pytest
from servers import until

USERS, THREADS, EACH = 4, 6, 14
COUNT = USERS * THREADS * EACH
LIMITS = ("--statement", "500", "--lease", "1500")  # ms


def submit_all(stack, direct: int = 2) -> None:
    """Every user's in one interleaved stream, numbered in their threads; some users' are direct."""
    pipeline = stack.redis.pipeline(transaction=False)
    for n in range(EACH):
        for user in range(USERS):
            for thread in range(THREADS):
                payload = json.dumps({"n": thread * EACH + n, "ms": (thread * 7 + n * 5) % 17})
                if user < direct:
                    pipeline.execute_command("FCALL", "heddle_submit", 0, f"user-{user}", "probe_prepare",
                                             f"thread-{thread}", payload)
                else:
                    stack.sql("select heddle.submit(%s, 'probe_prepare', %s, %s)", f"user-{user}", payload,
                              f"thread-{thread}")
    pipeline.execute()


def ended(stack) -> int:
    return stack.sql("select count(*) from heddle.operations where finished_at is not null")[0][0]


def most_at_once(stack) -> int:
    """Of one user, by what was under way in prepare, which a strand has for itself."""
    under_way, most = Counter(), Counter()
    for line in stack.prepare_log():
        under_way[line["lane"]] += 1 if line["phase"] == "in" else -1
        most[line["lane"]] = max(most[line["lane"]], under_way[line["lane"]])
    return max(most.values())


def assert_each_once_in_the_order_of_its_thread(stack) -> None:
    """By what the transactions left, in the order in which they committed; a number says its thread."""
    assert stack.sql("select distinct count from probe.counters") == [(THREADS * EACH,)]
    assert stack.sql("select count(*) from probe.counters") == [(USERS,)]
    threads = stack.sql("select array_agg(n %% %s order by seq) from probe.events where phase = 'in'"
                        " group by lane, n / %s", EACH, EACH)
    assert threads == [(list(range(EACH)),)] * USERS * THREADS


def assert_begun_in_the_order_of_its_thread(stack) -> None:
    begun = defaultdict(list)
    for line in stack.prepare_log():
        if line["phase"] == "in":
            begun[line["lane"], line["n"] // EACH].append(line["n"])
    assert all(numbers == sorted(numbers) for numbers in begun.values())


def assert_nothing_is_left(stack) -> None:
    until(lambda: stack.sql("select (select count(*) from heddle.lane_tails),"
                            " (select count(*) from heddle.lane_heads)") == [(0, 0)],
          "idle lanes are forgotten", 20)


def test_changed_under_load(new_stack):
    """Old and new processors are there at the same time."""
    stack = new_stack
    strands = stack.directory / "strands"
    with stack.probe("--processes", "2", "--workers", "6", "--strands", "1") as supervisor:
        until(lambda: len(supervisor.children()) == 2, "the quarantine has ended")
        submit_all(stack)
        for part, count in enumerate((4, 1, 3), 1):
            until(lambda part=part: ended(stack) >= part * COUNT // 8, "some have ended", 30)
            if count == 4:
                assert most_at_once(stack) == 1
            old = set(supervisor.children())
            strands.write_text(str(count))
            supervisor.tell(signal.SIGHUP)
            until(lambda old=old: len(supervisor.children()) == 2 and not old & set(supervisor.children()),
                  "the old are gone", 30)
        assert ended(stack) < COUNT
        until(lambda: ended(stack) == COUNT, "every operation has ended", 60)
        assert 3 <= most_at_once(stack) <= 4
        assert " operation_waits " not in supervisor.log()
        assert_each_once_in_the_order_of_its_thread(stack)
        assert_begun_in_the_order_of_its_thread(stack)
        assert_nothing_is_left(stack)
    assert stack.cli("check").returncode == 0


@pytest.mark.parametrize("loses_redis", [False, True])
def test_through_a_crash(new_stack, loses_redis):
    stack = new_stack
    stack.probe("--workers", "2").kill()
    submit_all(stack, direct=0 if loses_redis else 2)
    first = stack.probe("--workers", "6", "--strands", "4", *LIMITS)
    until(lambda: ended(stack) > COUNT // 5, "some have ended", 30)
    first.kill()
    if loses_redis:
        stack.redis.flushall()
        stack.redis.execute_command("FUNCTION", "FLUSH")
    with stack.probe("--workers", "6", "--strands", "4", *LIMITS):
        until(lambda: ended(stack) == COUNT, "every operation has ended", 60)
        assert_each_once_in_the_order_of_its_thread(stack)
        assert_nothing_is_left(stack)
    assert stack.cli("check").returncode == 0


def test_one_thread_that_waits_or_crashes_keeps_its_order(new_stack):
    """The lane waits with it, and nothing else of it is charged or repeated."""
    stack = new_stack
    with stack.probe("--processes", "1", "--workers", "4", "--strands", "4") as supervisor:
        until(lambda: len(supervisor.children()) == 1, "the quarantine has ended")
        for n in range(3):
            for thread in "abcd":
                op = {("a", 1): "probe_crash", ("b", 1): "probe_flaky"}.get((thread, n), "probe_record")
                stack.sql("select heddle.submit('ann', %s, %s, %s)", op,
                          json.dumps({"n": n, "kind": "abort", "fails": 2}), thread)
        until(lambda: ended(stack) == 12, "every operation has ended", 60)
    assert stack.sql("select thread, array_agg(state::text order by seq) from heddle.operations"
                     " group by thread order by thread") == [
        ("a", ["done", "dead", "done"]), *((thread, ["done"] * 3) for thread in "bcd")]
    assert stack.sql("select thread, array_agg(n order by e.seq) from probe.events e"
                     " join heddle.operations o on o.id = e.operation where phase = 'in'"
                     " group by thread order by thread") == [
        ("a", [0, 2]), *((thread, [0, 1, 2]) for thread in "bcd")]
    assert stack.sql("select max(attempt) from heddle.operations where op = 'probe_record'") == [(1,)]
    assert stack.cli("check").returncode == 0
