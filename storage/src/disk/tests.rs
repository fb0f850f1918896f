//! What every disk does the same way: one suite, run against all three.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::fallback::FallbackDisk;
use super::probe::{supports_direct, uring_refusal};
use super::simulated::{Medium, Random};
use super::uring::UringDisk;
use super::*;
use crate::buffer::AlignedBuffer;
use crate::io::Io;
use crate::test_folder::TestFolder;

const SECTOR: usize = 4096;

/// Runs a test against each disk: it gets a function that opens the same files anew.
fn for_each_disk(name: &str, test: impl Fn(&dyn Fn() -> Io)) {
    let medium = Medium::new(1);
    test(&|| {
        medium.restart();
        Io::new(Box::new(medium.disk()))
    });
    let folder = TestFolder::new(name);
    let mut ways = vec![false];
    if supports_direct(folder.path()).unwrap() {
        ways.push(true);
    }
    for direct in ways {
        let folder = TestFolder::new(name);
        test(&|| Io::new(Box::new(FallbackDisk::open(folder.path(), direct).unwrap())));
        if uring_refusal().is_none() {
            let folder = TestFolder::new(name);
            test(&|| Io::new(Box::new(UringDisk::open(folder.path(), direct).unwrap())));
        }
    }
}

fn run(io: &Io, op: Op) -> Result<Done, DiskError> {
    io.block_on(io.run(op))
}

fn create(io: &Io, name: &str, sectors: usize) -> FileId {
    opened(run(io, Op::Create { name: name.into(), bytes: (sectors * SECTOR) as u64 })).0
}

fn open(io: &Io, name: &str, access: Access) -> (FileId, u64) {
    opened(run(io, Op::Open { name: name.into(), access }))
}

fn opened(result: Result<Done, DiskError>) -> (FileId, u64) {
    match result.unwrap() {
        Done::Opened { file, bytes } => (file, bytes),
        other => panic!("an open gave {other:?}"),
    }
}

fn filled(sectors: usize, byte: u8) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(sectors * SECTOR);
    buffer.fill(byte);
    buffer
}

fn write(file: FileId, sector: u64, buffer: AlignedBuffer, durability: Durability) -> Op {
    Op::Write { file, offset: sector * SECTOR as u64, buffer, durability }
}

fn read(io: &Io, file: FileId, sector: u64, sectors: usize) -> Result<Vec<u8>, DiskError> {
    let buffer = AlignedBuffer::zeroed(sectors * SECTOR);
    let offset = sector * SECTOR as u64;
    run(io, Op::Read { file, offset, buffer }).map(|done| match done {
        Done::Transferred(buffer) => buffer.to_vec(),
        other => panic!("a read gave {other:?}"),
    })
}

#[test]
fn what_is_written_is_read_again_by_the_next_process() {
    for_each_disk("written", |start| {
        let io = start();
        let file = create(&io, "log/a", 3);
        run(&io, write(file, 1, filled(1, 7), Durability::Durable)).unwrap();
        run(&io, write(file, 2, filled(1, 8), Durability::None)).unwrap();
        run(&io, Op::Sync { file }).unwrap();
        drop(io);
        let io = start();
        let expected = [vec![0; SECTOR], vec![7; SECTOR], vec![8; SECTOR]].concat();
        for access in [Access::Direct, Access::Cached] {
            let (file, bytes) = open(&io, "log/a", access);
            assert_eq!(bytes, 3 * SECTOR as u64);
            assert_eq!(read(&io, file, 0, 3).unwrap(), expected);
        }
    });
}

#[test]
fn a_cached_reader_sees_what_a_direct_writer_wrote_since_it_looked() {
    for_each_disk("coherent", |start| {
        let io = start();
        let writer = create(&io, "a", 1);
        let (reader, _) = open(&io, "a", Access::Cached);
        for byte in 0..3 {
            run(&io, write(writer, 0, filled(1, byte), Durability::Durable)).unwrap();
            assert_eq!(read(&io, reader, 0, 1).unwrap(), vec![byte; SECTOR]);
        }
    });
}

#[test]
fn creating_again_empties() {
    for_each_disk("again", |start| {
        let io = start();
        let file = create(&io, "a", 2);
        run(&io, write(file, 0, filled(2, 1), Durability::Durable)).unwrap();
        run(&io, Op::Close { file }).unwrap();
        let file = create(&io, "a", 1);
        assert_eq!(read(&io, file, 0, 1).unwrap(), vec![0; SECTOR]);
        assert_eq!(open(&io, "a", Access::Direct).1, SECTOR as u64);
        let empty = create(&io, "empty", 0);
        run(&io, Op::Sync { file: empty }).unwrap();
        assert_eq!(open(&io, "empty", Access::Cached).1, 0);
    });
}

#[test]
fn renaming_replaces_and_removing_removes() {
    for_each_disk("names", |start| {
        let io = start();
        for (name, byte) in [("index/a", 1), ("index/b", 2), ("top", 3)] {
            let file = create(&io, name, 1);
            run(&io, write(file, 0, filled(1, byte), Durability::Durable)).unwrap();
            run(&io, Op::Sync { file }).unwrap();
        }
        let list = |folder: &str| match run(&io, Op::List { folder: folder.into() }).unwrap() {
            Done::Listed(files) => files,
            other => panic!("a list gave {other:?}"),
        };
        let sector = SECTOR as u64;
        assert_eq!(list("index"), [("index/a".into(), sector), ("index/b".into(), sector)]);
        assert_eq!(list(""), [("top".into(), sector)]);
        assert_eq!(list("nowhere"), []);
        let (old, _) = open(&io, "index/a", Access::Direct);
        run(&io, Op::Rename { from: "index/a".into(), to: "index/b".into() }).unwrap();
        assert_eq!(list("index"), [("index/b".into(), sector)]);
        assert_eq!(read(&io, old, 0, 1).unwrap(), vec![1; SECTOR], "an open id stays valid");
        let (renamed, _) = open(&io, "index/b", Access::Direct);
        assert_eq!(read(&io, renamed, 0, 1).unwrap(), vec![1; SECTOR]);
        run(&io, Op::Remove { name: "index/b".into() }).unwrap();
        assert_eq!(list("index"), []);
        assert_eq!(read(&io, renamed, 0, 1).unwrap(), vec![1; SECTOR], "until it is closed");
    });
}

#[test]
fn what_is_missing_is_not_found() {
    for_each_disk("missing", |start| {
        let io = start();
        create(&io, "log/there", 0);
        let name = || FileName::from("log/a");
        let missing = [
            Op::Open { name: name(), access: Access::Direct },
            Op::Open { name: "nowhere/a".into(), access: Access::Cached },
            Op::Rename { from: name(), to: "log/b".into() },
            Op::Remove { name: name() },
        ];
        for op in missing {
            let what = format!("{op:?}");
            let error = run(&io, op).unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::NotFound, "{what}: {error}");
            assert!(error.message.contains("/a"), "{error}");
        }
    });
}

#[test]
fn a_read_past_the_end_fails() {
    for_each_disk("past", |start| {
        let io = start();
        let file = create(&io, "a", 2);
        for (sector, sectors) in [(1, 2), (2, 1), (9, 1)] {
            let error = read(&io, file, sector, sectors).unwrap_err();
            assert_eq!(error.kind, DiskErrorKind::Failed, "{error}");
        }
    });
}

#[test]
fn a_file_open_for_cached_reads_is_not_written_to() {
    for_each_disk("reader", |start| {
        let io = start();
        let writer = create(&io, "a", 1);
        let (reader, _) = open(&io, "a", Access::Cached);
        for _ in 0..600 {
            for durability in [Durability::None, Durability::Durable] {
                let error = run(&io, write(reader, 0, filled(1, 1), durability)).unwrap_err();
                assert_eq!(error.kind, DiskErrorKind::Failed, "{error}");
            }
        }
        run(&io, write(writer, 0, filled(1, 2), Durability::Durable)).unwrap();
        assert_eq!(read(&io, reader, 0, 1).unwrap(), vec![2; SECTOR]);
    });
}

#[test]
fn more_operations_than_the_disk_takes_at_once_all_complete() {
    for_each_disk("many", |start| {
        let io = start();
        let file = create(&io, "a", 1000);
        let durability = |sector| match sector % 8 {
            0 => Durability::Durable,
            _ => Durability::None,
        };
        let writes: Vec<_> = (0..1000)
            .map(|sector| io.run(write(file, sector, filled(1, sector as u8), durability(sector))))
            .collect();
        for write in writes {
            io.block_on(write).unwrap();
        }
        run(&io, Op::Sync { file }).unwrap();
        let contents = read(&io, file, 0, 1000).unwrap();
        for (sector, bytes) in contents.chunks_exact(SECTOR).enumerate() {
            assert!(bytes.iter().all(|byte| *byte == sector as u8), "sector {sector}");
        }
    });
}

#[test]
fn a_disk_dropped_with_operations_in_flight_leaves_whole_sectors() {
    for_each_disk("dropped", |start| {
        let io = start();
        let file = create(&io, "a", 64);
        run(&io, Op::Sync { file }).unwrap();
        for sector in 0..64 {
            drop(io.run(write(file, sector, filled(1, 9), Durability::Durable)));
            let buffer = filled(1, 0);
            drop(io.run(Op::Read { file, offset: 0, buffer }));
        }
        io.with_disk(|disk| disk.flush());
        drop(io);
        let io = start();
        let (file, _) = open(&io, "a", Access::Direct);
        for sector in read(&io, file, 0, 64).unwrap().chunks_exact(SECTOR) {
            assert!(sector.iter().all(|byte| *byte == sector[0]));
        }
    });
}

#[test]
fn a_closed_file_lets_what_is_in_flight_end() {
    for_each_disk("closed", |start| {
        let io = start();
        let file = create(&io, "a", 1);
        let written = io.run(write(file, 0, filled(1, 5), Durability::Durable));
        let closed = io.run(Op::Close { file });
        io.block_on(closed).unwrap();
        io.block_on(written).unwrap();
        let (file, _) = open(&io, "a", Access::Direct);
        assert_eq!(read(&io, file, 0, 1).unwrap(), vec![5; SECTOR]);
    });
}

#[test]
fn waiting_for_nothing_returns() {
    for_each_disk("nothing", |start| {
        start().with_disk(|disk| {
            disk.wait();
            let mut completions = Vec::new();
            disk.reap(&mut completions);
            assert!(completions.is_empty());
        });
    });
}

/// Waits as the node's event loop does: edge-triggered, cleared before the disk is looked at.
#[test]
fn readiness_wakes_an_event_loop() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    for_each_disk("ready", |start| {
        let io = start();
        let file = create(&io, "a", 8);
        let descriptor = io.with_disk(|disk| {
            disk.readiness().map(|descriptor| descriptor.try_clone_to_owned().unwrap())
        });
        let Some(descriptor) = descriptor else {
            return assert_eq!(io.with_disk(|disk| disk.kind()), DiskKind::Simulated);
        };
        runtime.block_on(async {
            #[allow(
                deprecated,
                reason = "what replaces it is unsafe; an owned descriptor is sound"
            )]
            let readiness = AsyncFd::with_interest(descriptor, Interest::READABLE).unwrap();
            for round in 0..20_u8 {
                let writes: Vec<_> = (0..8)
                    .map(|sector| {
                        io.run(write(file, sector, filled(1, round), Durability::Durable))
                    })
                    .collect();
                io.turn();
                for mut write in writes {
                    poll_fn(|context| {
                        while let Poll::Ready(guard) = readiness.poll_read_ready(context) {
                            guard.unwrap().clear_ready();
                            io.turn();
                        }
                        Pin::new(&mut write).poll(context)
                    })
                    .await
                    .unwrap();
                }
            }
        });
    });
}

/// A random history gives the same results on every disk, to the last byte.
#[test]
fn random_histories_are_the_same_everywhere() {
    for seed in 0..20 {
        let histories = RefCell::new(Vec::new());
        for_each_disk("history", |start| histories.borrow_mut().push(history(seed, start)));
        let histories = histories.into_inner();
        for history in &histories[1..] {
            assert_eq!(history, &histories[0], "seed {seed}: the simulated disk is the first");
        }
    }
}

/// What each of many random operations gave, as text.
fn history(seed: u64, start: &dyn Fn() -> Io) -> Vec<String> {
    let mut random = Random::stream(seed, "history");
    let mut io = start();
    let mut open_files: Vec<(FileId, u64)> = Vec::new();
    let mut history = Vec::new();
    for step in 0..60 {
        let name = FileName::from(["a", "b", "f/a", "f/b"][random.below(4) as usize]);
        let other = FileName::from(if name.starts_with("f/") { "f/c" } else { "c" });
        let access = if random.coin() { Access::Direct } else { Access::Cached };
        let chosen = random.below(open_files.len().max(1) as u64) as usize;
        let chosen = open_files.get(chosen).copied();
        let op = match (random.below(9), chosen) {
            (0, _) => {
                // A file that is emptied under somebody who has it open is not part of the seam.
                open_files.clear();
                Op::Create { name, bytes: random.below(4) * SECTOR as u64 }
            }
            (1, _) => Op::Open { name, access },
            (2, _) => Op::Rename { from: name, to: other },
            (3, _) => Op::Remove { name },
            (4, _) => Op::List { folder: if random.coin() { "" } else { "f" }.into() },
            (5, _) => {
                open_files.clear();
                drop(io);
                io = start();
                continue;
            }
            (6, Some((file, bytes))) if bytes > 0 => {
                let sector = random.below(bytes / SECTOR as u64);
                let coin = random.coin();
                let durability = if coin { Durability::Durable } else { Durability::None };
                write(file, sector, filled(1, step), durability)
            }
            (7, Some((file, _))) => {
                let buffer = AlignedBuffer::zeroed(SECTOR * (1 + random.below(3) as usize));
                Op::Read { file, offset: random.below(4) * SECTOR as u64, buffer }
            }
            (_, Some((file, _))) => Op::Sync { file },
            (_, None) => continue,
        };
        let is_direct = !matches!(op, Op::Open { access: Access::Cached, .. });
        let what = format!("{op:?}");
        let result = match run(&io, op) {
            Ok(Done::Opened { file, bytes }) => {
                if is_direct {
                    open_files.push((file, bytes));
                }
                format!("opened with {bytes} bytes")
            }
            Ok(Done::Transferred(buffer)) => {
                let sectors = buffer.chunks(SECTOR).map(|sector| sector[0]);
                format!("{:?}", sectors.collect::<Vec<_>>())
            }
            Ok(Done::Listed(files)) => format!("{files:?}"),
            Ok(Done::Nothing) => "done".into(),
            Err(error) => format!("{:?}", error.kind),
        };
        history.push(format!("{what}: {result}"));
    }
    history
}
