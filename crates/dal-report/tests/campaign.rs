//! The page of a campaign from made-up data: every section, the fewest data, and names that are not kind.

use std::collections::BTreeSet;

use dal_report::campaign::{
    AskedRow, CampaignData, Curve, ErrorNow, Estimate, Failing, FailureKind, Foretold, Input, InputKind, JudgedBy, Map,
    ModelData, Network, NextStep, Output, Pending, Picks, Place, Profile, Ranged, RoundKind, RoundRow, Rung,
    StoppingRule, Trend, TrendMark, Unsure, campaign_page, write_campaign_page,
};

fn number(name: &str, log: bool) -> Input {
    Input { name: name.into(), unit: "N".into(), kind: Some(InputKind::Number { low: 1.0, high: 100.0, log }) }
}

/// Two inputs that vary, one output, everything there.
fn full() -> CampaignData {
    let ranged = |value: f64| Ranged { value, low: value - 0.05, high: value + 0.1 };
    let levels = InputKind::Levels { names: vec!["steel".into(), "oak".into()] };
    let mark = |n_labelled, value| TrendMark { n_labelled, value, interval: Some((0.8 * value, 1.3 * value)) };
    let curve = |x: Vec<f64>| Curve {
        mean: x.iter().map(|v| 1.0 + v).collect(),
        low: x.iter().map(|v| 0.9 + v).collect(),
        high: x.iter().map(|v| 1.2 + v).collect(),
        x,
    };
    CampaignData {
        folder: "beam".into(),
        problem: "beam".into(),
        version: "1".into(),
        inputs: vec![number("load", true), Input { name: "material".into(), unit: String::new(), kind: Some(levels) }],
        outputs: vec![Output { name: "deflection".into(), unit: "mm".into(), log: true, constant: false }],
        n_outputs: 1,
        counts: vec![("done".into(), 20), ("failed".into(), 3)],
        labels: 20,
        level: 0.9,
        errors: vec![ErrorNow {
            output: Some("deflection".into()),
            unit: "mm".into(),
            best: Some((
                Estimate { rmse: 0.31, interval: Some((0.25, 0.42)) },
                JudgedBy::NeverLearned { answered: 12, drawn: 13 },
            )),
            deviations: Some(Estimate { rmse: 0.1, interval: Some((0.08, 0.14)) }),
            off_by: Some(Estimate { rmse: 0.11, interval: Some((0.09, 0.16)) }),
            validated: Some(0.4),
            explained: Some(0.98),
            relative: Some(0.12),
            log: true,
            constant: false,
        }],
        trend: vec![
            Trend {
                validated: vec![mark(10, 0.9), mark(20, 0.4)],
                never_learned: vec![mark(20, 0.31)],
                ..Trend::default()
            },
            Trend { validated: vec![mark(10, 0.5), mark(20, 0.2)], ..Trend::default() },
        ],
        foretold: (0..6)
            .map(|i| Foretold {
                id: i,
                round: 1 + i as usize / 3,
                uniform: i > 3,
                audit: i == 5,
                predicted: vec![1.0 + i as f64],
                sd: vec![Some(0.1)],
                measured: vec![1.1 + i as f64],
            })
            .collect(),
        points: (0..23)
            .map(|i| Place {
                id: i,
                at: vec![1.0 + 4.0 * i as f64, (i % 2) as f64],
                state: if i > 19 { "failed: refused".into() } else { "done".into() },
            })
            .collect(),
        failures: vec![FailureKind {
            kind: "refused".into(),
            n: 3,
            reasons: vec![("it yields at 3".into(), 2), ("no mesh".into(), 1)],
        }],
        failing: vec![Failing::Larger { input: 0, share: 0.95 }],
        pending: vec![Pending {
            id: 24,
            state: "asked".into(),
            since: "2 h".into(),
            lease: "to cluster".into(),
            loss: String::new(),
        }],
        model: Some(ModelData {
            n_labelled: 20,
            is_current: true,
            members: 10,
            importance: vec![Some(vec![(ranged(0.6), ranged(0.7)), (ranged(0.3), ranged(0.4))])],
            dependence: vec![vec![curve(vec![1.0, 10.0, 100.0]), curve(vec![0.0, 1.0])]],
            order: vec![0, 1],
            unsure: Some(Unsure {
                overall: 0.1,
                left_out: 0.2,
                profiles: vec![
                    Some(Profile { edges: vec![1.0, 10.0, 100.0], values: vec![Some(0.05), Some(0.19)] }),
                    Some(Profile { edges: vec![-0.5, 0.5, 1.5], values: vec![Some(0.1), None] }),
                ],
                maps: vec![Map {
                    across: 0,
                    up: Some(1),
                    values: vec![vec![Some(0.05), None], vec![Some(0.2), Some(0.1)]],
                }],
            }),
            dependent_inputs: false,
            factors: vec![Some(2.5)],
        }),
        network: Some(Network {
            network: "2 × 16".into(),
            how: "By cross-validation.".into(),
            trained: true,
            rungs: vec![Rung {
                network: "2 × 16".into(),
                n_parameters: 300,
                loss: Some(0.02),
                standard_error: Some(0.01),
                chosen: true,
            }],
        }),
        rounds: vec![RoundRow {
            round: 0,
            rule: "space-filling design".into(),
            kind: RoundKind::Design,
            n_labelled: 0,
            points: 23,
            by_state: (20, 3, 0),
            candidates: 23,
            left_out: 0,
            remarks: String::new(),
        }],
        asked: vec![AskedRow {
            id: 1,
            round: 0,
            x: vec!["5".into(), "oak".into()],
            state: "done".into(),
            why: "to fill the space".into(),
            disagreement: None,
            distance: Some(0.3),
        }],
        stopping: vec![StoppingRule { rule: "target 0.05".into(), fired: false, words: "about 0.1".into() }],
        is_judged: true,
        next: vec![NextStep { command: "dal run beam --budget 47".into(), why: "more labels".into() }],
        repeat: vec!["dal new beam".into()],
        files: vec![("campaign.toml".into(), "initial = 23".into())],
        ..CampaignData::default()
    }
}

/// What stands in quotes behind every such attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    page.split(&format!(" {name}=\"")).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

/// Names are there once, and links lead somewhere.
fn is_sound(page: &str) {
    let ids = attributes(page, "id");
    let names: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(names.len(), ids.len(), "{ids:?}");
    for link in attributes(page, "href").into_iter().filter_map(|href| href.strip_prefix('#')) {
        assert!(names.contains(link), "{link}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf "), "numbers are numbers");
}

#[test]
fn everything_is_said_and_drawn() {
    let page = campaign_page(&full(), false);
    is_sound(&page);
    for words in [
        "<li>deflection: 0.31\u{a0}mm (0.25 to 0.42\u{a0}mm), off by 11\u{a0}% (9 to 16\u{a0}%), root mean square of the \
         logarithm's errors; 99\u{a0}% of the variance of its logarithm explained</li>",
        "Over the part of the space that has answers its root mean square error",
        "judged by 12 of 13 uniform points that it never learned (the other one has no answer)",
        "most at load 10 to 100\u{a0}N (1.9 times as much)",
        "they lie at large load",
        "20\u{a0}% of the space was left out",
        "“it yields at 3” (2 times the like) and “no mesh”",
        "Not by your rules.",
        "<code>dal run beam --budget 47</code>: more labels",
        "still falls: 0.5 standard deviations at 10 labels, 0.2 at 20",
        "Points over load and material",
        "Times deflection 2.5 it is a 90 % interval",
        "<h2 id=\"section-repeat\">",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // A part of the space has no answers, so that nothing is said of all of it.
    assert!(!page.contains("the whole space"), "{page}");
    let whole = campaign_page(&CampaignData { failures: vec![], ..full() }, false);
    assert!(
        whole.contains("Over the whole space its root mean square error") && whole.contains("over the whole space, by")
    );
    assert_eq!(page.matches("<figure").count(), 7, "trend, foretold, points, spread, two curves, importance");
    assert!(!page.contains("connect-src") && !page.contains("p class=\"live"));
    let live = campaign_page(&full(), true);
    assert!(live.contains("connect-src 'self'") && live.contains("renew this page"));
}

/// The part of a page from one text to another behind it.
fn between<'a>(page: &'a str, from: &str, to: &str) -> &'a str {
    let rest = &page[page.find(from).unwrap_or_else(|| panic!("{from}"))..];
    &rest[..rest.find(to).unwrap_or_else(|| panic!("{to}"))]
}

#[test]
fn points_of_audits_stand_beside_those_of_rounds() {
    let page = campaign_page(&full(), false);
    let section = between(&page, "<h2 id=\"section-foretold\">", "<h2 id=\"section-points\">");
    for words in [
        "points of audits, which no model learns, as the model of 20 labels predicts them",
        "of an audit, never learned, as predicted now</li>",
        "held out of learning, as predicted when drawn</li>",
        "<g data-s=\"4\"><g class=\"c4\">",
    ] {
        assert!(section.contains(words), "{words}: {section}");
    }
    assert!(page.contains("the largest miss at points never learned was point 5"));
    let mut none = full();
    none.foretold.retain(|of| !of.audit);
    let page = campaign_page(&none, false);
    let section = between(&page, "<h2 id=\"section-foretold\">", "<h2 id=\"section-points\">");
    assert!(!section.contains("audit") && page.contains("the largest miss of the last round was point"), "{section}");
}

#[test]
fn what_a_round_was_chosen_among_is_explained() {
    let mut data = full();
    data.candidates = 4096;
    let page = campaign_page(&data, false);
    assert!(!page.contains("“Chosen among”"), "a design compares nothing");
    data.rounds.push(round(1, Picks::Best { by_spread: true }, 4, 0));
    let page = campaign_page(&data, false);
    let table = between(&page, "<table class=\"sortable stacked\" id=\"rounds\"", "</table>");
    assert!(table.contains("data-l=\"chosen among\" class=\"none\">–<") && table.contains(">100<"), "{table}");
    assert!(page.contains("begins with 4096 points (<code>candidates</code> in campaign.toml), fresh and random"));
    assert!(page.contains("some of these are left out at random beforehand"));
}

#[test]
fn a_campaign_without_anything_has_a_page() {
    let empty = CampaignData { no_model: "There is no model yet.".into(), ..CampaignData::default() };
    let page = campaign_page(&empty, false);
    is_sound(&page);
    assert_eq!(page.matches("<figure").count(), 0);
    assert!(
        page.contains("There is no model yet. So far there are 0 labels.") && page.contains("No: there is nothing")
    );
    // All points failed.
    let failed = CampaignData { labels: 0, model: None, network: None, errors: vec![], trend: vec![], ..full() };
    let page = campaign_page(&failed, false);
    is_sound(&page);
    assert!(page.contains("3 of 23 points failed"), "{page}");
}

#[test]
fn one_input_and_odd_numbers_are_drawn() {
    let mut data = full();
    data.inputs.truncate(1);
    data.points.iter_mut().for_each(|p| p.at.truncate(1));
    let model = data.model.as_mut().unwrap();
    model.order = vec![0];
    model.importance = vec![None];
    model.dependence[0].truncate(1);
    let unsure = model.unsure.as_mut().unwrap();
    unsure.profiles.truncate(1);
    unsure.maps = vec![Map { across: 0, up: None, values: vec![vec![Some(0.05)], vec![None]] }];
    // A log axis without positive values becomes a plain one; what is no number is left out.
    data.foretold.iter_mut().for_each(|p| p.predicted[0] = -1.0);
    data.foretold[0].predicted[0] = f64::NAN;
    let page = campaign_page(&data, false);
    is_sound(&page);
    assert!(page.contains("Points over load") && page.contains("Spread over load"));
    assert!(page.contains("The model says the same everywhere of deflection"));
}

#[test]
fn names_stay_text_and_the_page_is_a_file() {
    let mut data = full();
    let hostile = "</script><b>\"&'".to_owned();
    data.problem.clone_from(&hostile);
    data.inputs[0].name.clone_from(&hostile);
    data.outputs[0].name.clone_from(&hostile);
    data.failures[0].reasons[0].0.clone_from(&hostile);
    data.files[0].1.clone_from(&hostile);
    let page = campaign_page(&data, false);
    is_sound(&page);
    assert!(!page.contains("<b>") && page.contains("&lt;/script&gt;&lt;b&gt;"));
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("log"), "kept").unwrap();
    let written = write_campaign_page(&data, out.path()).unwrap();
    assert_eq!(std::fs::read_to_string(written).unwrap(), page);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 2);
}

/// A round of a rule: points with an answer, and failed ones.
fn round(round: usize, picks: Picks, done: usize, failed: usize) -> RoundRow {
    RoundRow {
        round,
        rule: "a rule".into(),
        kind: RoundKind::Rule(picks),
        n_labelled: 20,
        points: done + failed,
        by_state: (done, failed, 0),
        candidates: 100,
        left_out: 7,
        remarks: String::new(),
    }
}

/// Judged by cross-validation alone.
fn validated() -> CampaignData {
    let mut data = full();
    data.errors[0].best = Some((Estimate { rmse: 0.4, interval: None }, JudgedBy::CrossValidation { n: 20 }));
    data.errors[0].deviations = Some(Estimate { rmse: 0.02_f64.sqrt(), interval: None });
    data.errors[0].off_by = Some(Estimate { rmse: 0.12, interval: None });
    data
}

#[test]
fn sentences_follow_the_rule() {
    let said = |picks: Option<Picks>| {
        let mut data = validated();
        data.rounds.extend(picks.map(|picks| round(1, picks, 4, 0)));
        campaign_page(&data, false)
    };
    let best = said(Some(Picks::Best { by_spread: true }));
    for words in [
        "which lie where the model was least sure, so this is not the error over the whole space",
        "as a rule they are harder than the rest",
        "deflection: 0.4\u{a0}mm, off by 12\u{a0}%, root mean square of the logarithm's errors; 98\u{a0}% of the variance of its \
         logarithm explained",
    ] {
        assert!(best.contains(words), "{words}");
    }
    let unmeasured = campaign_page(&CampaignData { stopping: vec![], ..validated() }, false);
    assert!(unmeasured.contains("nothing has measured the error over the whole space so far"));
    let measured = campaign_page(&CampaignData { stopping: vec![], ..full() }, false);
    assert!(measured.contains("whether the error above is small enough for your use"));
    let even = said(Some(Picks::Evenly));
    assert!(even.contains("points that were drawn uniformly") && even.contains("they are as hard as the rest"));
    let drawn = said(Some(Picks::Drawn { by_spread: true }));
    assert!(drawn.contains("more of which lie where the model was less sure"));
    let none = said(None);
    assert!(none.contains("These are the points of the first design"));
    for page in [even, none] {
        assert!(!page.contains("least sure,") && !page.contains("harder than"), "nothing was chosen by the model");
    }
}

#[test]
fn a_campaign_whose_rounds_fail_is_stuck() {
    let mut data = validated();
    assert_eq!(data.stuck(), None);
    data.rounds.extend([round(1, Picks::Evenly, 3, 1), round(2, Picks::Evenly, 0, 4), round(3, Picks::Evenly, 0, 4)]);
    assert_eq!(data.stuck(), Some((2, 8)));
    data.trend.clear();
    let page = campaign_page(&data, false);
    is_sound(&page);
    let first =
        "The last 2 rounds brought no answer, all 8 points failed: “it yields at 3” (2 times the like) and “no mesh”";
    assert!(page.contains(first) && page.contains("The 3 rounds after the first design brought nothing yet"), "{page}");
    assert!(!page.contains("There is no round after"));
    let mut one = validated();
    one.rounds.push(round(1, Picks::Evenly, 0, 4));
    assert_eq!(one.stuck(), None, "a small round may fail by chance");
    // Points that are all open say nothing yet.
    data.rounds.push(RoundRow { by_state: (0, 0, 4), ..round(4, Picks::Evenly, 0, 0) });
    assert_eq!(data.stuck(), Some((2, 8)));
    data.rounds.push(round(5, Picks::Evenly, 1, 3));
    assert_eq!(data.stuck(), None);
}

#[test]
fn a_direction_is_claimed_where_intervals_lie_apart() {
    let said = |then: (f64, (f64, f64)), now: Option<(f64, f64)>| {
        let mark = |n_labelled, value, interval| TrendMark { n_labelled, value, interval };
        let mut data = CampaignData { failures: vec![], ..full() };
        let last = data.trend.last_mut().unwrap();
        last.drawn = vec![mark(20, then.0, Some(then.1)), mark(28, 0.2, now)];
        campaign_page(&data, false)
    };
    let apart = said((0.1, (0.08, 0.12)), Some((0.15, 0.3)));
    assert!(
        apart.contains("the error over the whole space rises: 0.1 (0.08 to 0.12) standard deviations at 20 labels")
    );
    for page in [said((0.1, (0.08, 0.17)), Some((0.15, 0.3))), said((0.1, (0.08, 0.12)), None)] {
        assert!(page.contains("cannot be told from the draws so far; the error in cross-validation"));
    }
}

#[test]
fn constant_outputs_have_no_importance() {
    let mut data = full();
    data.outputs.push(Output { name: "stress".into(), unit: String::new(), log: false, constant: true });
    (data.n_outputs, data.n_constant) = (2, 1);
    let constant = ErrorNow { output: Some("stress".into()), constant: true, log: false, ..data.errors[0].clone() };
    data.errors.extend([constant, ErrorNow { output: None, ..data.errors[0].clone() }]);
    for p in &mut data.foretold {
        p.predicted.push(3.5);
        p.sd.push(None);
        p.measured.push(3.5);
    }
    let model = data.model.as_mut().unwrap();
    model.importance.push(None);
    model.dependence.push(model.dependence[0].clone());
    let page = campaign_page(&data, false);
    is_sound(&page);
    assert!(page.contains("stress: constant, all answers so far are equal"));
    assert!(page.contains("Constant so far, so not drawn: stress.") && !page.contains("stress along"));
    assert!(page.contains("Constant so far, so that no input matters to it: stress."));
    assert!(!page.contains("outputs together"), "one output that varies is no mean of several");
}

#[test]
fn of_many_outputs_the_worst_are_named() {
    let mut data = validated();
    data.n_outputs = 8;
    data.errors = (0..8)
        .map(|j| ErrorNow {
            output: Some(format!("y{j}")),
            explained: Some(0.9996 - 0.01 * f64::from(j)),
            deviations: Some(Estimate { rmse: (0.0004 + 0.01 * f64::from(j)).sqrt(), interval: None }),
            off_by: None,
            relative: None,
            log: false,
            ..data.errors[0].clone()
        })
        .collect();
    let page = campaign_page(&data, false);
    assert!(page.contains("<li>y7: ") && !page.contains("<li>y0: "));
    assert!(page.contains("these are the worst 6 of 8 outputs"));
    // What is less than all of it is not called all of it.
    data.errors.truncate(1);
    data.n_outputs = 1;
    let page = campaign_page(&data, false);
    assert!(page.contains("99.9\u{a0}% of its variance explained") && page.contains(">0.999<"));
}

#[test]
fn ends_are_told_as_they_are() {
    let mut data = full();
    data.at_work = true;
    data.next.clear();
    data.network.as_mut().unwrap().trained = false;
    data.unrepeatable = vec!["a run labelled several points at a time".into()];
    data.pooled = Some((Estimate { rmse: 0.181, interval: Some((0.15, 0.25)) }, 5));
    data.errors[0].best =
        Some((Estimate { rmse: 0.2, interval: None }, JudgedBy::Draws { answered: 8, drawn: 8, n_labelled: 44 }));
    data.rounds.clear();
    let page = campaign_page(&data, false);
    is_sound(&page);
    for words in [
        "a process is at work on this campaign",
        "No model is trained now; the next one will be 2 × 16",
        "not point for point, because a run labelled several points at a time",
        "mean error of the last 5 models there, from all their draws: 0.181 (0.15 to 0.25)",
        "<p>Nothing was asked for yet.</p>",
    ] {
        assert!(page.contains(words), "{words}");
    }
}
