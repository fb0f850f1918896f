//! The project's own scripts: `cargo xtask ci`, `cargo xtask tidy`, `cargo xtask fuzz`.
//!
//! It is a program like the others, so that it needs no shell, runs the same on every machine, and
//! has tests of its own. It depends on none of the other crates: it must be able to say what is
//! wrong with a tree that does not compile.

mod browser;
mod ci;
mod report;
mod source;
mod tidy;
mod tree;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  ci [--without STEP]… [--only STEP]…
        everything that CI runs: format, tidy, clippy, docs, test, fuzz, seeds, twice, mutants,
        report (in a browser: needs Chromium)
  tidy  layers, style and links, without compiling anything
  fuzz [--seconds N] [--seed N] [--target NAME]
        mutated bytes into every decoder, for a bounded time";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("", &arguments[..]),
    };
    let passed = match command {
        "ci" => ci::Plan::parse(rest).map(|plan| plan.run(root)),
        "tidy" if rest.is_empty() => tidy::run(root).map_err(|error| error.to_string()),
        "fuzz" => Ok(ci::fuzz(root, rest)),
        _ => Err(USAGE.to_owned()),
    };
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
