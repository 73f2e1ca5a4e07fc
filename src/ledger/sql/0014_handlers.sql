-- Operations of a team's own that are functions of its database: `(user text, thread text, payload jsonb)
-- returns jsonb`. Processors look once a second whether something has changed.

create table heddle.handlers (
    op           text collate "C" primary key,
    function     text,
    read_only    boolean not null,
    never_bundle boolean not null,
    options      jsonb,
    version      bigint not null unique,
    set_at       timestamptz not null default clock_timestamp(),
    set_by       text not null
);
comment on table heddle.handlers is 'Operations that are functions of this database: see heddle.register_op';
comment on column heddle.handlers.function is 'Its whole name; null: the last change was that it went';
comment on column heddle.handlers.options is 'The retry policy of its operations; null: none';
comment on column heddle.handlers.version is 'Rises from change to change, in the order of their commits';

-- The whole name of a function that fits, or else an exception that says what does not.
create function heddle.op_function(name text) returns text
language plpgsql stable as $$
declare
    parts   text[];
    fitting regprocedure;
    proc    record;
begin
    begin
        parts := parse_ident(name);
        fitting := to_regprocedure(name || '(text,text,jsonb)');
    exception when others then
        parts := null;
    end;
    if parts is null then
        raise exception 'HEDDLE invalid function = %: allowed is the name of one, SCHEMA.FUNCTION', name
            using errcode = 'invalid_parameter_value';
    end if;
    select format('%I.%I', n.nspname, p.proname) as name, format_type(p.prorettype, null) as gives, p.prokind,
           p.proretset into proc
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = fitting;
    if not found then
        raise exception 'HEDDLE invalid function %(text, text, jsonb) does not exist%', name, coalesce(
            (select '; there is ' || string_agg(p.oid::regprocedure::text, ', ')
               from pg_proc p join pg_namespace n on n.oid = p.pronamespace
              where p.proname = parts[cardinality(parts)]
                and case cardinality(parts) when 1 then pg_function_is_visible(p.oid) else n.nspname = parts[1] end), '')
            using errcode = 'invalid_parameter_value';
    elsif proc.prokind <> 'f' or proc.proretset or proc.gives <> 'jsonb' then
        raise exception 'HEDDLE invalid %(text, text, jsonb) is %: allowed is a function that returns jsonb', name,
            case proc.prokind when 'p' then 'a procedure' when 'a' then 'an aggregate' when 'w' then 'a window function'
                 else 'one that returns ' || case when proc.proretset then 'setof ' else '' end || proc.gives end
            using errcode = 'invalid_parameter_value';
    end if;
    return proc.name;
end $$;

-- The lock keeps the order: whoever has seen a version has seen all before it.
create function heddle.set_handler(op text, function text, read_only boolean, never_bundle boolean, options jsonb,
                                   set_by text) returns void
language plpgsql as $$
#variable_conflict use_variable
declare
    next bigint;
begin
    lock table heddle.handlers in share row exclusive mode;
    select coalesce(max(version), 0) + 1 into next from heddle.handlers;
    delete from heddle.handlers h where h.function is null;
    insert into heddle.handlers as h (op, function, read_only, never_bundle, options, version, set_by)
        values (op, function, read_only, never_bundle, options, next, coalesce(set_by, session_user))
        on conflict on constraint handlers_pkey do update
        set function = excluded.function, read_only = excluded.read_only, never_bundle = excluded.never_bundle,
            options = excluded.options, version = excluded.version, set_by = excluded.set_by,
            set_at = clock_timestamp();
end $$;

-- From now on operations of this name call the function, in their unit of work; what was registered under
-- the name before is replaced. Returns the function's whole name.
create function heddle.register_op(op text, function text, read_only boolean default false,
                                   never_bundle boolean default false, attempts integer default null,
                                   backoff interval default null, backoff_max interval default null,
                                   deadline interval default null, on_failure text default null,
                                   set_by text default null)
returns text
language plpgsql as $$
#variable_conflict use_variable
declare
    name    text;
    options jsonb := nullif(jsonb_strip_nulls(jsonb_build_object('attempts', attempts,
                         'backoff_ms', heddle.in_ms(backoff), 'backoff_max_ms', heddle.in_ms(backoff_max),
                         'deadline_ms', heddle.in_ms(deadline), 'on_failure', on_failure)), '{}');
    problem text := heddle.refusal(options);
begin
    if op !~ '^[a-z0-9_.]{1,64}$' then
        problem := 'HEDDLE invalid op must be 1 to 64 characters of a-z0-9_.';
    elsif (select count(*) from heddle.handlers h where h.function is not null and h.op <> op) >= 1000 then
        problem := 'HEDDLE invalid at most 1000 operations can be registered';
    end if;
    if problem is not null then
        raise exception using message = problem, errcode = 'invalid_parameter_value';
    end if;
    name := heddle.op_function(function);
    perform heddle.set_handler(op, name, read_only, never_bundle, options, set_by);
    return name;
end $$;

-- Registered ones whose function is no more what it was: its name, and why.
create function heddle.broken_ops() returns table (op text, problem text)
language plpgsql stable as $$
begin
    for op, problem in select h.op, h.function from heddle.handlers h where h.function is not null order by h.op
    loop
        begin
            perform heddle.op_function(problem);
        exception when invalid_parameter_value then
            problem := regexp_replace(sqlerrm, '^HEDDLE invalid ', '');
            return next;
        end;
    end loop;
end $$;

-- Operations of this name halt their lanes until it is registered again. False: it is not.
create function heddle.remove_op(op text, set_by text default null) returns boolean
language plpgsql as $$
#variable_conflict use_variable
begin
    if not exists (select from heddle.handlers h where h.op = op and h.function is not null) then
        return false;
    end if;
    perform heddle.set_handler(op, null, false, false, null, set_by);
    return true;
end $$;
