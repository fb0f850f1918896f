//! Writes a made-up run and its report: `report FOLDER [usual|failing|large]`. Given a folder that
//! has a run in it already and the word `keep`, it writes the report alone.

use std::path::Path;
use std::process::ExitCode;

use quorate_sim::report::{self, fixture, fixture::Shape};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, shape) = match words[..] {
        [folder] | [folder, "usual"] => (folder, Some(Shape::USUAL)),
        [folder, "failing"] => (folder, Some(Shape { failing: true, ..Shape::USUAL })),
        [folder, "large"] => (folder, Some(Shape::LARGE)),
        [folder, "keep"] => (folder, None),
        _ => {
            eprintln!("usage: report FOLDER [usual|failing|large|keep]");
            return ExitCode::from(2);
        }
    };
    let written = shape.map_or(Ok(0), |shape| fixture::write(Path::new(folder), shape));
    let report = written
        .map_err(|error| error.to_string())
        .and_then(|_| report::write(Path::new(folder)).map_err(|error| error.to_string()));
    match report {
        Ok(path) => println!("{}", path.display()),
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
