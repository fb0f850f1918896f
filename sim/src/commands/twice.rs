//! `twice`: the same seeds in two processes.

use std::process;

/// Runs the same seeds in two processes of this program and compares what they print.
pub(crate) fn twice(seeds: u64) -> bool {
    let run = || {
        let program = std::env::current_exe()?;
        let output =
            process::Command::new(program).args(["run", "--seeds", &seeds.to_string()]).output()?;
        Ok::<String, std::io::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    match (run(), run()) {
        (Ok(first), Ok(second)) if first == second && first.contains("hash") => {
            print!("twice the same: {first}");
            true
        }
        (Ok(first), Ok(second)) => {
            println!("the same seeds gave two runs:\n{first}{second}");
            false
        }
        (Err(error), _) | (_, Err(error)) => {
            println!("can't run this program again: {error}");
            false
        }
    }
}
