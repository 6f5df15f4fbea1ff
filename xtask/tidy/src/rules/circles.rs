//! The top-level modules of a crate import each other in one direction: no circles, re-exports by the root followed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::modules::{Crate, Names, absolute, read_crate};
use crate::{Findings, Project};

/// How one top-level module leads to another.
#[derive(Debug)]
struct Edge {
    file: PathBuf,
    line: usize,
    /// What is mentioned there, from the root.
    path: String,
}

/// Edges by the module that mentions and the one that is mentioned.
type Graph = BTreeMap<String, BTreeMap<String, Edge>>;

pub fn check(project: &Project) -> Result<Findings> {
    let mut found = Findings::default();
    for package in project.members() {
        for target in package.targets.iter().filter(|t| t.kind.iter().any(|kind| kind == "lib" || kind == "bin")) {
            let graph = graph(&read_crate(&target.src_path)?);
            for knot in knots(&graph) {
                let name = match target.kind.iter().any(|kind| kind == "lib") {
                    true => package.name.clone(),
                    false => format!("{}'s program {}", package.name, target.name),
                };
                found.offences.push(describe(&name, &graph, &knot, &project.root));
            }
        }
    }
    Ok(found)
}

/// A circle and what else hangs together with it.
fn describe(name: &str, graph: &Graph, knot: &BTreeSet<String>, root: &Path) -> String {
    let circle = shortest_circle(graph, knot);
    let mut text = format!("{name}: top-level modules import each other in a circle: {}", circle.join(" → "));
    for pair in circle.windows(2) {
        let edge = &graph[&pair[0]][&pair[1]];
        let file = edge.file.strip_prefix(root).unwrap_or(&edge.file).display();
        let _ = write!(text, "\n    {file}:{}: {} → {} by `{}`", edge.line, pair[0], pair[1], edge.path);
    }
    if knot.len() + 1 > circle.len() {
        let names: Vec<&str> = knot.iter().map(String::as_str).collect();
        let _ = write!(text, "\n    one of several circles through {} modules: {}", knot.len(), names.join(", "));
    }
    text
}

/// The first mention that leads from each top-level module to each other one.
fn graph(read: &Crate) -> Graph {
    let mut graph = Graph::new();
    let of_root = |name: &str| read.modules.get(&[][..]).is_some_and(|names| holds(read, &[], names, name));
    // Where a module opens the root by a glob, a bare name can be one of the root's.
    let opened = |from: &[String]| {
        let names = read.modules.get(from)?;
        names.globs.iter().any(|glob| absolute(from, glob).is_some_and(|path| path.is_empty())).then_some(names)
    };
    let bare = read.bare.iter().filter(|mention| {
        let name = &mention.path[0];
        opened(&mention.from)
            .is_some_and(|own| !own.defined.contains(name) && !own.imported.contains_key(name) && of_root(name))
    });
    for mention in read.mentions.iter().chain(bare) {
        let Some(from) = mention.from.first() else { continue };
        for to in owners(read, &mention.path, 0).into_iter().filter(|to| to != from) {
            let path = format!("crate::{}", mention.path.join("::"));
            let edge = || Edge { file: mention.file.clone(), line: mention.line, path };
            graph.entry(from.clone()).or_default().entry(to).or_insert_with(edge);
        }
    }
    graph
}

/// The top-level modules that a path from the root leads into.
fn owners(read: &Crate, path: &[String], depth: usize) -> BTreeSet<String> {
    let mut tops = BTreeSet::new();
    let (Some(first), Some(root)) = (path.first(), read.modules.get(&[][..])) else { return tops };
    // A re-export of a re-export, and so on; a chain that bites its tail does not compile.
    if depth > 8 {
        return tops;
    }
    let is_module = read.modules.contains_key(std::slice::from_ref(first));
    if is_module {
        tops.insert(first.clone());
    }
    // `crate::run` alone can be the module and a function of that name at once; `crate::run::x` is in the module.
    if is_module && path.len() > 1 {
        return tops;
    }
    if let Some(written) = root.imported.get(first) {
        tops.extend(owners(read, &from_root(written), depth + 1));
        return tops;
    }
    if root.defined.contains(first) && !read.exported_macros.contains_key(first) {
        return tops;
    }
    if let Some(module) = read.exported_macros.get(first) {
        tops.extend(module.first().cloned());
        return tops;
    }
    for glob in &root.globs {
        let path = from_root(glob);
        if read.modules.get(&path).is_some_and(|names| holds(read, &path, names, first)) {
            tops.extend(owners(read, &path, depth + 1));
        }
    }
    tops
}

/// A path that the root writes, from the root: there, a bare path begins at the root, too.
fn from_root(written: &[String]) -> Vec<String> {
    absolute(&[], written).unwrap_or_else(|| written.to_vec())
}

/// Whether a module holds a name, its own globs followed.
fn holds(read: &Crate, module: &[String], names: &Names, name: &str) -> bool {
    let mut seen = BTreeSet::from([module.to_vec()]);
    let mut waiting = vec![(module.to_vec(), names)];
    while let Some((module, names)) = waiting.pop() {
        if names.defined.contains(name) || names.imported.contains_key(name) {
            return true;
        }
        for glob in &names.globs {
            let path = absolute(&module, glob).unwrap_or_else(|| [&module[..], glob].concat());
            if let Some(names) = read.modules.get(&path)
                && seen.insert(path.clone())
            {
                waiting.push((path, names));
            }
        }
    }
    false
}

/// The sets of modules that all reach each other, of two modules or more.
fn knots(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<String>> = graph.keys().map(|from| (from, reach(graph, from))).collect();
    let mut knots: Vec<BTreeSet<String>> = Vec::new();
    for (from, reach) in &reached {
        let knot: BTreeSet<String> =
            reach.iter().filter(|to| reached.get(to).is_some_and(|r| r.contains(*from))).cloned().collect();
        if !knot.is_empty() && !knots.contains(&knot) {
            knots.push(knot);
        }
    }
    knots
}

/// What can be reached from a module in one step or more.
fn reach(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        for to in graph.get(at).into_iter().flat_map(|edges| edges.keys()) {
            if reached.insert(to.clone()) {
                waiting.push(to);
            }
        }
    }
    reached
}

/// A shortest circle in a knot, its first module repeated at its end.
fn shortest_circle(graph: &Graph, knot: &BTreeSet<String>) -> Vec<String> {
    let circles = knot.iter().filter_map(|start| {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = VecDeque::from([start.as_str()]);
        while let Some(at) = waiting.pop_front() {
            for to in graph[at].keys().filter(|to| knot.contains(*to)) {
                if before.contains_key(to.as_str()) {
                    continue;
                }
                before.insert(to, at);
                if to == start {
                    let mut circle = vec![start.clone()];
                    let mut step = before[start.as_str()];
                    while step != start {
                        circle.push(step.to_owned());
                        step = before[step];
                    }
                    circle.push(start.clone());
                    circle.reverse();
                    return Some(circle);
                }
                waiting.push_back(to);
            }
        }
        None
    });
    circles.min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Writes a crate and describes its circles, as `check` would.
    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let graph = graph(&read_crate(&folder.path().join("lib.rs")).unwrap());
        knots(&graph).iter().map(|knot| describe("c", &graph, knot, folder.path())).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_direct_circle_is_told_with_a_place_for_each_edge() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\n"),
            ("a.rs", "//! A.\nuse std::fmt;\nuse crate::b::{self, Y};\npub struct X;\n"),
            ("b.rs", "//! B.\npub struct Y(super::a::X);\n"),
            ("c.rs", "use crate::a::X;\nuse crate::b::Y;\n"),
        ]);
        assert_eq!(
            found,
            ["c: top-level modules import each other in a circle: a → b → a\n    \
              a.rs:3: a → b by `crate::b`\n    b.rs:2: b → a by `crate::a::X`"]
        );
    }

    #[test]
    fn re_exports_by_the_root_are_followed() {
        for export in ["pub use b::Y;", "use crate::b::Y;", "pub use self::b::Y as Y;", "pub use b::*;"] {
            let found = circles(&[
                ("lib.rs", &format!("mod a;\nmod b;\n{export}\n")),
                ("a.rs", "pub fn f(_: crate::Y) {}"),
                ("b.rs", "pub struct Y;\nfn g() { crate::a::f(Y) }"),
            ]);
            assert_eq!(found.len(), 1, "{export}");
            assert!(found[0].contains("a.rs:1: a → b by `crate::Y`"), "{}", found[0]);
        }
        // Under another name, through a glob of a glob, and by a chain of the root's own names.
        let renamed = circles(&[
            ("lib.rs", "mod a;\nmod b;\npub use b::Y as Z;\n"),
            ("a.rs", "use super::Z;\npub struct X;\n"),
            ("b.rs", "use super::a::X;\npub struct Y;\n"),
        ]);
        assert!(renamed[0].contains("a → b by `crate::Z`"), "{renamed:?}");
        let nested = circles(&[
            ("lib.rs", "mod a;\nmod b;\npub use b::*;\n"),
            ("a.rs", "use crate::Y;\npub struct X;\n"),
            ("b/mod.rs", "mod deep;\npub use deep::*;\n"),
            ("b/deep.rs", "pub struct Y(super::super::a::X);\n"),
        ]);
        assert!(nested[0].contains("b/deep.rs:1: b → a by `crate::a::X`"), "{nested:?}");
    }

    #[test]
    fn names_of_the_root_itself_and_other_globs_lead_nowhere() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\npub use b::*;\npub const C: u8 = 1;\n"),
            ("a.rs", "use crate::C;\nuse std::b::Y;\npub struct X;\n"),
            ("b.rs", "use crate::a::X;\npub struct Y;\n"),
        ]);
        assert_eq!(found, NONE);
    }

    #[test]
    fn what_is_reached_through_tests_only_is_allowed() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod testing;\n"),
            (
                "a.rs",
                "pub struct X;\n#[cfg(test)]\nuse crate::b::Y;\nimpl X {\n    #[cfg(test)]\n    fn f(_: crate::b::Y) {}\n}\n\
                 #[cfg(all(test, unix))]\nmod tests {\n    use crate::b::Y;\n    use super::super::b;\n}\n#[test]\n\
                 fn t() { crate::b::g(); }\n",
            ),
            ("b.rs", "use crate::a::X;\npub struct Y;\n"),
            ("testing.rs", "use crate::a::X;\n"),
        ]);
        assert_eq!(found, NONE);
        // But what a feature can bring counts.
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "#[cfg(any(test, feature = \"x\"))]\nuse crate::b::Y;\npub struct X;\n"),
            ("b.rs", "use crate::a::X;\npub struct Y;\n"),
        ]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn paths_count_in_expressions_types_macros_and_attributes() {
        let mentions = [
            "fn f() { let _ = crate::b::g(); }",
            "fn f(_: Vec<crate::b::Y>) {}",
            "impl crate::b::T for X {}",
            "fn f() { <X as crate::b::T>::g() }",
            "fn f() { println!(\"{}\", crate::b::g()); }",
            "macro_rules! m { () => { $crate::b::g() } }",
            "m! { use super::{c, b::g}; }",
            "#[serde(with = \"crate::b\")]\nstruct S;",
            "struct S { #[serde(default = \"crate::b::g\")] x: u8 }",
            "mod deep { fn f() { super::super::b::g() } }",
            "use super::*;\nfn f() { b::g() }",
            "use super::*;\nfn f() -> Y { todo() }",
            "fn f() { crate::h!() }",
        ];
        for mention in mentions {
            let found = circles(&[
                ("lib.rs", "mod a;\nmod b;\nmod c;\npub use b::Y;\n"),
                ("a.rs", &format!("{mention}\npub struct X;\n")),
                ("b.rs", "use crate::a::X;\npub struct Y;\n#[macro_export]\nmacro_rules! h { () => {} }\n"),
                ("c.rs", ""),
            ]);
            assert_eq!(found.len(), 1, "{mention}");
        }
        // These are no uses.
        for mention in
            ["/// [`crate::b::Y`]\nfn f() {}", "fn f() { b::g() }", "pub(in crate::b) fn f() {}", "use ::b::g;"]
        {
            let found = circles(&[
                ("lib.rs", "mod a;\nmod b;\n"),
                ("a.rs", &format!("{mention}\npub struct X;\n")),
                ("b.rs", "use crate::a::X;\npub struct Y;\n"),
            ]);
            assert_eq!(found, NONE, "{mention}");
        }
    }

    #[test]
    fn a_function_with_the_name_of_a_module_is_not_the_module() {
        let files = |mention: &str| {
            circles(&[
                ("lib.rs", "mod card;\nmod list;\npub use list::card;\n"),
                ("card.rs", &format!("pub struct Card;\nimpl Card {{\n    fn f(&self) {{ {mention} }}\n}}\n")),
                ("list.rs", "use crate::card::Card;\npub fn card() -> Card { Card }\n"),
            ])
        };
        for mention in
            ["self.f()", "println!(\"{:?}\", self)", "self::g()", "mod m { use super::*; use super::super::*; }"]
        {
            assert_eq!(files(mention), NONE, "{mention}");
        }
        assert_eq!(files("crate::card();").len(), 1);
    }

    #[test]
    fn a_knot_shows_its_shortest_circle_and_names_the_others() {
        let found = circles(&[
            ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d { use crate::a; }\n"),
            ("a.rs", "use crate::b;\n"),
            ("b.rs", "use crate::c;\n"),
            ("c.rs", "use crate::{a, b};\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("circle: b → c → b\n"), "{}", found[0]);
        assert!(found[0].ends_with("one of several circles through 3 modules: a, b, c"), "{}", found[0]);
    }

    #[test]
    fn modules_are_found_where_cargo_finds_them() {
        let found = circles(&[
            ("lib.rs", "mod a;\n#[path = \"far/away.rs\"]\nmod b;\n"),
            ("a/mod.rs", "mod inner { mod leaf; }\n"),
            ("a/inner/leaf.rs", "use crate::b;\n"),
            ("far/away.rs", "mod beside;\n"),
            ("far/beside.rs", "use crate::a;\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("a/inner/leaf.rs:1: a → b by `crate::b`"), "{}", found[0]);
        let missing = tempfile::tempdir().unwrap();
        fs::write(missing.path().join("lib.rs"), "mod gone;").unwrap();
        let error = read_crate(&missing.path().join("lib.rs")).unwrap_err().to_string();
        assert!(error.contains("module `gone` is not found"), "{error}");
    }
}
