//! Runs every script of `tests/interop`, each a test of its own name.
//!
//! Takes what the usual test program takes: parts of names to run, `--exact`, `--list`. A script that
//! the card is known to fail is run and must fail, so that no mark outlives its fault.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use hpb_tests::script::{self, Script};

/// What became of one script.
enum Outcome {
    Passed,
    /// Failed as it is known to.
    Known(String),
    Failed(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    // An option that is not ours has its value in the same word or is none of ours, too.
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let scripts = match script::list(&script::folder()) {
        Ok(scripts) => scripts,
        Err(error) => {
            eprintln!("{}: {error}", script::folder().display());
            return ExitCode::FAILURE;
        }
    };
    let is_wanted = |name: &str| {
        let fits = |part: &&String| if is_exact { **part == name } else { name.contains(part.as_str()) };
        wanted.is_empty() || wanted.iter().any(fits)
    };
    let scripts: Vec<_> = scripts.into_iter().filter(|(name, _)| is_wanted(name)).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in &scripts {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    run_all(&scripts)
}

fn run_all(scripts: &[(String, String)]) -> ExitCode {
    println!("\nrunning {} scripts", scripts.len());
    let (mut passed, mut known, mut failures) = (0, 0, Vec::new());
    for (name, text) in scripts {
        match judge(name, text) {
            Outcome::Passed => {
                passed += 1;
                println!("script {name} ... ok");
            }
            Outcome::Known(why) => {
                known += 1;
                println!("script {name} ... {why}");
            }
            Outcome::Failed(why) => {
                println!("script {name} ... FAILED");
                failures.push(why);
            }
        }
    }
    for failure in &failures {
        println!("\n{failure}");
    }
    // As the usual test program closes, so that whoever counts tests counts these too.
    let result = if failures.is_empty() { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {} failed; {known} ignored (known to fail)\n", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(name: &str, text: &str) -> Outcome {
    let script = match script::parse(name, text) {
        Ok(script) => script,
        Err(error) => return Outcome::Failed(format!("{name}.script:{error}")),
    };
    match (run(&script), &script.known) {
        (Ok(()), None) => Outcome::Passed,
        (Ok(()), Some(reason)) => Outcome::Failed(format!("{name}.script passes; take its mark away: known: {reason}")),
        (Err((place, _)), Some(reason)) => Outcome::Known(format!("fails {place}, known: {reason}")),
        (Err((_, why)), None) => Outcome::Failed(why),
    }
}

/// A script that makes the card panic fails like any other. Returns where it failed, and why.
fn run(script: &Script) -> Result<(), (String, String)> {
    match catch_unwind(AssertUnwindSafe(|| script::run(script))) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err((format!("at line {}", failure.line.0), failure.to_string())),
        Err(_) => Err(("by the card's death".to_owned(), format!("{}.script: the card died of it", script.name))),
    }
}
