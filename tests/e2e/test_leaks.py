"""A thousand failures of each kind leave nothing behind in a processor or in Postgres."""
import json

import pytest
from harness import sanitized
from servers import until

FAILURES, WARM_UP, LANES = 1000, 1000, 200
GROWTH_KIB_MAX = 768
# kind -> how each operation must end: the state, and the kind of its error.
PROBE_KINDS = {
    "refuse_check": ("failed", "conflict"),
    "refuse_prepare": ("failed", "conflict"),
    "refuse_apply": ("failed", "conflict"),
    "unique": ("failed", "conflict"),
    "cast": ("failed", "invalid"),
    "no_table": ("dead", "internal"),
    "deferred": ("failed", "conflict"),
    "once_serialization": ("done", None),
    "once_deadlock": ("done", None),
    "once_terminated": ("done", None),
    "once_timeout": ("done", None),
    "late_serialization": ("done", None),
}
THREAD = "00000000-0000-4000-8000-000000000000"
THREAD_KINDS = {
    "no JSON": ("list_threads", "", "{", "invalid"),
    "an unknown member": ("list_threads", "", '{"x":1}', "invalid"),
    "a missing thread": ("get_thread", THREAD, "{}", "not_found"),
    "a missing thread to write to": ("send_message", THREAD, '{"role":"user","content":"x"}',
                                     "not_found"),
    "a missing thread to rename": ("auto_rename", THREAD, "{}", "not_found"),
}


@pytest.fixture
def probe(stack):
    with stack.probe("--workers", "8", "--statement", "60") as processor:
        yield processor
    stack.wait_no_sessions()


@pytest.fixture
def threads(stack):
    with stack.run(workers=8) as processor:
        yield processor
    stack.wait_no_sessions()


def submit(client, user: str, count: int, op: str, thread: str, payload: str) -> list[dict]:
    """`count` operations; returns their results."""
    pipeline = client.redis.pipeline(transaction=False)
    users = [f"{user}-{n % LANES}" for n in range(count)]
    for name in users:
        pipeline.execute_command("FCALL", "heddle_submit", 0, name, op, thread, payload, "reply", 1)
    answers = pipeline.execute()
    return [client.result(name, answer[0].decode(), 60) for name, answer in zip(users, answers)]


def assert_nothing_leaks(stack, processor, submit_some) -> None:
    submit_some(WARM_UP)  # as deep: workers keep what their deepest bundle took
    until(lambda: len(processor.pids()) <= 2, "it has settled down to a supervisor and a processor")
    until(lambda: stack.sessions("idle in transaction%") == 0, "no transaction is left open")
    files, sessions, memory = processor.open_files(), stack.sessions(), processor.memory_kib()
    submit_some(FAILURES)
    until(lambda: stack.sessions("idle in transaction%") == 0, "no transaction is left open")
    until(lambda: stack.sessions() <= sessions, "no session more than before")
    until(lambda: processor.open_files() <= files, "no file more than before")
    if not sanitized():
        assert stays_below(processor, memory, submit_some), processor.memory_kib()


def stays_below(processor, before_kib: int, submit_some) -> bool:
    """False where memory grows each time: once, an arena of malloc's may have come to be used."""
    for _ in range(3):
        after_kib = processor.memory_kib()
        if after_kib - before_kib < GROWTH_KIB_MAX:
            return True
        before_kib = after_kib
        submit_some(FAILURES)
    return False


@pytest.mark.parametrize("kind", PROBE_KINDS)
def test_failures_leave_nothing_behind(stack, client, user, probe, kind):
    def submit_some(count: int) -> None:
        for result in submit(client, user, count, "probe_fail", "", json.dumps({"kind": kind})):
            ended = result["state"], result.get("error", {}).get("kind")
            assert ended == PROBE_KINDS[kind], result

    assert_nothing_leaks(stack, probe, submit_some)
    effects = stack.sql("select coalesce(sum(count), 0)::int from probe.counters where lane like %s",
                        user + "-%")[0][0]
    assert effects == (WARM_UP + FAILURES if PROBE_KINDS[kind][0] == "done" else 0)


def test_a_reader_that_writes_leaves_nothing_behind(stack, client, user, probe):
    def submit_some(count: int) -> None:
        for result in submit(client, user, count, "probe_liar", "", "{}"):
            assert (result["state"], result["error"]["kind"]) == ("dead", "internal"), result

    assert_nothing_leaks(stack, probe, submit_some)
    assert stack.sql("select * from probe.counters where lane like %s", user + "-%") == []


@pytest.mark.parametrize("kind", THREAD_KINDS)
def test_refused_thread_operations_leave_nothing_behind(stack, client, user, threads, kind):
    op, thread, payload, error = THREAD_KINDS[kind]

    def submit_some(count: int) -> None:
        for result in submit(client, user, count, op, thread, payload):
            assert (result["state"], result["error"]["kind"]) == ("failed", error), result

    assert_nothing_leaks(stack, threads, submit_some)
