//! Tables that a campaign begins with, and names that the tables which it writes have for themselves.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{dal, refuse, run, succeed, write};

#[test]
fn a_column_is_never_left_out_for_its_name_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "d.csv", "distance,angle,y\n0.5,1,3\n1.5,2,4.5\n2.5,1,6\n3.5,3,8\n1.1,2,2\n");
    refuse(at, &["new", "di", "--from-csv", "d.csv"], &["d.csv", "`distance`", "rename it", "--ignore distance"]);
    refuse(
        at,
        &["new", "di", "--from-csv", "d.csv", "--ignore", "distance", "--linear", "distance"],
        &["--linear names `distance`, which is left out (as it was told)"],
    );
    assert!(!at.join("di").exists());
    succeed(at, &["new", "di", "--from-csv", "d.csv", "--ignore", "distance"]);
    // What dal wrote itself begins another campaign as it is.
    write(at, "e.csv", &succeed(at, &["export", "di", "--to", "csv"]));
    let said = succeed(at, &["new", "again", "--from-csv", "e.csv"]);
    assert!(said.contains("outputs: y") && said.contains("5 answers taken in, 0 failed points"), "{said}");
    write(at, "e.dat", &succeed(at, &["export", "di", "--to", "dakota"]));
    let said = succeed(at, &["new", "study", "--from-dakota", "e.dat"]);
    assert!(said.contains("5 answers taken in, 0 failed points"), "{said}");
}

#[test]
fn names_of_columns_that_predictions_add_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "t.csv", "a,y,y_sd,answers\n0.5,1,3,4\n1.5,2,4.5,2\n2.5,1,6.1,1\n");
    for (outputs, ignored, name) in
        [("y,y_sd", "answers", "y_sd"), ("y", "answers", "y_sd"), ("answers", "y", "answers")]
    {
        let args = ["new", "ys", "--from-csv", "t.csv", "--outputs", outputs, "--ignore", ignored];
        refuse(at, &args, &["t.csv", &format!("`{name}`"), "rename it"]);
    }
    let problem = |outputs: &str| {
        let outputs: String = outputs.split(',').map(|name| format!("[[outputs]]\nname = \"{name}\"\n")).collect();
        format!("name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n{outputs}")
    };
    for (outputs, name) in
        [("y,y_sd", "y_sd"), ("y,y_upper", "y_upper"), ("answers", "answers"), ("outside", "outside")]
    {
        write(at, "p.toml", &problem(outputs));
        refuse(at, &["new", "ys", "--problem", "p.toml"], &["p.toml", &format!("`{name}`"), "choose another name"]);
    }
    write(at, "p.toml", &problem("y,z_sd"));
    succeed(at, &["new", "ys", "--problem", "p.toml"]);
}

#[test]
fn what_dal_label_wrote_begins_a_campaign_with_its_failures() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let script = "read h; echo drag,lift; while IFS=, read -r a b; do case $a in 2) echo 'error: too big,';; \
                  *) echo \"$a,$b\";; esac; done";
    write(at, "sim.sh", script);
    let text = "name = \"rig\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n[[inputs]]\nname = \"b\"\nlow = 0\nhigh = 9\n\
                [[outputs]]\nname = \"drag\"\n[[outputs]]\nname = \"lift\"\n\
                [oracle.command]\nprogram = [\"sh\", \"sim.sh\"]\ntime_limit = 60\n";
    write(at, "rig.toml", text);
    write(at, "x.csv", "a,b\n1,2\n2,3\n3,4.5\n2,8\n4,1\n");
    let (code, ..) = run(at, &["label", "rig.toml", "--input", "x.csv", "--out", "labels.csv"]);
    assert_eq!(code, 1);
    for args in [&[][..], &["--outputs", "drag,lift", "--ignore", "row"]] {
        let (code, said, stderr) = run(at, &[&["new", "fl", "--from-csv", "labels.csv"], args].concat());
        assert_eq!(code, 0, "{stderr}");
        assert!(said.contains("outputs: drag, lift") && said.contains("3 answers taken in, 2 failed points"), "{said}");
        let table = succeed(at, &["export", "fl", "--to", "csv"]);
        assert_eq!(table.matches("error: the program answered `error: too big").count(), 2, "{table}");
        // So does what the campaign wrote, though points wait for their answers.
        succeed(at, &["ask", "fl", "-n", "1"]);
        write(at, "e.csv", &succeed(at, &["export", "fl", "--to", "csv"]));
        let (code, said, stderr) = run(at, &["new", "again", "--from-csv", "e.csv"]);
        assert!(code == 0 && said.contains("outputs: drag, lift"), "{said}{stderr}");
        assert!(said.contains("3 answers taken in, 2 failed points"), "{said}");
        assert!(stderr.contains("1 row is left out, which does not have an answer: line 7"), "{stderr}");
        for folder in ["fl", "again"] {
            fs::remove_dir_all(at.join(folder)).unwrap();
        }
    }
    // Where nothing says why a row has no answer, it is named.
    let args = ["new", "fl", "--from-csv", "labels.csv", "--outputs", "drag,lift", "--ignore", "row,failure"];
    let (code, said, stderr) = run(at, &args);
    assert!(code == 0 && said.contains("3 answers taken in, 0 failed points"), "{said}{stderr}");
    assert!(stderr.contains("2 rows are left out, which do not have an answer: line 3, line 5"), "{stderr}");
    // What the machine did is not the point's fault.
    write(at, "m.csv", "row,a,y,failure\n0,1,2,\n1,2,,crashed: status 1\n2,3,4,\n");
    let said = succeed(at, &["new", "m", "--from-csv", "m.csv"]);
    assert!(said.contains("2 answers taken in, 0 failed points, 1 lost for the machine's"), "{said}");
}

#[test]
fn where_a_tables_own_numbers_are_not_the_campaigns_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for (ids, is_said) in [([10, 20, 30], true), ([1, 2, 3], false), ([1, 3, 2], true)] {
        let rows = ids.iter().enumerate().map(|(i, id)| format!("{id},{}.5,{i}\n", i * i));
        write(at, "t.csv", &("id,a,y\n".to_owned() + &rows.collect::<String>()));
        let root = format!("c{}{}", ids[0], ids[1]);
        let (code, _, stderr) = run(at, &["new", &root, "--from-csv", "t.csv"]);
        assert_eq!((code, stderr.contains("the campaign numbers its points itself")), (0, is_said), "{stderr}");
        let first = match ids[0] {
            10 => "what the table's `id` calls 10 is point 1 here",
            _ => "what the table's `id` calls 3 is point 2 here",
        };
        assert_eq!(stderr.contains(first), is_said, "{stderr}");
    }
}

#[test]
fn values_with_too_few_digits_are_told_from_new_points_in_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 1\n[[inputs]]\nname = \"b\"\nlow = 1\nhigh = 100\n\
                scale = \"log\"\n[[outputs]]\nname = \"y\"\n";
    write(at, "p.toml", text);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "6"]);
    let asked = succeed(at, &["ask", "c", "-n", "6", "--format", "csv"]);
    let points: Vec<[f64; 2]> = asked
        .lines()
        .skip(1)
        .map(|line| {
            line.split(',').skip(1).take(2).map(|v| v.parse().unwrap()).collect::<Vec<f64>>().try_into().unwrap()
        })
        .collect();
    let table = |digits: usize| -> String {
        points
            .iter()
            .map(|[a, b]| format!("{a:.digits$},{b:.digits$},1\n"))
            .fold("a,b,y\n".into(), |all, row| all + &row)
    };
    write(at, "t.csv", &table(4));
    let (code, said, stderr) = run(at, &["tell", "c", "t.csv"]);
    assert!(code == 0 && said.contains("6 of these never asked for"), "{said}");
    let words = "line 2: taken as a new point, though point 1, which waits for an answer, is less than 0.1 % of every range away";
    assert!(stderr.contains(words) && stderr.contains("(5 more such rows)"), "{stderr}");
    succeed(at, &["undo", "c"]);
    write(at, "t.csv", &table(7));
    let (_, said, stderr) = run(at, &["tell", "c", "t.csv"]);
    assert!(said.starts_with("6 new answers") && !stderr.contains("new point"), "{said}{stderr}");
}

#[test]
fn rows_that_a_left_out_column_tells_apart_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "t.csv", "a,sample,y\n1,xa,2\n1,xb,3\n2,xc,3\n3,xd,4\n4,xe,5\n");
    let (code, _, stderr) = run(at, &["new", "c", "--from-csv", "t.csv"]);
    let words = "line 2 and line 3 have equal inputs but for `sample`, which is left out";
    assert!(code == 0 && stderr.contains(words), "{stderr}");
    let (_, _, stderr) = run(at, &["new", "d", "--from-csv", "t.csv", "--ignore", "sample"]);
    assert!(!stderr.contains("equal inputs"), "{stderr}");
}

#[test]
fn no_table_of_labels_has_two_columns_of_one_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "sim.sh", "read h; echo x0; while read -r a; do echo \"$a\"; done");
    let text = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n[[outputs]]\nname = \"x0\"\n\
                [oracle.command]\nprogram = [\"sh\", \"sim.sh\"]\ntime_limit = 60\n";
    write(at, "p.toml", text);
    write(at, "x.csv", "x0\n0.5\n");
    let args = ["label", "p.toml", "--input", "x.csv", "--out", "y.csv"];
    refuse(at, &args, &["two columns `x0`", "under the inputs' names"]);
    write(at, "x.csv", "a\n3\n");
    succeed(at, &args);
    assert_eq!(fs::read_to_string(at.join("y.csv")).unwrap(), "row,a,x0,failure\n0,3,3.0,\n");
}

/// To the letter: an apostrophe before a level would be another level for the program.
#[test]
fn a_program_gets_levels_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "name = \"p\"\n[[inputs]]\nname = \"dir\"\nlevels = [\"+x\", \"-x\"]\n\
                [[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n[[outputs]]\nname = \"y\"\n";
    write(at, "p.toml", text);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "6"]);
    let inputs = succeed(at, &["ask", "c", "-n", "6", "--format", "inputs"]);
    let levels: Vec<&str> = inputs.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert!(levels.len() == 6 && levels.iter().all(|level| ["+x", "-x"].contains(level)), "{inputs}");
}

/// An answer without a logarithm is kept, and it is said that no model learns it.
#[test]
fn answers_that_a_transform_cannot_take_are_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n\
                [[outputs]]\nname = \"y\"\ntransform = \"log\"\n";
    write(at, "p.toml", text);
    succeed(at, &["new", "c", "--problem", "p.toml", "--initial", "3"]);
    succeed(at, &["ask", "c", "-n", "3"]);
    write(at, "t.csv", "id,y\n1,2\n2,0\n3,-1\n");
    let (code, said, errors) = run(at, &["tell", "c", "t.csv"]);
    assert!(code == 0 && said.contains("1 labels in all"), "{said}{errors}");
    assert!(errors.contains("line 3") && errors.contains("(1 more such rows)"), "{errors}");
    assert!(errors.contains("counted as failed"), "{errors}");
}

/// What cannot be printed was never seen.
#[test]
#[cfg(target_os = "linux")]
fn points_that_could_not_be_printed_are_handed_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    write(at, "p.toml", "name = \"p\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 4\n[[outputs]]\nname = \"y\"\n");
    for format in ["table", "csv", "inputs", "json", "dakota"] {
        succeed(at, &["new", format, "--problem", "p.toml"]);
        let due = succeed(at, &["ask", format, "-n", "3", "--format", format, "--dry-run"]);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let args = ["ask", format, "-n", "3", "--format", format];
        let failed = dal(at, &args).stdout(Stdio::from(full)).output().unwrap();
        let stderr = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(2) && stderr.contains("next `dal ask` hands them out"), "{stderr}");
        assert_eq!(succeed(at, &args), due, "{format}");
        assert_ne!(succeed(at, &args), due, "{format}");
    }
}

/// Beyond, squares of deviations are no numbers any more.
#[test]
fn deviations_of_the_largest_outputs_that_are_taken_are_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let table = |power: i32| {
        let rows: String = (0..8).map(|i| format!("{i}.5,{}e{power}\n", i * i - 20)).collect();
        write(at, "huge.csv", &format!("a,y\n{rows}"))
    };
    table(155);
    refuse(at, &["new", "h", "--from-csv", "huge.csv"], &["huge.csv", "too large to be learned"]);
    table(148);
    succeed(at, &["new", "h", "--from-csv", "huge.csv"]);
    let predicted = succeed(at, &["predict", "h", "--input", "huge.csv", "--format", "json", "--threads", "1"]);
    let predicted: serde_json::Value = serde_json::from_str(&predicted).unwrap();
    for point in predicted.as_array().unwrap() {
        assert!(point["y_sd"].as_f64().is_some_and(|sd| sd > 1e140), "{point}");
    }
}

/// A campaign whose six first points were handed out, and what telling it a table says.
fn asked(at: &Path) -> impl Fn(&str, &[&str]) -> String {
    let text = "name = \"lab\"\n[[inputs]]\nname = \"a\"\nlow = 0\nhigh = 10\n[[outputs]]\nname = \"y\"\n";
    write(at, "lab.toml", text);
    succeed(at, &["new", "l", "--problem", "lab.toml", "--initial", "6"]);
    succeed(at, &["ask", "l", "-n", "6"]);
    let at = at.to_owned();
    move |rows, options| {
        write(&at, "t.csv", &format!("id,y\n{rows}"));
        succeed(&at, &[&["tell", "l", "t.csv"][..], options].concat())
    }
}

#[test]
fn a_correction_takes_the_rows_of_a_point_together() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let tell = asked(at);
    tell("1,10\n1,11\n2,2\n", &["--replicate"]);
    let answers = |id: &str| {
        let table = succeed(at, &["export", "l", "--to", "csv"]);
        let rows = table.lines().filter(|line| line.starts_with(&format!("{id},")));
        rows.map(|line| line.split(',').nth(2).unwrap().to_owned()).collect::<Vec<_>>()
    };
    // What is exported, mended in one cell and told: the other measurement stays.
    let table = succeed(at, &["export", "l", "--to", "csv"]);
    write(at, "e.csv", &table.replace(",11.0,", ",11.5,"));
    let said = succeed(at, &["tell", "l", "e.csv", "--correct"]);
    assert!(said.starts_with("1 new answer, 1 earlier ones replaced, 2 known already"), "{said}");
    assert!(said.ends_with("3 labels in all\n"), "{said}");
    assert_eq!(answers("1"), ["10.0", "11.5"]);
    // All rows of a point in a table are its answers; what is known of it changes nothing.
    assert!(tell("1,10\n", &["--correct"]).starts_with("0 new answers, 1 known already"));
    assert!(tell("1,1.1\n1,1.7\n", &["--correct"]).starts_with("2 new answers, 2 earlier ones replaced"));
    assert_eq!(answers("1"), ["1.1", "1.7"]);
    write(at, "t.csv", "id,y\n1,3\n1,failed\n");
    refuse(at, &["tell", "l", "t.csv", "--correct"], &["line 3", "another row of this table"]);
    assert_eq!(answers("1"), ["1.1", "1.7"]);
    // A failure stands beside no answer, whatever was asked for.
    tell("3,failed\n", &[]);
    write(at, "t.csv", "id,y\n3,3\n");
    refuse(at, &["tell", "l", "t.csv", "--replicate"], &["cannot have an answer and none; --correct puts"]);
    let (_, _, stderr) = run(at, &["tell", "l", "t.csv"]);
    assert!(stderr.contains("--correct puts it in that one's place") && !stderr.contains("--replicate"), "{stderr}");
    assert!(tell("3,3\n", &["--correct"]).starts_with("1 new answer; 4 labels"));
}

#[test]
fn a_growing_table_counts_a_loss_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let tell = asked(at);
    let mut rows = "1,1\n3,lost: node died\n".to_owned();
    assert!(tell(&rows, &[]).starts_with("1 new answer, 1 lost, to be asked for again"));
    succeed(at, &["ask", "l", "-n", "1"]);
    for (row, words) in [("4,4", "1 new answer, 2 known already"), ("5,5", "1 new answer, 3 known already")] {
        rows += &format!("{row}\n");
        assert!(tell(&rows, &[]).starts_with(words), "{}", tell(&rows, &[]));
    }
    // Its answer comes at last, and the table is told again.
    rows += "3,3\n";
    assert!(tell(&rows, &[]).starts_with("1 new answer, 4 known already"));
    assert!(tell(&rows, &[]).starts_with("0 new answers, 5 known already"));
    // One loss after the other, each of a point that was handed out anew, are `attempts` of them.
    for words in ["1 lost, to be", "1 lost, to be", "1 failed"] {
        let said = tell("6,lost: node died\n", &[]);
        assert!(said.starts_with(&format!("0 new answers, {words}")), "{said}");
        if words != "1 failed" {
            succeed(at, &["ask", "l", "-n", "1"]);
        }
    }
    succeed(at, &["withdraw", "l", "2"]);
    assert!(tell("2,lost: disk\n", &[]).starts_with("0 new answers, 1 lost, of points that are withdrawn"));
    refuse(at, &["ask", "l", "-n", "10001"], &["at most 10000"]);
}
