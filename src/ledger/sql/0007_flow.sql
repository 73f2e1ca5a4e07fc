-- What a submission may ask for beside its retry policy: when the operation is to be executed, before
-- which others, and what it is counted with.

alter table heddle.operations
    add column class smallint not null default 0,
    add column batch text;

comment on column heddle.operations.options is 'What its submission asked for and still counts; null: nothing';
comment on column heddle.operations.class is 'Its priority: 0 normal, 1 interactive, 2 bulk';
comment on column heddle.operations.batch is 'The batch that it is counted with; null: none';

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
        case when options ->> 'on_failure' not in ('block', 'park', 'halt')
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

-- Whether heddle.gate has anything to say.
create function heddle.is_gated() returns boolean
language sql as $$ select false $$;

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
    is_gated boolean := heddle.is_gated();
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
                   heddle.class_of(g.options) as class,
                   coalesce(heddle.refusal(g.user_id, g.op, g.thread, g.payload), g.trouble,
                            heddle.refusal(g.doc, g.options),
                            case when is_gated and not exists (select from heddle.operations o where o.id = g.id)
                                 then heddle.gate(g.user_id, g.op) end) as refusal
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
    numbers    record;
begin
    if problem is null then
        problem := heddle.refusal(payload::json, options);
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    elsif id is null or not exists (select from heddle.operations o where o.id = new_id) then
        if heddle.is_gated() then
            problem := heddle.gate(user_id, op);
            if problem is not null then
                raise exception using message = problem, errcode = 'object_not_in_prerequisite_state';
            end if;
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
