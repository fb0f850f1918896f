//! Seeds that once broke a promise. They are run for ever, before all others.

/// Each with what went wrong.
pub const REMEMBERED: [(u64, &str); 1] = [(
    1_795_461_536_811_660_367,
    "a delete with an exact revision, sent again after its id was forgotten, was done twice",
)];
