"""`heddle cap`: no more is queued than may be, in the whole fleet; what is accepted keeps its order."""
import json

import psycopg2
import pytest
import redis
from ends import Lane
from harness import new_id
from servers import until


def cap(stack, *words: str) -> str:
    told = stack.cli("cap", *words)
    assert told.returncode == 0, told.stderr
    return told.stdout


def shown(stack) -> list[dict]:
    return [json.loads(line) for line in cap(stack, "list", "--output", "json").splitlines()]


def refused(lane: Lane, n: int, text: str) -> None:
    with pytest.raises((redis.ResponseError, psycopg2.Error)) as told:
        lane.submit(n)
    assert f"HEDDLE full {text}" in str(told.value)


@pytest.mark.parametrize("mode", ["direct", "durable"])
def test_a_user_has_what_it_may_and_goes_on_when_some_has_ended(stack, user, mode):
    lane, other = Lane(stack, mode, user), Lane(stack, mode, user + "-other")
    cap(stack, "set", "--users", "1000", "--by", "ops")
    cap(stack, "set", "--user", user, "3")
    rows = {row["what"]: row for row in shown(stack)}
    assert (rows["each user"]["most"], rows["each user"]["by"], rows["user"]["name"]) == (1000, "ops", user)
    assert f"user {user} most=3 since=" in cap(stack, "list")
    mine = [lane.submit(n) for n in range(3)]
    refused(lane, 9, "the user has 3 of 3 queued")
    told = stack.cli("submit", f"--{mode}", "--user", user, "--op", "get_thread", "--thread", new_id())
    assert told.returncode == 6 and "the user has 3 of 3 queued" in told.stderr, told
    if mode == "durable":
        answers = stack.sql("select refusal from heddle.submit_many(array[%s, %s], array['probe_record', 'probe_record'],"
                            " array['{}', '{\"n\":0}'], array[null, null], array[null, null]::uuid[], null)",
                            user, other.user + "s")
        assert answers == [("HEDDLE full the user has 3 of 3 queued",), (None,)]
    theirs = other.submit(0)
    with stack.probe():
        other.wait_ended(theirs)
        lane.wait_ended(*mine)
        lane.wait_ended(lane.submit(3))
    cap(stack, "remove", "--user", user)
    cap(stack, "remove", "--users")
    assert lane.order() == [0, 1, 2, 3] and other.order() == [0]
    assert stack.cli("cap", "remove", "--users").returncode == 1


def test_an_op_fills_up_in_the_whole_fleet_and_never_beyond(new_stack):
    stack = new_stack
    lanes = [Lane(stack, "direct", f"user-{n}") for n in range(6)]
    durable = Lane(stack, "durable", "durable")
    mine = [(lane, lane.submit(0)) for lane in lanes[:3]]
    cap(stack, "set", "--op", "probe_record", "20")
    with stack.probe():
        for lane, operation in mine:
            lane.wait_ended(operation)
        stack.cli("pause", "--all")
        accepted = {lane: [] for lane in lanes}

        # All of it goes to where it is asked for.
        def is_full() -> bool:
            for lane in lanes:
                try:
                    accepted[lane].append(lane.submit(len(lane_numbers(lane))))
                except redis.ResponseError as error:
                    assert "HEDDLE full op probe_record has " in str(error)
            assert sum(map(len, accepted.values())) <= 20
            return sum(map(len, accepted.values())) == 20

        def lane_numbers(lane: Lane) -> list[int]:
            return [*range(lane in lanes[:3]), *accepted[lane]]

        until(is_full, "it is full")
        until(lambda: shown(stack)[0]["queued"] == 20, "Postgres has heard of it")
        refused(durable, 0, "op probe_record has 20 of 20 queued")
        stack.cli("resume", "--all")
        for lane in lanes:
            lane.wait_ended(*accepted[lane])
        until(lambda: shown(stack)[0]["queued"] == 0, "there is room")
        durable.wait_ended(durable.submit(0))
    for lane in lanes:
        assert lane.order() == list(range(len(lane_numbers(lane))))
    assert durable.order() == [0]
    cap(stack, "remove", "--op", "probe_record")
    assert stack.cli("check").returncode == 0


def test_what_follows_from_an_operation_is_never_refused(stack, user):
    lane = Lane(stack, "durable", user)
    cap(stack, "set", "--user", user, "1")
    cap(stack, "set", "--user", user + "-next", "1")
    with stack.probe():
        stack.cli("pause", "--user", user + "-next")
        for n in range(3):
            lane.wait_ended(lane.submit(n, "probe_follow", to=user + "-next"))
        refused(Lane(stack, "durable", user + "-next"), 9, "the user has 1 of 1 queued")
        stack.cli("resume", "--user", user + "-next")
        until(lambda: Lane(stack, "durable", user + "-next").order() == [0, 1, 2], "they follow")
    for name in (user, user + "-next"):
        cap(stack, "remove", "--user", name)
    assert lane.order() == [0, 1, 2]


@pytest.mark.parametrize("words", [(), ("set", "10"), ("set", "--op", "x"), ("set", "--op", "x", "0"),
                                   ("set", "--all", "--users", "1"), ("set", "--bulk", "101"), ("list", "--bulk"),
                                   ("remove", "--op", "x", "1"), ("set", "--op", "x", "many")])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("cap", *words)
    assert told.returncode == 2, told
    assert told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
