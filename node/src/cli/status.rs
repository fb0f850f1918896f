//! `quorate status`: how a group and its leader are, in plain words first.

mod group;

use std::time::Duration;

use quorate_client::Client;
use quorate_core::id::{ClusterId, Lineage};
use quorate_net::wire::{NodeStatus, Serving};
use serde_json::{Map, Value, json};

use super::connection::{self, Options};
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, count};

/// With `--watch`: from one look to the next.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Say how the group is, in plain words first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate status
  quorate status --watch
  quorate status -o json | jq '.leader, .members[].lag_events'
  quorate status --uri quorate://store-1.example.com:2113 --ca ca.pem

`serving` is everything, reads_disk_full, not_yet or no_more.
The exit code is 0 where a node answered, whatever it said, and 5 where none did.")]
pub struct Arguments {
    /// Say it again each second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

/// Asks, and prints the answer.
///
/// # Errors
///
/// Where no node answers.
pub(crate) async fn run(
    options: &Options,
    arguments: &Arguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let client = connection::connect(options).await?;
    if !arguments.watch {
        return look(options, &client, output).await;
    }
    let mut interrupt = Interrupt::listen()?;
    loop {
        let looked = async {
            look(options, &client, output).await?;
            tokio::time::sleep(WATCH_EVERY).await;
            Ok(())
        };
        tokio::select! {
            looked = looked => looked?,
            () = interrupt.requested() => return Ok(()),
        }
    }
}

async fn look(options: &Options, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let status = connection::group_status(client).await?;
    output.result(&text(&options.uri, &status), &object(&options.uri, &status));
    output.flush().await
}

const fn serving_name(serving: Serving) -> &'static str {
    match serving {
        Serving::Everything => "everything",
        Serving::ReadsDiskFull => "reads_disk_full",
        Serving::NotYet => "not_yet",
        Serving::NoMore => "no_more",
        Serving::WithoutLeader => "without_leader",
    }
}

const fn serving_words(serving: Serving) -> &'static str {
    match serving {
        Serving::Everything => "is well: it takes appends and serves reads",
        Serving::ReadsDiskFull => {
            "serves reads, but its disk is full: appends are refused until there is space"
        }
        Serving::NotYet => "is starting: it takes no appends and serves no reads yet",
        Serving::NoMore => "is stopping",
        Serving::WithoutLeader => {
            "knows no leader: it takes no appends, and serves reads with --committed alone"
        }
    }
}

/// How the group is: what matters in one line, and a row for each node.
pub(super) fn summary(status: &NodeStatus) -> String {
    format!("{}\n{}", group::headline(status), group::rows(status))
}

fn text(uri: &str, status: &NodeStatus) -> String {
    let mut text = format!(
        "{}\n{}, asked at {uri}, {}.\nIt has {} and has been up for {}.\n",
        summary(status),
        status.replication.name,
        serving_words(status.serving),
        count(status.events, "event"),
        duration(status.uptime_seconds),
    );
    for warning in &status.warnings {
        text += &format!("Warning: {warning}\n");
    }
    text.push('\n');
    let facts = [
        ("version", status.version.clone()),
        ("cluster", ClusterId::from_bytes(status.cluster).to_string()),
        ("lineage", Lineage::from_bytes(status.lineage).to_string()),
        ("group", status.group.to_string()),
        ("node", format!("{} (#{})", status.replication.name, status.node)),
        ("epoch", status.epoch.to_string()),
        ("committed_index", status.committed_index.to_string()),
        ("committed_position", status.committed_position.to_string()),
        ("data", status.data.clone()),
        ("disk", status.disk.clone()),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value));
    let details = status.details.iter().map(|detail| (detail.name.clone(), detail.value.clone()));
    for (name, value) in facts.chain(details) {
        text += &format!("  {name:<24}  {value}\n");
    }
    text
}

/// The same for programs.
pub(super) fn object(uri: &str, status: &NodeStatus) -> Value {
    let details: Map<String, Value> = status
        .details
        .iter()
        .map(|detail| {
            let number = detail.value.parse::<u64>().map(Value::from);
            (detail.name.clone(), number.unwrap_or_else(|_| Value::from(detail.value.as_str())))
        })
        .collect();
    let mut object = json!({
        "uri": uri,
        "serving": serving_name(status.serving),
        "events": status.events,
        "uptime_seconds": status.uptime_seconds,
        "warnings": status.warnings,
        "version": status.version,
        "cluster": ClusterId::from_bytes(status.cluster).to_string(),
        "lineage": Lineage::from_bytes(status.lineage).to_string(),
        "group": status.group,
        "node": status.replication.name,
        "committed": status.committed_index,
        "epoch": status.epoch,
        "committed_index": status.committed_index,
        "committed_position": status.committed_position,
        "data": status.data,
        "disk": status.disk,
        "details": details,
    });
    if let (Value::Object(object), Value::Object(group)) = (&mut object, group::object(status)) {
        object.extend(group);
    }
    object
}

/// A time span in its two largest units.
fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => count(seconds, "second"),
        60..3600 => format!("{} {}", count(seconds / 60, "minute"), count(seconds % 60, "second")),
        3600..86_400 => {
            format!("{} {}", count(seconds / 3600, "hour"), count(seconds / 60 % 60, "minute"))
        }
        86_400.. => {
            format!("{} {}", count(seconds / 86_400, "day"), count(seconds / 3600 % 24, "hour"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use quorate_net::wire::{Detail, GroupStatus, Role, Tolerates};

    use super::*;

    pub(super) fn status() -> NodeStatus {
        NodeStatus {
            version: "0.1.0".to_owned(),
            cluster: [1; 16],
            group: 0,
            lineage: [2; 16],
            node: 1,
            serving: Serving::Everything,
            epoch: 3,
            committed_index: 40,
            committed_position: 163_840,
            events: 336_776,
            uptime_seconds: 61,
            data: "/var/lib/quorate".to_owned(),
            disk: "fallback".to_owned(),
            warnings: vec!["io_uring is refused".to_owned()],
            replication: GroupStatus {
                name: "n1".to_owned(),
                zone: "z1".to_owned(),
                role: Role::Leader,
                leader: Some(1),
                voters: 1,
                tolerates: Tolerates { nodes: 0, zones: 0 },
                commit_p99_us: 900,
                members: Vec::new(),
            },
            details: vec![
                Detail { name: "log_bytes".to_owned(), value: "163840".to_owned() },
                Detail { name: "scrub".to_owned(), value: "done".to_owned() },
            ],
        }
    }

    #[test]
    fn plain_words_come_first() {
        let text = text("quorate://a:1", &status());
        let (group, rest) = text.split_once("\n\n").unwrap();
        assert!(group.starts_with("HEALTHY · one node alone"), "{group}");
        let (words, facts) = rest.split_once("\n\n").unwrap();
        assert_eq!(
            words,
            "n1, asked at quorate://a:1, is well: it takes appends and serves reads.\n\
             It has 336,776 events and has been up for 1 minute 1 second.\n\
             Warning: io_uring is refused"
        );
        assert!(facts.contains("  log_bytes                 163840\n"), "{facts}");
    }

    #[test]
    fn numbers_are_numbers_for_programs() {
        let object = object("quorate://a:1", &status());
        assert_eq!(object["serving"], "everything");
        assert_eq!(object["events"], 336_776);
        assert_eq!(object["details"], json!({"log_bytes": 163_840, "scrub": "done"}));
        assert_eq!(object["cluster"], "01010101-0101-0101-0101-010101010101");
    }

    #[test]
    fn durations() {
        assert_eq!(duration(0), "0 seconds");
        assert_eq!(duration(3599), "59 minutes 59 seconds");
        assert_eq!(duration(3600), "1 hour 0 minutes");
        assert_eq!(duration(90_000), "1 day 1 hour");
    }
}
