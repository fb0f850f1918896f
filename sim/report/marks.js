// What has a moment: entries on disks, commits, removals, notes; and calls, which last.
import { colours } from './palette.js';
import { BAND_HALF, fontFamily, GUTTER } from './lanes.js';
import { usualMost } from './ribbons.js';
import { placeOf } from './trace.js';

/** Room that one mark needs, in pixels: with less, their number is drawn instead. */
const ROOM = 6;
const COLUMN = 3;

/** Marks of nodes: kind, shape, on which side of the band, colour. */
const SHAPES = [
  ['durable', 'up', 1, 'ack'],
  ['commit', 'diamond', -1, 'append'],
  ['truncate', 'bar', 1, 'bad'],
  ['note', 'dot', -1, 'soft'],
];

/** Draws all marks in view. Gives those that can be hit. */
export function drawMarks(context, scene) {
  const hits = [];
  for (const [lane, place] of scene.layout.places) {
    if (!place.node) {
      drawCalls(context, scene, lane, place, hits);
      continue;
    }
    for (const [kind, shape, side, colour] of SHAPES) {
      const events = scene.trace.of(lane, kind);
      const from = placeOf(scene.trace.time, events, scene.view.from);
      const to = placeOf(scene.trace.time, events, scene.view.to);
      const y = place.y + side * (BAND_HALF + 1);
      if ((to - from) * ROOM > scene.width - GUTTER) {
        // The commits' number says how busy a node is; of the others there are as many.
        if (kind === 'commit') drawRate(context, scene, events, place, colours.append);
        continue;
      }
      context.fillStyle = colours[colour];
      context.globalAlpha = scene.story ? 0.35 : 1;
      for (let at = from; at < to; at++) {
        const x = scene.toX(scene.trace.time[events[at]]);
        drawShape(context, shape, x, y, side);
        hits.push({ x, y: y + side * 3, event: events[at] });
      }
      context.globalAlpha = 1;
    }
  }
  return hits;
}

function drawShape(context, shape, x, y, side) {
  context.beginPath();
  if (shape === 'up') {
    context.moveTo(x, y);
    context.lineTo(x - 3.5, y + 6 * side);
    context.lineTo(x + 3.5, y + 6 * side);
  } else if (shape === 'diamond') {
    context.moveTo(x, y);
    context.lineTo(x - 3.5, y + 4 * side);
    context.lineTo(x, y + 8 * side);
    context.lineTo(x + 3.5, y + 4 * side);
  } else if (shape === 'bar') {
    context.rect(x - 1.5, y, 3, 10 * side);
  } else {
    context.arc(x, y + 4 * side, 2.5, 0, 7);
  }
  context.fill();
}

/** How many events there are in each column of pixels, as a small curve under the band. */
function drawRate(context, scene, events, place, colour) {
  const { trace, view, width, toTime } = scene;
  const counts = [];
  let at = placeOf(trace.time, events, view.from);
  for (let x = GUTTER; x < width; x += COLUMN) {
    const next = placeOf(trace.time, events, toTime(x + COLUMN), at);
    counts.push(next - at);
    at = next;
  }
  const most = usualMost(counts);
  const bottom = place.y + BAND_HALF + 16;
  context.fillStyle = colour;
  context.globalAlpha = scene.story ? 0.2 : 0.55;
  context.beginPath();
  counts.forEach((count, column) => {
    const height = Math.min(1, count / most) * 13;
    if (count > 0) context.rect(GUTTER + column * COLUMN, bottom - height, COLUMN, height);
  });
  context.fill();
  context.globalAlpha = 1;
}

const OUTCOMES = { done: 'done', refused: 'refused', unknown: 'unknown' };
const LEVELS = 4;

/** Calls of a client as bars from call to answer, those at the same time beside each other. */
function drawCalls(context, scene, lane, place, hits) {
  const { trace, view, toX, width } = scene;
  const calls = trace.of(lane, 'call');
  const to = placeOf(trace.time, calls, view.to);
  // A call that began before may still be under way: so far back, at most.
  const from = Math.max(0, placeOf(trace.time, calls, view.from) - 64);
  if ((to - from) * 2 > width - GUTTER) {
    drawOutcomes(context, scene, lane, place);
    return;
  }
  const ends = new Array(LEVELS).fill(-Infinity);
  let labelled = -Infinity;
  const step = Math.min(9, (place.height / 2 - 4) / LEVELS);
  for (let at = from; at < to; at++) {
    const call = calls[at];
    const answer = trace.answerOf.get(call);
    const start = trace.time[call];
    const end = answer === undefined ? trace.duration : trace.time[answer];
    let level = ends.findIndex((busy) => busy <= start);
    if (level < 0) level = LEVELS - 1;
    ends[level] = end;
    if (end < view.from) continue;
    const outcome = answer === undefined ? 'unknown' : trace.nameOf(answer);
    const left = Math.max(GUTTER, toX(start));
    const right = Math.max(left + 2, Math.min(width, toX(end)));
    const top = place.y - 2 - (level + 1) * step;
    context.globalAlpha = scene.story ? 0.4 : 1;
    drawCall(context, outcome, left, right, top, step - 2);
    hits.push({ left, right, top: top - 1, bottom: top + step, event: answer ?? call, call });
    if (right - left > 90 && left >= labelled) {
      context.fillStyle = colours.soft;
      context.font = `11px ${fontFamily()}`;
      context.textBaseline = 'top';
      context.fillText(`call ${trace.number[call]} · ${outcome}`, left, place.y + 4, right - left);
      labelled = left + 110;
    }
    context.globalAlpha = 1;
  }
}

/** Done is full, refused is a frame, unknown is a frame with a line through it. */
function drawCall(context, outcome, left, right, top, height) {
  const colour = colours[OUTCOMES[outcome] ?? 'other'];
  context.fillStyle = colour;
  context.strokeStyle = colour;
  context.lineWidth = 1.2;
  if (outcome === 'done') {
    context.fillRect(left, top, right - left, height);
    return;
  }
  context.strokeRect(left + 0.5, top + 0.5, Math.max(1, right - left - 1), height - 1);
  if (outcome === 'refused') return;
  context.beginPath();
  context.moveTo(left, top + height / 2);
  context.lineTo(right, top + height / 2);
  context.stroke();
}

/** Answers by column: done upwards, all others downwards. */
function drawOutcomes(context, scene, lane, place) {
  const { trace, view, width, toTime } = scene;
  const answers = trace.of(lane, 'answer');
  const done = trace.names.indexOf('done');
  const columns = [];
  let at = placeOf(trace.time, answers, view.from);
  for (let x = GUTTER; x < width; x += COLUMN) {
    const next = placeOf(trace.time, answers, toTime(x + COLUMN), at);
    let good = 0;
    for (; at < next; at++) if (trace.name[answers[at]] === done) good++;
    columns.push({ good, bad: 0, all: next });
  }
  let before = placeOf(trace.time, answers, view.from);
  for (const column of columns) {
    column.bad = column.all - before - column.good;
    before = column.all;
  }
  const most = usualMost(columns.map(({ good, bad }) => Math.max(good, bad)));
  const room = place.height / 2 - 6;
  for (const [key, colour, sign] of [['good', colours.done, -1], ['bad', colours.unknown, 1]]) {
    context.fillStyle = colour;
    context.globalAlpha = scene.story ? 0.25 : 0.75;
    context.beginPath();
    columns.forEach((column, place_) => {
      const height = column[key] === 0 ? 0 : Math.max(2, Math.min(1, column[key] / most) * room);
      if (height) context.rect(GUTTER + place_ * COLUMN, place.y, COLUMN, sign * height);
    });
    context.fill();
  }
  context.globalAlpha = 1;
}

/** The chosen event and those that explain it. */
export function drawStoryMarks(context, scene) {
  const { trace, layout, toX, story } = scene;
  for (const { event, mark } of story.steps.values()) {
    const place = layout.places.get(trace.lane[event]);
    if (!place) continue;
    const x = toX(trace.time[event]);
    const chosen = event === story.event;
    context.strokeStyle = mark === 'ack' ? colours.ack : colours.mark;
    context.fillStyle = chosen ? colours.mark : colours.paper;
    context.lineWidth = chosen ? 2.5 : 2;
    context.beginPath();
    context.arc(x, place.y, chosen ? 6 : 4, 0, 7);
    context.fill();
    context.stroke();
  }
}

/** Covers what is not in the causal past of the chosen event. */
export function drawPast(context, scene) {
  const { layout, toX, width, past } = scene;
  context.fillStyle = colours.ground;
  context.globalAlpha = 0.62;
  for (const [lane, place] of layout.places) {
    const time = past[lane];
    const left = time === null ? GUTTER : Math.max(GUTTER, toX(time));
    if (left < width) context.fillRect(left, place.top, width - left, place.height);
  }
  context.globalAlpha = 1;
}
