//! Where rows come from: a file or stdin, unpacked by its first bytes, and read with a bound.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes of rows, unpacked.
pub(super) type Source = Box<dyn BufRead + Send>;

/// Opens a file, or stdin for `-`.
///
/// # Errors
///
/// What the system says.
pub(super) fn open(path: &Path) -> io::Result<Source> {
    if is_stdin(path) {
        return unpacked(BufReader::with_capacity(BUFFER_BYTES, io::stdin()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    unpacked(BufReader::with_capacity(BUFFER_BYTES, file))
}

/// Whether the same bytes can be read a second time.
pub(super) fn is_repeatable(path: &Path) -> bool {
    !is_stdin(path) && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Unpacks what starts as gzip does, whatever it is called.
pub(super) fn unpacked(mut packed: impl BufRead + Send + 'static) -> io::Result<Source> {
    let mut start = Vec::new();
    packed.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let is_gzip = start == GZIP_MAGIC;
    let packed = Cursor::new(start).chain(packed);
    if is_gzip {
        let unpacked = MultiGzDecoder::new(packed);
        Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked)))
    } else {
        Ok(Box::new(packed))
    }
}

/// A source that gives up when a single row goes on for ever, as one with a stray quote does.
pub(super) struct BoundedRows {
    source: Source,
    bytes_since_row: u64,
    row_bytes_max: u64,
}

impl BoundedRows {
    /// - `row_bytes_max`: the longest row, give or take a read-ahead buffer
    pub(super) fn new(source: Source, row_bytes_max: u64) -> Self {
        Self { source, bytes_since_row: 0, row_bytes_max }
    }

    /// A row was complete: the count starts again.
    pub(super) fn row_done(&mut self) {
        self.bytes_since_row = 0;
    }
}

impl Read for BoundedRows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes_since_row > self.row_bytes_max {
            let message = format!(
                "no end of this row within {} bytes; is a closing quote missing?",
                self.row_bytes_max
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let count = self.source.read(buffer)?;
        self.bytes_since_row += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn check(packed: Vec<u8>, expected: &str) {
        let mut text = String::new();
        unpacked(Cursor::new(packed)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes() {
        check(b"a,b\n1,2\n".to_vec(), "a,b\n1,2\n");
        check(gzip("a,b\n1,2\n"), "a,b\n1,2\n");
        check([gzip("a,b\n"), gzip("1,2\n")].concat(), "a,b\n1,2\n");
        check(b"a".to_vec(), "a");
        check(Vec::new(), "");
    }

    #[test]
    fn gzip_that_is_cut_off_is_an_error() {
        let mut packed = gzip("a,b\n1,2\n");
        packed.truncate(packed.len() - 4);
        let mut text = String::new();
        let result = unpacked(Cursor::new(packed)).unwrap().read_to_string(&mut text);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_endless_row_is_given_up() {
        let mut rows = BoundedRows::new(Box::new(BufReader::new(io::repeat(b'x'))), 1000);
        let mut buffer = [0; 600];
        assert_eq!(rows.read(&mut buffer).unwrap(), 600);
        assert_eq!(rows.read(&mut buffer).unwrap(), 600);
        assert_eq!(rows.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
        rows.row_done();
        assert_eq!(rows.read(&mut buffer).unwrap(), 600);
    }
}
