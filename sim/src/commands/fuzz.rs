//! `fuzz`: mutated bytes for every decoder.

use std::path::PathBuf;
use std::time::Duration;

use quorate_sim::fuzz::{self, Target, targets};

/// Feeds all decoders, or repeats one case.
pub(crate) fn fuzz_targets(
    seconds: u64,
    seed: u64,
    target: Option<String>,
    case: Option<u64>,
) -> bool {
    let targets: Vec<Target> = targets::ALL
        .into_iter()
        .filter(|known| target.as_ref().is_none_or(|wanted| wanted == known.name))
        .collect();
    if targets.is_empty() {
        let names: Vec<_> = targets::ALL.iter().map(|target| target.name).collect();
        eprintln!("no such target; there are {}", names.join(", "));
        return false;
    }
    match case {
        Some(case) => repeat_case(&targets[0], seed, case),
        None => fuzz_all(&targets, seed, Duration::from_secs(seconds)),
    }
}

fn fuzz_all(targets: &[Target], seed: u64, time: Duration) -> bool {
    println!("fuzz: seed {seed}, {} targets, {} s", targets.len(), time.as_secs());
    for target in targets {
        match target.run(seed, time / targets.len() as u32) {
            Ok(cases) => println!("  {}: {cases} cases", target.name),
            Err(failure) => return report(&failure),
        }
    }
    println!("fuzz: no decoder panicked");
    true
}

fn repeat_case(target: &Target, seed: u64, case: u64) -> bool {
    let bytes = target.case(&(target.corpus)(), seed, case);
    let taken = (target.decode)(&bytes);
    println!("fuzz: {} bytes {}", bytes.len(), if taken { "taken as good" } else { "refused" });
    true
}

fn report(failure: &fuzz::Failure) -> bool {
    let fuzz::Failure { target, seed, case, bytes } = failure;
    let path = PathBuf::from(format!("fuzz-{target}-{seed}-{case}.bin"));
    match std::fs::write(&path, bytes) {
        Ok(()) => println!("fuzz: {target} PANICKED; the bytes are in {}", path.display()),
        Err(error) => println!("fuzz: {target} PANICKED; can't keep the bytes: {error}"),
    }
    println!("again with: cargo xtask fuzz --target {target} --seed {seed} --case {case}");
    false
}
