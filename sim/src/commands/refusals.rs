//! Which scenarios of a folder a tier can't run, as a list that must be exact.
//!
//! A scenario that a tier refuses is not run, and that must not go unnoticed: one that can't be run
//! any more is as wrong as one that is in the list and could be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quorate_sim::scenario::check::{self, Tier};

use super::scenario::name_of;

/// What is to be refused: the names of scenarios, each with how the reasons begin.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<String, Vec<String>>);

impl Refusals {
    /// Reads a list with lines such as `some-name: lose-answers; network`. `#` begins a comment.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut refusals = BTreeMap::new();
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, reasons) = line
                .split_once(':')
                .ok_or_else(|| format!("`{line}` is no name, a colon, and reasons"))?;
            let reasons = reasons.split(';').map(|reason| reason.trim().to_owned()).collect();
            refusals.insert(name.trim().to_owned(), reasons);
        }
        Ok(Self(refusals))
    }

    /// Takes those scenarios away that are rightly refused; the rest is to be run.
    ///
    /// # Errors
    ///
    /// All that is not as the list says.
    pub(crate) fn take_from(
        &self,
        files: Vec<PathBuf>,
        tier: Tier,
    ) -> Result<Vec<PathBuf>, Vec<String>> {
        let (mut rest, mut problems) = (Vec::new(), Vec::new());
        let mut missing = self.0.clone();
        for file in files {
            let name = name_of(&file);
            let Some(reasons) = missing.remove(&name) else {
                rest.push(file);
                continue;
            };
            match refused(&file, tier) {
                Ok(found) => problems.extend(compare(&name, &reasons, &found)),
                Err(problem) => problems.push(problem),
            }
        }
        problems.extend(missing.into_keys().map(|name| format!("{name}: there is none")));
        if problems.is_empty() { Ok(rest) } else { Err(problems) }
    }
}

/// What a tier says that it can't do.
fn refused(file: &Path, tier: Tier) -> Result<Vec<String>, String> {
    let (_, scenario) = quorate_sim::scenario::load(file).map_err(|error| error.to_string())?;
    Ok(check::unsupported(&scenario, tier))
}

/// Where reasons and what is said are not the same, nothing of either left over.
fn compare(name: &str, reasons: &[String], found: &[String]) -> Option<String> {
    if found.is_empty() {
        return Some(format!("{name}: it is to be refused, and could be run"));
    }
    let is_said = |reason: &String| found.iter().any(|it| it.starts_with(reason.as_str()));
    if let Some(reason) = reasons.iter().find(|reason| !is_said(reason)) {
        return Some(format!("{name}: `{reason}` is no reason any more"));
    }
    let is_known = |it: &&String| reasons.iter().any(|reason| it.starts_with(reason.as_str()));
    let unknown = found.iter().find(|it| !is_known(it))?;
    Some(format!("{name}: this is not in the list: {unknown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, found: &[&str], expected: Option<&str>) {
        let refusals = Refusals::parse(list).unwrap();
        let found: Vec<String> = found.iter().map(|it| (*it).to_owned()).collect();
        let problem = compare("a", &refusals.0["a"], &found);
        match (problem, expected) {
            (None, None) => {}
            (Some(problem), Some(part)) if problem.contains(part) => {}
            (problem, expected) => panic!("{problem:?}, not {expected:?}"),
        }
    }

    #[test]
    fn what_is_refused_is_just_what_the_list_says() {
        let list = "# why\n\na: pause; network  # both\n";
        check(list, &["pause at 1s: no", "network = \"packets\": no", "pause at 2s: no"], None);
        check(list, &[], Some("could be run"));
        check(list, &["pause at 1s: no"], Some("`network` is no reason any more"));
        let three = ["pause at 1s: no", "network: no", "restart at 3s: no"];
        check(list, &three, Some("not in the list: restart at 3s"));
    }

    #[test]
    fn a_list_names_scenarios_and_reasons() {
        assert!(Refusals::parse("just-a-name").unwrap_err().contains("no name, a colon"));
        let none = Refusals::parse("a: pause").unwrap().take_from(Vec::new(), Tier::Full);
        assert_eq!(none.unwrap_err(), ["a: there is none"]);
    }
}
