"""The common work: `send_message` of users with ten threads each, in bursts.

A message's content carries its number, so what is in the database shows what was lost, repeated
or out of order.
"""
from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

THREADS, BURST, CONTENT_BYTES = 10, 20, 200
DIGITS = 8

SEED_SQL = f"""
insert into chat.threads (id, user_id, title)
select (lpad(u::text, 8, '0') || '-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'user-' || u, 'bench'
from generate_series(1, %s) u, generate_series(1, {THREADS}) t
"""

# A thread a row: its messages' numbers in the order of seq, null where something else is wrong.
LEFT_BEHIND_SQL = f"""
select t.id::text,
       case when max(m.seq) = count(*) and min(m.seq) = 1 and t.last_seq = count(*)
                 and bool_and(m.role = 'user' and octet_length(m.content) = {CONTENT_BYTES})
            then array_agg(left(m.content, {DIGITS})::int order by m.seq) end
from chat.threads t join chat.messages m on m.thread_id = t.id
group by t.id
"""

GAPS_SQL = """
select count(*) from (select last_seq, (select count(*) from chat.messages m where m.thread_id = t.id)
                      as messages, (select max(seq) from chat.messages m where m.thread_id = t.id)
                      as seq from chat.threads t) threads
where last_seq <> messages or last_seq <> coalesce(seq, 0)
"""


def thread_id(user: int, thread: int) -> str:
    return f"{user:08}-0000-4000-8000-{thread:012}"


def content(number: int) -> str:
    return f"{number:0{DIGITS}} ".ljust(CONTENT_BYTES, "x")


class Workload:
    """`count` messages of `users` users: a burst of 20 of one user, then one of another, …"""

    def __init__(self, count: int, users: int, seed: int = 1):
        choose = random.Random(seed)
        order = list(range(1, users + 1))
        self.users = users
        self.messages: list[tuple[int, int]] = []
        while len(self.messages) < count:
            choose.shuffle(order)
            self.messages += [(user, choose.randint(1, THREADS)) for user in order
                              for _ in range(BURST)]
        del self.messages[count:]

    def __len__(self) -> int:
        return len(self.messages)

    def operations(self) -> Iterator[dict]:
        for number, (user, thread) in enumerate(self.messages):
            yield {"user": f"user-{user}", "op": "send_message", "thread": thread_id(user, thread),
                   "payload": {"role": "user", "content": content(number)}}

    def write(self, path: Path) -> None:
        with open(path, "w") as file:
            file.writelines(json.dumps(operation) + "\n" for operation in self.operations())

    def verify(self, stack) -> None:
        """Each message once, in the order of submission of its thread, done in the ledger."""
        expected = defaultdict(list)
        for number, (user, thread) in enumerate(self.messages):
            expected[thread_id(user, thread)].append(number)
        found = dict(stack.sql(LEFT_BEHIND_SQL))
        wrong = [thread for thread in expected.keys() | found.keys()
                 if found.get(thread) != expected.get(thread)]
        assert not wrong, f"messages of {len(wrong)} threads, {wrong[0]} among them"
        states = stack.sql("select state, op, count(*) from heddle.status group by 1, 2")
        assert states == [("done", "send_message", len(self))], f"ledger: {states}"
