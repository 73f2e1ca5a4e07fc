-- Retention: what has ended is remembered for so long, and then goes.

-- Of what may go, no index says where it is: it would cost every operation something. Once a day all pages of
-- heddle.operations are walked instead, some at a time; where the run is stands here.
create table heddle.pruning (
    is_one       boolean primary key default true check (is_one),
    next_at      timestamptz not null default clock_timestamp(),
    began_at     timestamptz,
    ended_at     timestamptz,
    page         bigint not null default 0,
    page_count   bigint not null default 0,
    operations   bigint not null default 0,
    dead_letters bigint not null default 0,
    batches      bigint not null default 0,
    controls     bigint not null default 0
);
insert into heddle.pruning default values;
comment on table heddle.pruning is 'The last run of heddle.prune, or the one under way, and how many rows of each have gone';
comment on column heddle.pruning.ended_at is 'null: it is under way, or there was none yet';
comment on column heddle.pruning.page is 'Of heddle.operations: where it goes on';

create index uniques_by_id on heddle.uniques (id);
create index batches_complete on heddle.batches (completed_at) where completed_at is not null;
create index controls_taken_back on heddle.controls (set_at) where value is null;

-- Deletes, in some pages of heddle.operations, what had ended before `kept_since`, with its attempts: but not
-- what somebody may still ask for or decide about, what a unique key answers with, and what a batch counts:
-- one that is not complete, that may yet be completed, or that nobody has closed since `batch_since`.
create function heddle.prune_operations(first_page bigint, next_page bigint, kept_since timestamptz,
                                        batch_since timestamptz) returns bigint
language sql as $$
    with ended as materialized (
        select o.id from heddle.operations o
         where o.ctid >= format('(%s,0)', first_page)::tid and o.ctid < format('(%s,0)', next_page)::tid
           and o.finished_at < kept_since
           and not exists (select from heddle.dead_letters d where d.id = o.id)
           and not exists (select from heddle.halted h where h.id = o.id)
           and not exists (select from heddle.parked p where p.id = o.id)
           and not exists (select from heddle.uniques u where u.id = o.id)
           and (o.batch is null
                or coalesce((select b.completed_at is not null and (b.completion is null or b.is_followed)
                               from heddle.batches b where b.name = o.batch), o.finished_at < batch_since))
           for update of o skip locked),
    tried as (delete from heddle.attempts a using ended where a.id = ended.id),
    gone as (delete from heddle.operations o using ended where o.id = ended.id returning 1)
    select count(*) from gone
$$;

-- Deletes some of what small tables have no more use for: dead letters that nobody has decided about, batches
-- that are complete, controls that were taken back; not the newest control, which has the version.
create function heddle.prune_small(kept_since timestamptz, dead_since timestamptz, batch_since timestamptz,
                                   out dead_letters bigint, out batches bigint, out controls bigint)
language plpgsql as $$
#variable_conflict use_column
begin
    delete from heddle.dead_letters where id in (
        select id from heddle.dead_letters where dead_at < dead_since order by dead_at limit 200 for update skip locked);
    get diagnostics dead_letters = row_count;
    delete from heddle.batches where name in (
        select name from heddle.batches where completed_at < batch_since
         order by completed_at limit 200 for update skip locked);
    get diagnostics batches = row_count;
    delete from heddle.controls where version in (
        select version from heddle.controls where value is null and set_at < kept_since
         order by set_at limit 200 for update skip locked)
       and version <> (select max(version) from heddle.controls);
    get diagnostics controls = row_count;
end $$;

-- A step of the daily run: everything that is older than these ms, 0 keeping it. A batch stays for as long as
-- its operations. Whoever calls does so again and again, with pauses; it waits for nobody. Returns the ms
-- until there is something to do.
create function heddle.prune(retention_ms bigint, dead_ms bigint, batch_ms bigint) returns bigint
language plpgsql
set lock_timeout = '20ms' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    at          timestamptz := clock_timestamp();
    kept_since  timestamptz := at - nullif(retention_ms, 0) * interval '1 millisecond';
    dead_since  timestamptz := at - nullif(dead_ms, 0) * interval '1 millisecond';
    batch_since timestamptz := at - nullif(case when retention_ms > 0 and batch_ms > 0
                                                then greatest(retention_ms, batch_ms) end, 0) * interval '1 millisecond';
    pages       integer := 16;
    run         heddle.pruning;
    small       record;
begin
    select * into run from heddle.pruning for update skip locked;
    if not found then
        return 1000;
    elsif run.next_at > at then
        return ceil(extract(epoch from run.next_at - at) * 1000);
    elsif run.began_at is null or run.ended_at is not null then
        update heddle.pruning
           set began_at = at, ended_at = null, page = 0, operations = 0, dead_letters = 0, batches = 0, controls = 0,
               page_count = case when retention_ms > 0 then pg_relation_size('heddle.operations')
                                                            / current_setting('block_size')::integer else 0 end
        returning * into run;
    end if;
    small := heddle.prune_small(kept_since, dead_since, batch_since);
    if small.dead_letters + small.batches + small.controls > 0 then
        update heddle.pruning p
           set dead_letters = p.dead_letters + small.dead_letters, batches = p.batches + small.batches,
               controls = p.controls + small.controls;
    elsif run.page < run.page_count and kept_since is not null then
        update heddle.pruning p
           set page = run.page + pages,
               operations = p.operations
                   + heddle.prune_operations(run.page, run.page + pages, kept_since, batch_since);
    else
        update heddle.pruning
           set ended_at = at, next_at = at + interval '1 day' * (0.95 + 0.1 * random()) returning * into run;
        return ceil(extract(epoch from run.next_at - at) * 1000);
    end if;
    return 0;
end $$;
