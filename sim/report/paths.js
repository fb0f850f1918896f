// Steps back through a trace: from an entry on a disk to the message that brought it, and the like.
import { firstBehind } from './trace.js';

/** How far one step looks. Causes are near; where one is not, the page must not stand still. */
const REACH = 20000;
/** Messages that tell how much is on the sender's disk. */
const ACKS = new Set(['append-ack', 'heartbeat-reply']);

/** The nearest event before `event` in its lane that is accepted, or -1. */
export function before(trace, event, accept, lane = trace.lane[event]) {
  const list = trace.byLane[lane];
  if (!list) return -1;
  let rank = trace.lane[event] === lane ? trace.rank[event] : firstBehind(list, event);
  for (const end = Math.max(0, rank - REACH); rank > end; ) {
    rank--;
    if (accept(list[rank])) return list[rank];
  }
  return -1;
}

/** The nearest event behind `event` in a lane that is accepted, or -1. */
export function behind(trace, event, accept, lane = trace.lane[event]) {
  const list = trace.byLane[lane];
  const start = firstBehind(list, event);
  const end = Math.min(list.length, start + REACH);
  for (let rank = start; rank < end; rank++) if (accept(list[rank])) return list[rank];
  return -1;
}

/**
 * The event since which a lane's number of a kind is at least `entry` without a break, up to
 * `event`: a truncation may have taken back what was there before.
 */
export function reached(trace, lane, kind, entry, event) {
  const truncations = trace.of(lane, 'truncate');
  let since = -1;
  for (let place = firstBehind(truncations, event) - 1; place >= 0; place--) {
    if (trace.number[truncations[place]] < entry) {
      since = truncations[place];
      break;
    }
  }
  const list = trace.of(lane, kind);
  let low = since < 0 ? 0 : firstBehind(list, since);
  const end = firstBehind(list, event);
  let high = end;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trace.number[list[middle]] < entry) low = middle + 1;
    else high = middle;
  }
  return low < end ? list[low] : -1;
}

/** The arrival, at a follower, of the append that brought it an entry. */
export function carrier(trace, event, entry, lane = trace.lane[event]) {
  const isAppend = (at) =>
    trace.kind[at] === trace.code.recv && trace.back[at] >= 0 && trace.nameOf(trace.back[at]) === 'append';
  const exact = before(
    trace,
    event,
    (at) => {
      if (!isAppend(at)) return false;
      const entries = trace.entriesOf(trace.back[at]);
      return entries !== null && entries[0] <= entry && entry <= entries[1];
    },
    lane,
  );
  return exact >= 0 ? exact : before(trace, event, isAppend, lane);
}

/**
 * The first word of a voter to a leader that something is on its disk, after it was.
 *
 * Gives the arrival; -1 where none came.
 */
export function acknowledged(trace, durable, leader) {
  const sent = behind(trace, durable, (at) => {
    if (trace.kind[at] !== trace.code.send || trace.to[at] !== leader) return false;
    const arrival = trace.arrival[at];
    return ACKS.has(trace.nameOf(at)) && arrival >= 0 && trace.kind[arrival] === trace.code.recv;
  });
  return sent < 0 ? -1 : trace.arrival[sent];
}

/** What led to a sending: the last thing that came to its lane in time for it. */
export function prompt(trace, event) {
  const { recv, durable, commit, role, call, truncate } = trace.code;
  const kinds = new Set([recv, durable, commit, role, call, truncate]);
  return before(trace, event, (at) => kinds.has(trace.kind[at]));
}

/** Sends of one kind between two events of a lane, the last first. */
export function sendsBetween(trace, lane, from, to, accept) {
  const list = trace.of(lane, 'send');
  const found = [];
  const end = firstBehind(list, to);
  for (let place = end - 1; place >= 0 && list[place] > from && end - place < REACH; place--) {
    if (accept(list[place])) found.push(list[place]);
  }
  return found;
}
