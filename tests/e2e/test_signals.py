"""What signals do to processors at work. Whatever they do, each operation runs once, in order."""
import json
import os
import re
import signal
import threading
import time

import pytest
from servers import until

LANES, OPERATIONS = 24, 12
ENDS_AT_ONCE = 5  # the exit code of what was told to


def submit(client, user: str, op: str, **payload) -> str:
    return client.submit(user, op, payload=json.dumps(payload), reply=1)[0]


class Load:
    """OPERATIONS in each of LANES lanes."""

    def __init__(self, stack, user: str, duration_ms: int = 10):
        self.stack, self.prefix = stack, f"{user}-load"
        self.submitted = [
            (name, submit(stack.client, name, "probe_record", n=n, ms=duration_ms))
            for n in range(1, OPERATIONS + 1)
            for name in (f"{self.prefix}-{lane}" for lane in range(LANES))]

    def done(self) -> int:
        return int(self.stack.sql("select coalesce(sum(count), 0) from probe.counters"
                                  " where lane like %s", self.prefix + "-%")[0][0])

    def is_under_way(self) -> None:
        until(lambda: self.done() > LANES, "some operations are done")
        assert self.done() < len(self.submitted)

    def assert_ran_once_in_order(self) -> None:
        for name, operation in self.submitted:
            assert self.stack.client.result(name, operation)["state"] == "done"
        rows = self.stack.sql("select array_agg(n order by seq) from probe.events"
                              " where phase = 'in' and lane like %s group by lane", self.prefix + "-%")
        assert rows == [(list(range(1, OPERATIONS + 1)),)] * LANES


def held(stack) -> int:
    return sum(stack.redis.hlen(key) for key in stack.redis.keys("heddle:*:held:*"))


def idle(stack) -> set[bytes]:
    """Processors that want to be woken."""
    return {name for key in stack.redis.keys("heddle:*:idle") for name in stack.redis.smembers(key)}


def beats(stack) -> list[float]:
    return sorted(score for key in stack.redis.keys("heddle:*:beats")
                  for _, score in stack.redis.zrange(key, 0, -1, withscores=True))


def attempt_of(stack, operation: str) -> int:
    return stack.sql("select attempt from heddle.operations where id = %s", operation)[0][0]


def enters(stack, operation: str) -> None:
    until(lambda: any(line["operation"] == operation for line in stack.prepare_log()), "it is begun")


def wait_end(processor) -> int:
    """Its exit code; far below the minute that statements and handlers of these tests would take."""
    return processor.process.wait(10)


LONG = ("--statement", "60000", "--lease", "90000", "--drain", "60000")


@pytest.mark.parametrize("processes", ["0", "1", "2"])
def test_quit_ends_at_once_and_gives_everything_back(stack, client, user, processes):
    with stack.probe("--processes", processes, "--workers", "8", *LONG) as processor:
        stuck = [(f"{user}-{kind}", submit(client, f"{user}-{kind}", "probe_stick", kind=kind, n=1,
                                           sticks=1))
                 for kind in ("sleep", "wait_apply", "wait_prepare")]
        for _, operation in stuck:
            enters(stack, operation)
        load = Load(stack, user)
        load.is_under_way()
        processor.tell(signal.SIGQUIT)
        begun = time.monotonic()
        assert wait_end(processor) == ENDS_AT_ONCE
        print(f"ended after {time.monotonic() - begun:.3f} s")
    assert held(stack) == 0
    stack.wait_no_sessions()
    assert load.done() < len(load.submitted)
    with stack.probe("--workers", "8", "--soft", "300", "--statement", "60000") as other:
        load.assert_ran_once_in_order()
        # They were charged nothing: it is in their first attempt that they stay too long here.
        for name, operation in stuck:
            assert client.result(name, operation)["state"] == "done"
            assert f"operation_overdue id={operation}" in other.log()
            assert attempt_of(stack, operation) == 2


def test_quit_does_not_wait_for_a_handler_that_does_not_listen(stack, client, user):
    with stack.probe("--processes", "1", *LONG) as supervisor:
        deaf = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, deaf)
        begun = time.monotonic()
        supervisor.tell(signal.SIGQUIT)
        assert wait_end(supervisor) == ENDS_AT_ONCE
        print(f"ended after {time.monotonic() - begun:.3f} s")
    assert held(stack) == 0
    with stack.probe() as other:
        stack.open_gate(user, other)
        assert client.result(user, deaf)["state"] == "done"
    assert attempt_of(stack, deaf) == 1


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGQUIT])
def test_a_drain_is_cut_short_by_a_second_signal(stack, client, user, second):
    with stack.probe("--processes", "1", *LONG) as supervisor:
        until(lambda: len(supervisor.children()) == 1, "the quarantine has ended")
        [processor] = supervisor.children()
        stuck = submit(client, user, "probe_stick", kind="wait_apply", n=1, sticks=1)
        enters(stack, stuck)
        supervisor.tell(signal.SIGTERM)
        until(lambda: f" draining pid={processor}" in supervisor.log(), "it drains")
        assert supervisor.process.poll() is None
        supervisor.tell(second)
        assert wait_end(supervisor) == ENDS_AT_ONCE
    assert held(stack) == 0
    with stack.probe("--soft", "100"):
        assert client.result(user, stuck)["state"] == "done"


def test_a_signal_that_reaches_processors_and_supervisor_alike_is_one_signal(stack, user):
    """As from a terminal, or from systemd."""
    with stack.probe("--processes", "2") as supervisor:
        load = Load(stack, user)
        load.is_under_way()
        for pid in supervisor.pids():
            os.kill(pid, signal.SIGINT)
        assert supervisor.process.wait(30) == 0
    assert held(stack) == 0
    with stack.probe("--workers", "8"):
        load.assert_ran_once_in_order()


def test_a_quiet_processor_begins_nothing_and_beats_until_it_goes_on(stack, client, user):
    with stack.probe("--processes", "2", "--workers", "8", "--lease", "2000") as supervisor:
        until(lambda: len(supervisor.children()) == 2, "the quarantine has ended")
        slow = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, slow)
        load = Load(stack, user)
        load.is_under_way()
        supervisor.tell(signal.SIGTSTP)
        # What is begun is finished, what is not goes back; only the slow one is still in hand.
        until(lambda: held(stack) == 1, "what was not begun is given back")
        done = load.done()
        assert done < len(load.submitted)
        until(lambda: not idle(stack), "nobody wakes it")
        before = beats(stack)
        until(lambda: beats(stack) > before, "it beats")
        # A processor that dies meanwhile comes back as quiet as it was.
        victim = supervisor.children()[0]
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(supervisor.children()) == 2 and victim not in supervisor.children(),
              "another has taken its place")
        assert load.done() == done
        # Somebody else who is there gets it all.
        with stack.probe("--workers", "8") as other:
            stack.open_gate(user, other)
            load.assert_ran_once_in_order()
            pids = stack.sql("select distinct pid from probe.events where phase = 'in' and lane like %s"
                             " and seq > (select seq from probe.events where phase = 'in'"
                             " and lane like %s order by seq offset %s limit 1)",
                             load.prefix + "-%", load.prefix + "-%", done - 1)
            assert pids == [(other.pid,)]
        supervisor.tell(signal.SIGCONT)
        until(lambda: len(idle(stack)) == 2, "they want to be woken again")
        stack.open_gate_for_all(user, supervisor)
        assert client.result(user, slow)["state"] == "done"
        assert client.do(user, "probe_record", payload={"n": 2})["state"] == "done"
    assert held(stack) == 0


def test_ttin_logs_what_every_worker_does(stack, client, user):
    with stack.probe("--processes", "1", "--workers", "3") as supervisor:
        until(lambda: len(supervisor.children()) == 1, "the quarantine has ended")
        busy = submit(client, user, "probe_prepare", n=1, gate=user)
        enters(stack, busy)
        supervisor.tell(signal.SIGTTIN)
        until(lambda: supervisor.log().count(" worker ") == 3, "each has a line")
        lines = [line for line in supervisor.log().splitlines() if " worker " in line]
        assert sum("state=idle" in line for line in lines) == 2
        [line] = [line for line in lines if "state=busy" in line]
        assert all(part in line for part in (f" id={busy} ", f" lane={user} ", " op=probe_prepare ",
                                             " phase=prepare ", " since_ms=")), line
        stack.open_gate_for_all(user, supervisor)
        assert client.result(user, busy)["state"] == "done"


class Messages:
    """Users who write all the time, until told to stop; then everything must be there, in order."""

    def __init__(self, stack, user: str, users: int = 6):
        self.stack = stack
        self.threads = {}
        for name in (f"{user}-{i}" for i in range(users)):
            self.threads[name] = stack.client.do(name, "create_thread")["data"]["id"]
        self.written = dict.fromkeys(self.threads, 0)
        self.is_over = False
        self.writer = threading.Thread(target=self._write)

    def __enter__(self):
        self.writer.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.writer.join()

    def go_on(self, count: int = 40) -> None:
        """Returns when so many more have been done."""
        done = self.count()
        until(lambda: self.count() > done + count, "work goes on")

    def count(self) -> int:
        return self.stack.sql("select count(*) from chat.messages where thread_id = any(%s::uuid[])",
                              list(self.threads.values()))[0][0]

    def assert_all_there_in_order(self) -> None:
        until(lambda: self.count() == sum(self.written.values()), "all are written")
        for name, thread in self.threads.items():
            rows = self.stack.sql("select seq, content from chat.messages where thread_id = %s"
                                  " order by seq", thread)
            assert rows == [(n, str(n)) for n in range(1, self.written[name] + 1)]

    def _write(self) -> None:
        client = type(self.stack.client)(self.stack.redis_server.client())
        while not self.is_over:
            for name, thread in self.threads.items():
                self.written[name] += 1
                body = {"role": "user", "content": str(self.written[name])}
                client.submit(name, "send_message", thread, json.dumps(body))
            time.sleep(0.003)


@pytest.fixture
def settings(stack):
    """The file that a processor is told to read."""
    path = stack.directory / "heddle.conf"
    yield path
    path.unlink()


def run_with(stack, settings, processes: int):
    return stack.run("--config", str(settings), HEDDLE_PROCESSES=str(processes))


def assert_never_fewer_than(processes: int, log: str) -> None:
    """Each that drains leaves so many behind that are ready."""
    ready = set()
    for event, pid in re.findall(r" (processor_ready|draining) .*?\bpid=(\d+)", log):
        if event == "processor_ready":
            ready.add(pid)
        elif pid in ready:
            ready.remove(pid)
            assert len(ready) >= processes


@pytest.mark.parametrize("processes", [1, 2])
def test_hup_puts_processors_with_new_settings_in_the_place_of_the_old(stack, user, settings,
                                                                       processes):
    settings.write_text("claim_lanes = 4\n")
    with run_with(stack, settings, processes) as supervisor, Messages(stack, user) as messages:
        until(lambda: len(supervisor.children()) == processes, "the quarantine has ended")
        old = set(supervisor.children())
        for round_ in (1, 2):
            messages.go_on()
            settings.write_text(f"claim_lanes = 8\ndrain = {round_}m\nlog_level = debug\n")
            supervisor.tell(signal.SIGHUP)
            until(lambda: supervisor.log().count(" reloaded ") == round_, "it has reloaded")
            until(lambda: len(supervisor.children()) == processes, "the old are gone")
            assert not old & set(supervisor.children())
            old = set(supervisor.children())
            messages.go_on()
        assert " operation_ended " in supervisor.log()  # the level that came later
        assert_never_fewer_than(processes, supervisor.log())
        assert "drained=false" not in supervisor.log()
    with stack.run():
        messages.assert_all_there_in_order()
    assert held(stack) == 0


REFUSED = {
    "a word for a number": ("claim_lanes = many", 'reload_refused text="claim_lanes = many'),
    "an unknown key": ("nonsense = 1", "reload_refused"),
    "another Redis": ("redis = unix:///nonexistent", 'reload_refused text="redis = unix:///nonexistent'),
    "a Postgres that is not there": ("postgres = host=/nonexistent", "reload_failed"),
}


@pytest.mark.parametrize("line, event", REFUSED.values(), ids=REFUSED)
def test_hup_with_bad_settings_changes_nothing(stack, user, settings, line, event):
    good = "\n".join(f"{key} = {stack.environment['HEDDLE_' + key.upper()]}"
                     for key in ("redis", "postgres"))
    settings.write_text(good)
    flags = {"HEDDLE_CONFIG": str(settings)}
    environment = dict(stack.environment)
    try:
        for key in ("HEDDLE_REDIS", "HEDDLE_POSTGRES"):
            del stack.environment[key]
        supervisor = stack.run(**flags)
    finally:
        stack.environment.update(environment)
    with supervisor, Messages(stack, user) as messages:
        until(lambda: len(supervisor.children()) == 1, "the quarantine has ended")
        before = supervisor.children()
        key = line.split(" = ")[0]
        kept = [own for own in good.splitlines() if own.split(" = ")[0] != key]
        settings.write_text("\n".join([*kept, line]) + "\n")
        supervisor.tell(signal.SIGHUP)
        until(lambda: event in supervisor.log(), "it says why not")
        messages.go_on()
        assert supervisor.children() == before
        # And the next time it may be good.
        settings.write_text(good)
        supervisor.tell(signal.SIGHUP)
        until(lambda: " reloaded " in supervisor.log(), "it has reloaded")
        messages.go_on()
        assert supervisor.log().count("reload_refused") + supervisor.log().count("reload_failed") == 1
    with stack.run():
        messages.assert_all_there_in_order()
