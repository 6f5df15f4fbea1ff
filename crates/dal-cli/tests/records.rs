//! What a store says of itself: what did not learn, what seeds decide, and a step of a run as files for other programs.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{refuse, run, succeed, write};
use ndarray::{Array1, Array2, Array3};
use ndarray_npy::read_npy;

const SWEEP: &str = r#"
name = "small"
seeds = 3

[protocol]
initial = 12
queries = 4
steps = 3
test_points = 50
pool_ratios = [3]

[training]
epochs = 30
members = 2

[[problem]]
id = "sine"
preset = "published"
network = { hidden = [8, 8] }

[[strategy]]
id = "random"

[[strategy]]
id = "gsx"

[[strategy]]
id = "qbc"
"#;

/// The folder of the run whose name begins so.
fn folder(store: &Path, begin: &str) -> PathBuf {
    let runs = fs::read_dir(store.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(begin);
    runs.into_iter().find(is_it).unwrap_or_else(|| panic!("no run {begin}"))
}

#[test]
fn a_step_of_a_run_is_written_and_is_what_the_run_did() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    for begin in ["sine-gsx-g3-s1", "sine-qbc-g3-s0"] {
        let of_run = folder(&dir.path().join("store"), begin);
        let name = of_run.to_str().unwrap();
        succeed(dir.path(), &["bench", "show", name, "--step", "2", "--out", "shown"]);
        let at = |file: &str| dir.path().join("shown").join(file);
        let points = |file: &str| read_npy::<_, Array2<f64>>(at(file)).unwrap();
        let (pool, queries) = (points("pool.npy"), points("queries.npy"));
        assert_eq!((pool.nrows(), queries.nrows(), points("initial.npy").nrows()), (12, 4, 12));
        assert_eq!((points("labelled_x.npy").nrows(), points("labelled_y.npy").dim()), (20, (20, 1)));
        assert_eq!((points("test_x.npy").nrows(), points("test_y.npy").nrows()), (50, 50));
        assert_eq!((points("labels.npy").dim(), points("curve.npy").dim()), ((4, 1), (4, 2)));
        let rows: Array1<i64> = read_npy(at("chosen.npy")).unwrap();
        for (row, query) in rows.iter().zip(queries.outer_iter()) {
            assert_eq!(pool.row(*row as usize), query);
        }
        let recorded: Array2<f64> = read_npy(of_run.join("queries.npy")).unwrap();
        assert_eq!(recorded.slice(ndarray::s![8..12, ..]), queries);
        let members: Array3<f64> = read_npy(at("members.npy")).unwrap();
        assert_eq!(members.dim(), (2, 12, 1));
        if begin.contains("qbc") {
            // The picks are those of the largest variance over members.
            let variance = members.var_axis(ndarray::Axis(0), 0.0).mean_axis(ndarray::Axis(1)).unwrap();
            let mut order: Vec<usize> = (0..12).collect();
            order.sort_by(|&a, &b| variance[b].total_cmp(&variance[a]));
            assert_eq!(rows.iter().map(|row| *row as usize).collect::<Vec<_>>(), order[..4]);
        }
        let about: serde_json::Value = serde_json::from_str(&fs::read_to_string(at("about.json")).unwrap()).unwrap();
        assert_eq!((about["agrees"].as_bool(), about["step"].as_u64()), (Some(true), Some(2)));
    }
    let name = folder(&dir.path().join("store"), "sine-gsx-g3-s1");
    let name = name.to_str().unwrap();
    refuse(dir.path(), &["bench", "show", name, "--step", "3", "--out", "x"], &["step 3", "0 to 2"]);
    refuse(dir.path(), &["bench", "show", "sweep.toml", "--step", "0", "--out", "x"], &["STORE/runs/NAME"]);
}

#[test]
fn what_other_tables_found_stands_beside_a_report() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    succeed(dir.path(), &["bench", "export", "store", "--out", "tables"]);
    let said = succeed(dir.path(), &["report", "store", "--out", "page", "--evidence", "tables"]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let words =
        "What the evidence found: On sine (published network) at pool ratio γ = 3, 3 seeds, up to 24 labels (small):";
    assert!(said.contains(words), "{said}");
    assert!(fs::read_to_string(dir.path().join("page/report.html")).unwrap().contains("What the evidence found"));
    refuse(dir.path(), &["report", "store", "--out", "x", "--evidence", "nowhere"], &["--evidence", "nowhere"]);
}

#[test]
fn a_step_of_a_run_with_noisy_labels_is_shown_with_the_labels_that_it_learned() {
    let dir = tempfile::tempdir().unwrap();
    let noisy = SWEEP.replace("[protocol]", "[protocol]\nlabel_noise_percent = 5").replace("seeds = 3", "seeds = 1");
    write(dir.path(), "noisy.toml", &noisy);
    write(dir.path(), "exact.toml", &SWEEP.replace("seeds = 3", "seeds = 1"));
    let shown = |which: &str| -> [Array2<f64>; 2] {
        succeed(dir.path(), &["bench", "run", &format!("{which}.toml"), "--store", which]);
        let name = folder(&dir.path().join(which), "sine-qbc-g3-s0");
        succeed(dir.path(), &["bench", "show", name.to_str().unwrap(), "--step", "1", "--out", &format!("of-{which}")]);
        let at = |file: &str| dir.path().join(format!("of-{which}")).join(file);
        let about: serde_json::Value = serde_json::from_str(&fs::read_to_string(at("about.json")).unwrap()).unwrap();
        assert_eq!(about["agrees"].as_bool(), Some(true), "{which}");
        ["labelled_y.npy", "test_y.npy"].map(|file| read_npy(at(file)).unwrap())
    };
    let ([noisy, noisy_test], [exact, exact_test]) = (shown("noisy"), shown("exact"));
    assert_eq!(noisy_test, exact_test);
    // Initial points are the same, and a z of noise beyond 4 is not among twelve.
    let sd = exact_test.std(0.0);
    for (noisy, exact) in noisy.iter().zip(&exact).take(12) {
        assert!(noisy != exact && (noisy - exact).abs() < 4.0 * 0.06 * sd, "{noisy} {exact} {sd}");
    }
}

#[cfg(unix)]
#[test]
fn a_users_run_is_shown_with_its_own_labels_and_nothing_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let problem = "name = \"mine\"\ninputs = [{ name = \"a\", low = 0.0, high = 1.0 }]\noutputs = [{ name = \"y\" }]\n\
                   [oracle.command]\nprogram = [\"sh\", \"simulator.sh\"]\ntime_limit = 60\n";
    write(dir.path(), "problem.toml", problem);
    // Notes every point that it is asked for.
    let simulator = "read names\necho y\nwhile IFS=, read -r a; do echo \"$a\" >> asked.txt; echo \"$a\"; done\n";
    write(dir.path(), "simulator.sh", simulator);
    let sweep = SWEEP
        .replace("id = \"sine\"\npreset = \"published\"", "id = \"problem.toml\"")
        .replace("seeds = 3", "seeds = 1");
    write(dir.path(), "sweep.toml", &sweep);
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    let asked = fs::read_to_string(dir.path().join("asked.txt")).unwrap();
    let of_run = folder(&dir.path().join("store"), "mine-qbc");
    let args = ["bench", "show", of_run.to_str().unwrap(), "--step", "1", "--out", "shown", "--sweep", "sweep.toml"];
    succeed(dir.path(), &args);
    assert_eq!(fs::read_to_string(dir.path().join("asked.txt")).unwrap(), asked);
    let points = |file: &str| read_npy::<_, Array2<f64>>(dir.path().join("shown").join(file)).unwrap();
    let (x, y) = (points("queries.npy"), points("labels.npy"));
    // The unit box [-1, 1] stands for [0, 1], and the program answers with its input.
    assert!(x.iter().zip(&y).all(|(x, y)| ((x + 1.0) / 2.0 - y).abs() < 1e-9));
    let (test_x, test_y) = (points("test_x.npy"), points("test_y.npy"));
    assert_eq!((test_x.nrows(), test_y.dim()), (50, (50, 1)));
    assert!(test_x.iter().zip(&test_y).all(|(x, y)| ((x + 1.0) / 2.0 - y).abs() < 1e-9));
    // Without the kept answers there are no test labels, and still nothing is asked.
    let args = [&args[..], &["--answers", "elsewhere"]].concat();
    fs::remove_dir_all(dir.path().join("shown")).unwrap();
    succeed(dir.path(), &args);
    assert!(!dir.path().join("shown/test_y.npy").exists() && !dir.path().join("elsewhere").exists());
    assert_eq!(fs::read_to_string(dir.path().join("asked.txt")).unwrap(), asked);
}

#[test]
fn what_did_not_learn_is_said_at_the_end_and_by_status() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", &SWEEP.replace("epochs = 30", "epochs = 1\nlearning_rate = 1e-12"));
    let (code, _, said) = run(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("have not learned") && said.contains("of 72 trained members"), "{said}");
    assert!(said.contains("has not learned: its last test error is not below the variance"), "{said}");
    let (code, table, said) = run(dir.path(), &["bench", "status", "store", "--learning", "--format", "csv"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("of 72 trained members"), "{said}");
    let row = table.lines().find(|line| line.starts_with("sine,gsx,3,3,0,0,0,0,")).unwrap_or_else(|| panic!("{table}"));
    assert!(row.contains(",24,"), "two members, four entries, three seeds: {row}");
    // A sweep that was only begun has runs that are not there yet.
    fs::remove_dir_all(folder(&dir.path().join("store"), "sine-gsx-g3-s2")).unwrap();
    let table = succeed(dir.path(), &["bench", "status", "store", "--learning", "--format", "csv"]);
    assert!(table.contains("sine,gsx,3,2,0,0,1,0,"), "{table}");
    let table = succeed(dir.path(), &["bench", "status", "store", "--format", "csv"]);
    assert!(table.contains("sine,gsx,3,2,0,0,1\n"), "{table}");
}

#[test]
fn runs_of_one_name_under_two_networks_are_not_counted_together() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let status = || succeed(at, &["bench", "status", "store", "--format", "csv"]);
    let bench = |sweep: &str| {
        write(at, "sweep.toml", sweep);
        succeed(at, &["bench", "run", "sweep.toml", "--store", "store"]);
    };
    let small = SWEEP.replace("epochs = 30", "epochs = 1").replace("seeds = 3", "seeds = 1");
    bench(&small);
    let table = status();
    assert_eq!(table.lines().next(), Some("problem,strategy,pool_ratio,finished,failed,begun,not_started"));
    bench(&small.replace("[8, 8]", "[9]"));
    let table = status();
    assert_eq!(table.lines().next(), Some("problem,strategy,pool_ratio,finished,failed,begun,not_started,network"));
    for network in ["2 × 8", "9"] {
        let row = format!("sine,gsx,3,1,0,0,0,{network}");
        assert!(table.lines().any(|line| line == row), "{row}: {table}");
    }
    // Words that are equal do not hide that models differ.
    let described = |adam: &str| {
        let model = format!("model = {{ hidden = [8, 8]{adam} }}");
        small.replace("preset = \"published\"\nnetwork = { hidden = [8, 8] }", &model)
    };
    bench(&described(""));
    bench(&described(", training = { adam = { beta1 = 0.5 } }"));
    let table = status();
    let header = "problem,strategy,pool_ratio,finished,failed,begun,not_started,preset,network,training,model";
    assert_eq!(table.lines().next(), Some(header));
    assert_eq!(table.lines().filter(|line| line.starts_with("sine,gsx,3,1,0,0,0,")).count(), 4, "{table}");
}

#[test]
fn a_plan_says_what_its_seeds_decide() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "sweep.toml", SWEEP);
    let plan = |more: &[&str]| {
        let args = [&["bench", "run", "large.toml", "--store", "store", "--plan"], more].concat();
        let (code, _, said) = run(dir.path(), &args);
        assert_eq!(code, 0, "{said}");
        said
    };
    write(dir.path(), "large.toml", SWEEP);
    assert!(plan(&[]).contains("3 seeds, level 5 %: no method can be called robust, whatever the numbers; with"));
    write(dir.path(), "large.toml", &SWEEP.replace("seeds = 3", "seeds = 12"));
    let said = plan(&[]);
    assert!(said.contains("--spread-from") && !said.contains("can be called robust"), "{said}");
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    let said = plan(&[]);
    assert!(said.contains("from 2 stored cells)"), "{said}");
    assert!(said.contains("12 seeds, level 5 %: a method") && said.contains("a single cell worse by"), "{said}");
    // Of another problem's seeds it is said that they are that.
    write(
        dir.path(),
        "large.toml",
        &SWEEP
            .replace("\"sine\"", "\"hydro\"")
            .replace("seeds = 3", "seeds = 20\nlooks = [{ seeds = 5, level = 0.01 }, { seeds = 20, level = 0.04 }]"),
    );
    let said = plan(&["--spread-from", "store"]);
    assert!(said.contains("stored cells of other problems"), "{said}");
    succeed(dir.path(), &["bench", "export", "store", "--out", "tables", "--format", "csv"]);
    assert_eq!(plan(&["--spread-from", "tables"]), said, "tables say the same");
    assert!(said.contains("5 seeds, level 1 %: no method can be called robust"), "{said}");
    assert!(said.contains("20 seeds, level 4 %: a method"), "{said}");
}

#[test]
fn seeds_that_a_plain_sweep_is_extended_by_are_exploratory() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let small = SWEEP
        .replace("epochs = 30", "epochs = 100")
        .replace("steps = 3", "steps = 1")
        .replace("initial = 12", "initial = 40")
        .replace("id = \"sine\"\npreset = \"published\"\nnetwork = { hidden = [8, 8] }", "id = \"hydro\"");
    let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = |seeds: u64| {
        write(at, "sweep.toml", &small.replace("seeds = 3", &format!("seeds = {seeds}")));
        succeed(at, &["bench", "run", "sweep.toml", "--store", "store"]);
        let (code, said, errors) = run(at, &["report", "store", "--out", "page"]);
        assert_eq!(code, 0, "{errors}");
        in_one_line(&said)
    };
    // Five seeds can decide nothing: what follows them follows no verdict.
    said(5);
    let first = said(6);
    assert!(!first.contains("exploratory"), "{first}");
    let extended = said(8);
    assert!(extended.contains("planned with 6 and 8 seeds") && extended.contains("exploratory"), "{extended}");
    // The tables know it as well.
    succeed(at, &["bench", "export", "store", "--out", "tables"]);
    let of_tables = in_one_line(&succeed(at, &["report", "tables", "--out", "of-tables"]));
    assert!(of_tables.contains("planned with 6 and 8 seeds"), "{of_tables}");
}

#[test]
fn looks_that_were_edited_leave_no_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    for looks in ["[{ seeds = 2, level = 0.01 }, { seeds = 3, level = 0.04 }]", "[{ seeds = 3, level = 0.05 }]"] {
        // A problem that Random learns, or nothing is judged.
        let learned = SWEEP.replace("\"sine\"\npreset = \"published\"", "\"bessel\"\npreset = \"tuned\"");
        let learned = learned.replace("hidden = [8, 8]", "hidden = [16, 16]").replace("epochs = 30", "epochs = 300");
        write(dir.path(), "sweep.toml", &learned.replace("seeds = 3", &format!("seeds = 3\nlooks = {looks}")));
        succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
        let said = succeed(dir.path(), &["report", "store", "--out", "report"]);
        assert_eq!(said.contains("plan different looks"), looks.contains("0.05"), "{said}");
    }
}

#[test]
fn everything_recorded_is_seen_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize| {
        let (a, b) = (i as f64 / 90.0, (i * 7 % 90) as f64 / 90.0);
        format!("{a},{b},{},{}\n", 1e5 * (1.0 + a * b), (1.0 + a) * (1.0 + b))
    };
    write(dir.path(), "t.csv", &("a,b,pressure,rate\n".to_owned() + &(0..90).map(row).collect::<String>()));
    let problem = "name = \"boiler\"\ninputs = [{ name = \"a\", unit = \"m\", low = 0.0, high = 1.0 }, \
                   { name = \"b\", low = 0.0, high = 1.0 }]\n\
                   outputs = [{ name = \"pressure\", unit = \"Pa\" }, { name = \"rate\", transform = \"log\" }]\n\
                   [oracle.table]\nfile = \"t.csv\"\n";
    write(dir.path(), "problem.toml", problem);
    let sweep = SWEEP.replace("seeds = 3", "seeds = 2\nlooks = [{ seeds = 6, level = 0.05 }]").replace(
        "[[strategy]]\nid = \"gsx\"",
        "[[problem]]\nid = \"problem.toml\"\nnetwork = { hidden = [16], batch_norm = false }\n\n[[strategy]]\nid = \"bald\"",
    );
    let sweep = sweep.replace("epochs = 30", "epochs = 400\nlearning_rate = 0.01");
    write(dir.path(), "sweep.toml", &sweep);
    succeed(dir.path(), &["bench", "run", "sweep.toml", "--store", "store"]);
    let said = succeed(dir.path(), &["report", "store", "--out", "report"]).replace("\n  ", " ");
    assert!(said.contains("boiler (2 inputs): your errors are now"), "{said}");
    assert!(said.contains("Pa (RMSE of pressure, R²"), "{said}");
    assert!(said.contains("Verdicts are planned at 6 seeds (level 5 %)"), "{said}");
    assert!(said.contains("Networks of the methods"), "{said}");
    let page = fs::read_to_string(dir.path().join("report/report.html")).unwrap().replace('\u{a0}', " ");
    for caption in [
        "Runs and members that did not learn",
        "Networks trained for a method alone",
        "What the uncertainty is worth",
        "Errors by output at the end",
        "Inputs and outputs of your problems",
        "How much a method could change",
        "Errors of your own problems are pooled",
    ] {
        assert!(page.contains(caption), "{caption}");
    }
    let tables = dir.path().join("report/tables");
    let files: Vec<String> = fs::read_dir(&tables)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".csv"))
        .collect();
    let lines = |table: &str| -> Vec<String> {
        let names = files.iter().filter(|name| name.as_str() == table || name.ends_with(&format!("-{table}")));
        names
            .flat_map(|name| {
                let text = fs::read_to_string(tables.join(name)).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect()
    };
    // Two seeds of four entries with two members each, for every method.
    let members = lines("members.csv");
    assert!(members.iter().any(|line| line.starts_with("sine,any,random,2,") && line.contains(",16,")), "{members:?}");
    let auxiliary = lines("auxiliary.csv");
    assert!(auxiliary.iter().any(|line| line.starts_with("sine,3,bald,")), "{auxiliary:?}");
    let uncertainty = lines("uncertainty.csv");
    assert!(uncertainty.iter().any(|line| line.starts_with("boiler,any,random,")), "{uncertainty:?}");
    let outputs = lines("outputs.csv");
    assert!(outputs.iter().any(|line| line.starts_with("boiler,any,random,pressure,Pa,")), "{outputs:?}");
    let columns = lines("columns.csv");
    assert!(columns.contains(&"boiler,output,rate,,\"log, standardised\"".to_owned()), "{columns:?}");
}
