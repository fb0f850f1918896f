// Messages too many for lines: between two lanes a ribbon, darker where more pass.
import { colours } from './palette.js';
import { BAND_HALF, GUTTER } from './lanes.js';
import { placeOf } from './trace.js';
import { list, moment, span } from './words.js';

const COLUMN = 3;
/** Whose colour a column has where several families pass: what is rarer says more. */
const FAMILIES = ['vote', 'append', 'ack', 'call', 'reply', 'other', 'beat'];

/** What full darkness stands for: one burst must not make all else pale. */
export function usualMost(counts) {
  const sorted = counts.filter((count) => count > 0).sort((one, other) => one - other);
  return Math.max(1, (sorted[Math.floor(sorted.length * 0.97)] ?? 1) * 1.15);
}

/** Messages of one kind that arrived, by sender and receiver: the ribbon's counts come from here. */
export function pairsOf(trace, sends) {
  const lists = new Map();
  for (const send of sends) {
    const arrival = trace.arrival[send];
    if (arrival < 0 || trace.kind[arrival] !== trace.code.recv) continue;
    const key = trace.lane[send] * 256 + trace.to[send];
    if (!lists.has(key)) lists.set(key, []);
    lists.get(key).push(send);
  }
  return [...lists].map(([key, list]) => ({ from: key >> 8, to: key & 255, sends: Uint32Array.from(list) }));
}

/** Counts of all groups in columns of pixels, the two directions of a pair together. */
function countColumns(scene, groups) {
  const { trace, view, layout, toTime, width } = scene;
  const columns = Math.ceil((width - GUTTER) / COLUMN);
  const pairs = new Map();
  for (const group of groups) {
    const rank = FAMILIES.indexOf(group.style.family);
    for (const { from, to, sends } of group.pairs) {
      if (!layout.places.has(from) || !layout.places.has(to)) continue;
      const key = Math.min(from, to) * 256 + Math.max(from, to);
      if (!pairs.has(key)) {
        pairs.set(key, { one: from, other: to, counts: new Uint32Array(columns), ranks: new Uint8Array(columns).fill(99) });
      }
      const pair = pairs.get(key);
      let at = placeOf(trace.time, sends, view.from);
      const end = placeOf(trace.time, sends, view.to, at);
      for (let column = 0; column < columns && at < end; column++) {
        const next = placeOf(trace.time, sends, toTime(GUTTER + (column + 1) * COLUMN), at, end);
        if (next > at) {
          pair.counts[column] += next - at;
          pair.ranks[column] = Math.min(pair.ranks[column], rank);
        }
        at = next;
      }
    }
  }
  return [...pairs.values()];
}

/** Draws what has no room as lines. Gives the ribbons, for the mouse. */
export function drawRibbons(context, scene, groups) {
  const { layout, story } = scene;
  const ribbons = [];
  for (const { one, other, counts, ranks } of countColumns(scene, groups)) {
    const [upper, lower] = [layout.places.get(one), layout.places.get(other)].sort((a, b) => a.y - b.y);
    const top = upper.y + (upper.node ? BAND_HALF : 0);
    const bottom = lower.y - (lower.node ? BAND_HALF : 0);
    ribbons.push({ one, other, top, bottom, counts, groups });
    const most = usualMost(Array.from(counts));
    const fills = FAMILIES.map((family) => fading(context, colours[family], top, bottom));
    counts.forEach((count, column) => {
      if (count === 0) return;
      context.fillStyle = fills[ranks[column]];
      context.globalAlpha = (0.25 + 0.75 * Math.min(1, count / most)) * (story ? 0.3 : 1);
      context.fillRect(GUTTER + column * COLUMN, top, COLUMN, bottom - top);
    });
  }
  context.globalAlpha = 1;
  return ribbons;
}

/** The ribbon under a point; of several the shortest, which is hidden by the others elsewhere, too. */
export function ribbonAt(ribbons, x, y) {
  const column = Math.floor((x - GUTTER) / COLUMN);
  return ribbons
    .filter(({ top, bottom, counts }) => y >= top && y <= bottom && counts[column] > 0)
    .reduce((best, it) => (best && best.bottom - best.top <= it.bottom - it.top ? best : it), null);
}

/** What passes where the mouse is: when, and how many messages of each kind in each direction. */
export function tellRibbon(trace, ribbon, toTime, x) {
  const left = GUTTER + Math.floor((x - GUTTER) / COLUMN) * COLUMN;
  const [from, to] = [toTime(left), toTime(left + COLUMN)];
  const directions = [[ribbon.one, ribbon.other], [ribbon.other, ribbon.one]];
  const lines = directions.flatMap(([sender, receiver]) => {
    const kinds = ribbon.groups.flatMap(({ kind, pairs }) => {
      const sends = pairs.find((pair) => pair.from === sender && pair.to === receiver)?.sends ?? [];
      const start = placeOf(trace.time, sends, from);
      const passing = placeOf(trace.time, sends, to, start) - start;
      return passing > 0 ? [`${passing} ${kind}`] : [];
    });
    return kinds.length > 0 ? [`${trace.laneName(sender)} → ${trace.laneName(receiver)}: ${list(kinds)}`] : [];
  });
  return { title: `from ${moment(from, to - from)}, for ${span(to - from)}`, lines };
}

/** Strong at both lanes and pale between them: where ribbons cross, each is still seen at its ends. */
function fading(context, colour, top, bottom) {
  const fill = context.createLinearGradient(0, top, 0, bottom);
  const edge = Math.min(0.45, 44 / Math.max(1, bottom - top));
  fill.addColorStop(0, `${colour}70`);
  fill.addColorStop(edge, `${colour}14`);
  fill.addColorStop(1 - edge, `${colour}14`);
  fill.addColorStop(1, `${colour}70`);
  return fill;
}
