"""`heddle users close`: what is there of a user goes as asked, step by step; and users who are idle."""
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ends import HOUR_MS, Lane
from servers import until

SOURCE = Path(__file__).parents[2]
PURGED = ("select count(*) from heddle.operations where user_id = %s and (payload is not null or result is not null"
          " or error ->> 'message' <> 'removed')")

# Two in a row: whatever the first one says, the second one is told.
PLUGIN = """
#include <heddle/log.h>
#include <heddle/plugin.h>
#include <stdlib.h>
#include <string.h>
static heddle_status closed(void *context, struct heddle_text user, enum heddle_closing reason, struct heddle_error *err)
{
    heddle_log(HEDDLE_LOG_INFO, "NAME_closed", "user=%.*s reason=%d", (int)user.size, user.data, (int)reason);
    (void)context;
    if (strncmp(user.data, "NAME", 4) == 0) return heddle_fail(err, HEDDLE_PERMANENT, "NAME", "vault is shut");
    return HEDDLE_OK;
}
static const struct heddle_hooks hooks = {.user_closed = closed};
const struct heddle_plugin heddle_plugin = {HEDDLE_PLUGIN_HEAD, .name = "NAME", .hooks = &hooks};
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("closed")
    for name in ("ones", "twos"):
        (folder / f"{name}.c").write_text(PLUGIN.replace("NAME", name))
        subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{SOURCE / 'include'}", "-o",
                        folder / f"{name}.so", folder / f"{name}.c"], check=True, timeout=60)
    return ",".join(str(folder / f"{name}.so") for name in ("ones", "twos"))


def close(stack, user: str, *flags: str, code: int = 0) -> dict[str, dict]:
    """The steps that were taken, by name."""
    done = stack.cli("users", "close", user, *flags, "--output", "json")
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["done"] == (code == 0)
    return {step["step"]: step for step in told["steps"]}


def counts(steps: dict[str, dict]) -> dict[str, int]:
    return {name: step["count"] for name, step in steps.items()}


def redis_words(stack) -> bytes:
    """All that Redis has of the partitions, as one text."""
    found = b""
    for key in stack.redis.scan_iter("heddle:{*"):
        kind = stack.redis.type(key)
        value = {b"hash": stack.redis.hgetall, b"list": lambda k: stack.redis.lrange(k, 0, -1),
                 b"string": stack.redis.get}.get(kind if isinstance(kind, bytes) else kind.encode(), lambda k: b"")(key)
        found += repr((key, value)).encode()
    return found


@pytest.mark.parametrize("mode", ["direct", "durable"])
def test_a_deleted_users_pending_work_is_cancelled_and_what_runs_ends(stack, user, mode):
    lane, other = Lane(stack, mode, user), Lane(stack, mode, f"{user}-other")
    with stack.probe() as processor:
        first = lane.submit(0)
        lane.wait_ended(first)
        running = lane.submit(1, "probe_prepare", gate="close")
        until(lambda: lane.prepared(running) == 1, "it runs")
        behind = [lane.submit(n) for n in (2, 3)] + [lane.submit(4, policy={"priority": "bulk"})]
        later = Lane(stack, "direct", user).submit(5, policy={"delay_ms": HOUR_MS})
        parked = stack.sql("select heddle.submit(%s, 'probe_record', '{\"n\":6}', delay => '1 hour')::text", user)[0][0]
        others = [other.submit(n) for n in range(3)]
        if mode == "durable":
            until(lambda: stack.sql("select count(*) from heddle.outbox") == [(0,)], "the relay has pushed them")
        for name, whose in (("theirs", user), ("others", f"{user}-other")):
            stack.sql("select heddle.cron_add(%s, '@yearly', %s, 'probe_record')", f"{name}-{user}", whose)
        assert set(close(stack, user, "--reason", "logout")) == {"event"}
        steps = close(stack, user, "--reason", "deleted")
        assert steps["recurring"]["count"] == 1
        assert stack.sql("select name from heddle.cron where name like %s", f"%-{user}") == [(f"others-{user}",)]
        assert steps["journal"]["count"] + steps["queue"]["count"] == 5
        assert lane.state(running) in (None, "queued")
        assert counts(close(stack, user, "--reason", "deleted")) == dict.fromkeys(steps, 0)
        stack.open_gate("close", processor)
        lane.wait_ended(running)
        lane.wait_ended(*behind, later, parked, state="cancelled")
        other.wait_ended(*others)
        again = lane.submit(7)
        lane.wait_ended(again)
    assert lane.order() == [0, 1, 7] and other.order() == [0, 1, 2]


def test_all_that_runs_of_a_user_ends(stack, user):
    """Where several run at once: none of them is cancelled under its worker's hands."""
    lane = Lane(stack, "direct", user)
    ids = [stack.client.submit(user, "probe_prepare", f"thread-{n}", json.dumps({"n": n, "gate": "strands"}))[0]
           for n in range(4)]
    with stack.probe("--strands", "2") as processor:
        until(lambda: sum(map(lane.prepared, ids)) == 2, "two run")
        running = [operation for operation in ids if lane.prepared(operation)]
        assert close(stack, user, "--reason", "deleted")["queue"]["count"] == 2
        stack.open_gate("strands", processor)
        lane.wait_ended(*running)
        lane.wait_ended(*(set(ids) - set(running)), state="cancelled")
    assert sorted(lane.order()) == [ids.index(operation) for operation in running]


def test_who_logs_out_keeps_what_is_theirs(stack, user):
    lane = Lane(stack, "durable", user)
    kept = [lane.submit(n) for n in range(3)]
    assert stack.cli("pause", "--user", user).returncode == 0
    assert set(close(stack, user, "--reason", "logout")) == {"event"}
    assert stack.sql("select user_id, reason from heddle.closings where user_id = %s", user) == [(user, "logout")]
    with stack.probe():
        assert stack.cli("resume", "--user", user).returncode == 0
        lane.wait_ended(*kept)
        assert set(close(stack, user, "--reason", "password_change", "--pending", "cancel")) == {
            "journal", "queue", "event"}
    assert lane.order() == [0, 1, 2]


def test_purging_takes_content_out_and_leaves_receipts_and_the_chat(stack, user):
    lane, direct = Lane(stack, "durable", user), Lane(stack, "direct", user)
    word = f"swordfish-{user}"
    with stack.run():
        done = stack.client.do(user, "create_thread", payload={"title": word})["id"]
    with stack.probe() as processor:
        failed = direct.submit(1, "probe_fail", kind="refuse_check", reply=True, note=word)
        lane.wait_ended(failed, state="failed")
        running = lane.submit(3, "probe_prepare", gate="purge", note=word)
        until(lambda: lane.prepared(running) == 1, "it runs")
        waiting = lane.submit(4, note=word)
        stack.client.submit(user, "probe_record", payload=json.dumps({"n": 5, "note": word}), unique_key=word,
                            unique_ms=HOUR_MS, delay_ms=HOUR_MS)
        chat = stack.sql("select t.*::text from chat.threads t where user_id = %s", user)
        assert word.encode() in redis_words(stack) and stack.client.status(user, failed)[0] == "failed"
        steps = close(stack, user, "--reason", "deleted", "--purge", code=1)
        assert [name for name, step in steps.items() if not step["done"]] == ["content"]
        assert "not ended yet" in steps["content"]["error"]
        stack.open_gate("purge", processor)
        lane.wait_ended(running)
        lane.wait_ended(waiting, state="cancelled")
        close(stack, user, "--reason", "deleted", "--purge")
    assert stack.sql(PURGED, user) == [(0,)]
    assert word.encode() not in redis_words(stack) and stack.client.status(user, failed)[0] == "unknown"
    assert [lane.state(each) for each in (done, failed, running, waiting)] == ["done", "failed", "done", "cancelled"]
    assert stack.cli("await", failed).returncode == 1
    assert stack.sql("select t.*::text from chat.threads t where user_id = %s", user) == chat and word in str(chat)
    assert counts(close(stack, user, "--reason", "deleted", "--purge"))["content"] == 0


def test_a_step_that_fails_is_named_and_the_others_are_taken(stack, user, plugins):
    lane = Lane(stack, "durable", user)
    with stack.probe():
        dead = lane.submit(0, "probe_fail", kind="no_table", policy={"attempts": 1})
        until(lambda: lane.state(dead) in ("dead", "failed"), "it has ended")
    Lane(stack, "durable", user).submit(1, policy={"unique_key": "k"})
    assert stack.cli("pause", "--user", user).returncode == 0
    stack.sql("alter table heddle.uniques rename to uniques_away")
    try:
        done = stack.cli("users", "close", user, "--reason", "deleted", "--handlers", plugins)
        assert done.returncode == 1 and "not done: keys;" in done.stderr and "step=keys" in done.stderr
        assert f"ones_closed user={user}" in done.stderr and f"twos_closed user={user}" in done.stderr
    finally:
        stack.sql("alter table heddle.uniques_away rename to uniques")
    assert stack.sql("select count(*) from heddle.uniques where user_id = %s", user) == [(1,)]
    assert stack.sql("select count(*) from heddle.paused where name = %s", user) == [(0,)]
    assert stack.sql("select count(*) from heddle.dead where user_id = %s", user) == [(0,)]
    assert stack.sql("select count(*) from heddle.operations where user_id = %s and cancelled_at is not null", user) == [(1,)]
    assert close(stack, user, "--reason", "deleted")["keys"]["count"] == 1
    assert stack.sql("select count(*) from heddle.uniques where user_id = %s", user) == [(0,)]


def test_plugins_of_every_processor_are_told_each_for_itself(stack, plugins):
    flags = ("--handlers", plugins)
    with stack.run(*flags) as first, stack.run(*flags) as second:
        for name in ("ones", "twos", "plain"):
            code = 0 if name == "plain" else 1
            steps = close(stack, name, "--reason", "logout", *flags, code=code)
            assert steps["plugins"]["done"] == (code == 0) and steps["event"]["done"]
        for processor in (first, second):
            for name in ("ones", "twos", "plain"):
                until(lambda p=processor, n=name: all(
                    f"{plugin}_closed user={n} reason=0" in p.log() for plugin in ("ones", "twos")), "both are told")
            assert processor.log().count("user_closed_failed") == 2


def test_idle_users_are_told_of_once_and_who_is_back_is_not(new_stack, plugins):
    """Each of a set of users submits all the time while the others are idle."""
    stack = new_stack
    with stack.run("--handlers", plugins, "--user-idle", "2s") as processor:
        until(lambda: all(stack.redis.hget(f"heddle:{{{p}}}:meta", "seen") for p in range(int(stack.redis.get("heddle:partitions")))),
              "somebody looks")
        for name in ("idle", "busy"):
            stack.client.do(name, "list_threads")
        stack.client.do("parked", "create_thread", payload={"title": "t"})
        stack.sql("select heddle.submit('parked', 'list_threads', delay => '1 hour')")

        def told() -> bool:
            stack.client.do("busy", "list_threads")
            return "ones_closed user=idle reason=3" in processor.log()
        until(told, "the idle one is told of")
        assert "twos_closed user=idle reason=3" in processor.log()
        assert "user=busy" not in processor.log() and "user=parked" not in processor.log()
        assert stack.sql("select user_id, count(*) from heddle.closings group by 1") == [("idle", 1)]
        stack.client.do("idle", "list_threads")
    with stack.run():
        until(lambda: not any(stack.redis.hget(f"heddle:{{{p}}}:meta", "seen") or
                              stack.redis.exists(f"heddle:{{{p}}}:seen") for p in range(int(stack.redis.get("heddle:partitions")))),
              "nobody looks any more")


def test_a_sweep_lets_go_of_nobody_who_comes_back_meanwhile(new_stack):
    """What the sweep does, step by step: it finds the user; they submit; then it acts."""
    stack, name = new_stack, "back"
    key = f"heddle:{{{stack.client.partition(name)}}}"

    def seen() -> float | None:
        return stack.redis.zscore(f"{key}:seen", name)

    def idle() -> list[bytes]:
        return stack.redis.execute_command("FCALL", "heddle_idle_users", 1, key, int(time.time() * 1000) + 1000, 20)

    def leave(at: bytes) -> int:
        return stack.redis.execute_command("FCALL", "heddle_leave_idle", 1, key, name, at, 1)
    with stack.run("--user-idle", "1h") as processor:
        until(lambda: stack.redis.hget(f"{key}:meta", "seen"), "somebody looks")
        until(lambda: len(processor.children()) == 1, "the quarantine has ended")
        [worker] = processor.children()
        stack.client.do(name, "list_threads")
        [found, at] = idle()
        assert found == name.encode()
        processor.tell(signal.SIGTSTP)
        until(lambda: f"quiet pid={worker}" in processor.log(), "it begins nothing more")
        first, _ = stack.client.submit(name, "list_threads", reply=1)
        assert leave(at) == 0 and seen() > float(at) and idle() == []
        [at] = [str(int(seen())).encode()]
        processor.tell(signal.SIGCONT)
        assert stack.client.result(name, first)["state"] == "done"
        until(lambda: seen() >= float(at), "it was claimed")
        [_, at] = until(idle, "it is idle again")
        stack.client.do(name, "list_threads")
        assert seen() == float(at) or leave(at) == 0
        [_, at] = until(idle, "it is idle again")
        assert leave(at) == 1 and seen() is None and leave(at) == 0 and idle() == []


@pytest.mark.parametrize("words", [("close",), ("close", "u"), ("close", "u", "--reason", "idle"),
                                   ("close", "u", "--reason", "logout", "--pending", "some"),
                                   ("close", "", "--reason", "logout")])
def test_what_makes_no_sense_is_told(stack, words):
    told = stack.cli("users", *words)
    assert told.returncode == 2 and told.stderr.startswith("heddle: ") and told.stderr.count("\n") == 1
