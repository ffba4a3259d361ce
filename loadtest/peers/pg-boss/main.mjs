import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { databaseBytes, databaseUrl, freshDatabase, inBatches, payload, play } from '../peer.mjs';

const QUEUE = 'jobs';
const BATCH = 1000;
const FETCH = 50;
const CONNECTIONS = 20;

async function open(connectionString) {
  const boss = new PgBoss({ connectionString, max: CONNECTIONS, useListenNotify: true });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  return boss;
}

function options(settings, data) {
  return settings.keys.length > 0 ? { group: { id: String(data.key) } } : {};
}

await play({
  library: 'pg-boss',
  async produce(settings) {
    const url = await freshDatabase(pg.Client, settings.postgres);
    const boss = await open(url);
    await boss.createQueue(QUEUE, { notify: true });
    const job = (id) => {
      const data = payload(settings, id);
      return { data, ...options(settings, data) };
    };
    return {
      one: (data) => boss.send(QUEUE, data, options(settings, data)),
      fill: (range) => inBatches(range, BATCH, (ids) => boss.insert(QUEUE, ids.map(job))),
      size: () => databaseBytes(pg.Client, url),
    };
  },
  async work(settings, run) {
    const boss = await open(databaseUrl(settings.postgres));
    // With keys each place fetches for itself: a batch would wait for its slowest job.
    const keyed = settings.keys.length > 0;
    const how = keyed
      ? { batchSize: 1, localConcurrency: settings.concurrency, groupConcurrency: settings.keyLimit }
      : { batchSize: FETCH, localConcurrency: 2, burstWhenBatchFull: true };
    const handler = (jobs) => Promise.all(jobs.map((job) => run(job.data.id)));
    await boss.work(QUEUE, { pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5, ...how }, handler);
  },
});
