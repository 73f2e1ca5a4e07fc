// pg-boss: strict order of a key, in Postgres.
import { setTimeout as sleep } from 'node:timers/promises';

import { compete, load, plan, pool, windows } from './peer.mjs';

const { PgBoss } = await load('pg-boss');
const boss = new PgBoss({ ...plan.postgres, max: 8, useListenNotify: true, supervise: false,
                          schedule: false });
boss.on('error', (error) => console.error(String(error)));
const options = (job) => ({ singletonKey: job.user, retryLimit: 2 });
const paced = plan.rate > 0;
const LOOPS = 2, DEPTH = plan.work === 'message' ? 64 : 500, EMPTY_MS = 2;

// boss.work() waits half a second after a batch that is not full, as those of few users are.
async function loop(handler) {
  for (;;) {
    const jobs = await boss.fetch('bench', { batchSize: DEPTH });
    await Promise.all(jobs.map((job) => handler(job.data)));
    if (jobs.length) await boss.complete('bench', jobs.map((job) => job.id));
    else await sleep(EMPTY_MS);
  }
}

await compete({
  async prepare() {
    await boss.start();
    if (plan.job !== 'run' || paced)
      await boss.createQueue('bench', { policy: 'key_strict_fifo', notify: true }).catch(() => {});
  },
  add: (data) => boss.send('bench', data, options(data)),
  async bulk() {
    for (const jobs of windows(1000))
      await boss.insert('bench', jobs.map((data) => ({ data, ...options(data) })));
    // Jobs of one call share their time: their order would be lost.
    const postgres = await pool(1);
    await postgres.query(`update pgboss.job set created_on = timestamptz '2020-01-01'
                          + (data->>'i')::int * interval '1 microsecond' where name = 'bench'`);
    await postgres.query('vacuum analyze pgboss.job').catch(() => {});
  },
  async work(handler) {
    if (!paced) {
      for (let i = 0; i < LOOPS; i++) loop(handler);
      return;
    }
    await boss.work('bench', { batchSize: 1, localConcurrency: 4, pollingIntervalSeconds: 0.5 },
                    (jobs) => Promise.all(jobs.map((job) => handler(job.data))));
  },
});
