-- Retries and ends. What is decided about an operation that failed is a row here before Redis acts on
-- it: that it is tried again, set aside, halts its lane, is given up, is cancelled.

alter table heddle.operations
    add column options jsonb,
    add column cancelled_at timestamptz,
    add column retry_of uuid;

comment on column heddle.operations.attempt is 'Number of the last attempt; outages and crashes of neighbours are none';
comment on column heddle.operations.options is 'The retry policy that its submission asked for; null: none';
comment on column heddle.operations.cancelled_at is 'Decided: it takes no effect. It ends when its lane has come to it';
comment on column heddle.operations.retry_of is 'The dead operation that an operator had tried again as this one';

-- Direct operations that failed and go on: in no lane of the journal, and yet not to be lost.
create index operations_adrift on heddle.operations (id)
    where finished_at is null and seq is null and state <> 'parked';

create table heddle.attempts (
    id        uuid not null,
    attempt   integer not null,
    ended_at  timestamptz not null default clock_timestamp(),
    error     json not null,
    processor text not null,
    claim     bigint not null,
    primary key (id, processor, claim)
);
comment on table heddle.attempts is 'Attempts that failed: what went wrong, when and where; an operator''s retry counts anew';
comment on column heddle.attempts.claim is 'The processor''s claim, in which an operation is tried once: an attempt is charged once';

create table heddle.parked (
    id     uuid primary key,
    due_at timestamptz not null
);
create index parked_due on heddle.parked (due_at);
comment on table heddle.parked is 'Operations set aside: they enter their lanes again when due';

create table heddle.halted (
    id        uuid primary key,
    halted_at timestamptz not null default clock_timestamp()
);
comment on table heddle.halted is 'Operations that have used up their attempts and halt their lanes until an operator decides';

create table heddle.dead_letters (
    id      uuid primary key,
    dead_at timestamptz not null default clock_timestamp()
);
create index dead_letters_by_time on heddle.dead_letters (dead_at, id);
comment on table heddle.dead_letters is 'Dead operations that nobody has decided about: see heddle.retry and heddle.drop_dead';

-- The next place in the operation's lane is its own, and Redis is to hear of it. The row of the
-- operation is the caller's.
create function heddle.enter_lane(op_id uuid, user_id text) returns void
language plpgsql as $$
declare
    numbers record;
begin
    insert into heddle.lane_tails as t (lane, prev, seq) values (user_id, 0, nextval('heddle.operation_seq'))
        on conflict (lane) do update set prev = t.seq, seq = nextval('heddle.operation_seq')
        returning t.prev, t.seq into numbers;
    update heddle.operations o
       set prev = numbers.prev, seq = numbers.seq, state = case when o.cancelled_at is null then 'queued' else o.state end
     where o.id = op_id;
    insert into heddle.outbox (seq, id) values (numbers.seq, op_id);
    perform heddle.wake_relay();
end $$;

-- Redis is to hear again of an operation that it has: its lane is looked at once more.
create function heddle.nudge(op_id uuid) returns void
language plpgsql as $$
begin
    insert into heddle.outbox (seq, id) values (nextval('heddle.operation_seq'), op_id);
    perform heddle.wake_relay();
end $$;

create function heddle.check_option(options jsonb, name text, most bigint) returns void
language plpgsql as $$
begin
    if options ->> name !~ '^[0-9]{1,10}$' or (options ->> name)::bigint not between 1 and most then
        raise exception 'HEDDLE invalid % must be a whole number from 1 to %', name, most
            using errcode = 'invalid_parameter_value';
    end if;
end $$;

-- Accepts an operation exactly when the caller's transaction commits. The same id with the same
-- content is the same operation; with other content it is a conflict.
create function heddle.submit_text(user_id text, op text, payload text, thread text, id uuid,
                                   options jsonb default null) returns uuid
language plpgsql as $$
#variable_conflict use_variable
declare
    new_id     uuid  := coalesce(id, gen_random_uuid());
    new_digest bytea := heddle.digest(user_id, op, thread, payload);
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
    if options is not null then
        perform heddle.check_option(options, 'attempts', 1000);
        perform heddle.check_option(options, 'backoff_ms', 3600000);
        perform heddle.check_option(options, 'backoff_max_ms', 3600000);
        perform heddle.check_option(options, 'deadline_ms', 2592000000);
        if options ->> 'on_failure' not in ('block', 'park', 'halt') then
            raise exception 'HEDDLE invalid on_failure must be block, park or halt'
                using errcode = 'invalid_parameter_value';
        end if;
    end if;

    insert into heddle.operations as o (id, user_id, op, thread, digest, state, attempt, submitted_at, payload, options)
        values (new_id, user_id, op, nullif(thread, ''), new_digest, 'queued', 0, clock_timestamp(), payload::json,
                options)
        on conflict on constraint operations_pkey do nothing;
    if not found then
        if not exists (select from heddle.operations o where o.id = new_id and o.digest = new_digest) then
            raise exception 'HEDDLE conflict the id is in use by another operation' using errcode = 'unique_violation';
        end if;
        return new_id;
    end if;
    perform heddle.enter_lane(new_id, user_id);
    return new_id;
end $$;

create function heddle.in_ms(duration interval) returns bigint
language sql immutable as $$
    select (extract(epoch from duration) * 1000)::bigint
$$;

create function heddle.submit(user_id text, op text, payload jsonb default '{}', thread text default null,
                              id uuid default null, attempts integer default null,
                              backoff interval default null, backoff_max interval default null,
                              deadline interval default null, on_failure text default null)
returns uuid
language sql as $$
    select heddle.submit_text($1, $2, $3::text, $4, $5,
        nullif(jsonb_strip_nulls(jsonb_build_object('attempts', $6, 'backoff_ms', heddle.in_ms($7),
            'backoff_max_ms', heddle.in_ms($8), 'deadline_ms', heddle.in_ms($9), 'on_failure', $10)), '{}'))
$$;

-- The row of an operation that has not ended, locked; fails unless it is to be run, or with `decision`
-- (how it ends, or goes on) to be decided about:
--   HD001 it has ended already             HD003 the ledger does not know it
--   HD004 it is parked: it is in no lane   HD005 it is cancelled, and the decision is another one
--   HD006 it halts its lane, and is to be run, or to be failed or given up by a zombie
create function heddle.open_operation(op_id uuid, decision text) returns heddle.operations
language plpgsql as $$
declare
    entry heddle.operations;
begin
    select * into entry from heddle.operations where id = op_id for update;
    if not found then
        raise exception 'the ledger does not know the operation' using errcode = 'HD003';
    elsif entry.finished_at is not null then
        raise exception 'the operation has ended' using errcode = 'HD001';
    elsif entry.state = 'parked' then
        raise exception 'the operation is parked' using errcode = 'HD004';
    elsif entry.cancelled_at is not null and decision is distinct from 'cancelled' then
        raise exception 'the operation is cancelled' using errcode = 'HD005';
    -- A zombie's end does not take the decision out of the operator's hand.
    elsif entry.state = 'halted' and coalesce(decision, 'failed') in ('failed', 'dead') then
        raise exception 'the operation halts its lane' using errcode = 'HD006';
    end if;
    return entry;
end $$;

-- Takes the lane's lock and fails the transaction, with all that is sent behind it, unless the
-- operation is to be run now for the `tried`-th time, or its `decision` to be written: as
-- open_operation does, and
--   HD002 another one of its lane comes first
--   HD007 it has been tried so often already: Redis was not told
-- An operation of the journal also takes its place in the lane.
create function heddle.enter(op_id uuid, lane_key bigint, tried integer, decision text default null) returns void
language plpgsql as $$
declare
    entry heddle.operations;
begin
    perform heddle.lane_lock(lane_key);
    entry := heddle.open_operation(op_id, decision);
    if decision is null and entry.attempt >= tried then
        raise exception 'the operation has been tried % times', entry.attempt using errcode = 'HD007';
    elsif entry.state = 'halted' then
        delete from heddle.halted where id = op_id;
    end if;
    if entry.seq is null then
        return;
    elsif entry.prev = 0 then
        insert into heddle.lane_heads (lane, seq) values (entry.user_id, entry.seq) on conflict do nothing;
    else
        update heddle.lane_heads set seq = entry.seq where lane = entry.user_id and seq = entry.prev;
    end if;
    if not found then
        raise exception 'another operation of the lane comes first' using errcode = 'HD002';
    end if;
end $$;

-- An attempt failed, and the operation goes on as `new_state`: retrying and halted keep its place,
-- parked gives it up until `wait_ms` have passed (the caller has entered the lane, so it may). The
-- caller holds the lane's lock. Fails as open_operation does. Once for a claim, however often it is
-- repeated.
create function heddle.charge(op_id uuid, tried integer, new_state text, failure json, wait_ms bigint,
                              processor text, claim bigint) returns void
language plpgsql as $$
declare
    entry  heddle.operations := heddle.open_operation(op_id, new_state);
    number integer           := greatest(tried, entry.attempt + 1);
begin
    insert into heddle.attempts values (op_id, number, default, failure, processor, claim) on conflict do nothing;
    if not found then
        return;
    elsif entry.state = 'halted' then
        raise exception 'the operation halts its lane' using errcode = 'HD006';
    end if;
    update heddle.operations o
       set state = new_state::heddle.operation_state, attempt = number, error = failure,
           started_at = coalesce(o.started_at, now()),
           seq = case when new_state = 'parked' then null else o.seq end,
           prev = case when new_state = 'parked' then null else o.prev end
     where id = op_id;
    if new_state = 'parked' then
        insert into heddle.parked values (op_id, clock_timestamp() + wait_ms * interval '1 millisecond');
    elsif new_state = 'halted' then
        insert into heddle.halted (id) values (op_id);
    end if;
end $$;

-- The operation has just ended dead: its last attempt, and a letter for the operator.
create function heddle.bury(op_id uuid, tried integer, failure json, processor text, claim bigint) returns void
language sql as $$
    insert into heddle.attempts values ($1, $2, default, $3, $4, $5);
    insert into heddle.dead_letters (id) values ($1);
$$;

-- Parked operations that are due enter their lanes again, in the order in which they are due. Returns
-- the ms until the next one is, null where there is none. Waits for nobody: an operation that somebody
-- else has in hand, or whose lane's tail a submitter holds, comes a second later, and with many such
-- this ends early.
create function heddle.unpark(most integer) returns bigint
language plpgsql set lock_timeout = '20ms' as $$
declare
    due  record;
    busy integer := 0;
begin
    for due in
        select id, user_id, finished_at
          from (select p.id, p.due_at, o.user_id, o.finished_at
                  from heddle.parked p join heddle.operations o using (id)
                 where p.due_at <= clock_timestamp() order by p.due_at limit most for update skip locked) taken
         -- As everybody takes lane tails.
         order by user_id collate "C", due_at, id
    loop
        begin
            if due.finished_at is null then
                perform heddle.enter_lane(due.id, due.user_id);
            end if;
            delete from heddle.parked where id = due.id;
        exception when lock_not_available then
            update heddle.parked set due_at = clock_timestamp() + interval '1 second' where id = due.id;
            busy := busy + 1;
            exit when busy = 10;
        end;
    end loop;
    return (select ceil(extract(epoch from min(due_at) - clock_timestamp()) * 1000) from heddle.parked);
end $$;

-- Cancels an operation that has not begun; it takes no effect afterwards. Returns cancelled; running
-- where it is being executed right now; unknown where the ledger has no row of it (a direct operation
-- that was not tried yet); or how it has ended: too late. It ends when its lane has come to it, where
-- whoever waits for its result is told: one in a lane keeps its place, a parked one gets one at once.
create function heddle.cancel(op_id uuid) returns text
language plpgsql as $$
declare
    entry record;
begin
    select state, finished_at, cancelled_at into entry
      from heddle.operations where id = op_id for update skip locked;
    if not found then
        return case when exists (select from heddle.operations where id = op_id) then 'running' else 'unknown' end;
    elsif entry.finished_at is not null or entry.cancelled_at is not null then
        return entry.state;
    end if;
    update heddle.operations
       set state = 'cancelled', code = 499, cancelled_at = clock_timestamp(),
           error = '{"kind":"cancelled","message":"cancelled before it was done"}'
     where id = op_id;
    if entry.state = 'parked' then
        update heddle.parked set due_at = clock_timestamp() where id = op_id;
    else
        delete from heddle.halted where id = op_id;
        perform heddle.nudge(op_id);
    end if;
    return 'cancelled';
end $$;

create function heddle.take_letter(op_id uuid) returns void
language plpgsql as $$
begin
    delete from heddle.dead_letters where id = op_id;
    if not found then
        raise exception 'HEDDLE not_found % is no dead letter and halts no lane', op_id using errcode = 'no_data_found';
    end if;
end $$;

-- Has a dead operation tried again, as a new one at the end of its lane; returns the new one's id. One
-- that halts its lane is itself tried again, with all its attempts before it.
create function heddle.retry(op_id uuid) returns uuid
language plpgsql as $$
declare
    entry  record;
    new_id uuid;
begin
    select user_id, op, payload::text as payload, thread, options, state into entry
      from heddle.operations where id = op_id for update;
    if entry.state = 'halted' then
        delete from heddle.halted where id = op_id;
        update heddle.operations set state = 'queued', attempt = 0 where id = op_id;
        perform heddle.nudge(op_id);
        return op_id;
    end if;
    perform heddle.take_letter(op_id);
    new_id := heddle.submit_text(entry.user_id, entry.op, entry.payload, entry.thread, null, entry.options);
    update heddle.operations set retry_of = op_id where id = new_id;
    return new_id;
end $$;

-- Settles a dead letter: nothing more becomes of it. One that halts its lane is cancelled.
create function heddle.drop_dead(op_id uuid) returns void
language plpgsql as $$
begin
    perform from heddle.operations where id = op_id and state = 'halted' for update;
    if found then
        perform heddle.cancel(op_id);
        return;
    end if;
    perform heddle.take_letter(op_id);
end $$;

-- What waits for an operator: dead letters, and operations that halt their lanes.
create view heddle.dead as
    select o.id, o.user_id, o.op, o.thread, o.state::text as state, o.attempt, o.submitted_at,
           d.dead_at as since, o.error, o.payload
      from heddle.dead_letters d join heddle.operations o using (id)
    union all
    select o.id, o.user_id, o.op, o.thread, o.state::text, o.attempt, o.submitted_at,
           h.halted_at, o.error, o.payload
      from heddle.halted h join heddle.operations o using (id);

create or replace view heddle.status as
    select id, user_id, op, thread, state::text as state, attempt,
           submitted_at, started_at, coalesce(finished_at, cancelled_at) as finished_at, result, error
      from heddle.operations;
