"""`heddle rebuild` puts back into Redis what it has lost of the journal, and nothing else."""
import json
import threading
import time

from servers import until

USERS, EACH = 200, 25


def submit_all(stack, users: int, first: int, last: int) -> None:
    """Durable operations of many users, interleaved, without a round trip each."""
    stack.sql("select heddle.submit('lane-' || u, 'probe_record', jsonb_build_object('n', n))"
              " from generate_series(%s, %s) n, generate_series(1, %s) u order by n, u",
              first, last - 1, users)


def rebuild(stack) -> dict:
    done = stack.cli("rebuild", "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def wait_ended(stack, seconds: float = 90) -> None:
    until(lambda: stack.sql("select count(*) from heddle.operations where finished_at is null")[0][0] == 0,
          "every operation has ended", seconds)


def assert_all_once_in_order(stack, users: int, count: int) -> None:
    for user in range(1, users + 1):
        ran = stack.sql("select n from probe.events where lane = %s and phase = 'in' order by seq", f"lane-{user}")
        assert [n for n, in ran] == list(range(count)), user
    assert stack.sql("select count(*), min(count), max(count) from probe.counters") == [(users, count, count)]


def flush(stack) -> None:
    stack.redis.flushall()
    stack.redis.execute_command("FUNCTION", "FLUSH")


def test_all_of_redis_is_lost_while_nothing_runs(new_stack):
    stack, count = new_stack, USERS * EACH
    submit_all(stack, USERS, 0, EACH)
    assert rebuild(stack) == {"set_up": False, "partitions": 16, "lanes": USERS, "operations": count,
                              "put_back": count}
    stack.sql("delete from heddle.outbox")
    flush(stack)
    told = stack.cli("rebuild")
    assert told.returncode == 0, told.stderr
    assert "16 partitions, set up again" in told.stdout
    assert f"{count} unfinished operations in {USERS} lanes; {count} put back" in told.stdout
    assert rebuild(stack)["put_back"] == 0
    assert stack.cli("check").returncode == 0
    with stack.probe(), stack.probe():
        wait_ended(stack)
    assert_all_once_in_order(stack, USERS, EACH)


def test_part_of_a_long_lane_is_lost(new_stack):
    """More than one call puts back, here and there in the lane."""
    stack, count = new_stack, 3000
    submit_all(stack, 1, 0, count)
    rebuild(stack)
    stack.sql("delete from heddle.outbox")
    base = f"heddle:{{{stack.client.partition('lane-1')}}}:"
    ids = [i for i, in stack.sql("select id::text from heddle.operations order by seq")]
    lost = ids[0:3] + ids[100:900] + ids[2500:2501] + ids[-1:]
    for operation in lost:
        stack.redis.lrem(base + "lane:lane-1", 1, operation)
        stack.redis.hdel(base + "ops", operation)
    assert rebuild(stack)["put_back"] == len(lost)
    assert [i.decode() for i in stack.redis.lrange(base + "lane:lane-1", 0, -1)] == ids


def test_direct_operations_keep_their_places(new_stack):
    stack, user = new_stack, "lane-1"
    for n in range(6):
        if n % 2:
            stack.client.submit(user, "probe_record", payload=json.dumps({"n": n}))
        else:
            submit_all(stack, 1, n, n + 1)
            rebuild(stack)
    stack.sql("delete from heddle.outbox")
    base = f"heddle:{{{stack.client.partition(user)}}}:"
    journal = [i.encode() for i, in stack.sql("select id::text from heddle.operations order by seq")]
    before = stack.redis.lrange(base + "lane:" + user, 0, -1)
    for operation in (journal[0], journal[2]):
        stack.redis.lrem(base + "lane:" + user, 1, operation)
        stack.redis.hdel(base + "ops", operation)
    assert rebuild(stack)["put_back"] == 2
    after = stack.redis.lrange(base + "lane:" + user, 0, -1)
    assert [i for i in after if i in journal] == journal
    assert [i for i in after if i not in journal] == [i for i in before if i not in journal]
    with stack.probe():
        wait_ended(stack)
        until(lambda: not stack.redis.exists(base + "lane:" + user), "the lane is empty")
    ran = [n for n, in stack.sql("select n from probe.events where lane = %s and phase = 'in' order by seq", user)]
    assert [n for n in ran if n % 2 == 0] == [0, 2, 4] and [n for n in ran if n % 2] == [1, 3, 5]


def test_beside_running_processors(new_stack):
    stack, users, count = new_stack, 20, 60
    stop, rebuilt = threading.Event(), []

    def disturb() -> None:
        while not stop.wait(0.3):
            flush(stack)
            rebuilt.append(rebuild(stack))

    with stack.probe("--lease", "2000", "--statement", "1000"), \
            stack.probe("--lease", "2000", "--statement", "1000"):
        disturber = threading.Thread(target=disturb)
        disturber.start()
        try:
            for n in range(0, count, 10):
                submit_all(stack, users, n, n + 10)
                time.sleep(0.3)
        finally:
            stop.set()
            disturber.join()
        assert len(rebuilt) >= 2
        wait_ended(stack)
    assert_all_once_in_order(stack, users, count)


def test_a_queue_that_nobody_ever_set_up_says_so(new_stack):
    new_stack.sql("delete from heddle.settings")
    flush(new_stack)
    done = new_stack.cli("rebuild")
    assert done.returncode == 3 and "heddle migrate" in done.stderr
