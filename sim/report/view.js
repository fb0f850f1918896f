// Which part of the run is in view, and how that changes.

/** Nothing of interest is shorter. */
const SPAN_MIN = 2000;
const GLIDE_MILLISECONDS = 260;

export class View {
  constructor(duration, changed) {
    this.duration = duration;
    this.changed = changed;
    this.from = 0;
    this.to = duration;
    this.glide = null;
  }

  get span() {
    return this.to - this.from;
  }

  get whole() {
    return this.span >= this.duration * 0.999;
  }

  /** Shows a part; at once, and within the run. */
  show(from, to) {
    const span = Math.min(Math.max(to - from, SPAN_MIN), this.duration);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, 0), this.duration - span);
    this.to = this.from + span;
    this.changed();
  }

  /** Keeps the moment under the cursor where it is. */
  zoom(factor, time = (this.from + this.to) / 2) {
    this.stop();
    const span = Math.min(Math.max(this.span * factor, SPAN_MIN), this.duration);
    const part = (time - this.from) / this.span;
    const from = Math.min(Math.max(time - span * part, 0), this.duration - span);
    this.show(from, from + span);
  }

  /** Moves by a part of what is in view. */
  move(part) {
    this.stop();
    const by = this.span * part;
    const from = Math.min(Math.max(this.from + by, 0), this.duration - this.span);
    this.show(from, from + this.span);
  }

  /** Goes to a part so that one sees where it lies. */
  glideTo(from, to) {
    this.stop();
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return this.show(from, to);
    const begin = performance.now();
    const start = { middle: (this.from + this.to) / 2, span: this.span };
    const goal = { middle: (from + to) / 2, span: Math.max(to - from, SPAN_MIN) };
    const step = (now) => {
      const part = Math.min(1, Math.max(0, (now - begin) / GLIDE_MILLISECONDS));
      const eased = part * part * (3 - 2 * part);
      // Zoom is felt in factors, so the span goes by its logarithm; the middle goes with it.
      const span = start.span * (goal.span / start.span) ** eased;
      const moved = goal.span === start.span ? eased : (span - start.span) / (goal.span - start.span);
      const middle = start.middle + (goal.middle - start.middle) * moved;
      this.show(middle - span / 2, middle + span / 2);
      this.glide = part < 1 ? requestAnimationFrame(step) : null;
    };
    this.glide = requestAnimationFrame(step);
    return undefined;
  }

  /** Goes to where `time` is in the middle, no closer than it is now unless asked to. */
  centre(time, span = this.span) {
    this.glideTo(time - span / 2, time + span / 2);
  }

  stop() {
    if (this.glide !== null) cancelAnimationFrame(this.glide);
    this.glide = null;
  }
}
