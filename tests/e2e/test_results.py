"""Results: pushed to whoever waits, known afterwards, refused where they are too large."""
import json
import subprocess

import pytest
from harness import binary, new_id
from servers import until


class Waiting:
    """A command that waits, told apart from one that asks again and again: Redis has it blocked."""

    def __init__(self, stack, *words: str):
        def is_blocked() -> bool:
            return any(client["cmd"] == "blpop" for client in stack.redis.client_list())

        self.process = subprocess.Popen([binary("TESTS_HEDDLE"), *words], env=stack.environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(is_blocked, "it waits in Redis")

    def result(self) -> dict:
        out, trouble = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, trouble
        return json.loads(out)


@pytest.mark.parametrize("way", ["durable", "durable, by its user", "direct", "direct, a foreign id"])
def test_await_is_told_when_it_ends(new_stack, user, way):
    stack, operation = new_stack, new_id()
    if way.startswith("durable"):
        stack.sql("select heddle.submit(%s, 'create_thread', '{}', null, %s)", user, operation)
    elif way == "direct":
        operation, _ = stack.client.submit(user, "create_thread")
    else:
        stack.client.submit(user, "create_thread", id=operation)
    named = ("--user", user) if "by" in way else ()
    waiting = Waiting(stack, "await", operation, "--timeout", "60s", *named)
    with stack.run():
        result = waiting.result()
    assert result["id"] == operation and result["state"] == "done"
    # Nothing is left of the wait.
    assert stack.redis.keys("heddle:*wish*") == [] and stack.redis.keys("heddle:*replies") == []


def test_who_waits_for_what_ends_in_between_is_answered_by_the_ledger(new_stack, user):
    stack = new_stack
    with stack.run():
        first = stack.cli("submit", "--user", user, "--op", "create_thread", "--id", new_id(), "--wait")
        result = json.loads(first.stdout)
    stack.redis.flushall()
    assert stack.cli("migrate").returncode == 0
    # It has ended, Redis does not know, and nobody will ever push it.
    again = stack.cli("submit", "--user", user, "--op", "create_thread", "--id", result["id"], "--wait=60s", timeout=20)
    awaited = stack.cli("await", result["id"], "--timeout", "60s", timeout=20)
    assert json.loads(again.stdout) == json.loads(awaited.stdout) == result
    assert stack.redis.keys("heddle:*wish*") == []


def test_a_result_beyond_result_max_fails_its_operation(new_stack, user):
    stack = new_stack
    with stack.run(HEDDLE_RESULT_MAX="1KiB"):
        refused = stack.client.do(user, "create_thread", payload={"title": "x" * 2000})
        assert (refused["state"], refused["code"], refused["error"]["kind"]) == ("failed", 413, "too_large")
        assert "result_max allows 1024" in refused["error"]["message"]
        assert stack.sql("select count(*) from chat.threads") == [(0,)]
        assert stack.client.do(user, "create_thread", payload={"title": "x"})["state"] == "done"
    assert stack.sql("select state::text, code from heddle.operations order by submitted_at") == [
        ("failed", 413), ("done", 200)]
