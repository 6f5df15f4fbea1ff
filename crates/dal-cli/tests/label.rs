//! `dal label`, `dal problems` and `dal strategies` as a user meets them, bad input included.

mod common;

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
        ("wide.csv", "x0,x1\n0,0\n", &["wide.csv", "x0,x1", "takes x0"][..]),
        ("outside.csv", "x0\n0.5\n1.5\n", &["outside.csv", "row 1", "1.5", "[-1, 1]"]),
        ("nan.csv", "x0\n0.5\nNaN\n", &["nan.csv", "line 3", "x0", "NaN"]),
        ("text.csv", "x0\n0.5\nhello\n", &["text.csv", "line 3", "hello"]),
        ("ragged.csv", "x0\n0.5\n0.5,0.5\n", &["ragged.csv", "line 3", "2 columns"]),
        ("empty.csv", "", &["empty.csv", "no rows"]),
        ("header.csv", "x0\n", &["header.csv", "no rows"]),
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
fn labels_in_a_file_are_not_asked_for_twice() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.csv", "x0\n0.1\n0.2\n0.3\n");
    let args = ["label", "sine", "--input", "x.csv", "--out", "y.csv"];
    succeed(dir.path(), &args);
    let whole = std::fs::read_to_string(dir.path().join("y.csv")).unwrap();
    assert_eq!(whole.lines().count(), 4);
    // Killed while writing the last line: the torn line goes, the others stay, the missing one is added.
    let cut = whole.len() - 5;
    std::fs::write(dir.path().join("y.csv"), &whole[..cut]).unwrap();
    let (code, _, stderr) = run(dir.path(), &args);
    assert_eq!((code, stderr.contains("2 of 3 rows are labelled already")), (0, true), "{stderr}");
    assert_eq!(std::fs::read_to_string(dir.path().join("y.csv")).unwrap(), whole);
    write(dir.path(), "y.csv", "row,y0\n7,1.0\n");
    refuse(dir.path(), &args, &["y.csv", "line 2"]);
}

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
    assert_eq!(stdout, "y0\n5.0\n6.5\n\"\"\n\"\"\n");
    assert!(stderr.contains("row 2: crashed") && stderr.contains("mesh failed"), "{stderr}");
    write(dir.path(), "x.csv", "load,material\n5,glass\n");
    refuse(
        dir.path(),
        &["label", "simulator.toml", "--input", "x.csv"],
        &["line 2", "material", "glass", "steel, wood"],
    );
    write(dir.path(), "x.csv", "load,material\n11,wood\n");
    refuse(dir.path(), &["label", "simulator.toml", "--input", "x.csv"], &["11", "[0, 10]"]);
}
