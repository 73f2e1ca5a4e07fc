-- The ledger: what became of each operation. Its row commits with the effects.

create type heddle.operation_state as enum (
    'queued', 'scheduled', 'running', 'retrying', 'parked', 'paused', 'halted',
    'done', 'failed', 'dead', 'cancelled');

create table heddle.operations (
    id           uuid primary key,
    user_id      text not null,
    op           text not null,
    thread       text,
    digest       bytea not null,
    state        heddle.operation_state not null,
    attempt      integer not null,
    submitted_at timestamptz not null,
    started_at   timestamptz,
    finished_at  timestamptz,
    code         smallint,
    result       json,
    error        json
-- A row is inserted before the effects and completed behind them: room for that on the same page.
) with (fillfactor = 60);

comment on table heddle.operations is
    'Ledger and journal: an operation''s row says what became of it and commits with its effects';
comment on column heddle.operations.id is
    'Alone the key, over the whole retention: one id, one operation';
comment on column heddle.operations.digest is
    'SHA-256 of user, op, thread and payload: the same id with other content is a conflict';

create view heddle.status as
    select id, user_id, op, thread, state::text as state, attempt,
           submitted_at, started_at, finished_at, result, error
      from heddle.operations;

-- The lane's lock. It ends with the transaction, whoever dies, and needs no row. Not waiting keeps a
-- worker from queueing behind a zombie: it fails as a lock timeout does, and comes again.
create function heddle.lane_lock(lane_key bigint) returns void
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock(lane_key) then
        raise exception 'the lane is held by another transaction' using errcode = 'lock_not_available';
    end if;
end $$;
