"""heddle submit: bad input on the command line and in NDJSON files, and what of it is sent."""
import gzip
import json

import pytest
from harness import new_id

OPERATION = {"user": "ann", "op": "create_thread", "payload": {"title": "t"}}
DEEP = '{"a":' * 20000 + "1" + "}" * 20000
HUGE = '{"a":"' + "x" * 2**20 + '"}'
# A value for each flag that makes a submission unfit.
BAD_FLAGS = {
    "an empty user": ("--user", ""),
    "a user of 257 bytes": ("--user", "x" * 257),
    "a user that is no utf-8": ("--user", b"\xff"),
    "an empty op": ("--op", ""),
    "an op that nobody knows": ("--op", "no.such_op"),
    "an op of other characters": ("--op", "Create Thread"),
    "a thread of 65 bytes": ("--thread", "x" * 65),
    "an id that is none": ("--id", "nonsense"),
    "a payload cut off": ("--payload", '{"a":'),
    "a list for payload": ("--payload", "[]"),
    "a text for payload": ("--payload", '"x"'),
    "a payload that is no utf-8": ("--payload", b'{"a":"\xff"}'),
    "a payload with an escaped 0": ("--payload", '{"a":"\\u0000"}'),
    "a file that is not there": ("--payload", "@/nonexistent/file"),
    "a flag that nobody knows": ("--colour", "red"),
    "a priority that there is not": ("--priority", "urgent"),
    "a time without an offset": ("--at", "2030-01-31T09:00:00"),
    "a delay without a unit": ("--delay", "5"),
    "a delay of two years": ("--delay", "730d"),
    "an empty batch": ("--batch", ""),
    "a time of uniqueness without a key": ("--unique-for", "5s"),
}
# Lines of a file that are no operation.
BAD_LINES = {
    "no JSON": b"nonsense",
    "a list": b"[]",
    "cut off": b'{"user":"ann","op":',
    "no utf-8": b'{"user":"\xff","op":"list_threads"}',
    "a byte 0": b'{"user":"a\0b","op":"list_threads"}',
    "an escaped 0": b'{"user":"a\\u0000b","op":"list_threads"}',
    "an escaped 0 in the payload": b'{"user":"ann","op":"create_thread","payload":{"title":"\\u0000"}}',
    "no user": b'{"op":"list_threads"}',
    "an empty user": b'{"user":"","op":"list_threads"}',
    "a number for user": b'{"user":5,"op":"list_threads"}',
    "a user of 257 bytes": json.dumps({**OPERATION, "user": "x" * 257}).encode(),
    "no op": b'{"user":"ann"}',
    "an op that nobody knows": b'{"user":"ann","op":"no.such_op"}',
    "a list for op": b'{"user":"ann","op":["list_threads"]}',
    "a thread of 65 bytes": json.dumps({**OPERATION, "thread": "x" * 65}).encode(),
    "a number for thread": b'{"user":"ann","op":"get_thread","thread":5}',
    "a text for payload": b'{"user":"ann","op":"list_threads","payload":"{}"}',
    "an id that is none": b'{"user":"ann","op":"list_threads","id":"nonsense"}',
    "a number for id": b'{"user":"ann","op":"list_threads","id":7}',
    "an unknown member": b'{"user":"ann","op":"list_threads","colour":"red"}',
    "a priority that there is not": b'{"user":"ann","op":"list_threads","priority":"urgent"}',
    "a number for batch": b'{"user":"ann","op":"list_threads","batch":7}',
    "a batch of 201 bytes": json.dumps({**OPERATION, "batch": "x" * 201}).encode(),
    "two times": b'{"user":"ann","op":"list_threads","delay_ms":5,"at_ms":5}',
    "a payload 20,000 deep": b'{"user":"ann","op":"list_threads","payload":' + DEEP.encode() + b"}",
    "a line 20,000 deep": b"[" * 20000,
    "a payload too large": b'{"user":"ann","op":"list_threads","payload":' + HUGE.encode() + b"}",
}


@pytest.fixture(scope="module", autouse=True)
def processor(stack):
    with stack.run(workers=2) as processor:
        yield processor


def submit(stack, *arguments, input=None, **flags):
    """The good operation, but for the given flags."""
    flat = [word for pair in {"--user": "ann", "--op": "create_thread", **flags}.items()
            for word in pair]
    return stack.cli("submit", "--direct", *flat, *arguments, input=input)


def submit_lines(stack, *arguments, lines: list[bytes]):
    path = stack.directory / "operations.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return stack.cli("submit", "--direct", "--file", str(path), *arguments)


def good_line(user: str) -> bytes:
    return json.dumps({**OPERATION, "user": user}).encode()


def threads_of(stack, user: str) -> int:
    return stack.sql("select count(*) from chat.threads where user_id = %s", user)[0][0]


def counts(done) -> dict:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("flag, value", BAD_FLAGS.values(), ids=BAD_FLAGS.keys())
def test_a_bad_flag_is_one_line_and_nothing_is_sent(stack, flag, value):
    queued = stack.sql("select count(*) from heddle.operations")
    done = submit(stack, **{flag: value})
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert stack.sql("select count(*) from heddle.operations") == queued


@pytest.mark.parametrize("payload", [DEEP, HUGE, " ", "nonsense", "\0"],
                         ids=["deep", "huge", "blank", "nonsense", "byte 0"])
@pytest.mark.parametrize("by", ["file", "stdin"])
def test_a_bad_payload_from_a_file_is_refused(stack, by, payload):
    path = stack.directory / "payload"
    path.write_text(payload)
    if by == "file":
        done = submit(stack, **{"--payload": f"@{path}"})
    else:
        done = submit(stack, **{"--payload": "-"}, input=payload.encode())
    assert (done.returncode, done.stdout) == (2, ""), (done.stdout, done.stderr[:300])
    assert done.stderr.count("\n") == 1


def test_a_good_payload_may_come_from_argument_file_or_stdin(stack, user):
    text = '{"title":"zwölf\\n🧵"}'
    path = stack.directory / "payload"
    path.write_text(text)
    for value in (text, f"@{path}", "-"):
        done = submit(stack, "--wait", **{"--user": user, "--payload": value}, input=text.encode())
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["data"]["title"] == "zwölf\n🧵"


@pytest.mark.parametrize("name", ["{braces}", "a b", "cr\r\nlf", "-dash", "x" * 256, "é" * 128])
def test_any_other_user_may_submit(stack, name):
    done = submit(stack, "--wait", **{"--user": name})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["data"]["user_id"] == name


def test_the_same_id_with_other_content_is_refused(stack, user):
    identity = new_id()
    first = submit(stack, "--wait", **{"--user": user, "--id": identity})
    assert first.returncode == 0
    other = submit(stack, "--wait", **{"--user": user, "--id": identity,
                                       "--payload": '{"title":"other"}'})
    assert other.returncode == 1
    assert "in use by another operation" in other.stderr
    assert threads_of(stack, user) == 1


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_stops_a_file_before_anything_is_sent(stack, user, line):
    done = submit_lines(stack, "--wait", lines=[good_line(user), line, good_line(user)])
    assert done.returncode != 0
    assert "line 2" in done.stderr or ":2:" in done.stderr, done.stderr[:500]
    assert threads_of(stack, user) == 0


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_goes_to_the_rejects_and_the_others_are_sent(stack, user, line):
    rejects = stack.directory / "rejects.ndjson"
    done = submit_lines(stack, "--wait", "--rejects", str(rejects), "--output", "json",
                        lines=[good_line(user), line, good_line(user)])
    assert counts(done)["done"] == 2, done.stderr[:500]
    assert threads_of(stack, user) == 2
    assert line in rejects.read_bytes()


def test_a_file_that_fails_in_parts_tells_how_many(stack, user):
    missing = json.dumps({"user": user, "op": "get_thread", "thread": new_id()}).encode()
    done = submit_lines(stack, "--wait", "--output", "json",
                        lines=[good_line(user), missing, good_line(user), missing, missing])
    assert done.returncode == 1
    assert {k: v for k, v in counts(done).items() if k in ("submitted", "done", "failed", "dead")} == {
        "submitted": 5, "done": 2, "failed": 3, "dead": 0}


@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["nothing", "empty lines"])
def test_a_file_without_operations_is_fine(stack, content):
    path = stack.directory / "empty.ndjson"
    path.write_bytes(content)
    assert stack.cli("submit", "--direct", "--file", str(path), "--wait").returncode == 0


def test_a_last_line_needs_no_newline_and_lines_may_end_in_cr_lf(stack, user):
    path = stack.directory / "dos.ndjson"
    path.write_bytes(good_line(user) + b"\r\n" + good_line(user))
    assert stack.cli("submit", "--direct", "--file", str(path), "--wait").returncode == 0
    assert threads_of(stack, user) == 2


def test_a_file_may_come_by_stdin_and_compressed(stack, user):
    line = good_line(user) + b"\n"
    packed = stack.directory / "packed.ndjson.gz"
    packed.write_bytes(gzip.compress(line))
    assert stack.cli("submit", "--direct", "--file", str(packed), "--wait").returncode == 0
    assert stack.cli("submit", "--direct", "--file", "-", "--wait", input=line).returncode == 0
    assert threads_of(stack, user) == 2


def test_a_compressed_file_that_is_cut_off_is_refused(stack, user):
    packed = stack.directory / "cut.ndjson.gz"
    whole = gzip.compress(b"".join(good_line(user) + b"\n" for _ in range(1000)))
    packed.write_bytes(whole[:len(whole) - 10])
    done = stack.cli("submit", "--direct", "--file", str(packed), "--wait")
    assert done.returncode != 0
    assert threads_of(stack, user) == 0


def test_a_file_that_is_not_there_is_one_line(stack):
    done = stack.cli("submit", "--direct", "--file", "/nonexistent/file")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_file_interrupted_and_run_again_by_its_batch_repeats_nothing(stack, user):
    lines = [good_line(user) for _ in range(300)]
    for _ in range(3):
        done = submit_lines(stack, "--wait", "--batch", f"batch-{user}", lines=lines)
        assert done.returncode == 0, done.stderr
    assert threads_of(stack, user) == 300


def test_no_progress_is_drawn_where_stderr_is_no_terminal(stack, user):
    done = submit_lines(stack, "--wait", lines=[good_line(user) for _ in range(50)])
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
