"""What follows from submissions: follow-ups, completions of batches, ticks, and what becomes of
submissions that share a unique key."""
from __future__ import annotations

from collections import Counter, defaultdict

from submissions import ACKNOWLEDGED, MERGED, REFUSED, UNKNOWN, Submission

TICK = "tick"


def start_ticking(sql) -> float:
    """From when on."""
    return sql("select extract(epoch from heddle.cron_add(%s, '@every 1s', 'ticks', 'chaos_step', '{\"n\": 0}',"
               " catch_up => 'all'))::float8", TICK)[0][0]


def stop_ticking(sql, since: float) -> list[Submission]:
    """All ticks that there were to be."""
    rows = sql("select heddle.cron_id(name, tick)::text, extract(epoch from tick)::float8"
               " from (select c.*, heddle.cron_remove(name) from heddle.cron c where name = %s) c,"
               " generate_series(to_timestamp(%s), next_at - interval '1 second', interval '1 second') tick",
               TICK, since)
    return [Submission(id, "ticks", 0, True, told=ACKNOWLEDGED, sent_at=at, told_at=at) for id, at in rows]


def with_derived(submissions: list[Submission], times: Counter, sql) -> list[Submission]:
    """And those that nobody but Heddle has submitted: there have to be as many follow-ups as effects, and
    a completion of each batch that is closed."""
    follow_ups = [Submission(s.work["follow"], s.lane, s.n, True, told=ACKNOWLEDGED if times[s.id] else REFUSED)
                  for s in submissions if "follow" in s.work]
    completions = [Submission(id, user, 0, True, told=ACKNOWLEDGED) for id, user in sql(
        "select completion_id::text, completion ->> 'user' from heddle.batches")]
    return submissions + follow_ups + completions


def judge_batches(submissions: list[Submission], effects: list, redis_lost_data: bool) -> list[str]:
    """A completion comes behind all of its batch. A try that nobody heard of any more may come when the
    batch is complete; so may a direct one that Redis lost and a processor had in hand."""
    last, completed = {}, {}
    batches = {s.id: s.batch for s in submissions
               if s.batch and not s.is_stray and (s.is_durable or not redis_lost_data)}
    for effect in effects:
        if effect.id in batches:
            last[batches[effect.id]] = effect
        elif effect.lane.startswith("behind-"):
            completed[effect.lane.removeprefix("behind-")] = effect
    return [f"{batch}: its completion {completed[batch].id} ran before {effect.id} of it"
            for batch, effect in last.items() if batch in completed and completed[batch].place < effect.place]


def judge_unique(submissions: list[Submission], effects: list, ledger: dict, redis_lost_data: bool,
                 has_time: bool) -> list[str]:
    found, keys = [], defaultdict(list)
    by_id = {s.id: s for s in submissions}
    for s in submissions:
        if s.unique_key:
            keys[s.lane, s.unique_key].append(s)
    ran = {effect.id: effect for effect in effects}
    for effect in effects:
        s = by_id.get(effect.id)
        group = keys[s.lane, s.unique_key] if s and s.replaces else []
        if s and effect.n not in _may_be(s, group, redis_lost_data and not s.is_durable):
            found.append(f"{s}: took effect with n {effect.n}")
    for group in keys.values():
        found += _judge_answers(group, by_id)
        found += _judge_cancelled(group, ledger)
        if has_time and not group[0].replaces and (group[0].is_durable or not redis_lost_data):
            found += _judge_exclusion(group, ledger)
    return found


def _may_be(holder: Submission, group: list[Submission], may_be_lost: bool) -> set[int]:
    """The newest that was answered with its id, or an older one where Redis lost that; also those whose
    fate is unknown, which may come late."""
    answered = [holder.n, *(s.n for s in group if s.into == holder.id)]
    return {*(answered if may_be_lost else [max(answered)]), *(s.n for s in group if s.is_stray)}


def _judge_answers(group: list[Submission], by_id: dict[str, Submission]) -> list[str]:
    found = []
    for s in group:
        if not s.into or s.into == s.id:
            continue
        holder = by_id.get(s.into)
        if not holder or (holder.lane, holder.unique_key) != (s.lane, s.unique_key):
            found.append(f"{s}: was answered {s.into}, which has another key")
        elif holder.told == UNKNOWN and s.told == MERGED:
            # Now it is known.
            holder.told = ACKNOWLEDGED
    return found


def _judge_cancelled(group: list[Submission], ledger: dict) -> list[str]:
    """Of those that were accepted none makes way but for a newer one."""
    accepted = [s for s in group if s.id in ledger]
    return [f"{s}: cancelled, and none replaced it" for place, s in enumerate(accepted)
            if ledger[s.id][0] == "cancelled" and place == len(accepted) - 1 and not any(o.is_stray for o in group)]


def _judge_exclusion(group: list[Submission], ledger: dict) -> list[str]:
    """One that was accepted has found none before it that had not ended."""
    accepted = [s for s in group if s.told == ACKNOWLEDGED and s.id in ledger and not s.is_stray]
    return [f"{after}: was accepted while {before} had the key" for before, after in zip(accepted, accepted[1:])
            if ledger[before.id][2] is None or ledger[before.id][2] > after.told_at]
