//! Seeds that once broke a promise. They are run for ever, before all others.
//!
//! A seed is another run once the world draws its numbers otherwise, so what one has found in the store
//! needs a test beside the code as well.

/// Each with what went wrong.
pub const REMEMBERED: [(u64, &str); 8] = [
    (
        1_795_461_536_811_660_367,
        "a delete with an exact revision, sent again after its id was forgotten, was done twice",
    ),
    (4245, "a leader that was deposed without knowing it refused by a state that was long gone"),
    (10_757, "an append that expects no stream was written again after the stream was deleted"),
    (
        38_166,
        "a start carried out a truncation on the word of a stamp that was not durable, lost power, \
         and then missed what it had removed",
    ),
    (
        113_640,
        "a link that had flapped in the chaos went on when its node was to be deaf for good, and made \
         a deaf node hear: it was the world that was wrong",
    ),
    (
        210_776,
        "a node spoke in an epoch that a failed write of its superblock had left to be read, and a power \
         loss took the epoch away",
    ),
    (200_168, "a node that stops did not tell that it removes entries: the observer was wrong"),
    (
        601_506,
        "a leader whose own vote took long to be durable led in an epoch when a later one had already \
         committed, which it may: the observer was wrong",
    ),
];
