"""`heddle check` tells what is broken, `--repair` mends it, and neither touches what is on its way."""
import itertools
import json
import threading
import time

import pytest
from harness import new_id
from servers import until

SUBMIT = "select heddle.submit(%s, 'probe_record', %s::jsonb)"
QUICK = {"HEDDLE_REDIS_TIMEOUT": "200ms"}  # stray wishes are looked at twice, with that between
COUNT = 4


class Lane:
    """A user's lane, as a hand that damages it sees it."""

    def __init__(self, stack, user):
        self.stack, self.user = stack, user
        self.partition = stack.client.partition(user)
        self.ids, self.numbers = [], itertools.count()

    def key(self, name: str) -> str:
        return f"heddle:{{{self.partition}}}:{name}"

    @property
    def entries(self) -> str:
        return self.key(f"lane:{self.user}")

    def submit(self, count: int = COUNT, durable: bool = False) -> None:
        for _ in range(count):
            payload = json.dumps({"n": next(self.numbers)})
            if durable:
                self.ids.append(self.stack.sql("select heddle.submit(%s, 'probe_record', %s::jsonb)::text",
                                               self.user, payload)[0][0])
            else:
                self.ids.append(self.stack.client.submit(self.user, "probe_record", payload=payload)[0])

    def relay(self) -> None:
        """All that the journal has is in Redis, and no relay runs."""
        assert self.stack.cli("rebuild").returncode == 0
        self.stack.sql("delete from heddle.outbox")

    def order(self) -> list[int]:
        return [n for n, in self.stack.sql(
            "select n from probe.events where lane = %s and phase = 'in' order by seq", self.user)]

    def forget(self, index: int) -> None:
        self.stack.redis.lrem(self.entries, 1, self.ids[index])
        self.stack.redis.hdel(self.key("ops"), self.ids[index])


def lose_ready(lane):
    lane.submit()
    lane.stack.redis.zrem(lane.key("ready"), lane.user)


def be_in_two_states(lane):
    lane.submit()
    lane.stack.redis.zadd(lane.key("waiting"), {lane.user: 1})


def be_a_ghost(lane):
    lane.stack.redis.zadd(lane.key("ready"), {lane.user: 1})
    lane.stack.redis.hset(lane.key("halted"), lane.user + "-other", "op what")


def be_claimed_by_nobody(lane):
    lane.submit()
    lane.stack.redis.zrem(lane.key("ready"), lane.user)
    lane.stack.redis.hset(lane.key("held:nobody"), lane.user, "1:0:2")


def beat_for_the_dead(lane):
    be_claimed_by_nobody(lane)
    lane.stack.redis.zadd(lane.key("beats"), {"nobody": 1})


def listen_for_the_dead(lane):
    lane.stack.redis.sadd(lane.key("idle"), "nobody")


def have_an_entry_of_nothing(lane):
    lane.submit()
    lane.stack.redis.lpush(lane.entries, new_id())
    lane.stack.redis.rpush(lane.entries, new_id())


def lose_an_entry(lane):
    lane.submit()
    lane.stack.redis.lrem(lane.entries, 1, lane.ids[1])


def lose_an_entry_of_the_journal(lane):
    lane.submit(durable=True)
    lane.relay()
    lane.stack.redis.lrem(lane.entries, 1, lane.ids[1])


def lose_operations_of_the_journal(lane):
    lane.submit(durable=True)
    lane.relay()
    lane.forget(1)
    lane.forget(3)


def have_a_head_that_is_not_its_own(lane):
    lane.submit(durable=True)
    lane.relay()
    lane.stack.sql("insert into heddle.lane_heads values (%s, 77)", lane.user)


def lose_its_tail(lane):
    lane.submit(durable=True)
    lane.relay()
    lane.stack.sql("delete from heddle.lane_tails where lane = %s", lane.user)


def have_a_gap_in_its_numbers(lane):
    lane.submit(durable=True)
    lane.relay()
    lane.stack.sql("update heddle.operations set prev = 77 where id = %s", lane.ids[0])


def have_a_tail_and_nothing_else(lane):
    lane.stack.sql("insert into heddle.lane_tails values (%s, 76, 77)", lane.user)


def have_a_head_and_nothing_else(lane):
    lane.stack.sql("insert into heddle.lane_heads values (%s, 77)", lane.user)


def be_wanted_for_nothing(lane):
    lane.stack.redis.hset(lane.key("replies"), new_id(), 1)


def keep_a_result_for_ever(lane):
    lane.stack.redis.hset(lane.key(f"results:{new_id()}"), new_id(), "d")


DAMAGES = {
    lose_ready: {"ready_lost"},
    be_in_two_states: {"two_states"},
    be_a_ghost: {"ghost"},
    be_claimed_by_nobody: {"orphan_claim"},
    beat_for_the_dead: {"stale_beat", "orphan_claim"},
    listen_for_the_dead: {"stale_idle"},
    have_an_entry_of_nothing: {"no_record"},
    lose_an_entry: {"record_lost"},
    lose_an_entry_of_the_journal: {"record_lost", "missing"},
    lose_operations_of_the_journal: {"missing"},
    have_a_head_that_is_not_its_own: {"numbers"},
    lose_its_tail: {"numbers"},
    have_a_gap_in_its_numbers: {"numbers"},
    have_a_tail_and_nothing_else: {"numbers"},
    have_a_head_and_nothing_else: {"numbers"},
    be_wanted_for_nothing: {"stray_wish"},
    keep_a_result_for_ever: {"endless_key"},
}


def check(stack, *flags: str) -> tuple[int, dict]:
    done = stack.cli("check", "--output", "json", *flags, **QUICK)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_it_is_found_then_mended_and_the_lane_goes_on_in_order(stack, user, damage):
    lane, kinds = Lane(stack, user), DAMAGES[damage]
    assert check(stack)[0] == 0
    damage(lane)

    code, found = check(stack)
    assert code == 1 and not found["ok"]
    first_kinds = {finding["kind"] for finding in found["findings"]}
    assert first_kinds and first_kinds <= kinds
    assert {finding["partition"] for finding in found["findings"]} == {lane.partition}
    assert not any(finding["mended"] for finding in found["findings"])
    assert len(found["findings"]) == found["found"]

    code, mended = check(stack, "--repair")
    assert code == 0 and mended["ok"], mended
    assert {finding["kind"] for finding in mended["findings"]} == kinds
    assert all(finding["mended"] for finding in mended["findings"])
    assert check(stack) == (0, {**check(stack)[1], "found": 0, "mended": 0, "findings": []})

    count = len(lane.ids)
    with stack.probe():
        stack.client.do(user, "probe_record", payload={"n": next(lane.numbers)})
        lane.submit(1, durable=True)
        wait_ended(stack)
    assert lane.order() == list(range(count + 2))
    assert stack.sql("select count from probe.counters where lane = %s", user) == [(count + 2,)]
    assert check(stack)[0] == 0


def wait_ended(stack, seconds: float = 60) -> None:
    until(lambda: stack.sql("select count(*) from heddle.operations where finished_at is null")[0][0] == 0
          and not any(stack.redis.hlen(f"heddle:{{{p}}}:ops") for p in range(16)), "all has ended", seconds)


def test_people_get_a_line_a_finding(stack, user):
    lane = Lane(stack, user)
    lose_ready(lane)
    found = stack.cli("check")
    line = next(line for line in found.stdout.splitlines() if "ready_lost" in line)
    assert found.returncode == 1
    assert line.startswith("FAIL") and f"partition {lane.partition}, lane {user}" in line
    mended = stack.cli("check", "--repair")
    assert mended.returncode == 0, mended.stdout
    assert any(line.startswith("MENDED ready_lost") for line in mended.stdout.splitlines())
    stack.redis.delete(lane.entries, lane.key("ready"), lane.key("ops"))


def test_a_lane_whose_numbers_are_held_is_told_and_left(stack, user):
    lane = Lane(stack, user)
    have_a_gap_in_its_numbers(lane)
    other = stack.postgres.connect(stack.database)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute(SUBMIT, (user, '{"n":4}'))
        code, told = check(stack, "--repair")
        assert code == 1 and [finding["mended"] for finding in told["findings"]] == [False]
        other.commit()
    other.close()
    assert check(stack, "--repair")[0] == 0
    with stack.probe():
        wait_ended(stack)
    assert lane.order() == list(range(COUNT + 1))


def test_a_reply_that_was_never_sent_arrives(stack, client, user):
    with stack.probe():
        operation = new_id()
        client.submit(user, "probe_record", payload='{"n":1}', id=operation)
        wait_ended(stack)
    stack.redis.hset(f"heddle:{{{client.partition(user)}}}:replies", operation, 1)
    assert check(stack)[0] == 1
    assert check(stack, "--repair")[0] == 0
    assert client.result(user, operation)["state"] == "done"
    assert check(stack)[0] == 0


def test_what_the_relay_has_still_to_push_is_not_missing(stack, user):
    lane = Lane(stack, user)
    lane.submit(durable=True)
    assert check(stack)[0] == 0
    with stack.probe():
        wait_ended(stack)
    assert lane.order() == list(range(COUNT))


def test_beside_live_load_it_mends_nothing_and_breaks_nothing(new_stack):
    """Two processors; users who submit directly, durably, and who wait; checks without a pause."""
    stack, lanes, count = new_stack, 12, 60
    checks, failures = [], []

    def direct() -> None:
        client = stack.redis_server.client()
        for n in range(count):
            for lane in range(lanes):
                client.execute_command("FCALL", "heddle_submit", 0, f"direct-{lane}", "probe_record", "",
                                       json.dumps({"n": n}), "reply", 1)

    def durable() -> None:
        connection = stack.postgres.connect(stack.database)
        with connection.cursor() as cursor:
            for n in range(count):
                for lane in range(lanes):
                    cursor.execute(SUBMIT, (f"durable-{lane}", json.dumps({"n": n})))
        connection.close()

    def odd() -> None:
        """What fails and is set aside, what is cancelled."""
        connection = stack.postgres.connect(stack.database)
        with connection.cursor() as cursor:
            for n in range(count):
                user = f"odd-{n % lanes}"
                cursor.execute("select heddle.submit(%s, 'probe_fail', '{\"kind\":\"late_serialization\"}',"
                               " attempts => 3, backoff => '50ms', on_failure => 'park')", (user,))
                cursor.execute(SUBMIT, (user, json.dumps({"n": n})))
                cursor.execute("select heddle.cancel(heddle.submit(%s, 'probe_record', '{\"n\":-1}'))", (user,))
        connection.close()

    def waiting() -> None:
        for _ in range(3):
            lines = "".join(json.dumps({"user": f"chat-{n % lanes}", "op": "list_threads"}) + "\n"
                            for n in range(count))
            done = stack.cli("submit", "--file", "-", "--wait", input=lines.encode())
            if done.returncode != 0:
                failures.append(done.stderr)

    with stack.probe("--workers", "3"), stack.probe("--workers", "3"), stack.run(workers=2):
        submitters = [threading.Thread(target=body) for body in (direct, durable, odd, waiting)]
        for submitter in submitters:
            submitter.start()
        deadline = time.monotonic() + 90
        while any(submitter.is_alive() for submitter in submitters) or len(checks) < 5:
            checks.append(stack.cli("check", "--repair", "--output", "json"))
            assert time.monotonic() < deadline
        for submitter in submitters:
            submitter.join()
        wait_ended(stack)
    assert failures == []
    for done in checks:
        assert done.returncode == 0 and json.loads(done.stdout)["findings"] == [], done.stdout
    for kind in ("direct", "durable"):
        for lane in range(lanes):
            assert [n for n, in stack.sql("select n from probe.events where lane = %s and phase = 'in'"
                                          " order by seq", f"{kind}-{lane}")] == list(range(count))
    assert {c for c, in stack.sql("select count from probe.counters where lane not like 'odd-%'")} == {count}
    assert stack.sql("select count(*) from probe.events where n < 0") == [(0,)]
