// Axes of charts: linear and logarithmic, with their lines and words.
import { shape } from './elements.js';

const LEFT = 58;
const RIGHT = 14;
const TOP = 10;
const BOTTOM = 36;

/** A scale from values to pixels. */
export function scale(from, to, start, end, logarithmic = false) {
  const by = logarithmic ? Math.log10 : (value) => value;
  const [low, high] = [by(from), by(to)];
  return (value) => start + ((by(value) - low) / (high - low || 1)) * (end - start);
}

/** Whole powers of ten from one value to another, and where there are few, 2 and 5 as well. */
export function powersBetween(from, to) {
  const marks = [];
  const few = Math.log10(to / from) <= 2;
  for (let power = Math.floor(Math.log10(from)); power <= Math.ceil(Math.log10(to)); power++) {
    for (const times of few ? [1, 2, 5] : [1]) {
      const value = times * 10 ** power;
      if (value >= from * 0.999 && value <= to * 1.001) marks.push(value);
    }
  }
  return marks;
}

/** An empty chart with its axes: `x` and `y` have `scale`-like bounds, marks and words. */
export function frame(width, height, { x, y, label }) {
  const toX = scale(x.from, x.to, LEFT, width - RIGHT, x.logarithmic);
  const toY = scale(y.from, y.to, height - BOTTOM, TOP, y.logarithmic);
  const svg = shape('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': label });
  for (const value of y.marks) {
    const at = Math.round(toY(value)) + 0.5;
    svg.append(shape('line', { class: 'grid', x1: LEFT, x2: width - RIGHT, y1: at, y2: at }));
    svg.append(words(LEFT - 8, at + 4, y.words(value), 'end'));
  }
  for (const value of x.marks) {
    const at = Math.round(toX(value)) + 0.5;
    svg.append(shape('line', { class: 'grid', x1: at, x2: at, y1: TOP, y2: height - BOTTOM + 4 }));
    svg.append(words(at, height - BOTTOM + 18, x.words(value), 'middle'));
  }
  if (x.title) svg.append(words((LEFT + width - RIGHT) / 2, height - 2, x.title, 'middle'));
  return { svg, toX, toY, left: LEFT, right: width - RIGHT, top: TOP, bottom: height - BOTTOM };
}

function words(x, y, text, anchor) {
  return shape('text', { x, y, 'text-anchor': anchor }, text);
}

/** A path through points; a point without a value is a gap. */
export function pathOf(points) {
  let path = '';
  let pen = 'M';
  for (const [x, y] of points) {
    if (y === null || Number.isNaN(y)) {
      pen = 'M';
      continue;
    }
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = 'L';
  }
  return path;
}

/** The same with steps: each value holds until the next. */
export function stepsOf(points) {
  return pathOf(points.flatMap(([x, y], place) => {
    const next = points[place + 1];
    return next ? [[x, y], [next[0], y]] : [[x, y]];
  }));
}
