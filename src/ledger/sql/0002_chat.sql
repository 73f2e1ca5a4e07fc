-- Conversations, as the thread operations keep them.

create schema chat;
comment on schema chat is 'Conversations and their messages, written by the thread operations.';

-- Every message updates its thread. No index holds what it changes, and the free
-- part of each page takes the new version: such an update touches no index.
-- (That metadata is an object is left to the operations: checks run at every
-- update, and this one would unpack large metadata for each message.)
create table chat.threads (
    id uuid primary key,
    user_id text not null check (octet_length(user_id) between 1 and 256),
    title text,
    status text not null default 'active' check (status in ('active', 'archived')),
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    archived_at timestamptz,
    last_seq bigint not null default 0 check (last_seq >= 0),
    check ((status = 'archived') = (archived_at is not null))
) with (fillfactor = 70);

create index threads_of_user on chat.threads (user_id, created_at desc, id);

comment on table chat.threads is 'A conversation; it belongs to the user who created it.';
comment on column chat.threads.title is 'For lists; null or empty until it has one.';
comment on column chat.threads.status is 'active, or archived: then it takes no new message.';
comment on column chat.threads.metadata is 'The application''s own; a JSON object.';
comment on column chat.threads.last_seq is 'seq of the newest message, and so their number.';

create table chat.messages (
    id uuid primary key,
    thread_id uuid not null references chat.threads (id),
    seq bigint not null check (seq >= 1),
    role text not null check (role in ('user', 'assistant', 'system', 'tool')),
    content text not null check (content <> ''),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    created_at timestamptz not null default now(),
    unique (thread_id, seq)
);

comment on table chat.messages is 'A message of a thread; never changed.';
comment on column chat.messages.id is 'The id of the operation that sent it.';
comment on column chat.messages.seq is 'Its place in the thread: from 1, without gaps.';
comment on column chat.messages.metadata is 'The application''s own; a JSON object.';
