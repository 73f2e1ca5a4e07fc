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

-- Accepts an operation exactly when the caller's transaction commits. The same id with the same
-- content is the same operation; with other content it is a conflict.
create function heddle.submit_text(user_id text, op text, payload text, thread text, id uuid) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    new_id     uuid  := coalesce(id, gen_random_uuid());
    new_digest bytea := heddle.digest(user_id, op, thread, payload);
    numbers    record;
begin
    if user_id is null or octet_length(user_id) not between 1 and 256 then
        raise exception 'HEDDLE invalid user must be 1 to 256 bytes' using errcode = 'invalid_parameter_value';
    elsif op is null or op !~ '^[a-z0-9_.]{1,64}$' then
        raise exception 'HEDDLE invalid op must be 1 to 64 characters of a-z0-9_.' using errcode = 'invalid_parameter_value';
    elsif octet_length(thread) > 64 then
        raise exception 'HEDDLE invalid thread must be at most 64 bytes' using errcode = 'invalid_parameter_value';
    elsif payload is null or octet_length(payload) > 1048576 then
        raise exception 'HEDDLE invalid payload must be at most 1048576 bytes' using errcode = 'invalid_parameter_value';
    elsif json_typeof(payload::json) <> 'object' then
        raise exception 'HEDDLE invalid payload must be a JSON object' using errcode = 'invalid_parameter_value';
    end if;

    insert into heddle.operations as o (id, user_id, op, thread, digest, state, attempt, submitted_at, payload)
        values (new_id, user_id, op, nullif(thread, ''), new_digest, 'queued', 0, clock_timestamp(), payload::json)
        on conflict on constraint operations_pkey do nothing;
    if not found then
        if not exists (select from heddle.operations o where o.id = new_id and o.digest = new_digest) then
            raise exception 'HEDDLE conflict the id is in use by another operation' using errcode = 'unique_violation';
        end if;
        return new_id;
    end if;

    insert into heddle.lane_tails as t (lane, prev, seq) values (user_id, 0, nextval('heddle.operation_seq'))
        on conflict (lane) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
        returning t.prev, t.seq into numbers;
    update heddle.operations o set prev = numbers.prev, seq = numbers.seq where o.id = new_id;
    insert into heddle.outbox (seq, id) values (numbers.seq, new_id);
    perform heddle.wake_relay();
    return new_id;
end $$;

create function heddle.submit(user_id text, op text, payload jsonb default '{}', thread text default null, id uuid default null)
returns uuid
language sql as $$
    select heddle.submit_text($1, $2, $3::text, $4, $5)
$$;

-- The first statement of a durable operation's unit of work. It fails the transaction, with all that
-- is sent behind it, unless the operation is the next one of its lane:
--   HD001 it has ended already, HD002 another one comes first, HD003 the journal does not know it.
create function heddle.enter(op_id uuid, lane_key bigint) returns void
language plpgsql as $$
declare
    entry record;
begin
    perform heddle.lane_lock(lane_key);
    select user_id, prev, seq, finished_at into entry from heddle.operations where id = op_id for update;
    if not found or entry.seq is null then
        raise exception 'the journal does not know the operation' using errcode = 'HD003';
    elsif entry.finished_at is not null then
        raise exception 'the operation has ended' using errcode = 'HD001';
    end if;
    if entry.prev = 0 then
        insert into heddle.lane_heads (lane, seq) values (entry.user_id, entry.seq) on conflict do nothing;
    else
        update heddle.lane_heads set seq = entry.seq where lane = entry.user_id and seq = entry.prev;
    end if;
    if not found then
        raise exception 'another operation of the lane comes first' using errcode = 'HD002';
    end if;
end $$;

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
