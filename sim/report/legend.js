// What lines, bands and marks mean; and for each kind of message a switch.
import { colours, messageStyle, roleStyle } from './palette.js';
import { element, shape } from './elements.js';
import { count } from './words.js';

/** Order in which kinds are listed: as an append goes, then elections, then the rest. */
const ORDER = ['call', 'append', 'append-ack', 'commit', 'reply', 'heartbeat', 'heartbeat-reply', 'pre-vote-request',
  'pre-vote', 'vote-request', 'vote', 'timeout-now'];

function rankOf(kind) {
  const place = ORDER.indexOf(kind);
  return place < 0 ? ORDER.length : place;
}

/** Builds the row. `changed` is called after a kind was switched. */
export function buildLegend(root, trace, groups, options, changed) {
  const sorted = [...groups].sort((one, other) => rankOf(one.kind) - rankOf(other.kind) || one.kind.localeCompare(other.kind));
  const buttons = sorted.map((group) => {
    const button = element('button', { type: 'button', 'aria-pressed': 'true', title: `Show or hide ${group.kind}; with Shift: only ${group.kind}` },
      sample(group.kind), group.kind, element('small', {}, count(group.sends.length)));
    button.addEventListener('click', (event) => {
      if (event.shiftKey) {
        const alone = groups.every((other) => other.shown === (other === group));
        groups.forEach((other) => (other.shown = alone || other === group));
      } else {
        group.shown = !group.shown;
      }
      sorted.forEach((other, place) => buttons[place].setAttribute('aria-pressed', String(other.shown)));
      changed();
    });
    return button;
  });
  const clients = element('button', { type: 'button', 'aria-pressed': 'true', title: 'Show or hide the lanes of clients' }, 'clients');
  clients.addEventListener('click', () => {
    options.clients = !options.clients;
    clients.setAttribute('aria-pressed', String(options.clients));
    changed();
  });
  const hasClients = trace.lanes.length > trace.nodes.length;
  const roles = [...new Set(Array.from(trace.all('role'), (event) => trace.nameOf(event)))];
  root.replaceChildren(
    ...buttons,
    hasClients ? clients : '',
    element('span', { class: 'rule' }),
    ...roles.map((role) => element('span', { class: 'key' }, roleSample(role), role)),
    element('span', { class: 'rule' }),
    key(shape('path', { d: 'M3 3l8 8M3 11l8-8', stroke: 'var(--bad)', 'stroke-width': 2 }), 'did not arrive'),
    key(shape('path', { d: 'M7 2l5 9H2z', fill: 'var(--ack)' }), 'on disk'),
    key(shape('path', { d: 'M7 1l4 6-4 6-4-6z', fill: 'var(--append)' }), 'committed'),
    key(shape('g', {}, shape('rect', { x: 0, y: 1, width: 14, height: 12, fill: 'var(--fault)', opacity: 0.2 }),
      shape('path', { d: 'M0 13L12 1M5 13L14 4', stroke: 'var(--fault)', 'stroke-width': 1 })), 'fault'),
  );
}

function key(drawing, words) {
  return element('span', { class: 'key' }, shape('svg', { width: 14, height: 14, 'aria-hidden': 'true' }, drawing), words);
}

function sample(kind) {
  const { family, dash, width } = messageStyle(kind);
  return shape('svg', { width: 26, height: 10, 'aria-hidden': 'true' },
    shape('line', { x1: 1, y1: 5, x2: 25, y2: 5, stroke: `var(--${family})`, 'stroke-width': width + 0.9, 'stroke-dasharray': dash.join(' ') }));
}

function roleSample(role) {
  const { hatch } = roleStyle(role);
  const known = colours[role] ? role : 'follower';
  const lines = { '/': 'M0 12L12 0M6 12L18 0', x: 'M0 12L12 0M6 12L18 0M0 0L12 12M6 0L18 12', '\\': 'M0 0L12 12M6 0L18 12', '.': 'M4 0V12M10 0V12' };
  return shape('svg', { width: 16, height: 12, 'aria-hidden': 'true' },
    shape('rect', { width: 16, height: 12, rx: 2, fill: `var(--${known})` }),
    hatch ? shape('path', { d: lines[hatch], stroke: `var(--${known}-ink)`, opacity: 0.45 }) : shape('g'));
}
