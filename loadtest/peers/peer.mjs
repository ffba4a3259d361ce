// What the programs of the Node contestants share: they speak with the runner as bench/src/peers/protocol.rs says.
import { openSync, writeSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const RECORD_BYTES = 24;

/** Plays the role that the command line names. */
export async function play({ library, produce, work }) {
  const lines = readLines();
  const settings = JSON.parse((await lines.next()).value);
  const role = process.argv[2];
  if (role === 'work') {
    await work(settings, jobRunner(settings));
    say({ ready: true, version: versionOf(library) });
    while (!(await lines.next()).done);
    process.exit(0);
  }
  const producer = await produce(settings);
  say({ ready: true, version: versionOf(library) });
  await obey(producer, settings, lines);
  process.exit(0);
}

/** The payload of a job. */
export function payload(settings, id) {
  return { id, key: settings.keys[id] ?? id % 100 };
}

/** Has `enqueue` take lists of at most `size` ids until all are taken or the time is over; gives how many were. */
export async function inBatches({ first, count, secs }, size, enqueue) {
  const end = performance.now() + secs * 1000;
  let filled = 0;
  while (filled < count && performance.now() < end) {
    const length = Math.min(size, count - filled);
    await enqueue(Array.from({ length }, (_, n) => first + filled + n));
    filled += length;
  }
  return filled;
}

/** Makes the database `peers` anew; gives its URL. `Client` is that of the package `pg`. */
export async function freshDatabase(Client, url) {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query('DROP DATABASE IF EXISTS peers WITH (FORCE)');
  await client.query('CREATE DATABASE peers');
  await client.end();
  return databaseUrl(url);
}

/** The URL of the database `peers` on the server of this URL. */
export function databaseUrl(url) {
  return Object.assign(new URL(url), { pathname: '/peers' }).href;
}

/** Bytes of the database of this URL. */
export async function databaseBytes(Client, url) {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query('SELECT pg_database_size(current_database()) AS bytes');
  await client.end();
  return Number(rows[0].bytes);
}

async function obey(producer, settings, lines) {
  const underWay = new Set();
  for await (const line of lines) {
    const [order, ...numbers] = line.split(' ');
    const [first, count, secs] = numbers.map(Number);
    if (order === 'one') {
      // Single jobs do not wait for each other.
      const done = producer.one(payload(settings, first)).then(() => underWay.delete(done));
      underWay.add(done);
    } else if (order === 'fill') {
      say({ filled: await producer.fill({ first, count, secs }) });
    } else if (order === 'size') {
      say({ bytes: await producer.size() });
    } else {
      throw new Error(`not an order: ${line}`);
    }
  }
  await Promise.all(underWay);
}

function jobRunner(settings) {
  const pipe = openSync(settings.records, 'w');
  return async (id) => {
    const start = process.hrtime.bigint();
    let end = start;
    if (settings.sleepMs > 0) {
      await sleep(settings.sleepMs);
      end = process.hrtime.bigint();
    }
    const record = Buffer.alloc(RECORD_BYTES);
    record.writeBigUInt64LE(BigInt(id), 0);
    record.writeBigUInt64LE(start, 8);
    record.writeBigUInt64LE(end, 16);
    writeSync(pipe, record);
  };
}

async function* readLines() {
  let rest = '';
  process.stdin.setEncoding('utf8');
  for await (const chunk of process.stdin) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop();
    yield* lines;
  }
}

function say(answer) {
  writeSync(1, `${JSON.stringify(answer)}\n`);
}

function versionOf(library) {
  const file = new URL(`node_modules/${library}/package.json`, `file://${process.argv[1]}`);
  return JSON.parse(readFileSync(file, 'utf8')).version;
}
