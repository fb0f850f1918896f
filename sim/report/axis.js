// The axis of time: round steps, and digits enough to tell one from the next, from minutes to nanoseconds.
import { colours } from './palette.js';
import { fontFamily, GUTTER } from './lanes.js';
import { moment, span } from './words.js';

/** The round step that leaves at least so many pixels between two marks. */
export function roundStep(range, pixels, pixelsMin = 92) {
  const least = (range * pixelsMin) / pixels;
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= least);
}

/**
 * Marks of the axis, each with its words. Below a millisecond what does not change is said once, at
 * the left, and each mark says how far it is from there.
 */
export function marksOf(from, to, pixels) {
  const step = roundStep(to - from, pixels);
  const first = Math.ceil(from / step);
  const last = Math.floor(to / step);
  const marks = [];
  const fine = step < 1e6;
  const anchorStep = fine ? 10 ** Math.ceil(Math.log10((to - from) * 2)) : 0;
  const anchor = fine ? Math.floor(from / anchorStep) * anchorStep : 0;
  for (let place = first; place <= last; place++) {
    const time = place * step;
    marks.push({ time, words: fine ? `+${offset(time - anchor, step)}` : moment(time, step) });
  }
  return { step, marks, anchor: fine ? moment(anchor, anchorStep) : null };
}

/** An offset with the digits that its step needs. */
function offset(nanoseconds, step) {
  if (nanoseconds === 0) return '0';
  const [unit, scale] = nanoseconds >= 1e6 || step >= 1e5 ? ['ms', 1e6] : ['µs', 1e3];
  const digits = Math.max(0, Math.ceil(Math.log10(scale / step) - 1e-9));
  return `${(nanoseconds / scale).toFixed(digits)} ${unit}`;
}

export function drawAxis(context, view, toX, width, layout) {
  const { marks, anchor, step } = marksOf(view.from, view.to, width - GUTTER);
  context.font = `11.5px ${fontFamily()}`;
  context.textBaseline = 'middle';
  context.textAlign = 'center';
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.beginPath();
  for (const { time } of marks) {
    const x = Math.round(toX(time)) + 0.5;
    context.moveTo(x, layout.axis - 5);
    context.lineTo(x, layout.height);
  }
  context.stroke();
  context.fillStyle = colours.soft;
  for (const { time, words } of marks) {
    const x = toX(time);
    if (x > GUTTER + 20 && x < width - 24) context.fillText(words, x, layout.axis / 2);
  }
  context.textAlign = 'left';
  if (anchor) {
    context.fillStyle = colours.ink;
    context.fillText(anchor, 4, layout.axis / 2);
  }
  return span(step);
}
