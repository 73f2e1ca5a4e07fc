// graphile-worker, tuned: jobs of a queue start in order, in Postgres. Its local queue hands out several
// of one queue at once, so what they do is not in order; without it, it does a sixth of the messages.
import { compete, load, plan, pool, windows } from './peer.mjs';

const { Logger, makeWorkerUtils, run } = await load('graphile-worker');
const logger = new Logger(() => () => {});
const postgres = await pool(Math.min(plan.concurrency, 16) + 4);
const utils = await makeWorkerUtils({ pgPool: postgres, logger });

const BEGIN_MS = Date.UTC(2020, 0);

await compete({
  prepare: () => utils.migrate(),
  add: (job) => utils.addJob('bench', job, { queueName: job.user }),
  // Jobs of one call would share their time, and so lose the order of their queue.
  async bulk() {
    for (const jobs of windows(1000))
      await utils.addJobs(jobs.map((job) => ({ identifier: 'bench', payload: job, queueName: job.user,
                                               runAt: new Date(BEGIN_MS + job.i) })));
    await postgres.query('vacuum analyze');
  },
  async work(handler) {
    await run({
      pgPool: postgres, logger, noHandleSignals: true,
      preset: { worker: {
        concurrentJobs: plan.concurrency, pollInterval: 50, completeJobBatchDelay: 0,
        failJobBatchDelay: 0, preparedStatements: true,
        localQueue: { size: 500 } } },
      taskList: { bench: (job) => handler(job) },
    });
  },
});
