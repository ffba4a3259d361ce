import { Logger, makeWorkerUtils, run as startRunner } from 'graphile-worker';
import pg from 'pg';
import { databaseBytes, databaseUrl, freshDatabase, inBatches, payload, play } from '../peer.mjs';

const BATCH = 1000;
const CONNECTIONS = 20;
const LOCAL_QUEUE = 500;

const logger = new Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});

// A named queue runs one job at a time, so that a key has as many queues as it may run jobs.
function spec(settings, data) {
  const keyed = settings.keys.length > 0;
  return keyed ? { queueName: `${data.key}-${data.id % settings.keyLimit}` } : {};
}

await play({
  library: 'graphile-worker',
  async produce(settings) {
    const connectionString = await freshDatabase(pg.Client, settings.postgres);
    const utils = await makeWorkerUtils({ connectionString, logger, maxPoolSize: CONNECTIONS });
    await utils.migrate();
    const job = (id) => {
      const data = payload(settings, id);
      return { identifier: 'job', payload: data, ...spec(settings, data) };
    };
    return {
      one: (data) => utils.addJob('job', data, spec(settings, data)),
      fill: (range) => inBatches(range, BATCH, (ids) => utils.addJobs(ids.map(job))),
      size: () => databaseBytes(pg.Client, connectionString),
    };
  },
  async work(settings, run) {
    await startRunner({
      connectionString: databaseUrl(settings.postgres),
      concurrency: settings.concurrency,
      maxPoolSize: CONNECTIONS,
      noHandleSignals: true,
      logger,
      taskList: { job: (data) => run(data.id) },
      preset: {
        worker: {
          pollInterval: 500,
          completeJobBatchDelay: 0,
          localQueue: { size: settings.keys.length > 0 ? -1 : LOCAL_QUEUE },
        },
      },
    });
  },
});
