//! `dal watch`: the page of a campaign, served on this machine alone and renewed while `dal run` goes on.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dal_campaign::words::What;
use dal_campaign::{CampaignFile, Folder, ModelInsight, Status};
use dal_core::Stop;
use dal_report::campaign::campaign_page;

use super::page::{gather, newest_model};
use super::report::is_campaign;
use super::{now, read};
use crate::Done;
use crate::output::{outln, say};

/// A folder in, an address out.
#[derive(clap::Args)]
#[command(
    after_help = "The page is that of `dal report`, renewed as the campaign goes on, in whichever process it goes on.
Only this machine can see it, nothing can be changed by it, and nothing is trained for it: it shows
the newest model that a run, an audit or a report trained. Ctrl-C ends it.

From another machine: ssh -L 8017:127.0.0.1:8017 HOST, then open http://127.0.0.1:8017/.

Examples:
  dal watch beam
  dal watch beam --port 8017"
)]
pub struct Args {
    /// The campaign's folder.
    #[arg(default_value = ".")]
    folder: PathBuf,
    /// The port on 127.0.0.1 [default: one that is free].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

/// The largest request that is read.
const LONGEST_REQUEST: usize = 8 * 1024;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Requests that are answered at one time.
const MOST_AT_ONCE: usize = 32;
/// Between looks for new requests.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if !is_campaign(&args.folder) {
        bail!(
            "{}: there is no campaign here (campaign.toml and log); `dal new {0} --problem FILE` begins one",
            args.folder.display()
        );
    }
    // A folder that cannot be read is said here, not on a page.
    read(&args.folder)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).with_context(|| match args.port {
        0 => "no port of 127.0.0.1 can be listened on".to_owned(),
        port => {
            format!("--port {port}: 127.0.0.1:{port} cannot be listened on; leave --port out to take one that is free")
        }
    })?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let stop = Stop::new();
    let pressed = stop.clone();
    ctrlc::set_handler(move || {
        pressed.press();
    })
    .context("cannot listen for interrupts")?;
    outln!("http://127.0.0.1:{port}/");
    say!("the page of {} is there for this machine alone; Ctrl-C ends it", args.folder.display());
    let watched = Arc::new(Watched { folder: args.folder.clone(), port, ..Watched::default() });
    let busy = Arc::new(AtomicUsize::new(0));
    while !stop.is_draining() {
        match listener.accept() {
            Ok((stream, _)) if busy.load(Ordering::SeqCst) < MOST_AT_ONCE => {
                let (watched, busy) = (Arc::clone(&watched), Arc::clone(&busy));
                busy.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    // A reader that went away is no error.
                    let _ = watched.answer(stream);
                    busy.fetch_sub(1, Ordering::SeqCst);
                });
            }
            // Too many at one time: this one is closed.
            Ok(_) => {}
            // Nothing there, or a connection that was gone before it was taken.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    Ok(Done::Fully)
}

/// What is served.
#[derive(Default)]
struct Watched {
    folder: PathBuf,
    port: u16,
    /// The last page, and of what.
    page: Mutex<Option<(String, String)>>,
    /// When leases of points end, of those that the last page knew of.
    leases: Mutex<Vec<f64>>,
    /// What the last model said, and which it was.
    insight: Mutex<Option<(String, ModelInsight)>>,
}

/// An answer to a request.
struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Response {
    fn plain(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind: "text/plain; charset=utf-8", body: body.into() }
    }
}

impl Watched {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let Some(head) = read_head(&mut stream)? else { return Ok(()) };
        let response = match check(&head, self.port) {
            Ok((_, "/")) => match self.page() {
                Ok(body) => Response { status: "200 OK", kind: "text/html; charset=utf-8", body },
                Err(error) => {
                    Response::plain("500 Internal Server Error", format!("{}\n", crate::output::in_words(&error)))
                }
            },
            Ok((_, "/version")) => Response::plain("200 OK", self.version(files(&self.folder))),
            Ok((_, other)) => {
                Response::plain("404 Not Found", format!("there is nothing at {other}; the page is at /\n"))
            }
            Err(refused) => refused,
        };
        let allow = if response.status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        write!(
            stream,
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n",
            response.status,
            response.kind,
            response.body.len()
        )?;
        if !head.starts_with("HEAD ") {
            stream.write_all(response.body.as_bytes())?;
        }
        stream.flush()
    }

    /// The page as the campaign stands now; made anew only where something changed.
    fn page(&self) -> Result<String> {
        // One page at a time; other readers wait for it.
        let mut kept = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let files = files(&self.folder);
        let known = self.version(files);
        if let Some((_, page)) = kept.as_ref().filter(|(of, _)| *of == known) {
            return Ok(page.clone());
        }
        let folder = read(&self.folder)?;
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = leases(&folder);
        let version = self.version(files);
        let known = newest_model(&folder)?;
        let mut insight = self.insight.lock().unwrap_or_else(PoisonError::into_inner);
        let mut why =
            "There is no trained model yet: `dal run` trains one after its first design, `dal report` at any time."
                .to_owned();
        if let Some(known) = &known {
            // Where points fail decides which part of the space is looked at.
            let failed = folder.state().points().filter(|point| point.status() == Status::Failed).count();
            let name = format!("{} {failed}", known.model.name);
            if insight.as_ref().is_none_or(|(of, _)| *of != name) {
                match folder.model_insight(&known.model, &Stop::new()) {
                    Ok(found) => *insight = Some((name, found)),
                    Err(error) => (*insight, why) = (None, format!("The model cannot be asked: {error}.")),
                }
            }
        }
        let model = known.as_ref().zip(insight.as_ref().map(|(_, insight)| insight));
        let data = gather(&folder, &self.folder, model, &why, crate::outcome::now())?;
        let page = campaign_page(&data, true);
        *kept = Some((version, page.clone()));
        Ok(page)
    }

    /// What tells one page from another: the files, and the last lease that has run out, whose points wait again.
    fn version(&self, files: u64) -> String {
        let now = now()();
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let last = leases.iter().copied().filter(|until| *until <= now).max_by(f64::total_cmp);
        format!("{files:016x}{:016x}", last.map_or(0, f64::to_bits))
    }
}

/// The lines of a request up to the empty one; none where the reader closed before.
fn read_head(stream: &mut impl Read) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let n = stream.read(&mut chunk)?;
        if n == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&chunk[..n]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            head.truncate(end);
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if head.len() > LONGEST_REQUEST {
            // What is left of it is not read: the check refuses what has no host.
            return Ok(Some(String::new()));
        }
    }
}

/// Method and path of a request that may be answered: it only reads, and was meant for this server, not for a name of
/// another one that leads here.
fn check(head: &str, port: u16) -> Result<(&str, &str), Response> {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return Err(Response::plain("400 Bad Request", "that is no request\n"));
    };
    if !protocol.starts_with("HTTP/1.") {
        return Err(Response::plain("400 Bad Request", "only HTTP/1.1 is spoken here\n"));
    }
    let mut hosts = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim())
    });
    let known = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if known.iter().any(|own| own.eq_ignore_ascii_case(host)) => {}
        _ => return Err(Response::plain("421 Misdirected Request", format!("ask http://127.0.0.1:{port}/\n"))),
    }
    if !["GET", "HEAD"].contains(&method) {
        return Err(Response::plain("405 Method Not Allowed", "this page can only be read\n"));
    }
    Ok((method, target.split(['?', '#']).next().unwrap_or_default()))
}

/// When the leases of points end, those of answered ones included: which these are, the log's own change shows.
fn leases(folder: &Folder) -> Vec<f64> {
    let until = folder.words().iter().filter_map(|word| match &word.what {
        What::Leased(leased) => leased.until,
        _ => None,
    });
    until.collect()
}

/// What tells one state of a campaign's files from another: sizes and times of its log, its settings and what these
/// name, the models that are there, whether a process is at work.
fn files(folder: &Path) -> u64 {
    let mut hash = DefaultHasher::new();
    let settings = folder.join("campaign.toml");
    let mut paths = vec![folder.join("log"), settings.clone()];
    // The files lie where the settings say, relative to the folder; settings that cannot be read name none.
    if let Ok(file) = CampaignFile::read(&settings) {
        let named = [Some(file.problem), file.candidate_list, file.sample];
        paths.extend(named.into_iter().flatten().map(|path| folder.join(path)));
    }
    for path in paths {
        let known = fs::metadata(path).ok();
        known.as_ref().map(fs::Metadata::len).hash(&mut hash);
        known.and_then(|known| known.modified().ok()).hash(&mut hash);
    }
    let models = fs::read_dir(folder.join("models")).into_iter().flatten().flatten();
    let finished = models.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "safetensors"));
    finished.count().hash(&mut hash);
    Folder::is_written(folder).hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> &'static str {
        check(head, 8017).map_or_else(|refused| refused.status, |_| "200 OK")
    }

    #[test]
    fn only_reading_from_this_machine_is_answered() {
        let with = |line: &str, host: &str| format!("{line}\r\nAccept: */*\r\nHost: {host}");
        assert_eq!(check(&with("GET /?x=1 HTTP/1.1", "127.0.0.1:8017"), 8017).ok(), Some(("GET", "/")));
        assert_eq!(status(&with("HEAD /version HTTP/1.1", "LOCALHOST:8017")), "200 OK");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            assert_eq!(status(&with(&format!("{method} / HTTP/1.1"), "127.0.0.1:8017")), "405 Method Not Allowed");
        }
        for host in ["evil.example:8017", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8017.evil.example", ""] {
            assert_eq!(status(&with("GET / HTTP/1.1", host)), "421 Misdirected Request", "{host}");
        }
        assert_eq!(status("GET / HTTP/1.1"), "421 Misdirected Request");
        let twice = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8017\r\nHost: evil.example";
        assert_eq!(status(twice), "421 Misdirected Request");
        for garbage in ["", "GET", "GET /", "GET / FTP/1.0"] {
            assert_eq!(status(garbage), "400 Bad Request", "{garbage}");
        }
    }

    #[test]
    fn files_that_the_settings_name_and_leases_make_another_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("c");
        fs::create_dir(&root).unwrap();
        let file = CampaignFile::new("../rig.toml", 1);
        let with_list = CampaignFile { candidate_list: Some("list.csv".into()), ..file.clone() };
        let with_sample = CampaignFile { sample: Some("../sample.csv".into()), ..file };
        for (file, names) in [(with_list, ["rig.toml", "c/list.csv"]), (with_sample, ["rig.toml", "sample.csv"])] {
            fs::write(root.join("campaign.toml"), file.text()).unwrap();
            for name in names {
                let before = files(&root);
                assert_eq!(files(&root), before);
                // Of another length: two writes may fall into one tick of the file system's clock.
                let longer = fs::read_to_string(dir.path().join(name)).unwrap_or_default() + "x";
                fs::write(dir.path().join(name), longer).unwrap();
                assert_ne!(files(&root), before, "{name}");
            }
        }
        let watched = |ends: &[f64]| Watched { leases: Mutex::new(ends.to_vec()), ..Watched::default() }.version(1);
        assert_eq!(watched(&[]), watched(&[f64::MAX]));
        assert_eq!(watched(&[5.0]), watched(&[3.0, 5.0, f64::MAX]));
        assert!(watched(&[]) != watched(&[3.0]) && watched(&[3.0]) != watched(&[5.0]));
    }

    #[test]
    fn a_request_ends_at_its_empty_line() {
        let mut whole: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        assert_eq!(read_head(&mut whole).unwrap().as_deref(), Some("GET / HTTP/1.1\r\nHost: a"));
        let mut cut: &[u8] = b"GET / HTTP/1.1\r\n";
        assert_eq!(read_head(&mut cut).unwrap(), None);
        let long = vec![b'a'; 3 * LONGEST_REQUEST];
        assert_eq!(read_head(&mut &long[..]).unwrap().as_deref(), Some(""));
    }
}
