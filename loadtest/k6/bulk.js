// Four clients that bring a whole domain each, one bulk after the other.
import * as lib from './lib.js';

export { handleSummary } from './lib.js';

export const options = lib.settings(
  {
    bulk: { executor: 'per-vu-iterations', vus: 4, iterations: Math.ceil(lib.SECONDS / 6), maxDuration: '10m' },
  },
  { bulk: 10000 },
);

export default function bulk() {
  lib.bulk(5000);
}
