// The whole run on a small canvas: who led, how much was done, what went wrong; and a window on it.
import { colours, hatch } from './palette.js';
import { fontFamily, GUTTER } from './lanes.js';
import { firstBehind } from './trace.js';
import { marksOf } from './axis.js';
import { usualMost } from './ribbons.js';

const HANDLE = 7;
const WINDOW_MIN = 6;

export class Minimap {
  constructor(canvas, trace, view) {
    Object.assign(this, { canvas, trace, view });
    this.reigns = reignsOf(trace);
    this.rates = ratesOf(trace);
    canvas.addEventListener('pointerdown', (event) => this.press(event));
  }

  toX(time) {
    return GUTTER + (time / this.trace.duration) * (this.width - GUTTER);
  }

  toTime(x) {
    return ((x - GUTTER) / (this.width - GUTTER)) * this.trace.duration;
  }

  draw(context, width, height) {
    this.width = width;
    this.height = height;
    context.clearRect(0, 0, width, height);
    context.font = `11px ${fontFamily()}`;
    context.textBaseline = 'middle';
    for (const fault of this.trace.faults) {
      const left = this.toX(fault.from);
      const span = Math.max(1.5, this.toX(fault.to) - left);
      context.fillStyle = colours.fault;
      context.globalAlpha = 0.16;
      context.fillRect(left, 0, span, height - 14);
      context.globalAlpha = 0.6;
      hatch(context, '/', left, 0, span, height - 14, colours.fault);
      context.globalAlpha = 1;
    }
    this.drawRates(context, 4, height - 32);
    this.drawReigns(context, height - 29, 13);
    context.fillStyle = colours.bad;
    for (const event of this.trace.all('violation')) context.fillRect(this.toX(this.trace.time[event]) - 1, 0, 2.5, height);
    this.drawAxis(context, height);
    this.drawWindow(context, height);
  }

  drawRates(context, top, bottom) {
    const { done, failed, most } = this.rates;
    const step = (this.width - GUTTER) / done.length;
    for (const [counts, colour] of [[done, colours.done], [failed, colours.unknown]]) {
      context.fillStyle = colour;
      context.globalAlpha = 0.75;
      context.beginPath();
      counts.forEach((count, place) => {
        const height = count === 0 ? 0 : Math.max(1.5, Math.min(1, count / most) * (bottom - top));
        context.rect(GUTTER + place * step, bottom - height, Math.max(1, step - 0.6), height);
      });
      context.fill();
    }
    context.globalAlpha = 1;
    context.fillStyle = colours.soft;
    context.fillText('answers', 12, (top + bottom) / 2);
  }

  drawReigns(context, top, height) {
    for (const { node, epoch, from, to } of this.reigns) {
      const left = this.toX(from);
      const span = this.toX(to) - left;
      context.fillStyle = colours.leader;
      context.fillRect(left, top, Math.max(1, span - 1), height);
      const words = [`${this.trace.laneName(node)} leads · epoch ${epoch}`, this.trace.laneName(node)];
      const fit = words.find((text) => context.measureText(text).width < span - 8);
      context.fillStyle = colours['leader-ink'];
      if (fit) context.fillText(fit, left + 5, top + height / 2 + 0.5);
    }
    context.fillStyle = colours.soft;
    context.fillText('leader', 12, top + height / 2);
  }

  drawAxis(context, height) {
    context.fillStyle = colours.soft;
    context.textAlign = 'center';
    for (const { time, words } of marksOf(0, this.trace.duration, this.width - GUTTER).marks) {
      const x = this.toX(time);
      if (x > GUTTER + 12 && x < this.width - 20) context.fillText(words, x, height - 6);
    }
    context.textAlign = 'left';
  }

  window() {
    const left = this.toX(this.view.from);
    const right = this.toX(this.view.to);
    const missing = Math.max(0, WINDOW_MIN - (right - left)) / 2;
    return [left - missing, right + missing];
  }

  drawWindow(context, height) {
    if (this.view.whole) return;
    const [left, right] = this.window();
    context.fillStyle = colours.paper;
    context.globalAlpha = 0.6;
    context.fillRect(GUTTER, 0, left - GUTTER, height - 13);
    context.fillRect(right, 0, this.width - right, height - 13);
    context.globalAlpha = 1;
    context.strokeStyle = colours.accent;
    context.lineWidth = 1.5;
    context.strokeRect(left, 0.75, right - left, height - 14.5);
    context.fillStyle = colours.accent;
    for (const x of [left, right]) {
      context.beginPath();
      context.roundRect(x - 2.5, height / 2 - 15, 5, 16, 2.5);
      context.fill();
    }
  }

  /** Drags an edge, the window, or a new one where there is nothing. */
  press(event) {
    const { canvas, view } = this;
    const xOf = (event) => event.clientX - canvas.getBoundingClientRect().left;
    const start = xOf(event);
    const [left, right] = this.window();
    const { from, to } = view;
    const inside = !view.whole && start > left - HANDLE && start < right + HANDLE;
    const wide = right - left > 4 * HANDLE;
    const edge = !inside || !wide ? null : Math.abs(start - left) < HANDLE ? 'from' : Math.abs(start - right) < HANDLE ? 'to' : null;
    canvas.setPointerCapture(event.pointerId);
    view.stop();
    const move = (event) => {
      const time = this.toTime(xOf(event));
      const by = time - this.toTime(start);
      if (edge === 'from') view.show(Math.min(time, to - 1), to);
      else if (edge === 'to') view.show(from, Math.max(time, from + 1));
      else if (inside) view.show(from + by, to + by);
      else if (Math.abs(xOf(event) - start) > 3) view.show(Math.min(time, time - by), Math.max(time, time - by));
    };
    const up = (event) => {
      canvas.removeEventListener('pointermove', move);
      if (!inside && Math.abs(xOf(event) - start) <= 3 && !view.whole) view.centre(this.toTime(start));
    };
    canvas.addEventListener('pointermove', move);
    canvas.addEventListener('pointerup', up, { once: true });
  }
}

/** Who led, as the nodes themselves believed. */
function reignsOf(trace) {
  const reigns = [];
  for (const node of trace.nodes) {
    const changes = trace.of(node, 'role');
    changes.forEach((change, place) => {
      if (trace.nameOf(change) !== 'leader') return;
      const next = changes[place + 1];
      const to = next === undefined ? trace.duration : trace.time[next];
      reigns.push({ node, epoch: trace.number[change], from: trace.time[change], to });
    });
  }
  return reigns.sort((one, other) => one.from - other.from);
}

const BUCKETS = 240;

/** Answers by time, good ones and others. */
function ratesOf(trace) {
  const done = new Uint32Array(BUCKETS);
  const failed = new Uint32Array(BUCKETS);
  const good = trace.names.indexOf('done');
  for (const answer of trace.all('answer')) {
    const bucket = Math.min(BUCKETS - 1, Math.floor((trace.time[answer] / trace.duration) * BUCKETS));
    (trace.name[answer] === good ? done : failed)[bucket]++;
  }
  return { done, failed, most: usualMost([...done, ...failed]) };
}

/** Who led at a time, for the range's words. */
export function leaderAt(trace, event) {
  let newest = null;
  for (const node of trace.nodes) {
    const changes = trace.of(node, 'role');
    const at = firstBehind(changes, event) - 1;
    if (at < 0 || trace.nameOf(changes[at]) !== 'leader') continue;
    const epoch = trace.number[changes[at]];
    if (!newest || epoch > newest.epoch) newest = { node, epoch };
  }
  return newest;
}
