//! Replayed one by one in the log's order, each append found its stream as it expected it (25).

use crate::history::{Evidence, Wish};
use crate::model::Model;

pub(super) fn check(evidence: &Evidence<'_>) -> Result<(), String> {
    // The second lags one event behind: what begins a deleted stream anew puts a metadata event of
    // the store in front, and was decided before that.
    let (mut model, mut lagging) = (Model::default(), Model::default());
    for (place, event) in evidence.log.iter().enumerate() {
        if let Some(owner) = evidence.owner[place]
            && evidence.found[owner].first() == Some(&place)
        {
            let attempt = &evidence.attempts[owner];
            let is_revival = place > 0 && evidence.owner[place - 1].is_none();
            let before = if is_revival { &lagging } else { &model };
            let stream = before.stream(&attempt.stream);
            let deletes_again = matches!(attempt.wish, Wish::Delete(_)) && stream.tombstoned;
            if !stream.holds(attempt.expected) || deletes_again {
                return Err(format!(
                    "{} was written at {} expecting {}, and the stream was {stream:?}",
                    attempt.stream, event.position, attempt.expected
                ));
            }
        }
        model.apply(event);
        if place > 0 {
            lagging.apply(&evidence.log[place - 1]);
        }
    }
    Ok(())
}
