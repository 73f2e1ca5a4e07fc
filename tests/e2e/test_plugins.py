"""A team's own operations: built out of tree against what is installed, loaded, executed like those that ship."""
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import binary
from servers import until

EXAMPLE = Path(__file__).parents[2] / "deploy/examples/plugin"
USERS, NOTES = 20, 20
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PLUGIN = """
#include <heddle/plugin.h>
static heddle_status apply(struct heddle_task *task, struct heddle_uow *uow, struct heddle_error *err)
{ (void)task; (void)uow; (void)err; return HEDDLE_OK; }
static const struct heddle_handler one = {.op = "OP", .apply = APPLY};
static const struct heddle_handler *const handlers[] = {&one, NULL};
const struct heddle_plugin NAME = {HEAD, .name = "bad", .handlers = handlers};
"""

CLIENT = """
#include <heddle/client.h>
#include <heddle/journal.h>
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    struct heddle_error err;
    struct heddle_client *client;
    struct heddle_journal *journal;
    struct heddle_receipt receipts[2];
    struct heddle_submission submission = {
        .user = {"embedder", 8}, .op = {"create_thread", 13}, .thread = {"", 0},
        .payload = {"{}", 2}, .id = {"", 0}};
    if (heddle_client_new(getenv("HEDDLE_REDIS"), 2000, &client, &err) != HEDDLE_OK ||
        heddle_client_submit(client, &submission, 1, &receipts[0], &err) != HEDDLE_OK ||
        heddle_journal_new(getenv("HEDDLE_POSTGRES"), 2000, &journal, &err) != HEDDLE_OK ||
        heddle_journal_submit(journal, &submission, 1, &receipts[1], &err) != HEDDLE_OK)
        return fprintf(stderr, "%s\\n", err.text), 1;
    heddle_client_free(client);
    heddle_journal_free(journal);
    printf("%s %s\\n", receipts[0].id, receipts[1].id);
}
"""


def command(*words, **environment) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    prefix = tmp_path_factory.mktemp("prefix")
    command("cmake", "--install", Path(binary("TESTS_HEDDLE")).parents[1], "--prefix", prefix)
    return prefix


@pytest.fixture(scope="module")
def pkg_config(installed):
    """Flags of the module, without a word that points into the source tree."""
    paths = ":".join(str(path) for path in installed.rglob("pkgconfig"))
    return lambda *words: command("pkg-config", *words, PKG_CONFIG_PATH=paths).split()


@pytest.fixture(scope="module")
def notes(installed, pkg_config, tmp_path_factory) -> list[Path]:
    """The example, by CMake and by hand."""
    build = tmp_path_factory.mktemp("notes")
    for name in ("notes.c", "CMakeLists.txt"):
        shutil.copy(EXAMPLE / name, build)
    command("cmake", "-S", build, "-B", build / "out", f"-DCMAKE_PREFIX_PATH={installed}", "-G", "Ninja")
    command("cmake", "--build", build / "out")
    command("cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *pkg_config("--cflags", "heddle"),
            "-o", build / "notes.so", build / "notes.c")
    return [build / "out/notes.so", build / "notes.so"]


@pytest.fixture(scope="module")
def table(stack):
    stack.sql("create table notes (id uuid primary key, number bigint generated always as identity,"
              " user_id text not null, text text not null check (text <> 'forbidden'))")


def spans(processor) -> dict[str, list[dict]]:
    found = {}
    for line in processor.log().splitlines():
        if " notes_span " in line:
            fields = dict(pair.split("=", 1) for pair in line.split(" notes_span ")[1].split())
            found.setdefault(fields["id"], []).append(fields)
    return found


def test_its_operations_run_exactly_once_in_order_in_bundles_of_many(stack, client, notes, table):
    """The second processor has them from the other build: an operation may be either's."""
    ids = {}
    for n in range(NOTES):
        for user in (f"writer-{i}" for i in range(USERS)):
            submitted = client.submit(user, "add_note", payload=json.dumps({"text": f"{n}"}), reply=1, trace=TRACE)
            ids.setdefault(user, []).append(submitted[0])
    with stack.run("--handlers", str(notes[0]), "--log-level", "debug", workers=2) as first, \
            stack.run("--handlers", str(notes[1]), "--log-level", "debug", workers=2) as second:
        for user, own in ids.items():
            for operation in own:
                assert client.result(user, operation)["data"] == {"note": operation}
    for user, own in ids.items():
        assert stack.sql("select id::text, text from notes where user_id = %s order by number", user) == [
            (operation, f"{n}") for n, operation in enumerate(own)]
    seen = {**spans(first), **spans(second)}
    for operation in (operation for own in ids.values() for operation in own):
        assert seen[operation][-1]["end"] == "done" and seen[operation][-1]["trace"] == TRACE
    assert max(int(span[-1]["bundled"]) for span in seen.values()) > 1
    assert all(list(spans(each).values())[-1][-1]["running"] == "0" for each in (first, second) if spans(each))


def test_hooks_see_every_operation_and_what_failed_without_a_users_words(stack, client, notes, table, user):
    with stack.run("--handlers", str(notes[0]), "--log-level", "debug") as processor:
        alone, _ = client.submit(user, "add_note", payload=json.dumps({"text": "swordfish" * 20}), reply=1)
        answer = client.result(user, alone)
        assert (answer["state"], answer["error"]["message"]) == ("failed", 'text "" is longer than 100 bytes')
        broken, _ = client.submit(user, "add_note", payload='{"text":"forbidden"}', reply=1)
        assert client.result(user, broken)["error"]["message"] == 'new row for relation ""'
        shipped, _ = client.submit(user, "create_thread", payload='{"title":1}', reply=1)
        assert client.result(user, shipped)["state"] == "failed"
        read, _ = client.submit(user, "list_threads", reply=1)
        assert client.result(user, read)["state"] == "done"
        until(lambda: {alone, shipped, read} <= spans(processor).keys(), "their ends are told")
        assert [spans(processor)[operation][-1]["end"] for operation in (alone, shipped, read)] == [
            "failed", "failed", "done"]
    assert "swordfish" not in processor.log() and "text_check" not in processor.log()
    assert stack.sql("select count(*) from heddle.operations where error::text ~ 'swordfish|text_check'") == [(0,)]


def test_submit_knows_them(stack, notes, table):
    line = ("submit", "--user", "submitter", "--op", "add_note", "--payload", '{"text":"milk"}')
    refused = stack.cli(*line)
    assert refused.returncode == 2 and "op = add_note" in refused.stderr
    with stack.run("--handlers", str(notes[0])):
        assert stack.cli(*line, "--wait", "--handlers", str(notes[0])).returncode == 0
    assert stack.sql("select text from notes where user_id = 'submitter'") == [("milk",)]


@pytest.fixture
def build(installed, tmp_path):
    def build(name: str, head: str = "HEDDLE_PLUGIN_HEAD", op: str = "add_note", symbol: str = "heddle_plugin",
              apply: str = "apply") -> str:
        source = tmp_path / f"{name}.c"
        source.write_text(PLUGIN.replace("HEAD,", head + ",").replace("OP", op, 1).replace("NAME", symbol)
                          .replace("APPLY", apply))
        command("cc", "-shared", "-fPIC", "-I", installed / "include", "-o", tmp_path / f"{name}.so", source)
        return str(tmp_path / f"{name}.so")
    return build


def test_a_reload_takes_the_object_as_it_is_then(stack, client, build, user):
    path = Path(build("team", op="first"))
    with stack.run("--handlers", str(path)) as processor:
        assert client.do(user, "first")["state"] == "done"
        waiting, _ = client.submit(user, "second", reply=1)
        behind, _ = client.submit(user, "first", reply=1)
        Path(build("next", op="second")).rename(path)
        processor.tell(signal.SIGHUP)
        assert client.result(user, waiting)["state"] == "done"
        Path(build("last", op="first")).rename(path)
        processor.tell(signal.SIGHUP)
        assert client.result(user, behind)["state"] == "done"


def test_what_does_not_fit_stops_the_start_with_one_line(stack, build, tmp_path):
    sound = build("sound")
    cases = {
        str(tmp_path / "absent.so"): "No such file",
        build("symbol", symbol="another"): "defines no heddle_plugin",
        build("abi", head=".abi = 1, .size = sizeof(struct heddle_plugin)"): "handler interface 1",
        build("size", head=".abi = HEDDLE_ABI"): "other sizes",
        build("shipped", op="send_message"): "op send_message: there is one already",
        f"{sound},{build('again')}": "op add_note: there is one already",
        build("name", op="Add"): "a-z0-9_.",
        build("idle", apply="NULL"): "neither apply nor prepare",
    }
    for paths, reason in cases.items():
        for words in (("submit", "--user", "u", "--op", "add_note"), ("run",)):
            done = stack.cli(*words, "--handlers", paths)
            assert done.returncode == 3, (paths, done.stderr)
            (line,) = set(done.stderr.splitlines())
            assert line.startswith("heddle: configuration: handlers = ") and reason in line


def test_a_program_links_the_client(stack, pkg_config, tmp_path):
    (tmp_path / "embedder.c").write_text(CLIENT)
    command("cc", "-Wall", "-o", tmp_path / "embedder", tmp_path / "embedder.c",
            *pkg_config("--cflags", "--libs", "heddle-client"))
    direct, durable = command(tmp_path / "embedder", **stack.environment).split()
    with stack.run():
        for operation in (direct, durable):
            assert stack.cli("await", operation).returncode == 0
