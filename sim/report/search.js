// Finding an event by what it says: "n1 commit 1234", "call 12", "t=35.002s", or any words.
import { placeOf } from './trace.js';

const TIME_UNITS = { s: 1e9, ms: 1e6, us: 1e3, 'µs': 1e3, ns: 1 };
const WORDS = {
  commit: 'commit', committed: 'commit', durable: 'durable', disk: 'durable', truncate: 'truncate', role: 'role',
  call: 'call', answer: 'answer', fault: 'fault', heal: 'heal', message: 'send', send: 'send', recv: 'recv', drop: 'drop',
  dropped: 'drop', lost: 'drop', violation: 'violation', note: 'note',
};
/** Kinds whose number is that of a log's end: any entry up to it is found there. */
const ENDS = new Set(['commit', 'durable']);

/** What is asked for: a time, or what an event must be like. */
export function parseQuery(trace, text) {
  const time = /^(?:t\s*=\s*)?([\d.]+)\s*(s|ms|us|µs|ns)$/.exec(text.trim()) ?? /^t\s*=\s*([\d.]+)()$/.exec(text.trim());
  if (time) return { time: Number(time[1]) * (TIME_UNITS[time[2]] ?? 1e9) };
  const query = { lane: -1, kind: null, name: null, number: null, words: [] };
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  words.forEach((word, place) => {
    const lane = trace.lanes.findIndex((lane) => lane.name.toLowerCase() === word);
    const number = /^#?\d+$/.test(word) ? Number(word.replace('#', '')) : null;
    if (lane >= 0 && query.lane < 0) query.lane = lane;
    else if (word === 'epoch' && query.kind === null) query.kind = 'role';
    else if (word === 'entry' && place + 1 < words.length) query.kind ??= 'commit';
    else if (WORDS[word] && query.kind === null) query.kind = WORDS[word];
    else if (number !== null && query.number === null && query.kind) query.number = number;
    else if (trace.names.includes(word) && query.name === null) query.name = trace.names.indexOf(word);
    else query.words.push(word);
  });
  return query;
}

/** Whether an event is what is asked for. */
function matcher(trace, query) {
  const kind = query.kind ? trace.code[query.kind] : null;
  const named = new Set(['send', 'drop', 'role', 'call', 'answer', 'fault'].map((kind) => trace.code[kind]));
  const patterns = query.words.length
    ? trace.header.patterns.map((pattern) => pattern.toLowerCase())
    : null;
  return (event) => {
    if (query.lane >= 0 && trace.lane[event] !== query.lane) return false;
    if (kind !== null && trace.kind[event] !== kind) return false;
    if (query.name !== null && !(named.has(trace.kind[event]) && trace.name[event] === query.name)) return false;
    if (query.number !== null) {
      const number = query.kind === 'answer' && trace.back[event] >= 0 ? trace.number[trace.back[event]] : trace.number[event];
      if (ENDS.has(query.kind) ? number < query.number : number !== query.number) return false;
    }
    if (!patterns) return true;
    const pattern = trace.pattern[event];
    // Most events fall at the first word: only what is left is put together.
    const plain = query.words.filter((word) => !/\d/.test(word));
    if (pattern < 0 || !plain.every((word) => patterns[pattern].includes(word))) return false;
    const line = trace.line(event).toLowerCase();
    return query.words.every((word) => line.includes(word));
  };
}

/** The next event that is asked for, from `start` on, around the end of the run; -1 where there is none. */
export function find(trace, text, start, backwards = false) {
  const query = parseQuery(trace, text);
  if ('time' in query) return { time: Math.min(query.time, trace.duration) };
  const step = backwards ? -1 : 1;
  const matches = matcher(trace, query);
  // Of the log's end, the first that has got so far is meant, wherever one is.
  if (query.number !== null && ENDS.has(query.kind)) start = -1;
  for (let looked = 1; looked <= trace.count; looked++) {
    const event = (((start + step * looked) % trace.count) + trace.count) % trace.count;
    if (matches(event)) return { event };
  }
  return { event: -1 };
}

/** The first event that is not before a time. */
export function eventAt(trace, time) {
  let best = -1;
  for (const list of trace.byLane) {
    const place = placeOf(trace.time, list, time);
    for (const event of [list[place - 1], list[place]]) {
      if (event === undefined) continue;
      if (best < 0 || Math.abs(trace.time[event] - time) < Math.abs(trace.time[best] - time)) best = event;
    }
  }
  return best;
}
