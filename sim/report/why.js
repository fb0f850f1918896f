// Why something happened, in sentences and in steps: which acks made a commit, which commit an answer.
import { list, plural, span } from './words.js';
import { acknowledged, before, behind, carrier, prompt, reached, sendsBetween } from './paths.js';
import { firstBehind, placeOf } from './trace.js';

/** Generic chains end here: what is older explains little. */
const STEPS_MAX = 14;
/** What a node says because of a commit leaves it within so many nanoseconds. */
const TURN = 200_000;
/** Calls that are traced back from one entry: a batch has many. */
const CALLS_MAX = 2;

/** Steps of an explanation, each event once, and the messages between them. */
class Story {
  constructor(trace, event) {
    this.trace = trace;
    this.event = event;
    this.title = '';
    this.sentence = '';
    this.steps = new Map();
    this.messages = new Set();
    this.acks = [];
    this.stages = [];
  }

  /** Adds an event with what it means here; what was said first stays. */
  add(event, say = null, mark = '') {
    if (event < 0) return;
    const known = this.steps.get(event);
    if (known) {
      known.say ??= say;
      known.mark ||= mark;
    } else {
      this.steps.set(event, { event, say, mark });
    }
  }

  /** Adds an arrival with its sending. Gives the sending. */
  addMessage(arrival, say = null, mark = '') {
    if (arrival < 0) return -1;
    this.add(arrival, say, mark);
    const send = this.trace.back[arrival];
    if (send >= 0) {
      this.add(send);
      this.messages.add(send);
    }
    return send;
  }

  sorted() {
    return [...this.steps.values()].sort((one, other) => one.event - other.event);
  }
}

/** Explains any event. */
export function explain(trace, event) {
  const story = new Story(trace, event);
  story.title = trace.line(event);
  story.add(event, null, 'here');
  const kind = trace.kindOf(event);
  const tell = { commit: whyCommit, answer: whyAnswer, call: whyCall, role: whyRole, durable: whyDurable }[kind];
  if (tell) tell(story, event);
  else if (kind === 'drop') whyDropped(story, event);
  else if (kind === 'fault') whatFault(story, event);
  else if (kind !== 'violation' && kind !== 'note') walkBack(story, event);
  return story;
}

/** A chain of arrivals and what prompted their sendings. */
function walkBack(story, event) {
  const { trace } = story;
  let at = event;
  for (let steps = 0; steps < STEPS_MAX && at >= 0; steps++) {
    const kind = trace.kindOf(at);
    if ((kind === 'recv' || kind === 'drop') && trace.back[at] >= 0) {
      at = story.addMessage(at);
    } else if (kind === 'answer' && trace.back[at] >= 0) {
      at = trace.back[at];
    } else if (kind === 'call') {
      story.add(at);
      break;
    } else {
      at = prompt(trace, at);
    }
    story.add(at);
  }
}

function whyCommit(story, event) {
  const { trace } = story;
  const lane = trace.lane[event];
  const entry = trace.number[event];
  const name = trace.laneName(lane);
  if (trace.roleAt(lane, event)?.role === 'leader') {
    whyQuorum(story, event);
    return;
  }
  const told = before(
    trace,
    event,
    (at) => trace.kind[at] === trace.code.recv && trace.back[at] >= 0 && leads(trace, trace.back[at]),
  );
  const send = story.addMessage(told, `says how far the log is committed`);
  if (send < 0) {
    story.sentence = `${name} follows; what told it of the commit is not in the trace.`;
    return;
  }
  const leader = trace.lane[send];
  const first = reached(trace, leader, 'commit', entry, send);
  story.sentence = `${name} follows: ${trace.laneName(leader)}'s ${trace.nameOf(send)} told it.`;
  if (first >= 0) {
    const sentence = story.sentence;
    whyQuorum(story, first);
    story.sentence = `${sentence} ${story.sentence}`;
  }
}

/** Whether a message was sent by a leader. */
function leads(trace, send) {
  return trace.roleAt(trace.lane[send], send)?.role === 'leader';
}

/** Which disks made a leader's commit: each ack, from the append to its arrival. */
function whyQuorum(story, event) {
  const { trace } = story;
  const leader = trace.lane[event];
  const entry = trace.number[event];
  const quorum = Math.floor(trace.nodes.length / 2) + 1;
  const acks = [];
  for (const voter of trace.nodes) {
    const own = voter === leader;
    // Later ones as well, up to where the lane ends: they say how much was not waited for.
    const durable = reached(trace, voter, 'durable', entry, own ? event : trace.count);
    const heard = durable < 0 || own ? durable : acknowledged(trace, durable, leader);
    acks.push({ voter, own, durable, heard, inTime: heard >= 0 && heard <= event });
  }
  acks.sort((one, other) => (one.heard < 0 ? 1 : other.heard < 0 ? -1 : one.heard - other.heard));
  const counted = acks.filter((ack) => ack.inTime).slice(0, quorum);
  counted.forEach((ack, place) => {
    ack.counted = true;
    ack.decisive = place === quorum - 1;
  });
  story.acks = acks.map((ack) => ({ ...ack, delay: ack.heard < 0 ? null : trace.time[ack.heard] - trace.time[event] }));
  story.add(event, `${counted.length} of ${trace.nodes.length} disks have entry ${entry}: it is committed`, 'commit');
  for (const ack of counted) {
    story.add(ack.durable, ack.own ? (ack.decisive ? 'makes the quorum' : 'counts') : null, 'ack');
    if (ack.own) continue;
    const brought = carrier(trace, ack.durable, entry);
    story.addMessage(brought);
    story.addMessage(ack.heard, ack.decisive ? 'makes the quorum' : 'counts', 'ack');
  }
  const names = counted.map((ack) => trace.laneName(ack.voter) + (ack.own ? ' (its own)' : ''));
  story.sentence = counted.length < quorum
    ? `The trace shows only ${plural(counted.length, 'disk')} that had it.`
    : `${trace.laneName(leader)} leads. ${quorum} of ${trace.nodes.length} disks had entry ${entry}: ${list(names)}.`;
  story.answers = answersFor(trace, entry, event, leader);
  addOrigins(story, story.answers, leader, event);
}

/** The calls whose entry this is, as far as they are few, and how they came to the leader. */
function addOrigins(story, answers, leader, commit) {
  const { trace } = story;
  for (const answer of answers.slice(0, CALLS_MAX)) {
    const call = trace.back[answer];
    if (call < 0) continue;
    story.add(call, null, 'call');
    const came = before(
      trace,
      commit,
      (at) => trace.kind[at] === trace.code.recv && trace.back[at] >= 0 && trace.call[trace.back[at]] === call,
      leader,
    );
    story.addMessage(came);
  }
}

/** Answers that name an entry once it is committed, or, where none does, those that left just then. */
function answersFor(trace, entry, commit, leader) {
  const answers = trace.all('answer');
  const found = [];
  const start = firstBehind(answers, commit);
  for (let place = start; place < Math.min(answers.length, start + 400); place++) {
    if (trace.number[answers[place]] === entry) found.push(answers[place]);
  }
  if (found.length > 0) return found;
  behind(trace, commit, (at) => {
    const call = trace.call[at];
    if (trace.kind[at] === trace.code.commit || trace.time[at] > trace.time[commit] + TURN) return true;
    const isReply = trace.kind[at] === trace.code.send && call >= 0 && trace.nameOf(call) === 'append';
    if (isReply && trace.answerOf.has(call)) found.push(trace.answerOf.get(call));
    return false;
  }, leader);
  return found;
}

/** The commit that a reply tells of: of the entry that the answer names, else that of the same turn. */
function commitOf(trace, answer, node, reply, came) {
  if (trace.number[answer]) return reached(trace, node, 'commit', trace.number[answer], reply);
  if (trace.nameOf(trace.back[answer]) !== 'append') return -1;
  const commit = trace.lastOf(node, 'commit', reply);
  return commit > came && trace.time[reply] - trace.time[commit] <= TURN ? commit : -1;
}

function whyAnswer(story, event) {
  const { trace } = story;
  const call = trace.back[event];
  const outcome = trace.nameOf(event);
  if (call < 0) {
    story.sentence = 'Its call is not in the trace.';
    return;
  }
  story.add(call, null, 'call');
  const took = span(trace.time[event] - trace.time[call]);
  const tries = addTries(story, call, event);
  const reply = before(trace, event, (at) => {
    return trace.kind[at] === trace.code.recv && trace.back[at] >= 0 && trace.call[trace.back[at]] === call;
  });
  const answeredBy = reply >= 0 && reply > call ? story.addMessage(reply) : -1;
  story.sentence = `Call ${trace.number[call]} ended ${outcome} after ${took}, with ${tries} ${tries === 1 ? 'try' : 'tries'}.`;
  if (answeredBy < 0 || outcome !== 'done') {
    addFaults(story, trace.time[call], trace.time[event], trace.lane[event]);
    return;
  }
  const node = trace.lane[answeredBy];
  const came = before(
    trace,
    answeredBy,
    (at) => trace.kind[at] === trace.code.recv && trace.back[at] >= 0 && trace.call[trace.back[at]] === call,
    node,
  );
  const commit = commitOf(trace, event, node, answeredBy, came);
  if (commit >= 0) {
    const sentence = story.sentence;
    whyQuorum(story, commit);
    story.sentence = `${sentence} ${story.sentence}`;
  }
  addFaults(story, trace.time[call], trace.time[event], trace.lane[event]);
  story.stages = stagesOf(trace, { call, came, commit, answeredBy, reply, event });
}

/** Where the time of a call went. */
function stagesOf(trace, { call, came, commit, answeredBy, reply, event }) {
  const points = [
    ['until the leader had it', call, came],
    ['until a quorum of disks had it', came, commit],
    ['until the reply left', commit < 0 ? came : commit, answeredBy],
    ['on the way back', answeredBy, reply],
    ['at the client', reply, event],
  ];
  return points
    .filter(([, from, to]) => from >= 0 && to >= 0 && trace.time[to] > trace.time[from])
    .map(([name, from, to]) => ({ name, from: trace.time[from], to: trace.time[to] }));
}

/** The sendings of a call, with what became of each. Gives how many there were. */
function addTries(story, call, end) {
  const { trace } = story;
  const sends = sendsBetween(trace, trace.lane[call], call, end, (at) => trace.call[at] === call);
  for (const send of sends.slice(0, 8)) {
    story.add(send);
    story.messages.add(send);
    story.add(trace.arrival[send]);
  }
  return sends.length;
}

function whyCall(story, call) {
  const { trace } = story;
  const answer = trace.answerOf.get(call);
  if (answer === undefined) {
    addTries(story, call, trace.count);
    story.sentence = 'It has no answer in this run.';
    return;
  }
  whyAnswer(story, answer);
  story.add(answer, null, 'answer');
}

function whyDurable(story, event) {
  const { trace } = story;
  const lane = trace.lane[event];
  const entry = trace.number[event];
  if (trace.roleAt(lane, event)?.role === 'leader') {
    story.sentence = `${trace.laneName(lane)} leads, and has written its own entry.`;
    walkBack(story, event);
    return;
  }
  const send = story.addMessage(carrier(trace, event, entry), 'brings it');
  if (send >= 0) {
    const from = trace.laneName(trace.lane[send]);
    story.sentence = `${from}'s append brought it ${span(trace.time[event] - trace.time[send])} before.`;
    walkBack(story, send);
  }
}

function whyRole(story, event) {
  const { trace } = story;
  const lane = trace.lane[event];
  const role = trace.nameOf(event);
  const name = trace.laneName(lane);
  addFaults(story, trace.time[event], trace.time[event] + 1, lane);
  if (role === 'leader') {
    const campaign = before(trace, event, (at) => trace.kindOf(at) === 'role' && trace.nameOf(at) === 'candidate');
    story.add(campaign, 'asks for votes');
    const votes = [];
    before(trace, event, (at) => {
      if (at <= campaign) return true;
      const send = trace.back[at];
      if (trace.kindOf(at) === 'recv' && send >= 0 && trace.nameOf(send) === 'vote') {
        if (!/^no\b/.test(trace.text(send))) votes.unshift(at);
      }
      return false;
    });
    const names = [`${name} itself`];
    for (const vote of votes) {
      const send = story.addMessage(vote, `the vote of ${trace.laneName(trace.lane[trace.back[vote]])}`, 'ack');
      names.push(trace.laneName(trace.lane[send]));
      const asked = prompt(trace, send);
      if (asked >= 0 && trace.kindOf(asked) === 'recv') story.addMessage(asked);
    }
    story.sentence = `Elected in epoch ${trace.number[event]} by ${list(names)}.`;
    return;
  }
  if (role === 'candidate') {
    const heard = before(
      trace,
      event,
      (at) => trace.kindOf(at) === 'recv' && trace.back[at] >= 0 && leads(trace, trace.back[at]),
    );
    story.addMessage(heard, 'the last that it heard of a leader');
    if (heard >= 0) {
      story.sentence = `${name} had heard nothing of a leader for ${span(trace.time[event] - trace.time[heard])}.`;
    }
    return;
  }
  walkBack(story, event);
}

function whyDropped(story, event) {
  const { trace } = story;
  story.addMessage(event);
  const send = trace.back[event];
  if (send >= 0) story.messages.add(send);
  story.sentence = `It never arrived: ${trace.nameOf(event)}.`;
  addFaults(story, trace.time[send >= 0 ? send : event], trace.time[event] + 1, trace.lane[event]);
}

function whatFault(story, event) {
  const { trace } = story;
  const fault = trace.faults.find((fault) => fault.event === event);
  const drops = trace.all('drop');
  const lost = placeOf(trace.time, drops, fault.to) - placeOf(trace.time, drops, fault.from);
  story.sentence = `It lasts ${span(fault.to - fault.from)}; ${plural(lost, 'message')} did not arrive meanwhile.`;
  for (const role of trace.all('role')) {
    if (trace.time[role] >= fault.from && trace.time[role] < fault.to) story.add(role);
  }
}

/** Faults that were on meanwhile and have to do with a lane, or with all. */
function addFaults(story, from, to) {
  const on = story.trace.faults.filter((fault) => fault.from < to && from < fault.to);
  for (const fault of on.slice(0, 4)) story.add(fault.event, null, 'fault');
}
