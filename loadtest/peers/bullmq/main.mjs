import { Queue, Worker } from 'bullmq';
import { inBatches, payload, play } from '../peer.mjs';

const NAME = 'jobs';
const BATCH = 1000;

function connection({ redis }) {
  return { host: '127.0.0.1', port: Number(new URL(redis).port), maxRetriesPerRequest: null };
}

await play({
  library: 'bullmq',
  async produce(settings) {
    const defaultJobOptions = { removeOnComplete: true, removeOnFail: true };
    const queue = new Queue(NAME, { connection: connection(settings), defaultJobOptions });
    await queue.waitUntilReady();
    return {
      one: (data) => queue.add('job', data),
      fill: (range) =>
        inBatches(range, BATCH, (ids) =>
          queue.addBulk(ids.map((id) => ({ name: 'job', data: payload(settings, id) }))),
        ),
    };
  },
  async work(settings, run) {
    const options = { connection: connection(settings), concurrency: settings.concurrency };
    const worker = new Worker(NAME, (job) => run(job.data.id), options);
    worker.on('error', (error) => console.error(error));
    await worker.waitUntilReady();
  },
});
