"""FCALL heddle_submit: what it takes, what it refuses, and that a bad guest disturbs nobody."""
import json
import uuid

import pytest
from harness import new_id
from servers import until
from redis import ResponseError

MESSAGE = {"role": "user", "content": "hello"}
NOT_OBJECTS = {
    "nothing but blanks": b"  ",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "null": b"null",
    "cut off": b'{"a":',
    "more behind it": b"{} {}",
    "a comment": b"{/**/}",
    "single quotes": b"{'a':1}",
    "nan": b'{"a":NaN}',
    "a control character": b'{"a":"\n"}',
    "no utf-8": b'{"a":"\xff"}',
    "overlong utf-8": b'{"a":"\xc0\xaf"}',
    "a surrogate": b'{"a":"\xed\xa0\x80"}',
    "half a surrogate pair": b'{"a":"\\ud800"}',
    "a byte 0": b'{"a":"\0"}',
    "an escaped 0": b'{"a":"\\u0000"}',
    "an escaped 0 in a name": b'{"\\u0000":1}',
    "20,000 objects deep": b'{"a":' * 20000 + b"1" + b"}" * 20000,
    "20,000 lists deep": b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}",
    "20,000 open braces": b'{"a":' * 20000,
    "65 deep": b'{"a":' * 65 + b"1" + b"}" * 65,
}
WRONG_MESSAGES = {
    "no content": {"role": "user"},
    "empty content": {**MESSAGE, "content": ""},
    "null content": {**MESSAGE, "content": None},
    "a number for content": {**MESSAGE, "content": 5},
    "a list for content": {**MESSAGE, "content": ["hello"]},
    "no role": {"content": "hello"},
    "another role": {**MESSAGE, "role": "root"},
    "a number for role": {**MESSAGE, "role": 1},
    "a text for metadata": {**MESSAGE, "metadata": "x"},
    "an unknown member": {**MESSAGE, "seq": 1},
}


@pytest.fixture(scope="module", autouse=True)
def processor(stack):
    with stack.run(workers=4) as processor:
        yield processor
    check = stack.cli("check", "--output", "json")
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.fixture(autouse=True)
def neighbours_go_on(client, user):
    """Whatever a test submits, another lane is served."""
    yield
    assert client.do(user + "-neighbour", "list_threads")["state"] == "done"


def refusal_of(client, *arguments) -> str:
    """The text of the refusal; nothing of it has reached the queue."""
    with pytest.raises(ResponseError) as refusal:
        client.redis.execute_command("FCALL", "heddle_submit", 0, *arguments)
    lane = f"heddle:{{{client.partition(arguments[0])}}}:lane:".encode()
    name = arguments[0] if isinstance(arguments[0], bytes) else arguments[0].encode()
    assert not client.redis.exists(lane + name)
    return str(refusal.value)


def assert_failed(result: dict, kind: str, code: int) -> None:
    assert (result["state"], result["code"], result["error"]["kind"]) == ("failed", code, kind), result
    assert result["error"]["message"]


def assert_conflict(client, *submission, **options) -> None:
    """At once where Redis still knows the id, else by the ledger; no result is given away."""
    try:
        result = client.do(*submission, **options)
    except ResponseError as refusal:
        assert str(refusal).startswith("HEDDLE conflict ")
    else:
        assert_failed(result, "conflict", 409)
        assert "data" not in result


def thread_of(client, user: str) -> str:
    return client.do(user, "create_thread")["data"]["id"]


@pytest.mark.parametrize("name", [b"", b"x" * 257, b"nul\0in it", b"\xff\xfe", b"\xc0\xaf",
                                  b"\xed\xa0\x80", b"cut\xe2\x82"],
                         ids=["empty", "257 bytes", "byte 0", "no utf-8", "overlong", "surrogate",
                              "cut"])
def test_an_unfit_user_is_invalid(client, name):
    assert refusal_of(client, name, "list_threads", "", "{}").startswith("HEDDLE invalid user ")


@pytest.mark.parametrize("name", ["{braces}", "{", "}{0}", "a b", "cr\r\nlf", "'; drop table --",
                                  "日本", "*", "\x01\x7f", "x" * 256, "é" * 128],
                         ids=["braces", "open", "shut", "blank", "cr lf", "sql", "kanji", "star",
                              "controls", "256 bytes", "256 bytes of é"])
def test_any_other_user_is_served(client, name):
    thread = client.do(name, "create_thread", payload={"title": "t"})
    assert thread["state"] == "done", thread
    assert thread["data"]["user_id"] == name
    sent = client.do(name, "send_message", thread["data"]["id"], MESSAGE)
    assert sent["state"] == "done", sent


@pytest.mark.parametrize("op", ["", "x" * 65, "Send_Message", "send message", "send-message",
                                "send_message\n", "é", "a\0b"])
def test_an_unfit_op_is_invalid(client, user, op):
    assert refusal_of(client, user, op, "", "{}").startswith("HEDDLE invalid op ")


@pytest.mark.parametrize("thread", [b"x" * 65, b"\xff", b"a\0b"])
def test_an_unfit_thread_is_invalid(client, user, thread):
    refusal = refusal_of(client, user, "get_thread", thread, "{}")
    assert refusal.startswith("HEDDLE invalid thread ")


def test_a_payload_above_the_limit_is_invalid(client, user):
    refusal = refusal_of(client, user, "send_message", "", b"x" * (2**20 + 1))
    assert refusal.startswith("HEDDLE invalid payload ")


def test_a_payload_of_exactly_the_limit_is_served(client, user):
    thread = thread_of(client, user)
    frame = '{"role":"user","content":"%s"}'
    content = "x" * (2**20 - len(frame) + 2)
    result = client.do(user, "send_message", thread, frame % content)
    assert result["state"] == "done", str(result)[:500]


@pytest.mark.parametrize("options", [
    ("nonsense", "1"), ("", ""), ("ID", str(uuid.uuid4())), ("id",), ("reply", "1", "id"),
    ("reply", "yes"), ("reply", "2"), ("reply", ""), ("trace", "\0"), ("trace", "x" * 513)],
    ids=lambda options: " ".join(options)[:20].replace("\0", "0") or "empty")
def test_an_unfit_option_is_invalid(client, user, options):
    refusal = refusal_of(client, user, "list_threads", "", "{}", *options)
    assert refusal.startswith("HEDDLE invalid ")


@pytest.mark.parametrize("identity", ["", "1", "nonsense", "x" * 36, "0" * 32, "0" * 36,
                                      "g0000000-0000-4000-8000-000000000000",
                                      "00000000-0000-4000-8000-000000000000\n",
                                      "{00000000-0000-4000-8000-000000000000}"])
def test_an_id_that_is_none_is_invalid(client, user, identity):
    refusal = refusal_of(client, user, "list_threads", "", "{}", "id", identity)
    assert refusal.startswith("HEDDLE invalid option id ")
    with pytest.raises(ResponseError, match="^HEDDLE invalid "):
        client.status(user, identity)


@pytest.mark.parametrize("arguments", [(), ("u",), ("u", "list_threads"), ("u", "list_threads", "")],
                         ids=len)
def test_too_few_arguments_are_invalid(client, arguments):
    with pytest.raises(ResponseError, match="^HEDDLE invalid "):
        client.redis.execute_command("FCALL", "heddle_submit", 0, *arguments)


def test_no_bytes_of_the_user_stand_in_a_refusal(client):
    secret = "s3cret"
    for arguments in ((secret * 99, "list_threads", "", "{}"), (secret, secret.upper(), "", "{}"),
                      (secret, "list_threads", secret * 20, "{}"),
                      (secret, "list_threads", "", "{}", secret, "1"),
                      (secret, "list_threads", "", "{}", "id", secret),
                      (secret, "list_threads", "", "{}", "reply", secret)):
        refusal = refusal_of(client, *arguments)
        assert secret not in refusal.lower() and "\n" not in refusal


@pytest.mark.parametrize("payload", NOT_OBJECTS.values(), ids=NOT_OBJECTS.keys())
def test_a_payload_that_is_no_json_object_ends_as_invalid(client, user, payload):
    assert_failed(client.do(user, "list_threads", payload=payload), "invalid", 400)
    assert client.do(user, "list_threads")["state"] == "done"


def test_an_empty_payload_is_an_empty_object(client, user):
    assert client.do(user, "list_threads", payload=b"")["state"] == "done"


def test_a_payload_may_be_64_deep(client, user):
    deepest = b'{"metadata":' + b'{"a":' * 62 + b"{}" + b"}" * 63
    assert client.do(user, "create_thread", payload=deepest)["state"] == "done"


@pytest.mark.parametrize("payload", WRONG_MESSAGES.values(), ids=WRONG_MESSAGES.keys())
def test_a_member_of_the_wrong_kind_ends_as_invalid(client, user, payload):
    thread = thread_of(client, user)
    assert_failed(client.do(user, "send_message", thread, payload), "invalid", 400)
    assert client.do(user, "get_thread", thread)["data"]["message_count"] == 0


@pytest.mark.parametrize("page", [{"limit": 0}, {"limit": 101}, {"limit": -1}, {"limit": "5"},
                                  {"limit": 5.5}, {"limit": True}, {"limit": 1e300},
                                  {"offset": -1}, {"offset": 2**63}, {"offset": {}},
                                  {"cursor": "nonsense"}, {"cursor": 5},
                                  {"include_archived": "yes"}, {"unknown": 1}], ids=json.dumps)
def test_a_page_out_of_bounds_ends_as_invalid(client, user, page):
    assert_failed(client.do(user, "list_threads", payload=page), "invalid", 400)


@pytest.mark.parametrize("thread", ["", "nonsense", "'; drop table chat.threads; --", "0" * 32])
@pytest.mark.parametrize("op", ["get_thread", "send_message", "delete_thread", "auto_rename"])
def test_a_thread_that_is_no_id_ends_as_invalid(client, user, op, thread):
    payload = MESSAGE if op == "send_message" else {}
    assert_failed(client.do(user, op, thread, payload), "invalid", 400)


@pytest.mark.parametrize("op", ["get_thread", "update_thread", "delete_thread", "get_messages",
                                "auto_rename", "send_message"])
def test_the_thread_of_another_user_is_not_found(client, user, op):
    thread = thread_of(client, user + "-owner")
    payload = MESSAGE if op == "send_message" else {}
    foreign = client.do(user, op, thread, payload)
    missing = client.do(user, op, new_id(), payload)
    assert_failed(foreign, "not_found", 404)
    assert foreign["error"] == missing["error"]
    untouched = client.do(user + "-owner", "get_thread", thread)["data"]
    assert (untouched["status"], untouched["message_count"]) == ("active", 0)


def test_the_same_submission_again_is_the_same_operation(client, user):
    thread, operation = thread_of(client, user), new_id()
    results = [client.do(user, "send_message", thread, MESSAGE, id=operation) for _ in range(3)]
    assert {result["id"] for result in results} == {operation}
    assert results[0]["data"] == results[1]["data"] == results[2]["data"]
    assert client.do(user, "get_thread", thread)["data"]["message_count"] == 1


def test_an_id_in_upper_case_is_the_same_id(client, user):
    thread, operation = thread_of(client, user), new_id()
    client.do(user, "send_message", thread, MESSAGE, id=operation)
    again, _ = client.submit(user, "send_message", thread, json.dumps(MESSAGE), reply=1,
                             id=operation.upper())
    assert again == operation
    assert client.result(user, operation)["data"]["seq"] == 1
    assert client.do(user, "get_thread", thread)["data"]["message_count"] == 1


def test_each_submission_with_reply_gets_one_reply(client, user):
    operation = new_id()
    for _ in range(5):
        client.submit(user, "create_thread", id=operation, reply=1)
    replies = [client.result(user, operation) for _ in range(5)]
    assert all(reply == replies[0] for reply in replies)
    assert not client.redis.exists(client.reply_key(user, operation))


@pytest.mark.parametrize("op, payload", [("create_thread", {"id": new_id()}), ("send_message", MESSAGE),
                                         ("update_thread", {"title": "t"}), ("auto_rename", {}),
                                         ("delete_thread", {})], ids=lambda value: str(value)[:13])
def test_an_operation_that_redis_has_forgotten_gives_its_recorded_result(client, user, op, payload):
    thread = "" if op == "create_thread" else thread_of(client, user)
    if op == "auto_rename":
        client.do(user, "send_message", thread, MESSAGE)
    operation = new_id()
    results = []
    for _ in range(2):
        results.append(client.do(user, op, thread, payload, id=operation))
        for key in client.redis.keys("heddle:*:results:*"):
            client.redis.delete(key)
    assert results[0]["state"] == "done", results
    assert results[0] == results[1]


def test_a_refusal_that_redis_has_forgotten_stays_what_it_was(client, user):
    identity, operation = new_id(), new_id()
    first = client.do(user, "update_thread", identity, {"title": "t"}, id=operation)
    assert_failed(first, "not_found", 404)
    client.do(user, "create_thread", payload={"id": identity})
    for key in client.redis.keys("heddle:*:results:*"):
        client.redis.delete(key)
    assert client.do(user, "update_thread", identity, {"title": "t"}, id=operation) == first


@pytest.mark.parametrize("change", [{"op": "get_thread"}, {"thread": str(uuid.uuid4())},
                                    {"payload": '{"limit":1}'}], ids=lambda c: next(iter(c)))
def test_the_same_id_with_other_content_is_a_conflict_while_it_waits(client, user, change):
    first = {"user": user, "op": "no.such_op", "thread": "", "payload": "{}"}
    operation, _ = client.submit(**first)
    with pytest.raises(ResponseError, match="^HEDDLE conflict "):
        client.submit(**{**first, **change}, id=operation)


@pytest.mark.parametrize("change", [{"op": "list_threads"}, {"thread": str(uuid.uuid4())},
                                    {"payload": '{"title":"b"}'}], ids=lambda c: next(iter(c)))
def test_the_same_id_with_other_content_is_a_conflict_after_its_end(client, user, change):
    first = {"op": "create_thread", "thread": "", "payload": '{"title":"a"}'}
    operation = client.do(user, **first)["id"]
    assert_conflict(client, user, **{**first, **change}, id=operation)
    assert len(client.do(user, "list_threads")["data"]["threads"]) == 1


def test_the_id_of_another_user_is_a_conflict_and_gives_nothing_away(client, user):
    payload = {"title": "private"}
    operation = client.do(user + "-owner", "create_thread", payload=payload)["id"]
    for guest in (f"{user}-guest-{n}" for n in range(4)):
        assert_conflict(client, guest, "create_thread", payload=payload, id=operation)
        assert client.do(guest, "list_threads")["data"]["threads"] == []


def test_a_user_in_the_wrong_partition_is_invalid(client, user):
    wrong = client.partition(user) + 1
    with pytest.raises(ResponseError, match="^HEDDLE invalid "):
        client.redis.execute_command("FCALL", "heddle_submit", 1, f"heddle:{{{wrong}}}", user,
                                     "list_threads", "", "{}")


def test_an_op_that_nobody_knows_halts_its_own_lane_only(client, user):
    unknown, _ = client.submit(user, "no.such_op")
    behind, _ = client.submit(user, "list_threads", reply=1)
    until(lambda: client.status(user, unknown)[0] == "halted", "the lane is halted")
    assert client.do(user + "-b", "list_threads")["state"] == "done"
    assert client.status(user, behind)[0] in ("halted", "queued")


def test_a_lane_goes_on_once_a_processor_knows_its_operation(new_stack):
    client = new_stack.client
    with new_stack.run():
        operation, _ = client.submit("u", "probe_record", payload='{"n":1}', reply=1)
        until(lambda: client.status("u", operation)[0] == "halted", "the lane is halted")
    with new_stack.probe():
        assert client.result("u", operation)["state"] == "done"
    assert new_stack.sql("select count from probe.counters where lane = 'u'") == [(1,)]
