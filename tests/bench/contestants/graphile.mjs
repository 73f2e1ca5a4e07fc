// graphile-worker, tuned: jobs of a queue start in order, in Postgres. Its local queue hands out several
// of one queue at once, so what they do is not in order; without it, it does a sixth of the messages.
import { compete, load, plan, pool } from './peer.mjs';

const { Logger, makeWorkerUtils, run } = await load('graphile-worker');
const logger = new Logger(() => () => {});
const postgres = await pool(Math.min(plan.concurrency, 16) + 4);
const utils = await makeWorkerUtils({ pgPool: postgres, logger });

// Jobs of a statement. A longer one takes longer a job: each updates its queue once more.
const WINDOW = 500;
const BULK_SQL = `
  select graphile_worker.add_job('bench', json_build_object('i', i, 'user', 'user-' || u, 'u', u, 'n', n, 't', t,
           'content', rpad(lpad(n::text, 10, '0') || ' ' || lpad(t::text, 2, '0') || ' ', 200, 'x')),
         queue_name := 'user-' || u, run_at := timestamptz '2020-01-01' + i * interval '1 microsecond')
  from (select i, u, n, (n * 7 + u) % 10 + 1 as t
        from (select i, i / $3::int % $4::int + 1 as u, i / ($3::int * $4::int) * $3::int + i % $3::int + 1 as n
              from generate_series($1::int, $2::int) i) s order by i) s`;

await compete({
  prepare: () => utils.migrate(),
  add: (job) => utils.addJob('bench', job, { queueName: job.user }),
  // addJobs loses the order of a queue; this keeps it: jobs are taken by run_at.
  async bulk() {
    for (let begin = 0; begin < plan.count; begin += WINDOW)
      await postgres.query({ name: 'bulk', text: BULK_SQL, values: [
        begin, Math.min(begin + WINDOW, plan.count) - 1, plan.burst, plan.users] });
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
