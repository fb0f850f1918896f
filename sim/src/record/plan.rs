//! The plan of a run: every fault as it was really applied and every operation of a client as it
//! fell due. A run is repeated from this, not from conditions or chances.

use serde_json::{Value, json};

use crate::scenario::fault::{End, Fault, FaultKind, Target, When, ZoneLoss};
use crate::scenario::model::{Nanos, Scenario};
use crate::scenario::plan_line;
use crate::scenario::write::fault_json;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    /// A fault strikes.
    Fault {
        /// When.
        at: Nanos,
        /// Which, its targets being nodes.
        fault: Fault,
    },
    /// An operation falls due.
    Arrival {
        /// When.
        at: Nanos,
        /// Whose, among all clients.
        client: usize,
        /// Which of the loads of its kind.
        load: usize,
        /// Counted over all loads of all clients: what is wanted follows from it.
        number: u64,
    },
}

impl Planned {
    /// The fault, as one that strikes at its time.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault { at, fault } => Some(Fault { when: When::At(*at), ..fault.clone() }),
            Self::Arrival { .. } => None,
        }
    }
}

/// A line as it is written.
#[must_use]
pub fn line(scenario: &Scenario, planned: &Planned) -> String {
    match planned {
        Planned::Fault { at, fault } => {
            let mut value = fault_json(scenario, &Fault { when: When::At(*at), ..fault.clone() });
            if let Value::Object(fields) = &mut value {
                fields.remove("at");
                fields.insert("t".to_owned(), Value::from(*at));
                fields.insert("k".to_owned(), Value::from("fault"));
            }
            value.to_string()
        }
        Planned::Arrival { at, client, load, number } => {
            json!({"t": at, "k": "arrival", "c": client, "load": load, "n": number}).to_string()
        }
    }
}

/// Reads a plan; its first line is the header.
///
/// # Errors
///
/// What is wrong, with the number of the line.
pub fn read(scenario: &Scenario, text: &str) -> Result<Vec<Planned>, String> {
    let mut planned = Vec::new();
    for (place, text) in text.lines().enumerate().skip(1) {
        let wrong = |what: String| format!("line {} of the plan: {what}", place + 1);
        let value: Value = serde_json::from_str(text).map_err(|it| wrong(it.to_string()))?;
        let number = |name: &str| value[name].as_u64().ok_or_else(|| wrong(format!("no {name}")));
        let at = number("t")?;
        match value["k"].as_str() {
            Some("fault") => {
                let mut value = value.clone();
                if let Value::Object(fields) = &mut value {
                    fields.remove("t");
                    fields.remove("k");
                    fields.insert("at".to_owned(), Value::from(format!("{at}ns")));
                }
                let fault = plan_line(scenario, &value).map_err(wrong)?;
                planned.push(Planned::Fault { at, fault });
            }
            Some("arrival") => planned.push(Planned::Arrival {
                at,
                client: number("c")? as usize,
                load: number("load")? as usize,
                number: number("n")?,
            }),
            _ => return Err(wrong("neither a fault nor an arrival".to_owned())),
        }
    }
    Ok(planned)
}

/// The lanes that a fault strikes, for a picture: nodes, and behind them clients.
#[must_use]
pub fn struck(scenario: &Scenario, kind: &FaultKind) -> Vec<usize> {
    let node_of = |target: &Target| match target {
        Target::Node(node) => Some(*node),
        Target::Leader | Target::Follower => None,
    };
    let of_zone = |zone: usize| {
        let nodes = scenario.nodes.iter().enumerate().filter(move |(_, it)| it.zone == zone);
        nodes.map(|(node, _)| node)
    };
    match kind {
        FaultKind::Partition { sides, .. } => {
            // The side that is alone is what a reader looks for.
            let smallest = sides.iter().min_by_key(|side| side.nodes.len() + side.clients.len());
            let count = scenario.nodes.len();
            smallest.map_or_else(Vec::new, |side| {
                let clients = side.clients.iter().map(|client| count + client);
                side.nodes.iter().filter_map(node_of).chain(clients).collect()
            })
        }
        FaultKind::Link { from, to, .. } => {
            let lanes = [from, to].into_iter().flat_map(|end| match end {
                End::Any => Vec::new(),
                End::Zone(zone) => of_zone(*zone).collect(),
                End::Node(target) => node_of(target).into_iter().collect(),
            });
            lanes.collect()
        }
        FaultKind::ZoneLoss { zone, mode: ZoneLoss::Power | ZoneLoss::Network } => {
            of_zone(*zone).collect()
        }
        FaultKind::TransferLeader { to } => to.iter().filter_map(node_of).collect(),
        _ => kind.targets().iter().filter_map(node_of).collect(),
    }
}
