// What the JavaScript contestants share: the work, its verification, the client of Postgres.
//
//   node PEER.mjs PLAN        a JSON object, see ../workload.py
//
// PLAN.job: bulk submits everything in the fastest way that keeps a user's order, one by one call
// after another, pace at a rate; run works off until everything has come, and verifies. Prints a
// line of JSON.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

export const plan = JSON.parse(process.argv[2]);
const { resolve } = createRequire(`${process.env.BENCH_PEERS}/package.json`);
export const load = async (name) => {
  const module = await import(pathToFileURL(resolve(name)));
  return module.default?.__esModule || !Object.keys(module).some((key) => key !== 'default')
    ? module.default : module;
};
const GRACE_MS = 200;  // for what comes once too often
const STALLED_MS = 30_000;
const now_us = () => Number(process.hrtime.bigint() / 1000n);

// The same as Work of workload.py.
export function operation(i) {
  const round = Math.floor(i / (plan.burst * plan.users));
  const user = Math.floor(i / plan.burst) % plan.users + 1;
  const number = round * plan.burst + i % plan.burst + 1;
  const thread = (number * 7 + user) % 10 + 1;
  const content = `${String(number).padStart(10, '0')} ${String(thread).padStart(2, '0')} `;
  return { i, user: `user-${user}`, u: user, n: number, t: thread, content: content.padEnd(200, 'x') };
}

export function* windows(size) {
  for (let begin = 0; begin < plan.count; begin += size)
    yield Array.from({ length: Math.min(size, plan.count - begin) }, (_, k) => operation(begin + k));
}

export async function redis(options = {}) {
  const { Redis } = await load('ioredis');
  return new Redis({ path: plan.redis, maxRetriesPerRequest: null, ...options });
}

export async function pool(max) {
  const pg = await load('pg');
  return new (pg.Pool ?? pg.default.Pool)({ ...plan.postgres, max });
}

// Lock and bump the thread, insert the message: as sql/transaction.sql.
async function insertMessage(postgres, job) {
  const client = await postgres.connect();
  try {
    await client.query('begin');
    const { rows: [thread] } = await client.query({
      name: 'bump', text: `update chat.threads set last_seq = last_seq + 1, updated_at = clock_timestamp()
        where id = $1 and user_id = $2 and status = 'active' returning id, last_seq, updated_at`,
      values: [`${String(job.u).padStart(8, '0')}-0000-4000-8000-${String(job.t).padStart(12, '0')}`,
               `user-${job.u}`] });
    await client.query({
      name: 'insert', text: `insert into chat.messages (id, thread_id, seq, role, content, metadata, created_at)
        values (gen_random_uuid(), $1, $2, 'user', $3, '{}', $4)`,
      values: [thread.id, thread.last_seq, job.content, thread.updated_at] });
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

class Tally {
  last = new Uint32Array(plan.users + 1);
  times = new Uint8Array(plan.count);
  runs = 0; once = 0; repeated = 0; early = 0; latencies = [];

  note(job) {
    this.runs++;
    if (this.times[job.i]++ > 0) this.repeated++;
    else this.once++;
    if (job.n !== this.last[job.u] + 1) this.early++;
    this.last[job.u] = Math.max(this.last[job.u], job.n);
    if (job.sent_us) this.latencies.push(now_us() - job.sent_us);
  }
}

async function run(peer) {
  const tally = new Tally();
  const postgres = plan.work === 'message' ? await pool(plan.concurrency) : null;
  let done = () => {}, ended_us = 0, moved = 0;
  const all = new Promise((resolve) => { done = resolve; });
  const handler = async (job) => {
    tally.note(job);
    if (postgres) await insertMessage(postgres, job);
    if (++moved === plan.count) { ended_us = now_us(); done(); }
  };
  const started_us = now_us();
  await peer.work(handler);
  console.log(JSON.stringify({ ready: true }));
  for (let seen = -1; moved < plan.count; seen = moved) {
    if (seen === moved) throw new Error(`${moved} of ${plan.count} have come, and no more do`);
    await Promise.race([all, sleep(STALLED_MS, undefined, { ref: false })]);
  }
  await sleep(GRACE_MS);
  return { seconds: (ended_us - started_us) / 1e6, runs: tally.runs, once: tally.once,
           repeated: tally.repeated, early: tally.early, latencies_us: tally.latencies,
           rss_kib: Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) };
}

async function submit(peer, each) {
  const started_us = now_us();
  await each(peer);
  return { seconds: (now_us() - started_us) / 1e6 };
}

async function one(peer) {
  for (let i = 0; i < plan.count; i++) await peer.add(operation(i));
}

async function pace(peer) {
  const begin_us = now_us() + 200_000, pending = [];
  for (let i = 0; i < plan.count; i++) {
    const due_us = begin_us + i * 1e6 / plan.rate;
    if (due_us > now_us()) await sleep((due_us - now_us()) / 1000);
    pending.push(peer.add({ ...operation(i), sent_us: now_us() }));
  }
  await Promise.all(pending);
}

// `peer`: prepare(), bulk(), add(job), work(handler): each async.
export async function compete(peer) {
  const jobs = { bulk: () => submit(peer, () => peer.bulk()), one: () => submit(peer, one),
                 pace: () => submit(peer, pace), run: () => run(peer) };
  await peer.prepare?.();
  console.log(JSON.stringify(await jobs[plan.job]()));
  process.exit(0);
}
