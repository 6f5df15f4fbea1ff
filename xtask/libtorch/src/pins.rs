//! The pinned wheels: which files, how long, which digests, which members; read from `wheels.toml`.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The content of `wheels.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// Version of libtorch.
    pub version: String,
    /// One per system and architecture.
    #[serde(rename = "platform")]
    pub platforms: Vec<Platform>,
}

/// The wheels of one platform.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    pub os: String,
    pub arch: String,
    /// Bytes on the disk once unpacked.
    pub unpacked: u64,
    /// Links made after unpacking.
    pub links: Vec<Link>,
    #[serde(rename = "wheel")]
    pub wheels: Vec<Wheel>,
}

/// A symbolic link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub at: String,
    pub to: String,
}

/// One file of an index.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    /// Name of the project on the index.
    pub project: String,
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
    pub take: Vec<Take>,
}

/// A member, or all members of a folder, and where it goes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    pub from: String,
    pub to: String,
}

impl Pins {
    pub fn read() -> Result<Self> {
        toml::from_str(include_str!("../wheels.toml")).context("wheels.toml")
    }

    /// The wheels of a platform.
    pub fn platform(&self, os: &str, arch: &str) -> Result<&Platform> {
        let Some(platform) = self.platforms.iter().find(|p| p.os == os && p.arch == arch) else {
            let known: Vec<String> = self.platforms.iter().map(|p| format!("{} {}", p.os, p.arch)).collect();
            bail!(
                "no wheels are pinned for {os} {arch} (there are: {}); install PyTorch {version} and give --from-python, or set \
                 LIBTORCH to a libtorch {version}",
                known.join(", "),
                version = self.version
            )
        };
        Ok(platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pins_make_sense() {
        let pins = Pins::read().unwrap();
        assert!(!pins.platforms.is_empty());
        for wheel in pins.platforms.iter().flat_map(|platform| &platform.wheels) {
            assert!(wheel.sha256.len() == 64 && wheel.sha256.bytes().all(|b| b.is_ascii_hexdigit()), "{}", wheel.file);
            assert!(wheel.file.starts_with(&wheel.project.replace('-', "_")) && wheel.file.ends_with(".whl"));
            assert!(wheel.bytes > 0 && !wheel.take.is_empty());
            assert!(wheel.take.iter().all(|take| take.from.ends_with('/') == take.to.ends_with('/')));
        }
        assert!(pins.platform("linux", "x86_64").is_ok());
        assert!(pins.platform("plan9", "x86_64").unwrap_err().to_string().contains("--from-python"));
    }
}
