"""Operations that are functions of the database: registered, executed like those that ship, gone again."""
import json

import pytest
from servers import until

USERS, NOTES = 20, 20

SQL = """
create schema app;
create table app.notes (number bigint generated always as identity, user_id text not null, thread text,
                        text text not null check (text <> 'forbidden'));
create function app.note("user" text, thread text, payload jsonb) returns jsonb language plpgsql as $$
declare note bigint;
begin
    if payload ->> 'text' is null then
        raise exception using errcode = 'HE404', message = 'no text in it';
    elsif payload ? 'code' then
        raise exception using errcode = payload ->> 'code', message = 'as asked';
    end if;
    insert into app.notes (user_id, thread, text) values ("user", thread, payload ->> 'text') returning number into note;
    return jsonb_build_object('number', note, 'xid', pg_current_xact_id()::text);
end $$;
create function app.note_loudly("user" text, thread text, payload jsonb) returns jsonb language sql as $$
    insert into app.notes (user_id, thread, text) values ($1, $2, upper($3 ->> 'text')) returning jsonb_build_object('number', number)
$$;
create function app.count_notes("user" text, thread text, payload jsonb) returns jsonb language sql stable as $$
    select jsonb_build_object('count', count(*)) from app.notes where user_id = $1
$$;
create function app.nothing("user" text, thread text, payload jsonb) returns jsonb language sql as 'select null::jsonb';
create function app.other("user" text, payload jsonb) returns jsonb language sql as 'select $2';
create function app.number("user" text, thread text, payload jsonb) returns integer language sql as 'select 1';
create function app.several("user" text, thread text, payload jsonb) returns setof jsonb language sql as 'select $3';
create procedure app.act("user" text, thread text, payload jsonb) language sql as '';
"""


@pytest.fixture(scope="module", autouse=True)
def functions(stack):
    stack.sql(SQL)


@pytest.fixture
def register(stack):
    """Registers an operation until the test ends."""
    names = []

    def register(name: str, function: str, *flags: str) -> str:
        done = stack.cli("op", "register", name, function, *flags)
        assert done.returncode == 0, done.stderr
        names.append(name)
        return done.stdout
    yield register
    for name in set(names):
        stack.cli("op", "remove", name)


def payload(**members) -> str:
    return json.dumps(members)


def notes_of(stack, user: str) -> list[str]:
    return [text for text, in stack.sql("select text from app.notes where user_id = %s order by number", user)]


@pytest.mark.parametrize("flags", [(), ("--never-bundle",)], ids=["bundled", "alone"])
def test_they_run_exactly_once_in_order_with_refusals_among_them(stack, client, register, flags):
    """Two processors; every seventh refuses, which fails the set that it is in."""
    register("note", "app.note", *flags)
    name = "alone" if flags else "bundled"
    users = [f"{name}-{i}" for i in range(USERS)]
    ids = {user: [] for user in users}
    for n in range(NOTES):
        for user in users:
            members = {} if n % 7 == 3 else {"text": f"{n}"}
            ids[user].append(client.submit(user, "note", "t", payload(**members), reply=1)[0])
    durable = [stack.sql("select heddle.submit(%s, 'note', '{\"text\":\"last\"}', 't')::text", user)[0][0] for user in users]
    transactions = []
    with stack.run(workers=2), stack.run(workers=2):
        for user in users:
            for n, operation in enumerate(ids[user]):
                answer = client.result(user, operation)
                if n % 7 == 3:
                    assert (answer["state"], answer["code"], answer["error"]) == (
                        "failed", 404, {"kind": "not_found", "message": "no text in it"})
                else:
                    assert answer["state"] == "done"
                    transactions.append(answer["data"]["xid"])
        for operation in durable:
            assert stack.cli("await", operation).returncode == 0
    for user in users:
        assert notes_of(stack, user) == [f"{n}" for n in range(NOTES) if n % 7 != 3] + ["last"]
    assert stack.sql("select count(*) from app.notes where user_id = any (%s) and thread <> 't'", users) == [(0,)]
    assert (len(set(transactions)) == len(transactions)) == bool(flags)
    assert stack.sql("select max(attempt) from heddle.operations where user_id = any (%s)", users) == [(1,)]


def test_a_running_processor_learns_of_them_and_of_their_end(stack, client, register, user):
    with stack.run():
        waiting, _ = client.submit(user, "note_later", payload=payload(text="1"), reply=1)
        until(lambda: client.status(user, waiting)[0] == "halted", "nobody knows it yet")
        register("note_later", "app.note")
        assert client.result(user, waiting)["state"] == "done"
        register("note_later", "app.note_loudly")
        until(lambda: client.do(user, "note_later", payload=payload(text="a"))["state"] == "done"
              and notes_of(stack, user)[-1] == "A", "the other function is called")
        assert stack.cli("op", "remove", "note_later").returncode == 0
        sent = []

        def is_halted():
            sent.append(client.submit(user, "note_later", payload=payload(text="b"), reply=1)[0])
            until(lambda: client.status(user, sent[-1])[0] in ("halted", "done"), "it is done or halted")
            return client.status(user, sent[-1])[0] == "halted"
        until(is_halted, "its lane halts again")
        before = len(notes_of(stack, user))
        register("note_later", "app.note_loudly")
        assert client.result(user, sent[-1])["state"] == "done"
        assert len(notes_of(stack, user)) == before + 1


def test_errors_mean_what_they_mean_in_any_operation(stack, client, register, user):
    register("note_once", "app.note", "--attempts", "1")
    register("note_count", "app.count_notes", "--read-only")
    register("note_wrongly", "app.note", "--read-only")
    register("note_nothing", "app.nothing")
    codes = {"HE400": ("failed", "invalid"), "HE403": ("failed", "forbidden"), "HE404": ("failed", "not_found"),
             "HE409": ("failed", "conflict"), "HE410": ("failed", "expired"), "HE413": ("failed", "too_large"),
             "HE500": ("dead", "internal"), "HE499": ("dead", "internal"), "23514": ("failed", "conflict"),
             "22023": ("failed", "invalid"), "40001": ("dead", "internal"), "P0001": ("dead", "internal")}
    with stack.run():
        for code, end in codes.items():
            answer = client.do(user, "note_once", payload=payload(text="never", code=code))
            assert (answer["state"], answer["error"]["kind"], answer["error"]["message"]) == (*end, "as asked"), code
        assert client.do(user, "note_once", payload=payload(text="forbidden"))["error"]["kind"] == "conflict"
        assert notes_of(stack, user) == []
        assert client.do(user, "note_once", payload=payload(text="one"))["state"] == "done"
        assert client.do(user, "note_count")["data"] == {"count": 1}
        assert client.do(user, "note_wrongly", payload=payload(text="two"))["state"] == "dead"
        assert client.do(user, "note_nothing")["data"] is None
    assert notes_of(stack, user) == ["one"]
    assert stack.sql("select count(*) from heddle.operations where user_id = %s and op = 'note_count'", user) == [(0,)]


def test_the_command_line_knows_them(stack, register):
    line = ("submit", "--user", "submitter", "--op", "note_known", "--payload", '{"text":"milk"}')
    refused = stack.cli(*line)
    assert refused.returncode == 2 and "op = note_known" in refused.stderr and "send_message" in refused.stderr
    assert register("note_known", "app.note", "--attempts", "3", "--on-failure", "park", "--by", "ann") == "note_known app.note\n"
    with stack.run():
        assert stack.cli(*line, "--wait").returncode == 0
        file = "".join(f'{{"user":"submitter","op":"note_known","payload":{{"text":"{n}"}}}}\n' for n in range(3))
        assert stack.cli("submit", "--direct", "--wait", "--file", "-", input=file.encode()).returncode == 0
    assert notes_of(stack, "submitter") == ["milk", "0", "1", "2"]
    listed = {row["op"]: row for row in map(json.loads, stack.cli("op", "list", "--output", "json").stdout.splitlines())}
    assert listed["send_message"]["from"] == "shipped"
    known = listed["note_known"]
    assert (known["from"], known["function"], known["set_by"], known["options"]) == (
        "function", "app.note", "ann", {"attempts": 3, "on_failure": "park"})
    assert " note_known app.note attempts=3 on_failure=\"park\" since=" in " " + stack.cli("op", "list").stdout.replace("\n", " ")
    away = stack.cli(*line, "--direct", "--postgres", "host=/nonexistent dbname=x")
    assert away.returncode == 4 and "postgres = " in away.stderr


def test_check_tells_of_one_whose_function_is_gone_or_another(stack, register):
    stack.sql("create function app.brief(\"user\" text, thread text, payload jsonb) returns jsonb language sql as 'select $3'")
    register("note", "app.note")
    register("brief", "app.brief")
    sound = stack.cli("check")
    assert sound.returncode == 0 and "brief" not in sound.stdout
    stack.sql("drop function app.brief(text, text, jsonb)")
    gone = stack.cli("check")
    assert gone.returncode == 1 and "of op brief: function app.brief(text, text, jsonb) does not exist" in gone.stdout
    assert "app.note" not in gone.stdout
    stack.sql("create function app.brief(\"user\" text, thread text, payload jsonb) returns integer language sql as 'select 1'")
    other = stack.cli("check")
    assert other.returncode == 1 and "returns integer" in other.stdout


def test_what_does_not_fit_is_refused_with_one_line(stack, register):
    cases = {
        ("register", "note_bad", "app.absent"): "function app.absent(text, text, jsonb) does not exist",
        ("register", "note_bad", "app.other"): "does not exist; there is app.other(text,jsonb)",
        ("register", "note_bad", "app.number"): "is one that returns integer: allowed is a function that returns jsonb",
        ("register", "note_bad", "app.several"): "is one that returns setof jsonb",
        ("register", "note_bad", "app.act"): "is a procedure",
        ("register", "note_bad", "app.note(text"): "allowed is the name of one, SCHEMA.FUNCTION",
        ("register", "Note", "app.note"): "a-z0-9_.",
        ("register", "send_message", "app.note"): "there is one already",
        ("register", "note_bad", "app.note", "--attempts", "0"): "attempts",
        ("register", "note_bad"): "register NAME SCHEMA.FUNCTION",
        ("list", "--by", "me"): "--by",
        ("forget", "note_bad"): "allowed are list, register and remove",
    }
    for words, reason in cases.items():
        done = stack.cli("op", *words)
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2 and reason in line, (words, line)
    unknown = stack.cli("op", "remove", "note_bad")
    assert unknown.returncode == 1 and "op note_bad is not registered" in unknown.stderr
    assert stack.sql("select count(*) from heddle.handlers where function is not null") == [(0,)]
