"""A processor is stopped past its lease, its lane runs elsewhere, and it comes back."""
import json

import pytest
from harness import Processor, new_id
from proxy import Proxy
from servers import until

# A lease of two seconds, as the rules between timeouts allow.
LEASE = ("--lease", "2000", "--statement", "1000", "--workers", "4")


@pytest.fixture
def proxy(stack, user):
    proxy = Proxy(stack.directory / f"proxy-{user}", stack.postgres.directory)
    yield proxy
    proxy.close()


def submit(client, user: str, op: str, **payload) -> str:
    operation, _ = client.submit(user, op, payload=json.dumps(payload), reply=1)
    return operation


def assert_ran_once(stack, user: str, count: int = 1) -> None:
    assert stack.sql("select count from probe.counters where lane = %s", user) == [(count,)]
    entries = stack.sql("select count(*) from probe.events where lane = %s and phase = 'in'", user)
    assert entries == [(count,)]


def behind(stack, proxy: Proxy) -> dict[str, str]:
    return {"HEDDLE_POSTGRES": stack.environment["HEDDLE_POSTGRES"].replace(
        str(stack.postgres.directory), str(proxy.directory))}


def enters(stack, processor: Processor, operation: str) -> None:
    until(lambda: any(line["pid"] == processor.pid and line["operation"] == operation
                      for line in stack.prepare_log()), f"{processor.pid} enters {operation}")


@pytest.mark.parametrize("from_the_first_byte", [True, False],
                         ids=["of which Postgres read nothing", "of which Postgres read the begin"])
def test_a_pipeline_that_arrives_after_its_lane_moved_on_has_no_effect(stack, client, user, proxy,
                                                                       from_the_first_byte):
    operation = new_id()
    with stack.probe(*LEASE, **behind(stack, proxy)) as zombie:
        assert client.do(user + "-warm", "probe_record", payload={"n": 1})["state"] == "done"
        proxy.hold(b"" if from_the_first_byte else operation.encode())
        client.submit(user, "probe_record", payload='{"n":1}', id=operation, reply=1)
        proxy.wait_held()
        zombie.pause()
        with stack.probe(*LEASE):
            assert client.result(user, operation)["state"] == "done"
            proxy.release()
            zombie.resume()
        # Alone now: the zombie must have come to terms with it.
        assert client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
    assert_ran_once(stack, user, 2)


def test_an_outside_call_that_returns_after_its_lane_moved_on_has_no_effect(stack, client, user):
    with stack.probe(*LEASE) as zombie:
        operation = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, zombie, operation)
        zombie.pause()
        with stack.probe(*LEASE) as other:
            enters(stack, other, operation)
            stack.open_gate(user, other)
            assert client.result(user, operation)["state"] == "done"
            zombie.resume()
            stack.open_gate(user, zombie)
        assert client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
    assert_ran_once(stack, user, 2)


def test_a_process_that_lost_a_lane_does_not_enter_it_twice(stack, client, user):
    with stack.probe(*LEASE) as zombie:
        first = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, zombie, first)
        zombie.pause()
        with stack.probe(*LEASE) as other:
            enters(stack, other, first)
            stack.open_gate(user, other)
            assert client.result(user, first)["state"] == "done"
        zombie.resume()
        # The lane is free for the zombie's claim, while a worker of its own still is in there.
        second = submit(client, user, "probe_prepare", n=2)
        for lane in range(20):
            assert client.do(f"{user}-{lane}", "probe_prepare", payload={"n": 1})["state"] == "done"
        stack.open_gate(user, zombie)
        assert client.result(user, second)["state"] == "done"
    own = [line for line in stack.prepare_log() if (line["pid"], line["lane"]) == (zombie.pid, user)]
    assert [(line["phase"], line["n"]) for line in own] == [("in", 1), ("out", 1), ("in", 2), ("out", 2)]
    assert_ran_once(stack, user, 2)


def test_a_zombie_does_not_settle_what_it_has_lost(stack, client, user):
    with stack.probe(*LEASE) as zombie:
        first = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, zombie, first)
        zombie.pause()
        with stack.probe(*LEASE) as other:
            stack.open_gate(user, other)
            assert client.result(user, first)["state"] == "done"
            second = submit(client, user, "probe_prepare", n=2, gate=user + "-2")
            enters(stack, other, second)
            zombie.resume()
            stack.open_gate(user, zombie)
            until(lambda: any(line["pid"] == zombie.pid and line["phase"] == "out"
                              for line in stack.prepare_log() if line["operation"] == first),
                  "the zombie has left prepare")
            assert client.do(user + "-b", "probe_record", payload={"n": 1})["state"] == "done"
            assert client.status(user, second)[0] == "running"
            for processor in (zombie, other):
                stack.open_gate(user + "-2", processor)
            assert client.result(user, second)["state"] == "done"
    assert_ran_once(stack, user, 2)
