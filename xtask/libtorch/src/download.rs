//! Downloads with resumption: what arrived stays in a `.part` file, and is whole only when length and SHA-256 are the
//! pinned ones.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::index::Address;
use crate::pins::Wheel;

/// Connections that brought next to nothing, one after another, before a start gives up.
const PATIENCE: usize = 5;
/// Less than this is next to nothing.
const PROGRESS: u64 = 1 << 20;
/// Between two connections.
const PAUSE: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(2) };
/// Between two lines about progress.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// An HTTPS client that trusts these certificates (PEM), or the system's.
///
/// # Errors
/// A file without certificates.
pub fn agent(certificates: Option<&Path>) -> Result<Agent> {
    let roots = match certificates {
        None => RootCerts::PlatformVerifier,
        Some(path) => {
            let text = fs::read(path).with_context(|| format!("certificates: {}", path.display()))?;
            let certificates: Vec<_> = parse_pem(&text)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                bail!("{} holds no certificate", path.display());
            }
            RootCerts::from(certificates)
        }
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .tls_config(TlsConfig::builder().root_certs(roots).build());
    Ok(config.build().into())
}

/// Bytes that are still to be downloaded.
pub fn bytes_missing(wheel: &Wheel, folder: &Path) -> u64 {
    let length = |path: PathBuf| fs::metadata(path).map_or(0, |data| data.len());
    let there = length(folder.join(&wheel.file)).max(length(part(wheel, folder)));
    wheel.bytes.saturating_sub(there)
}

/// The wheel, if it was downloaded before.
pub fn finished(wheel: &Wheel, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(&wheel.file);
    verify(&path, wheel).is_ok().then_some(path)
}

/// Fails unless so many bytes are free where `place` is going to be.
///
/// # Errors
/// Too little space. A system that does not tell passes.
pub fn check_space(place: &Path, bytes: u64) -> Result<()> {
    #[cfg(unix)]
    if let Some(there) = place.ancestors().find(|folder| folder.exists())
        && let Ok(disk) = rustix::fs::statvfs(there)
    {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < bytes {
            bail!(
                "it needs {} MB of disk, but {} has {} MB left",
                bytes / 1_000_000,
                there.display(),
                free / 1_000_000
            );
        }
    }
    Ok(())
}

/// Downloads a wheel into a folder, from where an earlier start left it.
///
/// # Errors
/// A network that refuses (what arrived is kept), or a file that is not the pinned one (it is deleted).
pub fn fetch(agent: &Agent, address: &Address, wheel: &Wheel, folder: &Path) -> Result<PathBuf> {
    let part = part(wheel, folder);
    let mut in_vain = 0;
    loop {
        let before = fs::metadata(&part).map_or(0, |data| data.len());
        if before > wheel.bytes {
            fs::remove_file(&part)?;
            continue;
        }
        if before == wheel.bytes {
            break;
        }
        match receive(agent, address, wheel, &part, before) {
            Ok(()) => {}
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Passing(error)) => {
                let now = fs::metadata(&part).map_or(0, |data| data.len());
                in_vain = if now >= before + PROGRESS { 0 } else { in_vain + 1 };
                if in_vain >= PATIENCE {
                    return Err(error.context(format!(
                        "{}: {now} of {} bytes arrived and are kept; run this again to go on",
                        wheel.file, wheel.bytes
                    )));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
    if let Err(error) = verify(&part, wheel) {
        fs::remove_file(&part)?;
        return Err(error.context(format!("what {address} serves is not the pinned file; it was deleted")));
    }
    let path = folder.join(&wheel.file);
    fs::rename(&part, &path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Why a connection brought no whole file.
enum Trouble {
    /// Another connection may bring more.
    Passing(anyhow::Error),
    Final(anyhow::Error),
}

/// One connection: appends what comes to the part file.
fn receive(agent: &Agent, address: &Address, wheel: &Wheel, part: &Path, from: u64) -> Result<(), Trouble> {
    let disk = |error: io::Error| Trouble::Final(anyhow::Error::new(error).context(part.display().to_string()));
    let mut request = address.request(agent);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let response = request.call().with_context(|| address.to_string()).map_err(Trouble::Passing)?;
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let continues = status == 206 && header("content-range").is_some_and(|r| r.starts_with(&format!("bytes {from}-")));
    let mut file = match status {
        _ if continues => OpenOptions::new().append(true).open(part).map_err(disk)?,
        // The whole, whether or not a part was asked for.
        200 => File::create(part).map_err(disk)?,
        206 | 416 => {
            // Not the part that was asked for, or none: from the start, then.
            File::create(part).map_err(disk)?;
            return Err(Trouble::Passing(anyhow::anyhow!("{address} does not serve the rest of the file")));
        }
        408 | 429 | 500.. => return Err(Trouble::Passing(anyhow::anyhow!("{address} answers {status}"))),
        _ => return Err(Trouble::Final(anyhow::anyhow!("{address} answers {status}"))),
    };
    let mut there = if continues { from } else { 0 };
    if let Some(coming) = header("content-length").and_then(|length| length.parse::<u64>().ok())
        && there + coming != wheel.bytes
    {
        let problem = anyhow::anyhow!("{address} has {} bytes, not the {} pinned", there + coming, wheel.bytes);
        return Err(Trouble::Final(problem));
    }
    let mut body = response.into_body().into_reader();
    let mut buffer = vec![0; 1 << 18];
    let (start, first) = (Instant::now(), there);
    let mut said = start;
    loop {
        let n = match body.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::Passing(anyhow::Error::new(error).context(address.to_string()))),
        };
        file.write_all(&buffer[..n]).map_err(disk)?;
        there += n as u64;
        if n == 0 || there > wheel.bytes {
            break;
        }
        if said.elapsed() >= LINE_EVERY {
            said = Instant::now();
            let rate = (there - first) as f64 / start.elapsed().as_secs_f64();
            eprintln!(
                "{}: {} of {} MB, {:.0} MB/s",
                wheel.file,
                there / 1_000_000,
                wheel.bytes / 1_000_000,
                rate / 1e6
            );
        }
    }
    match there.cmp(&wheel.bytes) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Trouble::Passing(anyhow::anyhow!("{address}: the connection ended early"))),
        std::cmp::Ordering::Greater => {
            fs::remove_file(part).map_err(disk)?;
            Err(Trouble::Final(anyhow::anyhow!("{address} has more than the {} bytes pinned", wheel.bytes)))
        }
    }
}

/// Checks length and digest of a file.
///
/// # Errors
/// A file that is absent or not the pinned one.
pub fn verify(path: &Path, wheel: &Wheel) -> Result<()> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let length = file.metadata()?.len();
    if length != wheel.bytes {
        bail!("{}: {length} bytes, not the {} pinned", path.display(), wheel.bytes);
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if digest != wheel.sha256 {
        bail!("{}: its SHA-256 is {digest}, not the {} pinned", path.display(), wheel.sha256);
    }
    Ok(())
}

fn part(wheel: &Wheel, folder: &Path) -> PathBuf {
    folder.join(format!("{}.part", wheel.file))
}
