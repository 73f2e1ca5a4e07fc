-- Durable mode: the same table is the journal. An operation's row exists before Redis hears of it.
--
-- A durable operation has a number in its lane, given when it enters the lane, and knows the number
-- before it. Execution advances the lane's head from the one to the other in the transaction that
-- ends the row: a duplicate finds its row ended, an operation that overtook another finds a gap.
-- Numbers come from one sequence and never restart, so a lane's rows may go when it is idle.
-- Submission locks only the tail, execution only the head: neither waits for the other.

alter table heddle.operations
    add column seq bigint,
    add column prev bigint,
    add column payload json;

comment on column heddle.operations.seq is 'Number in its lane; null for an operation submitted to Redis directly';
comment on column heddle.operations.prev is 'The number before it; 0: it was the first of an idle lane';
comment on column heddle.operations.payload is 'Of a durable operation, until it is done';

create index operations_unfinished on heddle.operations (user_id, seq)
    where finished_at is null and seq is not null;

create sequence heddle.operation_seq;

create table heddle.lane_tails (
    lane text primary key,
    prev bigint not null,
    seq  bigint not null
) with (fillfactor = 50);
comment on table heddle.lane_tails is 'The newest number of each lane that is not idle, and the one before it';

create table heddle.lane_heads (
    lane text primary key,
    seq  bigint not null
) with (fillfactor = 50);
comment on table heddle.lane_heads is 'The number of the last operation of a lane that has ended';

-- What Redis has still to hear of. A row goes when the relay has pushed its operation.
create table heddle.outbox (
    seq bigint primary key,
    id  uuid not null
);

create table heddle.settings (
    key   text primary key,
    value text not null
);
comment on table heddle.settings is 'What Redis must be set up with again after it has lost everything';

-- A relay that sleeps holds this lock; a submitter that gets it shared knows it awake until the commit.
create function heddle.wake_relay() returns void
language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock_shared(7522537965569666159) then
        notify heddle_outbox;
    end if;
end $$;

create function heddle.digest(user_id text, op text, thread text, payload text) returns bytea
language sql immutable as $$
    select sha256(convert_to(user_id, 'UTF8') || '\x00' || convert_to(op, 'UTF8') || '\x00'
                  || convert_to(coalesce(thread, ''), 'UTF8') || '\x00' || convert_to(payload, 'UTF8'))
$$;

-- Forgets lanes that are idle: head and tail agree. Numbers go on from the sequence.
create function heddle.forget_idle_lanes(most integer) returns integer
language plpgsql as $$
declare
    forgotten integer;
begin
    with idle as (
        select t.lane from heddle.lane_tails t join heddle.lane_heads h using (lane, seq)
         order by t.lane limit most for update skip locked),
    tails as (delete from heddle.lane_tails t using idle where t.lane = idle.lane returning t.lane, t.seq)
    delete from heddle.lane_heads h using tails where h.lane = tails.lane and h.seq = tails.seq;
    get diagnostics forgotten = row_count;
    return forgotten;
end $$;
