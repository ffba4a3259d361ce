// What all scenarios share. They are told by the environment what to do:
// SCHEDULERS  addresses, with commas between them
// API_KEY     of the Source
// RUN         what the names of new users begin with
// SECONDS     how long it takes
// READ_NAME, READ_COUNT  users that are there: NAME.00000001@mail.example and so on
// SUMMARY     the file that gets the figures
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import exec from 'k6/execution';

export const SECONDS = Number(__ENV.SECONDS);
const SCHEDULERS = __ENV.SCHEDULERS.split(',');
const API = '/dmf/api/v2/users';

// Part of the peak in each hour of the day of operators and customers, in percent.
const HOURS = [2, 2, 2, 2, 2, 3, 10, 30, 70, 95, 100, 90, 60, 75, 95, 90, 80, 50, 25, 15, 10, 6, 4, 3];

const created = new Counter('users_created');
const refused = new Counter('users_refused');

// In turn, as a load balancer asks them.
function address() {
  return SCHEDULERS[exec.scenario.iterationInTest % SCHEDULERS.length];
}

function about(name, status, type = 'application/json') {
  return {
    headers: { 'X-API-KEY': __ENV.API_KEY, 'Content-Type': type },
    tags: { name },
    responseCallback: http.expectedStatuses(status),
    timeout: '60s',
  };
}

function body(uid) {
  return JSON.stringify({
    sourceUid: uid,
    targetUid: uid,
    target: 'default',
    sourcehost: 'imap.example',
    email: uid,
    password: 'sixteen-letters!',
    phase: 'PRE_SYNC',
  });
}

function newUser(part) {
  return `${__ENV.RUN}.${exec.scenario.name}.${exec.scenario.iterationInTest}.${part}@mail.example`;
}

function knownUser() {
  const number = 1 + Math.floor(Math.random() * Number(__ENV.READ_COUNT));
  return `${__ENV.READ_NAME}.${String(number).padStart(8, '0')}@mail.example`;
}

// One new user with a password.
export function submit() {
  const answer = http.post(`${address()}${API}/migrations`, body(newUser(0)), about('submit', 201));
  (answer.status === 201 ? created : refused).add(1);
}

// So many new users in one request.
export function bulk(users) {
  const lines = [];
  for (let part = 0; part < users; part += 1) lines.push(body(newUser(part)));
  const url = `${address()}${API}/migrations/bulk`;
  const answer = http.post(url, `${lines.join('\n')}\n`, about('bulk', 200, 'application/x-ndjson'));
  const count = answer.body ? answer.body.split('"status":"CREATED"').length - 1 : 0;
  created.add(count);
  refused.add(users - count);
}

// The newest record of a user.
export function latest() {
  const url = `${address()}${API}/${encodeURIComponent(knownUser())}/migrations/latest`;
  http.get(url, about('latest', 200));
}

// A page of all records.
export function list() {
  http.get(`${address()}${API}/migrations?limit=100`, about('list', 200));
}

// How far everything is.
export function summary() {
  http.get(`${address()}${API}/migrations/summary`, about('summary', 200));
}

// A day in SECONDS, with so many requests a second at its peak.
export function day(exec, peak) {
  const rate = (percent) => Math.max(1, Math.round((peak * percent) / 100));
  const duration = `${Math.round((SECONDS * 1000) / HOURS.length)}ms`;
  return {
    executor: 'ramping-arrival-rate',
    exec,
    startRate: rate(HOURS[0]),
    timeUnit: '1s',
    stages: HOURS.map((percent) => ({ target: rate(percent), duration })),
    preAllocatedVUs: 50,
    maxVUs: 200,
  };
}

// One request each so many seconds.
export function every(exec, seconds) {
  return {
    executor: 'constant-arrival-rate',
    exec,
    rate: 1,
    timeUnit: `${Math.round(seconds * 1000)}ms`,
    duration: `${SECONDS}s`,
    preAllocatedVUs: 4,
    maxVUs: 20,
  };
}

// So many requests each second.
export function steadily(exec, rate) {
  return {
    executor: 'constant-arrival-rate',
    exec,
    rate,
    timeUnit: '1s',
    duration: `${SECONDS}s`,
    preAllocatedVUs: 50,
    maxVUs: 200,
  };
}

// Nothing fails, and of each of these requests 95 of a hundred are answered within so many milliseconds.
export function settings(scenarios, within) {
  const thresholds = { http_req_failed: ['rate==0'], dropped_iterations: ['count==0'] };
  for (const [name, ms] of Object.entries(within)) {
    thresholds[`http_req_duration{name:${name}}`] = [`p(95)<${ms}`];
    if (name === 'submit' || name === 'bulk') thresholds.users_refused = ['count==0'];
  }
  return {
    scenarios,
    thresholds,
    summaryTrendStats: ['count', 'min', 'med', 'p(95)', 'p(99)', 'max'],
    discardResponseBodies: false,
  };
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) };
}
