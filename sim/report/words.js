// Times, counts and texts, as people read them.

const UNITS = [
  ['s', 1e9],
  ['ms', 1e6],
  ['µs', 1e3],
  ['ns', 1],
];

/** A span of time in the unit that suits it, with three digits that matter. */
export function span(nanoseconds) {
  if (nanoseconds === null || nanoseconds === undefined || Number.isNaN(nanoseconds)) return '–';
  if (nanoseconds === 0) return '0';
  const size = Math.abs(nanoseconds);
  const [unit, scale] = UNITS.find(([, scale]) => size >= scale) ?? UNITS[3];
  const value = nanoseconds / scale;
  const digits = unit === 'ns' ? 0 : Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  // 1.2 s rather than 1.20 s, but 100 ms stays 100 ms.
  const figure = digits ? value.toFixed(digits).replace(/\.?0+$/, '') : value.toFixed(0);
  return `${figure} ${unit}`;
}

/** A moment of the run, exact to what `step` needs: 35.002 113 s. */
export function moment(nanoseconds, step = 1e3) {
  const digits = Math.min(9, Math.max(0, Math.ceil(9 - Math.log10(Math.max(1, step)))));
  const [whole, part] = (nanoseconds / 1e9).toFixed(digits).split('.');
  if (!part) return `${whole} s`;
  // A narrow space between thousandths and millionths.
  return `${whole}.${part.replace(/(\d{3})(?=\d)/g, '$1\u202f')} s`;
}

/** 1234567 as 1 234 567. */
export function count(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f');
}

/** `1 call`, `2 calls`. */
export function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? '' : 's'}`;
}

/** `n1, n2 and n3`. */
export function list(words) {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words[words.length - 1]}`;
}
