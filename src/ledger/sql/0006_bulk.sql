-- Submission in bulk: many operations by one statement, each row written once, with its numbers.

-- A number is the last of 1000 that belong to whoever drew it: the operations of one lane in one call
-- are numbered down from it.
-- The very first is 1, which has none below it.
alter sequence heddle.operation_seq increment by 1000;
select nextval('heddle.operation_seq');

comment on table heddle.lane_tails is
    'The newest number of each lane that is not idle, and the one before the submission that gave it';

-- As it was, but as what it is built from is: so it can be part of a plan.
create or replace function heddle.digest(user_id text, op text, thread text, payload text) returns bytea
language sql stable as $$
    select sha256(convert_to(user_id, 'UTF8') || '\x00' || convert_to(op, 'UTF8') || '\x00'
                  || convert_to(coalesce(thread, ''), 'UTF8') || '\x00' || convert_to(payload, 'UTF8'))
$$;

-- Why an operation is not accepted, null: it is. First by its names and sizes, then by what is inside.
create function heddle.refusal(user_id text, op text, thread text, payload text) returns text
language sql immutable as $$
    select case
        when user_id is null or octet_length(user_id) not between 1 and 256
            then 'HEDDLE invalid user must be 1 to 256 bytes'
        when op is null or octet_length(op) not between 1 and 64
             or ltrim(op, 'abcdefghijklmnopqrstuvwxyz0123456789_.') <> ''
            then 'HEDDLE invalid op must be 1 to 64 characters of a-z0-9_.'
        when octet_length(thread) > 64
            then 'HEDDLE invalid thread must be at most 64 bytes'
        when payload is null or octet_length(payload) > 1048576
            then 'HEDDLE invalid payload must be at most 1048576 bytes'
    end
$$;

create function heddle.refusal(options jsonb) returns text
language sql immutable as $$
    select coalesce(
        (select format('HEDDLE invalid %s must be a whole number from 1 to %s', name, most)
           from (values ('attempts', 1000::bigint), ('backoff_ms', 3600000), ('backoff_max_ms', 3600000),
                        ('deadline_ms', 2592000000)) as bounds (name, most)
          where options ->> name !~ '^[0-9]{1,10}$' or (options ->> name)::bigint not between 1 and most limit 1),
        case when options ->> 'on_failure' not in ('block', 'park', 'halt')
             then 'HEDDLE invalid on_failure must be block, park or halt' end)
$$;

create function heddle.refusal(payload json, options jsonb) returns text
language sql immutable as $$
    select case when json_typeof(payload) <> 'object' then 'HEDDLE invalid payload must be a JSON object'
                when options is not null then heddle.refusal(options) end
$$;

-- As heddle.submit for each of them, in their order, but one that is refused says so and keeps no
-- other back: a row each, with the id, or with what an exception would have said. It fails where
-- another transaction accepts one of the ids meanwhile: again, and the answer is known.
--
-- Lane tails are taken in the order in which everybody takes them; numbers are drawn once they are
-- held, so a lane's numbers rise in the order of its submitters. Plans are made for hundreds of rows
-- and large tables, whatever the tables hold when they are made.
create function heddle.submit_many(users text[], ops text[], payloads text[], threads text[], ids uuid[],
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
            window lane as (partition by j.user_id collate "C" order by j.n desc)),
        tails as (
            insert into heddle.lane_tails as t (lane, prev, seq)
            select f.user_id, 0, nextval('heddle.operation_seq') from fresh f where f.behind = 0
             order by f.user_id collate "C"
            on conflict (lane) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
            returning t.lane, t.prev, t.seq),
        numbered as (
            select f.*, t.seq - f.behind as seq, case when f.is_first then t.prev else t.seq - f.behind - 1 end as prev
              from fresh f join tails t on t.lane = f.user_id),
        announced as (insert into heddle.outbox (seq, id) select f.seq, f.id from numbered f),
        accepted as (
            insert into heddle.operations
                   (id, user_id, op, thread, digest, state, attempt, submitted_at, payload, options, seq, prev)
            select f.id, f.user_id, f.op, f.thread, f.digest, 'queued', 0, clock_timestamp(), docs[f.n],
                   f.options, f.seq, f.prev
              from numbered f)
        select j.id, coalesce(j.refusal, case when j.digest <> j.accepted then
                   'HEDDLE conflict the id is in use by another operation' end)
          from judged j order by j.n;
    perform heddle.wake_relay();
exception when unique_violation then
    raise exception 'another transaction has accepted one of the operations meanwhile'
        using errcode = 'serialization_failure';
end $$;

-- As it was, but the row is written once: the place in the lane is taken first, and given back where
-- another transaction has accepted the operation meanwhile.
create or replace function heddle.submit_text(user_id text, op text, payload text, thread text, id uuid,
                                              options jsonb default null) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    new_id     uuid  := coalesce(id, gen_random_uuid());
    new_digest bytea := heddle.digest(user_id, op, thread, payload);
    problem    text  := heddle.refusal(user_id, op, thread, payload);
    numbers    record;
begin
    if problem is null then
        problem := heddle.refusal(payload::json, options);
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    elsif id is null or not exists (select from heddle.operations o where o.id = new_id) then
        insert into heddle.lane_tails as t (lane, prev, seq) values (user_id, 0, nextval('heddle.operation_seq'))
            on conflict (lane) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
            returning t.prev, t.seq into numbers;
        insert into heddle.operations as o (id, user_id, op, thread, digest, state, attempt, submitted_at, payload,
                                            options, seq, prev)
            values (new_id, user_id, op, nullif(thread, ''), new_digest, 'queued', 0, clock_timestamp(),
                    payload::json, options, numbers.seq, numbers.prev)
            on conflict on constraint operations_pkey do nothing;
        if found then
            insert into heddle.outbox (seq, id) values (numbers.seq, new_id);
            perform heddle.wake_relay();
            return new_id;
        elsif numbers.prev = 0 then
            delete from heddle.lane_tails t where t.lane = user_id;
        else
            update heddle.lane_tails t set seq = numbers.prev where t.lane = user_id;
        end if;
    end if;
    if not exists (select from heddle.operations o where o.id = new_id and o.digest = new_digest) then
        raise exception 'HEDDLE conflict the id is in use by another operation' using errcode = 'unique_violation';
    end if;
    return new_id;
end $$;

drop function heddle.check_option;
