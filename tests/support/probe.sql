-- What the handlers of probe_handlers.c write.
create schema probe;

create table probe.events (
    seq bigint generated always as identity primary key,
    lane text not null,
    operation uuid not null,
    n bigint not null,
    phase text not null check (phase in ('in', 'out')),
    at timestamptz not null default clock_timestamp(),
    pid int not null,
    backend int not null
);

-- Not idempotent: an effect that happens twice shows.
create table probe.counters (lane text primary key, count bigint not null);

create table probe.parents (id int primary key);
create table probe.children (parent int references probe.parents deferrable initially deferred);

-- Fails as it is told: for good, in the first try only (`once_…`), or in every try of the first
-- attempt, so that the lane has to wait (`late_…`).
create function probe.fail(kind text, try int, attempt int) returns void language plpgsql as $$
begin
    if (kind like 'once\_%' and try > 1) or (kind like 'late\_%' and attempt > 1) then
        return;
    end if;
    case kind
        when 'unique' then insert into probe.parents values (1), (1);
        when 'cast' then perform 'x'::int;
        when 'no_table' then execute 'select 1 from probe.missing';
        when 'deferred' then insert into probe.children values (0);
        when 'once_serialization', 'late_serialization' then
            raise 'conflict' using errcode = '40001';
        when 'once_deadlock' then raise 'conflict' using errcode = '40P01';
        when 'once_terminated', 'terminated' then perform pg_terminate_backend(pg_backend_pid());
        when 'once_timeout' then perform pg_sleep(60);
    end case;
end $$;
