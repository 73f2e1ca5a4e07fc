"""heddle.submit_many is heddle.submit for each of them in turn: what it answers, what it leaves behind."""
import json
import random
import threading
import uuid

import psycopg2
import pytest
from harness import new_id
from servers import until

MANY = ("select id::text, refusal from heddle.submit_many(%s::text[], %s::text[], %s::text[], %s::text[],"
        " %s::uuid[], %s::text[]::jsonb[])")
ONE = "select heddle.submit_text(%s, %s, %s, %s, %s::uuid, %s::jsonb)::text"

# A row an operation, its place in its lane in place of its numbers.
ROWS = """
select user_id, rank() over (partition by user_id order by seq), o.id::text, op, thread, digest::text, state,
       payload::text, options::text, coalesce(p.id::text, prev::text)
  from heddle.operations o left join lateral
       (select id from heddle.operations p where p.user_id = o.user_id and p.seq = o.prev) p on true
 order by 1, 2
"""
TAILS = """
select lane, o.id::text, h.seq is not null, h.seq = t.seq
  from heddle.lane_tails t left join heddle.operations o on o.user_id = t.lane and o.seq = t.seq
       left join heddle.lane_heads h using (lane) order by 1
"""
OUTBOX = """
select o.user_id, rank() over (partition by o.user_id order by x.seq), o.id::text, x.seq = o.seq, x.seq > 0
  from heddle.outbox x left join heddle.operations o using (id) order by 1, 2
"""
NEXT = "select id from heddle.operations where user_id = %s and finished_at is null order by seq limit 1"
END = "update heddle.operations set state = 'done', finished_at = now(), payload = null where id = %s"


class Script:
    """The same random calls and ends for whoever asks."""

    USERS = ["ann", "bob", "Çiğdem", "cy", "zoë", "_", "", "u" * 256, "u" * 257, None]
    OPS = ["work"] * 12 + ["a.b_9", "Work", "", "o" * 65, "wörk", None]
    PAYLOADS = ['{}', '{"n": 1}', '{"n":1}', '{"text": "say \\"hi\\" \\\\ {,}"}', '{"n": "✓"}'] * 4 + [
        "[]", '"text"', "{", "", "nul", '{"a":"\\u0000"}', "[" * 20000, '{"x":"' + "y" * 1048576 + '"}', None]
    THREADS = ["t-1"] * 6 + [None, "", "t" * 64, "t" * 65]
    OPTIONS = [None] * 12 + ['{"attempts": 3}', '{"attempts": 0}', '{"attempts": "3", "on_failure": "park"}',
                             '{"on_failure": "panic"}', '{"backoff_ms": "soon"}', '{"deadline_ms": 2592000001}',
                             '{"colour": 1}']

    def __init__(self, seed: int):
        self.choose = random.Random(seed)
        self.ids = [str(uuid.UUID(int=self.choose.getrandbits(128), version=4))
                    for _ in range(60)]

    def calls(self, rounds: int):
        for _ in range(rounds):
            users = self.choose.sample(self.USERS[:6], 4) + self.choose.sample(self.USERS[6:], 1)
            call = [(self.choose.choice(users if self.choose.random() < 0.2 else users[:3]),
                     self.choose.choice(self.OPS), self.choose.choice(self.PAYLOADS),
                     self.choose.choice(self.THREADS), self.choose.choice(self.ids),
                     self.choose.choice(self.OPTIONS)) for _ in range(self.choose.randint(1, 24))]
            ends = [self.choose.choice(self.USERS[:6]) for _ in range(self.choose.randint(0, 8))]
            yield call, ends, self.choose.random() < 0.4


def many(cursor, call) -> list[tuple]:
    cursor.execute(MANY, [list(column) for column in zip(*call)])
    return cursor.fetchall()


def one_by_one(cursor, call) -> list[tuple]:
    answers = []
    for operation in call:
        cursor.execute("savepoint one")
        try:
            cursor.execute(ONE, operation)
            answers.append((cursor.fetchone()[0], None))
        except psycopg2.Error as error:
            text = error.diag.message_primary
            answers.append((operation[4], text if text.startswith("HEDDLE") else f"HEDDLE invalid {text}"))
            cursor.execute("rollback to savepoint one")
    return answers


def history(stack, submit, script: Script) -> list:
    """What is to be seen after each call; nothing of it stays."""
    seen = []
    connection = stack.postgres.connect(stack.database)
    connection.autocommit = False
    try:
        with connection.cursor() as cursor:
            for call, ends, is_forgotten in script.calls(12):
                seen += zip(call, submit(cursor, call))
                for user in ends:
                    cursor.execute(NEXT, (user,))
                    for operation in cursor.fetchall():
                        cursor.execute("select heddle.enter(%s, 1, 1)", operation)
                        cursor.execute(END, operation)
                if is_forgotten:
                    cursor.execute("select heddle.forget_idle_lanes(100)")
                for look in (ROWS, TAILS, OUTBOX):
                    cursor.execute(look)
                    seen += cursor.fetchall()
    finally:
        connection.rollback()
        connection.close()
    return seen


@pytest.mark.parametrize("seed", range(12))
def test_it_answers_and_leaves_behind_what_single_submissions_do(stack, seed):
    expected, found = (history(stack, submit, Script(seed)) for submit in (one_by_one, many))
    for n, (one, other) in enumerate(zip(expected, found)):
        assert one == other, n
    assert len(expected) == len(found)


def work(user: str, operation: str, n: int = 1) -> tuple:
    return user, "work", json.dumps({"n": n}), None, operation, None


def submit_aside(stack, call, answers: list) -> threading.Thread:
    """In a transaction of its own; it may have to wait."""
    def body():
        connection = stack.postgres.connect(stack.database)
        try:
            with connection.cursor() as cursor:
                answers.append(many(cursor, call))
        except psycopg2.Error as error:
            answers.append(error.pgcode)
        finally:
            connection.close()
    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("by", [many, one_by_one])
def test_who_submits_the_same_at_the_same_time_is_told_to_come_again(stack, user, by):
    call = [work(user, new_id(), n) for n in range(3)]
    answers: list = []
    first = stack.postgres.connect(stack.database)
    first.autocommit = False
    with first.cursor() as cursor:
        by(cursor, call)
        second = submit_aside(stack, call, answers)
        until(lambda: stack.sql("select 1 from pg_locks where not granted"), "the second one waits", 10)
        first.commit()
    first.close()
    second.join(10)
    assert answers == ["40001"]
    submit_aside(stack, call, answers).join(10)
    assert answers[1] == [(operation[4], None) for operation in call]
    assert stack.sql("select count(*) from heddle.operations where user_id = %s", user) == [(3,)]


def test_a_single_submission_beside_the_same_one_gives_its_place_back(stack, user):
    """Two places: behind what is there, and in a lane that is new."""
    for operation in (new_id(), new_id()):
        first = stack.postgres.connect(stack.database)
        first.autocommit = False
        failures: list = []

        def submit_again(operation=operation, failures=failures):
            connection = stack.postgres.connect(stack.database)
            with connection.cursor() as cursor:
                try:
                    cursor.execute(ONE, work(user + "-other", operation))
                except psycopg2.Error as error:
                    failures.append(error.diag.message_primary)
            connection.close()

        with first.cursor() as cursor:
            cursor.execute(ONE, work(user, operation))
            second = threading.Thread(target=submit_again, daemon=True)
            second.start()
            until(lambda: stack.sql("select 1 from pg_locks where not granted"), "the second one waits", 10)
            first.commit()
        first.close()
        second.join(10)
        # Another user, so other content.
        assert failures == ["HEDDLE conflict the id is in use by another operation"]
        stack.sql(ONE, *work(user + "-other", new_id()))
    assert stack.sql("select t.seq = o.seq, o.prev = p.seq from heddle.lane_tails t"
                     " join heddle.operations o on o.user_id = t.lane and o.seq = t.seq"
                     " join heddle.operations p on p.user_id = t.lane and p.prev = 0"
                     " where t.lane = %s", user + "-other") == [(True, True)]


@pytest.mark.parametrize(("options", "word"), [('{"colour": 1}', "unknown option"), ("[1]", "a JSON object"),
                                               ("null", "a JSON object")])
def test_options_that_nobody_knows_are_refused(stack, user, options, word):
    [(_, refusal)] = stack.sql(MANY, [user], ["work"], ["{}"], [None], [None], [options])
    assert refusal.startswith("HEDDLE invalid ") and word in refusal


def test_too_many_at_once_are_refused_together(stack, user):
    with pytest.raises(psycopg2.Error, match="HEDDLE invalid at most 1000 operations at once"):
        stack.sql(MANY, *[list(column) for column in zip(*(work(user, new_id()) for _ in range(1001)))])
    answers = stack.sql(MANY, *[list(c) for c in zip(*(work(user, new_id(), n) for n in range(1000)))])
    assert [refusal for _, refusal in answers] == [None] * 1000
    assert stack.sql("select count(*), count(distinct seq), max(seq) - min(seq) from heddle.operations"
                     " where user_id = %s", user) == [(1000, 1000, 999)]
    assert stack.sql("select count(*) from (select prev <> lag(seq, 1, 0::bigint) over (order by seq) as is_wrong"
                     " from heddle.operations where user_id = %s) chain where is_wrong", user) == [(0,)]
