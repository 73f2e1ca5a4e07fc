-- Controls: what operators have said of users, ops and everything. Here is their truth; the queue has a
-- copy in each partition, which the processors bring up to the newest version.

create table heddle.controls (
    kind    text not null,
    key     text not null,
    value   jsonb,
    version bigint not null unique,
    set_at  timestamptz not null default clock_timestamp(),
    set_by  text not null,
    refuses boolean not null generated always as (value is not null and
                (coalesce(value ->> 'refuse' = 'true', false) or (kind = 'cap' and key <> 'bulk'))) stored,
    total   integer generated always as (case when key = 'all' or key like 'op:%' then case
                when kind = 'rate' then (value ->> 'burst')::integer
                when kind in ('slots', 'cap') then (value ->> 'count')::integer end end) stored,
    primary key (kind, key)
);
create sequence heddle.shares_epoch;
create index controls_shared on heddle.controls (kind, key) where total is not null;
create index controls_refusing on heddle.controls (kind, key) where refuses;
create table heddle.fills (
    key  text primary key,
    used bigint not null
);
comment on table heddle.fills is 'How many operations that count for a cap of an op, or of all, Redis had lately';
comment on table heddle.controls is 'What operators have said of users, ops and everything';
comment on column heddle.controls.key is 'What it is about: all, users (each of them), user:U, op:OP or, of a cap, bulk';
comment on column heddle.controls.value is 'null: it was taken back';
comment on column heddle.controls.version is 'Rises from change to change, in the order of their commits';
comment on column heddle.controls.refuses is 'A submission may be refused for it';
comment on column heddle.controls.total is 'Of a limit that the partitions share: its tokens, slots or places';

-- Says it, or with a null value takes it back; false where there was nothing to take back. The lock
-- keeps the order: whoever has seen a version has seen all before it.
create function heddle.set_control(kind text, key text, value jsonb, set_by text default null) returns boolean
language plpgsql as $$
#variable_conflict use_variable
declare
    next bigint;
begin
    lock table heddle.controls in share row exclusive mode;
    select coalesce(max(version), 0) + 1 into next from heddle.controls;
    if value is not null then
        insert into heddle.controls as c (kind, key, value, version, set_by)
            values (kind, key, value, next, coalesce(set_by, session_user))
            on conflict on constraint controls_pkey do update
            set value = excluded.value, version = excluded.version, set_by = excluded.set_by, set_at = clock_timestamp();
    else
        update heddle.controls c set value = null, version = next, set_by = coalesce(set_control.set_by, session_user),
                                     set_at = clock_timestamp()
         where c.kind = set_control.kind and c.key = set_control.key and c.value is not null;
        if not found then
            return false;
        end if;
    end if;
    perform heddle.wake_relay();
    return true;
end $$;

-- The key of what a control is about: one user, one op, or everything.
create function heddle.control_key(user_id text, op text, everything boolean) returns text
language plpgsql immutable as $$
begin
    if num_nonnulls(user_id, op, nullif(everything, false)) <> 1 then
        raise exception 'HEDDLE invalid say one of user_id, op and everything' using errcode = 'invalid_parameter_value';
    elsif octet_length(user_id) not between 1 and 256 then
        raise exception 'HEDDLE invalid user must be 1 to 256 bytes' using errcode = 'invalid_parameter_value';
    elsif op !~ '^[a-z0-9_.]{1,64}$' then
        raise exception 'HEDDLE invalid op must be 1 to 64 characters of a-z0-9_.' using errcode = 'invalid_parameter_value';
    end if;
    return coalesce('user:' || user_id, 'op:' || op, 'all');
end $$;

-- Nothing more of it begins, when the caller's transaction has committed and the processors have heard;
-- what has begun goes on. With `refuse` nothing more of it is accepted either.
create function heddle.pause(user_id text default null, op text default null, everything boolean default false,
                             refuse boolean default false, reason text default null, set_by text default null)
returns void
language sql as $$
    select heddle.set_control('pause', heddle.control_key($1, $2, $3),
        jsonb_strip_nulls(jsonb_build_object('refuse', nullif($4, false), 'reason', $5)), $6)
$$;

-- false: it was not paused.
create function heddle.resume(user_id text default null, op text default null, everything boolean default false,
                              set_by text default null)
returns boolean
language sql as $$
    select heddle.set_control('pause', heddle.control_key($1, $2, $3), null, $4)
$$;

create view heddle.paused as
    select case when key = 'all' then 'everything' else split_part(key, ':', 1) end as what,
           substr(key, nullif(position(':' in key), 0) + 1) as name,
           set_at as since, set_by as by, value ->> 'reason' as reason, refuses
      from heddle.controls where kind = 'pause' and value is not null;

-- What follows from work that has been accepted is accepted whatever is queued: to refuse it would keep
-- that work from its end.
create function heddle.is_exempt() returns boolean
language sql stable as $$ select coalesce(current_setting('heddle.is_exempt', true) = 'on', false) $$;

create function heddle.is_gated() returns boolean
language plpgsql stable as $$
begin
    return exists (select from heddle.controls where refuses and (kind <> 'cap' or not heddle.is_exempt()));
end $$;

-- Why there is no room for a new operation; null: there is. A user's are counted here, one submitter after
-- the other, where it has a lane; those of an op, and all, as the queue last told.
create function heddle.full(user_id text, op text) returns text
language plpgsql as $$
#variable_conflict use_variable
declare
    most  integer;
    used  integer;
    other record;
begin
    select (c.value ->> 'count')::integer into most
      from heddle.controls c where c.kind = 'cap' and c.refuses and c.key in ('user:' || user_id, 'users')
     order by c.key = 'users' limit 1;
    if most is not null then
        perform from heddle.lane_tails t where t.lane = user_id order by t.class for update;
        select count(*) into used from (
            select from heddle.operations o
             where o.user_id = user_id and o.finished_at is null and o.seq is not null limit most) as queued;
        if used >= most then
            return format('HEDDLE full the user has %s of %s queued', used, most);
        end if;
    end if;
    select case c.key when 'all' then 'everything' else 'op ' || op end as what, f.used, c.total into other
      from heddle.controls c join heddle.fills f on f.key = c.key
     where c.kind = 'cap' and c.key in ('all', 'op:' || op) and f.used >= c.total order by c.key desc limit 1;
    return case when found then format('HEDDLE full %s has %s of %s queued', other.what, other.used, other.total) end;
end $$;

-- Why a new operation is not accepted now; null: it is.
create function heddle.gate(user_id text, op text) returns text
language plpgsql as $$
#variable_conflict use_variable
declare
    problem text;
begin
    select 'HEDDLE paused ' || case c.key when 'all' then 'everything is paused' when 'op:' || op then
               format('op %s is paused', op) else 'the user is paused' end into problem
      from heddle.controls c
     where c.kind = 'pause' and c.refuses and c.key in ('all', 'user:' || user_id, 'op:' || op) order by c.key limit 1;
    if problem is null and not heddle.is_exempt() then
        problem := heddle.full(user_id, op);
    end if;
    return problem;
end $$;

-- A rate such as 10/s, as the queue keeps it: 100/m may begin at once, then one every 0.6 s.
create function heddle.read_rate(rate text, burst integer) returns jsonb
language plpgsql immutable as $$
declare
    parts text[] := regexp_match(rate, '^([0-9]{1,7})/(s|m|h|d)$');
    many  integer := parts[1]::integer;
begin
    if parts is null or many not between 1 and 1000000 then
        raise exception 'HEDDLE invalid rate must be 1 to 1000000 per s, m, h or d, such as 10/s'
            using errcode = 'invalid_parameter_value';
    elsif burst not between 1 and 1000000 then
        raise exception 'HEDDLE invalid burst must be 1 to 1000000' using errcode = 'invalid_parameter_value';
    end if;
    return jsonb_build_object('count', many, 'rate', rate, 'burst', coalesce(burst, many), 'period_us',
        case parts[2] when 's' then 1000000::bigint when 'm' then 60000000 when 'h' then 3600000000 else 86400000000 end);
end $$;

-- What a limit is about: one user, each user, one op, or everything.
create function heddle.limit_key(user_id text, op text, users boolean, everything boolean) returns text
language plpgsql immutable as $$
begin
    if not users then
        return heddle.control_key(user_id, op, everything);
    elsif num_nonnulls(user_id, op, nullif(everything, false)) <> 0 then
        raise exception 'HEDDLE invalid say one of user_id, op, users and everything'
            using errcode = 'invalid_parameter_value';
    end if;
    return 'users';
end $$;

-- No more than this begins: by a rate, which an op, all, one user or each user may have; by how many may run
-- at once, which an op may have. One user's rate stands in place of that of each user.
create function heddle.set_limit(user_id text default null, op text default null, users boolean default false,
                                 everything boolean default false, rate text default null, burst integer default null,
                                 concurrency integer default null, set_by text default null)
returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    key text := heddle.limit_key(user_id, op, users, everything);
begin
    if num_nonnulls(rate, concurrency) = 0 or burst is not null and rate is null then
        raise exception 'HEDDLE invalid say a rate, perhaps with a burst, or a concurrency'
            using errcode = 'invalid_parameter_value';
    elsif concurrency is not null and op is null then
        raise exception 'HEDDLE invalid only an op has a concurrency' using errcode = 'invalid_parameter_value';
    elsif concurrency not between 1 and 1000000 then
        raise exception 'HEDDLE invalid concurrency must be 1 to 1000000' using errcode = 'invalid_parameter_value';
    elsif (select count(*) from heddle.controls where total is not null) >= 200 then
        raise exception 'HEDDLE invalid there are 200 limits of ops already' using errcode = 'invalid_parameter_value';
    end if;
    if rate is not null then
        perform heddle.set_control('rate', key, heddle.read_rate(rate, burst), set_by);
    end if;
    if concurrency is not null then
        perform heddle.set_control('slots', key, jsonb_build_object('count', concurrency), set_by);
    end if;
end $$;

-- Takes back its rate and its concurrency; false: it has none.
create function heddle.remove_limit(user_id text default null, op text default null, users boolean default false,
                                    everything boolean default false, set_by text default null)
returns boolean
language plpgsql as $$
#variable_conflict use_variable
declare
    key  text := heddle.limit_key(user_id, op, users, everything);
    rate boolean := heddle.set_control('rate', key, null, set_by);
begin
    return heddle.set_control('slots', key, null, set_by) or rate;
end $$;

create view heddle.limits as
    select case when key = 'all' then 'everything' when key = 'users' then 'each user' else split_part(key, ':', 1) end
               as what,
           substr(key, nullif(position(':' in key), 0) + 1) as name,
           value ->> 'rate' as rate, (value ->> 'burst')::integer as burst,
           case kind when 'slots' then (value ->> 'count')::integer end as concurrency,
           set_at as since, set_by as by
      from heddle.controls where kind in ('rate', 'slots') and value is not null;

-- What a cap is about: as of a limit, or bulk operations.
create function heddle.cap_key(user_id text, op text, users boolean, everything boolean, bulk boolean) returns text
language plpgsql immutable as $$
begin
    if not bulk then
        return heddle.limit_key(user_id, op, users, everything);
    elsif num_nonnulls(user_id, op, nullif(users, false), nullif(everything, false)) <> 0 then
        raise exception 'HEDDLE invalid say one of user_id, op, users, everything and bulk'
            using errcode = 'invalid_parameter_value';
    end if;
    return 'bulk';
end $$;

-- No more than so many are queued, of one user, each user, an op or all; with `bulk`, the percentage of
-- Redis' memory from which on no bulk operations are accepted there. What is beyond is refused.
create function heddle.set_cap(most integer, user_id text default null, op text default null,
                               users boolean default false, everything boolean default false,
                               bulk boolean default false, set_by text default null)
returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    key  text    := heddle.cap_key(user_id, op, users, everything, bulk);
    last integer := case when bulk then 100 else 1000000000 end;
begin
    if most is null or most not between 1 and last then
        raise exception 'HEDDLE invalid a cap must be 1 to %', last using errcode = 'invalid_parameter_value';
    elsif op is not null and (select count(*) from heddle.controls where total is not null) >= 200 then
        raise exception 'HEDDLE invalid there are 200 limits of ops already' using errcode = 'invalid_parameter_value';
    end if;
    perform heddle.set_control('cap', key, jsonb_build_object('count', most), set_by);
end $$;

-- false: it has none.
create function heddle.remove_cap(user_id text default null, op text default null, users boolean default false,
                                  everything boolean default false, bulk boolean default false,
                                  set_by text default null)
returns boolean
language plpgsql as $$
#variable_conflict use_variable
declare
    key text := heddle.cap_key(user_id, op, users, everything, bulk);
begin
    delete from heddle.fills f where f.key = key;
    return heddle.set_control('cap', key, null, set_by);
end $$;

create view heddle.caps as
    select case when key = 'all' then 'everything' when key = 'users' then 'each user' else split_part(key, ':', 1) end
               as what,
           substr(key, nullif(position(':' in key), 0) + 1) as name, (value ->> 'count')::integer as most,
           fills.used as queued, set_at as since, set_by as by
      from heddle.controls left join heddle.fills using (key) where kind = 'cap' and value is not null;
