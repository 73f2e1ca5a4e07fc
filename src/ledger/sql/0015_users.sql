-- What is asked about a user: what has not ended, what failed of late.

create index operations_failed on heddle.operations (finished_at, user_id) where state in ('failed', 'dead');
create index operations_set_aside on heddle.operations (user_id) where state in ('parked', 'scheduled');

-- Operations of a user: of the lane that have not ended (journal), set aside, failed and dead in the last
-- day, and those that wait for an operator. What is more than 100000 is not counted.
create function heddle.user_told(user_id text) returns json
language sql stable as $$
    select json_build_object('weight', heddle.weight_of($1),
        'journal', (select count(*) from (select from heddle.operations o
            where o.user_id = $1 and o.finished_at is null and o.seq is not null limit 100000) x),
        'set_aside', (select count(*) from (select from heddle.operations o
            where o.user_id = $1 and o.state in ('parked', 'scheduled') limit 100000) x),
        'failed', count(*) filter (where recent.state = 'failed'),
        'dead', count(*) filter (where recent.state = 'dead'),
        'letters', (select count(*) from heddle.dead d where d.user_id = $1 and d.state = 'dead'),
        'halted', (select count(*) from heddle.dead d where d.user_id = $1 and d.state = 'halted'))
      from (select o.state from heddle.operations o
             where o.user_id = $1 and o.state in ('failed', 'dead')
               and o.finished_at > clock_timestamp() - interval '1 day' limit 100000) recent
$$;

-- Users by how many of the last 100000 operations that failed or died in the last day are theirs.
create function heddle.failing_users(most integer)
returns table ("user" text, failed bigint, dead bigint)
language sql stable as $$
    select user_id, count(*) filter (where state = 'failed'), count(*) filter (where state = 'dead')
      from (select user_id, state from heddle.operations
             where state in ('failed', 'dead') and finished_at > clock_timestamp() - interval '1 day'
             order by finished_at desc limit 100000) recent
     group by user_id order by count(*) desc, user_id limit most
$$;

create function heddle.in_ms(at timestamptz) returns bigint
language sql immutable as $$
    select (extract(epoch from at) * 1000)::bigint
$$;

-- What the ledger knows of operations, and what operators have said of their users and ops. `asked`:
-- {ids, user, ops}, of which the user may be null. Answers {operations: by id, controls, first: where no id
-- is asked for, the user's operation that comes first}.
create function heddle.why(asked json) returns json
language sql stable as $$
    with known as (
        select o.* from heddle.operations o
         where o.id in (select i::uuid from json_array_elements_text(asked -> 'ids') i)),
    keys as (
        select 'all' as key union select 'users'
        union select 'user:' || user_id from (select asked ->> 'user' as user_id union select user_id from known) u
        union select 'op:' || op from (select json_array_elements_text(asked -> 'ops') as op union select op from known) o)
    select json_build_object(
        'operations', (select json_object_agg(k.id, json_build_object(
            'user', k.user_id, 'op', k.op, 'state', k.state, 'attempt', k.attempt, 'code', k.code, 'error', k.error,
            'has_ended', k.finished_at is not null, 'is_cancelled', k.cancelled_at is not null,
            'is_pending', exists (select from heddle.outbox b where b.seq = k.seq),
            'ended_ms', heddle.in_ms(k.finished_at),
            'due_ms', (select heddle.in_ms(p.due_at) from heddle.parked p where p.id = k.id),
            'halted_ms', (select heddle.in_ms(h.halted_at) from heddle.halted h where h.id = k.id),
            'failure', (select json_build_object('at_ms', heddle.in_ms(a.ended_at), 'processor', a.processor,
                                                 'error', a.error)
                          from heddle.attempts a where a.id = k.id order by a.ended_at desc limit 1)))
            from known k),
        'controls', (select json_agg(json_build_object(
            'kind', c.kind, 'key', c.key, 'since_ms', heddle.in_ms(c.set_at), 'by', c.set_by,
            'why', c.value ->> 'reason', 'limit', coalesce(c.value ->> 'rate', c.value ->> 'count')))
            from heddle.controls c join keys using (key) where c.value is not null),
        'first', case when json_array_length(asked -> 'ids') = 0 then coalesce(
            (select o.id from heddle.operations o
              where o.user_id = asked ->> 'user' and o.finished_at is null and o.seq is not null
              order by o.class, o.seq limit 1),
            (select o.id from heddle.operations o join heddle.parked p using (id)
              where o.user_id = asked ->> 'user' and o.state in ('parked', 'scheduled')
              order by p.due_at, o.id limit 1)) end)
$$;
