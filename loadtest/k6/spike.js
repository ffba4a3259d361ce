// Quiet, then from one second to the next twenty times as much, then quiet again.
import { SECONDS, settings } from './lib.js';

export { handleSummary, submit } from './lib.js';

export const options = settings(
  {
    spike: {
      executor: 'ramping-arrival-rate',
      exec: 'submit',
      startRate: 5,
      timeUnit: '1s',
      stages: [
        { target: 5, duration: `${SECONDS * 0.3}s` },
        { target: 100, duration: '1s' },
        { target: 100, duration: `${SECONDS * 0.3}s` },
        { target: 5, duration: '1s' },
        { target: 5, duration: `${SECONDS * 0.3}s` },
      ],
      preAllocatedVUs: 100,
      maxVUs: 400,
    },
  },
  { submit: 1000 },
);
