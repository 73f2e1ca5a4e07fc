"""`heddle limit`: rates and concurrency of the whole fleet, over processors that die and a Redis that is lost."""
import json
import time

import pytest
from ends import Lane
from servers import until


def limit(stack, *words: str) -> str:
    told = stack.cli("limit", *words)
    assert told.returncode == 0, told.stderr
    return told.stdout


def shown(stack) -> list[dict]:
    return [json.loads(line) for line in limit(stack, "list", "--output", "json").splitlines()]


def reason(stack, lane: Lane) -> str | None:
    """Why it waits, as Redis has it; also while Redis is not set up."""
    keys = [f"heddle:{{{p}}}:waits" for p in range(16)]
    found = [value for value in (stack.redis.hget(key, lane.user) for key in keys) if value]
    return found[0].decode() if found else None


def most_at_once(log: list[dict], killed: dict[int, int]) -> int:
    """Of the intervals in the log; what a killed process had begun ended when it was killed."""
    edges, running = [], {}
    for line in log:
        key = (line["pid"], line["operation"])
        if line["phase"] == "in":
            running[key] = line["at_us"]
        else:
            edges += [(running.pop(key), 1), (line["at_us"], -1)]
    for (pid, _), begin in running.items():
        edges += [(begin, 1), (killed[pid], -1)]
    most = now = 0
    for _, step in sorted(edges):
        now += step
        most = max(most, now)
    return most


def test_no_more_of_an_op_run_at_once_whoever_dies(new_stack):
    stack = new_stack
    lanes = [Lane(stack, ("direct", "durable")[n % 2], f"user-{n}") for n in range(8)]
    flags = ("--workers", "8", "--lease", "2000", "--statement", "1000")
    with stack.probe(*flags) as lives, stack.probe(*flags) as dies:
        limit(stack, "set", "--op", "probe_prepare", "--concurrency", "3")
        mine = [(lane, n, lane.submit(n, ("probe_prepare", "probe_record")[n % 2], ms=20))
                for n in range(6) for lane in lanes]
        until(lambda: any(line["pid"] == dies.pid for line in stack.prepare_log()), "it runs some")
        dies.kill()
        killed = {dies.pid: time.monotonic_ns() // 1000}
        for lane, _, operation in mine:
            lane.wait_ended(operation)
        log = stack.prepare_log()
        assert lives.process.poll() is None
    assert 2 <= most_at_once(log, killed) <= 3
    for lane in lanes:
        assert lane.order() == list(range(6))
    limit(stack, "remove", "--op", "probe_prepare")
    assert stack.cli("check").returncode == 0


def test_a_rate_of_all_partitions_outlives_the_loss_of_redis(new_stack):
    stack = new_stack
    lanes = [Lane(stack, "durable", f"user-{n}") for n in range(6)]
    ended = "select count(*) from heddle.operations where finished_at is not null"
    with stack.probe():
        limit(stack, "set", "--op", "probe_record", "2/h", "--by", "ops")
        [row] = shown(stack)
        assert (row["what"], row["name"], row["rate"], row["burst"], row["by"]) == (
            "op", "probe_record", "2/h", 2, "ops")
        assert "op probe_record rate=2/h burst=2" in limit(stack, "list")
        # A bucket that is new is empty.
        limit(stack, "set", "--op", "probe_record", "40/s", "--burst", "2")
        mine = [(lane, lane.submit(n)) for n in range(2) for lane in lanes]
        for lane, operation in mine:
            lane.wait_ended(operation)
        limit(stack, "set", "--op", "probe_record", "1/d")
        mine = [(lane, lane.submit(n)) for n in (2, 3) for lane in lanes]
        until(lambda: sum(reason(stack, lane) == "rate op probe_record" for lane in lanes) >= 5, "they wait")
        before = stack.sql(ended)
        assert before[0][0] in (12, 13)
        stack.redis.flushall()
        until(lambda: all(reason(stack, lane) == "rate op probe_record" for lane in lanes), "they wait again")
        assert stack.sql(ended) == before
        limit(stack, "remove", "--op", "probe_record")
        for lane, operation in mine:
            lane.wait_ended(operation)
    for lane in lanes:
        assert lane.order() == [0, 1, 2, 3]
    assert shown(stack) == []
    assert stack.cli("limit", "remove", "--op", "probe_record").returncode == 1


def test_a_user_has_its_own_rate(stack, user):
    slow, fast = Lane(stack, "direct", user), Lane(stack, "direct", user + "-fast")
    with stack.probe():
        limit(stack, "set", "--users", "1/d", "--burst", "2")
        limit(stack, "set", "--user", fast.user, "1000/s")
        held = [slow.submit(n) for n in range(4)]
        for operation in [fast.submit(n) for n in range(20)]:
            fast.wait_ended(operation)
        slow.wait_ended(held[1])
        until(lambda: reason(stack, slow) == "rate user", "it waits")
        assert slow.order() == [0, 1] and slow.stack.client.status(slow.user, held[2])[0] == "queued"
        limit(stack, "remove", "--users")
        slow.wait_ended(*held)
        limit(stack, "remove", "--user", fast.user)
    assert slow.order() == [0, 1, 2, 3] and fast.order() == list(range(20))


@pytest.mark.parametrize("words", [(), ("set", "10/s"), ("set", "--op", "x"), ("set", "--op", "x", "10/y"),
                                   ("set", "--op", "x", "0/s"), ("set", "--users", "--concurrency", "3"),
                                   ("set", "--all", "--users", "1/s"), ("set", "--op", "x", "1/s", "--burst", "0"),
                                   ("set", "--op", "x", "--concurrency", "many"), ("list", "--op", "x"),
                                   ("remove", "--op", "x", "1/s"), ("set", "--op", "x", "--burst", "3")])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("limit", *words)
    assert told.returncode == 2, told
    assert told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
