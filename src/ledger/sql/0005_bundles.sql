-- Bundles: operations of several lanes in one transaction, by statements over all of them. Plans of
-- these walk along indexes, whatever the tables hold when they are made: to that end each table is
-- also asked for `= any (…)`.

-- A direct operation's row is inserted when it has ended, once; one of the journal changes what the
-- indexes hold. Neither has use for room on its page.
alter table heddle.operations reset (fillfactor);

-- As lane_lock, for each of them.
create function heddle.lane_locks(lane_keys bigint[]) returns void
language plpgsql as $$
declare
    lane_key bigint;
begin
    foreach lane_key in array lane_keys loop
        if not pg_try_advisory_xact_lock(lane_key) then
            raise exception 'a lane is held by another transaction' using errcode = 'lock_not_available';
        end if;
    end loop;
end $$;

-- Enters operations of the journal, a lane's in their order, each to be run for the first time. The
-- caller holds the lanes' locks. What enter tells apart is one thing here: HD008, at least one of them
-- does not fit, or not yet; alone each of them will be told why.
create function heddle.enter_many(op_ids uuid[]) returns void
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    misfits bigint;
begin
    perform from heddle.operations where id = any (op_ids) order by id for update;
    with asked as materialized (
        select o.user_id as lane, o.seq, o.prev, o.state = 'queued' and o.attempt = 0 as is_new,
               lag(o.seq) over (partition by o.user_id order by e.n) as before
          from unnest(op_ids) with ordinality as e (id, n)
          left join (select * from heddle.operations where id = any (op_ids)) o using (id)),
    moves as materialized (
        select lane, min(prev) as head, max(seq) as new_head,
               coalesce(bool_and(is_new and prev = coalesce(before, prev)), false) as fits
          from asked group by lane),
    begun as (
        insert into heddle.lane_heads (lane, seq) select lane, new_head from moves where fits and head = 0
            on conflict do nothing returning 1),
    advanced as (
        update heddle.lane_heads h set seq = m.new_head
          from moves m where m.fits and m.head > 0 and h.lane = m.lane and h.seq = m.head
           and h.lane = any (array(select lane from moves)) returning 1)
    select (select count(*) from moves) - (select count(*) from begun) - (select count(*) from advanced)
      into misfits;
    if misfits <> 0 then
        raise exception 'an operation of the bundle is not to be run now' using errcode = 'HD008';
    end if;
end $$;

-- They have ended so, after their first attempt: the journal's rows of them are completed.
create function heddle.finish_many(op_ids uuid[], states text[], codes bigint[], results json[], errors json[])
returns void
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    update heddle.operations o
       set state = e.state::heddle.operation_state, code = e.code, result = e.result, error = e.error,
           attempt = 1, started_at = coalesce(o.started_at, now()), finished_at = clock_timestamp(),
           payload = case when e.state = 'done' then null else o.payload end
      from unnest(op_ids, states, codes, results, errors) as e (id, state, code, result, error)
     where o.id = e.id and o.id = any (op_ids);
end $$;

-- Appends messages to threads of their users, a thread's in their order: each gets the thread's next
-- seq, and all the same time. `metadata` is a member of the payload. A row a message, in their order:
-- empty where the user has no such thread, or it is archived, and nothing was appended. metadata is
-- null where it is {}.
create function chat.append_messages(thread_ids uuid[], user_ids text[], payloads json[], ids uuid[],
                                     roles text[], contents text[])
returns table (seq bigint, metadata text, created_at text)
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
begin
    return query
    with asked as materialized (
        select *, row_number() over (partition by thread_id, user_id order by n) as place
          from unnest(thread_ids, user_ids, payloads, ids, roles, contents) with ordinality
               as a (thread_id, user_id, payload, id, role, content, n)),
    t as (
        update chat.threads as t set last_seq = last_seq + g.number, updated_at = at
          from (select thread_id, user_id, max(place) as number from asked group by 1, 2) as g
         where t.id = g.thread_id and t.user_id = g.user_id and t.status = 'active'
           and t.id = any (thread_ids)
        returning t.id, t.user_id, t.last_seq - g.number as before),
    m as (
        insert into chat.messages as m (id, thread_id, seq, role, content, metadata, created_at)
        select a.id, t.id, t.before + a.place, a.role, a.content,
               coalesce(nullif(a.payload::jsonb -> 'metadata', 'null'), '{}'), at
          from asked as a join t on t.id = a.thread_id and t.user_id = a.user_id
         order by a.n
        returning m.id, m.seq, nullif(m.metadata, '{}')::text as metadata)
    select m.seq, m.metadata, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
      from asked as a left join m using (id) order by a.n;
end $$;
