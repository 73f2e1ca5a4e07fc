"""The command line: help, exit codes, configuration errors, JSON for machines."""
import json
import re
import subprocess

import pytest
from harness import binary, new_id
from servers import until

COMMANDS = ("migrate", "run", "submit", "await", "show", "check", "rebuild", "bench", "config", "version")
DEAD_REDIS = "unix:///nonexistent/redis.sock"
DEAD_POSTGRES = "host=/nonexistent dbname=heddle"

# Each: environment, and what the one line must name.
BAD_SETTINGS = {
    "an unknown key": ({"HEDDLE_NONSENSE": "1"}, "HEDDLE_NONSENSE"),
    "no worker": ({"HEDDLE_WORKERS": "0"}, "workers"),
    "a word for a number": ({"HEDDLE_WORKERS": "many"}, "workers"),
    "a number with a tail": ({"HEDDLE_WORKERS": "8x"}, "workers"),
    "a number beyond all bounds": ({"HEDDLE_WORKERS": "99999999999999999999"}, "workers"),
    "an empty number": ({"HEDDLE_WORKERS": ""}, "workers"),
    "a duration without its unit": ({"HEDDLE_LEASE": "5"}, "lease"),
    "a negative duration": ({"HEDDLE_LEASE": "-5s"}, "lease"),
    "an unknown choice": ({"HEDDLE_DURABILITY": "maybe"}, "durability"),
    "a lease that a statement outlives": ({"HEDDLE_LEASE": "3s"}, "lease"),
    "a lock wait above the statement's": ({"HEDDLE_LOCK_TIMEOUT": "2s"}, "lock_timeout"),
    "a soft deadline above the hard one": ({"HEDDLE_HARD_DEADLINE": "20s"}, "soft_deadline"),
    "a commit that outlives its process": ({"HEDDLE_COMMIT_DEADLINE": "60s"}, "commit_deadline"),
    "an outside call that outlives its operation": ({"HEDDLE_TITLE_TIMEOUT": "30s"}, "title_timeout"),
    "an address of another kind": ({"HEDDLE_REDIS": "http://127.0.0.1"}, "redis"),
    "a connection string that is none": ({"HEDDLE_POSTGRES": "nonsense"}, "postgres"),
    "a file that is not there": ({"HEDDLE_CONFIG": "/nonexistent/file"}, "/nonexistent/file"),
}


@pytest.fixture(scope="module")
def processor(stack):
    with stack.run(workers=2) as processor:
        yield processor


def assert_one_line(text: str, *names: str) -> None:
    assert text.count("\n") == 1 and text.endswith("\n"), text
    for name in names:
        assert name in text


def submit(stack, *arguments: str, **environment):
    return stack.cli("submit", "--direct", "--user", "ann", *arguments, **environment)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(stack, command):
    done = stack.cli(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"heddle {command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_needs_no_configuration(stack, command):
    assert stack.cli(command, "--help", HEDDLE_WORKERS="0").returncode == 0


def test_help_alone_lists_every_command(stack):
    for done in (stack.cli("--help"), stack.cli("help")):
        assert done.returncode == 0
        assert set(COMMANDS) <= set(re.findall(r"^  (\w+)", done.stdout, re.M))


@pytest.mark.parametrize("arguments", [
    ("nonsense",), ("--nonsense",), ("version", "--nonsense"), ("version", "word"),
    ("submit", "--user"), ("version", "--output", "xml"), ("await",), ("show",), ("await", "no-id"),
    ("show", "no-id"), ("submit", "--direct"), ("submit", "--direct", "--user", "ann"),
    ("submit", "--direct", "--durable", "--user", "ann", "--op", "list_threads"),
    ("submit", "--direct", "--user", "ann", "--op", "list_threads", "--wait=soon")],
    ids=" ".join)
def test_wrong_usage_is_one_line_and_exit_2(stack, arguments):
    done = stack.cli(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert_one_line(done.stderr)


def test_no_command_shows_all_and_exits_2(stack):
    done = stack.cli()
    assert (done.returncode, done.stdout) == (2, "")
    assert "submit" in done.stderr


@pytest.mark.parametrize("command", ["check", "migrate", "run", "config"])
@pytest.mark.parametrize("environment, name", BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_a_bad_setting_is_one_line_and_exit_3(stack, command, environment, name):
    if command == "config" and name in ("redis", "postgres"):
        command = "check"
    done = stack.cli(command, **environment)
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert_one_line(done.stderr, name)


@pytest.mark.parametrize("text, name", [("nonsense = 1\n", "nonsense"), ("workers = 0\n", "workers"),
                                        ("workers\n", "line 1"), ("[other]\nworkers = 1\n", "other"),
                                        ("workers = 1\nworkers = 2\n", "workers")])
def test_a_bad_file_is_one_line_and_exit_3(stack, text, name):
    path = stack.directory / "heddle.conf"
    path.write_text(text)
    done = stack.cli("config", "--config", str(path))
    assert (done.returncode, done.stdout) == (3, ""), done.stderr
    assert_one_line(done.stderr, name)


def test_flag_goes_before_environment_before_file_before_default(stack):
    path = stack.directory / "strength.conf"
    path.write_text("[heddle]\nworkers = 2\nlease = 7s\ndrain = 8s\n")

    def value(key: str) -> tuple[str, str]:
        done = stack.cli("config", "--output", "json", "--workers", "4", HEDDLE_CONFIG=str(path),
                         HEDDLE_WORKERS="3", HEDDLE_LEASE="9s")
        row = json.loads(done.stdout)[key]
        return row["value"], row["source"].split()[0]

    assert value("workers") == ("4", "flag")
    assert value("lease") == ("9s", "environment")
    assert value("drain")[0] == "8s"
    assert value("result_ttl")[1] == "default"


def test_config_shows_no_password(stack):
    done = stack.cli("config", "--redis", "redis://me:s3cret@127.0.0.1/0",
                     "--postgres", "host=h password=s3cret user=me", "--title-api-key", "s3cret")
    assert done.returncode == 0
    assert "s3cret" not in done.stdout + done.stderr
    assert "127.0.0.1" in done.stdout


def test_the_example_file_is_itself_a_configuration(stack):
    path = stack.directory / "example.conf"
    path.write_text(stack.cli("config", "--example").stdout)
    assert stack.cli("config", "--config", str(path)).returncode == 0


@pytest.mark.parametrize("arguments", [("version",), ("config",), ("check",), ("migrate",)],
                         ids=" ".join)
def test_json_goes_to_stdout_and_nothing_else(stack, arguments):
    done = stack.cli(*arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)


@pytest.mark.parametrize("command", [
    ("migrate",), ("run",), ("check",), ("rebuild",), ("submit", "--direct", "--user", "a", "--op", "list_threads"),
    ("await", new_id()), ("show", new_id())], ids=lambda words: words[0])
def test_redis_out_of_reach_is_one_line_and_exit_4(stack, command):
    done = stack.cli(*command, HEDDLE_REDIS=DEAD_REDIS)
    assert done.returncode == 4, done.stderr
    assert "redis" in done.stderr.lower()


@pytest.mark.parametrize("command", ["migrate", "run", "check", "rebuild"])
def test_postgres_out_of_reach_is_exit_4(stack, command):
    done = stack.cli(command, HEDDLE_POSTGRES=DEAD_POSTGRES)
    assert done.returncode == 4, done.stderr


def test_a_submission_is_done(stack, processor):
    done = submit(stack, "--op", "create_thread", "--payload", '{"title":"t"}', "--wait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["title"] == "t"


def test_a_submission_without_wait_prints_its_id(stack, processor):
    done = submit(stack, "--op", "create_thread")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f-]{36}\n", done.stdout)
    awaited = stack.cli("await", done.stdout.strip(), "--output", "json")
    assert awaited.returncode == 0, awaited.stderr
    assert json.loads(awaited.stdout)["state"] == "done"


def test_a_submission_keeps_the_id_it_was_given(stack, processor):
    identity = new_id()
    for _ in range(2):
        done = submit(stack, "--op", "create_thread", "--id", identity, "--wait")
        assert (done.returncode, json.loads(done.stdout)["id"]) == (0, identity)
    assert submit(stack, "--op", "list_threads", "--id", identity, "--wait").returncode != 0


def test_a_failed_operation_is_exit_1(stack, processor):
    done = submit(stack, "--op", "get_thread", "--thread", new_id(), "--wait")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["kind"] == "not_found"


def test_await_and_show_of_a_failed_operation_tell_its_end(stack, processor):
    identity = new_id()
    submit(stack, "--op", "delete_thread", "--thread", new_id(), "--id", identity, "--wait")
    awaited = stack.cli("await", identity, "--output", "json")
    assert awaited.returncode == 1
    assert json.loads(awaited.stdout)["code"] == 404
    shown = stack.cli("show", identity, "--output", "json")
    assert shown.returncode == 0, shown.stderr
    shown = json.loads(shown.stdout)
    assert (shown["id"], shown["state"], shown["op"]) == (identity, "failed", "delete_thread")


def test_an_id_that_nobody_knows_is_exit_1(stack):
    done = stack.cli("show", new_id())
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr)


def test_time_that_runs_out_is_exit_5(new_stack):
    done = submit(new_stack, "--op", "list_threads", "--wait=200ms")
    assert done.returncode == 5, done.stderr
    identity = submit(new_stack, "--op", "list_threads").stdout.strip()
    assert new_stack.cli("await", identity, "--timeout", "200ms").returncode == 5


def test_durable_is_the_default_and_direct_is_asked_for(stack):
    for mode, numbered in (((), True), (("--durable",), True), (("--direct",), None)):
        done = stack.cli("submit", *mode, "--user", "ann", "--op", "list_threads")
        assert done.returncode == 0, done.stderr
        row = stack.sql("select seq is not null from heddle.operations where id = %s", done.stdout.strip())
        assert row == ([(True,)] if numbered else [])


def test_a_full_redis_is_exit_6(new_stack):
    new_stack.redis.config_set("maxmemory", "1mb")
    try:
        done = submit(new_stack, "--op", "create_thread")
        assert (done.returncode, done.stdout) == (6, ""), done.stderr
        assert_one_line(done.stderr)
    finally:
        new_stack.redis.config_set("maxmemory", "0")
    assert submit(new_stack, "--op", "create_thread").returncode == 0


def test_an_eviction_policy_that_loses_data_is_refused(stack):
    stack.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        for command in ("run", "check"):
            done = stack.cli(command, timeout=20)
            assert done.returncode in (1, 3)
            assert "noeviction" in done.stdout + done.stderr
    finally:
        stack.redis.config_set("maxmemory-policy", "noeviction")


def test_what_was_never_migrated_says_so(new_stack):
    new_stack.redis.flushall()
    new_stack.redis.execute_command("FUNCTION", "FLUSH")
    new_stack.sql("drop schema chat, heddle cascade")
    for command in (("run",), ("check",), ("submit", "--direct", "--user", "a", "--op", "get_thread")):
        done = new_stack.cli(*command, timeout=20)
        assert done.returncode in (1, 3), done.stderr
        assert "heddle migrate" in done.stdout + done.stderr


def test_migrate_keeps_the_number_of_partitions(stack):
    done = stack.cli("migrate", "--partitions", "7")
    assert done.returncode == 3
    assert_one_line(done.stderr, "partitions")
    assert stack.cli("migrate").returncode == 0


def test_migrations_at_once_are_one(new_stack):
    new_stack.sql("drop schema chat, heddle cascade")
    started = [subprocess.Popen([binary("TESTS_HEDDLE"), "migrate"], env=new_stack.environment,
                             stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert new_stack.cli("check").returncode == 0


def test_run_logs_events_of_a_stable_form(stack):
    with stack.run(workers=1) as processor:
        pass
    for line in processor.log().splitlines():
        assert re.match(r"\S+ +(debug|info|warning|error) +[a-z0-9_]+( |$)", line), line
    with stack.run(workers=1, HEDDLE_LOG_FORMAT="json") as processor:
        pass
    for line in processor.log().splitlines():
        assert {"level", "event"} <= json.loads(line).keys()


def test_logs_never_hold_a_payload(stack):
    with stack.run(workers=1, HEDDLE_LOG_LEVEL="debug") as processor:
        thread = stack.client.do("eve", "create_thread", payload={"title": "s3cret"})["data"]["id"]
        for payload in ({"role": "user", "content": "s3cret"}, {"role": "s3cret", "content": "x"}, b"s3cret"):
            stack.client.do("eve", "send_message", thread, payload)
        stack.client.do("eve", "auto_rename", thread)
    assert "s3cret" not in processor.log()


def test_check_finds_a_lane_that_is_in_no_state(new_stack):
    identity = submit(new_stack, "--op", "list_threads").stdout.strip()
    ready = f"heddle:{{{new_stack.client.partition('ann')}}}:ready"
    new_stack.redis.zrem(ready, "ann")
    done = new_stack.cli("check")
    assert done.returncode == 1, done.stdout
    assert "ann" in done.stdout or str(new_stack.client.partition("ann")) in done.stdout
    new_stack.redis.zadd(ready, {"ann": 0})
    with new_stack.run():
        until(lambda: new_stack.client.status("ann", identity)[0] != "queued", "it is done")
