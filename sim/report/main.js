// Puts the page together: unpacks the run, draws it, and draws it again when something has changed.
import { unpackRun } from './unpack.js';
import { moment, span } from './words.js';
import { element } from './elements.js';
import { Trace } from './trace.js';
import { readColours } from './palette.js';
import { View } from './view.js';
import { groupMessages } from './messages.js';
import { Minimap } from './minimap.js';
import { Panel } from './panel.js';
import { buildLegend } from './legend.js';
import { eventAt, find } from './search.js';
import { Diagram } from './diagram.js';
import { drawLatency } from './latency.js';
import { drawAsserts, drawCoverage, drawFaultTable, drawLeaders, drawLinks, drawPhases, drawTop } from './tables.js';

/** Narrower than this there is nothing but names. */
const WIDTH_MIN = 160;

const byId = (id) => document.getElementById(id);

/** A canvas with as many pixels as the screen has; gives its context and its width in the page's. */
function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, width];
}

function build(trace) {
  const options = { clients: trace.lanes.length - trace.nodes.length <= 24 };
  const groups = groupMessages(trace);
  let planned = false;
  const changed = () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      draw();
    });
  };
  const view = new View(trace.duration, changed);
  const minimap = new Minimap(byId('minimap'), trace, view);
  const diagram = new Diagram(byId('diagram'), byId('tip'), trace, view, groups, options);
  const panel = new Panel(byId('panel'), trace, {
    choose: (event) => {
      diagram.choose(event);
      diagram.reveal(event);
    },
    fit: (story) => diagram.fit(story),
    near: (event) => diagram.near(event),
    back: () => diagram.back(),
    letGo: () => diagram.choose(-1),
  });
  diagram.chosen = (story) => (story ? panel.showStory(story) : panel.clear());
  const go = {
    event: (event, from, to) => {
      byId('picture').scrollIntoView();
      diagram.choose(event);
      if (from === undefined) view.centre(trace.time[event], Math.min(view.span, 4e7));
      else view.glideTo(from - (to - from) * 0.1, to + (to - from) * 0.1);
    },
    time: (time) => {
      byId('picture').scrollIntoView();
      view.centre(time, Math.min(view.span, 4e7));
    },
    range: (from, to) => {
      byId('picture').scrollIntoView();
      view.glideTo(from, to);
    },
  };

  let drawnTotal = -1;
  function draw() {
    const [small, smallWidth] = prepare(byId('minimap'), 64);
    minimap.draw(small, smallWidth, 64);
    const [large, width] = prepare(byId('diagram'), diagram.layout.height);
    // Not laid out yet: the observer calls again when it is.
    if (width < WIDTH_MIN) return;
    const { total, drawn } = diagram.draw(large, width);
    drawnTotal = total;
    byId('range').textContent = `${moment(view.from, view.span / 50)} + ${span(view.span)}`;
    byId('range').title = drawn < total ? `${drawn} of ${total} messages are drawn; zoom in for all` : `all ${total} messages are drawn`;
    panel.showView(view, total);
    remember();
  }

  /** Keeps what is in view in the address, so that a reload or a sent link shows the same. */
  let rememberLater = null;
  function remember() {
    clearTimeout(rememberLater);
    rememberLater = setTimeout(() => {
      const place = view.whole ? '' : `at=${Math.round(view.from)}-${Math.round(view.to)}`;
      const event = diagram.story ? `event=${diagram.story.event}` : '';
      const hash = [place, event].filter(Boolean).join('&');
      history.replaceState(null, '', hash ? `#${hash}` : location.pathname + location.search);
    }, 300);
  }

  function recall() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const place = /^(\d+)-(\d+)$/.exec(parts.get('at') ?? '');
    const event = Number(parts.get('event') ?? NaN);
    if (place) view.show(Number(place[1]), Number(place[2]));
    if (event >= 0 && event < trace.count) diagram.choose(event);
  }

  const legend = () => buildLegend(byId('legend'), trace, groups, options, () => {
    diagram.relayout();
    changed();
  });
  const tables = () => {
    drawTop(byId('top'), trace, go);
    drawLatency(byId('latency-charts'), trace.summary, trace, go.range);
    drawPhases(byId('phases'), trace, go);
    drawLinks(byId('links'), trace);
    drawLeaders(byId('leaders'), trace);
    drawFaultTable(byId('faults'), trace, go);
    drawAsserts(byId('asserts'), trace, go);
    drawCoverage(byId('coverage'), trace);
  };
  const repaint = () => {
    readColours();
    changed();
  };
  readColours();
  legend();
  tables();
  listen({ trace, view, diagram, changed, repaint });
  recall();
  draw();
  byId('bottom').replaceChildren(`${trace.header.name}, seed ${trace.header.seed}. Made by quorate-sim; this file needs nothing but itself.`);
  return { trace, view, diagram, groups, ready: true, messages: () => drawnTotal };
}

function listen({ trace, view, diagram, changed, repaint }) {
  byId('zoom-in').addEventListener('click', () => view.zoom(0.5));
  byId('zoom-out').addEventListener('click', () => view.zoom(2));
  byId('zoom-all').addEventListener('click', () => view.glideTo(0, view.duration));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', repaint);
  matchMedia('print').addEventListener('change', repaint);
  let width = innerWidth;
  new ResizeObserver(() => {
    changed();
    if (innerWidth === width) return;
    width = innerWidth;
    drawLatency(byId('latency-charts'), trace.summary, trace, (from, to) => view.glideTo(from, to));
  }).observe(document.querySelector('.frame'));
  const field = byId('search-text');
  const search = (backwards) => {
    if (!field.value.trim()) return;
    const start = diagram.story ? diagram.story.event : backwards ? trace.count : -1;
    const found = find(trace, field.value, start, backwards);
    byId('search-note').textContent = found.event === -1 ? 'nothing like it' : '';
    if ('time' in found) {
      view.centre(found.time, Math.min(view.span, 2e7));
    } else if (found.event >= 0) {
      diagram.choose(found.event);
      view.centre(trace.time[found.event], Math.min(view.span, 2e7));
    }
  };
  byId('search').addEventListener('submit', (event) => event.preventDefault());
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') search(event.shiftKey);
    if (event.key === 'Escape') byId('diagram').focus();
  });
  field.addEventListener('input', () => (byId('search-note').textContent = ''));
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.target === field) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
}

try {
  const trace = new Trace(await unpackRun());
  // What the browser's test asks; a person can, too, in the console.
  window.report = build(trace);
  window.report.eventAt = (time) => eventAt(trace, time);
} catch (error) {
  document.querySelector('main').prepend(element('p', { id: 'trouble', role: 'alert' },
    `This report can't be drawn: ${error.message}. It needs a browser of 2023 or later.`));
  throw error;
}
