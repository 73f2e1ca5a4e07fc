"""Two versions side by side: what one of them does not know waits for the other, in its place."""
import json

from servers import until

LANES, ROUNDS = 20, 4
OPS = ("probe_record", "probe_prepare", "probe_stick")
NEW = ("--without", "probe_stick")
OLD = ("--without", "probe_prepare")


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


def order_of(stack, user: str) -> list[int]:
    return [n for n, in stack.sql(
        "select n from probe.events where lane = %s and phase = 'in' order by seq", user)]


def halted(stack) -> dict[bytes, bytes]:
    return {lane: reason for key in stack.redis.keys("heddle:*:halted")
            for lane, reason in stack.redis.hgetall(key).items()}


def test_an_unknown_op_halts_its_lane_with_a_reason_until_somebody_knows_it(stack, client, user):
    with stack.probe(*OLD) as old:
        ids = [submit(client, user, op, n=n) for n, op in
               enumerate(("probe_record", "probe_prepare", "probe_record"), 1)]
        until(lambda: client.status(user, ids[1])[0] == "halted", "its lane is halted")
        assert halted(stack) == {user.encode(): b"op probe_prepare"}
        assert "lane_halted" in old.log() and f"id={ids[1]}" in old.log()
        assert client.status(user, ids[2])[0] in ("halted", "queued")
        assert client.do(user + "-b", "probe_record", payload={"n": 1})["state"] == "done"
        assert stack.sql("select state from heddle.status where id = any(%s::uuid[])", ids) == [("done",)]
        with stack.probe(*NEW):
            for operation in ids:
                assert client.result(user, operation)["state"] == "done"
    assert order_of(stack, user) == [1, 2, 3]
    assert stack.sql("select attempt from heddle.operations where id = any(%s::uuid[])", ids) == [(1,)] * 3
    assert halted(stack) == {}


def test_lanes_with_operations_of_both_versions_go_on_in_order(stack, client, user):
    with stack.probe(*OLD) as old, stack.probe(*NEW) as new:
        ids = {}
        for n in range(1, ROUNDS * len(OPS) + 1):
            for lane in (f"{user}-{i}" for i in range(LANES)):
                op = OPS[n % len(OPS)]
                ids.setdefault(lane, []).append((op, submit(client, lane, op, n=n)))
        for lane, submitted in ids.items():
            for _, operation in submitted:
                assert client.result(lane, operation, 60)["state"] == "done"
    for lane, submitted in ids.items():
        assert order_of(stack, lane) == list(range(1, len(submitted) + 1))
    ran = dict(stack.sql("select operation::text, pid from probe.events where phase = 'in'"
                         " and lane like %s", user + "-%"))
    for op, operation in (pair for submitted in ids.values() for pair in submitted):
        assert ran[operation] == {"probe_prepare": new.pid, "probe_stick": old.pid}.get(
            op, ran[operation])
    assert halted(stack) == {}


def test_a_crowd_of_halted_lanes_goes_on_at_once(stack, client, user):
    """More than a processor takes at a time, and than a poll a second would ever get through."""
    lanes = [f"{user}-{i}" for i in range(1000)]
    with stack.probe(*OLD):
        ids = [(lane, submit(client, lane, "probe_prepare", n=1)) for lane in lanes]
        until(lambda: len(halted(stack)) == len(lanes), "all are halted")
    with stack.probe(*NEW):
        for lane, operation in ids:
            assert client.result(lane, operation)["state"] == "done"
