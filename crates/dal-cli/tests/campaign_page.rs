//! The page of a campaign from the command line, and served while the campaign goes on.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use common::{dal, refuse, run, succeed, write};

/// Answers smoothly, and fails where the speed is large.
const SIMULATOR: &str = r#"
awk -F, 'NR == 1 { print "drag,lift"; next }
  $1 > 70 { print "error: stalls,"; fflush(); next }
  { printf "%.12g,%.12g\n", 2 + log($1) * $2 + ($3 == "wood"), $1 / 10 - $2; fflush() }'
"#;

const PROBLEM: &str = "name = \"rig\"\ntitle = \"A <rig> & its drag\"\n\
    [[inputs]]\nname = \"speed\"\nunit = \"m/s\"\nlow = 1\nhigh = 100\n\
    [[inputs]]\nname = \"blades\"\ninteger = true\nlow = 2\nhigh = 6\n\
    [[inputs]]\nname = \"material\"\nlevels = [\"steel\", \"wood\"]\n\
    [[outputs]]\nname = \"drag\"\nunit = \"N\"\ntransform = \"log\"\n[[outputs]]\nname = \"lift\"\n\
    [oracle.command]\nprogram = [\"sh\", \"simulate.sh\"]\ntime_limit = 60\nretries = 0\n\
    [network]\nhidden = [8]\nbatch_norm = true\nlearning_rate = 1e-3\nweight_decay = 1e-4\nepochs = 30\nmembers = 3\n";

fn begin(at: &Path, name: &str, more: &[&str]) {
    write(at, "rig.toml", PROBLEM);
    write(at, "simulate.sh", SIMULATOR);
    let mut words = vec!["new", name, "--problem", "rig.toml", "--initial", "16", "--batch", "4"];
    words.extend(more);
    succeed(at, &words);
    let settings = fs::read_to_string(at.join(name).join("campaign.toml")).unwrap();
    write(at, &format!("{name}/campaign.toml"), &settings.replace("model = \"ladder\"", "model = \"problem-file\""));
}

#[test]
fn a_campaigns_page_answers_what_one_asks() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    begin(at, "c", &["--strategy", "qbc-diversity"]);
    // Before anything was asked.
    assert_eq!(succeed(at, &["report", "c"]).trim(), "c/report.html");
    let page = fs::read_to_string(at.join("c/report.html")).unwrap();
    assert!(page.contains("There is no model yet") && page.contains("dal run c --budget 28"), "{page}");
    succeed(at, &["run", "c", "--budget", "28", "--threads", "1"]);
    succeed(at, &["report", "c", "--out", "pages", "--threads", "1"]);
    let page = fs::read_to_string(at.join("pages/report.html")).unwrap();
    for words in [
        "How good is the model?",
        "Where is it not good?",
        "What failed, what is pending?",
        "What should I run next?",
        "May I stop?",
        "dal audit c -n ",
        "they lie at large speed",
        "error: stalls",
        "Predicted against measured: drag",
        "drag along speed",
        "Which inputs matter to lift",
        "A &lt;rig&gt; &amp; its drag",
        "dal new c --problem",
    ] {
        assert!(page.contains(words), "{words}");
    }
    for words in ["nAUC", "γ", "pool ratio", "<rig>"] {
        assert!(!page.contains(words), "{words}");
    }
    let data: serde_json::Value = serde_json::from_str(&succeed(at, &["report", "c", "--format", "json"])).unwrap();
    assert_eq!(data["points"].as_array().unwrap().len(), 28);
    assert_eq!(data["model"]["importance"][0].as_array().unwrap().len(), 3);
    assert!(data["failing"][0]["share"].as_f64().unwrap() > 0.9, "{}", data["failing"]);
    // The same model is found again: nothing is trained anew.
    let (_, _, said) = run(at, &["report", "c"]);
    assert!(!said.contains("training"), "{said}");
    refuse(at, &["report", "c", "--smooth", "0.5"], &["--smooth is for stores", "campaign's folder"]);
    fs::create_dir(at.join("other")).unwrap();
    write(at, "other/notes.txt", "something else");
    refuse(at, &["report", "other", "--out", "o"], &["other", "neither a campaign's folder", "nor a store"]);
    refuse(at, &["watch", "other"], &["there is no campaign here"]);
    // By a rule whose draws judge its models no audit is needed.
    begin(at, "drawn", &["--strategy", "power-qbc-diversity"]);
    let settings = fs::read_to_string(at.join("drawn/campaign.toml")).unwrap();
    write(at, "drawn/campaign.toml", &settings.replace("batch = 4", "batch = 12"));
    succeed(at, &["run", "drawn", "--budget", "40", "--threads", "1"]);
    succeed(at, &["report", "drawn", "--threads", "1"]);
    let page = fs::read_to_string(at.join("drawn/report.html")).unwrap();
    assert!(page.contains("power-qbc-diversity") && !page.contains("Nothing measures its error"), "{page}");
    // A round under way judges nothing while there is a whole one.
    let said = "of the 12 points that were drawn with it";
    let whole = page.split(said).next().unwrap().rsplit_once("judged by ").unwrap().1.to_owned();
    let asked = succeed(at, &["ask", "drawn", "-n", "12", "--format", "csv", "--threads", "1"]);
    let rows = asked.lines().skip(1).take(2).map(|line| format!("{},1,2\n", line.split(',').next().unwrap()));
    write(at, "two.csv", &format!("id,drag,lift\n{}", rows.collect::<String>()));
    succeed(at, &["tell", "drawn", "two.csv"]);
    succeed(at, &["report", "drawn", "--threads", "1"]);
    let page = fs::read_to_string(at.join("drawn/report.html")).unwrap();
    assert!(page.contains(&format!("judged by {whole}{said}")), "{whole}");
}

/// What a server says to a request.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_page_is_served_to_this_machine_and_goes_along() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    begin(at, "c", &["--strategy", "qbc-diversity", "--held-out", "0.25"]);
    let mut watch = dal(at, &["watch", "c"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/'));
    let port: u16 = address.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
    let get = |path: &str| ask(port, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"));
    let (before, version) = (get("/"), get("/version"));
    assert!(before.starts_with("HTTP/1.1 200 OK\r\n") && before.contains("There is no trained model yet"), "{before}");
    assert!(before.contains("connect-src 'self'") && before.contains("renew this page"));
    assert_eq!(get("/version"), version);
    assert!(get("/etc/passwd").starts_with("HTTP/1.1 404 ") && get("/../c/log").starts_with("HTTP/1.1 404 "));
    let post = ask(port, &format!("POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n"));
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("Allow: GET, HEAD"), "{post}");
    assert!(ask(port, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").starts_with("HTTP/1.1 421 "));
    let head = ask(port, &format!("HEAD / HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 OK") && !head.contains("<!DOCTYPE"), "{head}");
    // Another process runs the campaign meanwhile.
    succeed(at, &["run", "c", "--budget", "28", "--threads", "1"]);
    assert_ne!(get("/version"), version);
    let after = get("/");
    assert!(after.contains("uniform points that it never learned") && after.contains("drag along speed"));
    let log = fs::read(at.join("c/log")).unwrap();
    assert_eq!(get("/"), after);
    assert_eq!(fs::read(at.join("c/log")).unwrap(), log);
    // While another process is at work its budget is not known here.
    assert!(after.contains("Look at the failures first"));
    let at_work = fs::File::open(at.join("c/log")).unwrap();
    at_work.lock().unwrap();
    let meanwhile = get("/");
    assert!(meanwhile.contains("a process is at work") && !meanwhile.contains("Look at the failures"), "{meanwhile}");
    at_work.unlock().unwrap();
    let idle = get("/");
    assert!(idle.contains("Look at the failures first") && !idle.contains("a process is at work"), "{idle}");
    // Ctrl-C is how it ends.
    let kill = std::process::Command::new("kill").args(["-INT", &watch.id().to_string()]).status().unwrap();
    assert!(kill.success() && watch.wait().unwrap().success());
}

/// What the page would show, as data.
fn page_data(at: &Path, name: &str) -> serde_json::Value {
    serde_json::from_str(&succeed(at, &["report", name, "--format", "json", "--threads", "1"])).unwrap()
}

/// The commands of a list of the page's data.
fn words_of(list: &serde_json::Value) -> Vec<String> {
    let text = |entry: &serde_json::Value| entry.as_str().or(entry["command"].as_str()).unwrap().to_owned();
    list.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn what_the_page_prints_repeats_the_campaign() {
    let dir = tempfile::tempdir().unwrap();
    let (at, again) = (dir.path().join("first"), dir.path().join("again"));
    fs::create_dir_all(&at).unwrap();
    begin(&at, "c", &["--strategy", "power-qbc"]);
    succeed(&at, &["run", "c", "--budget", "20", "--threads", "1"]);
    let points = succeed(&at, &["ask", "c", "-n", "4", "--threads", "1", "--format", "csv"]);
    let open = page_data(&at, "c");
    assert_eq!(words_of(&open["next"])[0], "dal tell c results.csv", "{}", open["next"]);
    let answers: Vec<String> = points
        .lines()
        .enumerate()
        .map(|(k, line)| format!("{line},{}", if k == 0 { "drag,lift" } else { "2.5,1" }))
        .collect();
    write(&at, "results.csv", &answers.join("\n"));
    succeed(&at, &["tell", "c", "results.csv"]);
    let data = page_data(&at, "c");
    let repeat = words_of(&data["repeat"]);
    assert_eq!(
        repeat[1..],
        ["dal run c --budget 20", "dal ask c -n 4", "dal tell c results.csv", "dal report c"],
        "{repeat:?}"
    );
    assert_eq!(data["unrepeatable"], serde_json::json!([]));
    assert!(words_of(&data["next"])[0].starts_with("dal run c --budget 36"), "{}", data["next"]);
    // As printed, in another place.
    fs::create_dir_all(&again).unwrap();
    for name in ["rig.toml", "simulate.sh", "results.csv"] {
        fs::copy(at.join(name), again.join(name)).unwrap();
    }
    for (k, command) in repeat.iter().enumerate() {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        succeed(&again, &words);
        if k == 0 {
            fs::copy(at.join("c/campaign.toml"), again.join("c/campaign.toml")).unwrap();
        }
    }
    assert_eq!(page_data(&again, "c")["points"], data["points"]);
}

#[test]
fn runs_audits_and_measurements_are_repeated_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (at, again) = (dir.path().join("first"), dir.path().join("again"));
    fs::create_dir_all(&at).unwrap();
    begin(&at, "c", &["--strategy", "power-qbc"]);
    write(&at, "own.csv", "speed,blades,material,drag,lift\n30,3,wood,5,1\n");
    write(&at, "repeated.csv", "speed,blades,material,drag,lift\n30,3,wood,5.5,1.2\n");
    write(&at, "mended.csv", "speed,blades,material,drag,lift\n30,3,wood,5.25,1\n");
    // A run whose last round the budget cut short, one with another batch, and one that was made in two parts.
    for words in [
        "run c --budget 18",
        "run c --budget 24 --batch 3",
        "run c --budget 28",
        "run c --budget 30",
        "audit c -n 4",
        "audit c -n 6",
        "tell c own.csv",
        "tell c repeated.csv --replicate",
        "tell c mended.csv --correct",
    ] {
        succeed(&at, &words.split(' ').collect::<Vec<_>>());
    }
    let data = page_data(&at, "c");
    let repeat = words_of(&data["repeat"]);
    assert_eq!(
        repeat[1..],
        [
            "dal run c --budget 18",
            "dal run c --budget 24 --batch 3",
            "dal run c --budget 30",
            "dal audit c -n 4",
            "dal audit c -n 6",
            "dal tell c own.csv",
            "dal tell c repeated.csv --replicate",
            "dal tell c mended.csv --correct",
            "dal report c",
        ],
        "{repeat:?}"
    );
    // As printed, in another place.
    fs::create_dir_all(&again).unwrap();
    for name in ["rig.toml", "simulate.sh", "own.csv", "repeated.csv", "mended.csv"] {
        fs::copy(at.join(name), again.join(name)).unwrap();
    }
    for (k, command) in repeat.iter().enumerate() {
        succeed(&again, &command.split_whitespace().skip(1).collect::<Vec<_>>());
        if k == 0 {
            fs::copy(at.join("c/campaign.toml"), again.join("c/campaign.toml")).unwrap();
        }
    }
    assert_eq!(page_data(&again, "c")["points"], data["points"]);
    let export = |at: &Path| succeed(at, &["export", "c", "--to", "csv"]);
    assert_eq!(export(&again), export(&at));
}

#[test]
fn a_laboratory_is_told_what_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    begin(at, "c", &[]);
    write(at, "rig.toml", PROBLEM.split("[oracle.command]").next().unwrap());
    succeed(at, &["ask", "c", "-n", "4", "--format", "csv"]);
    assert_eq!(words_of(&page_data(at, "c")["next"]), ["dal tell c results.csv"]);
    succeed(at, &["undo", "c"]);
    assert_eq!(words_of(&page_data(at, "c")["next"]), ["dal ask c -n 4 --format csv > points.csv"]);
    // All of them fail: there is no model to be unsure.
    let points = succeed(at, &["ask", "c", "-n", "4", "--format", "csv"]);
    let failed: Vec<String> = points
        .lines()
        .enumerate()
        .map(|(k, line)| format!("{line},{}", if k == 0 { "drag,lift" } else { "error: stalls at 3,failed" }))
        .collect();
    write(at, "results.csv", &failed.join("\n"));
    succeed(at, &["tell", "c", "results.csv"]);
    let data = page_data(at, "c");
    let next = data["next"].as_array().unwrap();
    assert!(
        next.len() == 1 && next[0]["why"].as_str().unwrap().starts_with("None of 4 points has an answer"),
        "{next:?}"
    );
    assert_eq!(data["failures"][0]["reasons"][0][1], 4, "{}", data["failures"]);
}
