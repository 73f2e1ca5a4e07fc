"""Order and mutual exclusion of lanes, under two processes of eight workers each.

Handlers record when they enter and leave. A worker without its lane's lock, or a claim without
order, must show here.
"""
import json
import random

LANES, OPERATIONS, SECONDS = 40, 25, 120


def submit_interleaved(client, op: str, durations_ms: tuple[int, ...]) -> None:
    """OPERATIONS to each lane, numbered from 1, the lanes mixed."""
    mixed = random.Random(1)
    turns = [lane for lane in range(LANES) for _ in range(OPERATIONS)]
    mixed.shuffle(turns)
    numbers = dict.fromkeys(range(LANES), 0)
    pipeline = client.redis.pipeline(transaction=False)
    for lane in turns:
        numbers[lane] += 1
        payload = json.dumps({"n": numbers[lane], "ms": mixed.choice(durations_ms)})
        pipeline.execute_command("FCALL", "heddle_submit", 0, f"{op}-{lane}", op, "", payload,
                                 "reply", 1)
    for lane, (operation, _) in zip(turns, pipeline.execute()):
        client.result(f"{op}-{lane}", operation.decode(), SECONDS)


def assert_each_ran_once_in_order(stack, op: str) -> None:
    """By what the transactions left: the numbers of a lane in the order of its entries."""
    lanes = stack.sql("select array_agg(n order by seq) from probe.events"
                      " where phase = 'in' and lane like %s group by lane", op + "-%")
    assert [numbers for numbers, in lanes] == [list(range(1, OPERATIONS + 1))] * LANES
    counts = stack.sql("select count from probe.counters where lane like %s", op + "-%")
    assert counts == [(OPERATIONS,)] * LANES


def test_transactions_of_a_lane_never_overlap_and_keep_its_order(stack, client):
    with stack.probe("--workers", "8"), stack.probe("--workers", "8"):
        submit_interleaved(client, "probe_record", (0, 0, 1, 3, 10))
    assert_each_ran_once_in_order(stack, "probe_record")
    overlaps = stack.sql("""
        select lane, n from (
            select lane, n, at, phase,
                   lag(phase) over one as before, lag(operation) over one = operation as is_same
            from probe.events where lane like 'probe_record-%'
            window one as (partition by lane order by seq)) entries
        where (phase = 'in' and before = 'in') or (phase = 'out' and (before = 'out' or not is_same))
        """)
    assert overlaps == []
    processes, backends = stack.sql("select count(distinct pid), count(distinct backend)"
                                    " from probe.events where lane like 'probe_record-%'")[0]
    assert processes == 2
    assert backends > 8


def test_outside_calls_of_a_lane_never_overlap_and_keep_its_order(stack, client):
    with stack.probe("--workers", "8"), stack.probe("--workers", "8"):
        submit_interleaved(client, "probe_prepare", (0, 0, 1, 3, 10))
    assert_each_ran_once_in_order(stack, "probe_prepare")
    inside: dict[str, str] = {}
    last: dict[str, int] = {}
    for line in stack.prepare_log():
        lane = line["lane"]
        if line["phase"] == "in":
            assert lane not in inside, f"{line['operation']} entered {lane} beside {inside[lane]}"
            assert line["n"] >= last.get(lane, 1), f"{line['n']} after {last[lane]} in {lane}"
            inside[lane], last[lane] = line["operation"], line["n"]
        else:
            assert inside.pop(lane) == line["operation"]
    assert not inside
    assert len({line["pid"] for line in stack.prepare_log()}) == 2
    assert len({line["tid"] for line in stack.prepare_log()}) > 8
