"""A bundle whose processor dies, sticks, is cancelled or stopped: only the operation at fault is charged."""
import itertools
import json
import signal

import pytest
from servers import until

ENDS_AT_ONCE = 5
WARM_DEPTH = 20
LIMITS = ("--workers", "1", "--statement", "60000", "--lease", "90000")


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


class Bundle:
    """Operations of several users that go in one set, for they are submitted in one call, to a processor that
    is known to be quick: the one of `user` that does as it is told, and one behind it; two of each
    neighbour."""

    def __init__(self, stack, user: str, op: str, **payload):
        self.stack, self.client, self.user = stack, stack.client, user
        names = (f"{letter}-{user}-{i}" for i in itertools.count() for letter in "az")
        neighbours = (n for n in names if self.client.partition(n) == self.client.partition(user))
        self.lanes = [user, *itertools.islice(neighbours, 2)]
        self.op, self.payload = op, payload

    def is_begun(self) -> None:
        """All of them in one."""
        self.warm_up()
        calls = [(lane, n) for n in (1, 2) for lane in self.lanes]
        words = [word for lane, n in calls
                 for word in (lane, self.op, "", json.dumps(
                     {"n": n, **(self.payload if (lane, n) == (self.user, 1) else {})}), 1, "reply", 1)]
        answers = self.stack.redis.execute_command(
            "FCALL", "heddle_submit_many", 1, "heddle:{%d}" % self.client.partition(self.user), *words)
        ids = {call: answer[0].decode() for call, answer in zip(calls, answers)}
        self.culprit = ids.pop((self.user, 1))
        self.others = [(lane, operation) for (lane, n), operation in ids.items()]
        until(lambda: any(line["phase"] == "set" and line["n"] == 6 for line in self.stack.prepare_log()
                          if line["lane"] in self.lanes), "the set is begun")

    def warm_up(self) -> None:
        """So much is claimed ahead as was done in a moment."""
        ended = [(lane, submit(self.client, lane, "probe_record", n=n))
                 for lane in (f"warm-{self.user}-{i}" for i in range(20)) for n in range(WARM_DEPTH)]
        for lane, operation in ended:
            assert self.client.result(lane, operation, 60)["state"] == "done"

    def assert_others_are_done_and_uncharged(self) -> None:
        for lane, operation in self.others:
            assert self.client.result(lane, operation, 60)["state"] == "done"
            assert self.stack.sql("select attempt from heddle.operations where id = %s", operation) == [(1,)]
            assert self.stack.sql("select from heddle.attempts where id = %s", operation) == []
        for lane in self.lanes:
            if lane != self.user:
                assert self.order_of(lane) == [1, 2]

    def order_of(self, lane: str) -> list[int]:
        return [n for n, in self.stack.sql(
            "select n from probe.events where lane = %s and phase = 'in' order by seq", lane)]


@pytest.mark.parametrize("kind", ["abort", "segv", "overflow"])
def test_a_crash_in_a_set_is_charged_to_the_one_that_crashes_alone(stack, user, kind):
    bundle = Bundle(stack, user, "probe_crash_set", kind=kind)
    with stack.probe("--processes", "1", *LIMITS) as supervisor:
        bundle.is_begun()
        result = stack.client.result(user, bundle.culprit, 60)
        assert result["state"] == "dead" and result["error"]["kind"] == "internal"
        bundle.assert_others_are_done_and_uncharged()
        log = supervisor.log()
    suspected = [line for line in log.splitlines() if " operation_suspected " in line]
    assert len([line for line in suspected if "charged=false" in line]) == 3
    charged = [line for line in suspected if "charged=true" in line]
    assert len(charged) == 3 and all(f"id={bundle.culprit}" in line for line in charged)
    assert bundle.order_of(user) == [2]


def test_a_set_that_sticks_for_good_ends_with_its_process_and_one_is_charged(stack, user):
    bundle = Bundle(stack, user, "probe_stick_set", kind="loop", sticks=1000)
    with stack.probe("--processes", "1", *LIMITS, "--soft", "300", "--hard", "600"):
        bundle.is_begun()
        assert stack.client.result(user, bundle.culprit, 60)["state"] == "dead"
        bundle.assert_others_are_done_and_uncharged()
    assert bundle.order_of(user) == [2]


@pytest.mark.parametrize("kind", ["sleep", "wait_apply"])
def test_past_the_soft_deadline_a_set_is_told_to_end_and_one_comes_again(stack, user, kind):
    bundle = Bundle(stack, user, "probe_stick_set", kind=kind, sticks=1)
    with stack.probe(*LIMITS, "--soft", "400", "--hard", "60000") as processor:
        bundle.is_begun()
        assert stack.client.result(user, bundle.culprit)["state"] == "done"
        bundle.assert_others_are_done_and_uncharged()
        assert processor.process.poll() is None
    assert stack.sql("select attempt from heddle.operations where id = %s", bundle.culprit) == [(2,)]
    assert bundle.order_of(user) == [1, 2]


@pytest.mark.parametrize("kind", ["sleep", "wait_apply"])
def test_an_operation_of_a_set_that_runs_is_cancelled_and_the_others_go_on(stack, user, kind):
    bundle = Bundle(stack, user, "probe_stick_set", kind=kind, sticks=1)
    with stack.probe(*LIMITS):
        bundle.is_begun()
        cancelled = stack.cli("cancel", bundle.culprit)
        assert cancelled.returncode == 0, cancelled.stderr
        assert stack.client.result(user, bundle.culprit)["state"] == "cancelled"
        bundle.assert_others_are_done_and_uncharged()
    assert bundle.order_of(user) == [2]


@pytest.mark.parametrize("kind", ["sleep", "wait_apply"])
def test_quit_during_a_set_charges_nobody(stack, user, kind):
    bundle = Bundle(stack, user, "probe_stick_set", kind=kind, sticks=1)
    with stack.probe(*LIMITS) as processor:
        bundle.is_begun()
        processor.tell(signal.SIGQUIT)
        assert processor.wait_end(20) == ENDS_AT_ONCE
    assert stack.sql("select from probe.events where lane = any(%s)", bundle.lanes) == []
    with stack.probe(*LIMITS, "--soft", "300") as processor:
        bundle.assert_others_are_done_and_uncharged()
        assert stack.client.result(user, bundle.culprit)["state"] == "done"
    assert bundle.order_of(user) == [1, 2]
