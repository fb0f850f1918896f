// How long clients waited: by percentile for each phase, and over time with the faults behind.
import { frame, pathOf, powersBetween, stepsOf } from './charts.js';
import { element, shape } from './elements.js';
import { CURVE_COLOURS, CURVE_DASHES } from './palette.js';
import { roundStep } from './axis.js';
import { count, moment, span } from './words.js';

const HEIGHT = 300;

/** Both charts, into `root`; `go(time)` shows a time in the picture. */
export function drawLatency(root, summary, trace, go) {
  root.replaceChildren();
  const phases = (summary.phases ?? []).filter((phase) => phase.curve?.length);
  const buckets = summary.over_time ?? [];
  const cells = [element('figure'), element('figure')];
  root.append(...cells);
  const width = Math.max(320, cells[0].clientWidth);
  if (phases.length) cells[0].append(...curves(width, phases));
  else cells[0].append(element('p', { class: 'quiet' }, 'No call ended in this run, so there are no percentiles.'));
  if (buckets.length) cells[1].append(...overTime(width, buckets, trace, go));
}

/** Percentiles as HdrHistogram draws them: each nine takes the same room. */
function curves(width, phases) {
  const points = phases.map((phase) => phase.curve.map(([percent, value]) => [percent, Math.max(1, value)]));
  const inner = points.flat().filter(([percent]) => percent < 100);
  const percentMost = Math.max(90, ...inner.map(([percent]) => percent));
  // The largest value has no place on an axis without end: it stands half a nine behind the last.
  const to = (1 / (1 - percentMost / 100)) * 3;
  const place = (percent) => Math.max(1, Math.min(to, percent >= 100 ? to : 1 / (1 - percent / 100)));
  const values = points.flat().map(([, value]) => value);
  const [low, high] = [Math.min(...values) * 0.8, Math.max(...values) * 1.25];
  const nines = [0, 50, 90, 99, 99.9, 99.99, 99.999].filter((percent) => percent <= percentMost);
  const chart = frame(width, HEIGHT, {
    label: `Latency by percentile, a curve for each of ${phases.length} phases`,
    x: { from: 1, to, logarithmic: true, marks: [...nines.map(place), to], words: (value) => (value === to ? 'max' : `${percentOf(value)} %`), title: 'percentile' },
    y: { from: low, to: high, logarithmic: true, marks: powersBetween(low, high), words: span },
  });
  const drawn = phases.map((phase, number) => {
    const path = shape('path', {
      class: 'curve',
      d: pathOf(points[number].map(([percent, value]) => [chart.toX(place(percent)), chart.toY(value)])),
      stroke: CURVE_COLOURS[number % CURVE_COLOURS.length],
      'stroke-dasharray': CURVE_DASHES[number % CURVE_DASHES.length],
    });
    path.append(shape('title', {}, `${phase.name}: ${points[number].map(([percent, value]) => `${percent} % ${span(value)}`).join(', ')}`));
    return path;
  });
  chart.svg.append(...drawn);
  return [caption('By percentile and phase', 'From the moment a call was meant to be made to its answer. Each nine takes the same room.'),
    chart.svg, keys(phases.map((phase) => phase.name), drawn)];
}

function percentOf(value) {
  return Number((100 * (1 - 1 / value)).toFixed(4));
}

function caption(title, words) {
  return element('figcaption', {}, title, element('small', {}, words));
}

/** A legend; pointing at a name pales the others. */
function keys(names, curves) {
  const light = (chosen) => curves.forEach((curve) => curve.classList.toggle('dim', chosen !== null && curve !== chosen));
  const rows = names.map((name, number) => element('li', { onmouseenter: () => light(curves[number]), onmouseleave: () => light(null) },
    shape('svg', { width: 26, height: 8, 'aria-hidden': 'true' }, shape('line', {
      x1: 0, y1: 4, x2: 26, y2: 4, 'stroke-width': 2.2,
      stroke: curves[number].getAttribute('stroke'), 'stroke-dasharray': curves[number].getAttribute('stroke-dasharray'),
    })), name));
  return element('ul', { class: 'keys' }, rows);
}

const SERIES = [['p50_ns', 'p50', 0], ['p99_ns', 'p99', 1], ['max_ns', 'max', 3]];

/** Percentiles over time, and what was answered, below each other on one axis of time. */
function overTime(width, buckets, trace, go) {
  const step = buckets.length > 1 ? buckets[1].t_ns - buckets[0].t_ns : trace.duration;
  const valueOf = (bucket, key) => (bucket.done > 0 && bucket[key] > 0 ? bucket[key] : null);
  const values = buckets.flatMap((bucket) => SERIES.map(([key]) => valueOf(bucket, key))).filter((value) => value !== null);
  const [low, high] = values.length ? [Math.min(...values) * 0.8, Math.max(...values) * 1.25] : [1e5, 1e7];
  const timeStep = roundStep(trace.duration, width - 72, 84);
  const x = { from: 0, to: trace.duration, marks: [], words: (value) => moment(value, timeStep) };
  for (let time = 0; time <= trace.duration; time += timeStep) x.marks.push(time);
  const upper = frame(width, HEIGHT - 104, {
    label: 'Latency over time: median, 99th percentile and maximum',
    x: { ...x, words: () => '' },
    y: { from: low, to: high, logarithmic: true, marks: powersBetween(low, high), words: span },
  });
  faultBands(upper, trace);
  const curves = SERIES.map(([key, name, style]) => {
    const points = buckets.map((bucket) => {
      const value = valueOf(bucket, key);
      return [upper.toX(bucket.t_ns), value === null ? null : upper.toY(value)];
    });
    const path = shape('path', { class: 'curve', d: stepsOf(points), stroke: CURVE_COLOURS[style], 'stroke-dasharray': key === 'max_ns' ? '2 3' : key === 'p99_ns' ? '6 2' : '' });
    path.append(shape('title', {}, name));
    return path;
  });
  upper.svg.append(...curves);
  const perSecond = (number) => (number * 1e9) / step;
  const most = Math.max(1, ...buckets.map((bucket) => perSecond(Math.max(bucket.done, bucket.failed ?? 0))));
  const lower = frame(width, 136, {
    label: 'Answers by second: done, and all others',
    x: { ...x, title: 'time in the run; click to go there' },
    y: { from: 0, to: most, marks: [0, most / 2, most].map(Math.round), words: (value) => `${count(value)}/s` },
  });
  faultBands(lower, trace);
  for (const [key, colour] of [['done', 'var(--done)'], ['failed', 'var(--unknown)']]) {
    for (const bucket of buckets) {
      if (!bucket[key]) continue;
      const left = lower.toX(bucket.t_ns);
      const top = lower.toY(perSecond(bucket[key]));
      lower.svg.append(shape('rect', { x: left, y: top, width: Math.max(1, lower.toX(bucket.t_ns + step) - left - 0.5), height: Math.max(1, lower.bottom - top), fill: colour, opacity: 0.85 }));
    }
  }
  for (const chart of [upper, lower]) listenTo(chart, buckets, step, go);
  return [caption('Over time', 'Faults are the shaded bands.'), upper.svg, lower.svg,
    keys(SERIES.map(([, name]) => name), curves)];
}

function faultBands(chart, trace) {
  for (const fault of trace.faults) {
    const left = chart.toX(fault.from);
    const band = shape('rect', { class: 'faulty', x: left, y: chart.top, width: Math.max(1, chart.toX(fault.to) - left), height: chart.bottom - chart.top });
    band.append(shape('title', {}, `${fault.kind}: ${fault.text}`));
    chart.svg.append(band);
  }
}

/** Tells the figures under the mouse, and goes there on a click. */
function listenTo(chart, buckets, step, go) {
  const line = shape('line', { class: 'cursor', y1: chart.top, y2: chart.bottom, visibility: 'hidden' });
  const title = shape('title', {});
  const hit = shape('rect', { class: 'hit', x: chart.left, y: chart.top, width: chart.right - chart.left, height: chart.bottom - chart.top }, title);
  const bucketAt = (event) => {
    const box = hit.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    return buckets[Math.max(0, Math.min(buckets.length - 1, Math.floor(part * buckets.length)))];
  };
  hit.addEventListener('mousemove', (event) => {
    const bucket = bucketAt(event);
    const x = chart.toX(bucket.t_ns + step / 2);
    line.setAttribute('x1', x);
    line.setAttribute('x2', x);
    line.setAttribute('visibility', 'visible');
    title.textContent = `${moment(bucket.t_ns, 1e6)}: ${count(bucket.done)} done, ${count(bucket.failed ?? 0)} others`
      + (bucket.done ? `\np50 ${span(bucket.p50_ns)}, p99 ${span(bucket.p99_ns)}, max ${span(bucket.max_ns)}` : '');
  });
  hit.addEventListener('mouseleave', () => line.setAttribute('visibility', 'hidden'));
  hit.addEventListener('click', (event) => {
    const bucket = bucketAt(event);
    go(bucket.t_ns, bucket.t_ns + step);
  });
  chart.svg.append(line, hit);
}
