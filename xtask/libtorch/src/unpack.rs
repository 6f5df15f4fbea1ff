//! Takes single members out of a wheel.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};
use zip::ZipArchive;

use crate::pins::Take;

/// Writes the wanted members under `into`.
///
/// # Errors
/// A wheel that is no zip archive or lacks a wanted member; a name that would leave the folder; a disk that refuses.
pub fn take(wheel: &Path, wanted: &[Take], into: &Path) -> Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(wheel)?))?;
    let mut hits = vec![0usize; wanted.len()];
    for i in 0..archive.len() {
        let mut member = archive.by_index(i)?;
        let name = member.name()?.into_owned();
        if name.ends_with('/') {
            continue;
        }
        let Some((k, place)) = wanted.iter().enumerate().find_map(|(k, take)| Some((k, placed(take, &name)?))) else {
            continue;
        };
        hits[k] += 1;
        if !Path::new(&place).components().all(|part| matches!(part, Component::Normal(_))) {
            bail!("the member {name} would be written outside its folder");
        }
        let path = into.join(place);
        fs::create_dir_all(path.parent().unwrap_or(into))?;
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        io::copy(&mut member, &mut file).with_context(|| path.display().to_string())?;
        file.flush()?;
    }
    match wanted.iter().zip(hits).find(|&(_, hits)| hits == 0) {
        Some((take, _)) => bail!("it holds no {}", take.from),
        None => Ok(()),
    }
}

/// Where a member goes, if it is wanted.
fn placed(take: &Take, name: &str) -> Option<String> {
    let rest = name.strip_prefix(&take.from)?;
    (rest.is_empty() || take.from.ends_with('/')).then(|| format!("{}{rest}", take.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = zip::ZipWriter::new(file.as_file_mut());
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in names {
            zip.start_file(*name, options).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    #[test]
    fn only_what_is_wanted_is_taken_and_it_must_be_there() {
        let wheel = archive(&["a/x.h", "a/b/y.h", "lib/one.so", "lib/one.so.2"]);
        let dir = tempfile::tempdir().unwrap();
        let takes =
            [("a/", "include/"), ("lib/one.so", "l/1.so")].map(|(from, to)| Take { from: from.into(), to: to.into() });
        take(wheel.path(), &takes, dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("include/b/y.h")).unwrap(), "a/b/y.h");
        assert_eq!(fs::read_to_string(dir.path().join("l/1.so")).unwrap(), "lib/one.so");
        assert_eq!(fs::read_dir(dir.path().join("l")).unwrap().count(), 1);
        let absent = [Take { from: "lib/two.so".into(), to: "two.so".into() }];
        assert!(take(wheel.path(), &absent, dir.path()).unwrap_err().to_string().contains("lib/two.so"));
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let takes = [Take { from: "a/".into(), to: "b/".into() }];
        let wheel = archive(&["a/../../escaped"]);
        assert!(take(wheel.path(), &takes, &inner).unwrap_err().to_string().contains("outside"));
        assert!(!dir.path().join("escaped").exists());
    }
}
