//! Files of a data folder on a simulated disk, one of them mutated.

use quorate_storage::buffer::{ALIGNMENT, AlignedBuffer};
use quorate_storage::disk::simulated::Medium;
use quorate_storage::disk::{Done, Durability, Op};
use quorate_storage::io::Io;

/// Names and contents.
pub(super) type Files = Vec<(String, Vec<u8>)>;

/// All files of a medium.
pub(super) fn files(medium: &Medium) -> Files {
    medium.names().iter().map(|name| (name.to_string(), medium.contents(name))).collect()
}

/// A disk with these files, but for `name`, which has these bytes (filled up to whole sectors).
pub(super) fn disk_with(files: &Files, name: &str, bytes: &[u8]) -> Io {
    let io = Io::new(Box::new(Medium::new(0).disk()));
    for (known, contents) in files {
        write(&io, known, if known == name { bytes } else { contents });
    }
    io
}

fn write(io: &Io, name: &str, bytes: &[u8]) {
    let mut buffer = AlignedBuffer::zeroed(bytes.len().next_multiple_of(ALIGNMENT));
    buffer[..bytes.len()].copy_from_slice(bytes);
    let create = Op::Create { name: name.into(), bytes: buffer.len() as u64 };
    let file = match io.block_on(io.run(create)) {
        Ok(Done::Opened { file, .. }) => file,
        other => unreachable!("this disk has no faults: {other:?}"),
    };
    if !buffer.is_empty() {
        let write = Op::Write { file, offset: 0, buffer, durability: Durability::Durable };
        io.block_on(io.run(write)).expect("this disk has no faults");
    }
    io.block_on(io.run(Op::Close { file })).expect("this disk has no faults");
}
