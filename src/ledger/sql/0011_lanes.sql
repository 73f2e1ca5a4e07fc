-- Lanes with classes: each class of a lane's operations has numbers, a head and a tail of its own. And
-- lanes with strands: where a user may have several operations under way, order is that of a thread.

alter table heddle.lane_tails
    add column class smallint not null default 0,
    drop constraint lane_tails_pkey,
    add primary key (lane, class);

alter table heddle.lane_heads
    add column class smallint not null default 0,
    drop constraint lane_heads_pkey,
    add primary key (lane, class);

comment on table heddle.lane_heads is
    'The number of the last operation of a lane''s class that has ended; 0: nobody keeps it, for they end in no order';

drop index heddle.operations_unfinished;
create index operations_unfinished on heddle.operations (user_id, class, seq)
    where finished_at is null and seq is not null;

-- Takes what a strand of a lane needs, not waiting for anybody: the lane, beside other strands; its
-- thread and its place alone.
create function heddle.strand_lock(lane_key bigint, thread_key bigint, place_key bigint) returns void
language plpgsql as $$
begin
    if not (pg_try_advisory_xact_lock_shared(lane_key) and pg_try_advisory_xact_lock(thread_key)
            and pg_try_advisory_xact_lock(place_key)) then
        raise exception 'the lane is held by another transaction' using errcode = 'lock_not_available';
    end if;
end $$;

-- As it was, in its class.
create or replace function heddle.enter_lane(op_id uuid, user_id text) returns void
language plpgsql as $$
declare
    numbers record;
begin
    insert into heddle.lane_tails as t (lane, class, prev, seq)
        select o.user_id, o.class, 0, nextval('heddle.operation_seq') from heddle.operations o where o.id = op_id
        on conflict (lane, class) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
        returning t.prev, t.seq into numbers;
    update heddle.operations o
       set prev = numbers.prev, seq = numbers.seq, state = case when o.cancelled_at is null then 'queued' else o.state end
     where o.id = op_id;
    insert into heddle.outbox (seq, id) values (numbers.seq, op_id);
    perform heddle.wake_relay();
end $$;

-- Forgets lanes that are idle: head and tail agree, or nobody keeps the head and nothing is unfinished. A
-- head that somebody keeps may have stayed behind what strands have ended: now and then such lanes are looked at.
-- Numbers go on from the sequence.
create or replace function heddle.forget_idle_lanes(most integer) returns integer
language plpgsql as $$
declare
    lanes     text[];
    classes   smallint[];
    forgotten integer;
begin
    select array_agg(idle.lane), array_agg(idle.class) into lanes, classes from (
        select t.lane, t.class from heddle.lane_tails t join heddle.lane_heads h using (lane, class)
         where h.seq = t.seq or ((h.seq = 0 or random() < 0.02) and not exists (
               select from heddle.operations o where o.user_id = t.lane and o.class = t.class
                  and o.finished_at is null and o.seq is not null))
         order by t.lane, t.class limit most for update skip locked) idle;
    -- What was submitted before they were locked is seen only now.
    with tails as (
        delete from heddle.lane_tails t using unnest(lanes, classes) idle (lane, class)
         where t.lane = idle.lane and t.class = idle.class and not exists (
               select from heddle.operations o where o.user_id = t.lane and o.class = t.class
                  and o.finished_at is null and o.seq is not null)
        returning t.lane, t.class, t.seq)
    delete from heddle.lane_heads h using tails
     where h.lane = tails.lane and h.class = tails.class;
    get diagnostics forgotten = row_count;
    return forgotten;
end $$;

drop function heddle.enter(uuid, bigint, integer, text);

-- Takes the lane's lock and fails the transaction, with all that is sent behind it, unless the
-- operation is to be run now for the `tried`-th time, or its `decision` to be written: as
-- open_operation does, and
--   HD002 another one of its lane's class, or in a strand of its thread in it, comes first
--   HD007 it has been tried so often already: Redis was not told
-- An operation of the journal also takes its place in the lane. With `thread_key` it is one of a
-- strand: see strand_lock.
create function heddle.enter(op_id uuid, lane_key bigint, tried integer, decision text default null,
                             thread_key bigint default null, place_key bigint default null) returns void
language plpgsql as $$
declare
    entry heddle.operations;
begin
    if thread_key is null then
        perform heddle.lane_lock(lane_key);
    else
        perform heddle.strand_lock(lane_key, thread_key, place_key);
    end if;
    entry := heddle.open_operation(op_id, decision);
    if decision is null and entry.attempt >= tried then
        raise exception 'the operation has been tried % times', entry.attempt using errcode = 'HD007';
    elsif entry.state = 'halted' then
        delete from heddle.halted where id = op_id;
    end if;
    if entry.seq is null then
        return;
    elsif thread_key is not null then
        -- Strands would wait for each other at this row: one of them sees to it that nobody keeps it.
        if not exists (select from heddle.lane_heads h
                        where h.lane = entry.user_id and h.class = entry.class and h.seq = 0)
           and pg_try_advisory_xact_lock(hashtextextended(entry.user_id, entry.class)) then
            insert into heddle.lane_heads (lane, class, seq) values (entry.user_id, entry.class, 0)
                on conflict (lane, class) do update set seq = 0;
        end if;
    elsif entry.prev = 0 then
        insert into heddle.lane_heads (lane, class, seq) values (entry.user_id, entry.class, entry.seq)
            on conflict do nothing;
    else
        update heddle.lane_heads set seq = entry.seq
         where lane = entry.user_id and class = entry.class and seq = entry.prev;
    end if;
    if thread_key is null and found then
        return;
    elsif exists (select from heddle.operations o
                   where o.user_id = entry.user_id and o.class = entry.class and o.seq < entry.seq
                     and o.finished_at is null and o.seq is not null
                     and (thread_key is null or o.thread is not distinct from entry.thread)) then
        raise exception 'another operation of the lane comes first' using errcode = 'HD002';
    elsif thread_key is null then
        -- What strands have ended behind it is not ended again: the last one takes the head to the tail.
        insert into heddle.lane_heads as h (lane, class, seq)
            select entry.user_id, entry.class, case when exists (select from heddle.operations o
                    where o.user_id = entry.user_id and o.class = entry.class and o.seq > entry.seq
                      and o.finished_at is null and o.seq is not null) then entry.seq
                else (select t.seq from heddle.lane_tails t where t.lane = entry.user_id and t.class = entry.class) end
            on conflict (lane, class) do update set seq = excluded.seq;
    end if;
end $$;

-- As it was, in their classes.
create or replace function heddle.enter_many(op_ids uuid[]) returns void
language plpgsql
set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    misfits bigint;
begin
    perform from heddle.operations where id = any (op_ids) order by id for update;
    with asked as materialized (
        select o.user_id as lane, o.class, o.seq, o.prev, o.state = 'queued' and o.attempt = 0 as is_new,
               lag(o.seq) over (partition by o.user_id, o.class order by e.n) as before
          from unnest(op_ids) with ordinality as e (id, n)
          left join (select * from heddle.operations where id = any (op_ids)) o using (id)),
    moves as materialized (
        select lane, class, min(prev) as head, max(seq) as new_head,
               coalesce(bool_and(is_new and prev = coalesce(before, prev)), false) as fits
          from asked group by lane, class),
    begun as (
        insert into heddle.lane_heads (lane, class, seq)
        select lane, class, new_head from moves where fits and head = 0
            on conflict do nothing returning 1),
    advanced as (
        update heddle.lane_heads h set seq = m.new_head
          from moves m where m.fits and m.head > 0 and h.lane = m.lane and h.class = m.class and h.seq = m.head
           and h.lane = any (array(select lane from moves)) returning 1)
    select (select count(*) from moves) - (select count(*) from begun) - (select count(*) from advanced)
      into misfits;
    if misfits <> 0 then
        raise exception 'an operation of the bundle is not to be run now' using errcode = 'HD008';
    end if;
end $$;

-- Weights (see controls): a user's is its own, or that of its plan, or 1.

-- Of a user or a plan; with a null weight the one that it had is taken back: false where it had none.
create function heddle.set_weight(user_id text default null, plan text default null, weight numeric default null,
                                  set_by text default null)
returns boolean
language plpgsql as $$
begin
    if num_nonnulls(user_id, plan) <> 1 then
        raise exception 'HEDDLE invalid say one of user_id and plan' using errcode = 'invalid_parameter_value';
    elsif weight not between 0.01 and 1000 then
        raise exception 'HEDDLE invalid weight must be 0.01 to 1000' using errcode = 'invalid_parameter_value';
    end if;
    return heddle.set_control('weight', coalesce('plan:' || heddle.plan_checked(plan), heddle.control_key(user_id, null, false)),
                              case when weight is not null then jsonb_build_object('weight', round(weight, 2)) end, set_by);
end $$;

create function heddle.plan_checked(plan text) returns text
language plpgsql immutable strict as $$
begin
    if plan !~ '^[A-Za-z0-9_.-]{1,64}$' then
        raise exception 'HEDDLE invalid plan must be 1 to 64 characters of A-Za-z0-9_.-'
            using errcode = 'invalid_parameter_value';
    end if;
    return plan;
end $$;

-- The plan of a user; null: none any more, false where it had none.
create function heddle.set_plan(user_id text, plan text, set_by text default null) returns boolean
language sql as $$
    select heddle.set_control('plan', heddle.control_key($1, null, false),
                              case when $2 is not null then jsonb_build_object('plan', heddle.plan_checked($2)) end, $3)
$$;

create view heddle.weights as
    select split_part(key, ':', 1) as what, substr(key, position(':' in key) + 1) as name,
           max((value ->> 'weight')::numeric) filter (where kind = 'weight') as weight,
           max(value ->> 'plan') filter (where kind = 'plan') as plan,
           max(set_at) as since, (array_agg(set_by order by version desc))[1] as by
      from heddle.controls where kind in ('weight', 'plan') and value is not null group by key;

create function heddle.weight_of(user_id text) returns numeric
language sql stable as $$
    select coalesce(own.weight, (select p.weight from heddle.weights p where p.what = 'plan' and p.name = own.plan), 1)
      from (values (1)) one left join heddle.weights own on own.what = 'user' and own.name = $1
$$;
