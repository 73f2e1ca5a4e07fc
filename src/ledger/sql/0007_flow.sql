-- What a submission may ask for beside its retry policy: when the operation is to be executed, before
-- which others, and what it is counted with.

alter table heddle.operations
    add column class smallint not null default 0,
    add column batch text;

comment on column heddle.operations.options is 'What its submission asked for and still counts; null: nothing';
comment on column heddle.operations.class is 'Its priority: 0 normal, 1 interactive, 2 bulk';
comment on column heddle.operations.batch is 'The batch that it is counted with; null: none';

-- Those that are scheduled are neither adrift nor in a lane.
drop index heddle.operations_adrift;
create index operations_adrift on heddle.operations (id)
    where finished_at is null and seq is null and state <> 'parked' and state <> 'scheduled';

alter table heddle.parked
    add column user_id text,
    add column asked_at timestamptz;
create index parked_scheduled on heddle.parked (user_id, asked_at) where asked_at is not null;

comment on table heddle.parked is 'Operations set aside, or scheduled: they enter their lanes when due';
comment on column heddle.parked.asked_at is 'Of a scheduled one: when it is due; due_at may be later, where its lane could not be entered';

create table heddle.uniques (
    user_id text not null,
    op      text not null,
    key     text not null,
    id      uuid not null,
    until   timestamptz,
    look_at timestamptz not null,
    primary key (user_id, op, key)
);
create index uniques_by_look on heddle.uniques (look_at);
comment on table heddle.uniques is 'The operation that has a unique key';
comment on column heddle.uniques.until is 'So long it has the key; null: until it has ended';
comment on column heddle.uniques.look_at is 'Then somebody looks whether the row is still needed';

create function heddle.class_of(options jsonb) returns smallint
language sql immutable as $$
    select (case options ->> 'priority' when 'interactive' then 1 when 'bulk' then 2 else 0 end)::smallint
$$;

-- Options without those that count at submission alone; null where none is left.
create function heddle.lasting(options jsonb) returns jsonb
language sql immutable as $$
    select nullif(options - '{delay_ms,unique_key,unique_ms,replace}'::text[], '{}')
$$;

create or replace function heddle.refusal(options jsonb) returns text
language sql immutable as $$
    select coalesce(
        (select format('HEDDLE invalid %s must be a whole number from 1 to %s', name, most)
           from (values ('attempts', 1000::bigint), ('backoff_ms', 3600000), ('backoff_max_ms', 3600000),
                        ('deadline_ms', 2592000000), ('delay_ms', 31536000000), ('at_ms', 253402300799999),
                        ('expires_ms', 2592000000), ('unique_ms', 2592000000)) as bounds (name, most)
          where options ->> name !~ '^[0-9]{1,15}$' or (options ->> name)::bigint not between 1 and most limit 1),
        (select format('HEDDLE invalid %s must be 1 to %s bytes of UTF-8 without NUL', name, most)
           from (values ('batch', 200), ('unique_key', 256)) as sizes (name, most)
          where octet_length(options ->> name) not between 1 and most limit 1),
        case when jsonb_typeof(options) <> 'object'
                  then 'HEDDLE invalid options must be a JSON object'
             when options - '{attempts,backoff_ms,backoff_max_ms,deadline_ms,on_failure}'::text[]
                  - '{delay_ms,at_ms,expires_ms,priority,batch,unique_key,unique_ms,replace}'::text[] <> '{}'
                  then 'HEDDLE invalid unknown option; allowed are attempts, backoff_ms, backoff_max_ms, deadline_ms, '
                       'on_failure, delay_ms, at_ms, expires_ms, priority, batch, unique_key, unique_ms, replace'
             when options ->> 'on_failure' not in ('block', 'park', 'halt')
                  then 'HEDDLE invalid on_failure must be block, park or halt'
             when options ->> 'priority' not in ('interactive', 'normal', 'bulk')
                  then 'HEDDLE invalid priority must be interactive, normal or bulk'
             when options ->> 'replace' not in ('0', '1', 'false', 'true')
                  then 'HEDDLE invalid replace must be 0 or 1'
             when options ? 'delay_ms' and options ? 'at_ms'
                  then 'HEDDLE invalid delay_ms and at_ms exclude each other'
             when (options ? 'unique_ms' or options ->> 'replace' in ('1', 'true')) and not options ? 'unique_key'
                  then 'HEDDLE invalid unique_ms and replace need unique_key' end)
$$;

-- When an operation is due that is submitted now; null: at once.
create function heddle.due_at(options jsonb) returns timestamptz
language sql as $$
    select due from (select coalesce(
               timestamptz 'epoch' + (options ->> 'at_ms')::bigint * interval '1 millisecond',
               clock_timestamp() + (options ->> 'delay_ms')::bigint * interval '1 millisecond') as due) d
     where due > clock_timestamp()
$$;

-- The operation that has the submission's unique key; null: the new one has it now. One that has not
-- begun makes way for one that replaces it: where it is scheduled it gets the payload, where it is
-- queued it is cancelled. Submitters of one user wait for each other in one order: first for its tail.
create function heddle.hold_unique(new_id uuid, user_id text, op text, payload text, thread text, new_digest bytea,
                                   options jsonb) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    key       text        := options ->> 'unique_key';
    new_until timestamptz := clock_timestamp() + (options ->> 'unique_ms')::bigint * interval '1 millisecond';
    replaces  boolean     := coalesce(options ->> 'replace', '0') in ('1', 'true');
    look_at   timestamptz := coalesce(new_until, clock_timestamp() + interval '10 seconds');
    held      record;
begin
    perform from heddle.lane_tails t where t.lane = user_id order by t.class for update;
    loop
        insert into heddle.uniques values (user_id, op, key, new_id, new_until, look_at) on conflict do nothing;
        if found then
            return null;
        end if;
        select u.id, u.until into held
          from heddle.uniques u where u.user_id = user_id and u.op = op and u.key = key for update;
        exit when found;
    end loop;
    if not replaces and held.until > clock_timestamp() then
        return held.id;
    end if;
    perform from heddle.operations o where o.id = held.id and o.finished_at is null and o.cancelled_at is null;
    if found and not replaces and held.until is null then
        return held.id;
    elsif found and replaces then
        update heddle.operations o
           set payload = payload::json, digest = new_digest, thread = nullif(thread, '')
         where o.id = held.id and o.state = 'scheduled' and o.cancelled_at is null;
        if found then
            return held.id;
        end if;
        perform heddle.cancel(o.id) from heddle.operations o
          where o.id = held.id and o.state = 'queued' and o.started_at is null;
    end if;
    update heddle.uniques u set id = new_id, until = new_until, look_at = look_at
     where u.user_id = user_id and u.op = op and u.key = key;
    return null;
end $$;

-- Forgets keys that count no more; looks at some of those that are to be looked at.
create function heddle.forget_uniques(most integer) returns void
language plpgsql as $$
declare
    at timestamptz := clock_timestamp();
    unique_key heddle.uniques;
begin
    for unique_key in
        select * from heddle.uniques where look_at <= at order by look_at limit most for update skip locked
    loop
        if unique_key.until <= at or (unique_key.until is null and not exists (
               select from heddle.operations o where o.id = unique_key.id and o.finished_at is null)) then
            delete from heddle.uniques u
             where u.user_id = unique_key.user_id and u.op = unique_key.op and u.key = unique_key.key;
        else
            update heddle.uniques u set look_at = coalesce(u.until, at + interval '1 minute')
             where u.user_id = unique_key.user_id and u.op = unique_key.op and u.key = unique_key.key;
        end if;
    end loop;
end $$;

-- Where the submission is for later, it is accepted and set aside until then.
create function heddle.schedule(new_id uuid, user_id text, op text, payload text, thread text, new_digest bytea,
                                options jsonb) returns boolean
language plpgsql as $$
#variable_conflict use_variable
declare
    due timestamptz := heddle.due_at(options);
begin
    if due is null then
        return false;
    end if;
    insert into heddle.operations as o (id, user_id, op, thread, digest, state, attempt, submitted_at, payload, options,
                                        class, batch)
        values (new_id, user_id, op, nullif(thread, ''), new_digest, 'scheduled', 0, clock_timestamp(), payload::json,
                coalesce(heddle.lasting(options), '{}')
                    || jsonb_build_object('at_ms', (extract(epoch from due) * 1000)::bigint),
                heddle.class_of(options), options ->> 'batch')
        on conflict on constraint operations_pkey do nothing;
    if not found then
        return false;
    end if;
    insert into heddle.parked (id, due_at, user_id, asked_at) values (new_id, due, user_id, due);
    perform heddle.wake_relay();
    return true;
end $$;

-- As submit_many, one by one: for those of which one has a unique key, or is for later, or may be refused.
create function heddle.submit_each(users text[], ops text[], payloads text[], threads text[], ids uuid[],
                                   options jsonb[])
returns table (id uuid, refusal text)
language plpgsql as $$
declare
    new_ids  uuid[] := ids;
    refusals text[] := array_fill(null::text, array[cardinality(users)]);
    n        integer;
begin
    for n in select i from unnest(users) with ordinality as u (user_id, i) order by user_id collate "C", i loop
        begin
            new_ids[n] := heddle.submit_text(users[n], ops[n], payloads[n], threads[n], ids[n], options[n]);
        exception
            -- Of the class for which the name below stands, and no refusal.
            when lock_not_available then
                raise;
            when unique_violation or object_not_in_prerequisite_state then
                refusals[n] := sqlerrm;
            when data_exception or statement_too_complex then
                refusals[n] := case when sqlerrm like 'HEDDLE %' then sqlerrm else 'HEDDLE invalid ' || sqlerrm end;
        end;
    end loop;
    return query select a.id, a.refusal from unnest(new_ids, refusals) as a (id, refusal);
end $$;

-- As it was, with the new columns.
create or replace function heddle.submit_many(users text[], ops text[], payloads text[], threads text[], ids uuid[],
                                   options jsonb[])
returns table (id uuid, refusal text)
language plpgsql
set enable_nestloop = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    docs     json[];
    troubles text[];
begin
    if cardinality(users) > 1000 then
        raise exception 'HEDDLE invalid at most 1000 operations at once' using errcode = 'invalid_parameter_value';
    elsif heddle.is_gated()
          or exists (select from unnest(options) as o (options) where o.options ?| '{unique_key,delay_ms,at_ms}') then
        return query select * from heddle.submit_each(users, ops, payloads, threads, ids, options);
        return;
    end if;
    begin
        docs := payloads::json[];
    exception when data_exception or statement_too_complex then
        docs := array_fill(null::json, array[cardinality(payloads)]);
        troubles := array_fill(null::text, array[cardinality(payloads)]);
        for i in 1 .. cardinality(payloads) loop
            begin
                docs[i] := payloads[i]::json;
            exception when data_exception or statement_too_complex then
                troubles[i] := 'HEDDLE invalid ' || sqlerrm;
            end;
        end loop;
    end;
    return query
        with given as (
            select g.n, coalesce(g.id, gen_random_uuid()) as id, g.user_id, g.op, nullif(g.thread, '') as thread,
                   heddle.digest(g.user_id, g.op, g.thread, g.payload) as digest, g.options,
                   heddle.class_of(g.options) as class,
                   coalesce(heddle.refusal(g.user_id, g.op, g.thread, g.payload), g.trouble,
                            heddle.refusal(g.doc, g.options)) as refusal
              from unnest(users, ops, threads, payloads, docs, ids, options, troubles)
                   with ordinality as g (user_id, op, thread, payload, doc, id, options, trouble, n)),
        known as (select o.id, o.digest from heddle.operations o where o.id = any (ids)),
        -- Of those with the same id the first speaks for all.
        judged as (
            select g.*, coalesce(known.digest, first_value(g.digest) over same) as accepted,
                   known.id is null and g.refusal is null and row_number() over same = 1 as is_new
              from given g left join known on known.id = g.id
            window same as (partition by g.id order by g.refusal is not null, g.n)),
        fresh as (
            select j.*, row_number() over lane - 1 as behind, lead(j.n) over lane is null as is_first
              from judged j where j.is_new
            window lane as (partition by j.user_id collate "C", j.class order by j.n desc)),
        tails as (
            insert into heddle.lane_tails as t (lane, class, prev, seq)
            select f.user_id, f.class, 0, nextval('heddle.operation_seq') from fresh f where f.behind = 0
             order by f.user_id collate "C", f.class
            on conflict (lane, class) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
            returning t.lane, t.class, t.prev, t.seq),
        numbered as (
            select f.*, t.seq - f.behind as seq, case when f.is_first then t.prev else t.seq - f.behind - 1 end as prev
              from fresh f join tails t on t.lane = f.user_id and t.class = f.class),
        announced as (insert into heddle.outbox (seq, id) select f.seq, f.id from numbered f),
        accepted as (
            insert into heddle.operations
                   (id, user_id, op, thread, digest, state, attempt, submitted_at, payload, options, class, batch,
                    seq, prev)
            select f.id, f.user_id, f.op, f.thread, f.digest, 'queued', 0, clock_timestamp(), docs[f.n],
                   heddle.lasting(f.options), f.class, f.options ->> 'batch', f.seq, f.prev
              from numbered f)
        select j.id, coalesce(j.refusal, case when j.digest <> j.accepted then
                   'HEDDLE conflict the id is in use by another operation' end)
          from judged j order by j.n;
    perform heddle.wake_relay();
exception when unique_violation then
    raise exception 'another transaction has accepted one of the operations meanwhile'
        using errcode = 'serialization_failure';
end $$;

-- Likewise.
create or replace function heddle.submit_text(user_id text, op text, payload text, thread text, id uuid,
                                              options jsonb default null) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    new_id     uuid  := coalesce(id, gen_random_uuid());
    new_digest bytea := heddle.digest(user_id, op, thread, payload);
    problem    text  := heddle.refusal(user_id, op, thread, payload);
    new_class  smallint := heddle.class_of(options);
    held_by    uuid;
    numbers    record;
begin
    if problem is null then
        problem := heddle.refusal(payload::json, options);
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    elsif id is null or not exists (select from heddle.operations o where o.id = new_id) then
        if options ? 'unique_key' then
            held_by := heddle.hold_unique(new_id, user_id, op, payload, thread, new_digest, options);
            if held_by is not null then
                return held_by;
            end if;
        end if;
        if heddle.is_gated() then
            problem := heddle.gate(user_id, op);
            if problem is not null then
                raise exception using message = problem, errcode = 'object_not_in_prerequisite_state';
            end if;
        end if;
        if options ?| '{delay_ms,at_ms}'
           and heddle.schedule(new_id, user_id, op, payload, thread, new_digest, options) then
            return new_id;
        end if;
        insert into heddle.lane_tails as t (lane, class, prev, seq)
            values (user_id, new_class, 0, nextval('heddle.operation_seq'))
            on conflict (lane, class) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
            returning t.prev, t.seq into numbers;
        insert into heddle.operations as o (id, user_id, op, thread, digest, state, attempt, submitted_at, payload,
                                            options, class, batch, seq, prev)
            values (new_id, user_id, op, nullif(thread, ''), new_digest, 'queued', 0, clock_timestamp(),
                    payload::json, heddle.lasting(options), new_class, options ->> 'batch',
                    numbers.seq, numbers.prev)
            on conflict on constraint operations_pkey do nothing;
        if found then
            insert into heddle.outbox (seq, id) values (numbers.seq, new_id);
            perform heddle.wake_relay();
            return new_id;
        elsif numbers.prev = 0 then
            delete from heddle.lane_tails t where t.lane = user_id and t.class = new_class;
        else
            update heddle.lane_tails t set seq = numbers.prev where t.lane = user_id and t.class = new_class;
        end if;
    end if;
    if not exists (select from heddle.operations o where o.id = new_id and o.digest = new_digest) then
        raise exception 'HEDDLE conflict the id is in use by another operation' using errcode = 'unique_violation';
    end if;
    return new_id;
end $$;

drop function heddle.submit(text, text, jsonb, text, uuid, integer, interval, interval, interval, text);

create function heddle.submit(user_id text, op text, payload jsonb default '{}', thread text default null,
                              id uuid default null, attempts integer default null,
                              backoff interval default null, backoff_max interval default null,
                              deadline interval default null, on_failure text default null,
                              delay interval default null, at timestamptz default null,
                              expires interval default null, priority text default null,
                              batch text default null, unique_key text default null,
                              unique_for interval default null, replace boolean default null)
returns uuid
language sql as $$
    select heddle.submit_text($1, $2, $3::text, $4, $5,
        case when num_nonnulls($6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) > 0 then
            nullif(jsonb_strip_nulls(jsonb_build_object('attempts', $6, 'backoff_ms', heddle.in_ms($7),
                'backoff_max_ms', heddle.in_ms($8), 'deadline_ms', heddle.in_ms($9), 'on_failure', $10,
                'delay_ms', heddle.in_ms($11), 'at_ms', (extract(epoch from $12) * 1000)::bigint,
                'expires_ms', heddle.in_ms($13), 'priority', $14, 'batch', $15, 'unique_key', $16,
                'unique_ms', heddle.in_ms($17), 'replace', nullif($18, false))), '{}') end)
$$;
