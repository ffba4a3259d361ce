// The same load for a long time, while memory and file descriptors of the schedulers are watched.
import * as lib from './lib.js';

export { handleSummary, latest, list, submit, summary } from './lib.js';

export function burst() {
  lib.bulk(100);
}

export const options = lib.settings(
  {
    submit: lib.steadily('submit', 10),
    latest: lib.steadily('latest', 40),
    list: lib.steadily('list', 2),
    summary: lib.every('summary', 10),
    bulk: lib.every('burst', 5),
  },
  { submit: 500, latest: 200, list: 500, summary: 2000, bulk: 2000 },
);
