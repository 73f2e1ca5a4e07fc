"""A corpus of thread operations and what must be in the database once all of them have run.

Made from a seed, the same every time. The expectation comes from a model of a page's length that
knows nothing of the implementation. Formats:

  operations   NDJSON in submission order: {user, op, thread?, payload, id?}
  expectation  TSV, a line a thread, sorted by bytes: user, thread id, active or archived, number of
               messages, md5 over `role\\0content\\n` of its messages in order
"""
from __future__ import annotations

import hashlib
import json
import random
import uuid
from dataclasses import dataclass, field

OPERATIONS = 3000
ODD_USERS = ["Zoë Müller", "{braces}", "日本語", "a b  c", "o'brien;--", "user:with:colons", "🧵"]
ROLES = ("user", "assistant", "system", "tool")
WORDS = ("loom", "thread", "weft", "café", "naïve", "\"quoted\"", "back\\slash", "новый", "織機",
         "🧶", "tab\there", "two\nlines", "%s", "'; --", "{}", "a", "of", "the", "and", "1234567890")

# What the database holds, in the expectation's format.
EXPECTATION_SQL = r"""
select concat_ws(E'\t', t.user_id, t.id, t.status, count(m.id), md5(coalesce(string_agg(
           convert_to(m.role, 'UTF8') || '\x00'::bytea || convert_to(m.content, 'UTF8')
           || '\x0a'::bytea, ''::bytea order by m.seq), ''::bytea)))
from chat.threads t left join chat.messages m on m.thread_id = t.id
group by t.id
order by t.user_id collate "C", t.id::text collate "C"
"""


@dataclass
class Thread:
    user: str
    is_archived: bool = False
    messages: list[tuple[str, str]] = field(default_factory=list)


class Model:
    """What the eight thread operations do, as far as the expectation can tell."""

    def __init__(self):
        self.threads: dict[str, Thread] = {}

    def apply(self, operation: dict) -> int:
        """Executes it; returns the code of its result."""
        name, payload = operation["op"], operation["payload"]
        if name == "create_thread":
            return self._create(operation["user"], payload["id"])
        if not 1 <= payload.get("limit", 1) <= 100:
            return 400
        if name == "list_threads":
            return 200
        if name == "send_message" and (payload["role"] not in ROLES or not payload["content"]):
            return 400
        thread = self.threads.get(operation["thread"])
        if not thread or thread.user != operation["user"]:
            return 404
        if name == "send_message":
            return self._send(thread, payload["role"], payload["content"])
        if name == "auto_rename":
            return 200 if any(role == "user" for role, _ in thread.messages) else 400
        if name == "delete_thread":
            thread.is_archived = True
        return 200

    def expectation(self) -> str:
        lines = []
        for identity, thread in self.threads.items():
            digest = hashlib.md5("".join(f"{r}\0{c}\n" for r, c in thread.messages).encode())
            lines.append("\t".join((thread.user, identity,
                                    "archived" if thread.is_archived else "active",
                                    str(len(thread.messages)), digest.hexdigest())) + "\n")
        return "".join(sorted(lines, key=str.encode))

    def _create(self, user: str, identity: str) -> int:
        if identity in self.threads:
            return 409
        self.threads[identity] = Thread(user)
        return 200

    def _send(self, thread: Thread, role: str, content: str) -> int:
        if thread.is_archived:
            return 409
        thread.messages.append((role, content))
        return 200


class Corpus:
    """The operations, the code each ends with, and the expectation."""

    def __init__(self, seed: int = 1, count: int = OPERATIONS):
        self._random = random.Random(seed)
        self._own: dict[str, list[str]] = {}
        model = Model()
        users = [f"user-{n:02}" for n in range(53)]
        users[5:5] = ODD_USERS
        weights = [1 / (rank + 2) for rank in range(len(users))]
        self.operations: list[dict] = []
        while len(self.operations) < count:
            user = self._random.choices(users, weights)[0]
            burst = self._random.choice((1, 1, 2, 3, 5, 40))
            self.operations += [self._operation(user) for _ in range(burst)]
        self.codes = [model.apply(operation) for operation in self.operations]
        self.expectation = model.expectation()

    def ndjson(self) -> str:
        return "".join(json.dumps(o, ensure_ascii=False) + "\n" for o in self.operations)

    def _operation(self, user: str) -> dict:
        threads = self._own.setdefault(user, [])
        if not threads or self._random.random() < 0.06:
            operation = self._create(threads)
        elif self._random.random() < 0.04:
            operation = self._refused(user, threads)
        else:
            operation = self._ordinary(self._random.choice(threads[-4:]))
        if self._random.random() < 0.5:
            operation["id"] = self._uuid()
        return {"user": user, **operation}

    def _create(self, threads: list[str]) -> dict:
        threads.append(self._uuid())
        return {"op": "create_thread",
                "payload": {"id": threads[-1], "title": self._text(3), "metadata": {"n": 1}}}

    def _ordinary(self, thread: str) -> dict:
        pick = self._random.choices(
            ("send_message", "get_messages", "get_thread", "list_threads", "update_thread",
             "auto_rename", "delete_thread"), (80, 6, 3, 3, 4, 3, 1))[0]
        page = {"limit": self._random.randint(1, 100), "offset": self._random.randint(0, 9)}
        payload = {
            "send_message": lambda: {"role": self._random.choice(ROLES),
                                     "content": self._text(self._random.choice((1, 9, 30, 900)))},
            "get_messages": lambda: page,
            "list_threads": lambda: {**page, "include_archived": self._random.random() < 0.5},
            "update_thread": lambda: {"metadata": {self._text(1): self._text(2)}},
        }.get(pick, dict)()
        where = {} if pick == "list_threads" else {"thread": thread}
        return {"op": pick, **where, "payload": payload}

    def _refused(self, user: str, threads: list[str]) -> dict:
        """Operations that must fail, whatever has run before."""
        others = [t for u, ts in self._own.items() if u != user for t in ts] or [self._uuid()]
        message = {"role": "user", "content": "hello"}
        return self._random.choice((
            {"op": "create_thread", "payload": {"id": threads[0]}},
            {"op": "send_message", "thread": self._random.choice(others), "payload": message},
            {"op": "delete_thread", "thread": self._random.choice(others), "payload": {}},
            {"op": "get_thread", "thread": self._uuid(), "payload": {}},
            {"op": "send_message", "thread": threads[0], "payload": {**message, "content": ""}},
            {"op": "send_message", "thread": threads[0], "payload": {**message, "role": "root"}},
            {"op": "get_messages", "thread": threads[0], "payload": {"limit": 101}},
            {"op": "list_threads", "payload": {"limit": 0}},
        ))

    def _text(self, words: int) -> str:
        return " ".join(self._random.choices(WORDS, k=words))

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
