// What lasts: faults as bands from top to bottom, roles and epochs as bands in their lanes.
import { colours, hatch, roleStyle } from './palette.js';
import { BAND_HALF, fontFamily, GUTTER } from './lanes.js';
import { firstBehind } from './trace.js';

/** Faults: a label at the top, a tint over the lanes that they are about. Gives what can be hit. */
export function drawFaults(context, scene) {
  const { trace, layout, toX, width, view } = scene;
  const hits = [];
  for (const fault of trace.faults) {
    if (fault.to < view.from || fault.from > view.to) continue;
    const left = Math.max(GUTTER, toX(fault.from));
    const right = Math.min(width, Math.max(toX(fault.to), left + 2));
    const row = layout.faultRows.get(fault);
    for (const [lane, place] of layout.places) {
      if (fault.lanes.size > 0 && !fault.lanes.has(lane)) continue;
      const { top } = place;
      context.globalAlpha = 0.09;
      context.fillStyle = colours.fault;
      context.fillRect(left, top, right - left, place.height);
      context.globalAlpha = 0.5;
      hatch(context, '/', left, top, right - left, place.height, colours.fault);
      context.globalAlpha = 1;
    }
    if (row > 5) continue;
    const top = layout.faultsTop + row * layout.faultRow;
    drawLabel(context, fault, left, right, top, scene);
    hits.push({ left, right, top, bottom: top + layout.faultRow, event: fault.event });
  }
  return hits;
}

function drawLabel(context, fault, left, right, top, { trace, layout, toX, width }) {
  const height = layout.faultRow - 3;
  context.fillStyle = colours.fault;
  context.globalAlpha = 0.2;
  context.fillRect(left, top, right - left, height);
  context.globalAlpha = 1;
  context.fillRect(left, top, 2, height);
  context.fillRect(left, top + height, right - left, 1.5);
  context.font = `600 11px ${fontFamily()}`;
  context.textBaseline = 'middle';
  // Words may stick out as far as the next fault of their row.
  const row = layout.faultRows.get(fault);
  const next = trace.faults.find((other) => other.from >= fault.to && layout.faultRows.get(other) === row);
  const room = (next ? Math.min(width, toX(next.from)) : width) - left - 10;
  const words = [`${fault.kind}: ${fault.text}`, fault.kind].find((text) => context.measureText(text).width <= room);
  context.fillStyle = colours.ink;
  if (words) context.fillText(words, left + 7, top + height / 2);
}

/** The bands of one lane that are in view: from one change of role to the next. */
function spansOf(trace, lane, view) {
  const changes = trace.of(lane, 'role');
  const spans = [];
  for (let place = 0; place < changes.length; place++) {
    const from = trace.time[changes[place]];
    const to = place + 1 < changes.length ? trace.time[changes[place + 1]] : trace.duration;
    if (to < view.from) continue;
    if (from > view.to) break;
    spans.push({ event: changes[place], from, to });
  }
  return spans;
}

/** Roles: filled, hatched and named, with the epoch. */
export function drawRoles(context, scene) {
  const { trace, layout, toX, width, view } = scene;
  for (const [lane, place] of layout.places) {
    if (!place.node) continue;
    const top = place.y - BAND_HALF;
    let painted = -1;
    for (const { event, from, to } of spansOf(trace, lane, view)) {
      const left = Math.max(GUTTER, toX(from));
      const right = Math.min(width, toX(to));
      // Many changes in one pixel are one.
      if (right < painted + 0.5) continue;
      painted = right;
      const role = trace.nameOf(event);
      const style = roleStyle(role);
      const span = Math.max(1, right - left);
      context.fillStyle = style.fill;
      context.fillRect(left, top, span, BAND_HALF * 2);
      hatch(context, style.hatch, left, top, span, BAND_HALF * 2, style.ink);
      if (toX(from) >= GUTTER) {
        context.fillStyle = colours.ground;
        context.fillRect(left, top, 1, BAND_HALF * 2);
      }
      labelRole(context, style, role, trace.number[event], left, right, place.y);
    }
  }
}

function labelRole(context, style, role, epoch, left, right, y) {
  context.font = `600 11px ${fontFamily()}`;
  context.textBaseline = 'middle';
  const choices = epoch ? [`${role} · epoch ${epoch}`, `${role} · e${epoch}`, role, role[0].toUpperCase()] : [role, role[0]];
  const words = choices.find((text) => context.measureText(text).width <= right - left - 12);
  if (!words) return;
  if (style.hatch) {
    // Words must not be read through a hatch.
    context.fillStyle = style.fill;
    context.fillRect(left + 4, y - BAND_HALF + 1, context.measureText(words).width + 6, BAND_HALF * 2 - 2);
  }
  context.fillStyle = style.ink;
  context.fillText(words, left + 7, y + 0.5);
}

/** Broken promises: a line from top to bottom, with a flag. */
export function drawViolations(context, scene) {
  const { trace, layout, toX, width } = scene;
  const hits = [];
  for (const event of trace.all('violation')) {
    const x = toX(trace.time[event]);
    if (x < GUTTER || x > width) continue;
    context.strokeStyle = colours.bad;
    context.lineWidth = 2;
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(x, layout.axis - 8);
    context.lineTo(x, layout.height - 10);
    context.stroke();
    context.fillStyle = colours.bad;
    context.font = `700 11px ${fontFamily()}`;
    const words = '✕ promise broken';
    const wide = context.measureText(words).width + 12;
    const left = Math.min(x, width - wide);
    const top = layout.height - 26;
    context.fillRect(left, top, wide, 17);
    context.fillStyle = colours.paper;
    context.textBaseline = 'middle';
    context.fillText(words, left + 6, top + 9);
    hits.push({ left: Math.min(x - 3, left), right: left + wide, top, bottom: top + 17, event });
  }
  return hits;
}

/** The role band under a point, for the tip. */
export function roleUnder(trace, lane, time) {
  const changes = trace.of(lane, 'role');
  const at = firstBehind(changes, lastBefore(trace, time)) - 1;
  return at >= 0 ? changes[at] : -1;
}

/** The last event that is not later than a time. */
function lastBefore(trace, time) {
  let low = 0;
  let high = trace.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trace.time[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
