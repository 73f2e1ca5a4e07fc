"""The README's examples run as they stand there; only the servers are the test's own."""
import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import binary

README = (Path(__file__).parents[2] / "README.md").read_text()
NODE_MODULES = Path("/usr/share/nodejs")  # where Debian's packages are

# What stands before an example: its client reaches the test's Redis in place of the usual address.
PYTHON_PRELUDE = """\
import os, redis
class _Redis(redis.Redis):
    def __init__(self):
        super().__init__(unix_socket_path=os.environ["REDIS_SOCKET"])
redis.Redis = _Redis
"""
NODE_REDIS = """\
const real = require("/usr/share/nodejs/redis");
exports.createClient = () => real.createClient({ socket: { path: process.env.REDIS_SOCKET } });
"""


def example(language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)[number]


def run(stack, *command: str, input: str | None = None, **environment: str) -> str:
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=60, cwd=stack.directory,
                          env={**stack.environment, "REDIS_SOCKET": str(stack.redis_server.socket), **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def processor(stack):
    with stack.run(workers=2) as processor:
        yield processor


def threads_of_alice(stack) -> list[str]:
    return [title for title, in stack.sql("select title from chat.threads where user_id = 'alice' order by created_at")]


def test_python(stack, processor):
    printed = run(stack, sys.executable, "-c", PYTHON_PRELUDE + example("python"))
    assert "'state': 'done'" in printed and "'title': 'Hello'" in printed
    assert threads_of_alice(stack)[-1] == "Hello"


def test_node(stack, processor):
    package = stack.directory / "node_modules/redis"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"name": "redis", "main": "index.js"}')
    (package / "index.js").write_text(NODE_REDIS)
    (stack.directory / "example.mjs").write_text(example("js"))
    before = len(threads_of_alice(stack))
    printed = run(stack, "node", "example.mjs", NODE_PATH=str(NODE_MODULES))
    assert "state: 'done'" in printed and "title: 'Hello'" in printed
    assert len(threads_of_alice(stack)) == before + 1


def test_sql_in_the_callers_transaction(stack, processor):
    statements = example("sql").replace("insert into orders …;", "")
    assert statements.startswith("begin;") and "…" not in statements
    stack.sql(statements)
    (operation,), = stack.sql("select id::text from heddle.operations where seq is not null")
    assert stack.cli("await", operation).returncode == 0
    assert "Order 17" in threads_of_alice(stack)


def test_what_the_ledger_answers(stack, processor):
    stack.client.do("alice", "create_thread")
    rows = stack.sql(example("sql", 1))
    assert rows and all(len(row) == 5 and row[1] == "done" for row in rows)


def test_shell(stack, processor):
    thread = stack.client.do("alice", "create_thread")["data"]["id"]
    commands = [block for block in re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S) if "--op" in block]
    submission = next(block for block in commands if "$THREAD" in block)
    with gzip.open(stack.directory / "operations.ndjson.gz", "wt") as lines:
        for n in range(3):
            lines.write(json.dumps({"user": "bob", "op": "create_thread", "payload": {"title": f"{n}"}}) + "\n")
    programs = stack.directory / "programs"
    programs.mkdir()
    (programs / "heddle").symlink_to(binary("TESTS_HEDDLE"))
    printed = run(stack, "bash", "-e", input=submission, THREAD=thread, PATH=f"{programs}:{os.environ['PATH']}")
    assert '"content":"Hi"' in printed.replace(" ", "")
    assert stack.sql("select title from chat.threads where user_id = 'bob' order by title") == [("0",), ("1",), ("2",)]


def test_an_operation_in_sql(stack, processor):
    stack.sql(next(block for block in re.findall(r"^```sql\n(.*?)^```$", README, re.M | re.S) if "remind" in block))
    block = next(block for block in re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S) if "op register" in block)
    programs = stack.directory / "op"
    programs.mkdir()
    (programs / "heddle").symlink_to(binary("TESTS_HEDDLE"))
    printed = run(stack, "bash", "-e", input=block, PATH=f"{programs}:{os.environ['PATH']}").splitlines()
    assert printed[0] == "remind app.remind" and printed[-1].startswith("remind app.remind attempts=5")
    assert stack.cli("await", printed[1]).returncode == 0
    assert stack.sql("select * from app.reminders") == [("alice", "milk")]


def test_looking_after_it(stack, processor):
    block = next(block for block in re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S) if "rebuild" in block)
    for line in block.splitlines():
        command = line.split("#")[0].split()
        assert command[0] == "heddle"
        done = stack.cli(*command[1:])
        assert done.returncode == 0, done.stdout + done.stderr
