//! A file's bytes, and what kind of file they are: text to read, a NumPy array, Parquet, or something named with its
//! remedy.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::FileError;
use crate::number::excerpt;

/// The most bytes that a compressed file may hold: 1 GiB.
pub const UNPACKED_LIMIT: u64 = 1 << 30;

/// A file's bytes and its name for messages.
#[derive(Clone, Debug)]
pub struct Source {
    file: String,
    bytes: Vec<u8>,
}

/// What a file holds, unpacked.
#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    Npy(Vec<u8>),
    Parquet(Vec<u8>),
}

impl Source {
    /// Reads a file; `-` is standard input.
    ///
    /// # Errors
    /// What the system says; a folder.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut bytes = Vec::new();
        if path.as_os_str() == "-" {
            let file = "standard input".to_owned();
            return match std::io::stdin().lock().read_to_end(&mut bytes) {
                Ok(_) => Ok(Self { file, bytes }),
                Err(source) => Err(FileError::Io { file, source }),
            };
        }
        let file = path.display().to_string();
        if path.is_dir() {
            return Err(kind(&file, "is a folder", "give a file"));
        }
        match File::open(path).and_then(|mut opened| opened.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Self { file, bytes }),
            Err(source) => Err(FileError::Io { file, source }),
        }
    }

    /// Bytes that came from elsewhere, under a name for messages.
    pub fn from_bytes(file: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { file: file.into(), bytes: bytes.into() }
    }

    /// The file's name for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The bytes, as they are.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text of a UTF-8 file, packed with gzip or not, without its byte-order mark.
    ///
    /// # Errors
    /// Another kind of file, another encoding, damage.
    pub fn text(self) -> Result<String, FileError> {
        let file = self.file.clone();
        match self.content()? {
            Content::Text(text) => Ok(text),
            Content::Npy(_) => Err(kind(&file, "is a NumPy array", "a text file is needed here")),
            Content::Parquet(_) => Err(kind(&file, "is a Parquet file", "a text file is needed here")),
        }
    }

    /// The text of a UTF-8 file that is no table, without its byte-order mark.
    ///
    /// # Errors
    /// Another encoding.
    pub fn plain_text(self) -> Result<String, FileError> {
        let utf16 = [b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| self.bytes.starts_with(*mark));
        if utf16 {
            return Err(kind(&self.file, "is text in UTF-16", "save it as UTF-8"));
        }
        text(&self.file, self.bytes)
    }

    pub(crate) fn content(self) -> Result<Content, FileError> {
        let Self { file, mut bytes } = self;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            bytes = unpack(&file, &bytes, UNPACKED_LIMIT)?;
        }
        if bytes.starts_with(b"\x93NUMPY") {
            return Ok(Content::Npy(bytes));
        }
        if bytes.starts_with(b"PAR1") {
            return Ok(Content::Parquet(bytes));
        }
        if let Some((what, remedy)) = foreign(&bytes) {
            return Err(kind(&file, what, remedy));
        }
        text(&file, bytes).map(Content::Text)
    }
}

pub(crate) fn kind(file: &str, what: impl Into<String>, remedy: impl Into<String>) -> FileError {
    FileError::Kind { file: file.to_owned(), what: what.into(), remedy: remedy.into() }
}

fn unpack(file: &str, packed: &[u8], limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    match MultiGzDecoder::new(packed).take(limit + 1).read_to_end(&mut bytes) {
        Ok(n) if n as u64 > limit => Err(FileError::TooLarge { file: file.to_owned(), limit }),
        Ok(_) => Ok(bytes),
        Err(error) => Err(FileError::Damaged { file: file.to_owned(), what: format!("gzip says {error}") }),
    }
}

/// What a file is that no reader here takes, by its first bytes, and what to do with it.
fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const CSV: &str = "save it as CSV (UTF-8) and give that";
    const UNPACK: &str = "unpack it first, or pack it with gzip";
    const UTF8: &str = "save it as UTF-8 (in a spreadsheet: CSV UTF-8)";
    let within = |text: &[u8]| bytes[..bytes.len().min(1 << 16)].windows(text.len()).any(|window| window == text);
    let begins: &[(&[u8], &str, &str)] = &[
        (b"\xff\xfe\0\0", "is text in UTF-32", UTF8),
        (b"\xff\xfe", "is text in UTF-16", UTF8),
        (b"\xfe\xff", "is text in UTF-16", UTF8),
        (b"\x28\xb5\x2f\xfd", "is compressed with Zstandard", UNPACK),
        (b"\xfd7zXZ\0", "is compressed with xz", UNPACK),
        (b"BZh", "is compressed with bzip2", UNPACK),
        (b"7z\xbc\xaf", "is a 7-Zip archive", UNPACK),
        (b"\xd0\xcf\x11\xe0", "is a workbook of an old spreadsheet (.xls)", CSV),
        (b"\x89HDF", "is an HDF5 file", "write its table as CSV, or as .npy with numpy.save"),
        (b"MATLAB 5.0", "is a MATLAB file", "write its table with writematrix"),
        (b"ARROW1", "is an Arrow (Feather) file", "write it as Parquet or CSV"),
        (b"SQLite format 3", "is a SQLite database", CSV),
        (b"%PDF", "is a PDF", CSV),
        (b"\x80\x02", PICKLE, NPY),
        (b"\x80\x03", PICKLE, NPY),
        (b"\x80\x04", PICKLE, NPY),
        (b"\x80\x05", PICKLE, NPY),
        (b"\x1f\x9d", "is compressed with compress", UNPACK),
    ];
    const PICKLE: &str = "is a Python pickle, which can run code";
    const NPY: &str = "write the array with numpy.save";
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Some(if within(b".npy") {
            ("is an archive of NumPy arrays (.npz)", "write the one array that is meant with numpy.save")
        } else if within(b"xl/") || within(b"[Content_Types].xml") {
            ("is a workbook of a spreadsheet (.xlsx)", CSV)
        } else if within(b"opendocument.spreadsheet") {
            ("is a workbook of a spreadsheet (.ods)", CSV)
        } else {
            ("is a ZIP archive", UNPACK)
        });
    }
    if let Some((_, what, remedy)) = begins.iter().find(|(start, _, _)| bytes.starts_with(start)) {
        return Some((what, remedy));
    }
    let start = &bytes[..bytes.len().min(1 << 12)];
    let nul = |odd: usize| start.iter().skip(odd).step_by(2).filter(|&&b| b == 0).count();
    let (even, odd, half) = (nul(0), nul(1), start.len() / 2);
    if half > 1 && even + odd > half / 2 && (even == 0 || odd == 0) {
        return Some(("is text in UTF-16", UTF8));
    }
    let text = String::from_utf8_lossy(start);
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with("version https://git-lfs") {
        return Some(("is a pointer of Git LFS, not the file itself", "fetch it with `git lfs pull`"));
    }
    if trimmed.to_ascii_lowercase().starts_with("<!doctype html") || trimmed.to_ascii_lowercase().starts_with("<html") {
        return Some(("is a web page", "download the file that it shows"));
    }
    if trimmed.starts_with('{') || trimmed.starts_with("[[") || trimmed.starts_with("[{") {
        return Some(("is JSON", CSV));
    }
    start.contains(&0).then_some(("is a binary file of no known kind", CSV))
}

fn text(file: &str, mut bytes: Vec<u8>) -> Result<String, FileError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    match String::from_utf8(bytes) {
        // Python's csv module doubles the carriage return on Windows where newline='' is forgotten.
        Ok(text) if text.contains("\r\r\n") => Ok(text.replace("\r\r\n", "\n")),
        Ok(text) => Ok(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.as_bytes();
            let line = 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count() as u64;
            let is_end = |b: &u8| matches!(b, b'\n' | b'\r' | b',' | b';' | b'\t');
            let from = bytes[..at].iter().rposition(is_end).map_or(0, |before| before + 1).max(at.saturating_sub(30));
            let to = bytes[at..].iter().position(is_end).map_or(bytes.len(), |behind| at + behind).min(at + 30);
            let shown: String = bytes[from..to].iter().map(|&b| latin1(b)).collect();
            Err(FileError::Encoding {
                file: file.to_owned(),
                line,
                encoding: "Latin-1 or Windows-1252",
                shown: excerpt(&shown),
                remedy: "save it as UTF-8 (in a spreadsheet: CSV UTF-8; or iconv -f WINDOWS-1252 -t UTF-8)",
            })
        }
    }
}

/// A letter of Latin-1, for a message.
fn latin1(byte: u8) -> char {
    char::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refusal(bytes: &[u8]) -> String {
        Source::from_bytes("t.csv", bytes).content().unwrap_err().to_string()
    }

    #[test]
    fn files_of_other_kinds_are_named_with_the_remedy() {
        let mut utf16 = vec![0xff, 0xfe];
        utf16.extend("a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes));
        let no_mark: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, words) in [
            (utf16.as_slice(), ["UTF-16", "save it as UTF-8"]),
            (no_mark.as_slice(), ["UTF-16", "save it as UTF-8"]),
            (b"PK\x03\x04\x14\0\0\0a.npy", [".npz", "numpy.save"]),
            (b"PK\x03\x04\x14\0\0\0[Content_Types].xml", [".xlsx", "save it as CSV"]),
            (b"\xd0\xcf\x11\xe0\0\0", [".xls", "save it as CSV"]),
            (b"\x89HDF\r\n", ["HDF5", "CSV"]),
            (b"a,b,T [\xb0C]\n1,2,3\n", ["Latin-1", "`T [\u{b0}C]`"]),
            (b"a,b\n1,2\nStr\xf6mung,3\n", ["line 3", "Windows-1252"]),
            (b"\x80\x04\x95", ["pickle", "numpy.save"]),
            (b"{\"a\": 1}", ["JSON", "CSV"]),
            (b"a\0b,1\n", ["binary", "CSV"]),
        ] {
            let text = refusal(bytes);
            assert!(text.starts_with("t.csv") && words.iter().all(|word| text.contains(word)), "{text}");
        }
        let toml = |bytes: &[u8]| Source::from_bytes("p.toml", bytes).plain_text().map_err(|error| error.to_string());
        assert_eq!(toml(b"\xef\xbb\xbf[[inputs]]\n").unwrap(), "[[inputs]]\n");
        assert!(toml(b"\xff\xfea\0").unwrap_err().contains("UTF-16"));
        assert!(toml(b"a = 1\nb = \"\xb5\"\n").unwrap_err().contains("p.toml, line 2"));
        let folder = tempfile::tempdir().unwrap();
        assert!(Source::open(folder.path()).unwrap_err().to_string().contains("is a folder"));
        assert!(matches!(Source::open(&folder.path().join("none")), Err(FileError::Io { .. })));
    }

    #[test]
    fn gzip_is_unpacked_up_to_a_limit() {
        let packed = gzip(b"\xef\xbb\xbfa\r\r\n1\r\r\n");
        assert_eq!(Source::from_bytes("t", packed.clone()).text().unwrap(), "a\n1\n");
        let cut = refusal(&packed[..packed.len() - 3]);
        assert!(cut.contains("cut short or damaged"), "{cut}");
        let many = gzip(&vec![b'1'; 5000]);
        assert_eq!(unpack("t", &many, 5000).unwrap().len(), 5000);
        assert!(matches!(unpack("t", &many, 4999), Err(FileError::TooLarge { limit: 4999, .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_something(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0..6_usize) {
            let heads: [&[u8]; 6] = [b"", b"\x1f\x8b\x08", b"\x93NUMPY", b"PK\x03\x04", b"\xef\xbb\xbf", b"\xff\xfe"];
            let bytes = [heads[head], &bytes].concat();
            if let Ok(Content::Text(text)) = Source::from_bytes("t", bytes.clone()).content() {
                prop_assert!(text.len() <= bytes.len());
            }
        }
    }
}
