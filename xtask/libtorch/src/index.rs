//! The package index: which one pip would ask, and where it keeps a file.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ureq::Agent;
use ureq::typestate::WithoutBody;

use crate::pins::Wheel;

/// The index that pip asks where nothing else is set.
const PUBLIC_INDEX: &str = "https://pypi.org/simple";

/// What pip's settings say of the network.
#[derive(Debug, PartialEq)]
pub struct Settings {
    /// Address of the index.
    pub index: String,
    /// Certificates to trust instead of the system's.
    pub certificates: Option<PathBuf>,
}

impl Settings {
    /// Environment variables over the user's files over the machine's.
    ///
    /// # Errors
    /// A settings file that cannot be read.
    // pip's own interface, not settings of this project.
    #[allow(clippy::disallowed_methods)]
    pub fn of_pip() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Self::of(&variable, &config_files(&variable))
    }

    fn of(variable: &dyn Fn(&str) -> Option<String>, files: &[PathBuf]) -> Result<Self> {
        let (mut index, mut certificates) = (None, None);
        for file in files {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            index = setting(&text, "index-url").or(index);
            certificates = setting(&text, "cert").or(certificates);
        }
        let index = variable("PIP_INDEX_URL").or(index).unwrap_or_else(|| PUBLIC_INDEX.into());
        Ok(Self { index, certificates: variable("PIP_CERT").or(certificates).map(PathBuf::from) })
    }
}

/// The settings files that are there, the weaker first.
fn config_files(variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/pip.conf"), "/etc/xdg/pip/pip.conf".into()];
    if let Some(home) = variable("HOME") {
        let home = Path::new(&home);
        files.push(home.join(".pip/pip.conf"));
        let config = variable("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(variable("VIRTUAL_ENV").map(|env| Path::new(&env).join("pip.conf")));
    match variable("PIP_CONFIG_FILE") {
        // pip's way of asking for no files at all.
        Some(file) if file == "/dev/null" => return Vec::new(),
        file => files.extend(file.map(PathBuf::from)),
    }
    files.retain(|file| file.is_file());
    files
}

/// A key of the sections `global`, `install` and `download` of a settings file, the later section over the earlier.
fn setting(text: &str, wanted: &str) -> Option<String> {
    let mut values = [None, None, None];
    let mut section = None;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = ["global", "install", "download"].iter().position(|known| *known == name.trim());
        } else if let (Some(section), Some((key, value))) = (section, line.split_once(['=', ':'])) {
            let value = value.trim().trim_matches(['\'', '"']);
            if key.trim().replace('_', "-") == wanted && !value.is_empty() {
                values[section] = Some(value.to_owned());
            }
        }
    }
    values.into_iter().flatten().next_back()
}

/// An address, with the name and password that stood in it kept apart so that no message shows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    url: String,
    credentials: Option<String>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Address {
    fn new(url: &str) -> Self {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Self { url: url.to_owned(), credentials: None };
        };
        let host_end = rest.find('/').unwrap_or(rest.len());
        match rest[..host_end].rsplit_once('@') {
            Some((credentials, host)) => Self {
                url: format!("{scheme}://{host}{}", &rest[host_end..]),
                credentials: Some(percent_decoded(credentials)),
            },
            None => Self { url: url.to_owned(), credentials: None },
        }
    }

    /// A request for it.
    pub fn request(&self, agent: &Agent) -> ureq::RequestBuilder<WithoutBody> {
        let request = agent.get(&self.url);
        match &self.credentials {
            Some(credentials) => request.header("Authorization", format!("Basic {}", base64(credentials.as_bytes()))),
            None => request,
        }
    }

    /// What a link on this page leads to; on the same host with the same credentials.
    fn join(&self, link: &str) -> Self {
        if link.contains("://") {
            let mut there = Self::new(link);
            if there.credentials.is_none() && host(&there.url) == host(&self.url) {
                there.credentials.clone_from(&self.credentials);
            }
            return there;
        }
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("https", &self.url));
        if let Some(link) = link.strip_prefix("//") {
            return self.join(&format!("{scheme}://{link}"));
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
        for part in link.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self { url: format!("{scheme}://{host}/{}", parts.join("/")), credentials: self.credentials.clone() }
    }
}

fn host(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest.split('/').next().unwrap_or(rest))
}

/// Asks the index where it keeps a wheel.
///
/// # Errors
/// An index that cannot be reached or does not list the file.
pub fn find(agent: &Agent, index: &str, wheel: &Wheel) -> Result<Address> {
    let page = Address::new(&format!("{}/{}/", index.trim_end_matches('/'), wheel.project));
    let accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";
    let answer = page.request(agent).header("Accept", accept).call();
    let mut response = answer.with_context(|| format!("the package index {page} cannot be reached"))?;
    let status = response.status().as_u16();
    if status != 200 {
        bail!("the package index {page} answers {status}");
    }
    let text = response.body_mut().with_config().limit(64 << 20).read_to_string().with_context(|| page.to_string())?;
    let link =
        if text.trim_start().starts_with('{') { in_json(&text, &wheel.file)? } else { in_html(&text, &wheel.file) };
    let Some(link) = link else { bail!("the package index {page} does not list {}", wheel.file) };
    Ok(page.join(link.split('#').next().unwrap_or(&link)))
}

/// PEP 691.
fn in_json(text: &str, file: &str) -> Result<Option<String>> {
    #[derive(serde::Deserialize)]
    struct Page {
        files: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        filename: String,
        url: String,
    }
    let page: Page = serde_json::from_str(text).context("the package index answers with a page of another form")?;
    Ok(page.files.into_iter().find(|entry| entry.filename == file).map(|entry| entry.url))
}

/// PEP 503: the file's name ends the link.
fn in_html(text: &str, file: &str) -> Option<String> {
    let links = text.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest[1..].split(quote).next()
    });
    let named = |link: &&str| {
        let path = link.split(['#', '?']).next().unwrap_or(link);
        path.rsplit('/').next().is_some_and(|name| percent_decoded(name) == file)
    };
    links.into_iter().find(named).map(|link| link.replace("&amp;", "&"))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for k in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * k)) as usize & 63] as char;
            text.push(if k <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_settings_are_read_as_pip_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let machine = write(
            "a",
            "# x\n[global]\nindex-url = https://mirror.example/simple\ncert=/a.pem\n[list]\nindex-url = no\n",
        );
        let user = write("b", "[install]\nindex_url: 'https://user.example/'\n[freeze]\ncert = /no.pem\n");
        let none = |_: &str| None;
        let settings = Settings::of(&none, &[]).unwrap();
        assert_eq!(settings, Settings { index: PUBLIC_INDEX.into(), certificates: None });
        let settings = Settings::of(&none, &[machine.clone(), user.clone()]).unwrap();
        assert_eq!(settings.index, "https://user.example/");
        assert_eq!(settings.certificates.as_deref(), Some(Path::new("/a.pem")));
        let environment = |name: &str| (name == "PIP_INDEX_URL").then(|| "https://env.example".to_owned());
        assert_eq!(Settings::of(&environment, &[machine, user]).unwrap().index, "https://env.example");
        let home = |name: &str| (name == "HOME").then(|| dir.path().display().to_string());
        fs::create_dir_all(dir.path().join(".config/pip")).unwrap();
        let own = write(".config/pip/pip.conf", "");
        assert_eq!(config_files(&home).last(), Some(&own));
    }

    #[test]
    fn links_lead_where_a_browser_would_go() {
        let page = Address::new("https://me:p%40ss@host.example/simple/torch/");
        assert_eq!(page.to_string(), "https://host.example/simple/torch/");
        let to = |link: &str| page.join(link).to_string();
        assert_eq!(to("a.whl"), "https://host.example/simple/torch/a.whl");
        assert_eq!(to("../../files/./a.whl"), "https://host.example/files/a.whl");
        assert_eq!(to("/files/a.whl"), "https://host.example/files/a.whl");
        assert_eq!(to("//other.example/a.whl"), "https://other.example/a.whl");
        assert_eq!(page.join("https://host.example/a.whl").credentials.as_deref(), Some("me:p@ss"));
        assert_eq!(page.join("../a.whl").credentials.as_deref(), Some("me:p@ss"));
        assert_eq!(page.join("https://other.example/a.whl").credentials, None);
        assert_eq!(base64(b"me:p@ss"), "bWU6cEBzcw==");
        assert_eq!([base64(b"abc"), base64(b"ab"), base64(b"")], ["YWJj", "YWI=", ""]);
    }

    #[test]
    fn files_are_found_on_both_kinds_of_page() {
        let html =
            "<a data-x='1' href=\"../../t-9%2Bcpu.whl#sha256=12\">t</a><a href='https://h/t-9.whl?a=1&amp;b=2#x'>t</a>";
        assert_eq!(in_html(html, "t-9+cpu.whl").as_deref(), Some("../../t-9%2Bcpu.whl#sha256=12"));
        assert_eq!(in_html(html, "t-9.whl").as_deref(), Some("https://h/t-9.whl?a=1&b=2#x"));
        assert_eq!(in_html(html, "t-8.whl"), None);
        let json = r#"{"files": [{"filename": "t-9.whl", "url": "/t-9.whl", "size": 3}], "name": "t"}"#;
        assert_eq!(in_json(json, "t-9.whl").unwrap().as_deref(), Some("/t-9.whl"));
        assert_eq!(in_json(json, "t-8.whl").unwrap(), None);
        assert!(in_json("{}", "t").is_err());
    }
}
