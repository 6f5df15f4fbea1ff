//! `dal select` on tables as users' tools write them, and on a problem's own values, levels and box.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{refuse, run, succeed, write};

const PROPELLER: &str = r#"
name = "propeller"
[[inputs]]
name = "speed"
low = 1.0
high = 100.0
scale = "log"
[[inputs]]
name = "blades"
integer = true
low = 2
high = 6
[[inputs]]
name = "material"
levels = ["steel", "=wood"]
[[outputs]]
name = "thrust"
transform = "log"
[oracle.command]
program = ["sh", "-c", "exit 1"]
time_limit = 1
"#;

fn select(folder: &Path, args: &[&str]) -> String {
    succeed(folder, &[&["select"], args].concat())
}

fn pool(folder: &Path) {
    write(
        folder,
        "px.csv",
        "blades;material;speed\n2;steel;1\n4,0;wood;10\n6;steel;100\n2;steel;1,5\n".replace("wood", "'=wood").as_str(),
    );
}

#[test]
fn distances_are_those_of_the_box_and_picks_are_told_by_value() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "p.toml", PROPELLER);
    pool(dir.path());
    write(
        dir.path(),
        "l.csv",
        "row,speed,blades,material,thrust,failure\n0,1,2,steel,3.5,\n1,700,2,steel,,refused: outside\n",
    );
    let args = ["gsx", "--problem", "p.toml", "--labelled", "l.csv", "--pool", "px.csv", "-n", "3"];
    // On the box: (-1, -1, 1, -1) is labelled; row 2 is 2√2 away, row 1 √(1 + 1 + 8), row 3 2 ln 1.5 / ln 100.
    let csv = select(dir.path(), &args);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "row,speed,blades,material,distance");
    assert!(lines[1].starts_with("1,10.0,4,'=wood,3.16227766"), "{csv}");
    assert!(lines[2].starts_with("2,100.0,6,steel,2.82842712") && lines[3].starts_with("3,1.5,2,steel,0.176"), "{csv}");
    assert_eq!(select(dir.path(), &[&args[..], &["--format", "rows"]].concat()), "1\n2\n3\n");
    let json: serde_json::Value =
        serde_json::from_str(&select(dir.path(), &[&args[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!((&json["picks"][0]["x"]["material"], &json["problem"]), (&"=wood".into(), &"propeller".into()));
    let (_, _, stderr) = run(dir.path(), &[&["select"], &args[..]].concat());
    assert!(stderr.contains("1 of 2 labelled rows have no answer"), "{stderr}");
    // What was printed is read again as a pool.
    write(dir.path(), "again.csv", &csv);
    let again = ["gsx", "--problem", "p.toml", "--labelled", "l.csv", "--pool", "again.csv", "-n", "1"];
    assert!(select(dir.path(), &again).lines().nth(1).unwrap().starts_with("0,10.0,4,'=wood,3.16227766"));
}

#[test]
fn a_pool_is_drawn_and_labels_are_asked_for_only_where_they_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "p.toml", PROPELLER);
    let args = ["random", "--problem", "p.toml", "--pool-size", "50", "-n", "4"];
    let first = select(dir.path(), &args);
    assert_eq!(select(dir.path(), &args), first);
    assert_ne!(select(dir.path(), &[&args[..], &["--seed", "1"]].concat()), first);
    for line in first.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let (speed, blades): (f64, u32) = (cells[1].parse().unwrap(), cells[2].parse().unwrap());
        assert!((1.0..=100.0).contains(&speed) && (2..=6).contains(&blades), "{line}");
    }
    // Greedy sampling begins near the middle of the pool.
    let csv = select(dir.path(), &["gsx", "--problem", "p.toml", "-n", "3"]);
    assert!(csv.lines().count() == 4 && csv.lines().nth(1).unwrap().ends_with(','), "{csv}");
    pool(dir.path());
    for (method, words) in
        [("gsy", ["gsy", "--labelled-y", "answers of labelled points"]), ("qbc", ["qbc", "--members", "uncertainty"])]
    {
        refuse(dir.path(), &["select", method, "--problem", "p.toml", "--pool", "px.csv", "-n", "1"], &words);
    }
    write(dir.path(), "bad.csv", "speed,blades,material\n1,2,steel\n0.5,2,steel\n");
    let args = ["select", "random", "--problem", "p.toml", "--pool", "bad.csv", "-n", "1"];
    refuse(dir.path(), &args, &["bad.csv, line 3, column speed", "`0.5` lies outside [1, 100]", "take the row out"]);
    refuse(dir.path(), &["select", "random", "-n", "1"], &["--pool", "--problem"]);
    refuse(dir.path(), &["select", "random", "--pool", "px.csv", "--labelled", "l.csv"], &["--labelled", "--problem"]);
}

const SMALL: &str = "name = \"small\"\n[[inputs]]\nname = \"b\"\ninteger = true\nlow = 0\nhigh = 2\n\
    [[inputs]]\nname = \"c\"\nlevels = [\"u\", \"v\"]\n[[outputs]]\nname = \"y\"\n";

#[test]
fn designs_need_a_problem_and_go_on_behind_what_is_labelled() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "p.toml", PROPELLER);
    write(dir.path(), "numbers.csv", "a,b\n400,0.5\n700,0.25\n900,0.75\n");
    for method in ["sobol", "lhs"] {
        refuse(dir.path(), &["select", method, "--pool", "numbers.csv", "-n", "1"], &[method, "--problem"]);
    }
    let places = |args: &[&str]| -> Vec<String> {
        let all = [&["sobol", "--problem", "p.toml"], args].concat();
        select(dir.path(), &all).lines().skip(1).map(|line| line.split_once(',').unwrap().1.to_owned()).collect()
    };
    let all = places(&["-n", "12"]);
    // The last of the first batch failed.
    let label = |(k, place): (usize, &String)| format!("{k},{place},{}\n", if k < 7 { "2.5," } else { ",crashed: 1" });
    let labels: String = all[..8].iter().enumerate().map(label).collect();
    write(dir.path(), "l.csv", &format!("row,speed,blades,material,thrust,failure\n{labels}"));
    assert_eq!(places(&["--labelled", "l.csv", "-n", "4"]), all[8..]);
}

#[test]
fn no_point_of_a_small_space_is_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "small.toml", SMALL);
    let points = |csv: &str| -> BTreeSet<String> {
        csv.lines().skip(1).map(|line| line.split(',').skip(1).take(2).collect::<Vec<_>>().join(",")).collect()
    };
    for (method, n) in [("gsx", "10"), ("random", "7"), ("gsx", "6")] {
        let args = ["select", method, "--problem", "small.toml", "-n", n];
        let (code, stdout, stderr) = run(dir.path(), &args);
        assert_eq!((code, stdout.lines().count(), points(&stdout).len()), (0, 7, 6), "{stdout}{stderr}");
        assert!(stderr.contains("994 of them are the same as others, so that 6 different ones are left"), "{stderr}");
        assert_eq!(stderr.contains(&format!("only 6 of {n} points")), n != "6", "{stderr}");
    }
    // Those that are labelled are no candidates, nor are those that failed.
    write(dir.path(), "l.csv", "row,b,c,y,failure\n0,1,u,3,\n1,2,v,,refused: too big\n2,0,u,,crashed: status 1\n");
    let (code, stdout, stderr) =
        run(dir.path(), &["select", "gsx", "--problem", "small.toml", "--labelled", "l.csv", "-n", "6"]);
    let due = ["0,v", "1,v", "2,u"].map(str::to_owned).into();
    assert!(code == 0 && points(&stdout) == due, "{stdout}{stderr}");
    assert!(stderr.contains("2 of 3 labelled rows have no answer") && stderr.contains("no candidates"), "{stderr}");
    let all: Vec<String> = ["u", "v"].iter().flat_map(|c| (0..3).map(move |b| format!("{b},{c},,lost"))).collect();
    write(dir.path(), "all.csv", &format!("b,c,y,failure\n{}\n", all.join("\n")));
    let args = ["select", "gsx", "--problem", "small.toml", "--labelled", "all.csv", "-n", "6"];
    refuse(dir.path(), &args, &["every point is without an answer"]);
}

/// On a logarithmic scale the values that are printed do not lead back to quite the same point.
#[test]
fn what_failed_is_not_picked_again() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "p.toml", PROPELLER);
    let args = ["gsx", "--problem", "p.toml", "--pool-size", "60", "-n", "8"];
    let first = select(dir.path(), &args);
    // Every second one fails.
    let cut = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
    let lines: Vec<String> = first.lines().skip(1).map(cut).collect();
    let answer = |(at, line): (usize, &String)| match at % 2 {
        0 => format!("{line},1.5,\n"),
        _ => format!("{line},,refused: stalled\n"),
    };
    let rows: String = lines.iter().enumerate().map(answer).collect();
    write(dir.path(), "l.csv", &format!("row,speed,blades,material,thrust,failure\n{rows}"));
    let again = |pool: &[&str]| select(dir.path(), &[&args[..3], pool, &["--labelled", "l.csv", "-n", "20"]].concat());
    let drawn = again(&["--pool-size", "60"]);
    assert_eq!(drawn.lines().count(), 21);
    assert!(drawn.lines().skip(1).all(|line| !lines.contains(&cut(line))), "{drawn}");
    // A pool of the user's own may hold labelled points; failed ones are left out of it, too.
    write(
        dir.path(),
        "px.csv",
        &select(dir.path(), &["random", "--problem", "p.toml", "--pool-size", "60", "-n", "60"]),
    );
    let of_file = again(&["--pool", "px.csv"]);
    let points = |text: &str| -> BTreeSet<String> {
        text.lines().skip(1).map(|line| line.split(',').skip(1).take(3).collect::<Vec<_>>().join(",")).collect()
    };
    let failed =
        points(&format!("\n{}", lines.iter().skip(1).step_by(2).map(|l| format!("{l}\n")).collect::<String>()));
    assert_eq!((points(&of_file).len(), failed.len()), (20, 4));
    assert!(points(&of_file).is_disjoint(&failed), "{of_file}\n{failed:?}");
}

#[test]
fn columns_beside_the_inputs_have_names_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "px.csv", "row,distance\n0.5,1\n1.5,2.5\n3.5,3\n");
    let csv = select(dir.path(), &["gsx", "--pool", "px.csv", "-n", "2", "--format", "csv"]);
    assert!(csv.starts_with("row_,row,distance,distance_\n"), "{csv}");
}

/// Read apart, the inputs would have decimal commas and the outputs decimal points.
#[test]
fn points_and_labels_of_one_file_are_read_in_one_way() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "p.toml", PROPELLER);
    pool(dir.path());
    let args = ["gsy", "--problem", "p.toml", "--labelled", "l.csv", "--pool", "px.csv", "-n", "1"];
    write(dir.path(), "l.csv", "speed;blades;material;thrust\n1,5;2;steel;3.500\n2,5;3;steel;4.250\n");
    refuse(dir.path(), &[&["select"], &args[..]].concat(), &["l.csv, line 2, column speed", "`1,5` has a comma"]);
    write(dir.path(), "l.csv", "speed;blades;material;thrust\n1,5;2;steel;3,500\n2,5;3;steel;4,25\n");
    let (_, _, stderr) = run(dir.path(), &[&["select"], &args[..]].concat());
    assert_eq!(stderr.matches("l.csv: read with").count(), 1, "{stderr}");
}

#[test]
fn a_tables_rows_are_its_pool_without_those_that_are_labelled() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "t.csv", "a,y\n1,5\n2,6\n3,7\n9,8\n");
    write(
        dir.path(),
        "t.toml",
        "name = \"t\"\n[[inputs]]\nname = \"a\"\n[[outputs]]\nname = \"y\"\n[oracle.table]\nfile = \"t.csv\"\n",
    );
    write(dir.path(), "l.csv", "a,y\n1,5\n9,8\n");
    let csv = select(dir.path(), &["random", "--problem", "t.toml", "--labelled", "l.csv", "-n", "2"]);
    let mut rows: Vec<&str> = csv.lines().skip(1).collect();
    rows.sort_unstable();
    assert_eq!(rows, ["1,2.0", "2,3.0"]);
    refuse(dir.path(), &["select", "random", "--problem", "t.toml", "--labelled", "l.csv", "-n", "3"], &["3", "2"]);
}

#[test]
fn members_of_one_output_may_have_two_dimensions_and_any_type() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "px.csv", "a;b\n0,5;1\n1;2,5\n3;3\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{:<117}\n", "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }");
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend([1_i16, 1, 1, 1, 9, 4].into_iter().flat_map(i16::to_le_bytes));
    std::fs::write(dir.path().join("m.npy"), bytes).unwrap();
    // Nothing is labelled: the members' disagreement is all that counts.
    assert_eq!(select(dir.path(), &["qbc", "--pool", "px.csv", "--members", "m.npy", "-n", "2"]), "1\n2\n");
}

#[test]
fn first_lines_are_judged_by_all_files_together() {
    let dir = tempfile::tempdir().unwrap();
    let (lx, ly, px) =
        ("6.5,2.75\n0.5,0.25\n8.25,9.5\n", "-0.5\n0.75\n-1.25\n", "8.5,0.5\n7.25,1.75\n0.75,5.5\n3.5,4.25\n");
    let args = ["gsx", "--labelled-x", "lx.csv", "--labelled-y", "ly.csv", "--pool", "px.csv", "-n", "3"];
    let put = |lx: &str, ly: &str, px: &str| {
        write(dir.path(), "lx.csv", lx);
        write(dir.path(), "ly.csv", ly);
        write(dir.path(), "px.csv", px);
    };
    put(&format!("a,b\n{lx}"), &format!("y\n{ly}"), &format!("a,b\n{px}"));
    let due = select(dir.path(), &args);
    for (head_x, head_y) in [("", ""), ("0,1\n", "0\n"), ("a,b\n", ""), ("400,410\n", "y\n")] {
        put(&format!("{head_x}{lx}"), &format!("{head_y}{ly}"), &format!("{head_x}{px}"));
        assert_eq!(select(dir.path(), &args), due, "{head_x:?} {head_y:?}");
    }
    put(lx, ly, &px.replacen("8.5", "NA", 1));
    refuse(dir.path(), &[&["select"], &args[..]].concat(), &["px.csv, line 1, column 1", "`NA`", "no header"]);
}
