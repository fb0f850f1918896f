// The panel beside the picture: what the chosen event is, why it happened, and the steps that led to it.
import { element } from './elements.js';
import { count, moment, plural, span } from './words.js';
import { leaderAt } from './minimap.js';
import { placeOf } from './trace.js';

/** Links to answers that one commit gave; more are a number. */
const LINKS_MAX = 6;

export class Panel {
  /** `choose(event, near)` chooses another event; `fit(story)` shows all of one. */
  constructor(root, trace, actions) {
    Object.assign(this, { root, trace, actions });
  }

  /** Nothing is chosen: what is in view. */
  showView(view, messages) {
    const { trace } = this;
    if (this.story) return;
    const events = (kind) => placeOf(trace.time, trace.all(kind), view.to) - placeOf(trace.time, trace.all(kind), view.from);
    const middle = view.to;
    const everything = { length: trace.count };
    const last = placeOfTime(trace, everything.length, middle) - 1;
    const leader = last >= 0 ? leaderAt(trace, last) : null;
    const rows = [
      ['From', moment(view.from, view.span / 100)],
      ['To', moment(view.to, view.span / 100)],
      ['Leader at the end', leader ? `${trace.laneName(leader.node)}, epoch ${leader.epoch}` : 'none'],
      ['Messages', count(messages)],
      ['Did not arrive', count(events('drop'))],
      ['Commits noticed', count(events('commit'))],
      ['Calls', count(events('call'))],
      ['Answers', count(events('answer'))],
      ['Changes of role', count(events('role'))],
    ];
    this.root.replaceChildren(
      element('h3', {}, 'In view'),
      element('dl', {}, rows.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)])),
      element('p', { class: 'quiet' }, 'Click a message, a mark, a call, a band: this panel then tells why it happened, '
        + 'and what could not have had a part in it pales.'),
    );
  }

  clear() {
    this.story = null;
  }

  showStory(story) {
    this.story = story;
    const { trace, actions } = this;
    const event = story.event;
    const steps = story.sorted();
    this.root.replaceChildren(
      element('div', {},
        element('p', { class: 'when' }, `${moment(trace.time[event], 1)} · event ${count(event)}`),
        element('h3', {}, capital(story.title))),
      story.sentence ? element('p', { class: 'sentence' }, story.sentence) : '',
      element('div', { class: 'tools' },
        element('button', { type: 'button', onclick: () => actions.fit(story) }, 'Show all'),
        element('button', { type: 'button', onclick: () => actions.near(event) }, 'Zoom in'),
        element('button', { type: 'button', onclick: () => actions.back(), 'aria-label': 'Back to the event chosen before' }, '← Back'),
        element('button', { type: 'button', onclick: () => actions.letGo() }, 'Close')),
      story.acks.length ? this.acks(story) : '',
      story.stages.length ? this.stages(story) : '',
      steps.length > 1 ? element('h3', {}, plural(steps.length, 'step')) : '',
      steps.length > 1 ? this.steps(story, steps) : '',
      story.answers?.length ? this.answers(story.answers) : '',
    );
    this.root.scrollTop = 0;
  }

  /** Who had the entry on disk, and when the leader knew. */
  acks(story) {
    const { trace, actions } = this;
    const row = (ack) => {
      const name = trace.laneName(ack.voter);
      const sign = ack.counted ? '✓' : ack.heard >= 0 ? '○' : '–';
      const how = ack.own ? 'its own disk' : ack.heard >= 0 ? 'ack' : 'no ack in this trace';
      const when = ack.heard < 0 ? '' : ack.decisive ? 'made the quorum' : ack.counted ? `${span(-ack.delay)} earlier` : `${span(Math.max(0, ack.delay))} later, not needed`;
      const label = ack.heard < 0
        ? element('span', {}, `${name}: ${how}`)
        : element('button', { type: 'button', class: 'link', onclick: () => actions.choose(ack.heard) }, `${name}: ${how}`);
      return element('li', { class: ack.counted ? 'counted' : null, 'data-voter': name, 'data-counted': String(Boolean(ack.counted)) },
        element('span', { class: 'sign', 'aria-hidden': 'true' }, sign), label, element('small', {}, when));
    };
    return element('ul', { class: 'acks', 'aria-label': 'Disks that have the entry' }, story.acks.map(row));
  }

  stages({ stages }) {
    const from = stages[0].from;
    const whole = Math.max(1, stages[stages.length - 1].to - from);
    const rows = stages.map((stage) => {
      const left = ((stage.from - from) / whole) * 100;
      const wide = ((stage.to - stage.from) / whole) * 100;
      return element('div', {}, element('span', {}, stage.name), element('span', {}, span(stage.to - stage.from)),
        element('i', {}, element('b', { style: `left:${left.toFixed(2)}%;width:${wide.toFixed(2)}%` })));
    });
    return element('div', { class: 'stages', role: 'group', 'aria-label': 'Where the time went' }, rows);
  }

  steps(story, steps) {
    const { trace, actions } = this;
    // Faults last; what they explain is told from its own beginning.
    const first = (steps.find(({ mark }) => mark !== 'fault') ?? steps[0]).event;
    const start = trace.time[first];
    const row = ({ event, say, mark }) => {
      const words = capital(trace.line(event));
      return element('li', { class: mark || null, 'data-event': String(event) },
        element('button', { type: 'button', onclick: () => actions.choose(event) },
          element('small', {}, event <= first ? moment(trace.time[event], 1) : `+${span(trace.time[event] - start)}`),
          event === story.event ? element('em', {}, words) : words,
          say ? element('small', {}, `→ ${say}`) : ''));
    };
    return element('ol', { class: 'steps' }, steps.map(row));
  }

  answers(answers) {
    const { trace, actions } = this;
    const links = answers.slice(0, LINKS_MAX).map((answer) =>
      element('button', { type: 'button', class: 'link', onclick: () => actions.choose(answer) }, trace.callWords(answer)));
    const more = answers.length > LINKS_MAX ? ` and ${answers.length - LINKS_MAX} more` : '';
    return element('p', { class: 'quiet' }, `It answers `, links.flatMap((link, place) => (place ? [', ', link] : [link])), more);
  }
}

function placeOfTime(trace, count, time) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (trace.time[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function capital(text) {
  // A lane's name is a name: n1 does not become N1.
  return /^(a|the|fault|message)\b/.test(text) ? text[0].toUpperCase() + text.slice(1) : text;
}
