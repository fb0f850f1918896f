// The causal past of an event: all that can have had a part in it, and nothing else.

/**
 * How far each lane's past reaches: the last event of each lane that happened before `event`.
 *
 * An event happened before another if it comes earlier in the same lane, or is the sending of a
 * message that the other is the arrival of, or there is a chain of such steps. Each event is looked
 * at once, so a million cost some milliseconds.
 */
export function frontierOf(trace, event) {
  const known = new Int32Array(trace.lanes.length).fill(-1);
  const looked = new Int32Array(trace.lanes.length).fill(-1);
  const lane = trace.lane[event];
  if (!trace.byLane[lane]) return known;
  known[lane] = trace.rank[event];
  const open = [lane];
  while (open.length > 0) {
    const at = open.pop();
    const list = trace.byLane[at];
    for (let rank = known[at]; rank > looked[at]; rank--) {
      const arrival = list[rank];
      if (trace.kind[arrival] !== trace.code.recv) continue;
      const send = trace.back[arrival];
      if (send < 0) continue;
      const from = trace.lane[send];
      if (trace.rank[send] > known[from]) {
        known[from] = trace.rank[send];
        if (!open.includes(from)) open.push(from);
      }
    }
    looked[at] = known[at];
  }
  return known;
}

/** Times up to which each lane is part of the past; null where nothing of it is. */
export function pastOf(trace, event) {
  return Array.from(frontierOf(trace, event), (rank, lane) =>
    rank < 0 ? null : trace.time[trace.byLane[lane][rank]],
  );
}
