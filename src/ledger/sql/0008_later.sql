-- What is for later, and what is decided about it until then: it is in no lane.

-- As it was; one that is scheduled is in no lane, as one that is parked.
create or replace function heddle.open_operation(op_id uuid, decision text) returns heddle.operations
language plpgsql as $$
declare
    entry heddle.operations;
begin
    select * into entry from heddle.operations where id = op_id for update;
    if not found then
        raise exception 'the ledger does not know the operation' using errcode = 'HD003';
    elsif entry.finished_at is not null then
        raise exception 'the operation has ended' using errcode = 'HD001';
    elsif entry.state in ('parked', 'scheduled') then
        raise exception 'the operation is %', entry.state using errcode = 'HD004';
    elsif entry.cancelled_at is not null and decision is distinct from 'cancelled' then
        raise exception 'the operation is cancelled' using errcode = 'HD005';
    -- A zombie's end does not take the decision out of the operator's hand.
    elsif entry.state = 'halted' and coalesce(decision, 'failed') in ('failed', 'dead') then
        raise exception 'the operation halts its lane' using errcode = 'HD006';
    end if;
    return entry;
end $$;

-- Likewise.
create or replace function heddle.cancel(op_id uuid) returns text
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
    if entry.state in ('parked', 'scheduled') then
        update heddle.parked set due_at = clock_timestamp(), asked_at = null where id = op_id;
    else
        delete from heddle.halted where id = op_id;
        perform heddle.nudge(op_id);
    end if;
    return 'cancelled';
end $$;

-- As it was; what an operator has tried again does not expire.
create or replace function heddle.retry(op_id uuid) returns uuid
language plpgsql as $$
declare
    entry  record;
    new_id uuid;
begin
    select user_id, op, payload::text as payload, thread, options, state into entry
      from heddle.operations where id = op_id for update;
    if entry.state = 'halted' then
        delete from heddle.halted where id = op_id;
        update heddle.operations
           set state = 'queued', attempt = 0, options = nullif(options - 'expires_ms', '{}') where id = op_id;
        perform heddle.nudge(op_id);
        return op_id;
    end if;
    perform heddle.take_letter(op_id);
    new_id := heddle.submit_text(entry.user_id, entry.op, entry.payload, entry.thread, null, entry.options);
    update heddle.operations set retry_of = op_id where id = new_id;
    return new_id;
end $$;

-- Scheduled operations of a user that are due, the first ones, enter their lane in the order in which
-- they are.
create function heddle.enter_scheduled(user_id text, most integer) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    due record;
begin
    for due in
        select taken.id, taken.finished_at
          from (select p.id, p.asked_at, o.submitted_at, o.class, o.finished_at
                  from heddle.parked p join heddle.operations o using (id)
                 where p.user_id = user_id and p.asked_at <= clock_timestamp()
                 order by p.asked_at, o.submitted_at, p.id limit most) taken
         -- As everybody takes lane tails.
         order by class, asked_at, submitted_at, id
    loop
        delete from heddle.parked p where p.id = due.id;
        if due.finished_at is null then
            perform heddle.enter_lane(due.id, user_id);
        end if;
    end loop;
end $$;

-- Parked and scheduled operations that are due enter their lanes, in the order in which they are due: a
-- user's scheduled ones whatever lets them wait. Returns the ms until the next one is, null where there
-- is none. Waits for nobody: an operation that somebody else has in hand, or whose lane's tail a
-- submitter holds, comes a second later, and with many such this ends early.
create or replace function heddle.unpark(most integer) returns bigint
language plpgsql set lock_timeout = '20ms' as $$
declare
    due   record;
    last  text;
    later timestamptz;
    busy  integer := 0;
begin
    for due in
        select id, user_id, finished_at, is_scheduled
          from (select p.id, p.due_at, p.asked_at is not null as is_scheduled, o.user_id, o.class, o.finished_at
                  from heddle.parked p join heddle.operations o using (id)
                 where p.due_at <= clock_timestamp() order by p.due_at limit most for update skip locked) taken
         -- As everybody takes lane tails.
         order by user_id collate "C", is_scheduled, class, due_at, id
    loop
        continue when due.is_scheduled and due.user_id = last;
        begin
            if due.is_scheduled then
                last := due.user_id;
                perform heddle.enter_scheduled(due.user_id, most);
            else
                delete from heddle.parked where id = due.id;
                if due.finished_at is null then
                    perform heddle.enter_lane(due.id, due.user_id);
                end if;
            end if;
        exception when lock_not_available then
            later := clock_timestamp() + interval '1 second';
            if due.is_scheduled then
                update heddle.parked set due_at = later where user_id = due.user_id and asked_at <= later;
            else
                update heddle.parked set due_at = later where id = due.id;
            end if;
            busy := busy + 1;
            exit when busy = 10;
        end;
    end loop;
    return (select ceil(extract(epoch from min(due_at) - clock_timestamp()) * 1000) from heddle.parked);
end $$;
