-- What the handlers of chaos_probe.c write. Nothing here is unique by operation: an effect that
-- happens twice must show.
create schema chaos;

create table chaos.effects (
    place bigint generated always as identity primary key,
    lane text not null,
    id uuid not null,
    n int not null,
    attempt int not null,
    pid int not null,
    tx bigint not null default txid_current(), -- of a bundle, several have one
    entered timestamptz not null default clock_timestamp(),
    left_at timestamptz
);
create index effects_of on chaos.effects (id);

create table chaos.counters (lane text primary key, count bigint not null);

-- The application's own row of a durable submission, in the same transaction.
create table chaos.orders (id uuid primary key);

-- A failure that passes: in every try of the first attempts, so that the lane has to wait.
create function chaos.fail(attempt int, fails int) returns void language plpgsql as $$
begin
    if attempt <= fails then
        raise 'not yet' using errcode = '40001';
    end if;
end $$;
