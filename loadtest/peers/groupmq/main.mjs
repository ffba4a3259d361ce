import { Queue, Worker } from 'groupmq';
import { Redis } from 'ioredis';
import { inBatches, payload, play } from '../peer.mjs';

const BATCH = 200;

function open(settings) {
  const redis = new Redis(settings.redis, { maxRetriesPerRequest: null });
  return new Queue({ redis, namespace: 'jobs' });
}

// A group runs one job at a time, so that a key has as many groups as it may run jobs.
function groupOf(settings, data) {
  return settings.keys.length > 0 ? `${data.key}-${data.id % settings.keyLimit}` : `${data.id % 1000}`;
}

await play({
  library: 'groupmq',
  async produce(settings) {
    const queue = open(settings);
    const one = (data) => queue.add({ groupId: groupOf(settings, data), data });
    return {
      one,
      fill: (range) =>
        inBatches(range, BATCH, (ids) => Promise.all(ids.map((id) => one(payload(settings, id))))),
    };
  },
  async work(settings, run) {
    const handler = (job) => run(job.data.id);
    const worker = new Worker({ queue: open(settings), concurrency: settings.concurrency, handler });
    worker.on('error', (error) => console.error(error));
    worker.run();
  },
});
