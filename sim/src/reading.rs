//! What a reader sees of an engine whose disk does not make it wait.

use quorate_core::id::{Position, Revision};
use quorate_core::item;
use quorate_core::limits::Limits;
use quorate_core::store::filter::Filter;
use quorate_core::time::Created;
use quorate_node::engine::Engine;
use quorate_storage::io::Io;
use quorate_storage::read::{
    AllQuery, Batch, Direction, From, Progress, ReadError, StoreReader, StreamQuery,
};

use crate::history::{Logged, Violation};
use crate::model::Model;

/// Where it is read from.
#[derive(Clone)]
pub(crate) struct Source {
    reader: StoreReader,
    io: Io,
    end: Position,
}

impl Source {
    /// What an engine shows to readers now.
    pub(crate) fn of(engine: &Engine) -> Self {
        let (reader, io) = (engine.reader().clone(), engine.io().clone());
        Self { reader, io, end: engine.committed().1 }
    }

    /// Takes note of how far an engine is, as long as it is the same one.
    pub(crate) fn keep_up(known: &mut Option<Self>, engine: &Engine) {
        match known {
            Some(source) => source.end = engine.committed().1,
            None => *known = Some(Self::of(engine)),
        }
    }
}

/// All of `$all`.
pub(crate) fn log(source: &Source, now: Created) -> Result<Vec<Logged>, Violation> {
    let end = source.end;
    let mut cursor = source.reader.all(AllQuery {
        from: From::Start,
        direction: Direction::Forwards,
        count: None,
        filter: Filter::All.compile(&Limits::TINY).expect("it has no bound to break"),
        resolve_links: false,
    });
    let mut log = Vec::new();
    loop {
        let batch = source.io.block_on(cursor.next(end, now)).map_err(unreadable)?;
        log.extend(events(&batch)?);
        if batch.progress != Progress::More {
            return Ok(log);
        }
    }
}

/// What a reader of a stream sees; `None` where it is not found or deleted for ever.
pub(crate) fn stream(
    source: &Source,
    now: Created,
    name: &str,
) -> Result<Option<Vec<Logged>>, Violation> {
    let end = source.end;
    let mut cursor = source.reader.stream(StreamQuery {
        stream: name.to_owned(),
        from: From::Start,
        direction: Direction::Forwards,
        count: None,
        resolve_links: false,
    });
    let mut found = Vec::new();
    loop {
        match source.io.block_on(cursor.next(end, now)) {
            Ok(batch) => {
                found.extend(events(&batch)?);
                if batch.progress != Progress::More {
                    return Ok(Some(found));
                }
            }
            Err(ReadError::NotFound | ReadError::StreamDeleted) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
    }
}

/// All that a node shows: the log, and its streams.
type Shown = (Vec<Logged>, Vec<Option<Vec<Logged>>>);

/// All nodes of a group show the same, byte for byte, and it is what the log and its metadata say.
/// Gives the log.
///
/// - `sources`: with each its node's number, and whether its disk may hold what has rotted
/// - `streams`: those to look at one by one
/// - `unreadable`: is told of nodes that can't be compared, and why
pub(crate) fn compare_nodes(
    sources: &[(usize, Source, bool)],
    streams: &[String],
    now: Created,
    mut unreadable: impl FnMut(usize, &Violation),
) -> Result<Vec<Logged>, Violation> {
    let metadata_streams = streams.iter().map(|stream| format!("$${stream}"));
    let names: Vec<String> = streams.iter().cloned().chain(metadata_streams).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut first: Option<Shown> = None;
    for (node, source, is_tainted) in sources {
        let show = || -> Result<Shown, Violation> {
            let streams = names.iter().map(|name| stream(source, now, name));
            Ok((log(source, now)?, streams.collect::<Result<_, _>>()?))
        };
        let (log, streams) = match show() {
            Ok(shown) => shown,
            // What has rotted is refused by name, and not shown as something else.
            Err(violation) if *is_tainted => {
                unreadable(*node, &violation);
                continue;
            }
            Err(violation) => return Err(violation),
        };
        match &first {
            None => {
                compare_streams(&names, &streams, &log)?;
                first = Some((log, streams));
            }
            Some(first) if *first == (log, streams) => {}
            Some(_) => {
                let story = format!("node {node} shows other events than others do");
                return Err(Violation { invariant: "nodes are equal", story });
            }
        }
    }
    let Some((log, _)) = first else {
        let story = "no node can read its log".to_owned();
        return Err(Violation { invariant: "reads", story });
    };
    Ok(log)
}

/// Each stream shows just those events of the log that its metadata leaves in sight.
///
/// - `streams`: what was found of each
pub(crate) fn compare_streams(
    names: &[&str],
    streams: &[Option<Vec<Logged>>],
    log: &[Logged],
) -> Result<(), Violation> {
    let mut model = Model::default();
    log.iter().for_each(|event| model.apply(event));
    for (name, found) in names.iter().zip(streams) {
        let visible = model.visible(name, log);
        if *found != visible {
            let revisions = |events: &Option<Vec<Logged>>| {
                let events = events.as_ref()?;
                Some(events.iter().map(|event| event.revision).collect::<Vec<Revision>>())
            };
            let (found, visible) = (revisions(found), revisions(&visible));
            let story = format!("{name} shows {found:?} instead of {visible:?}");
            return Err(Violation { invariant: "stream reads", story });
        }
    }
    Ok(())
}

/// What was written can't be read.
pub(crate) fn unreadable(error: ReadError) -> Violation {
    let story = format!("what an honest disk has kept can't be read: {error}");
    Violation { invariant: "reads", story }
}

/// The events of a batch, their checksums verified.
pub(crate) fn events(batch: &Batch) -> Result<Vec<Logged>, Violation> {
    let wrong = |story: String| Violation { invariant: "reads", story };
    let mut events = Vec::new();
    for item in item::items(&batch.items) {
        let item = item.map_err(|error| wrong(format!("a batch is malformed: {error}")))?;
        let frame = item.frame;
        let verified = frame.verify_content().and_then(|()| frame.verify_header());
        verified.map_err(|error| wrong(format!("position {}: {error}", item.position)))?;
        events.push(Logged {
            position: item.position,
            stream: frame.stream().to_owned(),
            revision: frame.revision(),
            id: frame.id(),
            event_type: frame.event_type().to_owned(),
            data: frame.data().to_vec(),
            content: frame.content().to_vec(),
        });
    }
    Ok(events)
}
