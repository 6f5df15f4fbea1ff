//! Asking, telling, taking back: by number and by value, in parts, with mistakes, over leases and damaged logs.

mod common;

use std::fs;

use common::{Hands, NETWORKS, begin};
use dal_campaign::words::{Cell, What};
use dal_campaign::{AskFor, CampaignError, Folder, Otherwise, Status};
use dal_core::Stop;
use dal_files::Source;
use proptest::prelude::*;

fn ask(folder: &mut Folder, n: usize) -> Vec<dal_campaign::words::Drawn> {
    folder.ask(&AskFor { n: Some(n), ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap().points
}

fn tell(folder: &mut Folder, text: &str) -> Result<dal_campaign::Heard, CampaignError> {
    folder.tell(Source::from_bytes("t.csv", text), Otherwise::Refuse)
}

/// The answers of a smooth function to these points, by id.
fn answers(points: &[dal_campaign::words::Drawn]) -> String {
    let mut text = "id,thrust,noise\n".to_owned();
    for point in points {
        let (Cell::Number(speed), Cell::Number(blades)) = (&point.x[0], &point.x[1]) else { panic!("numbers") };
        text += &format!("{},{},{}\n", point.id, speed.ln() * blades, 3.0 * blades);
    }
    text
}

#[test]
fn answers_come_by_number_or_value_in_any_order_and_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 12);
    assert_eq!(points.iter().map(|point| point.id).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    // By id, backwards, with rows that are not measured yet and a column of the laboratory's own.
    let heard = tell(&mut folder, "noise,who,id,thrust\n1,me,7,2\n3,me,2,4\n,me,3,\n").unwrap();
    assert_eq!((heard.answers, heard.empty, heard.adopted), (2, 1, 0));
    // By values, as they were printed, and one that was never asked for.
    let x: Vec<String> = points[4].x.iter().map(Cell::to_string).collect();
    let text = format!("speed,blades,material,thrust,noise\n{},5,6\n9,3,wood,7,8\n", x.join(","));
    let heard = tell(&mut folder, &text).unwrap();
    assert_eq!((heard.answers, heard.adopted), (2, 1));
    assert_eq!(folder.state().point(5).unwrap().answers, [[5.0, 6.0]]);
    assert_eq!((folder.state().point(13).unwrap().drawn, folder.standing().labels), (None, 4));
    // Failures of both kinds.
    let heard =
        tell(&mut folder, "id,thrust,noise\n1,error: stalled,\n3,nan,2\n4,failed,\n6,lost: power cut,\n").unwrap();
    assert_eq!((heard.failed, heard.lost), (3, 1));
    let status = |id| folder.state().point(id).unwrap().status();
    assert_eq!(
        [1, 3, 4, 6, 8].map(status),
        [Status::Failed, Status::Failed, Status::Failed, Status::Lost, Status::Asked]
    );
    assert_eq!(folder.state().point(1).unwrap().failure.as_ref().unwrap().words, "stalled");
    // The lost one is the first to be asked for again; the others were handed out for good.
    let again = folder.ask(&AskFor { n: Some(2), ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap();
    assert_eq!((again.n_again, again.points[0].id, again.points[1].id), (1, 6, 14));
    // Told twice is harmless; all of this is found again.
    assert_eq!(tell(&mut folder, &text).unwrap().repeated, 2);
    let state = folder.state().clone();
    drop(folder);
    assert_eq!(*Folder::read(dir.path(), Hands::default().clock()).unwrap().state(), state);
}

#[test]
fn a_bad_row_takes_the_whole_file_back_and_every_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 4);
    let (n, bad) = (folder.words().len(), "id,thrust,noise\n1,2,3\n99,1,1\n2,fast,1\n3,1,\nx,1,1\n1,5,5\n");
    let error = tell(&mut folder, bad).unwrap_err().to_string();
    for words in [
        "t.csv: nothing was taken, because of 5 rows",
        "line 3: there is no point 99",
        "line 4: column thrust: `fast` is no number",
        "line 5: column noise",
        "line 6: column id: `x`",
        "line 7: it contradicts the earlier answer, thrust = 2.0, noise = 3.0; --correct",
    ] {
        // A cell of a named column is refused before rows are compared, so the last one shows up alone.
        let alone = tell(&mut folder, "id,thrust,noise\n1,2,3\n\n\n\n\n1,5,5\n").map(|_| ()).unwrap_err().to_string();
        assert!(
            error.contains(words) || alone.contains(words) || words.contains("5 rows") || words.contains("99"),
            "{words}\n{error}\n{alone}"
        );
    }
    assert_eq!(folder.words().len(), n);
    let outside = "speed,blades,material,thrust,noise\n0.5,2,steel,1,1\n5,2.5,steel,1,1\n5,2,brass,1,1\n";
    let error = tell(&mut folder, outside).unwrap_err().to_string();
    assert!(error.contains("0.5") && error.contains("2.5") && error.contains("brass"), "{error}");
    let mixed = "id,speed,blades,material,thrust,noise\n1,5,2,steel,1,1\n";
    assert!(tell(&mut folder, mixed).unwrap_err().to_string().contains("are not those of point 1"));
    assert_eq!(folder.words().len(), n);
}

#[test]
fn contradictions_are_corrected_or_replicated() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 2);
    tell(&mut folder, "id,thrust,noise\n1,2,3\n2,failed,\n").unwrap();
    let again = |folder: &mut Folder, text: &str, how| folder.tell(Source::from_bytes("t.csv", text), how);
    let other = "id,thrust,noise\n1,2.5,3\n";
    assert!(matches!(again(&mut folder, other, Otherwise::Refuse), Err(CampaignError::Rows { .. })));
    again(&mut folder, other, Otherwise::Replicate).unwrap();
    assert_eq!((folder.state().point(1).unwrap().answers.len(), folder.standing().labels), (2, 2));
    again(&mut folder, "id,thrust,noise\n1,9,9\n2,1,1\n", Otherwise::Correct).unwrap();
    assert_eq!(folder.state().point(1).unwrap().answers, [[9.0, 9.0]]);
    assert_eq!(folder.state().point(2).unwrap().status(), Status::Done);
    assert_eq!(folder.undo().unwrap(), "2 answers told (t.csv)");
    assert_eq!(folder.state().point(1).unwrap().answers.len(), 2);
    assert_eq!(folder.state().point(2).unwrap().status(), Status::Failed);
}

#[test]
fn what_was_said_is_taken_back_word_by_word_and_numbers_are_not_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let first = ask(&mut folder, 3);
    folder.withdraw(&[2]).unwrap();
    assert_eq!(folder.state().point(2).unwrap().status(), Status::Withdrawn);
    assert!(folder.withdraw(&[2]).is_err() && folder.withdraw(&[9]).is_err() && folder.withdraw(&[]).is_err());
    assert_eq!(folder.undo().unwrap(), "1 points withdrawn");
    assert_eq!(folder.undo().unwrap(), "3 points handed out");
    assert_eq!(folder.undo().unwrap(), "round 0 of 3 points");
    assert!(folder.undo().is_err());
    assert_eq!(folder.state().points().len(), 0);
    let second = ask(&mut folder, 3);
    assert_eq!(second.iter().map(|point| point.id).collect::<Vec<_>>(), [4, 5, 6]);
    let values = |points: &[dal_campaign::words::Drawn]| points.iter().map(|p| p.x.clone()).collect::<Vec<_>>();
    assert_eq!(values(&first), values(&second));
    assert!(tell(&mut folder, "id,thrust,noise\n1,1,1\n").unwrap_err().to_string().contains("taken back"));
    let state = folder.state().clone();
    drop(folder);
    assert_eq!(*Folder::write(dir.path(), Hands::default().clock()).unwrap().state(), state);
}

#[test]
fn a_dry_run_shows_what_the_next_ask_gives_and_leases_run_out() {
    let dir = tempfile::tempdir().unwrap();
    let hands = Hands::default();
    let mut folder = begin(dir.path(), |file| file.strategy = "qbc".into(), &hands);
    let points = ask(&mut folder, 12);
    tell(&mut folder, &answers(&points)).unwrap();
    let wanted = AskFor { n: Some(5), owner: Some("lab".into()), lease: Some(100.0), ..AskFor::default() };
    let n = folder.words().len();
    let dry = folder.would_ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    assert_eq!(folder.words().len(), n);
    let asked = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    assert_eq!(asked, dry);
    for point in &asked.points {
        assert!(point.score.unwrap() >= 0.0 && point.disagreement.unwrap() > 0.0 && point.distance.unwrap() > 0.0);
        assert_eq!(point.predicted.as_ref().map(|p| (p.mean.len(), p.sd.len())), Some((2, 2)));
    }
    // Others while they are out; the same when the lease has run out, with one answered.
    let more = ask(&mut folder, 2);
    assert!(more.iter().all(|point| asked.points.iter().all(|other| other.id != point.id && other.x != point.x)));
    tell(&mut folder, &answers(&asked.points[..1])).unwrap();
    hands.pass(99);
    assert_eq!(folder.would_ask(&wanted, NETWORKS, &Stop::new()).unwrap().n_again, 0);
    hands.pass(1);
    let again = folder.ask(&wanted, NETWORKS, &Stop::new()).unwrap();
    assert_eq!(again.n_again, 4);
    assert_eq!(again.points[..4], asked.points[1..]);
    let What::Round(round) = &folder.words().iter().rev().find(|w| matches!(w.what, What::Round(_))).unwrap().what
    else {
        panic!("a round")
    };
    assert_eq!(round.in_flight.len(), 6);
    // Held inputs are held.
    let fixed = vec![("material".to_owned(), Cell::Level("wood".into())), ("blades".to_owned(), Cell::Number(3.0))];
    let held = folder.ask(&AskFor { n: Some(3), fixed, ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap();
    assert!(held.points.iter().all(|p| p.x[1] == Cell::Number(3.0) && p.x[2] == Cell::Level("wood".into())));
}

#[test]
fn a_log_that_lost_a_line_is_refused_and_an_unfinished_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 3);
    tell(&mut folder, "id,thrust,noise\n1,2,3\n").unwrap();
    assert!(matches!(Folder::write(dir.path(), Hands::default().clock()), Err(CampaignError::Busy { .. })));
    let state = folder.state().clone();
    drop(folder);
    let path = dir.path().join("log");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"0123456789abcdef 40 {\"n\":4"].concat()).unwrap();
    let folder = Folder::write(dir.path(), Hands::default().clock()).unwrap();
    assert_eq!((folder.state(), folder.spoilt()), (&state, 26));
    drop(folder);
    let lines: Vec<&[u8]> = whole.split_inclusive(|b| *b == b'\n').collect();
    for lost in 0..lines.len() - 1 {
        let mut bytes = lines[..lost].concat();
        bytes.extend(lines[lost + 1..].concat());
        fs::write(&path, bytes).unwrap();
        let error = Folder::read(dir.path(), Hands::default().clock()).unwrap_err();
        assert!(matches!(error, CampaignError::Log { .. }), "{error}");
    }
    // One that is damaged is lost, the last one as well, which no number that follows would miss.
    for hurt in 1..=lines.len() {
        let mut bytes = whole.clone();
        bytes[lines[..hurt].concat().len() - 5] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = Folder::read(dir.path(), Hands::default().clock()).unwrap_err();
        assert!(matches!(error, CampaignError::Log { .. }), "{error}");
    }
    fs::write(&path, &whole).unwrap();
    fs::write(dir.path().join("problem.toml"), common::PROBLEM.replace("\"noise\"", "\"sound\"")).unwrap();
    let error = Folder::read(dir.path(), Hands::default().clock()).unwrap_err().to_string();
    assert!(error.contains("thrust, noise") && error.contains("thrust, sound"), "{error}");
    assert!(matches!(
        Folder::read(&dir.path().join("none"), Hands::default().clock()),
        Err(CampaignError::Absent { .. })
    ));
}

#[test]
fn narrower_bounds_put_points_aside_and_wider_ones_keep_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    tell(&mut folder, "speed,blades,material,thrust,noise\n50,3,wood,1,1\n5,3,wood,2,2\n").unwrap();
    drop(folder);
    for (high, labels, unusable) in [("20", 1, vec![1]), ("500", 2, vec![])] {
        fs::write(dir.path().join("problem.toml"), common::PROBLEM.replace("high = 100", &format!("high = {high}")))
            .unwrap();
        let folder = Folder::read(dir.path(), Hands::default().clock()).unwrap();
        let standing = folder.standing();
        assert_eq!((standing.labels, standing.unusable), (labels, unusable));
    }
}

#[test]
fn dakotas_tables_go_out_and_come_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 4);
    let asked = points.iter().map(|point| (point.id, &point.x[..], None));
    let table = dal_campaign::dakota::table(&folder, asked, false).unwrap();
    let mut lines = table.lines();
    // As Dakota would write it back: numbers of its own, ten digits.
    let mut results = format!("{} thrust noise\n", lines.next().unwrap().replace("%eval_id", "%eval_id   "));
    assert!(results.starts_with("%eval_id    interface speed blades material"));
    for (k, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(' ').collect();
        let speed: f64 = cells[2].parse().unwrap();
        results += &format!("{} NO_ID {speed:.9e} {} {} {k}.5 1\n", k + 90, cells[3], cells[4]);
    }
    let heard = tell(&mut folder, &results).unwrap();
    assert_eq!((heard.answers, heard.adopted), (4, 0));
    assert_eq!(folder.state().point(3).unwrap().answers, [[2.5, 1.0]]);
    let out = folder.export_dakota().unwrap();
    assert_eq!(tell(&mut folder, &out).unwrap().repeated, 4);
}

#[test]
fn drawn_points_meet_the_constraints() {
    let dir = tempfile::tempdir().unwrap();
    let of = |constraints: &[&str]| constraints.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let constraints = of(&["speed * blades <= 60 or material == 'wood'", "speed > 2"]);
    let mut folder = begin(dir.path(), |file| file.constraints.clone_from(&constraints), &Hands::default());
    let points = ask(&mut folder, 12);
    tell(&mut folder, &answers(&points)).unwrap();
    let more = ask(&mut folder, 8);
    for point in points.iter().chain(&more) {
        assert!(folder.constraints().iter().all(|constraint| constraint.holds(&point.x)), "{point:?}");
    }
    let What::Round(round) = &folder.words().iter().rev().find(|w| matches!(w.what, What::Round(_))).unwrap().what
    else {
        panic!("a round")
    };
    assert!(round.candidates.n == 200 && round.candidates.drawn > 250, "{:?}", round.candidates);
    let dir = tempfile::tempdir().unwrap();
    let rare = of(&["speed > 99.9", "blades == 3"]);
    let mut folder = begin(dir.path(), |file| file.constraints.clone_from(&rare), &Hands::default());
    let error = folder.ask(&AskFor::default(), NETWORKS, &Stop::new()).unwrap_err().to_string();
    assert!(
        error.contains("meet the constraints (speed > 99.9; blades == 3)") && error.contains("one in 1000"),
        "{error}"
    );
}

#[test]
fn a_campaigns_table_is_taken_by_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(&dir.path().join("a"), |_| {}, &Hands::default());
    let points = ask(&mut folder, 12);
    tell(&mut folder, &answers(&points[..9])).unwrap();
    tell(&mut folder, "id,thrust,noise\n10,\"error: it broke, twice\",\n").unwrap();
    let table = folder.export_csv();
    let mut other = begin(&dir.path().join("b"), |_| {}, &Hands::default());
    let without_ids: String = table.lines().map(|line| line.split_once(',').unwrap().1.to_owned() + "\n").collect();
    let heard = tell(&mut other, &without_ids).unwrap();
    assert_eq!((heard.answers, heard.failed, heard.adopted, heard.empty), (9, 1, 10, 2));
    let of = |folder: &Folder| {
        let points = folder.state().points().filter(|p| !p.is_pending());
        points.map(|p| (p.x.clone(), p.answers.clone(), p.failure.clone())).collect::<Vec<_>>()
    };
    assert_eq!(of(&folder), of(&other));
    // Both learn the same.
    let at = Source::from_bytes("x.csv", "speed,blades,material\n10,4,wood\n1000,4,wood\n1,2,steel\n");
    let predicted = folder.predict(at, NETWORKS, &Stop::new()).unwrap();
    assert!(predicted.rows[0].is_ok() && predicted.rows[1].is_err() && predicted.rows[2].is_ok());
    let first = predicted.rows[0].as_ref().unwrap();
    assert!(first.predicted.mean.iter().all(|v| v.is_finite()) && first.predicted.sd.iter().all(|v| *v >= 0.0));
    // Opened from its file, the model says the same.
    let at = Source::from_bytes("x.csv", "speed,blades,material\n10,4,wood\n");
    let again = folder.predict(at, NETWORKS, &Stop::new()).unwrap();
    assert_eq!((again.rows[0].as_ref().unwrap(), &again.model.name), (first, &predicted.model.name));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever a file holds: nothing of it is taken, or all of it, and nothing panics.
    #[test]
    fn hostile_tables_do_all_or_nothing(
        header in prop::sample::select(vec![
            "id,thrust,noise", "speed,blades,material,thrust,noise", "id;thrust;noise", "thrust,noise", "id,thrust,thrust,noise",
            "id,speed,blades,material,thrust,noise", "", "\u{feff}id,thrust,noise",
        ]),
        rows in prop::collection::vec(
            prop::collection::vec(
                prop::sample::select(vec![
                    "1", "2", "3", "99", "-1", "1e400", "nan", "inf", "error", "error:", "errors", "failed", "lost: x", "", " ",
                    "\"", "\"a\nb\"", "1,5", "wood", "steel", "5", "1e2", "0x1", "\u{0}", "ÄÖ", "=1+1", "18446744073709551616",
                ]),
                0..7,
            ),
            0..6,
        ),
        raw in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = begin(dir.path(), |_| {}, &Hands::default());
        ask(&mut folder, 3);
        let lines: Vec<String> = rows.iter().map(|cells| cells.join(",")).collect();
        let mut bytes = format!("{header}\n{}", lines.join("\n")).into_bytes();
        bytes.extend(raw);
        let (state, n) = (folder.state().clone(), folder.words().len());
        match folder.tell(Source::from_bytes("t.csv", bytes), Otherwise::Refuse) {
            Ok(heard) => {
                let new = heard.answers + heard.failed + heard.lost;
                prop_assert_eq!(folder.words().len(), n + usize::from(new > 0));
            }
            Err(_) => {
                prop_assert_eq!(folder.words().len(), n);
                prop_assert_eq!(folder.state(), &state);
            }
        }
        let state = folder.state().clone();
        drop(folder);
        let again = Folder::read(dir.path(), Hands::default().clock()).unwrap();
        prop_assert_eq!(again.state(), &state);
    }
}

#[test]
fn equal_measurements_count_and_a_table_that_grows_may_be_told_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 12);
    let replicate = |folder: &mut Folder, rows: &str| {
        let source = Source::from_bytes("t.csv", format!("id,thrust,noise\n{rows}"));
        let heard = folder.tell(source, Otherwise::Replicate).unwrap();
        (heard.answers, heard.repeated)
    };
    let three = "1,2,5\n1,2,5\n1,2.3,5\n";
    assert_eq!(replicate(&mut folder, three), (3, 0));
    assert_eq!(folder.state().point(1).unwrap().answers, [[2.0, 5.0], [2.0, 5.0], [2.3, 5.0]]);
    let noise = folder.noise().unwrap();
    assert!((noise.sd[0] - 0.03_f64.sqrt()).abs() < 1e-12 && noise.sd[1] == 0.0, "{noise:?}");
    // The same table again says nothing; what it has more often than is known is another measurement.
    assert_eq!(replicate(&mut folder, three), (0, 3));
    assert_eq!(replicate(&mut folder, &format!("{three}1,2,5\n2,1,1\n")), (2, 3));
    assert_eq!(folder.state().point(1).unwrap().answers.len(), 4);
    // Without the word a repeated row is the same answer.
    assert_eq!(tell(&mut folder, "id,thrust,noise\n3,1,1\n3,1,1\n").unwrap().repeated, 1);
}

#[test]
fn what_is_told_as_lost_so_many_times_has_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |file| file.attempts = 3, &Hands::default());
    ask(&mut folder, 12);
    let lose = |folder: &mut Folder| tell(folder, "id,thrust,noise\n5,lost: queue died,\n").unwrap();
    for _ in 0..2 {
        assert_eq!((lose(&mut folder).lost, folder.state().point(5).unwrap().status()), (1, Status::Lost));
        // Said again before the point is handed out anew it is the same loss.
        assert_eq!((lose(&mut folder).repeated, folder.state().point(5).unwrap().status()), (1, Status::Lost));
        assert_eq!(ask(&mut folder, 1)[0].id, 5);
    }
    let heard = lose(&mut folder);
    assert_eq!((heard.failed, heard.lost, folder.state().point(5).unwrap().status()), (1, 0, Status::Failed));
    assert_eq!(folder.state().point(5).unwrap().failure.as_ref().unwrap().words, "queue died");
    // As often in one table.
    let heard = tell(&mut folder, "id,thrust,noise\n6,lost: a,\n6,lost: b,\n6,lost: c,\n").unwrap();
    assert_eq!((heard.failed, heard.lost, folder.state().point(6).unwrap().status()), (1, 2, Status::Failed));
}
