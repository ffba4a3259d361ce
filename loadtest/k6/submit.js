// Single submits over a day.
import { day, settings } from './lib.js';

export { handleSummary, submit } from './lib.js';

export const options = settings({ submit: day('submit', 60) }, { submit: 500 });
