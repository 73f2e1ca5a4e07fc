-- The work of send_message as an application would write it: four round trips.
\set u random(1, :users)
\set t random(1, 10)
begin;
update chat.threads set last_seq = last_seq + 1, updated_at = clock_timestamp()
    where id = (lpad(:u::text, 8, '0') || '-0000-4000-8000-' || lpad(:t::text, 12, '0'))::uuid
      and user_id = 'user-' || :u and status = 'active'
    returning id as thread, last_seq as seq, updated_at as at \gset
insert into chat.messages (id, thread_id, seq, role, content, metadata, created_at)
    values (gen_random_uuid(), :thread::uuid, :seq, 'user', :content, '{}', :at::timestamptz);
commit;
