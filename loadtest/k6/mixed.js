// A day of customers who submit and look, operators who watch, and bulks in bursts.
import * as lib from './lib.js';

export { handleSummary, latest, list, submit, summary } from './lib.js';

export function burst() {
  lib.bulk(500);
}

export const options = lib.settings(
  {
    submit: lib.day('submit', 20),
    latest: lib.day('latest', 80),
    list: lib.day('list', 5),
    summary: lib.every('summary', lib.SECONDS / 12),
    bulk: lib.every('burst', lib.SECONDS / 6),
  },
  { submit: 500, latest: 200, list: 500, summary: 2000, bulk: 5000 },
);
