//! What may run in a simulation takes time, randomness and keys from one place, so that a simulator
//! can put its own there: whatever goes past it would make two runs of one seed differ.

use crate::source;
use crate::tree::{File, Finding, Tree};

/// Where that place is.
const PLACES: [&str; 2] = ["net/src/environment.rs", "net/src/clock.rs"];
/// What runs in a simulation.
const SIMULATED: [&str; 3] = ["net/src/", "client/src/", "node/src/"];
/// What does not, though it is there: the program's commands, its start, its HTTP, its flight
/// recorder's thread, and a network for tests.
const OUTSIDE: [&str; 7] = [
    "node/src/recorder",
    "node/src/cli/",
    "node/src/cli.rs",
    "node/src/main.rs",
    "node/src/admin/http.rs",
    "node/src/serve.rs",
    "net/src/memory.rs",
];

/// Code that goes past it, and what to do instead.
const FORBIDDEN: [(&str, &str); 14] = [
    ("std::time::Instant", "quorate_net::clock has the time"),
    ("tokio::time", "quorate_net::clock has the time"),
    ("SystemTime::now", "environment::wall_clock has the date"),
    ("SystemRandom", "environment::random has random numbers"),
    ("getrandom", "environment::random has random numbers"),
    ("new_v4", "environment::random has random numbers"),
    ("ring::default_provider", "environment::cryptography has TLS's"),
    ("EndpointConfig::default", "the default draws random numbers of its own"),
    ("with_crypto", "it draws random numbers of its own: quinn::ServerConfig::new"),
    ("lookup_host", "environment::resolve has names"),
    ("std::thread", "a simulated node has one thread"),
    ("spawn_blocking", "a simulated node has one thread"),
    ("sync::watch", "it wakes by lot: crate::watch"),
    ("HashMap", "its order differs from run to run: BTreeMap"),
];

/// Looks at all that runs in a simulation.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let simulated = |file: &&File| {
        SIMULATED.iter().any(|start| file.path.starts_with(start))
            && !OUTSIDE.iter().any(|start| file.path.starts_with(start))
            && !PLACES.contains(&file.path.as_str())
    };
    tree.ending(".rs").filter(simulated).flat_map(check_file).collect()
}

fn check_file(file: &File) -> Vec<Finding> {
    let code = source::code_of(&file.text);
    let tests_start = source::tests_start(&file.path, &code);
    let mut findings = Vec::new();
    let lines: Vec<&str> = code.lines().collect();
    for (number, line) in (1..tests_start).zip(&lines) {
        for (forbidden, instead) in FORBIDDEN {
            if line.contains(forbidden) {
                findings.push(file.finding(number, format!("{forbidden}: {instead}")));
            }
        }
        let next = lines.get(number).map_or("", |line| line.trim());
        if line.contains("select!") && !next.starts_with("biased") && !line.contains("biased") {
            findings.push(file.finding(number, "select! without biased draws lots"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[test]
    fn what_goes_past_the_simulator_is_found() {
        let files = [
            ("net/src/clock.rs", "tokio::time::sleep(d)\n"),
            ("node/src/cli/a.rs", "SystemTime::now()\n"),
            ("node/src/a.rs", "// tokio::time\nuse tokio::time::sleep;\n"),
            ("client/src/b.rs", "x();\ntokio::select! {\n    biased;\n}\nselect! {\n    a\n}\n"),
            ("client/src/c.rs", "fn a() {}\n#[cfg(test)]\nmod tests { use tokio::time; }\n"),
        ];
        let expected = [
            "node/src/a.rs:2: tokio::time: quorate_net::clock has the time",
            "client/src/b.rs:5: select! without biased draws lots",
        ];
        check_rule(check, &files, &expected);
    }
}
