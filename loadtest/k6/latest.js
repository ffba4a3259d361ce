// The newest record of random users of one Source.
import { settings, steadily } from './lib.js';

export { handleSummary, latest } from './lib.js';

export const options = settings({ latest: steadily('latest', 100) }, { latest: 200 });
