//! Licences and sources of all packages are among those that `deny.toml` allows. What needs the network (advisories)
//! and what only warns (versions that stand twice) is cargo-deny's, in the hosted workflow.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use crate::project::Package;
use crate::{Findings, Project};

const CRATES_IO: &str = "https://github.com/rust-lang/crates.io-index";

/// What is read of `deny.toml`. An unknown key in these two tables is an error: cargo-deny would obey it, and this rule
/// would not.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licences,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: String,
    unknown_git: String,
    #[serde(default)]
    allow_registry: Vec<String>,
    #[serde(default)]
    allow_git: Vec<String>,
}

pub fn check(project: &Project) -> Result<Findings> {
    let deny = project.read(Path::new("deny.toml"))?;
    let mut found = judge(&deny, &project.packages).context("deny.toml")?;
    let of_python = judge(&deny, &project.python_packages).context("deny.toml")?;
    found.offences.extend(of_python.offences.into_iter().map(|offence| format!("python/{offence}")));
    Ok(found)
}

fn judge(deny: &str, packages: &[Package]) -> Result<Findings> {
    let deny: Deny = toml::from_str(deny)?;
    if [&deny.sources.unknown_registry, &deny.sources.unknown_git].iter().any(|what| *what != "deny") {
        bail!("[sources] does not deny unknown registries and repositories");
    }
    let allowed = deny.licenses.allow.iter().map(|text| Licensee::parse(text).with_context(|| format!("`{text}`")));
    let allowed: Vec<Licensee> = allowed.collect::<Result<_>>()?;
    let mut found = Findings::default();
    for package in packages {
        let offences = [licence(package, &allowed), source(package, &deny.sources)];
        let name = format!("{} {}", package.name, package.version);
        found.offences.extend(offences.into_iter().flatten().map(|what| format!("Cargo.lock: {name} {what}")));
    }
    Ok(found)
}

/// What is wrong with a package's licence.
fn licence(package: &Package, allowed: &[Licensee]) -> Option<String> {
    let Some(text) = &package.license else {
        return Some("names no licence".into());
    };
    // Lax, as cargo and cargo-deny are: old packages write `MIT/Apache-2.0`.
    match Expression::parse_mode(text, ParseMode::LAX) {
        Ok(expression) if expression.evaluate(|needed| allowed.iter().any(|licence| licence.satisfies(needed))) => None,
        Ok(_) => Some(format!("has the licence `{text}`, which deny.toml does not allow")),
        Err(error) => Some(format!("has the licence `{text}`, which is no SPDX expression: {}", error.reason)),
    }
}

/// What is wrong with the place that a package comes from.
fn source(package: &Package, allowed: &Sources) -> Option<String> {
    let source = package.source.as_deref()?;
    let (kind, address) = source.split_once('+').unwrap_or(("", source));
    let known = match kind {
        "registry" | "sparse" => address == CRATES_IO || allowed.allow_registry.iter().any(|a| a == address),
        // A repository's address is followed by `?branch=…` and `#commit`.
        "git" => allowed.allow_git.iter().any(|a| Some(a.as_str()) == address.split(['?', '#']).next()),
        _ => false,
    };
    (!known).then(|| format!("comes from {source}, which deny.toml does not allow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "
[licenses]
allow = [\"MIT\", \"Apache-2.0 WITH LLVM-exception\", \"Unicode-3.0\"]
[sources]
unknown-registry = \"deny\"
unknown-git = \"deny\"
allow-git = [\"https://example.org/a.git\"]
";

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        Package {
            name: "p".into(),
            version: "1.0.0".into(),
            source: source.map(Into::into),
            license: license.map(Into::into),
            dependencies: Vec::new(),
            targets: Vec::new(),
            publish: None,
        }
    }

    fn offences(license: Option<&str>, source: Option<&str>) -> Vec<String> {
        judge(DENY, &[package(license, source)]).unwrap().offences
    }

    #[test]
    fn licences_are_read_as_expressions() {
        for good in ["MIT", "GPL-3.0-only OR MIT", "(MIT OR X11) AND Unicode-3.0", "ISC/MIT"] {
            assert_eq!(offences(Some(good), None), [""; 0], "{good}");
        }
        assert_eq!(offences(Some("Apache-2.0 WITH LLVM-exception"), None), [""; 0]);
        for bad in ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0"] {
            let due = format!("Cargo.lock: p 1.0.0 has the licence `{bad}`, which deny.toml does not allow");
            assert_eq!(offences(Some(bad), None), [due], "{bad}");
        }
        assert_eq!(offences(None, None), ["Cargo.lock: p 1.0.0 names no licence"]);
        assert!(offences(Some("as is"), None)[0].contains("which is no SPDX expression"));
    }

    #[test]
    fn sources_are_crates_io_and_what_is_listed() {
        let git = "git+https://example.org/a.git?branch=x#0123";
        for good in ["registry+https://github.com/rust-lang/crates.io-index", git] {
            assert_eq!(offences(Some("MIT"), Some(good)), [""; 0], "{good}");
        }
        for bad in ["registry+https://example.org/index", "git+https://example.org/b.git#0123", "odd"] {
            let due = format!("Cargo.lock: p 1.0.0 comes from {bad}, which deny.toml does not allow");
            assert_eq!(offences(Some("MIT"), Some(bad)), [due], "{bad}");
        }
    }

    #[test]
    fn what_cargo_deny_would_obey_and_this_would_not_is_an_error() {
        let more = DENY.replace("[sources]", "exceptions = []\n[sources]");
        assert!(format!("{:#}", judge(&more, &[]).unwrap_err()).contains("exceptions"));
        let lenient = DENY.replace("unknown-git = \"deny\"", "unknown-git = \"allow\"");
        assert!(judge(&lenient, &[]).is_err());
        let misspelt = DENY.replace("\"MIT\"", "\"MTI\"");
        assert!(format!("{:#}", judge(&misspelt, &[]).unwrap_err()).contains("`MTI`"));
    }
}
