// GroupMQ: strict order of a group, in Redis.
import { compete, load, plan, redis, windows } from './peer.mjs';

const { Queue, Worker } = await load('groupmq');
const bulk = plan.job === 'bulk';
const connection = await redis();
const queue = new Queue({ redis: connection, namespace: 'bench', logger: false,
                          ...(bulk && { autoBatch: { size: 100, maxWaitMs: 1 } }) });
const add = (job) => queue.add({ groupId: job.user, data: job, orderMs: Date.now() });

await compete({
  add,
  async bulk() {
    for (const jobs of windows(2000)) await Promise.all(jobs.map(add));
  },
  async work(handler) {
    const worker = new Worker({ queue, concurrency: plan.concurrency, logger: false,
                                handler: (job) => handler(job.data) });
    worker.on('error', (error) => console.error(String(error)));
    worker.run();
  },
});
