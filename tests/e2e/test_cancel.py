"""An operation that runs is asked to end early: its handler sees it, its statement is cancelled."""
import json

import pytest
from servers import until


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


def incarnation(stack) -> str:
    """Of the only processor."""
    [name] = {name.decode() for key in stack.redis.keys("heddle:*:beats")
              for name in stack.redis.zrange(key, 0, -1)}
    return name


def cancel(stack, operation: str) -> None:
    assert stack.redis.publish(f"heddle:wake:{incarnation(stack)}", f"cancel {operation}") == 1


def begins(stack, operation: str) -> None:
    until(lambda: any(line["operation"] == operation for line in stack.prepare_log()), "it runs")


@pytest.mark.parametrize("kind", ["wait_prepare", "wait_apply", "sleep"])
def test_an_operation_that_runs_is_told_to_end(stack, client, user, kind):
    with stack.probe("--statement", "60000") as processor:
        neighbour = submit(client, user + "-b", "probe_stick", kind="wait_apply", sticks=1, n=1)
        begins(stack, neighbour)
        operation = submit(client, user, "probe_stick", kind=kind, sticks=1, n=1)
        behind = submit(client, user, "probe_record", n=2)
        begins(stack, operation)
        cancel(stack, operation)
        assert client.result(user, operation)["state"] == "cancelled"
        assert client.result(user, behind)["state"] == "done"
        assert "told" not in [line["phase"] for line in stack.prepare_log()
                              if line["operation"] == neighbour]
        cancel(stack, neighbour)
        assert client.result(user + "-b", neighbour)["state"] == "cancelled"
        assert f"cancel_asked id={operation} found=true" in processor.log()
    # Of what was cancelled nothing has taken effect.
    assert stack.sql("select lane, n from probe.events where phase = 'in' and lane like %s",
                     user + "%") == [(user, 2)]


def test_what_is_not_in_hand_and_what_nobody_understands_is_passed_over(stack, client, user):
    with stack.probe() as processor:
        assert client.do(user, "probe_record", payload={"n": 1})["state"] == "done"
        name = incarnation(stack)
        for message in ("cancel 00000000-0000-4000-8000-000000000000", "cancel", "cancel x", "",
                        "99999", "-1", "please"):
            assert stack.redis.publish(f"heddle:wake:{name}", message) == 1
        until(lambda: "found=false" in processor.log(), "it has looked")
        assert client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
