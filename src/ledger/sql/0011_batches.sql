-- Follow-ups.

-- What an operation enqueues, in its own transaction and behind its effects: lane tails are taken last,
-- in the order in which everybody takes them. One that is refused fails the transaction.
create function heddle.follow_up(users text[], ops text[], payloads text[], threads text[], ids uuid[],
                                 options jsonb[]) returns void
language plpgsql as $$
declare
    problem text;
begin
    if cardinality(users) > 1 then
        select min(refusal) into problem from heddle.submit_many(users, ops, payloads, threads, ids, options);
    else
        -- The faster one for one.
        begin
            perform heddle.submit_text(users[1], ops[1], payloads[1], threads[1], ids[1], options[1]);
        exception when others then
            if sqlerrm not like 'HEDDLE %' then
                raise;
            end if;
            problem := sqlerrm;
        end;
    end if;
    if problem is not null then
        raise exception using errcode = 'invalid_parameter_value',
            message = regexp_replace(problem, '^(HEDDLE \w+)', '\1 follow-up:');
    end if;
end $$;
