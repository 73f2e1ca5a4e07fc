"""`heddle users weight` and `plan`: who gets how much of the time there is."""
import itertools
import json

from servers import until

HEAVY_MS, LIGHT_MS, WARM_UP, COUNTED, MANY = 25, 2, 16, 16, 400


def told(stack, *words: str, ok: int = 0) -> str:
    done = stack.cli("users", *words)
    assert done.returncode == ok, done.stdout + done.stderr
    return done.stdout if ok == 0 else done.stderr


def weights(stack) -> dict:
    rows = [json.loads(line) for line in told(stack, "weight", "--output", "json").splitlines()]
    return {(row["what"], row["name"]): (row["weight"], row["plan"]) for row in rows}


def weight_of(stack, user: str) -> float:
    return json.loads(told(stack, "show", user, "--output", "json"))["weight"]


def of_one_partition(stack, count: int) -> list[str]:
    names = (f"user-{n}" for n in itertools.count())
    return list(itertools.islice((name for name in names if stack.client.partition(name) == 0), count))


def test_measured_time_is_shared_by_weight_and_order_holds(new_stack):
    stack = new_stack
    heavy, golden, *_ = users = of_one_partition(stack, 8)
    told(stack, "weight", "--plan", "gold", "3")
    told(stack, "plan", golden, "gold")
    pipeline = stack.redis.pipeline(transaction=False)
    slow = (heavy, golden)
    for user in users:
        for n in range(MANY):
            # The slow ones go alone, the others in bundles.
            op, ms = ("probe_prepare", HEAVY_MS) if user in slow else ("probe_record", LIGHT_MS)
            pipeline.execute_command("FCALL", "heddle_submit", 0, user, op, "", json.dumps({"n": n, "ms": ms}))
    pipeline.execute()
    with stack.probe("--workers", "1"):
        # Before anything is known of its pace a processor takes what there is.
        before = wait_ended(stack, heavy, WARM_UP)
        after = wait_ended(stack, heavy, WARM_UP + COUNTED)
    seen = {user: after[user] - before[user] for user in users}
    # Three times as many, and by what an operation takes five times; but a busy machine is slow.
    assert all(1.25 * seen[heavy] <= seen[user] <= 10 * seen[heavy] for user in users if user != heavy), seen
    assert max(after.values()) < MANY, after
    for _, numbers in stack.sql("select lane, array_agg(n order by seq) from probe.events where phase = 'in' group by lane"):
        assert numbers == list(range(len(numbers)))


def wait_ended(stack, user: str, count: int) -> dict:
    """Until so many of the user's have: how many of each."""
    ended: dict = {}

    def have() -> bool:
        ended.update(stack.sql("select user_id, count(*) from heddle.operations where finished_at is not null group by 1"))
        return ended.get(user, 0) >= count

    until(have, f"{count} of {user} have ended", 60)
    return dict(ended)


def test_weights_are_set_taken_back_and_outlive_redis(stack, user):
    assert weights(stack) == {} and weight_of(stack, user) == 1
    told(stack, "weight", user, "2.5", "--by", "ops")
    told(stack, "weight", "--plan", "gold", "10")
    told(stack, "plan", user, "gold")
    assert weights(stack) == {("plan", "gold"): (10, None), ("user", user): (2.5, "gold")}
    assert weight_of(stack, user) == 2.5
    assert "plan gold weight=10 since=" in told(stack, "weight") and " by=ops" not in told(stack, "weight")
    told(stack, "weight", user, "--reset")
    assert weight_of(stack, user) == 10
    key = f"heddle:{{{stack.client.partition(user)}}}:controls."
    assert (stack.redis.hgetall(f"{key}plan"), stack.redis.hgetall(f"{key}weight")) == (
        {f"user:{user}".encode(): b"gold"}, {b"plan:gold": b"10"})
    stack.redis.flushall()
    with stack.probe():
        stack.client.submit(user, "probe_record", payload='{"n": 1}')
        until(lambda: stack.redis.hgetall(f"{key}plan"), "Redis has heard of it again")
    told(stack, "plan", user, "--reset")
    told(stack, "weight", "--plan", "gold", "--reset")
    assert weights(stack) == {} and weight_of(stack, user) == 1
    assert not stack.redis.exists(f"{key}plan", f"{key}weight")


def test_what_makes_no_sense_is_refused(stack, user):
    assert "it has no weight of its own" in told(stack, "weight", user, "--reset", ok=1)
    assert "it is on no plan" in told(stack, "plan", user, "--reset", ok=1)
    for wrong in (["weight", user, "0"], ["weight", user, "1000.1"], ["plan", user, "gold plan"]):
        assert "must be" in told(stack, *wrong, ok=2)
    for wrong in (["weight", user, "much"], ["weight", user], ["weight", user, "1", "--reset"], ["weight", "--reset"],
                  ["weight", user, "1", "--plan", "gold"], ["plan", user], ["plan", "", "gold"]):
        told(stack, *wrong, ok=2)
    stack.sql("select heddle.set_weight(user_id => %s, weight => 2), heddle.set_plan(%s, 'gold')", user, user)
    assert weights(stack) == {("user", user): (2, "gold")}
    assert stack.sql("select heddle.set_weight(user_id => %s), heddle.set_plan(%s, null)", user, user) == [(True, True)]
    assert stack.sql("select heddle.set_weight(plan => 'none'), heddle.set_plan(%s, null)", user) == [(False, False)]


def test_a_user_that_is_deleted_leaves_none(stack, user):
    told(stack, "weight", user, "2")
    told(stack, "plan", user, "gold")
    told(stack, "close", user, "--reason", "deleted")
    assert ("user", user) not in weights(stack)
