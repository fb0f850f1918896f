//! Writes a run: streams in the order of their keys go in, a checked, durable file comes out.

use quorate_core::id::{Position, Revision};

use super::{BLOOM_KEYS_PER_BLOCK, Extent, Layout, Owner, Run, RunInfo, bloom_bits, encode_header};
use crate::buffer::AlignedBuffer;
use crate::disk::{Access, DiskErrorKind, Done, Durability, FileId, FileName, Op};
use crate::index::block::{self, BLOCK_BYTES, PAYLOAD_BYTES};
use crate::index::fault::IndexError;
use crate::index::key::StreamKey;
use crate::io::Io;

/// What is written at once. Between two writes the caller's turn goes on, so this also bounds the
/// time that is spent without a pause.
const CHUNK_BLOCKS: usize = 8;

/// A run that is being written; until a manifest names it, a crash makes it an orphan.
pub(in crate::index) struct RunWriter {
    output: Output,
    owner: Owner,
    info: RunInfo,
    layout: Layout,
    directory: Section,
    positions: Section,
    bloom: Section,
    fences: Vec<u64>,
    last: Option<StreamKey>,
    streams: u64,
    /// Events of the streams so far.
    announced: u64,
    /// Positions so far.
    events: u64,
}

impl RunWriter {
    /// Makes the file.
    ///
    /// - `info`: `streams` and `events` are exactly what will be written
    pub(in crate::index) async fn create(
        io: &Io,
        owner: &Owner,
        info: RunInfo,
    ) -> Result<Self, IndexError> {
        assert!(info.is_plausible(), "a run is not empty");
        let layout = Layout::of(&info);
        let output = Output::create(io, &info, layout.blocks).await?;
        Ok(Self {
            output,
            owner: *owner,
            info,
            layout,
            directory: Section::new(Layout::DIRECTORY),
            positions: Section::new(layout.positions),
            bloom: Section::new(layout.bloom),
            fences: Vec::new(),
            last: None,
            streams: 0,
            announced: 0,
            events: 0,
        })
    }

    /// Adds a stream behind all others; its positions follow by [`RunWriter::positions`].
    pub(in crate::index) async fn stream(
        &mut self,
        key: StreamKey,
        first: Revision,
        count: u64,
    ) -> Result<(), IndexError> {
        assert!(self.last < Some(key), "streams are written in the order of their keys");
        assert!(self.events == self.announced, "each stream's positions follow on it");
        if self.streams.is_multiple_of(super::ENTRIES_PER_BLOCK) {
            self.fences.push(key.high());
        }
        let extent = Extent { key, first, count, offset: self.announced };
        self.directory.put(&self.output, &extent.encode()).await?;
        self.bloom.skip_to(&self.output, self.layout.bloom_block(key)).await?;
        for (byte, bit) in bloom_bits(key) {
            self.bloom.block()[byte] |= bit;
        }
        self.last = Some(key);
        self.streams += 1;
        self.announced += count;
        Ok(())
    }

    /// Adds positions of the stream that was added last.
    pub(in crate::index) async fn positions(
        &mut self,
        positions: &[Position],
    ) -> Result<(), IndexError> {
        for position in positions {
            self.positions.put(&self.output, &position.get().to_le_bytes()).await?;
        }
        self.events += positions.len() as u64;
        Ok(())
    }

    /// Makes the file durable and opens it for reads; where `filled` failed, or this does, leaves
    /// no file.
    pub(in crate::index) async fn finish(
        self,
        filled: Result<(), IndexError>,
    ) -> Result<Run, IndexError> {
        let (output, info, layout) = (self.output.clone(), self.info, self.layout);
        let sealed = match filled {
            Ok(()) => self.seal().await,
            Err(error) => Err(error),
        };
        match sealed {
            Ok(fences) => {
                let file = output.publish().await?;
                Ok(Run { io: output.io, file, info, layout, fences })
            }
            Err(error) => {
                output.discard().await?;
                Err(error)
            }
        }
    }

    /// Writes what is left, and returns the fences.
    async fn seal(mut self) -> Result<Vec<u64>, IndexError> {
        assert!(self.streams == self.info.streams, "as many streams as the header says");
        assert!(self.events == self.info.events, "as many events as the header says");
        assert!(self.streams <= BLOOM_KEYS_PER_BLOCK * (self.layout.fences - self.layout.bloom));
        let output = &self.output;
        let mut fences = Section::new(self.layout.fences);
        for fence in &self.fences {
            fences.put(output, &fence.to_le_bytes()).await?;
        }
        self.bloom.skip_to(output, self.layout.fences - 1).await?;
        self.directory.finish(output, self.layout.positions).await?;
        self.positions.finish(output, self.layout.bloom).await?;
        self.bloom.finish(output, self.layout.fences).await?;
        fences.finish(output, self.layout.blocks).await?;
        let mut header = AlignedBuffer::zeroed(BLOCK_BYTES);
        header.copy_from_slice(&encode_header(&self.owner, &self.info));
        output.write(0, header).await?;
        output.io.run(Op::Sync { file: output.file }).await?;
        Ok(self.fences)
    }
}

/// The file that is written.
#[derive(Clone)]
struct Output {
    io: Io,
    file: FileId,
    name: FileName,
    number: u64,
}

impl Output {
    async fn create(io: &Io, info: &RunInfo, blocks: u64) -> Result<Self, IndexError> {
        let name = info.name();
        let bytes = blocks * BLOCK_BYTES as u64;
        match io.run(Op::Create { name: name.clone(), bytes }).await {
            Ok(Done::Opened { file, .. }) => {
                Ok(Self { io: io.clone(), file, name, number: info.number })
            }
            Ok(done) => unreachable!("a create gave {done:?}"),
            Err(error) => {
                // A full disk may have kept the name, and some of the space.
                remove_if_there(io, name).await?;
                Err(error.into())
            }
        }
    }

    async fn write(&self, block: u64, buffer: AlignedBuffer) -> Result<AlignedBuffer, IndexError> {
        let offset = block * BLOCK_BYTES as u64;
        let op = Op::Write { file: self.file, offset, buffer, durability: Durability::None };
        match self.io.run(op).await? {
            Done::Transferred(buffer) => Ok(buffer),
            done => unreachable!("a write gave {done:?}"),
        }
    }

    /// Opens it for reads, once it is durable.
    async fn publish(&self) -> Result<FileId, IndexError> {
        self.io.run(Op::Close { file: self.file }).await?;
        match self.io.run(Op::Open { name: self.name.clone(), access: Access::Cached }).await? {
            Done::Opened { file, .. } => Ok(file),
            done => unreachable!("an open gave {done:?}"),
        }
    }

    async fn discard(self) -> Result<(), IndexError> {
        self.io.run(Op::Close { file: self.file }).await?;
        remove_if_there(&self.io, self.name).await
    }
}

/// Removes a file that may not exist.
pub(in crate::index) async fn remove_if_there(io: &Io, name: FileName) -> Result<(), IndexError> {
    match io.run(Op::Remove { name }).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Blocks that are filled one after the other, and written a chunk at a time.
struct Section {
    /// Which block of the file the chunk starts with.
    first: u64,
    /// `None` while it is being written.
    chunk: Option<AlignedBuffer>,
    /// Which block of the chunk is being filled.
    index: usize,
    /// Bytes of that block that are taken.
    filled: usize,
}

impl Section {
    fn new(first: u64) -> Self {
        let chunk = AlignedBuffer::zeroed(CHUNK_BLOCKS * BLOCK_BYTES);
        Self { first, chunk: Some(chunk), index: 0, filled: 0 }
    }

    /// The block that is being filled.
    fn block(&mut self) -> &mut [u8] {
        let chunk = self.chunk.as_mut().expect("a section whose write failed is dropped");
        &mut chunk[self.index * BLOCK_BYTES..][..BLOCK_BYTES]
    }

    fn place(&self) -> u64 {
        self.first + self.index as u64
    }

    async fn put(&mut self, output: &Output, item: &[u8]) -> Result<(), IndexError> {
        if self.filled + item.len() > PAYLOAD_BYTES {
            self.advance(output).await?;
        }
        let filled = self.filled;
        self.block()[filled..][..item.len()].copy_from_slice(item);
        self.filled += item.len();
        Ok(())
    }

    /// Goes on to a later block, or stays.
    async fn skip_to(&mut self, output: &Output, place: u64) -> Result<(), IndexError> {
        while self.place() < place {
            self.advance(output).await?;
        }
        Ok(())
    }

    async fn advance(&mut self, output: &Output) -> Result<(), IndexError> {
        let place = self.place();
        block::seal(self.block(), output.number, place);
        self.index += 1;
        self.filled = 0;
        if self.index == CHUNK_BLOCKS {
            let chunk = self.chunk.take().expect("a section whose write failed is dropped");
            let mut chunk = output.write(self.first, chunk).await?;
            chunk.fill(0);
            self.chunk = Some(chunk);
            self.first += CHUNK_BLOCKS as u64;
            self.index = 0;
        }
        Ok(())
    }

    /// - `end`: the block behind the section
    async fn finish(mut self, output: &Output, end: u64) -> Result<(), IndexError> {
        self.advance(output).await?;
        assert!(self.place() == end, "a section is as long as the layout says");
        if self.index > 0 {
            let mut rest = AlignedBuffer::zeroed(self.index * BLOCK_BYTES);
            let chunk = self.chunk.take().expect("a section whose write failed is dropped");
            rest.copy_from_slice(&chunk[..self.index * BLOCK_BYTES]);
            output.write(self.first, rest).await?;
        }
        Ok(())
    }
}
