// The space-time diagram: puts the drawing together, and listens to mouse and keys.
import { drawAxis } from './axis.js';
import { drawFaults, drawRoles, drawViolations, roleUnder } from './bands.js';
import { drawGutter, drawLanes, GUTTER, layOut } from './lanes.js';
import { drawCrosses, drawMessages, drawStoryMessages } from './messages.js';
import { drawMarks, drawPast, drawStoryMarks } from './marks.js';
import { pastOf } from './causes.js';
import { element } from './elements.js';
import { ribbonAt, tellRibbon } from './ribbons.js';
import { explain } from './why.js';

/** How near a click must be. */
const CLICK_REACH = 9;
const DRAG_MIN = 4;

export class Diagram {
  constructor(canvas, tip, trace, view, groups, options) {
    Object.assign(this, { canvas, tip, trace, view, groups, options });
    this.story = null;
    this.past = null;
    this.history = [];
    this.hits = { lines: [], ribbons: [], marks: [], areas: [] };
    this.chosen = () => {};
    this.relayout();
    this.listen();
  }

  relayout() {
    this.layout = layOut(this.trace, this.options.clients);
  }

  toX = (time) => GUTTER + ((time - this.view.from) / this.view.span) * (this.width - GUTTER);

  toTime = (x) => this.view.from + ((x - GUTTER) / (this.width - GUTTER)) * this.view.span;

  draw(context, width) {
    this.width = width;
    const { trace, view, layout, toX, toTime, story, past } = this;
    const scene = { trace, view, layout, toX, toTime, width, story, past };
    context.clearRect(0, 0, width, layout.height);
    drawLanes(context, layout, trace, width);
    const anchor = drawAxis(context, view, toX, width, layout);
    context.save();
    context.beginPath();
    context.rect(GUTTER - 1, 0, width - GUTTER + 1, layout.height);
    context.clip();
    const areas = drawFaults(context, scene);
    const { lines, ribbons, total } = drawMessages(context, scene, this.groups);
    drawRoles(context, scene);
    const marks = drawMarks(context, scene);
    const crosses = drawCrosses(context, scene, this.groups);
    if (story && past) drawPast(context, scene);
    const storyLines = story ? drawStoryMessages(context, scene) : [];
    if (story) drawStoryMarks(context, scene);
    areas.push(...drawViolations(context, scene));
    context.restore();
    drawGutter(context, layout, trace, story ? trace.lane[story.event] : -1);
    this.hits = { lines: [...storyLines, ...lines], ribbons, marks: [...crosses, ...marks], areas };
    return { total, drawn: lines.length, anchor };
  }

  /** The event under a point, or -1: marks before areas, areas before lines. */
  eventAt(x, y) {
    if (x < GUTTER) return -1;
    let best = -1;
    let nearest = CLICK_REACH;
    for (const hit of this.hits.marks) {
      const distance = hit.left === undefined
        ? Math.hypot(hit.x - x, hit.y - y)
        : x >= hit.left - 2 && x <= hit.right + 2 && y >= hit.top && y <= hit.bottom ? 1 : Infinity;
      if (distance < nearest) [best, nearest] = [hit.event, distance];
    }
    if (best >= 0) return best;
    const area = this.hits.areas.find((hit) => x >= hit.left && x <= hit.right && y >= hit.top && y <= hit.bottom);
    if (area) return area.event;
    nearest = CLICK_REACH - 3;
    for (const line of this.hits.lines) {
      const distance = distanceTo(line, x, y);
      if (distance >= nearest) continue;
      nearest = distance;
      const arrival = this.trace.arrival[line.send];
      const late = Math.hypot(x - line.endX, y - line.endY) < Math.hypot(x - line.startX, y - line.startY);
      best = late && arrival >= 0 ? arrival : line.send;
    }
    if (best >= 0) return best;
    for (const [lane, place] of this.layout.places) {
      if (place.node && Math.abs(place.y - y) <= 8) return roleUnder(this.trace, lane, this.toTime(x));
    }
    return -1;
  }

  /** Chooses an event and explains it; -1 lets go. */
  choose(event, remember = true) {
    if (this.story && remember) this.history.push(this.story.event);
    this.story = event < 0 ? null : explain(this.trace, event);
    this.past = event < 0 || this.trace.lane[event] >= this.trace.lanes.length ? null : pastOf(this.trace, event);
    if (event < 0) this.history = [];
    this.chosen(this.story);
    this.view.changed();
  }

  back() {
    const event = this.history.pop();
    if (event !== undefined) {
      this.choose(event, false);
      this.reveal(event);
    }
  }

  /** Moves the view where an event would not be in it. */
  reveal(event) {
    const time = this.trace.time[event];
    const { from, to, span } = this.view;
    if (time < from + span * 0.02 || time > to - span * 0.02) this.view.centre(time);
  }

  /** All steps of an explanation. Faults last longer than what they explain, so they don't count. */
  fit(story) {
    const times = story.sorted()
      .filter(({ event, mark }) => mark !== 'fault' || event === story.event)
      .map(({ event }) => this.trace.time[event]);
    const [from, to] = [Math.min(...times), Math.max(...times)];
    const margin = Math.max((to - from) * 0.12, 5000);
    this.view.glideTo(from - margin, to + margin);
  }

  /** Close enough to tell an event from its neighbours. */
  near(event) {
    this.view.centre(this.trace.time[event], Math.min(this.view.span, 4e6));
  }

  /** The next event in the lane of the chosen one. */
  step(by) {
    if (!this.story) return;
    const { trace } = this;
    const { event } = this.story;
    const list = trace.byLane[trace.lane[event]];
    const next = list?.[trace.rank[event] + by];
    if (next === undefined) return;
    this.choose(next);
    this.reveal(next);
  }

  listen() {
    const { canvas, view } = this;
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener('wheel', (event) => {
      const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      const lines = event.deltaMode === 1 ? 16 : 1;
      // At the whole run there is nothing to zoom out to: then the wheel is the page's.
      if (!sideways && event.deltaY > 0 && view.whole) return;
      event.preventDefault();
      if (sideways) view.move(((event.deltaX || event.deltaY) * lines) / (this.width - GUTTER));
      else view.zoom(2 ** Math.max(-1.5, Math.min(1.5, (event.deltaY * lines) / 180)), this.toTime(Math.max(GUTTER, at(event)[0])));
    }, { passive: false });
    canvas.addEventListener('pointerdown', (event) => this.press(event, at));
    canvas.addEventListener('pointermove', (event) => this.hover(...at(event)));
    canvas.addEventListener('pointerleave', () => (this.tip.hidden = true));
    canvas.addEventListener('dblclick', (event) => {
      const time = this.toTime(at(event)[0]);
      view.glideTo(time - view.span / 8, time + view.span / 8);
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
  }

  /** Drags the time along, or, without having moved, is a click. */
  press(event, at) {
    const { canvas, view } = this;
    const [startX, startY] = at(event);
    const { from, span } = view;
    let dragged = false;
    canvas.setPointerCapture(event.pointerId);
    view.stop();
    const move = (event) => {
      const by = at(event)[0] - startX;
      dragged ||= Math.abs(by) > DRAG_MIN;
      if (!dragged) return;
      canvas.classList.add('dragging');
      const start = from - (by / (this.width - GUTTER)) * span;
      view.show(start, start + span);
    };
    const end = (event) => {
      canvas.removeEventListener('pointermove', move);
      canvas.removeEventListener('pointerup', end);
      canvas.removeEventListener('pointercancel', end);
      canvas.classList.remove('dragging');
      if (!dragged && event.type === 'pointerup') this.choose(this.eventAt(startX, startY));
    };
    canvas.addEventListener('pointermove', move);
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
  }

  hover(x, y) {
    const dragging = this.canvas.classList.contains('dragging');
    const event = dragging ? -1 : this.eventAt(x, y);
    this.canvas.style.cursor = event < 0 ? '' : 'pointer';
    if (event >= 0) {
      const [time, ...line] = this.trace.timedLine(event).split('  ');
      this.tell(x, y, time, [line.join('  ')]);
      return;
    }
    const ribbon = dragging || x < GUTTER ? null : ribbonAt(this.hits.ribbons, x, y);
    this.tip.hidden = ribbon === null;
    if (ribbon === null) return;
    const { title, lines } = tellRibbon(this.trace, ribbon, this.toTime, x);
    this.tell(x, y, title, lines);
  }

  /** Shows a few lines beside the mouse. */
  tell(x, y, title, lines) {
    this.tip.replaceChildren(element('b', {}, title), ...lines.map((line) => element('div', {}, line)));
    this.tip.hidden = false;
    const left = Math.min(x + 14, this.width - this.tip.offsetWidth - 4);
    const below = y + 18 + this.tip.offsetHeight < this.layout.height;
    this.tip.style.left = `${Math.max(0, left)}px`;
    this.tip.style.top = `${below ? y + 18 : y - 12 - this.tip.offsetHeight}px`;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const span = view.span;
    const actions = {
      ArrowLeft: () => view.move(-0.2),
      ArrowRight: () => view.move(0.2),
      ArrowUp: () => view.zoom(0.6),
      ArrowDown: () => view.zoom(1 / 0.6),
      PageUp: () => view.move(-0.9),
      PageDown: () => view.move(0.9),
      '+': () => view.zoom(0.5),
      '=': () => view.zoom(0.5),
      '-': () => view.zoom(2),
      0: () => view.glideTo(0, view.duration),
      Home: () => view.glideTo(0, span),
      End: () => view.glideTo(view.duration - span, view.duration),
      ',': () => this.step(-1),
      '.': () => this.step(1),
      Backspace: () => this.back(),
      Escape: () => this.choose(-1),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/** From a point to a line that ends. */
function distanceTo({ startX, startY, endX, endY }, x, y) {
  const [alongX, alongY] = [endX - startX, endY - startY];
  const length = alongX * alongX + alongY * alongY;
  const part = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - startX) * alongX + (y - startY) * alongY) / length));
  return Math.hypot(x - startX - part * alongX, y - startY - part * alongY);
}
