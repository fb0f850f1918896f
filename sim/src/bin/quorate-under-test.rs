//! The `quorate` program once more, so that the tests of this package, which start nodes as
//! processes and judge them with the simulator's oracle, have one that was built with them.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_node::cli::run()
}
