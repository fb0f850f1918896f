//! The log as the core knows it: entries, and where they end.

pub mod entry;
pub mod epoch_record;
pub(crate) mod tail;
