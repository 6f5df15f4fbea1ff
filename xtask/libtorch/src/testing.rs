//! A package index on the loopback interface, with the faults that tests need.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// How the server behaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    Well,
    /// Ends the connection after so many bytes of a file.
    BreaksOffAfter(usize),
    /// Serves files whole, whatever was asked for.
    IgnoresRanges,
}

/// Serves one file of one project until it is dropped.
pub struct Server {
    address: String,
    ranges: Arc<Mutex<Vec<u64>>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(file: &str, bytes: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (ranges, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (file, seen, end) = (file.to_owned(), Arc::clone(&ranges), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is its own business.
                let _ = answer(stream, &file, &bytes, manner, &seen);
            }
        });
        Self { address, ranges, done, thread: Some(thread) }
    }

    /// Address of the index.
    pub fn index(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// Where the ranges began that were asked for.
    pub fn ranges(&self) -> Vec<u64> {
        self.ranges.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    mut stream: TcpStream,
    file: &str,
    bytes: &[u8],
    manner: Manner,
    ranges: &Mutex<Vec<u64>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut range) = (String::new(), None);
    reader.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(from) = header.to_ascii_lowercase().strip_prefix("range: bytes=") {
            range = from.trim().trim_end_matches('-').parse::<usize>().ok();
        }
    }
    if path == "/simple/torch/" {
        let page = format!("<html><a href=\"../../files/{file}#sha256=0\">{file}</a></html>");
        return write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
    }
    if path != format!("/files/{file}") {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let from = range.filter(|_| manner != Manner::IgnoresRanges);
    ranges.lock().unwrap().extend(from.map(|from| from as u64));
    let rest = &bytes[from.unwrap_or(0).min(bytes.len())..];
    match from {
        Some(from) => write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        )?,
        None => write!(stream, "HTTP/1.1 200 OK\r\n")?,
    }
    write!(stream, "Content-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    let upto = if let Manner::BreaksOffAfter(n) = manner { n.min(rest.len()) } else { rest.len() };
    stream.write_all(&rest[..upto])?;
    stream.flush()
}
