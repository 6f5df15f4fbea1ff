//! Tests of a folder of answers within one process; `tests/answers.rs` has those with several.

use std::fs;
use std::path::PathBuf;

use dal_core::{LabelFailure, LabelFailureKind};
use proptest::prelude::*;

use super::*;

fn key() -> AnswerKey {
    AnswerKey {
        program: vec!["python3".into(), "simulator.py".into()],
        exchange: "stdin".into(),
        inputs: vec![
            KeyInput { name: "speed, fast".into(), levels: vec![] },
            KeyInput { name: "material".into(), levels: vec!["steel".into(), "soft, light".into()] },
        ],
        outputs: vec!["drag".into(), "lift".into()],
        version: None,
    }
}

fn crashed(words: &str) -> LabelFailure {
    LabelFailure::new(LabelFailureKind::Crashed, words)
}

fn files(answers: &Answers) -> Vec<PathBuf> {
    answers.file_names().unwrap().iter().map(|name| answers.folder().join(name)).collect()
}

/// Changing this makes every answer of every user worthless.
#[test]
fn the_key_is_pinned() {
    let key = key();
    assert_eq!(
        key.to_json(),
        concat!(
            r#"{"exchange":"stdin","inputs":[{"name":"speed, fast"},"#,
            r#"{"levels":["steel","soft, light"],"name":"material"}],"#,
            r#""outputs":["drag","lift"],"program":["python3","simulator.py"]}"#
        )
    );
    assert_eq!(key.id(), key.digest()[..16]);
    assert_eq!(key.id(), "4372b0e1b0598f8a");
    let versioned = AnswerKey { version: Some("2".into()), ..key.clone() };
    assert_ne!(versioned.id(), key.id());
    assert_eq!(serde_json::from_str::<AnswerKey>(&versioned.to_json()).unwrap(), versioned);
}

#[test]
fn answers_are_kept_shared_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("simulator.answers");
    let reader = Answers::open(&root, key()).unwrap();
    assert!(reader.is_empty() && !root.exists(), "a reader leaves nothing behind");
    let ours = Answers::open(&root, key()).unwrap();
    ours.put("0.5,steel\n", Ok(&[1.5, -0.0])).unwrap();
    ours.put("0.25,\"soft, light\"", Err(&crashed("exit 3\n\"quoted\" µ"))).unwrap();
    assert_eq!(ours.get("0.5,steel"), Some(Ok(vec![1.5, -0.0])));
    assert_eq!(ours.get("0.5,steel\r\n"), ours.get("0.5,steel"));
    assert_eq!(ours.get("0.50,steel"), None, "a point is its text");
    assert_eq!(ours.refresh().unwrap(), 0, "what one wrote oneself is known");
    assert_eq!((reader.len(), reader.refresh().unwrap(), reader.refresh().unwrap()), (0, 2, 0));
    assert_eq!(reader.rows(), ours.rows());
    assert_eq!(reader.failures(), [("0.25,\"soft, light\"".to_owned(), crashed("exit 3\n\"quoted\" µ"))]);
    assert!(reader.damage().is_empty() && reader.contradictions().is_empty());
    assert_eq!(answer_keys(&root).unwrap(), [(key().id(), key())]);
    let mut csv = Vec::new();
    reader.write_csv(&mut csv, true, &str::to_owned).unwrap();
    let failed = "0.25,\"soft, light\",\"error: crashed: exit 3\n\"\"quoted\"\" µ\",";
    let text = String::from_utf8(csv).unwrap();
    assert_eq!(text, format!("\"speed, fast\",material,drag,lift\n0.5,steel,1.5,-0.0\n{failed}\n"));
    let mut csv = Vec::new();
    reader.write_csv(&mut csv, false, &str::to_owned).unwrap();
    assert!(text.starts_with(std::str::from_utf8(&csv).unwrap()) && csv.len() < text.len());
    let mut csv = Vec::new();
    let loud = |text: &str| if text.contains(char::is_alphabetic) { text.to_uppercase() } else { text.to_owned() };
    reader.write_csv(&mut csv, true, &loud).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), text.to_uppercase(), "names, levels and words, not numbers");
    ours.sync().unwrap();
    drop(ours);
    assert_eq!(Answers::open(&root, key()).unwrap().rows(), reader.rows());
}

#[test]
fn another_key_has_other_answers_in_the_same_folder() {
    let dir = tempfile::tempdir().unwrap();
    let other = AnswerKey { version: Some("2".into()), ..key() };
    let (a, b) = (Answers::open(dir.path(), key()).unwrap(), Answers::open(dir.path(), other.clone()).unwrap());
    a.put("0.5,steel", Ok(&[1.0, 2.0])).unwrap();
    b.put("0.5,steel", Ok(&[3.0, 4.0])).unwrap();
    assert_eq!((a.refresh().unwrap(), b.refresh().unwrap()), (0, 0));
    assert_eq!(a.get("0.5,steel"), Some(Ok(vec![1.0, 2.0])));
    assert_eq!(answer_keys(dir.path()).unwrap().len(), 2);
    // A file in the wrong folder is told and not taken.
    let file = files(&b).remove(0);
    let moved = a.folder().join(file.file_name().unwrap());
    fs::copy(&file, &moved).unwrap();
    assert_eq!(a.refresh().unwrap(), 0);
    assert_eq!(a.damage(), [AnswerDamage { path: moved, kind: AnswerDamageKind::OtherKey }]);
    assert!(a.contradictions().is_empty());
}

#[test]
fn the_first_success_counts_and_contradictions_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Answers::open(dir.path(), key()).unwrap();
    let (a, b) = (open(), open());
    // Both were asked before either had heard of the other's answer.
    a.put("p", Err(&crashed("once"))).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    b.put("p", Err(&crashed("twice"))).unwrap();
    a.refresh().unwrap();
    assert_eq!(a.get("p"), Some(Err(crashed("twice"))), "of failures the latest");
    std::thread::sleep(std::time::Duration::from_millis(2));
    b.put("p", Ok(&[1.0, 1.0])).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2));
    a.put("p", Ok(&[2.0, 2.0])).unwrap();
    a.put("q", Ok(&[0.0, 0.0])).unwrap();
    b.put("q", Ok(&[0.0, 0.0])).unwrap();
    assert_eq!(a.get("p"), Some(Ok(vec![2.0, 2.0])));
    for answers in [&a, &b, &open()] {
        answers.refresh().unwrap();
        assert_eq!(answers.get("p"), Some(Ok(vec![1.0, 1.0])));
        let found = answers.contradictions();
        assert_eq!((found.len(), found[0].point.as_str()), (1, "p"));
        assert_eq!((&found[0].counts.0[..], &found[0].others[0].0[..]), (&[1.0, 1.0][..], &[2.0, 2.0][..]));
        assert_ne!(found[0].counts.1, found[0].others[0].1, "each names its file");
        assert!(answers.failures().is_empty());
    }
    // What is known is not written again.
    let before: Vec<_> = files(&a).iter().map(|file| fs::metadata(file).unwrap().len()).collect();
    b.refresh().unwrap();
    b.put("p", Ok(&[2.0, 2.0])).unwrap();
    b.put("p", Err(&crashed("once"))).unwrap();
    assert_eq!(before, files(&a).iter().map(|file| fs::metadata(file).unwrap().len()).collect::<Vec<_>>());
}

#[test]
fn answers_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let answers = Answers::open(dir.path(), key()).unwrap();
    for values in [&[1.0][..], &[1.0, 2.0, 3.0], &[1.0, f64::NAN], &[f64::INFINITY, 0.0]] {
        let error = answers.put("p", Ok(values)).unwrap_err().to_string();
        assert!(error.contains("\"p\""), "{error}");
    }
    assert!(answers.put("p\nq", Ok(&[1.0, 2.0])).is_err());
    assert!(answers.is_empty() && fs::read_dir(dir.path()).unwrap().next().is_none());
}

/// The same file as if the process that wrote it had ended.
fn of_a_gone_writer(bytes: &[u8], digest: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let (head, _) = crate::lines::first("dal answers", first.as_bytes()).unwrap();
    let mut head: Head = serde_json::from_str(head).unwrap();
    assert_eq!((head.key.as_str(), &head.writer), (digest, &ProcessName::this()));
    head.writer.boot = "another".into();
    let head = crate::lines::line("dal answers", &serde_json::to_string(&head).unwrap());
    format!("{head}{rest}").into_bytes()
}

/// A folder with one file of five answers by a process that has ended: the file, its bytes, and where its first
/// answer begins.
fn five() -> (tempfile::TempDir, PathBuf, Vec<u8>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let writer = Answers::open(dir.path(), key()).unwrap();
    (0..5).for_each(|i| writer.put(&format!("{i},steel"), Ok(&[f64::from(i), 0.1])).unwrap());
    let file = files(&writer).remove(0);
    let bytes = of_a_gone_writer(&fs::read(&file).unwrap(), &key().digest());
    fs::write(&file, &bytes).unwrap();
    let head = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
    (dir, file, bytes, head)
}

#[test]
fn a_spoilt_byte_costs_what_it_hit() {
    let (dir, file, whole, head) = five();
    let each = (whole.len() - head) / 5;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let answers = Answers::open(dir.path(), key()).unwrap();
        let hit = at >= head && whole[at] != b'\n';
        assert_eq!(5 - answers.len(), usize::from(hit), "{at}");
        let kinds: Vec<_> = answers.damage().into_iter().map(|damage| damage.kind).collect();
        match kinds[..] {
            [AnswerDamageKind::Spoilt { bytes }] => assert!(bytes as usize <= head.max(each), "{at}: {bytes}"),
            // Behind the last whole line.
            [AnswerDamageKind::Torn { bytes, writer }] => {
                assert!(
                    at + each >= whole.len() && bytes as usize <= each && writer == Standing::Gone,
                    "{at}: {bytes}"
                );
            }
            _ => panic!("{at}: {kinds:?}"),
        }
        // What is missing is added in a file of its own.
        answers.put("0,steel", Ok(&[0.0, 0.1])).unwrap();
        (0..5).for_each(|i| answers.put(&format!("{i},steel"), Ok(&[f64::from(i), 0.1])).unwrap());
        assert_eq!(Answers::open(dir.path(), key()).unwrap().len(), 5);
        let others: Vec<_> = files(&answers).into_iter().filter(|other| *other != file).collect();
        assert_eq!(others.len(), usize::from(hit));
        others.into_iter().for_each(|other| fs::remove_file(other).unwrap());
        assert_eq!(fs::read(&file).unwrap(), bytes, "no process changes the file of another");
    }
}

#[test]
fn an_unfinished_line_is_told_when_its_writer_is_gone_and_read_on_when_it_is_not() {
    let (dir, file, whole, head) = five();
    let each = (whole.len() - head) / 5;
    let alive = {
        let text = String::from_utf8(whole.clone()).unwrap();
        let head = Head { answers: 1, key: key().digest(), writer: ProcessName::this() };
        let head = crate::lines::line("dal answers", &serde_json::to_string(&head).unwrap());
        format!("{head}{}", text.split_once('\n').unwrap().1).into_bytes()
    };
    for cut in 0..=2 * each {
        fs::write(&file, &whole[..whole.len() - cut]).unwrap();
        let answers = Answers::open(dir.path(), key()).unwrap();
        // A line is whole without its line feed.
        assert_eq!(answers.len(), 5 - cut.saturating_sub(1).div_ceil(each), "{cut}");
        let torn = (each - cut % each) % each;
        let expected = (torn != each - 1 && torn > 0).then_some(torn as u64);
        let told = answers.damage().into_iter().map(|damage| match damage.kind {
            AnswerDamageKind::Torn { bytes, writer: Standing::Gone } => bytes,
            kind => panic!("{cut}: {kind:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>(), "{cut}");
        fs::write(&file, &alive[..alive.len() - cut]).unwrap();
        let answers = Answers::open(dir.path(), key()).unwrap();
        assert!(answers.damage().is_empty(), "{cut}");
        let n = answers.len();
        fs::write(&file, &alive).unwrap();
        assert_eq!(answers.refresh().unwrap(), 5 - n);
        assert!(answers.damage().is_empty(), "{cut}");
    }
}

#[test]
fn lines_of_a_later_version_are_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let answers = Answers::open(dir.path(), key()).unwrap();
    answers.put("p", Ok(&[1.0, 2.0])).unwrap();
    let file = files(&answers).remove(0);
    let mut text = fs::read_to_string(&file).unwrap();
    for line in [
        r#"{"at":1,"point":"q","values":[1.0,2.0],"cost":7}"#,
        r#"{"at":1,"point":"r","failure":{"kind":"licence","words":"none left"}}"#,
        r#"{"at":1,"point":"s","values":[1.0]}"#,
        r#"{"withdrawn":"p"}"#,
    ] {
        text += &crate::lines::line(&key().digest(), line);
    }
    fs::write(&file, text).unwrap();
    let later = Answers::open(dir.path(), key()).unwrap();
    assert_eq!((later.get("q"), later.len()), (Some(Ok(vec![1.0, 2.0])), 2));
    assert_eq!(later.damage(), [AnswerDamage { path: file, kind: AnswerDamageKind::Unknown { lines: 3 } }]);
}

#[test]
fn merging_copies_what_is_missing_and_repeating_it_changes_nothing() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (into, from) = (Answers::open(a.path(), key()).unwrap(), Answers::open(b.path(), key()).unwrap());
    into.put("p", Ok(&[1.0, 2.0])).unwrap();
    from.put("q", Ok(&[3.0, 4.0])).unwrap();
    let other = AnswerKey { version: Some("2".into()), ..key() };
    Answers::open(b.path(), other.clone()).unwrap().put("q", Ok(&[5.0, 6.0])).unwrap();
    assert_eq!(merge_answers(b.path(), a.path()).unwrap(), Merged { copied: 2, known: 0 });
    assert_eq!(merge_answers(b.path(), a.path()).unwrap(), Merged { copied: 0, known: 2 });
    assert_eq!((into.refresh().unwrap(), into.len()), (1, 2));
    // The file has grown, a copy of it is there: the longer one comes beside it.
    from.put("r", Ok(&[7.0, 8.0])).unwrap();
    assert_eq!(merge_answers(b.path(), a.path()).unwrap(), Merged { copied: 1, known: 1 });
    assert_eq!(merge_answers(b.path(), a.path()).unwrap(), Merged { copied: 0, known: 2 });
    assert_eq!((into.refresh().unwrap(), into.len(), into.contradictions().len()), (1, 3, 0));
    let there = Answers::open(a.path(), other.clone()).unwrap();
    assert_eq!((there.len(), answer_keys(a.path()).unwrap().len()), (1, 2));
    assert_eq!(merge_answers(a.path().join("nothing"), a.path()).unwrap(), Merged::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// What counts depends on the files alone: not on the order in which they came, nor on who reads them when.
    #[test]
    fn every_reader_comes_to_the_same(
        acts in prop::collection::vec((0usize..3, 0u8..4, 0u8..4, any::<bool>()), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let open = || Answers::open(dir.path(), key()).unwrap();
        let writers = [open(), open(), open()];
        let early = open();
        for (i, (writer, point, value, refresh)) in acts.iter().enumerate() {
            let answers = &writers[*writer];
            if *refresh {
                answers.refresh().unwrap();
            }
            match value {
                0 => answers.put(&format!("{point}"), Err(&crashed(&format!("{}", i % 2)))).unwrap(),
                v => answers.put(&format!("{point}"), Ok(&[f64::from(*v), 0.0])).unwrap(),
            }
            if i % 5 == 0 {
                early.refresh().unwrap();
            }
        }
        let late = open();
        for answers in writers.iter().chain([&early]) {
            answers.refresh().unwrap();
            prop_assert_eq!(answers.rows(), late.rows());
            prop_assert_eq!(answers.contradictions(), late.contradictions());
            prop_assert!(answers.damage().is_empty());
        }
        for (_, point, value, _) in &acts {
            let known = late.get(&format!("{point}"));
            prop_assert!(known.is_some() && (*value == 0 || known.unwrap().is_ok()));
        }
    }
}

#[test]
fn a_clock_may_stand_anywhere() {
    use std::time::{Duration, UNIX_EPOCH};
    assert_eq!(super::since_1970(UNIX_EPOCH - Duration::from_secs(3600)), 0);
    assert_eq!(super::since_1970(UNIX_EPOCH + Duration::from_secs(3600)), 3_600_000);
    assert_eq!(super::since_1970(UNIX_EPOCH + Duration::from_secs(1 << 60)), u64::MAX);
}
