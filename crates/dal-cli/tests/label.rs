//! `dal label`, `dal problems` and `dal strategies` as a user meets them, bad input included.

mod common;

use std::path::Path;

use common::{refuse, run, succeed, write};

#[test]
fn labels_are_those_of_the_formula() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.csv", "x0,x1,x2,x3\n0,0,0,0\n0.5,-0.25,1,-1\n");
    let out = succeed(dir.path(), &["label", "robo", "--input", "x.csv"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["y0,y1", "2.0,0.0"]);
    // l = (0.5, 0.5, 1): y0 = Σ l cos(π x_i / 2), y1 = x_0 + Σ l sin(π x_i / 2).
    let h = std::f64::consts::FRAC_PI_2;
    let y0 = 0.5 * (-0.25 * h).cos() + 0.5 * h.cos() + (-h).cos();
    let y1 = 0.5 + 0.5 * (-0.25 * h).sin() + 0.5 * h.sin() + (-h).sin();
    let found: Vec<f64> = lines[2].split(',').map(|cell| cell.parse().unwrap()).collect();
    assert!((found[0] - y0).abs() < 1e-12 && (found[1] - y1).abs() < 1e-12, "{found:?}");
}

#[test]
fn settings_choose_the_variant() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.csv", "x0,x1,x2,x3,x4\n0,0,0,0,0\n");
    let out = succeed(dir.path(), &["label", "stack", "--set", "spectrum=absorptance-256", "--input", "x.csv"]);
    let row: Vec<f64> = out.lines().nth(1).unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    assert_eq!(row.len(), 256);
    for (j, expected) in [(0, 0.3626443229), (64, 0.2373873186), (255, 0.0724997077)] {
        assert!((row[j] - expected).abs() < 1e-9, "{j}: {}", row[j]);
    }
    assert_eq!(
        succeed(dir.path(), &["label", "stack", "--input", "x.csv"]).lines().next().unwrap().split(',').count(),
        201
    );
    let args = ["label", "stack", "--set", "spectrum=blue", "--input", "x.csv"];
    refuse(dir.path(), &args, &["spectrum", "blue", "absorptance-256"]);
}

#[test]
fn bad_points_are_named_with_file_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("other.csv", "a,b\n0,0\n", &["other.csv, line 1", "no column `x0`", "it has a, b", "names: x0 or x"][..]),
        ("wide.csv", "0.5,0.5\n", &["wide.csv, line 1", "no header and 2 columns", "names: x0 or x"]),
        ("twice.csv", "x0,x0\n0,0\n", &["twice.csv", "two columns are called `x0`"]),
        ("both.csv", "x,x0\n0,0\n", &["both.csv", "each point twice"]),
        ("text.csv", "x0\n0.5\nhello\n", &["text.csv", "line 3", "hello"]),
        ("ragged.csv", "x0\n0.5\n0.5,0.5\n", &["ragged.csv, line 3", "2 cells"]),
        ("empty.csv", "", &["empty.csv", "holds nothing"]),
        ("header.csv", "x0\n", &["header.csv", "no rows"]),
        ("number.csv", "0\n0.5\n0.5\n", &["number.csv, line 1", "two ways", "header of numbers", "as the first row"]),
    ];
    for (name, text, words) in cases {
        write(dir.path(), name, text);
        refuse(dir.path(), &["label", "sine", "--input", name], words);
    }
    refuse(dir.path(), &["label", "sine", "--input", "absent.csv"], &["absent.csv"]);
    refuse(dir.path(), &["label", "sinus", "--input", "wide.csv"], &["sinus", "sine"]);
    refuse(dir.path(), &["label", "sine", "--set", "order=1", "--input", "wide.csv"], &["order"]);
    refuse(dir.path(), &["label", "absent.toml", "--input", "wide.csv"], &["absent.toml"]);
}

#[test]
fn a_file_of_labels_is_replaced_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("x.csv"), "x0\n0.1\n0.2\n0.3\n").unwrap();
    let args = ["label", "sine", "--input", "x.csv", "--out", "y.csv"];
    succeed(dir.path(), &args);
    let whole = std::fs::read_to_string(path("y.csv")).unwrap();
    assert_eq!(whole.lines().count(), 4);
    let second = whole.lines().nth(2).unwrap();
    for (damaged, says) in [
        (whole.replace(second, "1,0.2,#@!,"), "line 3, column y0: `#@!` is not a number"),
        (whole.replace(second, "1,0.2,,"), "line 3, column y0: the cell is empty"),
        (whole.replace(second, "1,0.2,nan,"), "line 3, column y0: `nan` is no finite number"),
        (whole.replace(second, "1,0.2,1.0,,1.0"), "line 3: 5 cells where the first line has 4"),
        (whole.replace(second, "1,1.2,1.0,"), "line 3, column x0: `1.2` lies outside"),
        (whole.replace("\n0,0.1,", "\n0,0.1,1"), "another problem's"),
        ("my precious notes".to_owned(), "no header of labels"),
        ("my precious notes\n".to_owned(), "no header of labels"),
        ("row,y0\n0,1.0\n".to_owned(), "no column `x0`"),
        ("row,x1,y0\n0,0.1,1.0\n".to_owned(), "x1"),
    ] {
        std::fs::write(path("y.csv"), &damaged).unwrap();
        let (code, _, stderr) = run(dir.path(), &args);
        assert!(code == 2 && stderr.contains("y.csv") && stderr.contains(says), "{damaged:?}: {code} {stderr}");
        assert_eq!(std::fs::read_to_string(path("y.csv")).unwrap(), damaged, "it is left as it was");
    }
    // Cut in the middle of its header, or of a line, it was this program's; so is one of other points.
    std::fs::write(path("z.csv"), "x0\n0.3\n-0.7\n").unwrap();
    succeed(dir.path(), &["label", "sine", "--input", "z.csv", "--out", "other.csv"]);
    let other = std::fs::read_to_string(path("other.csv")).unwrap();
    // Version 0.1.0 wrote line by line, and no column of failures.
    let old: String = whole.lines().map(|line| format!("{}\n", line.rsplit_once(',').unwrap().0)).collect();
    let saved = format!("\u{feff}{}", whole.replace(',', ";").replace('.', ",").replace('\n', "\r\n"));
    for kept in ["", &whole[..3], &old, &old[..old.len() - 4], &other, &saved] {
        std::fs::write(path("y.csv"), kept).unwrap();
        succeed(dir.path(), &args);
        assert_eq!(std::fs::read_to_string(path("y.csv")).unwrap(), whole);
    }
    let nowhere = ["label", "sine", "--input", "x.csv", "--out", "no/such/folder/y.csv"];
    refuse(dir.path(), &nowhere, &["no/such/folder/y.csv", "cannot be written"]);
    refuse(dir.path(), &["label", "sine", "--input", "x.csv", "--out", "."], &["no regular file"]);
    refuse(dir.path(), &["label", "sine", "--kept"], &["--kept", "cost nothing"]);
    assert_eq!(run(dir.path(), &["label", "sine"]).0, 2);
}

#[test]
#[cfg(target_os = "linux")]
fn labels_that_cannot_be_written_end_the_calls() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s.toml"), ONE_AT_A_TIME).unwrap();
    let rows: String = (0..50).map(|i| format!("{i}\n")).collect();
    std::fs::write(dir.path().join("a.csv"), format!("a\n{rows}")).unwrap();
    let script = |redirect: &str| {
        let dal = env!("CARGO_BIN_EXE_dal");
        let command = format!("'{dal}' label s.toml --input a.csv {redirect}");
        let status = std::process::Command::new("sh").args(["-c", &command]).current_dir(dir.path()).status().unwrap();
        let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap().lines().count();
        std::fs::remove_file(dir.path().join("calls")).unwrap();
        (status.code(), calls)
    };
    let (code, calls) = script("> /dev/full 2> /dev/null");
    assert!(code == Some(2) && calls < 50, "{code:?} {calls}");
    // Standard error that cannot be written costs no label, and what was answered before is kept.
    let (code, others) = script("--out out.csv 2> /dev/full");
    assert!(code == Some(1) && (50 - calls..=50).contains(&others), "{code:?} {calls} {others}");
    let kept = std::fs::read_to_string(dir.path().join("out.csv")).unwrap();
    assert!(kept.lines().count() == 51 && kept.contains("\n7,7,,"), "{kept}");
}

/// Doubles its point, in calls of one row; refuses point 7.
#[cfg(target_os = "linux")]
const ONE_AT_A_TIME: &str = r#"
name = "s"
[[inputs]]
name = "a"
low = 0
high = 100
[[outputs]]
name = "y"
[oracle.command]
program = ["sh", "-c", "echo >> calls; awk -F, 'NR==1 {print \"y\"} NR>1 {if ($1 == 7) print \"error\"; else print 2*$1}'; sleep 0.03"]
time_limit = 30
rows_per_call = 1
"#;

#[test]
fn catalogues_are_readable_by_machines() {
    let dir = tempfile::tempdir().unwrap();
    for list in ["problems", "strategies"] {
        let json: serde_json::Value = serde_json::from_str(&succeed(dir.path(), &[list, "--format", "json"])).unwrap();
        let ids: Vec<&str> = json.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        let csv = succeed(dir.path(), &[list, "--format", "csv"]);
        assert_eq!(csv.lines().count(), ids.len() + 1);
        for id in ids {
            assert!(succeed(dir.path(), &[list]).contains(id));
            assert!(succeed(dir.path(), &[list, id]).contains(id));
        }
        refuse(dir.path(), &[list, "nonsense"], &["nonsense"]);
    }
}

#[test]
fn a_program_of_ones_own_is_fed_physical_values_and_may_die_on_a_row() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "simulator.toml",
        r#"
name = "simulator"
[[inputs]]
name = "load"
low = 0.0
high = 10.0
[[inputs]]
name = "material"
levels = ["steel", "wood"]
[[outputs]]
name = "deflection"
[oracle.command]
program = ["sh", "simulate.sh"]
time_limit = 20.0
"#,
    );
    // Answers with the load, twice as much for wood; dies at 7.
    write(
        dir.path(),
        "simulate.sh",
        r#"read header; echo deflection
while IFS=, read -r load material; do
  case "$load,$material" in
    7,*|7.0,*) echo "mesh failed" >&2; kill -SEGV $$ ;;
    *,wood) echo "${load%.*}.5" ;;
    *) echo "$load" ;;
  esac
done
"#,
    );
    write(dir.path(), "x.csv", "load,material\n5,steel\n6,wood\n7,steel\n8,steel\n");
    let (code, stdout, stderr) = run(dir.path(), &["label", "simulator.toml", "--input", "x.csv"]);
    assert_eq!(code, 1, "{stderr}");
    // The row behind it is tried again by itself.
    assert_eq!(stdout, "deflection\n5.0\n6.5\n\"\"\n8.0\n");
    assert!(stderr.contains("row 2: crashed") && stderr.contains("mesh failed"), "{stderr}");
    // Points outside the bounds never reach the program; columns in another order and beside others do.
    write(dir.path(), "x.csv", "run,material,load\na,glass,5\nb,wood,11\nc,wood,6\nd,steel,nan\n");
    let (code, stdout, stderr) = run(dir.path(), &["label", "simulator.toml", "--input", "x.csv"]);
    assert_eq!((code, stdout.as_str()), (1, "deflection\n\"\"\n\"\"\n6.5\n\"\"\n"), "{stderr}");
    for words in [
        "row 0: refused: line 2, column material: `glass` is none of the levels steel, wood",
        "row 1: refused: line 3, column load: `11` lies outside [0, 10]",
        "row 3: refused: line 5, column load: `nan` is no finite number",
        "x.csv: ignored columns: run",
        "3 of 4 rows have no label",
    ] {
        assert!(stderr.contains(words), "{words:?} is not in\n{stderr}");
    }
    write(dir.path(), "x.csv", "load,colour\n5,red\n");
    refuse(
        dir.path(),
        &["label", "simulator.toml", "--input", "x.csv"],
        &["x.csv, line 1", "no column `material`", "names: x0,x1,x2 or load,material"],
    );
    write(dir.path(), "x.csv", "load,material\nfive,wood\n");
    refuse(dir.path(), &["label", "simulator.toml", "--input", "x.csv"], &["line 2", "load", "five"]);
}

/// The labels of a problem at points under these headers.
fn label(folder: &Path, problem: &[&str], header: &str, rows: &[String]) -> Vec<Vec<f64>> {
    write(folder, "p.csv", &format!("{header}\n{}\n", rows.join("\n")));
    let args = [&["label"], problem, &["--input", "p.csv"]].concat();
    let out = succeed(folder, &args);
    out.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

#[test]
fn built_in_problems_take_physical_values() {
    let dir = tempfile::tempdir().unwrap();
    // J_α(2.5) for α = 0..9, by the power series in exact fractions; a step of the staircase begins at its whole
    // number.
    let j = [
        -0.048383776468198,
        0.49709410246427405,
        0.44605905843961724,
        0.21660039103911352,
        0.07378188005425523,
        0.01950162513450322,
        0.004224620483757647,
        0.000776553187533485,
        0.0001240773664298689,
        1.754195761767601e-05,
    ];
    let rows: Vec<String> = (0..10).map(|alpha| format!("2.5,{alpha}")).collect();
    for problem in [&["bessel"][..], &["bessel", "--set", "order=staircase"]] {
        for (alpha, y) in label(dir.path(), problem, "z,alpha", &rows).iter().enumerate() {
            assert!((y[0] - j[alpha]).abs() < 1e-12, "{problem:?}: J_{alpha}: {y:?}");
        }
    }
    let staircase = ["bessel", "--set", "order=staircase"];
    let y = label(dir.path(), &staircase, "alpha,z", &["3.999,2.5".into(), "10,2.5".into()]);
    assert!((y[0][0] - j[3]).abs() < 1e-12 && (y[1][0] - j[9]).abs() < 1e-12, "{y:?}");
    // In its default the order is a whole number.
    write(dir.path(), "x.csv", "alpha,z\n3.5,2.5\n10,1\n3,2.5\n");
    let (code, stdout, stderr) = run(dir.path(), &["label", "bessel", "--input", "x.csv"]);
    assert_eq!((code, stdout.lines().count()), (1, 4), "{stderr}");
    assert!(stderr.contains("row 0: refused: line 2, column alpha: `3.5` is no whole number"), "{stderr}");
    assert!(stderr.contains("row 1: refused") && !stderr.contains("row 2"), "{stderr}");

    // a exp(-b t) cos(α t), t = 0.1 k.
    let y = &label(dir.path(), &["damp"], "frequency,amplitude,damping", &["2,1.25,0.3".into()])[0];
    for (k, y) in y.iter().enumerate() {
        let t = 0.1 * k as f64;
        assert!((y - 1.25 * (-0.3 * t).exp() * (2.0 * t).cos()).abs() < 1e-12, "{k}");
    }
}

#[test]
fn every_built_in_problem_takes_either_header() {
    let dir = tempfile::tempdir().unwrap();
    let list: serde_json::Value =
        serde_json::from_str(&succeed(dir.path(), &["problems", "--format", "json"])).unwrap();
    for id in list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()) {
        let card: serde_json::Value =
            serde_json::from_str(&succeed(dir.path(), &["problems", id, "--format", "json"])).unwrap();
        let inputs = card["inputs"].as_array().unwrap();
        let unit: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
        let physical: Vec<&str> = inputs.iter().map(|input| input["name"].as_str().unwrap()).collect();
        let ends = |key: &str| inputs.iter().map(|input| input[key].to_string()).collect::<Vec<_>>().join(",");
        let on_box = ["-1", "1"].map(|v| vec![v; unit.len()].join(","));
        let lows_and_highs = [ends("low"), ends("high")];
        let expected = label(dir.path(), &[id], &unit.join(","), &on_box);
        assert_eq!(label(dir.path(), &[id], &physical.join(","), &lows_and_highs), expected, "{id}");
        let mut turned = unit.clone();
        turned.reverse();
        assert_eq!(label(dir.path(), &[id], &turned.join(","), &on_box), expected, "{id}");
    }
}

#[test]
fn rows_outside_the_box_fail_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.csv", "x0\n0.5\n1.5\nNaN\n-1\n");
    let args = ["label", "sine", "--input", "x.csv"];
    let (code, stdout, stderr) = run(dir.path(), &args);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!((code, lines.len(), lines[2], lines[3]), (1, 5, "\"\"", "\"\""), "{stderr}");
    assert!(lines[1].parse::<f64>().is_ok() && lines[4].parse::<f64>().is_ok());
    for words in ["row 1: refused: line 3, column x0: `1.5` lies outside [-1, 1]", "row 2: refused", "2 of 4 rows"] {
        assert!(stderr.contains(words), "{words:?} is not in\n{stderr}");
    }
    let (code, _, stderr) = run(dir.path(), &[&args[..], &["--out", "y.csv"]].concat());
    let kept = std::fs::read_to_string(dir.path().join("y.csv")).unwrap();
    assert_eq!((code, kept.lines().count()), (1, 5), "{stderr}");
    assert!(kept.contains("\n1,1.5,,\"refused: line 3, column x0: `1.5` lies outside [-1, 1]\"\n2,NaN,,"), "{kept}");
    let again = run(dir.path(), &[&args[..], &["--out", "y.csv"]].concat());
    assert!(again.0 == 1 && again.2.contains("2 of 4 rows have no label"), "{}", again.2);
    assert_eq!(std::fs::read_to_string(dir.path().join("y.csv")).unwrap(), kept);
}

/// Twice the input; refuses 7 while the file `down` is there.
const TWICE: &str = r#"
name = "twice"
[[inputs]]
name = "a"
low = 0
high = 100
[[inputs]]
name = "material"
levels = [1, 2, "Strömung"]
[[outputs]]
name = "drag"
[oracle.command]
program = ["sh", "twice.sh"]
rows_per_call = 1
time_limit = 30
"#;

const TWICE_SH: &str = r#"
IFS=, read -r header; echo drag
while IFS=, read -r a material; do
  echo "$a,$material" >> asked
  if [ "$a" = 7 ] && [ -e down ]; then echo "error: no licence"; else echo "${a%.*}.5"; fi
done
"#;

#[test]
fn labels_come_in_the_order_of_the_input_or_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "t.toml", &TWICE.replace("rows_per_call = 1", "rows_per_call = 1\nparallel = 4"));
    write(dir.path(), "twice.sh", &TWICE_SH.replace("echo \"${a%.*}.5\"", "sleep \"0.$a\"; echo \"$a.5\""));
    write(dir.path(), "x.csv", "a,material\n9,2\n6,2\n3,2\n1,1\n");
    let args = ["label", "t.toml", "--input", "x.csv"];
    assert_eq!(succeed(dir.path(), &args), "drag\n9.5\n6.5\n3.5\n1.5\n");
    let rows = |text: String| -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    // Answers that are kept come at once, so each call has its own.
    let come = succeed(dir.path(), &[&args[..], &["--as-they-come", "--answers", "1"]].concat());
    assert!(come.starts_with("row,drag\n"), "{come}");
    assert_eq!(rows(come), ["3", "2", "1", "0"]);
    let kept = |name: &str| rows(std::fs::read_to_string(dir.path().join(name)).unwrap());
    succeed(dir.path(), &[&args[..], &["--out", "sorted.csv", "--answers", "2"]].concat());
    assert_eq!(kept("sorted.csv"), ["0", "1", "2", "3"]);
}

#[test]
fn a_users_card_shows_inputs_bounds_levels_and_the_oracle() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "twice.sh", TWICE_SH);
    let text = TWICE.replace(
        "[[outputs]]",
        "[[inputs]]\nname = \"n\"\nlow = 1\nhigh = 64\ninteger = true\nscale = \"log\"\n\
                                             [[inputs]]\nname = \"load\"\nlow = 7.5\nhigh = 7.5\n[[outputs]]",
    );
    write(dir.path(), "t.toml", &text);
    let card = succeed(dir.path(), &["problems", "t.toml"]);
    for words in [
        "answered by the program sh twice.sh",
        "1 point a call",
        "1, 2, Strömung",
        "whole number, log scale",
        "not varied",
    ] {
        assert!(card.contains(words), "{words:?} is not in\n{card}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&succeed(dir.path(), &["problems", "t.toml", "--format", "json"])).unwrap();
    assert_eq!((&json[0]["low"], &json[0]["high"], &json[2]["high"]), (&0.0.into(), &100.0.into(), &64.into()));
}

#[test]
fn points_that_are_a_row_but_for_rounding_are_counted_with_those_at_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "t.toml",
        "name = \"t\"\n[[inputs]]\nname = \"a\"\n[[inputs]]\nname = \"b\"\n[[outputs]]\nname = \"y\"\n\
         [oracle.table]\nfile = \"t.csv\"\n",
    );
    write(dir.path(), "t.csv", "a,b,y\n0,1,10\n0.3,2,20\n1,3,30\n0.5,2.5,40\n");
    let label = |text: &str| {
        write(dir.path(), "x.csv", text);
        run(dir.path(), &["label", "t.toml", "--input", "x.csv"])
    };
    // One value beyond a bound, three beside rows; 0.3000001 is another point.
    let (code, stdout, stderr) =
        label("a,b\n1.0000000000000002,3\n0.30000000000000004,2.0000000000004\n0.5000000000001,2.5\n0.3000001,2\n");
    assert_eq!((code, stdout.as_str()), (1, "y\n30.0\n20.0\n40.0\n\"\"\n"), "{stderr}");
    let note = "x.csv: 4 values beyond a bound or beside a row of the table by no more than rounding (at most 2e-13 of";
    assert!(stderr.contains(note) && stderr.matches("x.csv: ").count() == 1, "{stderr}");
    let (code, _, stderr) = label("a,b\n0.3,2.0000000000004\n0.5,2.5\n");
    assert!(code == 0 && stderr.contains("x.csv: 1 value beside a row of the table by no more than"), "{stderr}");
    let (code, _, stderr) = label("a,b\n0.3,2\n0.5,2.5\n");
    assert!(code == 0 && !stderr.contains("moved"), "{stderr}");
    // A labelled row is not offered again because its number was rounded.
    write(dir.path(), "l.csv", "a,b,y\n0.30000000000000004,2,20\n0,1,10\n");
    let select = ["select", "random", "--problem", "t.toml", "--labelled", "l.csv", "-n", "2", "--format", "rows"];
    let (code, stdout, stderr) = run(dir.path(), &select);
    let mut rows: Vec<&str> = stdout.lines().collect();
    rows.sort_unstable();
    assert_eq!((code, rows), (0, vec!["2", "3"]), "{stderr}");
    assert!(stderr.contains("l.csv: 1 value beside a row of the table"), "{stderr}");
}

#[test]
fn points_and_tables_of_every_dialect_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let table = "name = \"t\"\n[[inputs]]\nname = \"speed\"\n[[inputs]]\nname = \"angle\"\n[[outputs]]\nname = \"force\"\n\
                 [oracle.table]\nfile = \"t.csv\"\n";
    write(dir.path(), "t.toml", table);
    write(dir.path(), "t.csv", "\u{feff};speed;angle;force;note\r\n0;1,5;7;3,25;x\r\n1;2,5;7,0;1,5D+03;\r\n;;;;\r\n");
    write(dir.path(), "x.csv", "angle\tspeed\n7\t2.5000000000000004\n7\t1.5\n7\t2\n7.5\t2.5\n");
    let (code, stdout, stderr) = run(dir.path(), &["label", "t.toml", "--input", "x.csv"]);
    assert_eq!((code, stdout.as_str()), (1, "force\n1500.0\n3.25\n\"\"\n\"\"\n"), "{stderr}");
    for words in [
        "t.csv: read with `;` between cells and decimal commas",
        "t.csv: its first column, a running number without a name, was left out",
        "t.csv: column angle holds 7 in every row",
        "x.csv: read with tabs between cells",
        "x.csv: 1 value beyond a bound by no more than rounding",
        "row 2: refused: the table",
        "has no row at speed = 2; the nearest, line ",
        "row 3: refused: line 5, column angle: `7.5` is another value than 7, at which this input is fixed",
    ] {
        assert!(stderr.contains(words), "{words:?} is not in\n{stderr}");
    }
    let latin: Vec<u8> =
        "speed,angle,force,T [?C]\n1,2,3,4\n".bytes().map(|b| if b == b'?' { 0xb0 } else { b }).collect();
    std::fs::write(dir.path().join("t.csv"), latin).unwrap();
    refuse(
        dir.path(),
        &["label", "t.toml", "--input", "x.csv"],
        &["t.csv, line 1", "Windows-1252", "save it as UTF-8"],
    );
    write(dir.path(), "t.csv", "speed,angle,force\n1,2,3\n1,2,4\n5,2,4\n");
    refuse(dir.path(), &["label", "t.toml", "--input", "x.csv"], &["t.csv, line 3, column force", "duplicates"]);
    // A table says of its own bounds what is wrong with them.
    write(dir.path(), "t.csv", "speed,angle,force\n0,2,3\n1,3,4\n");
    write(dir.path(), "t.toml", &table.replacen("\"speed\"\n", "\"speed\"\nscale = \"log\"\n", 1));
    let words = ["t.csv: column speed runs from 0 to 1", "low above 0", "give low and high in t.toml"];
    refuse(dir.path(), &["label", "t.toml", "--input", "x.csv"], &words);
    for (keys, words) in [
        ("low = 0\nhigh = inf\n", ["inputs[0].high (`speed`)", "high is inf; bounds must be finite"]),
        ("low = 1e-300\nhigh = 1e300\nscale = \"log\"\n", ["inputs[0].scale", "their ratio"]),
        ("low = -1e308\nhigh = 1e308\n", ["inputs[0].low", "their difference"]),
        ("low = 0\nhigh = 9007199254740993\ninteger = true\n", ["inputs[0].high", "2^53"]),
    ] {
        write(dir.path(), "t.toml", &table.replacen("\"speed\"\n", &format!("\"speed\"\n{keys}"), 1));
        refuse(dir.path(), &["label", "t.toml", "--input", "x.csv"], &words);
    }
}
