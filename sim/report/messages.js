// Messages as lines, from the sender's lane to the receiver's. Too many to tell apart are sampled.
import { colours, messageStyle } from './palette.js';
import { BAND_HALF, fontFamily, GUTTER } from './lanes.js';
import { placeOf } from './trace.js';

/** More lines of one kind than this are a grey wall: then every second, fourth, eighth … is drawn. */
const LINES_MAX = 450;
const CROSSES_MAX = 500;
/** Below so many lines there is room for an arrow head at each, and for words along them. */
const ARROWS_MAX = 260;
const WORDS_MAX = 14;

/** Messages of each kind by themselves: what is rare is drawn in full beside what is frequent. */
export function groupMessages(trace) {
  const groups = new Map();
  for (const send of trace.sends) {
    const name = trace.name[send];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(send);
  }
  return [...groups].map(([name, sends]) => group(trace, trace.names[name], Uint32Array.from(sends)));
}

const BLOCK = 256;

/** One kind, with a note for each block of messages of when the last of them ends. */
function group(trace, kind, sends) {
  const ends = new Float64Array(Math.ceil(sends.length / BLOCK));
  sends.forEach((send, place) => {
    const block = Math.floor(place / BLOCK);
    ends[block] = Math.max(ends[block], endOf(trace, send));
  });
  return { kind, sends, ends, style: messageStyle(kind), shown: true };
}

function endOf(trace, send) {
  const arrival = trace.arrival[send];
  return arrival < 0 ? trace.time[send] : trace.time[arrival];
}

/** How many messages of a kind are in view, and which part of them is drawn. */
export function strideOf(trace, { sends }, view) {
  const count = placeOf(trace.time, sends, view.to) - placeOf(trace.time, sends, view.from);
  let stride = 1;
  while (count / stride > LINES_MAX) stride *= 2;
  return { count, stride };
}

/** Collects the lines of one kind that are in view. Those that are sampled stay the same while one pans. */
function collect(scene, group, stride, lines) {
  const { trace, view } = scene;
  const end = placeOf(trace.time, group.sends, view.to);
  for (let block = 0; block * BLOCK < end; block++) {
    if (group.ends[block] < view.from) continue;
    const stop = Math.min((block + 1) * BLOCK, end);
    const start = block * BLOCK;
    for (let place = start + ((stride - (start % stride)) % stride); place < stop; place += stride) {
      const send = group.sends[place];
      if (endOf(trace, send) < view.from) continue;
      const line = lineOf(scene, send);
      if (line) lines.push(line);
    }
  }
}

/** Where a message is drawn; null where one of its lanes is not shown. */
export function lineOf(scene, send) {
  const { trace, layout, toX } = scene;
  const from = layout.places.get(trace.lane[send]);
  const to = layout.places.get(trace.to[send]);
  if (!from || !to) return null;
  const arrival = trace.arrival[send];
  const down = to.y > from.y ? 1 : -1;
  const startX = toX(trace.time[send]);
  const startY = from.y + (from.node ? BAND_HALF * down : 0);
  let endX = arrival < 0 ? startX : toX(trace.time[arrival]);
  let endY = to.y - (to.node ? BAND_HALF * down : 0);
  const lost = arrival < 0 || trace.kind[arrival] === trace.code.drop;
  if (lost) {
    // It ends on the way. One that was thrown away at once would have no slope to see it by.
    const part = 0.72;
    endX = startX + (endX - startX) * part;
    endY = startY + (endY - startY) * part;
  }
  return { send, lost, startX, startY, endX, endY };
}

/** Draws all that are in view. Gives the lines, for the mouse, and how many stand for how many. */
export function drawMessages(context, scene, groups) {
  const { view, trace, story } = scene;
  const all = [];
  let total = 0;
  for (const group of groups) {
    if (!group.shown) continue;
    const { count, stride } = strideOf(trace, group, view);
    const lines = [];
    collect(scene, group, stride, lines);
    total += count;
    drawLines(context, group.style, lines, (stride > 1 ? 0.3 : 0.85) * (story ? 0.28 : 1));
    all.push(...lines);
  }
  context.globalAlpha = story ? 0.3 : 1;
  if (all.length <= ARROWS_MAX) drawArrows(context, trace, all);
  if (all.length <= WORDS_MAX && !story) drawWords(context, scene, all);
  context.globalAlpha = 1;
  return { lines: all, total };
}

function drawLines(context, style, lines, alpha) {
  context.strokeStyle = colours[style.family];
  context.lineWidth = style.width;
  // Dashes of many short lines cost more than they tell.
  context.setLineDash(lines.length <= ARROWS_MAX * 2 ? style.dash : []);
  context.globalAlpha = alpha;
  context.beginPath();
  for (const { startX, startY, endX, endY } of lines) {
    context.moveTo(startX, startY);
    context.lineTo(endX, endY);
  }
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

export function drawArrows(context, trace, lines, size = 6) {
  for (const { send, lost, startX, startY, endX, endY } of lines) {
    if (lost) continue;
    const angle = Math.atan2(endY - startY, endX - startX);
    context.fillStyle = colours[messageStyle(trace.nameOf(send)).family];
    context.beginPath();
    context.moveTo(endX, endY);
    context.lineTo(endX - size * Math.cos(angle - 0.38), endY - size * Math.sin(angle - 0.38));
    context.lineTo(endX - size * Math.cos(angle + 0.38), endY - size * Math.sin(angle + 0.38));
    context.fill();
  }
}

/** Words along the lines, where there are few. */
function drawWords(context, scene, lines) {
  context.font = `11px ${fontFamily()}`;
  context.textBaseline = 'bottom';
  context.textAlign = 'center';
  for (const line of lines) {
    const { startX, startY, endX, endY } = line;
    const length = Math.hypot(endX - startX, endY - startY);
    const words = scene.trace.nameOf(line.send);
    if (context.measureText(words).width + 30 > length) continue;
    context.save();
    context.translate(startX + (endX - startX) * 0.4, startY + (endY - startY) * 0.4);
    context.rotate(Math.atan2(endY - startY, endX - startX));
    context.fillStyle = colours[messageStyle(words).family];
    context.fillText(words, 0, -2);
    context.restore();
  }
  context.textAlign = 'left';
}

/** Crosses where messages were lost. Many lost ones must not look like few, so they are sampled last. */
export function drawCrosses(context, scene, groups) {
  const { trace, view, story } = scene;
  const drops = trace.all('drop');
  const from = placeOf(trace.time, drops, view.from);
  const to = placeOf(trace.time, drops, view.to);
  const shown = new Map(groups.map((group) => [group.kind, group.shown]));
  const stride = Math.ceil(Math.max(1, (to - from) / CROSSES_MAX));
  const crosses = [];
  context.strokeStyle = colours.bad;
  context.globalAlpha = story ? 0.35 : 0.9;
  context.lineWidth = 1.6;
  context.beginPath();
  for (let place = from - (from % stride); place < to; place += stride) {
    const send = place < 0 ? -1 : trace.back[drops[place]];
    if (send < 0 || shown.get(trace.nameOf(send)) === false) continue;
    const line = lineOf(scene, send);
    if (!line || line.endX < GUTTER - 4) continue;
    cross(context, line.endX, line.endY, 3.5);
    crosses.push({ x: line.endX, y: line.endY, event: drops[place] });
  }
  context.stroke();
  context.globalAlpha = 1;
  return crosses;
}

export function cross(context, x, y, size) {
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x - size, y + size);
  context.lineTo(x + size, y - size);
}

/** The messages of an explanation: over all others, thick, each with its arrow or its cross. */
export function drawStoryMessages(context, scene) {
  const lines = [...scene.story.messages].map((send) => lineOf(scene, send)).filter((line) => line !== null);
  for (const line of lines) {
    const style = messageStyle(scene.trace.nameOf(line.send));
    drawLines(context, { ...style, family: 'paper', dash: [], width: style.width + 4 }, [line], 0.9);
    drawLines(context, { ...style, width: style.width + 1.3 }, [line], 1);
    if (line.lost) {
      context.strokeStyle = colours.bad;
      context.lineWidth = 2.4;
      context.beginPath();
      cross(context, line.endX, line.endY, 5);
      context.stroke();
    }
  }
  drawArrows(context, scene.trace, lines, 9);
  return lines;
}
