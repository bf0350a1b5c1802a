//! Keeps ARCHITECTURE.md and README.md true: what they name exists, and what exists and should be found is named.
//!
//! The checks read text and know nothing of the code's meaning. The canaries at the end show that each of them fails on
//! a page that is wrong.

#![allow(clippy::unwrap_used)]

mod checker {
    //! The checks; each returns what is wrong, a line each.

    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use hpb_tests::{Sources, rust_sources, workspace_members, workspace_root};

    /// What may stand between a definition's keyword and the characters after its name.
    const DEFINITIONS: [&str; 9] =
        ["fn ", "const ", "static ", "struct ", "enum ", "trait ", "type ", "mod ", "macro_rules! "];
    /// Endings of files that a page names without a folder.
    const FILE_ENDINGS: [&str; 3] = [".rs", ".md", ".toml"];

    /// The workspace as the checks see it.
    pub(crate) struct Workspace {
        members: Vec<String>,
        sources: Sources,
        /// Top-level names that git ignores: what a run or a build makes.
        made: Vec<String>,
        limits: String,
        makefile: String,
        command_line: String,
    }

    impl Workspace {
        pub(crate) fn read() -> Self {
            let root = workspace_root();
            let text =
                |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let members = workspace_members(&root).unwrap();
            let sources = rust_sources(&root, &members).unwrap();
            assert!(
                members.len() > 1 && sources.len() > members.len(),
                "the workspace was not found at {}",
                root.display()
            );
            Self {
                made: text(".gitignore").lines().filter_map(|line| line.strip_prefix('/')).map(str::to_owned).collect(),
                limits: text("net/base/src/limits.rs"),
                makefile: text("Makefile"),
                command_line: [
                    "",
                    "/account",
                    "/bench",
                    "/block",
                    "/card",
                    "/key",
                    "/lab",
                    "/ledger",
                    "/peer",
                    "/peer/node",
                    "/peer/probe",
                    "/transaction",
                    "/tune",
                ]
                .map(|part| text(&format!("tools/hpb/src/command_line{part}.rs")))
                .concat(),
                members,
                sources,
            }
        }

        /// Paths that `page` names, and what it names inside of them (`a/b.rs::name`), exist.
        pub(crate) fn paths(&self, page: &str) -> Vec<String> {
            named(page).into_iter().filter_map(|word| self.path(&word)).collect()
        }

        fn path(&self, word: &str) -> Option<String> {
            let (path, item) = word.split_once("::").map_or((word, None), |(path, item)| (path, Some(item)));
            if !self.is_path(path) {
                return None;
            }
            let on_disk = workspace_root().join(path);
            if path.ends_with('/') && !on_disk.is_dir() || !on_disk.exists() {
                return Some(format!("`{path}` does not exist"));
            }
            let item = item?;
            let defined = self.sources.get(path).is_some_and(|text| defines(text, item));
            (!defined).then(|| format!("`{path}` does not define `{item}`"))
        }

        /// Whether a word of a page names something of this workspace: not an option, an address, a file of the host or
        /// what a run makes.
        fn is_path(&self, word: &str) -> bool {
            let first = word.split('/').next().unwrap_or_default();
            let is_ours = !word.starts_with(['-', '/', '<']) && !first.is_empty() && first != "..";
            let is_plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
            let is_named = word.contains('/') || FILE_ENDINGS.iter().any(|ending| word.ends_with(ending));
            is_ours && is_plain && is_named && !self.made.iter().any(|made| made == first)
        }

        /// Every crate folder and every module of every crate has its line in `page`; modules of tests need none.
        pub(crate) fn modules(&self, page: &str) -> Vec<String> {
            let named = named(page);
            let folders = self.members.iter().map(|member| format!("{member}/"));
            let modules = self.sources.keys().filter(|path| self.is_module(path)).cloned();
            folders
                .chain(modules)
                .filter(|path| !named.contains(path))
                .map(|path| format!("`{path}` has no line"))
                .collect()
        }

        fn is_module(&self, path: &str) -> bool {
            let in_source = self.members.iter().any(|member| path.starts_with(&format!("{member}/src/")));
            in_source && !is_test(path)
        }

        /// Every row of the table of hops states its limits, and they stand in `base::limits`.
        pub(crate) fn limits(&self, page: &str) -> Vec<String> {
            let rows = table(page, "## Hops");
            let mut problems = Vec::new();
            if rows.is_empty() {
                problems.push("there is no table of hops".to_owned());
            }
            for row in rows {
                let Some(limits) = row.get("limit") else {
                    problems.push("the table of hops has no column `limit`".to_owned());
                    continue;
                };
                let names: Vec<String> = code_spans(limits).into_iter().filter(|name| is_constant(name)).collect();
                if names.is_empty() {
                    problems
                        .push(format!("the hop `{}` names no limit", row.values().next().map_or("", String::as_str)));
                }
                let missing = names.into_iter().filter(|name| !self.limits.contains(&format!("pub const {name}:")));
                problems.extend(missing.map(|name| format!("`{name}` is no limit of net/base/src/limits.rs")));
            }
            problems
        }

        /// Each dependency of the table is named by the files of its row and by no other, tests apart; `heavy` ones have
        /// a row.
        pub(crate) fn dependencies(&self, page: &str, heavy: &[&str]) -> Vec<String> {
            let mut problems = Vec::new();
            let mut seen = BTreeSet::new();
            for row in table(page, "## Dependencies") {
                let (Some(names), Some(files)) = (row.get("named as"), row.get("only in")) else {
                    problems.push("the table of dependencies lacks `named as` or `only in`".to_owned());
                    continue;
                };
                let stated: BTreeSet<String> = code_spans(files).into_iter().collect();
                for name in code_spans(names) {
                    let found: BTreeSet<String> = self.users(&name);
                    problems.extend(
                        found.difference(&stated).map(|path| format!("`{path}` names `{name}` and is not in its row")),
                    );
                    problems.extend(
                        stated
                            .difference(&found)
                            .map(|path| format!("`{path}` is in the row of `{name}` and does not name it")),
                    );
                    seen.insert(name);
                }
            }
            problems
                .extend(heavy.iter().filter(|name| !seen.contains(**name)).map(|name| format!("`{name}` has no row")));
            problems
        }

        fn users(&self, name: &str) -> BTreeSet<String> {
            let files = self.sources.iter().filter(|(path, text)| !is_test(path) && names_crate(text, name));
            files.map(|(path, _)| path.clone()).collect()
        }

        /// The commands of `page` exist: targets of `make`, verbs and options of `hpb`.
        pub(crate) fn commands(&self, page: &str) -> Vec<String> {
            let mut problems = Vec::new();
            for command in commands(page) {
                let mut words = command.split_whitespace();
                match words.next() {
                    Some("make") => problems.extend(words.next().and_then(|target| {
                        let is_target = self.makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
                        (!is_target).then(|| format!("`make {target}`: there is no such target"))
                    })),
                    Some(_) => problems.extend(self.verb(&command, words)),
                    None => {}
                }
            }
            problems
        }

        fn verb<'a>(&self, command: &str, words: impl Iterator<Item = &'a str>) -> Vec<String> {
            let mut problems = Vec::new();
            let mut verbs_end = false;
            for word in words {
                if let Some(option) = word.strip_prefix("--") {
                    verbs_end = true;
                    let field = format!("{}:", option.replace('-', "_"));
                    let renamed = format!("long = \"{option}\"");
                    if !self.command_line.contains(&field) && !self.command_line.contains(&renamed) {
                        problems.push(format!("`{command}`: there is no option `--{option}`"));
                    }
                } else if word.contains('/') {
                    // A file.
                    verbs_end = true;
                } else if !verbs_end {
                    let mut letters = word.chars();
                    let variant: String =
                        letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
                    let is_verb = ["(", " {", ","]
                        .iter()
                        .any(|after| self.command_line.contains(&format!("    {variant}{after}")));
                    if !is_verb {
                        problems.push(format!("`{command}`: there is no verb `{word}`"));
                    }
                }
            }
            problems
        }
    }

    /// The text of a page at the workspace's root.
    pub(crate) fn page(name: &str) -> String {
        fs::read_to_string(workspace_root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn is_test(path: &str) -> bool {
        let path = Path::new(path);
        path.file_name().is_some_and(|name| name == "tests.rs")
            || path.components().any(|part| part.as_os_str() == "tests")
    }

    fn is_constant(word: &str) -> bool {
        word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
    }

    /// Whether `text` defines something called `item`.
    fn defines(text: &str, item: &str) -> bool {
        text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
            DEFINITIONS.iter().any(|keyword| {
                let defined = line.split_once(keyword).map(|(_, rest)| rest);
                defined.and_then(|rest| rest.strip_prefix(item)).is_some_and(|rest| !rest.starts_with(is_name_letter))
            })
        })
    }

    /// Whether the code of `text` names the crate `name`: as the start of a path, or in a `use` of its own.
    fn names_crate(text: &str, name: &str) -> bool {
        let path = format!("{name}::");
        text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
            let starts_path = line.match_indices(&path).any(|(at, _)| {
                !line[..at].ends_with(|before: char| is_name_letter(before) || before == ':' || before == '`')
            });
            let is_imported = ["use ", "extern crate "].iter().any(|keyword| {
                line.split_once(keyword)
                    .and_then(|(_, rest)| rest.strip_prefix(name))
                    .is_some_and(|rest| rest.starts_with(';') || rest.starts_with(" as "))
            });
            starts_path || is_imported
        })
    }

    fn is_name_letter(letter: char) -> bool {
        letter.is_alphanumeric() || letter == '_'
    }

    /// The lines of a page outside of fenced blocks, and those inside.
    fn split(page: &str) -> (Vec<&str>, Vec<&str>) {
        let (mut prose, mut fenced) = (Vec::new(), Vec::new());
        let mut is_fenced = false;
        for line in page.lines() {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
            } else if is_fenced {
                fenced.push(line);
            } else {
                prose.push(line);
            }
        }
        (prose, fenced)
    }

    fn code_spans(line: &str) -> Vec<String> {
        line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The words of a page's code spans, and the targets of its links.
    fn named(page: &str) -> BTreeSet<String> {
        let (prose, _) = split(page);
        let mut words = BTreeSet::new();
        for line in prose {
            let spans = code_spans(line);
            words.extend(spans.iter().flat_map(|span| span.split_whitespace()).map(str::to_owned));
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            words.extend(targets.map(str::to_owned));
        }
        words
    }

    /// The rows of the first table below `heading`, cell by column.
    fn table(page: &str, heading: &str) -> Vec<BTreeMap<String, String>> {
        let (prose, _) = split(page);
        let cells = |line: &str| -> Vec<String> {
            line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let mut lines = prose
            .into_iter()
            .skip_while(|line| *line != heading)
            .skip(1)
            .take_while(|line| !line.starts_with("## "))
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'));
        let columns = lines.next().map(cells).unwrap_or_default();
        lines.skip(1).map(|line| columns.iter().cloned().zip(cells(line)).collect()).collect()
    }

    /// The commands of a page: code spans and fenced lines that begin with `make` or `hpb`.
    fn commands(page: &str) -> Vec<String> {
        let (prose, fenced) = split(page);
        let spans = prose.into_iter().flat_map(code_spans);
        let lines = fenced.into_iter().map(|line| line.trim_start().trim_start_matches("$ ").to_owned());
        spans
            .chain(lines)
            .filter_map(|command| {
                let command = command.split('#').next().unwrap_or_default().trim().to_owned();
                let command = command.strip_prefix("target/release/").map_or(command.clone(), str::to_owned);
                (command.starts_with("make ") || command.starts_with("hpb ")).then_some(command)
            })
            .collect()
    }
}

use checker::{Workspace, page};

/// Crates that one module each keeps from the rest of the house.
const HEAVY: [&str; 8] = ["smoltcp", "snow", "glommio", "lmdb", "bincode", "io_uring", "ring", "curve25519_dalek"];

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn what_the_pages_name_exists() {
    let workspace = Workspace::read();
    for name in ["ARCHITECTURE.md", "README.md"] {
        let problems = workspace.paths(&page(name));
        assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
    }
}

#[test]
fn every_crate_and_module_has_a_line() {
    assert_none(&Workspace::read().modules(&page("ARCHITECTURE.md")));
}

#[test]
fn the_limits_of_the_hops_stand_in_the_one_place() {
    assert_none(&Workspace::read().limits(&page("ARCHITECTURE.md")));
}

#[test]
fn dependencies_stay_in_the_files_that_the_page_names() {
    assert_none(&Workspace::read().dependencies(&page("ARCHITECTURE.md"), &HEAVY));
}

#[test]
fn the_commands_of_the_pages_exist() {
    let workspace = Workspace::read();
    for name in ["ARCHITECTURE.md", "README.md"] {
        let problems = workspace.commands(&page(name));
        assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
    }
}

#[test]
fn the_two_commands_of_the_readme_are_there() {
    let readme = page("README.md");
    for command in ["make run", "make test"] {
        assert!(readme.lines().any(|line| line.trim_start().starts_with(command)), "README.md lacks `{command}`");
    }
}

#[test]
fn each_of_the_six_steps_names_a_function() {
    let page = page("ARCHITECTURE.md");
    let steps = page.split("## The six steps").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    for step in 1..=6 {
        let row = steps.lines().find(|line| line.starts_with(&format!("| {step} |")));
        assert!(row.is_some_and(|row| row.contains(".rs::")), "step {step} names no function");
    }
}

mod canaries {
    //! Pages that are wrong in one place each.

    use super::checker::{Workspace, page};
    use super::{HEAVY, assert_none};

    #[test]
    fn a_wrong_path_is_found() {
        let workspace = Workspace::read();
        let table = [
            ("see `toe/src/lane/mod.rs`", None),
            ("see `toe/src/`", None),
            ("see `toe/src/lame/mod.rs`", Some("`toe/src/lame/mod.rs` does not exist")),
            ("see `toes/`", Some("`toes/` does not exist")),
            ("see `toe/src/lib.rs/`", Some("does not exist")),
            ("see [there](docs/repost.md#fields)", Some("`docs/repost.md` does not exist")),
            ("see `MISSING.md`", Some("`MISSING.md` does not exist")),
            ("see `toe/src/tally.rs::confirm`", None),
            ("see `toe/src/tally.rs::confir`", Some("does not define `confir`")),
            ("see `toe/src/tally.rs::confirms_of_nobody`", Some("does not define `confirms_of_nobody`")),
            ("outside: `../shared/data`, `/proc/self`, `--final-fd`, `report/report.json`", None),
        ];
        for (text, expected) in table {
            let problems = workspace.paths(text);
            match expected {
                None => assert_none(&problems),
                Some(part) => assert!(problems.len() == 1 && problems[0].contains(part), "{text}: {problems:?}"),
            }
        }
    }

    #[test]
    fn paths_in_pictures_are_not_read() {
        assert_none(&Workspace::read().paths("```\n`no/such.rs`\n```\n"));
    }

    #[test]
    fn a_module_or_crate_without_a_line_is_found() {
        let workspace = Workspace::read();
        let page = page("ARCHITECTURE.md");
        for path in ["toe/src/wheel.rs", "tools/node/src/runtime/mod.rs", "consensus/src/lib.rs", "vm/"] {
            let problems = workspace.modules(&page.replace(&format!("`{path}`"), "it"));
            assert_eq!(problems, [format!("`{path}` has no line")]);
        }
        assert!(workspace.modules("").len() > 100);
    }

    #[test]
    fn a_limit_that_is_not_there_is_found() {
        let workspace = Workspace::read();
        let head = "## Hops\n\n| hop | limit |\n| --- | --- |\n";
        assert_none(&workspace.limits(&format!("{head}| a | `BURST_LEN_MAX`, of `Lane` |\n")));
        let wrong = workspace.limits(&format!("{head}| a | `BURST_LEN_MAXIMUM` |\n| b | none |\n"));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("BURST_LEN_MAXIMUM") && wrong[1].contains("names no limit"), "{wrong:?}");
        assert_eq!(workspace.limits("## Hops\n").len(), 1);
    }

    #[test]
    fn a_dependency_elsewhere_or_nowhere_is_found() {
        let workspace = Workspace::read();
        let row = |files: &str| {
            format!("## Dependencies\n\n| named as | only in |\n| --- | --- |\n| `smoltcp` | {files} |\n")
        };
        assert_none(&workspace.dependencies(&row("`toe/src/engine.rs`"), &["smoltcp"]));
        let elsewhere = workspace.dependencies(&row("`toe/src/flow.rs`"), &["smoltcp"]);
        assert_eq!(elsewhere.len(), 2, "{elsewhere:?}");
        assert!(elsewhere[0].contains("`toe/src/engine.rs` names `smoltcp`"), "{elsewhere:?}");
        assert!(elsewhere[1].contains("does not name it"), "{elsewhere:?}");
        assert_eq!(workspace.dependencies("", &HEAVY).len(), HEAVY.len());
    }

    #[test]
    fn a_command_that_is_not_there_is_found() {
        let workspace = Workspace::read();
        let table = [
            ("`make run`", 0),
            ("`make walk`", 1),
            ("`hpb devnet --virtual --seed 7 --final-fd 3`", 0),
            ("```\n$ hpb bench reconnect   # a storm\n```", 0),
            ("```\ntarget/release/hpb devnet --sessions 100\n```", 0),
            ("```\nhpb fence mend\n```", 2),
            ("`hpb devnet --sedes 7`", 1),
        ];
        for (text, count) in table {
            assert_eq!(workspace.commands(text).len(), count, "{text}");
        }
    }
}
