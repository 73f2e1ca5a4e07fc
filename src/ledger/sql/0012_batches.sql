-- Follow-ups and batches.

-- What an operation enqueues, in its own transaction and behind its effects: lane tails are taken last,
-- in the order in which everybody takes them. One that is refused fails the transaction.
create function heddle.follow_up(users text[], ops text[], payloads text[], threads text[], ids uuid[],
                                 options jsonb[]) returns void
language plpgsql as $$
declare
    problem text;
begin
    perform set_config('heddle.is_exempt', 'on', true);
    if cardinality(users) > 1 then
        select min(refusal) into problem from heddle.submit_many(users, ops, payloads, threads, ids, options);
    else
        -- The faster one for one.
        begin
            perform heddle.submit_text(users[1], ops[1], payloads[1], threads[1], ids[1], options[1]);
        exception when others then
            if sqlerrm not like 'HEDDLE %' then
                raise;
            end if;
            problem := sqlerrm;
        end;
    end if;
    perform set_config('heddle.is_exempt', 'off', true);
    if problem is not null then
        raise exception using errcode = 'invalid_parameter_value',
            message = regexp_replace(problem, '^(HEDDLE \w+)', '\1 follow-up:');
    end if;
end $$;

-- Batches: operations that are counted together. One is there as soon as an operation names it; its row
-- here says that nothing more comes, and what is to be executed once all of it has ended.

-- What is cancelled takes no effect any more, even where its lane has still to come to it.
create index operations_of_batch on heddle.operations (batch, (coalesce(finished_at, cancelled_at)))
    where batch is not null;

create table heddle.batches (
    name            text primary key,
    closed_at       timestamptz not null default clock_timestamp(),
    cancelled_at    timestamptz,
    completion      jsonb,
    completion_id   uuid,
    even_on_failure boolean not null default false,
    completed_at    timestamptz,
    is_followed     boolean not null default false,
    created_at      timestamptz,
    done            bigint,
    failed          bigint,
    dead            bigint,
    cancelled       bigint
);
create index batches_pending on heddle.batches (closed_at) where completed_at is null;
comment on table heddle.batches is 'Batches that are closed';
comment on column heddle.batches.completion is 'The operation that is submitted once all have ended: user, op, thread, payload; null: none';
comment on column heddle.batches.even_on_failure is 'Also where some of them are not done';
comment on column heddle.batches.is_followed is 'The completion was submitted';
comment on column heddle.batches.created_at is 'As the counts, of when it was completed: first submission of its operations';

-- What has become of a batch's operations, as far as Postgres knows: not of direct ones that were not
-- tried yet, and where Redis has them `queued` counts none. A dead one that was retried is another one.
create function heddle.batch_counts(batch_name text, out created_at timestamptz, out queued bigint, out done bigint,
                                    out failed bigint, out dead bigint, out cancelled bigint)
language sql stable as $$
    select min(submitted_at),
           count(*) filter (where coalesce(finished_at, cancelled_at) is null
                              and (seq is not null or state in ('parked', 'scheduled'))),
           count(*) filter (where state = 'done'),
           count(*) filter (where state = 'failed'),
           greatest(count(*) filter (where state = 'dead') - count(retry_of), 0),
           count(*) filter (where state = 'cancelled')
      from heddle.operations where batch = batch_name
$$;

create function heddle.check_batch(name text) returns void
language plpgsql as $$
begin
    if name is null or octet_length(name) not between 1 and 200 then
        raise exception 'HEDDLE invalid batch must be 1 to 200 bytes of UTF-8 without NUL'
            using errcode = 'invalid_parameter_value';
    end if;
end $$;

-- Nothing more comes: once all of the batch has ended, the completion `op` is submitted, exactly once; where
-- some of it is not done only if `even_on_failure`. Again is fine; a completion may also be added as long as
-- the batch is not complete. Returns the id that the completion has, or will have.
create function heddle.batch_close(name text, op text default null, user_id text default null,
                                   payload jsonb default '{}', thread text default null,
                                   even_on_failure boolean default false) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    asked   jsonb := case when op is not null then jsonb_build_object('op', op, 'user', user_id, 'payload', payload,
                                                                      'thread', nullif(thread, '')) end;
    problem text;
    entry   heddle.batches;
begin
    perform heddle.check_batch(name);
    if asked is not null then
        problem := coalesce(heddle.refusal(user_id, op, thread, payload::text), heddle.refusal(payload::json, null));
    elsif user_id is not null then
        problem := 'HEDDLE invalid a completion has a user and an op';
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    end if;
    insert into heddle.batches as b (name, completion, completion_id, even_on_failure)
        values (name, asked, case when asked is not null then gen_random_uuid() end, even_on_failure)
        on conflict on constraint batches_pkey do update
        set completion = excluded.completion, completion_id = excluded.completion_id,
            even_on_failure = excluded.even_on_failure
        where b.completion is null and excluded.completion is not null and b.completed_at is null;
    select * into entry from heddle.batches b where b.name = batch_close.name;
    if asked is not null and (entry.completion is distinct from asked or entry.even_on_failure <> even_on_failure) then
        raise exception 'HEDDLE conflict the batch is closed already, with another completion'
            using errcode = 'unique_violation';
    end if;
    return entry.completion_id;
end $$;

-- Up to `most` operations of the batch that have not begun are cancelled, and it is closed. Returns how many
-- those were: none are left where that is 0, but what is being executed right now.
create function heddle.batch_cancel(name text, most integer default 1000) returns integer
language plpgsql as $$
#variable_conflict use_variable
declare
    pending   record;
    cancelled integer := 0;
begin
    perform heddle.check_batch(name);
    insert into heddle.batches as b (name, cancelled_at) values (name, clock_timestamp())
        on conflict on constraint batches_pkey do update set cancelled_at = clock_timestamp()
        where b.cancelled_at is null and b.completed_at is null;
    for pending in
        select id from heddle.operations o
         where o.batch = batch_cancel.name and coalesce(o.finished_at, o.cancelled_at) is null
         limit most for update skip locked
    loop
        perform heddle.cancel(pending.id);
        cancelled := cancelled + 1;
    end loop;
    return cancelled;
end $$;

-- A batch that is closed, and all of it has ended: it is complete, and its completion is submitted. To be
-- called once Redis has none of its operations. Waits for nobody. Returns 'complete'; 'not yet'; or why not.
create function heddle.batch_complete(name text) returns text
language plpgsql set lock_timeout = '20ms' as $$
#variable_conflict use_variable
declare
    entry   heddle.batches;
    counts  record;
    follows boolean;
begin
    select * into entry from heddle.batches b where b.name = batch_complete.name and b.completed_at is null for update;
    if not found or exists (select from heddle.operations o
                             where o.batch = batch_complete.name and coalesce(o.finished_at, o.cancelled_at) is null) then
        return 'not yet';
    end if;
    counts := heddle.batch_counts(name);
    follows := entry.completion is not null
               and (entry.even_on_failure or counts.failed + counts.dead + counts.cancelled = 0);
    if follows then
        perform set_config('heddle.is_exempt', 'on', true);
        perform heddle.submit_text(entry.completion ->> 'user', entry.completion ->> 'op', entry.completion ->> 'payload',
                                   entry.completion ->> 'thread', entry.completion_id);
        perform set_config('heddle.is_exempt', 'off', true);
    end if;
    update heddle.batches b
       set completed_at = clock_timestamp(), is_followed = follows, created_at = counts.created_at, done = counts.done,
           failed = counts.failed, dead = counts.dead, cancelled = counts.cancelled
     where b.name = batch_complete.name;
    return 'complete';
exception when lock_not_available then
    return 'not yet';
when others then
    return sqlerrm;
end $$;

-- Closed batches of which Postgres knows nothing that has not ended.
create function heddle.batches_ending(most integer) returns setof text
language sql stable as $$
    select name from heddle.batches b
     where completed_at is null
       and not exists (select from heddle.operations o
                        where o.batch = b.name and coalesce(o.finished_at, o.cancelled_at) is null)
     order by closed_at limit most
$$;

-- As it was; where the dead one's batch had ended without its completion, it may have it yet.
create or replace function heddle.take_letter(op_id uuid) returns void
language plpgsql as $$
begin
    delete from heddle.dead_letters where id = op_id;
    if not found then
        raise exception 'HEDDLE not_found % is no dead letter and halts no lane', op_id using errcode = 'no_data_found';
    end if;
    update heddle.batches b set completed_at = null
      from heddle.operations o
     where o.id = op_id and b.name = o.batch and b.completed_at is not null and b.completion is not null
       and not b.is_followed;
end $$;

create function heddle.batch(batch_name text, out name text, out state text, out created_at timestamptz,
                             out closed_at timestamptz, out cancelled_at timestamptz, out completed_at timestamptz,
                             out completion_id uuid, out is_followed boolean, out queued bigint, out done bigint,
                             out failed bigint, out dead bigint, out cancelled bigint)
language sql stable as $$
    select batch_name,
           case when b.name is null then 'open' when b.completed_at is not null then 'complete'
                when b.cancelled_at is not null then 'cancelled' else 'closed' end,
           coalesce(b.created_at, c.created_at), b.closed_at, b.cancelled_at, b.completed_at, b.completion_id,
           b.is_followed, coalesce(c.queued, 0), coalesce(c.done, b.done), coalesce(c.failed, b.failed),
           coalesce(c.dead, b.dead), coalesce(c.cancelled, b.cancelled)
      from (values (1)) as one (n)
      left join heddle.batches b on b.name = batch_name
      -- What is complete was counted then.
      left join lateral heddle.batch_counts(batch_name) c on b.completed_at is null
$$;

-- Each batch: those that are closed, and those that operations name, found by steps along the index.
create view heddle.batch_status as
    with recursive named (name) as (
        (select min(batch) from heddle.operations where batch is not null)
        union all
        select (select min(o.batch) from heddle.operations o where o.batch > named.name)
          from named where named.name is not null)
    select b.* from (select name from named where name is not null union select name from heddle.batches) n,
           lateral heddle.batch(n.name) b;
comment on view heddle.batch_status is 'Each batch and what has become of it; queued: none of those that are in Redis alone';
