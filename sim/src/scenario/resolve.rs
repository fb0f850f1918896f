//! From a text to a scenario: profiles taken in, names looked up, defaults filled in, and all that
//! is wrong said at once.

mod asserts;
mod faults;
mod load;
mod run;
mod topology;

use std::path::Path;

use super::model::Scenario;
use super::names::Names;
use super::problem::{Problem, Problems};
use super::profile::Profiles;
use super::reader::{Notes, Reader};
use super::tree::Spot;

pub(super) use faults::fault_of;

/// The version of the language.
pub const SCHEMA: i64 = 1;

/// Reads a scenario.
///
/// - `file`: how it is named in what is said of it; other files are looked for beside it
///
/// # Errors
///
/// [`Problems`]: all that is wrong with it.
pub fn resolve(file: &Path, text: &str) -> Result<Scenario, Problems> {
    let problems = |list: Vec<Problem>| Problems {
        file: file.display().to_string(),
        text: text.to_owned(),
        list,
    };
    let document = Spot::from_toml(text).map_err(|problem| problems(vec![problem]))?;
    let notes = Notes::default();
    let folder = file.parent().unwrap_or(Path::new("."));
    match scenario(&document, folder, &notes) {
        Some(scenario) if notes.is_empty() => Ok(scenario),
        _ => Err(problems(notes.take())),
    }
}

fn scenario(document: &Spot, folder: &Path, notes: &Notes) -> Option<Scenario> {
    let mut reader = Reader::new("a scenario", document, notes)?;
    if reader.place_of("schema").is_none() {
        reader.missing("schema", "write schema = 1");
    }
    reader.whole("schema", SCHEMA, SCHEMA);
    let name = reader.needed_text("name", "it names the folder of a run, too");
    if let Some(name) = &name {
        let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        if name.text.is_empty() || !name.text.chars().all(is_plain) {
            notes.add(
                &name.span,
                "a name is of letters, digits, `-`, `_` and `.`: it names a folder",
            );
        }
    }
    let description = reader.text("description").map(|it| it.text);
    let mutant = reader.text("mutant").map(|it| it.text);
    let profile = reader.text("extends").and_then(|text| {
        let found = Profiles::built_in().extended(&text.text);
        found.map_err(|(what, hint)| notes.add_with(&text.span, what, hint)).ok()
    });
    let run = run::run(&mut reader);
    let topology = topology::topology(&mut reader, profile.as_ref(), folder)?;
    let mut names = topology.names;
    let clients = load::clients(&mut reader, &mut names, folder);
    let faults = faults::faults(&mut reader, &names, folder);
    let swarm = run::swarm(&mut reader);
    let asserts = asserts::asserts(&mut reader, &names);
    let scenario = Scenario {
        name: name.map(|it| it.text).unwrap_or_default(),
        description,
        run: run?,
        zones: names.zones,
        links: topology.links,
        disks: topology.disks,
        group: topology.group,
        nodes: topology.nodes,
        clients,
        faults,
        swarm,
        asserts,
        mutant,
    };
    reader.finish();
    Some(scenario)
}

impl Names {
    /// The names of a scenario that was resolved before.
    pub(super) fn of(scenario: &Scenario) -> Self {
        Self {
            zones: scenario.zones.clone(),
            disks: scenario.disks.iter().map(|it| it.name.clone()).collect(),
            nodes: scenario.nodes.iter().map(|it| it.name.clone()).collect(),
            node_zones: scenario.nodes.iter().map(|it| it.zone).collect(),
            clients: scenario.client_names(),
            client_kinds: scenario.clients.iter().map(|it| it.name.clone()).collect(),
        }
    }
}
