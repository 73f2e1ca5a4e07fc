-- What is asked about a user: what has not ended, what failed of late.

create index operations_failed on heddle.operations (finished_at, user_id) where state in ('failed', 'dead');
create index operations_set_aside on heddle.operations (user_id) where state in ('parked', 'scheduled');

-- Operations of a user: of the lane that have not ended (journal), set aside, failed and dead in the last
-- day, and those that wait for an operator. What is more than 100000 is not counted.
create function heddle.user_told(user_id text) returns json
language sql stable as $$
    select json_build_object(
        'journal', (select count(*) from (select from heddle.operations o
            where o.user_id = $1 and o.finished_at is null and o.seq is not null limit 100000) x),
        'set_aside', (select count(*) from (select from heddle.operations o
            where o.user_id = $1 and o.state in ('parked', 'scheduled') limit 100000) x),
        'failed', count(*) filter (where recent.state = 'failed'),
        'dead', count(*) filter (where recent.state = 'dead'),
        'letters', (select count(*) from heddle.dead d where d.user_id = $1 and d.state = 'dead'),
        'halted', (select count(*) from heddle.dead d where d.user_id = $1 and d.state = 'halted'))
      from (select o.state from heddle.operations o
             where o.user_id = $1 and o.state in ('failed', 'dead')
               and o.finished_at > clock_timestamp() - interval '1 day' limit 100000) recent
$$;

-- Users by how many of the last 100000 operations that failed or died in the last day are theirs.
create function heddle.failing_users(most integer)
returns table ("user" text, failed bigint, dead bigint)
language sql stable as $$
    select user_id, count(*) filter (where state = 'failed'), count(*) filter (where state = 'dead')
      from (select user_id, state from heddle.operations
             where state in ('failed', 'dead') and finished_at > clock_timestamp() - interval '1 day'
             order by finished_at desc limit 100000) recent
     group by user_id order by count(*) desc, user_id limit most
$$;
