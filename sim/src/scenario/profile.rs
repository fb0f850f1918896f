//! Built-in profiles of zones, each with where its figures come from.

use super::problem::did_you_mean;
use super::tree::{Spot, Tree};

const TEXT: &str = include_str!("../../profiles.toml");

/// All of them.
pub struct Profiles(Vec<(String, Spot)>);

impl Profiles {
    /// Those that come with the program.
    #[must_use]
    pub fn built_in() -> Self {
        let document = Spot::from_toml(TEXT).expect("the built-in profiles are TOML");
        let Tree::Table(fields) = document.tree else { unreachable!("a document is a table") };
        let profiles = fields.into_iter().find(|(key, _)| key.name == "profile");
        let Some((_, Spot { tree: Tree::Table(all), .. })) = profiles else {
            unreachable!("the file has profiles")
        };
        Self(all.into_iter().map(|(key, spot)| (key.name, spot)).collect())
    }

    /// Their names, each with what it is.
    pub fn list(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, spot)| (name.as_str(), field(spot, "description")))
    }

    /// One of them, for a person.
    #[must_use]
    pub fn show(&self, name: &str) -> Option<String> {
        let (_, spot) = self.0.iter().find(|(own, _)| own == name)?;
        let mut out = format!("{name}\n  {}\n", field(spot, "description"));
        for what in ["source", "as_of", "basis"] {
            let text = field(spot, what);
            if !text.is_empty() {
                out += &format!("  {what:<7} {text}\n");
            }
        }
        out += "  links, there and back\n";
        let Tree::Table(fields) = &spot.tree else { return None };
        let links = fields.iter().find(|(key, _)| key.name == "link");
        if let Some((_, Spot { tree: Tree::List(links), .. })) = links {
            for link in links {
                out += &format!("    {}\n", show_link(link));
            }
        }
        out += &format!("\nuse it with: extends = \"profile:{name}\"\n");
        Some(out)
    }

    /// What a scenario takes over with `extends = "profile:NAME"`.
    ///
    /// # Errors
    ///
    /// What is wrong, and a hint.
    pub(super) fn extended(&self, text: &str) -> Result<Spot, (String, Option<String>)> {
        let Some(name) = text.strip_prefix("profile:") else {
            let hint = Some("write extends = \"profile:azure-westeurope-3az\"".to_owned());
            return Err(("a scenario extends a built-in profile".to_owned(), hint));
        };
        let found = self.0.iter().find(|(own, _)| own == name);
        found.map(|(_, spot)| topology_of(spot)).ok_or_else(|| {
            let hint = did_you_mean(name, self.0.iter().map(|(own, _)| own.as_str()));
            (format!("there is no profile `{name}`"), hint)
        })
    }
}

/// What of a profile a scenario takes over.
fn topology_of(spot: &Spot) -> Spot {
    let Tree::Table(fields) = &spot.tree else { unreachable!("a profile is a table") };
    let is_topology = |name: &str| name == "zone" || name == "link";
    let fields = fields.iter().filter(|(key, _)| is_topology(&key.name)).cloned().collect();
    Spot::of(Tree::Table(fields))
}

fn field(spot: &Spot, name: &str) -> String {
    let Tree::Table(fields) = &spot.tree else { return String::new() };
    match fields.iter().find(|(key, _)| key.name == name) {
        Some((_, Spot { tree: Tree::Text(text), .. })) => text.clone(),
        _ => String::new(),
    }
}

fn show_link(link: &Spot) -> String {
    let Tree::Table(fields) = &link.tree else { return String::new() };
    let show = |spot: &Spot| match &spot.tree {
        Tree::Text(text) => text.clone(),
        Tree::List(items) => {
            let names = items.iter().map(|item| match &item.tree {
                Tree::Text(text) => text.as_str(),
                _ => "",
            });
            names.collect::<Vec<_>>().join(" - ")
        }
        Tree::Table(fields) => {
            let field = |(key, spot): &(super::tree::Key, Spot)| match &spot.tree {
                Tree::Text(text) => format!("{} {text}", key.name),
                _ => String::new(),
            };
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        Tree::Whole(_) | Tree::Real(_) | Tree::Flag(_) => String::new(),
    };
    let part = |(key, spot): &(super::tree::Key, Spot)| match key.name.as_str() {
        "within" => format!("{:<28}", "within a zone"),
        "between" => format!("{:<28}", show(spot).replace("* - *", "any two zones")),
        _ => show(spot),
    };
    fields.iter().map(part).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::scenario::resolve::resolve;

    #[test]
    fn every_profile_can_be_extended_and_shown() {
        let profiles = Profiles::built_in();
        assert!(profiles.list().count() >= 14);
        for (name, description) in profiles.list() {
            assert!(!description.is_empty(), "{name} says what it is");
            let text = format!("schema = 1\nname = \"x\"\nextends = \"profile:{name}\"\n");
            let scenario = resolve(Path::new("x.toml"), &text);
            scenario.unwrap_or_else(|problems| panic!("{name}: {problems}"));
            let shown = profiles.show(name).unwrap();
            assert!(shown.contains("basis") && shown.contains(name), "{shown}");
        }
    }
}
