// Messages as lines, from the sender's lane to the receiver's; as ribbons where there are too many.
import { colours, messageStyle } from './palette.js';
import { BAND_HALF, fontFamily, GUTTER } from './lanes.js';
import { drawRibbons, pairsOf } from './ribbons.js';
import { placeOf } from './trace.js';

/** Lines of one kind that are closer than this are a wall: then a ribbon is drawn instead. */
const LINE_ROOM = 6;
/** Crosses closer than this are one. */
const CROSS_ROOM = 9;
/** Below so many lines there is room for an arrow head at each, and for words along them. */
const ARROWS_MAX = 260;
const DASHES_MAX = 60;
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
  return { kind, sends, ends, pairs: pairsOf(trace, sends), style: messageStyle(kind), shown: true };
}

function endOf(trace, send) {
  const arrival = trace.arrival[send];
  return arrival < 0 ? trace.time[send] : trace.time[arrival];
}

/** How many messages of a kind are sent while in view. */
function countIn(scene, { sends }) {
  const { trace, view } = scene;
  return placeOf(trace.time, sends, view.to) - placeOf(trace.time, sends, view.from);
}

/** Collects the lines of one kind that are in view. */
function collect(scene, group) {
  const { trace, view } = scene;
  const lines = [];
  const end = placeOf(trace.time, group.sends, view.to);
  for (let start = 0; start < end; start += BLOCK) {
    if (group.ends[start / BLOCK] < view.from) continue;
    for (let place = start; place < Math.min(start + BLOCK, end); place++) {
      const send = group.sends[place];
      const line = endOf(trace, send) < view.from ? null : lineOf(scene, send);
      if (line) lines.push(line);
    }
  }
  return lines;
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

/** Draws all that are in view. Gives the lines and ribbons, for the mouse, and how many messages there are. */
export function drawMessages(context, scene, groups) {
  const { trace, story, width } = scene;
  const shown = groups.filter((group) => group.shown).map((group) => ({ group, count: countIn(scene, group) }));
  const room = (width - GUTTER) / LINE_ROOM;
  // What only keeps time has to make way earlier.
  const isDense = ({ group, count }) => count > (group.style.family === 'beat' ? room / 4 : room);
  const ribbons = drawRibbons(context, scene, shown.filter(isDense).map(({ group }) => group));
  const all = [];
  let total = 0;
  for (const entry of shown) {
    const { group } = entry;
    total += entry.count;
    if (isDense(entry)) continue;
    const lines = collect(scene, group);
    // The closer they are, the paler: a ribbon is what comes next.
    drawLines(context, group.style, lines, story ? 0.24 : 0.9 - 0.45 * Math.min(1, entry.count / room));
    all.push(...lines);
  }
  context.globalAlpha = story ? 0.3 : 1;
  if (all.length <= ARROWS_MAX) drawArrows(context, trace, all);
  if (all.length <= WORDS_MAX && !story) drawWords(context, scene, all);
  context.globalAlpha = 1;
  return { lines: all, ribbons, total };
}

function drawLines(context, style, lines, alpha) {
  context.strokeStyle = colours[style.family];
  context.lineWidth = style.width;
  // Dashes of many parallel lines make a pattern that means nothing.
  context.setLineDash(lines.length <= DASHES_MAX ? style.dash : []);
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
    // Words that stand on end are not read.
    if (context.measureText(words).width + 30 > length || Math.abs(endX - startX) < 34) continue;
    context.save();
    context.translate(startX + (endX - startX) * 0.4, startY + (endY - startY) * 0.4);
    context.rotate(Math.atan2(endY - startY, endX - startX));
    context.fillStyle = colours[messageStyle(words).family];
    context.fillText(words, 0, -2);
    context.restore();
  }
  context.textAlign = 'left';
}

/** Crosses where messages were lost. */
export function drawCrosses(context, scene, groups) {
  const { trace, view, story, layout } = scene;
  const drops = trace.all('drop');
  const to = placeOf(trace.time, drops, view.to);
  const shown = new Map(groups.map((group) => [group.kind, group.shown]));
  const taken = new Set();
  const crosses = [];
  context.strokeStyle = colours.bad;
  context.globalAlpha = story ? 0.35 : 0.9;
  context.lineWidth = 1.6;
  context.beginPath();
  const perPixel = view.span / scene.width;
  const last = new Float64Array(65536).fill(-Infinity);
  for (let place = placeOf(trace.time, drops, view.from); place < to; place++) {
    const send = trace.back[drops[place]];
    if (send < 0) continue;
    // Most of a long outage falls here, before anything is worked out.
    const pair = trace.lane[send] * 256 + trace.to[send];
    if (trace.time[send] - last[pair] < perPixel * 2) continue;
    last[pair] = trace.time[send];
    if (shown.get(trace.nameOf(send)) === false || !layout.places.has(trace.to[send])) continue;
    const line = lineOf(scene, send);
    if (!line || line.endX < GUTTER - 4) continue;
    const cell = Math.floor(line.endX / CROSS_ROOM) * 4096 + Math.floor(line.endY / CROSS_ROOM);
    if (taken.has(cell)) continue;
    taken.add(cell);
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
  drawWords(context, scene, lines);
  return lines;
}
