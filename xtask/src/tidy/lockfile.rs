//! Packages that must not come in, not even through others: what deny.toml bans is not in the
//! lockfile. So the rule holds on a machine without `cargo deny`, too.

use crate::tree::{Finding, Tree};

const DENY: &str = "deny.toml";
const LOCKFILE: &str = "Cargo.lock";

/// Compares the lockfile with the bans.
pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let about = |path: &str, message: String| Finding { path: path.to_owned(), line: 0, message };
    let (bans, packages) = match (read(tree, DENY), read(tree, LOCKFILE)) {
        (Ok(deny), Ok(lock)) => (
            names(deny.get("bans").and_then(|bans| bans.get("deny")), "crate"),
            names(lock.get("package"), "name"),
        ),
        (Err(message), _) => return vec![about(DENY, message)],
        (_, Err(message)) => return vec![about(LOCKFILE, message)],
    };
    if bans.is_empty() {
        return vec![about(DENY, "bans nothing".to_owned())];
    }
    let banned = packages.into_iter().filter(|package| bans.contains(package));
    banned.map(|package| about(LOCKFILE, format!("{package} is banned by {DENY}"))).collect()
}

fn read(tree: &Tree, path: &str) -> Result<toml::Table, String> {
    let text = tree.text(path).ok_or("is missing")?;
    text.parse().map_err(|error| format!("is not TOML: {error}"))
}

fn names(list: Option<&toml::Value>, field: &str) -> Vec<String> {
    let tables = list.and_then(toml::Value::as_array).into_iter().flatten();
    tables.filter_map(|table| Some(table.get(field)?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    #[track_caller]
    fn check_files(deny: &str, lock: &str, expected: &[&str]) {
        check_rule(check, &[(DENY, deny), (LOCKFILE, lock)], expected);
    }

    #[test]
    fn banned_packages_are_found() {
        let deny = "[bans]\ndeny = [{ crate = 'openssl-sys', reason = 'native' }]";
        check_files(deny, "[[package]]\nname = 'ring'", &[]);
        let lock = "[[package]]\nname = 'ring'\n[[package]]\nname = 'openssl-sys'";
        check_files(deny, lock, &["Cargo.lock: openssl-sys is banned by deny.toml"]);
        check_files("", lock, &["deny.toml: bans nothing"]);
        check_rule(check, &[], &["deny.toml: is missing"]);
    }
}
