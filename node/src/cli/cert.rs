//! `quorate cert`: a private certificate authority, and the certificates of nodes.

use std::path::PathBuf;
use std::time::SystemTime;

use quorate_net::authority_folder::AuthorityFolder;
use quorate_net::certificate::Certificate;
use quorate_net::identity::{Identity, IdentityError};
use quorate_net::inspection::{Inspection, inspect};
use serde_json::json;

use super::failure::Failure;
use super::output::{Output, count};
use crate::rfc3339::Rfc3339;
use crate::serve::RENEWAL_LOOK;

const SECONDS_PER_DAY: u64 = 24 * 3600;

/// Make certificates for nodes, look at them, and check them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  quorate cert init --ca ./ca
  quorate cert issue n1 --ca ./ca --host n1.example,10.0.0.1 --out ./n1
  quorate cert check ./n1 --node n1 --host n1.example
  quorate serve --data ./data --certs ./n1
  quorate status --uri quorate://n1.example:2113 --ca ./ca/ca.pem

Keep ca.key where no node and no client is: whoever has it can pretend to be any node.")]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a private certificate authority
    #[command(after_help = "\
Examples:
  quorate cert init --ca ./ca

Makes ca.pem, which every node and client needs, and ca.key, which none of them may have. An
authority that is there already is never overwritten.")]
    Init(InitArguments),
    /// Issue a node's certificate, or renew it
    #[command(after_help = "\
Examples:
  quorate cert issue n1 --ca ./ca --host n1.example,10.0.0.1 --out ./n1
  quorate cert issue n1 --ca ./ca --out ./n1      renews it, for the same hosts

Makes node.pem and node.key, and copies ca.pem: what `quorate serve --certs DIR` takes. A running
node takes up renewed files by itself.")]
    Issue(IssueArguments),
    /// Show what certificates say
    #[command(after_help = "\
Examples:
  quorate cert show ./n1
  quorate cert show ./ca/ca.pem -o json")]
    Show(ShowArguments),
    /// Check that a node can be run with the certificates of a folder
    #[command(after_help = "\
Examples:
  quorate cert check ./n1
  quorate cert check ./n1 --node n1 --host n1.example

The exit code is 0 where node.pem, node.key and ca.pem belong together and are valid now, for that
node and host, else 1.")]
    Check(CheckArguments),
}

#[derive(Debug, clap::Args)]
struct InitArguments {
    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
}

#[derive(Debug, clap::Args)]
struct IssueArguments {
    /// The node's name, as in `serve --node`
    #[arg(value_name = "NODE")]
    node: String,

    /// The authority's folder
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,

    /// Host names and addresses under which clients and other nodes reach the node
    #[arg(long = "host", value_name = "HOST", value_delimiter = ',')]
    hosts: Vec<String>,

    /// The folder for the node's files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// A certificate in PEM format, or a folder with node.pem or ca.pem
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
}

#[derive(Debug, clap::Args)]
struct CheckArguments {
    /// The folder with node.pem, node.key and ca.pem
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// A host name or address that it must be for
    #[arg(long, value_name = "HOST")]
    host: Option<String>,

    /// The node that it must be for
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

/// Does what was asked for, with this machine's clock.
///
/// # Errors
///
/// Where it can't be done, or a check fails.
pub(crate) fn run(arguments: &Arguments, output: &mut Output) -> Result<(), Failure> {
    let now = SystemTime::now();
    match &arguments.action {
        Action::Init(arguments) => init(arguments, output, now),
        Action::Issue(arguments) => issue(arguments, output, now),
        Action::Show(arguments) => show(arguments, output, now),
        Action::Check(arguments) => check(arguments, output, now),
    }
    .map_err(Failure::failed)?;
    output.flush_blocking()
}

fn init(
    arguments: &InitArguments,
    output: &mut Output,
    now: SystemTime,
) -> Result<(), IdentityError> {
    let made = AuthorityFolder::create(&arguments.ca, now)?;
    let folder = arguments.ca.display();
    let text = format!(
        "made a certificate authority in {folder}, valid until {}\n\
         ca.pem is for every node and client; keep ca.key to yourself\n\
         next: quorate cert issue NODE --ca {folder} --host HOST --out DIR",
        date(made.certificate().expires())
    );
    let object = json!({
        "folder": arguments.ca,
        "authority": made.certificate().subject(),
        "fingerprint": made.certificate().fingerprint(),
        "expires": date(made.certificate().expires()),
    });
    output.result(&text, &object);
    Ok(())
}

fn issue(
    arguments: &IssueArguments,
    output: &mut Output,
    now: SystemTime,
) -> Result<(), IdentityError> {
    let authority = AuthorityFolder::open(&arguments.ca, now)?;
    let IssueArguments { node, hosts, out, .. } = arguments;
    let issued = authority.issue(node, hosts, out, now)?;
    let certificate = &issued.certificate;
    let mut text = format!(
        "{} the certificate of node {node} in {}, for {}, valid until {}",
        if issued.replaced.is_some() { "renewed" } else { "issued" },
        out.display(),
        certificate.hosts().join(", "),
        date(certificate.expires())
    );
    if let Some(replaced) = &issued.replaced {
        let until = date(replaced.expires());
        // What has just changed is taken at the next look, for it may be half of a pair.
        let taken_up = 2 * RENEWAL_LOOK.as_secs();
        text.push_str(&format!(
            "\nit replaces the one that was valid until {until}; a running node takes it up by \
             itself within {taken_up} seconds"
        ));
        let is_lost = |host: &&String| !certificate.hosts().contains(host);
        let lost: Vec<_> = replaced.hosts().iter().filter(is_lost).map(String::as_str).collect();
        if !lost.is_empty() {
            text.push_str(&format!("\nit is not for {} any more", lost.join(", ")));
        }
    }
    if issued.authority_changed {
        text.push_str(
            "\nca.pem there was another authority's: all nodes and clients need the new one",
        );
    }
    let object = json!({
        "node": node,
        "folder": out,
        "hosts": certificate.hosts(),
        "expires": date(certificate.expires()),
        "renewed": issued.replaced.is_some(),
        "authority_changed": issued.authority_changed,
    });
    output.result(&text, &object);
    Ok(())
}

fn show(
    arguments: &ShowArguments,
    output: &mut Output,
    now: SystemTime,
) -> Result<(), IdentityError> {
    for found in inspect(&arguments.path, now)? {
        let certificate = &found.certificate;
        let object = json!({
            "file": found.path,
            "subject": certificate.subject(),
            "node": certificate.node(),
            "hosts": certificate.hosts(),
            "fingerprint": certificate.fingerprint(),
            "issuer": certificate.issuer(),
            "issuer_fingerprint": found.issuer.as_ref().map(Certificate::fingerprint),
            "starts": date(certificate.starts()),
            "expires": date(certificate.expires()),
            "valid_now": is_valid(certificate, now),
            "days_left": days_left(certificate, now),
            "key": found.key.as_ref().map(|(path, _)| path),
            "key_matches": found.key.as_ref().map(|(_, fits)| fits),
        });
        output.result(&shown(&found, now), &object);
    }
    Ok(())
}

/// A certificate for people.
fn shown(found: &Inspection, now: SystemTime) -> String {
    let certificate = &found.certificate;
    let hosts = certificate.hosts().join(", ");
    let issuer = match &found.issuer {
        Some(issuer) => format!("{}, fingerprint {}", issuer.subject(), issuer.fingerprint()),
        None if certificate.issuer() == certificate.subject() => "itself: an authority".to_owned(),
        None => format!("{}, which is not beside it as ca.pem", certificate.issuer()),
    };
    let state = match days_left(certificate, now) {
        _ if certificate.starts() > now => "not valid yet".to_owned(),
        0 if certificate.expires() <= now => "expired".to_owned(),
        days => format!("{} left", count(days, "day")),
    };
    let key = match &found.key {
        None => "not beside it".to_owned(),
        Some((path, true)) => format!("{} belongs to it", path.display()),
        Some((path, false)) => format!("{} does NOT belong to it", path.display()),
    };
    let (starts, expires) = (date(certificate.starts()), date(certificate.expires()));
    let rows = [
        ("subject", certificate.subject()),
        ("node", certificate.node().unwrap_or("none")),
        ("hosts", if hosts.is_empty() { "none" } else { &hosts }),
        ("fingerprint", &certificate.fingerprint()),
        ("issuer", &issuer),
        ("valid", &format!("{starts} to {expires} ({state})")),
        ("key", &key),
    ];
    let rows = rows.map(|(name, value)| format!("  {name:<12} {value}\n"));
    format!("{}\n{}", found.path.display(), rows.concat())
}

fn check(
    arguments: &CheckArguments,
    output: &mut Output,
    now: SystemTime,
) -> Result<(), IdentityError> {
    let folder = &arguments.folder;
    let identity = Identity::from_folder(folder, now)?;
    identity.check_started(now)?;
    if let Some(node) = &arguments.node {
        identity.check_node(node)?;
    }
    if let Some(host) = &arguments.host {
        identity.check_host(host)?;
    }
    let certificate = identity.certificate();
    let days = days_left(certificate, now);
    let text = format!(
        "{} is in order: {}, for {}, {} left",
        folder.display(),
        certificate.node().map_or_else(|| "no named node".into(), |node| format!("node {node}")),
        certificate.hosts().join(", "),
        count(days, "day")
    );
    let object = json!({
        "folder": folder,
        "node": certificate.node(),
        "hosts": certificate.hosts(),
        "expires": date(certificate.expires()),
        "days_left": days,
    });
    output.result(&text, &object);
    Ok(())
}

fn is_valid(certificate: &Certificate, now: SystemTime) -> bool {
    certificate.starts() <= now && now < certificate.expires()
}

/// Whole days; zero once it has expired.
fn days_left(certificate: &Certificate, now: SystemTime) -> u64 {
    let left = certificate.expires().duration_since(now).unwrap_or_default();
    left.as_secs() / SECONDS_PER_DAY
}

fn date(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ticks = since.as_secs().saturating_mul(10_000_000);
    Rfc3339(quorate_core::time::Created::from_ticks(ticks)).to_string().replace(".0000000", "")
}
