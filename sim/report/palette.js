// Which colour and which dash is whose. Colours come from the style sheet, so that there is one list.

/** Family, dash and width of each kind of message. Kinds that are new here are drawn as `other`. */
const MESSAGES = {
  append: ['append', [], 1.3],
  'append-ack': ['ack', [7, 3], 1.3],
  commit: ['append', [2, 3], 1.2],
  heartbeat: ['beat', [], 0.8],
  'heartbeat-reply': ['beat', [5, 4], 0.8],
  'pre-vote-request': ['vote', [3, 2], 1.4],
  'pre-vote': ['vote', [1, 3], 1.4],
  'vote-request': ['vote', [], 1.6],
  vote: ['vote', [8, 3], 1.6],
  'timeout-now': ['vote', [12, 3, 2, 3], 1.8],
  call: ['call', [], 1.2],
  reply: ['reply', [7, 3], 1.2],
  ping: ['beat', [1, 4], 0.7],
  pong: ['beat', [1, 4], 0.7],
};
const UNNAMED = ['other', [4, 2, 1, 2], 1.2];

const COLOURS = [
  'ground', 'paper', 'ink', 'soft', 'line', 'faint', 'accent', 'good', 'bad', 'warn', 'mark', 'append', 'ack',
  'beat', 'vote', 'call', 'reply', 'other', 'fault', 'done', 'refused', 'unknown', 'leader', 'follower', 'candidate',
  'down', 'starting', 'paused', 'halted', 'leader-ink', 'follower-ink', 'candidate-ink', 'down-ink', 'starting-ink',
  'paused-ink', 'halted-ink',
];

/** Colours by name; read anew whenever the page turns dark or light. */
export const colours = {};

export function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of COLOURS) colours[name] = style.getPropertyValue(`--${name}`).trim();
}

/** How a kind of message is drawn. */
export function messageStyle(kind) {
  const [family, dash, width] = MESSAGES[kind] ?? UNNAMED;
  return { family, dash, width };
}

/** How a role is drawn: `hatch` leans one way, the other, both, or is not there. */
export function roleStyle(role) {
  const hatch = { candidate: '/', down: 'x', starting: '.', paused: '\\', halted: 'x' }[role] ?? '';
  const known = colours[role] ? role : 'follower';
  return { fill: colours[known], ink: colours[`${known}-ink`], hatch };
}

/** Draws a hatch over a rectangle: what a colour says without the colour. */
export function hatch(context, kind, left, top, width, height, colour) {
  if (!kind || width <= 0) return;
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.globalAlpha *= 0.35;
  context.beginPath();
  const gap = 6;
  // Aligned to the page, not to the rectangle, so that it stands still while that moves.
  const start = left - (((left % gap) + gap) % gap) - height;
  for (let x = start; x < left + width; x += gap) {
    if (kind === '/' || kind === 'x') line(context, x, top + height, x + height, top);
    if (kind === '\\' || kind === 'x') line(context, x, top, x + height, top + height);
    if (kind === '.') line(context, x + height, top, x + height, top + height);
  }
  context.stroke();
  context.restore();
}

function line(context, fromX, fromY, toX, toY) {
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
}

/** Dashes for curves, so that they can be told apart in print. */
export const CURVE_DASHES = ['', '7 3', '2 3', '10 3 2 3', '4 2', '1 3', '12 4', '6 2 1 2 1 2'];
/** Colours for curves: Okabe and Ito's, all legible on white and on black. */
export const CURVE_COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#b8860b', '#56a0d8', '#7a6fd0', '#8a8f98'];
