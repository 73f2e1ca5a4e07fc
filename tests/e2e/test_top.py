"""`heddle top`: what runs where, who waits; on a terminal, a dumb one, a pipe."""
import json

import pytest
from harness import binary
from servers import until
from terminal import Terminal


def frame(stack) -> dict:
    told = stack.cli("top", "--output", "json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def hold(stack, user: str, gate: str) -> str:
    """An operation that has begun and stands at a gate."""
    operation, _ = stack.client.submit(user, "probe_prepare", payload=json.dumps({"n": 1, "gate": gate}))
    until(lambda: any(line["operation"] == operation for line in stack.prepare_log()), "it runs")
    return operation


@pytest.fixture
def top(stack):
    terminals = []

    def start(**options) -> Terminal:
        terminals.append(Terminal([binary("TESTS_HEDDLE"), "top"], stack.environment, **options))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.__exit__()


def test_what_each_worker_runs_and_whose_backlog_is_the_largest_is_told(stack, client, user):
    with stack.probe("--workers", "3") as probe:
        running = hold(stack, user, "top")
        behind = [client.submit(user, "probe_record", payload=json.dumps({"n": n}))[0] for n in (2, 3, 4)]
        client.submit(user + "-b", "nobody.knows")
        until(lambda: frame(stack)["lanes"]["halted"] == 1, "the other lane is halted")
        seen = frame(stack)
        [processor] = seen["processors"]
        [row] = seen["running"]
        assert (row["id"], row["op"], row["user"], row["phase"]) == (running, "probe_prepare", user, "prepare")
        assert row["processor"] == processor["incarnation"] and row["for_ms"] >= 0
        assert processor["pid"] == probe.pid and processor["leads"] and processor["claims"] == 1
        assert [worker["state"] for worker in processor["workers"]].count("busy") == 1
        assert seen["lanes"] == {"ready": 0, "claimed": 1, "waiting": 0, "halted": 1}
        assert [(u["user"], u["backlog"], u["state"]) for u in seen["users"]] == [
            (user, 4, "claimed"), (user + "-b", 1, "halted")]
        stack.open_gate("top", probe)
        for operation in [running, *behind]:
            client.wait_ended(user, operation)
        until(lambda: frame(stack)["operations"]["done"] > 0, "a rate is told")
        assert frame(stack)["latency_ms"]["p99"] > 0
        assert frame(stack)["running"] == []
    stack.cli("cancel", stack.redis.lindex(f"heddle:{{{client.partition(user + '-b')}}}:lane:{user}-b", 0))


def test_a_processor_that_does_not_answer_is_told(stack):
    with stack.probe() as one, stack.probe() as two:
        until(lambda: len(frame(stack)["processors"]) == 2, "both beat")
        two.pause()
        states = {p.get("pid"): p["state"] for p in frame(stack)["processors"]}
        assert states[one.pid] == "running" and sorted(states.values()) == ["running", "silent"]
        two.resume()
        until(lambda: {p["state"] for p in frame(stack)["processors"]} == {"running"}, "both answer")
    assert stack.cli("check").returncode == 0


def test_a_screen_follows_its_size_and_is_left_as_it_was(stack, top, user):
    name = user + "-ünïcode-" + "x" * 100
    with stack.probe() as probe:
        running = hold(stack, name, "screen")
        terminal = top(lines=30, columns=100)
        lines = terminal.wait_for(user + "-ünïcode-xxx")
        assert any(line.startswith("heddle ") and "processors 1" in line for line in lines)
        assert any("prepare" in line and "probe_prepare" in line for line in lines)
        assert max(map(len, lines)) <= 100 and len(lines) <= 30
        terminal.resize(12, 40)
        until(lambda: any("BACKLOG" in line for line in terminal.screen) and len(terminal.screen) <= 12
              and max(map(len, terminal.screen)) <= 40, "it fits")
        terminal.resize(50, 200)
        terminal.wait_for(name)
        assert not terminal.is_restored()
        terminal.type("q")
        assert terminal.wait_end() == 0
        assert terminal.is_restored() and "\x1b[2J" not in terminal.raw[-3:]
        stack.open_gate("screen", probe)
        stack.client.wait_ended(name, running)


def test_names_move_no_cursor(stack, top):
    name = "\x1b[2Jevil\x1b]0;title\x07"
    stack.client.submit(name, "nobody.knows")
    with stack.probe():
        terminal = top(name="xterm")
        terminal.wait_for("?[2Jevil?]0;title?")
        assert "\x1b]0;" not in terminal.raw
        terminal.type("q")
        assert terminal.wait_end() == 0 and "\x1b[?1049l" in terminal.raw


def test_a_dumb_terminal_gets_one_view_after_the_other_and_a_pipe_one(stack, top):
    with stack.probe():
        terminal = top(name="dumb")
        until(lambda: "PROCESSOR" in "\n".join(terminal.screen), "a view")
        assert "\x1b" not in terminal.raw
        terminal.type("q\n")
        assert terminal.wait_end() == 0 and terminal.is_restored()
        piped = stack.cli("top")
        assert piped.returncode == 0 and piped.stdout.count("PROCESSOR") == 1
