//! How a group is, in one line that says what matters, and a row for each node.

use quorate_core::id::NodeId;
use quorate_net::wire::{GroupStatus, MemberProgress, MemberStatus, NodeStatus, Role, Serving};
use serde_json::{Value, json};

use crate::cli::output::count;

/// How a group is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All members are there, and keep up.
    Healthy,
    /// One is missing or behind; another may go, too.
    Degraded,
    /// All is well, but no further member may go.
    AtRisk,
    /// No appends are taken.
    Unavailable,
}

impl Verdict {
    fn of(status: &NodeStatus) -> Self {
        let group = &status.replication;
        let takes_appends = match status.serving {
            Serving::Everything => group.leader.is_some(),
            Serving::ReadsDiskFull | Serving::NotYet | Serving::NoMore | Serving::WithoutLeader => {
                false
            }
        };
        let all_there = group.members.iter().all(|it| it.reachable && it.keeps_up);
        match (takes_appends, all_there) {
            (false, _) => Self::Unavailable,
            (true, true) => Self::Healthy,
            (true, false) if group.tolerates.nodes > 0 => Self::Degraded,
            (true, false) => Self::AtRisk,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Degraded => "DEGRADED",
            Self::AtRisk => "AT RISK",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// What matters, in one line.
pub(super) fn headline(status: &NodeStatus) -> String {
    let group = &status.replication;
    let mut parts = vec![Verdict::of(status).word().to_owned()];
    parts.push(tolerance(group));
    parts.extend(named(group, "not reached", |it| !it.reachable));
    parts.extend(named(group, "can't keep up", |it| it.reachable && !it.keeps_up));
    parts.push(leader(group));
    parts.push(format!("epoch {}", status.epoch));
    if group.commit_p99_us > 0 {
        parts.push(format!("commit p99 {:.1} ms", group.commit_p99_us as f64 / 1000.0));
    }
    parts.join(" · ")
}

/// The names of some members, and what is to be said of them.
fn named(
    group: &GroupStatus,
    what: &str,
    is_one: impl Fn(&MemberStatus) -> bool,
) -> Option<String> {
    let names: Vec<_> =
        group.members.iter().filter(|it| is_one(it)).map(|it| it.name.as_str()).collect();
    (!names.is_empty()).then(|| format!("{} {what}", names.join(", ")))
}

fn tolerance(group: &GroupStatus) -> String {
    let things =
        |count: u32, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    if group.voters == 1 {
        return "one node alone: its loss stops the store".to_owned();
    }
    match (group.tolerates.nodes, group.tolerates.zones) {
        (0, _) => "tolerates no further loss".to_owned(),
        (nodes, 0) => format!("tolerates the loss of {}, of no whole zone", things(nodes, "node")),
        (nodes, zones) => {
            format!("tolerates the loss of {} or {}", things(nodes, "node"), things(zones, "zone"))
        }
    }
}

fn leader(group: &GroupStatus) -> String {
    let Some(leader) = group.leader else { return "no leader".to_owned() };
    match group.members.iter().find(|member| member.node == leader) {
        Some(member) => format!("leader {} ({})", member.name, member.zone),
        None => format!("leader {}", NodeId::from_wire(leader)),
    }
}

/// A row for each member.
pub(super) fn rows(status: &NodeStatus) -> String {
    let group = &status.replication;
    let header = [
        "node",
        "role",
        "zone",
        "durable",
        "committed",
        "lag",
        "round trip",
        "last contact",
        "address",
    ];
    let mut table = vec![header.map(str::to_owned)];
    for member in &group.members {
        table.push(row(status, member));
    }
    aligned(&table)
}

fn row(status: &NodeStatus, member: &MemberStatus) -> [String; 9] {
    let own = member.node == status.node;
    let dash = || "-".to_owned();
    let progress =
        |show: fn(&MemberProgress) -> String| member.progress.as_ref().map_or_else(dash, show);
    let contact = match member.last_contact_ms {
        _ if own => "(this node)".to_owned(),
        Some(ms) => format!("{ms} ms ago"),
        None => "never".to_owned(),
    };
    let role = if member.reachable || own { member.role } else { Role::Unknown };
    let role = if role == Role::Unknown { "not reached" } else { role.name() };
    [
        member.name.clone(),
        role.to_owned(),
        member.zone.clone(),
        progress(|it| it.durable_index.to_string()),
        progress(|it| it.committed_index.to_string()),
        progress(|it| count(it.lag_events, "event")),
        member.rtt_us.map_or_else(dash, |us| format!("{:.2} ms", us as f64 / 1000.0)),
        contact,
        member.address.clone(),
    ]
}

/// Columns under each other, two blanks between them.
fn aligned(table: &[[String; 9]]) -> String {
    let widths: Vec<usize> = (0..9)
        .map(|column| table.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text += &format!("  {}\n", line.trim_end());
    }
    text
}

/// The same for programs.
pub(super) fn object(status: &NodeStatus) -> Value {
    let group = &status.replication;
    let name = |node: u64| {
        let member = group.members.iter().find(|member| member.node == node);
        member.map_or_else(|| node.to_string(), |member| member.name.clone())
    };
    let members = group.members.iter().map(|member| {
        let progress = member.progress.as_ref();
        json!({
            "node": member.name,
            "zone": member.zone,
            "role": member.role.name(),
            "address": member.address,
            "durable": progress.map(|it| it.durable_index),
            "committed": progress.map(|it| it.committed_index),
            "lag_events": progress.map(|it| it.lag_events),
            "rtt_us": member.rtt_us,
            "last_contact_ms": member.last_contact_ms,
            "reachable": member.reachable,
            "keeps_up": member.keeps_up,
        })
    });
    json!({
        "verdict": Verdict::of(status).word().to_lowercase().replace(' ', "_"),
        "leader": group.leader.map(name),
        "voters": group.voters,
        "commit_p99_us": group.commit_p99_us,
        "tolerates": { "nodes": group.tolerates.nodes, "zones": group.tolerates.zones },
        "members": members.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::status;

    fn member(node: u64, reachable: bool) -> MemberStatus {
        MemberStatus {
            node,
            name: format!("n{node}"),
            zone: format!("z{node}"),
            address: format!("127.0.0.1:211{node}"),
            role: if node == 1 { Role::Leader } else { Role::Follower },
            progress: Some(MemberProgress {
                durable_index: 40,
                committed_index: 39,
                lag_events: 0,
            }),
            rtt_us: (node > 1).then_some(120),
            last_contact_ms: (node > 1).then_some(20),
            reachable,
            keeps_up: true,
            disk: String::new(),
        }
    }

    fn check(reachable: [bool; 3], leader: Option<u64>, expected: &str) {
        let members = (1..=3).map(|node| member(node, reachable[node as usize - 1]));
        check_members(members.collect(), leader, expected);
    }

    fn check_members(members: Vec<MemberStatus>, leader: Option<u64>, expected: &str) {
        let mut status = status();
        let there = members.iter().filter(|it| it.reachable && it.keeps_up).count() as u32;
        status.replication.voters = 3;
        status.replication.leader = leader;
        status.replication.tolerates.nodes = there.saturating_sub(2);
        status.replication.tolerates.zones = there.saturating_sub(2);
        status.replication.members = members;
        assert_eq!(headline(&status), expected);
    }

    #[test]
    fn the_headline_says_what_matters() {
        check(
            [true; 3],
            Some(1),
            "HEALTHY · tolerates the loss of 1 node or 1 zone · leader n1 (z1) · epoch 3 · commit \
             p99 0.9 ms",
        );
        check(
            [true, true, false],
            Some(1),
            "AT RISK · tolerates no further loss · n3 not reached · leader n1 (z1) · epoch 3 · \
             commit p99 0.9 ms",
        );
        check(
            [true, false, false],
            None,
            "UNAVAILABLE · tolerates no further loss · n2, n3 not reached · no leader · epoch 3 · \
             commit p99 0.9 ms",
        );
        let behind = MemberStatus { keeps_up: false, ..member(3, true) };
        check_members(
            vec![member(1, true), member(2, true), behind],
            Some(1),
            "AT RISK · tolerates no further loss · n3 can't keep up · leader n1 (z1) · epoch 3 · \
             commit p99 0.9 ms",
        );
    }

    #[test]
    fn a_node_alone_says_so() {
        let line = headline(&status());
        assert!(line.starts_with("HEALTHY · one node alone: its loss stops the store"), "{line}");
    }

    #[test]
    fn each_member_has_a_row() {
        let mut status = status();
        let unheard = MemberStatus { progress: None, rtt_us: None, ..member(3, false) };
        status.replication.members = vec![member(1, true), member(2, false), unheard];
        let rows = rows(&status);
        let lines: Vec<_> = rows.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[1].contains("leader") && lines[1].contains("(this node)"), "{}", lines[1]);
        assert!(lines[2].contains("not reached") && lines[2].contains("0.12 ms"), "{}", lines[2]);
        let cells: Vec<_> = lines[3].split_whitespace().collect();
        assert_eq!(cells[4..8], ["-"; 4], "what nobody knows is no number: {}", lines[3]);
    }
}
