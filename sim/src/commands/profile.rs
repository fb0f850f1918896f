//! `profile`: the built-in profiles of zones.

use quorate_sim::scenario::problem::nearest;
use quorate_sim::scenario::profile::Profiles;

use super::USAGE;

/// All of them, a line each.
pub(crate) fn list() -> u8 {
    for (name, description) in Profiles::built_in().list() {
        println!("{name:<22} {description}");
    }
    0
}

/// One of them.
pub(crate) fn show(name: &str) -> u8 {
    let profiles = Profiles::built_in();
    if let Some(text) = profiles.show(name) {
        print!("{text}");
        return 0;
    }
    let known = nearest(name, profiles.list().map(|(name, _)| name));
    let hint = known.map(|known| format!("; did you mean {known}?")).unwrap_or_default();
    eprintln!("there is no profile {name}{hint}");
    USAGE
}
