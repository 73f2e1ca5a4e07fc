-- Bundles: operations of several lanes in one transaction, by statements over all of them.

-- A direct operation's row is inserted when it has ended, once; one of the journal changes what the
-- indexes hold. Neither has use for room on its page.
alter table heddle.operations reset (fillfactor);

-- As lane_lock, for each of them.
create function heddle.lane_locks(lane_keys bigint[]) returns void
language plpgsql as $$
declare
    lane_key bigint;
begin
    foreach lane_key in array lane_keys loop
        if not pg_try_advisory_xact_lock(lane_key) then
            raise exception 'a lane is held by another transaction' using errcode = 'lock_not_available';
        end if;
    end loop;
end $$;

-- Enters operations of the journal, a lane's in their order, each to be run for the first time. The
-- caller holds the lanes' locks. What enter tells apart is one thing here: HD008, at least one of them
-- does not fit, or not yet; alone each of them will be told why.
create function heddle.enter_many(op_ids uuid[]) returns void
language plpgsql as $$
declare
    misfits bigint;
begin
    perform from heddle.operations where id = any (op_ids) order by id for update;
    with asked as materialized (
        select o.user_id as lane, o.seq, o.prev, o.state = 'queued' and o.attempt = 0 as is_new,
               lag(o.seq) over (partition by o.user_id order by e.n) as before
          from unnest(op_ids) with ordinality as e (id, n) left join heddle.operations o using (id)),
    moves as materialized (
        select lane, min(prev) as head, max(seq) as new_head,
               coalesce(bool_and(is_new and prev = coalesce(before, prev)), false) as fits
          from asked group by lane),
    begun as (
        insert into heddle.lane_heads (lane, seq) select lane, new_head from moves where fits and head = 0
            on conflict do nothing returning 1),
    advanced as (
        update heddle.lane_heads h set seq = m.new_head
          from moves m where m.fits and m.head > 0 and h.lane = m.lane and h.seq = m.head returning 1)
    select (select count(*) from moves) - (select count(*) from begun) - (select count(*) from advanced)
      into misfits;
    if misfits <> 0 then
        raise exception 'an operation of the bundle is not to be run now' using errcode = 'HD008';
    end if;
end $$;
