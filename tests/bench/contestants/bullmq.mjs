// BullMQ: no order of a user, in Redis.
import { compete, load, plan, redis, windows } from './peer.mjs';

const { Queue, Worker } = await load('bullmq');
const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };
const queue = plan.job === 'run' ? null
  : new Queue('bench', { connection: await redis(), defaultJobOptions });

await compete({
  add: (job) => queue.add('job', job),
  async bulk() {
    for (const jobs of windows(1000)) await queue.addBulk(jobs.map((data) => ({ name: 'job', data })));
  },
  async work(handler) {
    const worker = new Worker('bench', (job) => handler(job.data),
                              { connection: await redis(), concurrency: plan.concurrency,
                                skipStalledCheck: false });
    worker.on('error', (error) => console.error(String(error)));
    await worker.waitUntilReady();
  },
});
