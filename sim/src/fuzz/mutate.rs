//! Ways to spoil good bytes: those of a bad disk, a cut connection, and a malicious peer.

use quorate_storage::disk::simulated::Random;

/// Bytes never grow beyond this: a decoder's own limits are far below.
const BYTES_MAX: usize = 1 << 16;
/// Numbers at which lengths and counts break.
const EDGES: [u64; 14] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xff,
    0xfff,
    0x1000,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];

/// Changes `bytes` in one way; `other` is another good example to take parts from.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if bytes.is_empty() {
        bytes.extend(random.bytes(16));
        return;
    }
    let at = index(bytes, random);
    match random.below(10) {
        0 | 1 => bytes[at] ^= 1 << random.below(8),
        2 => bytes[at] = random.number() as u8,
        3 | 4 => overwrite_number(bytes, at, random),
        5 => bytes.truncate(at),
        6 => {
            let count = 1 + random.index(64);
            bytes.extend(random.bytes(count));
        }
        7 => drop(bytes.drain(at..(at + 1 + random.index(64)).min(bytes.len()))),
        8 => repeat(bytes, at, random),
        _ => splice(bytes, at, other, random),
    }
    bytes.truncate(BYTES_MAX);
}

/// Headers are short and matter most, so half of all places are near the start.
fn index(bytes: &[u8], random: &mut Random) -> usize {
    let count = if random.one_in(2) { bytes.len().min(256) } else { bytes.len() };
    random.index(count)
}

/// Writes an edge, or a number near what is there, over 2, 4 or 8 bytes.
fn overwrite_number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = *random.pick(&[2, 4, 8]);
    let at = at - at % width;
    let Some(field) = bytes.get_mut(at..at + width) else { return };
    let mut number = [0; 8];
    number[..width].copy_from_slice(field);
    let number = u64::from_le_bytes(number);
    let changed = match random.below(4) {
        0 => number.wrapping_add(1 + random.below(16)),
        1 => number.wrapping_sub(1 + random.below(16)),
        _ => *random.pick(&EDGES),
    };
    field.copy_from_slice(&changed.to_le_bytes()[..width]);
}

fn repeat(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let part = bytes[at..(at + 1 + random.index(256)).min(bytes.len())].to_vec();
    let to = random.index(bytes.len());
    bytes.splice(to..to, part);
}

fn splice(bytes: &mut [u8], at: usize, other: &[u8], random: &mut Random) {
    if other.is_empty() {
        return;
    }
    let from = random.index(other.len());
    let count = (1 + random.index(256)).min(bytes.len() - at).min(other.len() - from);
    bytes[at..at + count].copy_from_slice(&other[from..from + count]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_can_be_mutated() {
        let mut random = Random::stream(5, "mutate");
        for count in 0..40 {
            for _ in 0..200 {
                let mut bytes = random.bytes(count);
                let other = random.bytes(count / 2);
                mutate(&mut bytes, &other, &mut random);
                assert!(bytes.len() <= BYTES_MAX);
            }
        }
    }
}
