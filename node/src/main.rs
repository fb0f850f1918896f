//! The `quorate` program: a node, and everything one does with nodes from a terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_node::cli::run()
}
