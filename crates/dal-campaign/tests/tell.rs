//! Telling: whose answer a row is, in the tables that programs, spreadsheets and other campaigns write.

mod common;

use std::fs;
use std::path::Path;

use common::{Hands, NETWORKS, begin};
use dal_campaign::words::{Answer, Cell, Drawn};
use dal_campaign::{AskFor, CampaignError, CampaignFile, Folder, Heard, Otherwise, Status};
use dal_core::Stop;
use dal_files::Source;

/// A number, two inputs that are fixed, levels that are numbers; answers are told.
const FIXED: &str = "name = \"q\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n\
    [[inputs]]\nname = \"f\"\nlow = 7.5\nhigh = 7.5\n[[inputs]]\nname = \"g\"\ninteger = true\nlow = 2\nhigh = 2\n\
    [[inputs]]\nname = \"l\"\nlevels = [1, 2, 10]\n[[outputs]]\nname = \"y\"\n[[outputs]]\nname = \"z\"\n";

fn ask(folder: &mut Folder, n: usize) -> Vec<Drawn> {
    folder.ask(&AskFor { n: Some(n), ..AskFor::default() }, NETWORKS, &Stop::new()).unwrap().points
}

fn source(text: &str) -> Source {
    Source::from_bytes("t.csv", text)
}

fn tell(folder: &mut Folder, text: &str) -> Result<Heard, CampaignError> {
    folder.tell(source(text), Otherwise::Refuse)
}

fn refused(folder: &mut Folder, text: &str) -> String {
    let n = folder.words().len();
    let error = tell(folder, text).unwrap_err().to_string();
    assert_eq!(folder.words().len(), n, "nothing is taken");
    error
}

fn beside(folder: &mut Folder, points: &str, answers: &str) -> Result<Heard, CampaignError> {
    folder.tell_beside(Source::from_bytes("in.csv", points), source(answers), Otherwise::Refuse)
}

fn values(folder: &Folder, id: u64) -> Vec<Vec<f64>> {
    folder.state().point(id).unwrap().answers.clone()
}

fn status(folder: &Folder, id: u64) -> Status {
    folder.state().point(id).unwrap().status()
}

/// A point's values with so many decimals, where they are numbers with a fraction.
fn shown(point: &Drawn, decimals: usize) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Number(v) if v.fract() != 0.0 => format!("{v:.decimals$}"),
        other => other.to_string(),
    };
    point.x.iter().map(cell).collect::<Vec<_>>().join(",")
}

fn inputs(points: &[Drawn]) -> String {
    let lines: String = points.iter().map(|point| shown(point, 17) + "\n").collect();
    format!("speed,blades,material\n{lines}")
}

fn begin_fixed(root: &Path) -> Folder {
    fs::create_dir_all(root).unwrap();
    fs::write(root.join("problem.toml"), FIXED).unwrap();
    let file = CampaignFile { initial: 6, ..CampaignFile::new("problem.toml", 3) };
    Folder::begin(root, &file, Hands::default().clock()).unwrap()
}

#[test]
fn what_a_program_printed_of_points_is_read_as_its_answer_is() {
    let due = [vec![vec![1.5, 2.5]], vec![vec![3.5, 4.5]], vec![vec![5.5, 6.5]]];
    for answers in [
        "thrust,noise\n1.5,2.5\n3.5,4.5\n5.5,6.5\n",
        "row,thrust,noise\n2,5.5,6.5\n0,1.5,2.5\n1,3.5,4.5\n",
        "noise;thrust\n2,5;1,5\n4,5;3,5\n6,5;5,5\n",
        " thrust noise\n  1.5   2.5\n  3.5   4.5\n  5.5   6.5\n",
        "speed,material,thrust,noise\n",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = begin(dir.path(), |_| {}, &Hands::default());
        let points = ask(&mut folder, 3);
        let mut answers = answers.to_owned();
        if answers.starts_with("speed") {
            // Inputs beside the outputs, with fewer digits.
            for (point, y) in points.iter().zip(&due) {
                let (Cell::Number(speed), material) = (&point.x[0], &point.x[2]) else { panic!("a number") };
                answers += &format!("{speed:.8},{material},{},{}\n", y[0][0], y[0][1]);
            }
        }
        let heard = beside(&mut folder, &inputs(&points), &answers).unwrap();
        assert_eq!((heard.answers, heard.adopted), (3, 0), "{answers}");
        assert_eq!([1, 2, 3].map(|id| values(&folder, id)), due, "{answers}");
        // By their numbers, too: the same answers are known.
        let ids = "id,why\n1,x\n2,x\n3,x\n";
        assert_eq!(beside(&mut folder, ids, &answers).unwrap().repeated, 3, "{answers}");
    }
}

#[test]
fn a_program_says_of_each_point_why_it_has_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 6);
    let answers = "thrust,noise\nerror: no convergence\nnan,1\nlost: power cut,\n,\n1,2\nfailed,\n";
    let heard = beside(&mut folder, &inputs(&points), answers).unwrap();
    assert_eq!((heard.answers, heard.failed, heard.lost, heard.empty), (1, 3, 1, 1));
    use Status::{Asked, Done, Failed, Lost};
    assert_eq!([1, 2, 3, 4, 5, 6].map(|id| status(&folder, id)), [Failed, Failed, Lost, Asked, Done, Failed]);
    let words = |id| folder.state().point(id).unwrap().failure.clone().unwrap().to_string();
    assert_eq!(words(1), "refused: no convergence");
    // In parts, where a column says whose a line is.
    let heard = beside(&mut folder, &inputs(&points), "row,thrust,noise\n3,7,8\n").unwrap();
    assert_eq!((heard.answers, heard.empty, values(&folder, 4)), (1, 5, vec![vec![7.0, 8.0]]));
}

#[test]
fn what_may_belong_to_another_point_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 2);
    let n = folder.words().len();
    let by_id = "id,speed\n1,\n2,\n";
    for (points, answers, words) in [
        (&inputs(&points)[..], "thrust,noise\n1,2\n", "1 answers to 2 points"),
        (&inputs(&points), "thrust,noise\n1,2\n3,4\n5,6\n", "beyond its answers"),
        (&inputs(&points), "thrust,noise\nloading\n1,2\n3,4\n", "`loading`"),
        (&inputs(&points), "row,thrust,noise\n1,1,2\n2,3,4\n", "counts from 1"),
        (&inputs(&points), "speed,thrust,noise\n99,1,2\n99,3,4\n", "names another point"),
        (&inputs(&points), "thrust,noise\n1,\n3,4\n", "in.csv, line 2"),
        (by_id, "id,thrust,noise\n2,1,2\n1,3,4\n", "without --points"),
        ("id\n1\n9\n", "thrust,noise\n1,2\n3,4\n", "there is no point 9"),
        ("blades,material\n3,wood\n", "thrust,noise\n1,2\n", "no column"),
    ] {
        let error = beside(&mut folder, points, answers).unwrap_err().to_string();
        assert!(error.contains(words), "{answers:?}: {error}");
    }
    assert_eq!(folder.words().len(), n);
}

#[test]
fn an_export_is_taken_by_another_campaign() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = begin(&dir.path().join("one"), |_| {}, &Hands::default());
    let points = ask(&mut one, 5);
    tell(&mut one, "id,thrust,noise\n1,1,2\n2,3,4\n3,failed,\n4,7,8\n").unwrap();
    let table = one.export_csv();
    // Its own: by the numbers, and nothing is new.
    let heard = tell(&mut one, &table).unwrap();
    assert_eq!((heard.repeated, heard.adopted, heard.remarks.len()), (4, 0, 0));
    // One without a point, and one whose numbers are those of other points.
    let mut empty = begin(&dir.path().join("empty"), |_| {}, &Hands::default());
    let mut other = begin(&dir.path().join("other"), |file| file.seed = 99, &Hands::default());
    let foreign = ask(&mut other, 3);
    assert_ne!(foreign[0].x, points[0].x);
    for folder in [&mut empty, &mut other] {
        let heard = tell(folder, &table).unwrap();
        assert_eq!((heard.answers, heard.failed, heard.adopted, heard.empty), (3, 1, 4, 1));
        assert!(heard.remarks[0].contains("of another campaign"), "{:?}", heard.remarks);
        let found = folder.state().points().find(|point| point.x == points[3].x).unwrap();
        assert_eq!(found.answers, [[7.0, 8.0]]);
        assert_eq!(tell(folder, &table).unwrap().repeated, 4, "told twice is harmless");
    }
    // Other tables with wrong numbers are mistakes.
    let x = shown(&points[0], 17);
    let error = refused(&mut other, &format!("id,speed,blades,material,thrust,noise\n1,{x},1,2\n"));
    assert!(error.contains("are not those of point 1"), "{error}");
}

#[test]
fn the_points_are_exported_after_the_problem_has_other_columns() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 3);
    tell(&mut folder, "id,thrust,noise\n1,1,2\n2,error: no mesh,\n").unwrap();
    let table = folder.export_csv();
    drop(folder);
    for text in [
        common::PROBLEM.replace("\"blades\"", "\"vanes\""),
        common::PROBLEM.replace("[[outputs]]\nname = \"noise\"", ""),
        common::PROBLEM
            .replace("[[outputs]]\nname = \"thrust\"", "[[inputs]]\nname = \"t\"\nlow = 0\nhigh = 1\n$0")
            .replace("$0", "[[outputs]]\nname = \"thrust\""),
    ] {
        fs::write(dir.path().join("problem.toml"), text).unwrap();
        let clock = Hands::default().clock();
        assert!(matches!(Folder::read(dir.path(), clock), Err(CampaignError::Columns { .. })));
        assert_eq!(dal_campaign::export::export_begun(dir.path()).unwrap(), table);
    }
}

#[test]
fn a_table_of_labels_tells_why_points_failed() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 5);
    let x: Vec<String> = points.iter().map(|point| shown(point, 17)).collect();
    let table = format!(
        "row,speed,blades,material,thrust,noise,failure\n0,{},,,refused: the program answered `error: stalled`\n\
         1,{},1,2,\n2,{},,,crashed: exit status 3\n3,{},,,\n4,{},,,out-of-domain: thrust is 0\n",
        x[0], x[1], x[2], x[3], x[4]
    );
    let heard = tell(&mut folder, &table).unwrap();
    assert_eq!((heard.answers, heard.failed, heard.lost, heard.empty), (1, 2, 1, 1));
    use Status::{Asked, Done, Failed, Lost};
    assert_eq!([1, 2, 3, 4, 5].map(|id| status(&folder, id)), [Failed, Done, Lost, Asked, Failed]);
    let failure = folder.state().point(1).unwrap().failure.clone().unwrap();
    assert_eq!(failure.to_string(), "refused: the program answered `error: stalled`");
    // Beside the points that it is of, too.
    folder.undo().unwrap();
    let again = beside(&mut folder, &inputs(&points), &table).unwrap();
    assert_eq!((again.answers, again.failed, again.lost, again.empty), (1, 2, 1, 1));
    // A label counts whatever stands beside it, and words that are no kind of failure say nothing.
    let heard = tell(&mut folder, "id,thrust,noise,failure\n4,1,2,none\n3,,,no\n").unwrap();
    assert_eq!((heard.answers, heard.failed, heard.empty), (1, 0, 1));
}

#[test]
fn values_beside_a_number_are_compared_as_far_as_they_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 2);
    let [Cell::Number(speed), Cell::Number(blades), Cell::Level(material)] = &points[0].x[..] else { panic!("cells") };
    let other = if material == "wood" { "steel" } else { "wood" };
    for (columns, cells) in [
        ("speed", "99.5".to_owned()),
        ("material", other.to_owned()),
        ("blades", (blades + 1.0).to_string()),
        ("speed,material", format!("{speed},{other}")),
        ("speed,blades,material", format!("{speed},{blades},{other}")),
        ("speed,blades,material", format!(",,{other}")),
    ] {
        let error = refused(&mut folder, &format!("id,{columns},thrust,noise\n1,{cells},1,2\n"));
        assert!(error.contains("not those of point 1") || error.contains("outside"), "{columns}: {error}");
    }
    let error = refused(&mut folder, "id,material,thrust,noise\n1,brass,1,2\n");
    assert!(error.contains("brass"), "{error}");
    // Rounded, and with some left empty.
    tell(&mut folder, &format!("id,material,speed,thrust,noise\n1,{material},{speed:.6},1,2\n2,,,3,4\n")).unwrap();
    assert_eq!((values(&folder, 1), values(&folder, 2)), (vec![vec![1.0, 2.0]], vec![vec![3.0, 4.0]]));
    // Without a number all that vary are needed.
    let error = refused(&mut folder, "id,material,thrust,noise\n,wood,1,2\n");
    assert!(error.contains("names no point") && error.contains("speed"), "{error}");
}

#[test]
fn rounded_values_are_those_of_the_point_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 4);
    let row = |point: &Drawn, y: &str| format!("{},{y}\n", shown(point, 6));
    let head = "speed,blades,material,thrust,noise\n";
    let table = format!("{head}{}{}", row(&points[0], "1,2"), row(&points[1], "failed,"));
    let heard = tell(&mut folder, &table).unwrap();
    assert_eq!((heard.answers, heard.failed, heard.adopted, heard.rounded), (1, 1, 0, 2));
    assert_eq!((values(&folder, 1), status(&folder, 2)), (vec![vec![1.0, 2.0]], Status::Failed));
    // Told again it is known; as another measurement it is one of that point.
    let heard = tell(&mut folder, &table).unwrap();
    assert_eq!((heard.repeated, heard.adopted), (2, 0));
    let again = format!("{head}{}", row(&points[0], "5,6"));
    assert_eq!(folder.tell(source(&again), Otherwise::Replicate).unwrap().adopted, 0);
    assert_eq!(values(&folder, 1).len(), 2);
    // Otherwise an answer that differs is that of a new point, and the near one is named.
    let heard = tell(&mut folder, &format!("{head}{}", row(&points[0], "7,8"))).unwrap();
    assert_eq!((heard.adopted, heard.remarks.len()), (1, 1));
    assert!(heard.remarks[0].contains("taken as a new point") && heard.remarks[0].contains("point 1"));
    // Levels, whole numbers and few digits are others.
    let x = shown(&points[2], 6);
    let other = if x.ends_with("wood") { x.replace("wood", "steel") } else { x.replace("steel", "wood") };
    let [Cell::Number(speed), blades, material] = &points[3].x[..] else { panic!("cells") };
    let table = format!("{head}{other},1,2\n{speed:.1},{blades},{material},3,4\n");
    let heard = tell(&mut folder, &table).unwrap();
    assert_eq!((heard.adopted, heard.rounded, heard.remarks.len()), (2, 0, 0));
    assert_eq!((status(&folder, 3), status(&folder, 4)), (Status::Asked, Status::Asked));
    // What is printed beside the points of a file is theirs, too.
    let heard = beside(&mut folder, &format!("speed,blades,material\n{x}\n"), "thrust,noise\n9,9\n").unwrap();
    assert_eq!((heard.rounded, values(&folder, 3)), (1, vec![vec![9.0, 9.0]]));
}

#[test]
fn of_two_near_points_none_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin_fixed(dir.path());
    tell(&mut folder, "a,l,y,z\n0.1234561,1,lost,\n0.1234564,1,lost,\n").unwrap();
    let heard = tell(&mut folder, "a,l,y,z\n0.123456,1,5,6\n").unwrap();
    assert_eq!((heard.adopted, heard.rounded), (1, 0));
    assert!(heard.remarks[0].contains("points 1, 2"), "{:?}", heard.remarks);
    let heard = tell(&mut folder, "a,l,y,z\n0.1234561,1,7,8\n").unwrap();
    assert_eq!((heard.adopted, values(&folder, 1)), (0, vec![vec![7.0, 8.0]]), "exact values are no question");
}

#[test]
fn fixed_inputs_may_be_left_out_and_are_checked_where_they_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin_fixed(dir.path());
    for (text, n) in [
        ("a,l,y,z\n0.1,1,1,2\n", 1),
        ("a,f,l,y,z\n0.2,7.5,2,1,2\n", 1),
        ("a,f,g,l,y,z\n0.3,7.5,2,10,1,2\n", 1),
        ("a,l,g,y,z\n0.1,1,2,1,2\n", 0),
    ] {
        assert_eq!(tell(&mut folder, text).unwrap().adopted, n, "{text}");
    }
    assert_eq!(folder.state().point(1).unwrap().x[1..3], [Cell::Number(7.5), Cell::Number(2.0)]);
    for (text, words) in [
        ("a,f,l,y,z\n0.2,8,2,1,2\n", "`8` is another value than 7.5"),
        ("a,g,l,y,z\n0.2,3,2,1,2\n", "`3` is another value than 2"),
        ("id,f,y,z\n1,8,1,2\n", "`8` is another value than 7.5"),
    ] {
        let error = refused(&mut folder, text);
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn decimal_commas_are_read_where_outputs_alone_have_them() {
    for (text, due) in [
        ("id;y;z\n1;1,5;2,5\n2;2,5;1,5\n", [[1.5, 2.5], [2.5, 1.5]]),
        ("id\ty\tz\n1\t1,5\t2\n2\t2\t-1,5e3\n", [[1.5, 2.0], [2.0, -1500.0]]),
        ("a;l;y;z\n0;1;1,5;2\n1;2;error: no, not at all;1,500\n", [[1.5, 2.0], [0.0, 0.0]]),
        ("id;y;z\n1;1.5;2\n2;2;3\n", [[1.5, 2.0], [2.0, 3.0]]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = begin_fixed(dir.path());
        tell(&mut folder, "a,l,y,z\n0,1,lost,\n1,2,lost,\n").unwrap();
        tell(&mut folder, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        for (id, due) in (1..).zip(due) {
            let point = folder.state().point(id).unwrap();
            match due == [0.0, 0.0] {
                true => assert_eq!(point.status(), Status::Failed),
                false => assert_eq!(point.answers, [due], "{text}"),
            }
        }
        // Both ways in one file, and what may be thousands, are mistakes.
        let error = refused(&mut folder, "id;y;z\n1;1,5;2.5\n");
        assert!(error.contains("comma") || error.contains("point"), "{error}");
        let error = refused(&mut folder, "id;y;z\n1;1,500;2,500\n2;2,500;3,000\n");
        assert!(error.contains("1,500"), "{error}");
    }
}

#[test]
fn outputs_whose_squares_have_no_place_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 3);
    let error = refused(&mut folder, "id,thrust,noise\n1,1,-1.7e308\n2,1,2\n");
    assert!(error.contains("line 2: noise = -1.7e308 is too large to be learned"), "{error}");
    let heard = tell(&mut folder, "id,thrust,noise\n1,1,1e30\n2,1,-1e149\n").unwrap();
    assert_eq!(heard.answers, 2);
    let row =
        |v: f64| dal_campaign::Row { place: "here".into(), id: Some(3), x: None, answer: Answer::Values(vec![1.0, v]) };
    assert!(folder.tell_rows("t", &[row(1e151)], Otherwise::Refuse).is_err());
}

#[test]
fn a_point_is_withdrawn_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    ask(&mut folder, 3);
    assert_eq!(folder.withdraw(&[1, 1, 3]).unwrap(), 2);
    assert_eq!(folder.undo().unwrap(), "2 points withdrawn");
}

/// A campaign's own export, edited: what does not fit its ids is refused, as it always was.
#[test]
fn an_own_export_with_slips_is_not_taken_for_anothers() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 6);
    let table = |decimals: usize, slip: Option<u64>| -> String {
        let line = |point: &Drawn| {
            let x = shown(point, decimals);
            // The slip: the first input is another one.
            let x = match slip {
                Some(id) if id == point.id => format!("{},{}", 10.0, x.split_once(',').unwrap().1),
                _ => x,
            };
            format!("{},{x},{}.5,2,answered,0,,\n", point.id, point.id)
        };
        let head = "id,speed,blades,material,thrust,noise,state,round,probability,part\n".to_owned();
        points.iter().fold(head, |text, point| text + &line(point))
    };
    for (text, says) in
        [(table(17, Some(3)), "its values are not those of point 3"), (table(0, None), "its values are")]
    {
        assert!(refused(&mut folder, &text).contains(says));
    }
    let heard = tell(&mut folder, &table(17, None)).unwrap();
    assert_eq!((heard.answers, heard.adopted), (6, 0));
}

/// Differences are taken between neighbours that agree in seven digits and are told with all of theirs.
#[test]
fn neighbours_in_all_their_digits_are_points_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = begin(dir.path(), |_| {}, &Hands::default());
    let points = ask(&mut folder, 2);
    let head = "speed,blades,material,thrust,noise\n";
    let mut text = head.to_owned();
    for point in &points {
        let Cell::Number(speed) = point.x[0] else { panic!("a number") };
        text += &format!("{speed:?},{},{},1,2\n", point.x[1], point.x[2]);
        text += &format!("{:?},{},{},1.5,2\n", speed * (1.0 + 1e-7), point.x[1], point.x[2]);
    }
    let heard = tell(&mut folder, &text).unwrap();
    assert_eq!((heard.answers, heard.adopted, heard.rounded), (4, 2, 0), "{heard:?}");
    let again = folder.tell(source(&text), Otherwise::Replicate).unwrap();
    assert_eq!((again.repeated, again.answers), (4, 0), "{again:?}");
}
