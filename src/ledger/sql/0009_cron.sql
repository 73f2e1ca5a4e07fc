-- Recurring operations. Each tick is one durable operation, whose id derives from the name and the tick:
-- it is submitted in the transaction that moves on to the next tick.

create table heddle.cron (
    name     text collate "C" primary key,
    schedule text not null,
    zone     text not null,
    user_id  text not null,
    op       text not null,
    thread   text,
    payload  json not null,
    options  jsonb,
    catch_up text not null,
    paused   boolean not null default false,
    next_at  timestamptz not null,
    due_at   timestamptz not null,
    last_at  timestamptz,
    last_id  uuid,
    error    text,
    set_at   timestamptz not null default clock_timestamp(),
    set_by   text not null
);
create index cron_due on heddle.cron (due_at, name) where not paused;
comment on table heddle.cron is 'Recurring operations: see heddle.cron_add';
comment on column heddle.cron.next_at is 'The next tick, or the first one that was missed';
comment on column heddle.cron.due_at is 'When somebody looks: as next_at, or later where the lane could not be entered';
comment on column heddle.cron.last_at is 'The last tick that was submitted, or refused';
comment on column heddle.cron.error is 'Why that one was refused, or what keeps the next one from being submitted; null: nothing';

-- The values of one of the five fields: *, a value, a range, each with /step, and lists of these.
create function heddle.cron_field(field text, low integer, high integer, names text[] default '{}') returns integer[]
language plpgsql immutable as $$
#variable_conflict use_variable
declare
    part   text;
    m      text[];
    first  integer;
    last   integer;
    step   integer;
    chosen integer[] := '{}';
begin
    foreach part in array string_to_array(lower(field), ',') loop
        m := regexp_match(part, '^(?:(\*)|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?$');
        first := case when m[1] is not null then low when m[2] ~ '[a-z]' then array_position(names, m[2]) + low - 1
                      else m[2]::integer end;
        last := case when m[1] is not null then high when m[3] ~ '[a-z]' then array_position(names, m[3]) + low - 1
                     when m[3] is not null then m[3]::integer when m[4] is not null then high else first end;
        -- As in fri-sun.
        if last = 0 and first > 0 and m[3] is not null and high = 7 then
            last := 7;
        end if;
        step := coalesce(m[4]::integer, 1);
        if m is null or coalesce(not (low <= first and first <= last and last <= high and step > 0), true) then
            raise exception 'HEDDLE invalid schedule: %: allowed are % to %', part, low, high
                using errcode = 'invalid_parameter_value';
        end if;
        chosen := chosen || array(select n from generate_series(first, last, step) as n);
    end loop;
    if cardinality(chosen) = 0 then
        raise exception 'HEDDLE invalid schedule: an empty field' using errcode = 'invalid_parameter_value';
    end if;
    return array(select distinct n from unnest(chosen) as n order by n);
end $$;

-- A schedule's five fields.
create function heddle.cron_fields(schedule text) returns text[]
language plpgsql immutable as $$
#variable_conflict use_variable
declare
    fields text[] := regexp_split_to_array(case lower(btrim(schedule))
        when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' when '@monthly' then '0 0 1 * *'
        when '@weekly' then '0 0 * * 0' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
        when '@hourly' then '0 * * * *' else btrim(schedule) end, '\s+');
begin
    if cardinality(fields) <> 5 then
        raise exception 'HEDDLE invalid schedule: allowed are five fields (minute hour day month weekday), @every 10m, '
            '@hourly, @daily, @weekly, @monthly and @yearly' using errcode = 'invalid_parameter_value';
    end if;
    return fields;
end $$;

-- The first moment at which the clock on the wall shows this; where it leaps over that, the first one behind.
create function heddle.first_moment(wall timestamp, zone text) returns timestamptz
language plpgsql stable as $$
begin
    while (wall at time zone zone) at time zone zone <> wall loop
        wall := wall + interval '1 minute';
    end loop;
    return (select min(moment)
              from (select wall at time zone zone - back as moment
                      from unnest('{0 s,30 min,1 h,2 h}'::interval[]) as back) moments
             where moment at time zone zone = wall);
end $$;

-- The first tick behind a moment; null: there is none in eight years. Where the clock is put forward, a
-- tick at an hour that is named comes right after, once; where it is put back, once, the first time.
-- Where the hour is *, ticks go on by the clock through both.
create function heddle.cron_next(schedule text, zone text, after timestamptz) returns timestamptz
language plpgsql stable as $$
#variable_conflict use_variable
declare
    names_of_months constant text[] := '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}';
    names_of_days   constant text[] := '{sun,mon,tue,wed,thu,fri,sat}';
    every    text := substring(lower(btrim(schedule)) from '^@every\s+((?:[0-9]{1,6}[smhd])+)$');
    seconds  bigint;
    fields   text[];
    minutes  integer[];
    hours    integer[];
    days     integer[];
    months   integer[];
    weekdays integer[];
    wall     timestamp;
    day      date;
    moment   timestamptz;
    on_day   boolean;
    on_week  boolean;
begin
    if every is not null then
        seconds := extract(epoch from every::interval);
        if seconds not between 1 and 366 * 86400 then
            raise exception 'HEDDLE invalid schedule: @every takes 1s to 366d' using errcode = 'invalid_parameter_value';
        end if;
        return to_timestamp((floor(extract(epoch from after) / seconds) + 1) * seconds);
    end if;
    fields   := heddle.cron_fields(schedule);
    minutes  := heddle.cron_field(fields[1], 0, 59);
    hours    := heddle.cron_field(fields[2], 0, 23);
    days     := heddle.cron_field(fields[3], 1, 31);
    months   := heddle.cron_field(fields[4], 1, 12, names_of_months);
    weekdays := heddle.cron_field(fields[5], 0, 7, names_of_days);
    if 7 = any (weekdays) then
        weekdays := 0 || weekdays;
    end if;
    wall := after at time zone zone;
    day  := wall::date;
    for n in 1 .. 8 * 366 loop
        on_day  := extract(day from day)::integer = any (days);
        on_week := extract(dow from day)::integer = any (weekdays);
        if not extract(month from day)::integer = any (months) then
            day := (date_trunc('month', day) + interval '1 month')::date;
            continue;
        elsif (on_day and on_week) or ((on_day or on_week) and fields[3] !~ '^\*' and fields[5] !~ '^\*') then
            moment := heddle.cron_on_day(day, minutes, hours, fields[2] like '*%', zone, after);
            if moment is not null then
                return moment;
            end if;
        end if;
        day := day + 1;
    end loop;
    return null;
end $$;

-- The first tick of a day behind a moment, null where there is none.
create function heddle.cron_on_day(day date, minutes integer[], hours integer[], goes_on boolean, zone text,
                                   after timestamptz) returns timestamptz
language plpgsql stable as $$
#variable_conflict use_variable
declare
    moment timestamptz := heddle.first_moment(day, zone);
    last   timestamptz := heddle.first_moment(day + 1, zone);
    earlier timestamp := after at time zone zone - interval '3 hours';
    wall   timestamp;
    hour   integer;
    minute integer;
begin
    if goes_on then
        moment := greatest(moment, date_trunc('minute', after) + interval '1 minute');
        while moment < last loop
            wall := moment at time zone zone;
            if not extract(hour from wall)::integer = any (hours) then
                moment := moment + (60 - extract(minute from wall)) * interval '1 minute';
            elsif extract(minute from wall)::integer = any (minutes) then
                return moment;
            else
                moment := moment + interval '1 minute';
            end if;
        end loop;
        return null;
    end if;
    foreach hour in array hours loop
        foreach minute in array minutes loop
            wall := day + make_interval(hours => hour, mins => minute);
            if wall > earlier then
                moment := heddle.first_moment(wall, zone);
                if moment > after then
                    return moment;
                end if;
            end if;
        end loop;
    end loop;
    return null;
end $$;

-- The last tick up to a moment, of which `last` is one that is known: by halves, however many lie between.
create function heddle.cron_last(schedule text, zone text, last timestamptz, until timestamptz) returns timestamptz
language plpgsql stable as $$
#variable_conflict use_variable
declare
    behind timestamptz := until; -- from here on there is none
    middle timestamptz;
    tick   timestamptz;
begin
    loop
        tick := heddle.cron_next(schedule, zone, last);
        exit when tick is null or tick > until;
        last   := tick;
        middle := last + (behind - last) / 2;
        tick   := heddle.cron_next(schedule, zone, middle);
        if tick <= until then
            last := tick;
        else
            behind := middle;
        end if;
    end loop;
    return last;
end $$;

create function heddle.cron_id(name text, tick timestamptz) returns uuid
language sql immutable as $$
    select overlay(overlay(md5('heddle cron ' || $1 || ' ' || extract(epoch from $2)) placing '8' from 13)
                   placing 'a' from 17)::uuid
$$;

-- From now on the operation is submitted at each tick of the schedule: five fields, or @every and a
-- duration, which counts from 1970. `catch_up` says what becomes of ticks that nobody was there for: skip
-- those that are more than a minute late, submit the last one once, or submit all. `options` are those of
-- a submission, by the names of FCALL; with a unique_key a tick that finds the one before unfinished adds
-- nothing. What had the name before is replaced; where it has the same schedule its ticks go on. Returns
-- the next tick.
create function heddle.cron_add(name text, schedule text, user_id text, op text, payload jsonb default '{}',
                                thread text default null, zone text default 'UTC', catch_up text default 'once',
                                options jsonb default null, set_by text default null)
returns timestamptz
language plpgsql as $$
#variable_conflict use_variable
declare
    problem text := coalesce(heddle.refusal(user_id, op, thread, payload::text), heddle.refusal(payload::json, options));
    is_zone boolean := coalesce(zone ~ '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$', false);
    tick    timestamptz;
begin
    begin
        perform clock_timestamp() at time zone zone;
    exception when data_exception then
        is_zone := false;
    end;
    if name is null or name !~ '^[A-Za-z0-9_.:-]{1,64}$' then
        problem := 'HEDDLE invalid name must be 1 to 64 characters of A-Za-z0-9_.:-';
    elsif not is_zone then
        problem := format('HEDDLE invalid zone = %s: allowed are names such as Europe/Berlin', left(zone, 60));
    elsif catch_up is null or catch_up not in ('skip', 'once', 'all') then
        problem := 'HEDDLE invalid catch_up must be skip, once or all';
    elsif options ? 'at_ms' then
        problem := 'HEDDLE invalid at_ms is not for what recurs';
    elsif (select count(*) from heddle.cron c where c.name <> name) >= 10000 then
        problem := 'HEDDLE invalid at most 10000 operations can recur';
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    end if;
    tick := heddle.cron_next(schedule, zone, clock_timestamp());
    if tick is null then
        raise exception 'HEDDLE invalid schedule: no day fits it' using errcode = 'invalid_parameter_value';
    end if;
    insert into heddle.cron as c (name, schedule, zone, user_id, op, thread, payload, options, catch_up, next_at, due_at,
                                  set_by)
        values (name, schedule, zone, user_id, op, nullif(thread, ''), payload::json, options, catch_up, tick, tick,
                coalesce(set_by, session_user))
        on conflict on constraint cron_pkey do update
        set schedule = excluded.schedule, zone = excluded.zone, user_id = excluded.user_id, op = excluded.op,
            thread = excluded.thread, payload = excluded.payload, options = excluded.options,
            catch_up = excluded.catch_up, set_by = excluded.set_by, set_at = clock_timestamp(), error = null,
            next_at = case when (c.schedule, c.zone) = (excluded.schedule, excluded.zone) then c.next_at
                           else excluded.next_at end,
            due_at = case when (c.schedule, c.zone) = (excluded.schedule, excluded.zone) then c.next_at
                          else excluded.next_at end
        returning c.next_at into tick;
    perform heddle.wake_relay();
    return tick;
end $$;

-- Ticks of what is paused do not happen, and are not caught up. False: nothing has the name.
create function heddle.cron_pause(name text, paused boolean default true) returns boolean
language plpgsql as $$
#variable_conflict use_variable
begin
    update heddle.cron c
       set paused = paused,
           next_at = case when c.paused and not paused then heddle.cron_next(c.schedule, c.zone, clock_timestamp())
                          else c.next_at end,
           due_at = case when c.paused and not paused then heddle.cron_next(c.schedule, c.zone, clock_timestamp())
                         else c.due_at end
     where c.name = name;
    if found then
        perform heddle.wake_relay();
    end if;
    return found;
end $$;

-- What was submitted stays. False: nothing has the name.
create function heddle.cron_remove(name text) returns boolean
language plpgsql as $$
#variable_conflict use_variable
begin
    delete from heddle.cron c where c.name = name;
    return found;
end $$;

-- In ms, until one is due; null: never.
create function heddle.cron_wait() returns bigint
language sql as $$
    select ceil(extract(epoch from min(due_at) - clock_timestamp()) * 1000) from heddle.cron where not paused
$$;

-- Submits the one that is due first, and moves on. Whoever calls, each tick happens once: its row is
-- locked. Waits for nobody, as heddle.unpark does not: where its lane's tail is held, or the operation can
-- not be accepted now, the tick comes a second later. One that is refused for good is passed over.
create function heddle.cron_fire(out cron_name text, out problem text, out next_ms bigint)
language plpgsql set lock_timeout = '20ms' as $$
#variable_conflict use_variable
declare
    due       heddle.cron;
    at        timestamptz := clock_timestamp();
    tick      timestamptz;
    following timestamptz;
    new_id    uuid;
    is_over   boolean := true;
begin
    select c.* into due from heddle.cron c
     where not c.paused and c.due_at <= at order by c.due_at, c.name limit 1 for update skip locked;
    if found then
        cron_name := due.name;
        tick := due.next_at;
        if due.catch_up <> 'all' then
            tick := heddle.cron_last(due.schedule, due.zone, tick, at);
        end if;
        if due.catch_up <> 'skip' or tick > at - interval '1 minute' then
            begin
                new_id := heddle.submit_text(due.user_id, due.op, due.payload::text, due.thread,
                                             heddle.cron_id(due.name, tick), due.options);
            exception
                -- First: the name below stands for its whole class, of which this is one.
                when lock_not_available or deadlock_detected or serialization_failure then
                    is_over := false;
                when object_not_in_prerequisite_state or unique_violation or data_exception or statement_too_complex then
                    problem := sqlerrm;
                when others then
                    is_over := false;
                    problem := sqlerrm;
            end;
        end if;
        following := heddle.cron_next(due.schedule, due.zone, tick);
        if not is_over then
            update heddle.cron c set due_at = at + interval '1 second', error = problem where c.name = due.name;
        elsif following is null then
            delete from heddle.cron c where c.name = due.name;
        else
            update heddle.cron c
               set next_at = following, due_at = following, error = problem,
                   last_at = case when coalesce(new_id::text, problem) is null then c.last_at else tick end,
                   last_id = coalesce(new_id, c.last_id)
             where c.name = due.name;
        end if;
    end if;
    next_ms := heddle.cron_wait();
end $$;
