-- The work of send_message as one statement, the one of workers/messages.c: one round trip.
-- (Quoted colons: pgbench would take :MI for a variable.)
\set u random(1, :users)
\set t random(1, 10)
with t as (update chat.threads set last_seq = last_seq + 1, updated_at = clock_timestamp()
    where id = (lpad(:u::text, 8, '0') || '-0000-4000-8000-' || lpad(:t::text, 12, '0'))::uuid
      and user_id = 'user-' || :u and status = 'active'
    returning id, last_seq, updated_at)
insert into chat.messages as m (id, thread_id, seq, role, content, metadata, created_at)
    select gen_random_uuid(), id, last_seq, 'user', :content, '{}', updated_at from t
    returning json_build_object('id', m.id, 'thread_id', m.thread_id, 'seq', m.seq, 'role', m.role,
        'content', m.content, 'metadata', m.metadata, 'created_at',
        to_char(m.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24":"MI":"SS.US"Z"'));
