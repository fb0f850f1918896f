// Where the lanes are: nodes and clients of a zone together, zones below each other.
import { colours } from './palette.js';

/** Room for names at the left. */
export const GUTTER = 92;
const AXIS_HEIGHT = 26;
const FAULT_ROW = 18;
const ZONE_GAP = 16;
const HEIGHT_WANTED = 540;
/** Half the height of the band that shows a node's role. */
export const BAND_HALF = 8;

/** Rows in which bands don't cover each other. */
function rowsOf(faults) {
  const ends = [];
  const rows = new Map();
  for (const fault of faults) {
    let row = ends.findIndex((end) => end <= fault.from);
    if (row < 0) row = ends.length;
    ends[row] = fault.to;
    rows.set(fault, row);
  }
  return { rows, count: Math.min(ends.length, 6) };
}

/** Lays all lanes out. `clients` says whether clients are shown. */
export function layOut(trace, clients) {
  const { rows, count } = rowsOf(trace.faults);
  const faultsTop = AXIS_HEIGHT;
  const zones = [];
  trace.lanes.forEach((lane, place) => {
    if (!clients && lane.kind !== 'node') return;
    let zone = zones.find((zone) => zone.name === lane.zone);
    if (!zone) zones.push((zone = { name: lane.zone, lanes: [] }));
    zone.lanes.push(place);
  });
  const isNode = (place) => trace.lanes[place].kind === 'node';
  const clientCount = trace.lanes.length - trace.nodes.length;
  const clientHeight = clientCount > 12 ? 26 : clientCount > 6 ? 36 : 52;
  // Few lanes take the room that many would.
  const left = HEIGHT_WANTED - (clients ? clientCount * clientHeight : 0) - zones.length * ZONE_GAP;
  const nodeHeight = Math.min(150, Math.max(72, left / trace.nodes.length));
  let y = faultsTop + count * FAULT_ROW + 10;
  const places = new Map();
  for (const zone of zones) {
    zone.lanes.sort((one, other) => isNode(other) - isNode(one) || one - other);
    zone.top = y;
    for (const lane of zone.lanes) {
      const height = isNode(lane) ? nodeHeight : clientHeight;
      places.set(lane, { top: y, y: y + height / 2, height, node: isNode(lane), zone });
      y += height;
    }
    zone.bottom = y;
    y += ZONE_GAP;
  }
  return { zones, places, faultRows: rows, faultRow: FAULT_ROW, faultsTop, height: y, axis: AXIS_HEIGHT };
}

/** Names at the left, and the ground of each zone. */
export function drawLanes(context, layout, trace, width) {
  for (const zone of layout.zones) {
    context.fillStyle = colours.ground;
    context.beginPath();
    context.roundRect(0, zone.top, width, zone.bottom - zone.top, 8);
    context.fill();
  }
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const { y } of layout.places.values()) {
    context.moveTo(GUTTER, y + 0.5);
    context.lineTo(width, y + 0.5);
  }
  context.stroke();
}

/** Drawn last, over what sticks out to the left. */
export function drawGutter(context, layout, trace, selectedLane) {
  for (const zone of layout.zones) {
    context.fillStyle = colours.ground;
    context.fillRect(0, zone.top + 6, GUTTER - 1, zone.bottom - zone.top - 12);
  }
  for (const [lane, { y, node, zone, top }] of layout.places) {
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    context.fillStyle = lane === selectedLane ? colours.accent : colours.ink;
    context.font = `${node ? 600 : 400} ${node ? 14 : 12.5}px ${fontFamily()}`;
    context.fillText(trace.lanes[lane].name, GUTTER - 16, y, GUTTER - 46);
    if (top === zone.top) {
      context.textAlign = 'left';
      context.fillStyle = colours.soft;
      context.font = `11px ${fontFamily()}`;
      context.fillText(zone.name, 12, zone.top + 15);
    }
  }
  context.textAlign = 'left';
}

let family = '';
/** The page's own font: a canvas does not inherit it. */
export function fontFamily() {
  family ||= getComputedStyle(document.body).fontFamily;
  return family;
}
