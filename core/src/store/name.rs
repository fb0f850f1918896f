//! The names that the store itself gives a meaning to.

use alloc::string::String;

/// Type of the events of a metadata stream. KurrentDB: `SystemEventTypes.StreamMetadata`.
pub const METADATA_TYPE: &str = "$metadata";
/// Type of a tombstone, the last event of a stream that is closed for ever. No client may write an
/// event of this type. KurrentDB: `SystemEventTypes.StreamDeleted`.
pub const TOMBSTONE_TYPE: &str = "$streamDeleted";
/// Type of a link to another event ([`crate::store::link`]). KurrentDB: `SystemEventTypes.LinkTo`.
pub const LINK_TYPE: &str = "$>";
/// The name under which readers ask for the events of all streams; no stream is called so.
pub const ALL: &str = "$all";
/// What the name of a metadata stream starts with.
pub const METADATA_PREFIX: &str = "$$";

/// Whether a stream or an event type is the system's rather than an application's.
#[must_use]
pub fn is_system(name: &str) -> bool {
    name.starts_with('$')
}

/// The stream whose metadata `stream` holds; `None` where it is no metadata stream.
#[must_use]
pub fn metadata_owner(stream: &str) -> Option<&str> {
    stream.strip_prefix(METADATA_PREFIX)
}

/// The stream that holds the metadata of `stream`.
#[must_use]
pub fn metadata_stream(stream: &str) -> String {
    let mut name = String::with_capacity(METADATA_PREFIX.len() + stream.len());
    name.push_str(METADATA_PREFIX);
    name.push_str(stream);
    name
}

/// Whether a stream can have this name: not empty, not `$all`, and no metadata of metadata.
#[must_use]
pub fn is_valid(stream: &str) -> bool {
    let owner = metadata_owner(stream).unwrap_or(stream);
    !owner.is_empty() && owner != ALL && metadata_owner(owner).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_streams_are_named_after_their_owner() {
        assert_eq!(metadata_stream("orders-1"), "$$orders-1");
        assert_eq!(metadata_owner("$$orders-1"), Some("orders-1"));
        assert_eq!(metadata_owner("$$$settings"), Some("$settings"));
        assert_eq!(metadata_owner("$settings"), None);
    }

    #[test]
    fn only_sensible_names_are_valid() {
        for name in ["a", "$", "$$a", "$$$", "$settings", "ünïcode", "with space", "$all-things"]
        {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "$$", "$$$$", "$$$$a", "$all", "$$$all"] {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn system_names_start_with_a_dollar() {
        assert!(is_system(METADATA_TYPE) && is_system(LINK_TYPE) && is_system(ALL));
        assert!(!is_system("order-placed") && !is_system(""));
    }
}
