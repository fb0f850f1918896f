// The events of a run, and the sorted lists by which any of them is found without looking at all.
import { moment } from './words.js';

const NOWHERE = 255;

/** First place in a sorted list that is behind an event. */
export function firstBehind(list, event) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] <= event) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** First place in a sorted list of events whose time is not before `time`. */
export function placeOf(times, events, time, from = 0, to = events.length) {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[events[middle]] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Lists of events, counted first and filled then: no list grows. */
function grouped(count, groups, groupOf) {
  const sizes = new Uint32Array(groups);
  for (let at = 0; at < count; at++) {
    const group = groupOf(at);
    if (group >= 0) sizes[group]++;
  }
  const lists = Array.from(sizes, (size) => new Uint32Array(size));
  sizes.fill(0);
  for (let at = 0; at < count; at++) {
    const group = groupOf(at);
    if (group >= 0) lists[group][sizes[group]++] = at;
  }
  return lists;
}

export class Trace {
  constructor({ header, summary, events }) {
    Object.assign(this, events);
    this.header = header;
    this.summary = summary;
    this.lanes = header.lanes;
    this.names = header.names;
    this.code = Object.fromEntries(header.kinds.map((kind, code) => [kind, code]));
    this.nodes = this.lanes.map((lane, place) => place).filter((place) => this.lanes[place].kind === 'node');
    const lastTime = this.count ? this.time[this.count - 1] : 0;
    this.duration = Math.max(header.duration, lastTime, 1);
    this.indexLanes();
    this.indexMessages();
    this.indexFaults();
  }

  indexLanes() {
    const { kind, lane, count, code } = this;
    const lanes = this.lanes.length;
    const kinds = this.header.kinds.length;
    this.byLane = grouped(count, lanes, (at) => (lane[at] === NOWHERE ? -1 : lane[at]));
    /** Where an event stands in its lane's list. */
    this.rank = new Uint32Array(count);
    for (const list of this.byLane) list.forEach((event, rank) => (this.rank[event] = rank));
    const lists = grouped(count, lanes * kinds, (at) => (lane[at] === NOWHERE ? -1 : lane[at] * kinds + kind[at]));
    /** Events of one kind in one lane. */
    this.of = (lane, name) => lists[lane * kinds + code[name]];
    const everywhere = grouped(count, kinds, (at) => kind[at]);
    /** Events of one kind. */
    this.all = (name) => everywhere[code[name]];
  }

  /** Where each message ends, and each call. */
  indexMessages() {
    const { kind, back, code, time, count } = this;
    this.arrival = new Int32Array(count).fill(-1);
    for (let at = count - 1; at >= 0; at--) {
      // From behind, so that of two arrivals the first one stays.
      if ((kind[at] === code.recv || kind[at] === code.drop) && back[at] >= 0) this.arrival[back[at]] = at;
    }
    this.sends = this.all('send');
    this.answerOf = new Map();
    for (const answer of this.all('answer')) {
      if (this.back[answer] >= 0) this.answerOf.set(this.back[answer], answer);
    }
  }

  indexFaults() {
    const heals = new Map();
    for (const heal of this.all('heal')) if (this.back[heal] >= 0) heals.set(this.back[heal], this.time[heal]);
    this.faults = this.header.faults.map(({ event, lanes, until }) => ({
      event,
      lanes: new Set(lanes),
      number: this.number[event],
      kind: this.names[this.name[event]],
      text: this.text(event),
      from: this.time[event],
      to: Math.min(heals.get(event) ?? until ?? this.duration, this.duration),
    }));
    this.faults.sort((one, other) => one.from - other.from);
  }

  kindOf(event) {
    return this.header.kinds[this.kind[event]];
  }

  nameOf(event) {
    return this.names[this.name[event]];
  }

  laneName(lane) {
    return lane === NOWHERE || lane < 0 ? 'all' : this.lanes[lane].name;
  }

  /** The text of an event, with its numbers in it again. */
  text(event) {
    const pattern = this.pattern[event];
    if (pattern < 0) return '';
    let slot = this.slotStart[event];
    return this.header.patterns[pattern].replace(/\u0001/g, () => String(this.slots[slot++]));
  }

  /** The entries that an append message carries: of "entries 5 to 7", 5 and 7. */
  entriesOf(send) {
    const found = /\bentr(?:y|ies) (\d+)(?: to (\d+))?/.exec(this.text(send));
    return found ? [Number(found[1]), Number(found[2] ?? found[1])] : null;
  }

  /** The last event of a kind in a lane that is not behind `event`. */
  lastOf(lane, kind, event) {
    const list = this.of(lane, kind);
    const place = firstBehind(list, event);
    return place > 0 ? list[place - 1] : -1;
  }

  /** The role that a node has at an event. */
  roleAt(lane, event) {
    const role = this.lastOf(lane, 'role', event);
    return role < 0 ? null : { event: role, role: this.nameOf(role), epoch: this.number[role] };
  }

  /** The faults that were on at some time, at a lane if one is given. */
  faultsAt(time, lane = null) {
    return this.faults.filter(
      (fault) =>
        fault.from <= time && time < fault.to && (lane === null || fault.lanes.size === 0 || fault.lanes.has(lane)),
    );
  }

  /** One line that says what an event is. */
  line(event) {
    const lane = this.laneName(this.lane[event]);
    const text = this.text(event);
    const behind = text ? `: ${text}` : '';
    const number = this.number[event];
    switch (this.kindOf(event)) {
      case 'send':
        return `${lane} sends ${this.nameOf(event)} to ${this.laneName(this.to[event])}${behind}`;
      case 'recv':
        return `${lane} gets ${this.messageWords(event)}`;
      case 'drop':
        return `${this.messageWords(event)} does not reach ${lane} (${this.nameOf(event)})`;
      case 'role':
        return `${lane} is ${this.nameOf(event)}${number ? `, epoch ${number}` : ''}${behind}`;
      case 'durable':
        return `${lane} has entry ${number} on its disk`;
      case 'commit':
        return `${lane} knows entry ${number} to be committed`;
      case 'truncate':
        return `${lane} removes all entries behind ${number}`;
      case 'call':
        return `${lane} calls: ${this.nameOf(event)}${text ? `, ${text}` : ''} (call ${number})`;
      case 'answer':
        return `${lane}: ${this.callWords(event)} is ${this.nameOf(event)}${number ? `, entry ${number}` : ''}${behind}`;
      case 'fault':
        return `fault ${number}, ${this.nameOf(event)}${behind}`;
      case 'heal':
        return `fault ${number} ends${behind}`;
      case 'violation':
        return `a promise is broken${behind}`;
      default:
        return lane === 'all' ? text : `${lane}${behind}`;
    }
  }

  messageWords(arrival) {
    const send = this.back[arrival];
    if (send < 0) return 'a message from before this trace';
    const text = this.text(send);
    return `${this.nameOf(send)} of ${this.laneName(this.lane[send])}${text ? `: ${text}` : ''}`;
  }

  callWords(answer) {
    return this.back[answer] >= 0 ? `call ${this.number[this.back[answer]]}` : 'a call';
  }

  /** One line with its time, for a tip. */
  timedLine(event) {
    return `${moment(this.time[event])}  ${this.line(event)}`;
  }
}
