"""The common work of the contestants, and what it must have left behind.

Operation i of `count`, from 0: bursts of `burst` operations of a user, then of the next, in rounds;
each with its number among its user's, from 1, and one of the ten threads. peer.mjs, sidekiq.rb and
peer.c make the same. (Heddle's own are made by `heddle bench`, of the same size and order.)
"""
from __future__ import annotations

from dataclasses import asdict, dataclass

THREADS, CONTENT_BYTES = 10, 200

SEED_SQL = f"""
insert into chat.threads (id, user_id, title)
select (lpad(u::text, 8, '0') || '-0000-4000-8000-' || lpad(t::text, 12, '0'))::uuid, 'user-' || u, 'bench'
from generate_series(1, %s) u, generate_series(1, {THREADS}) t
"""

# The content of a message begins with its number among its user's and its thread's.
LEFT_BEHIND_SQL = """
with m as (
    select t.user_id, t.id, m.seq, t.last_seq, left(m.content, 10)::int as number,
           row_number() over (partition by t.id order by m.seq) as nth,
           count(*) over (partition by t.id) as size,
           lag(left(m.content, 10)::int) over (partition by t.id order by m.seq) as before,
           right(t.id::text, 12)::int = substr(m.content, 12, 2)::int as is_in_place
    from chat.messages m join chat.threads t on t.id = m.thread_id),
u as (select user_id, count(*) as n, count(distinct number) as d, max(number) as most from m group by 1)
select (select count(*) from m),
       (select count(*) from m where nth <> seq or last_seq <> size or not is_in_place),
       (select count(*) from u where n <> d or most <> n),
       (select count(*) from m where before >= number)
"""

GAPS_SQL = """
select count(*) from (select last_seq, (select count(*) from chat.messages m where m.thread_id = t.id)
                      as messages, (select max(seq) from chat.messages m where m.thread_id = t.id)
                      as seq from chat.threads t) threads
where last_seq <> messages or last_seq <> coalesce(seq, 0)
"""


@dataclass(frozen=True)
class Work:
    kind: str  # noop or message
    count: int
    users: int
    burst: int

    def plan(self, **more) -> dict:
        """What a contestant's program is told."""
        about = asdict(self)
        return {"work": about.pop("kind"), **about, **more}

    def verify_messages(self, stack, is_ordered: bool) -> None:
        """Each message once, in its thread, without gaps; each user's in order where that is kept."""
        messages, misplaced, wrong_users, early = stack.sql(LEFT_BEHIND_SQL)[0]
        assert messages == self.count, f"{messages} messages of {self.count}"
        assert misplaced == 0, f"{misplaced} messages in the wrong place"
        assert wrong_users == 0, f"{wrong_users} users with a gap or a repetition"
        assert early == 0 or not is_ordered, f"{early} messages out of order"

    def verify_runs(self, told: dict, is_ordered: bool) -> None:
        """What a contestant's handlers counted themselves."""
        counted = (told["runs"], told["once"], told["repeated"])
        assert counted == (self.count, self.count, 0), f"{counted} of {self.count}"
        assert not is_ordered or told["early"] == 0, f"{told['early']} runs out of order"
