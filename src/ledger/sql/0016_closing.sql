-- A user leaves. Each function does one thing about what is there of theirs, a page of it where that may
-- be much; none needs another to have been done, and each may be done again.

-- Processors read on from the version they know.
create table heddle.closings (
    version   bigint generated always as identity primary key,
    user_id   text not null,
    reason    text not null,
    closed_at timestamptz not null default clock_timestamp()
);
create index closings_by_time on heddle.closings (closed_at);
comment on table heddle.closings is 'Users that have left in the last days: plugins are told';

-- The lock keeps the order: whoever has seen a version has seen all before it.
create function heddle.say_closed(user_id text, reason text) returns void
language plpgsql as $$
begin
    lock table heddle.closings in share row exclusive mode;
    delete from heddle.closings c where c.closed_at < clock_timestamp() - interval '7 days';
    insert into heddle.closings (user_id, reason) values (say_closed.user_id, say_closed.reason);
end $$;

-- The same for one that is idle, unless the journal has something of theirs that has not ended.
create function heddle.say_idle(user_id text) returns boolean
language plpgsql as $$
begin
    if exists (select from heddle.operations o where o.user_id = say_idle.user_id and o.finished_at is null and o.seq is not null)
       or exists (select from heddle.operations o where o.user_id = say_idle.user_id and o.state in ('parked', 'scheduled')) then
        return false;
    end if;
    perform heddle.say_closed(user_id, 'idle');
    return true;
end $$;

-- Cancels operations of the journal that stand in the user's lane behind a place, but for those that run;
-- `scanned` is how many there were, the place then that of the last one. What is set aside is in no lane.
create function heddle.cancel_lane(user_id text, running uuid[], most integer, inout class smallint, inout seq bigint,
                                   out scanned integer, out cancelled integer)
language plpgsql as $$
#variable_conflict use_variable
declare
    pending record;
begin
    scanned := 0;
    cancelled := 0;
    for pending in
        select o.id, o.class, o.seq, o.cancelled_at from heddle.operations o
         where o.user_id = user_id and o.finished_at is null and o.seq is not null and (o.class, o.seq) > (class, seq)
         order by o.class, o.seq limit most for update skip locked
    loop
        scanned := scanned + 1;
        class := pending.class;
        seq := pending.seq;
        if pending.cancelled_at is null and pending.id <> all (running) then
            perform heddle.cancel(pending.id);
            cancelled := cancelled + 1;
        end if;
    end loop;
end $$;

create function heddle.cancel_set_aside(user_id text, most integer) returns bigint
language sql as $$
    select count(*) filter (where heddle.cancel(id) = 'cancelled')
      from (select id from heddle.operations o
             where o.user_id = $1 and o.state in ('parked', 'scheduled') limit $2 for update skip locked) pending
$$;

-- How many operations of the user the journal has that have not ended; some of them at most.
create function heddle.count_unfinished(user_id text) returns bigint
language sql stable as $$
    select (select count(*) from (select from heddle.operations o
                where o.user_id = $1 and o.finished_at is null and o.seq is not null limit 10000) a)
         + (select count(*) from (select from heddle.operations o
                where o.user_id = $1 and o.state in ('parked', 'scheduled') limit 10000) b)
$$;

create function heddle.drop_letters(user_id text) returns bigint
language sql as $$
    with dropped as (delete from heddle.dead_letters d using heddle.operations o
                      where o.id = d.id and o.user_id = $1 returning 1)
    select count(*) from dropped
$$;

create function heddle.drop_keys(user_id text) returns bigint
language sql as $$
    with dropped as (delete from heddle.uniques where user_id = $1 returning 1)
    select count(*) from dropped
$$;

-- Ticks of theirs that are under way end first.
create function heddle.drop_recurring(user_id text) returns bigint
language sql as $$
    with dropped as (delete from heddle.cron where user_id = $1 returning 1)
    select count(*) from dropped
$$;

-- Takes back all that operators have said of the user.
create function heddle.drop_controls(user_id text) returns bigint
language sql as $$
    select count(*) filter (where heddle.set_control(kind, key, null, 'users close'))
      from (select kind, key from heddle.controls where key = 'user:' || $1 and value is not null order by kind) said
$$;

-- What the user's operations were about goes; that they were, and how they ended, stays: an id is not
-- executed twice. Those that have ended, or with `everything` false those of them that were cancelled, in
-- `most` blocks of the table from `block` on, which is then where to go on; null: there are no more.
-- `recent` are those whose results Redis may have yet.
create function heddle.redact(user_id text, everything boolean, ttl interval, most integer, inout block bigint,
                              out redacted bigint, out recent uuid[])
language plpgsql as $$
#variable_conflict use_variable
declare
    first tid := format('(%s,0)', block)::tid;
    after tid := format('(%s,0)', block + most)::tid;
begin
    select array_agg(o.id) filter (where o.finished_at > clock_timestamp() - ttl) into recent
      from heddle.operations o
     where o.ctid >= first and o.ctid < after and o.user_id = user_id and o.finished_at is not null
       and (everything or o.state = 'cancelled');
    with ended as (
        update heddle.operations o
           set payload = null, result = null,
               error = case when o.error is not null
                            then json_build_object('kind', o.error ->> 'kind', 'message', 'removed') end
         where o.ctid >= first and o.ctid < after and o.user_id = user_id and o.finished_at is not null
           and (everything or o.state = 'cancelled')
           and (o.payload is not null or o.result is not null or o.error ->> 'message' <> 'removed')
        returning o.id),
    attempts as (delete from heddle.attempts a using ended where a.id = ended.id)
    select count(*) into redacted from ended;
    block := block + most;
    if block >= pg_relation_size('heddle.operations') / current_setting('block_size')::bigint then
        block := null;
    end if;
end $$;
