// What a run comes to, in tables: promises, phases, links, leaders, faults.
import { element, shape } from './elements.js';
import { count, moment, span } from './words.js';

const VERDICTS = {
  holds: 'All promises hold',
  safety: 'A safety promise is broken',
  liveness: 'A liveness promise is broken',
  'not-deterministic': 'Two runs of one seed differ',
  'service-level': 'A service level was missed',
};
/** A round trip this close to what was asked for counts as the same. */
const NEAR = 0.02;

/** The verdict, its reason, the command that repeats it. `go` shows a time in the picture. */
export function drawTop(root, trace, go) {
  const { summary, header } = trace;
  const holds = summary.verdict === 'holds';
  const icon = shape('svg', { viewBox: '0 0 20 20', 'aria-hidden': 'true' },
    shape('circle', { cx: 10, cy: 10, r: 9, fill: 'currentColor' }),
    shape('path', { d: holds ? 'M5.5 10.5l3 3 6-7' : 'M6.5 6.5l7 7M13.5 6.5l-7 7', stroke: 'var(--paper)', 'stroke-width': 2.2, fill: 'none', 'stroke-linecap': 'round' }));
  const facts = [
    ['Seed', header.seed],
    ['Tier', header.tier],
    header.resolution_ns === 1 ? null : ['Time in steps of', span(header.resolution_ns)],
    ['Run', span(summary.virtual_ns ?? trace.duration)],
    ['Took', summary.wall_ms === undefined ? null : span(summary.wall_ms * 1e6)],
    ['Events', count(trace.count)],
    ['Exit code', summary.exit_code],
    ['Trace', summary.trace_hash],
  ].filter((fact) => fact && fact[1] !== null && fact[1] !== undefined);
  const broken = (summary.asserts ?? []).filter((assert) => !assert.holds);
  root.replaceChildren(
    element('div', { class: 'title' },
      element('h1', {}, header.name),
      element('span', { class: `verdict ${holds ? 'holds' : 'fails'}`, id: 'verdict' }, icon, VERDICTS[summary.verdict] ?? summary.verdict),
      element('nav', { 'aria-label': 'Parts of this page' }, [['picture', 'Picture'], ['latency', 'Latency'], ['network', 'Network'], ['promises', 'Promises']]
        .map(([id, name]) => element('a', { href: `#${id}` }, name)))),
    summary.reason ? element('p', { class: 'reason' }, summary.reason[0].toUpperCase() + summary.reason.slice(1)) : '',
    broken.length ? element('ul', { class: 'broken' }, broken.map((assert) => element('li', {},
      element('b', {}, assert.id), `: wanted ${assert.wanted}, got ${assert.measured}. `, places(trace, assert, go)))) : '',
    command(summary.command),
    element('dl', { class: 'facts' }, facts.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, String(value))))),
  );
}

function command(text) {
  const button = element('button', { type: 'button', 'aria-label': 'Copy the command that repeats this run' }, 'Copy');
  const code = element('code', { tabindex: '0', 'aria-label': 'The command that repeats this run' }, text);
  button.addEventListener('click', async () => {
    let copied = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Files have no clipboard in some browsers: select it, so that a key can copy.
      getSelection().selectAllChildren(code);
      copied = document.execCommand('copy');
    }
    button.textContent = copied ? 'Copied' : 'Press Ctrl+C';
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  });
  return element('div', { class: 'command' }, code, button);
}

/** Links to where in the run an assertion was broken: a violation that names it, or times in its story. */
function places(trace, assert, go) {
  const links = [];
  for (const event of trace.all('violation')) {
    if (trace.text(event).includes(assert.id)) links.push(link(`at ${moment(trace.time[event], 1e6)}`, () => go.event(event)));
  }
  if (links.length === 0) {
    for (const found of (assert.story ?? '').matchAll(/\b(?:t\s*=\s*|(?:at|from)\s+)([\d.]+)\s*(s|ms)\b/g)) {
      const time = Number(found[1]) * (found[2] === 's' ? 1e9 : 1e6);
      if (time <= trace.duration && links.length < 3) links.push(link(`at ${moment(time, 1e6)}`, () => go.time(time)));
    }
  }
  return links.slice(0, 4).flatMap((link, place) => (place ? [', ', link] : [link]));
}

function link(words, action) {
  return element('button', { type: 'button', class: 'link', onclick: action }, words);
}

function table(title, heads, rows, note = '') {
  return element('table', {},
    element('caption', {}, title, note ? element('small', {}, ` ${note}`) : ''),
    element('thead', {}, element('tr', {}, heads.map(([name, kind]) => element('th', { scope: 'col', class: kind ?? null }, name)))),
    element('tbody', {}, rows));
}

function cells(values) {
  return values.map(([value, kind]) => element('td', { class: kind ?? null }, value));
}

export function drawAsserts(root, trace, go) {
  const asserts = [...(trace.summary.asserts ?? [])].sort((one, other) => one.holds - other.holds);
  const rows = asserts.map((assert) => element('tr', {},
    element('td', {}, element('span', { class: `sign ${assert.holds ? 'yes' : 'no'}`, 'aria-hidden': 'true' }, assert.holds ? '✓' : '✕'), assert.holds ? 'holds' : 'broken'),
    ...cells([[assert.id, 'strong'], [assert.kind], [assert.wanted], [assert.measured ?? '–']]),
    element('td', {}, places(trace, assert, go), assert.story ? element('span', { class: 'story' }, assert.story) : '')));
  root.replaceChildren(rows.length
    ? table('Promises', [['Verdict'], ['Promise'], ['Kind'], ['Wanted'], ['Got'], ['Where and how']], rows)
    : element('p', { class: 'quiet' }, 'Nothing was asserted.'));
}

export function drawPhases(root, trace, go) {
  const figures = (phase) => [phase.p50_ns, phase.p99_ns, phase.p999_ns, phase.max_ns].map((value) => [phase.done ? span(value) : '–', 'figure']);
  const rows = (trace.summary.phases ?? []).map((phase) => element('tr', {},
    element('td', { class: 'strong' }, link(phase.name, () => go.range(phase.from_ns, phase.to_ns))),
    ...cells([[`${moment(phase.from_ns, 1e7)} – ${moment(phase.to_ns, 1e7)}`, 'once'], [count(phase.done), 'figure'], [count(phase.refused ?? 0), 'figure'],
      [count(phase.unknown ?? 0), 'figure'], ...figures(phase), [span(phase.longest_gap_ns), 'figure']])));
  root.replaceChildren(rows.length
    ? table('Phases', [['Phase'], ['When'], ['Done', 'figure'], ['Refused', 'figure'], ['Unknown', 'figure'], ['p50', 'figure'], ['p99', 'figure'],
        ['p99.9', 'figure'], ['max', 'figure'], ['Longest gap', 'figure']], rows, 'Gap: the longest time without an answer.')
    : '');
}

/** Asked for and achieved, zone by zone. */
export function drawLinks(root, trace) {
  const links = trace.summary.links ?? [];
  const zones = [...new Set(links.flatMap((link) => [link.a, link.b]))].sort();
  const cell = (a, b) => {
    const link = links.find((link) => (link.a === a && link.b === b) || (link.a === b && link.b === a));
    if (!link) return element('td', { class: 'none' }, '');
    const off = link.count && link.asked_p50_ns ? link.got_p50_ns / link.asked_p50_ns - 1 : null;
    const near = off !== null && Math.abs(off) <= NEAR;
    const sign = off === null ? '' : near ? '✓' : `${off > 0 ? '+' : '−'}${Math.abs(off * 100).toFixed(0)} %`;
    return element('td', {},
      element('b', {}, link.count ? span(link.got_p50_ns) : 'not used'), ' ',
      element('span', { class: near ? 'yes' : 'near' }, sign),
      element('small', {}, `asked ${span(link.asked_p50_ns)}`),
      element('small', {}, `p99 ${span(link.got_p99_ns)}, asked ${span(link.asked_p99_ns)}`));
  };
  root.replaceChildren(zones.length
    ? element('table', { class: 'matrix' },
        element('caption', {}, 'Round trips ', element('small', {}, 'Medians. ✓: within 2 % of what was asked for.')),
        element('thead', {}, element('tr', {}, element('td', { class: 'none' }), zones.map((zone) => element('th', { scope: 'col' }, zone)))),
        element('tbody', {}, zones.map((a) => element('tr', {}, element('th', { scope: 'row' }, a), zones.map((b) => cell(a, b))))))
    : element('p', { class: 'quiet' }, 'No round trips were measured.'));
}

/** Who led for how long. */
export function drawLeaders(root, trace) {
  const shares = new Map();
  for (const { node, zone, ns } of trace.summary.leaders ?? []) {
    // Nobody: that is what is left.
    if (node === '-') continue;
    const share = shares.get(node) ?? { node, zone, ns: 0 };
    share.ns += ns;
    shares.set(node, share);
  }
  const whole = trace.summary.virtual_ns ?? trace.duration;
  const led = [...shares.values()].reduce((sum, share) => sum + share.ns, 0);
  const rows = [...shares.values()].filter((share) => share.ns > 0).map((share) => [`${share.node} · ${share.zone}`, share.ns, 'var(--leader)']);
  // Two can believe to lead for a moment, so what is left may be nothing.
  if (whole > led) rows.push(['nobody', whole - led, 'var(--soft)']);
  root.replaceChildren(
    element('h3', {}, 'Who led'),
    element('div', { class: 'share' }, rows.flatMap(([name, ns, colour]) => [
      element('span', {}, name),
      element('div', { class: 'track' }, element('i', { style: `width:${Math.min(100, (ns / whole) * 100).toFixed(2)}%;background:${colour}` })),
      element('span', { class: 'figure' }, `${span(ns)} · ${((ns / whole) * 100).toFixed(1)} %`)])));
}

export function drawFaultTable(root, trace, go) {
  const rows = trace.faults.map((fault) => element('tr', {},
    element('td', { class: 'figure' }, String(fault.number)),
    element('td', { class: 'strong' }, link(fault.kind, () => go.event(fault.event, fault.from, fault.to))),
    ...cells([[[...fault.lanes].map((lane) => trace.laneName(lane)).join(', ') || 'all'], [moment(fault.from, 1e6), 'figure'], [span(fault.to - fault.from), 'figure'], [fault.text]])));
  root.replaceChildren(rows.length
    ? table('Faults', [['No.', 'figure'], ['Kind'], ['At'], ['From', 'figure'], ['For', 'figure'], ['What']], rows)
    : element('p', { class: 'quiet' }, 'There were no faults in this run.'));
}

export function drawCoverage(root, trace) {
  const entries = Object.entries(trace.summary.coverage ?? {}).filter(([, value]) => ['number', 'string', 'boolean'].includes(typeof value));
  root.replaceChildren(...(entries.length
    ? [element('h3', {}, 'What came about'), element('div', { class: 'cover' }, entries.map(([name, value]) =>
        element('span', {}, `${name.replace(/[_-]/g, ' ')} `, element('b', {}, typeof value === 'number' ? count(value) : String(value)))))]
    : []));
}
