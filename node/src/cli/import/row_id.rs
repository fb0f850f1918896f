//! The event id of a row, which is the same whenever the row is imported again.

use quorate_core::id::EventId;
use uuid::Uuid;

/// Drawn once at random. Changing it would make every earlier import look new.
const NAMESPACE: Uuid = Uuid::from_u128(0xf806_d457_6695_447a_bd64_7c23_a925_3327);

/// A version 5 UUID over the row's number in its file, its stream, its type and its data.
///
/// The number tells equal rows apart; the rest makes a changed row a new event.
pub(super) fn row_id(row: u64, stream: &str, event_type: &str, data: &[u8]) -> EventId {
    let mut name = Vec::with_capacity(32 + stream.len() + event_type.len() + data.len());
    name.extend_from_slice(&row.to_le_bytes());
    for part in [stream.as_bytes(), event_type.as_bytes(), data] {
        name.extend_from_slice(&(part.len() as u64).to_le_bytes());
        name.extend_from_slice(part);
    }
    EventId::from_bytes(Uuid::new_v5(&NAMESPACE, &name).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_row_has_the_same_id_in_every_version() {
        assert_eq!(
            row_id(1, "aircraft-N14228", "departed", b"{\"delay\":2}").to_string(),
            "08adbee8-2ff3-54b0-bae7-1f5f4cf0e035"
        );
    }

    #[test]
    fn any_difference_makes_another_id() {
        let ids = [
            row_id(1, "a", "b", b"c"),
            row_id(2, "a", "b", b"c"),
            row_id(1, "ab", "", b"c"),
            row_id(1, "a", "bc", b""),
            row_id(1, "a", "b", b"d"),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id), "{index}");
        }
    }
}
