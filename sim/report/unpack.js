// What the report carries: columns of numbers, deflated, as text. `sim/src/report/columns.rs` packs.

const NONE = -1;

/** Bytes of a text in base 64. */
function decodeBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Reads the numbers of one column, one after the other. */
function cursor(bytes) {
  let at = 0;
  const next = () => {
    let byte = bytes[at++];
    if (byte < 0x80) return byte;
    // Not with shifts: they end at 32 bits, and times go beyond.
    let value = byte & 0x7f;
    let scale = 128;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte >= 0x80);
    return value;
  };
  const signed = () => {
    const value = next();
    return value % 2 ? -(value + 1) / 2 : value / 2;
  };
  return { next, signed };
}

function columnsOf(header, bytes) {
  const columns = {};
  let start = 0;
  for (const { name, bytes: length } of header.columns) {
    columns[name] = cursor(bytes.subarray(start, start + length));
    start += length;
  }
  return columns;
}

/** Empty arrays for all that an event has; a million of them stay below a hundred megabytes. */
function emptyEvents(count) {
  return {
    count,
    time: new Float64Array(count),
    kind: new Uint8Array(count),
    lane: new Uint8Array(count),
    number: new Float64Array(count),
    back: new Int32Array(count).fill(NONE),
    name: new Uint16Array(count),
    to: new Uint8Array(count),
    call: new Int32Array(count).fill(NONE),
    pattern: new Int32Array(count).fill(NONE),
    slotStart: new Uint32Array(count + 1),
    slots: new Float64Array(Math.max(16, count * 2)),
  };
}

function readEvents(header, columns) {
  const events = emptyEvents(header.count);
  const kinds = header.kinds;
  const has = (names) => kinds.map((kind) => names.includes(kind));
  const numbered = has(['send', 'role', 'durable', 'commit', 'truncate', 'call', 'answer', 'fault', 'heal']);
  const named = has(['send', 'fault', 'drop', 'role', 'call', 'answer']);
  const goesBack = has(['recv', 'drop', 'answer', 'heal']);
  const send = kinds.indexOf('send');
  const slotCounts = header.patterns.map((pattern) => pattern.split('\u0001').length - 1);
  const lastSlots = slotCounts.map((count) => new Float64Array(count));
  const lastNumbers = new Map();
  let time = 0;
  let slot = 0;
  for (let at = 0; at < header.count; at++) {
    time += columns.time.next();
    const kind = columns.kind.next();
    const lane = columns.lane.next();
    events.time[at] = time;
    events.kind[at] = kind;
    events.lane[at] = lane === 0 ? 255 : lane - 1;
    if (numbered[kind]) {
      const key = kind * 256 + lane;
      const number = (lastNumbers.get(key) ?? 0) + columns.number.signed();
      lastNumbers.set(key, number);
      events.number[at] = number;
    }
    if (goesBack[kind]) {
      const back = columns.back.next();
      if (back > 0) events.back[at] = at - back;
    }
    if (kind === send) {
      events.to[at] = columns.to.next() - 1;
      const back = columns.call.next();
      if (back > 0) events.call[at] = at - back;
    }
    if (named[kind]) events.name[at] = columns.name.next();
    const pattern = columns.text.next() - 1;
    events.slotStart[at] = slot;
    if (pattern >= 0) {
      events.pattern[at] = pattern;
      const last = lastSlots[pattern];
      if (slot + last.length > events.slots.length) events.slots = grown(events.slots);
      for (let place = 0; place < last.length; place++) {
        last[place] += columns.text.signed();
        events.slots[slot++] = last[place];
      }
    }
  }
  events.slotStart[header.count] = slot;
  return events;
}

function grown(numbers) {
  const larger = new Float64Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}

/** The run that this page is about: its header, its summary, its events. */
export async function unpackRun() {
  const text = (id) => document.getElementById(id).textContent;
  const header = JSON.parse(text('run-header'));
  const summary = JSON.parse(text('run-summary'));
  const bytes = await inflate(decodeBase64(text('run-events').trim()));
  // What is unpacked need not be kept twice.
  document.getElementById('run-events').textContent = '';
  return { header, summary, events: readEvents(header, columnsOf(header, bytes)) };
}
