//! Every setting of a node, in one struct: from a TOML file, the environment and flags.
//!
//! Later sources win: default < file < environment < flag. A setting has one name everywhere:
//! `event_bytes_max` in the file is `QUORATE_EVENT_BYTES_MAX` in the environment and
//! `--event-bytes-max` as a flag. The table below is the only place where a setting is listed; the
//! flags, `quorate config` and the checks are made from it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use quorate_core::Limits;
use quorate_core::member::Name;
use quorate_storage::disk::probe::DiskChoice;

use self::value::Value;

mod flags;
mod group;
mod recording;
mod value;

pub use flags::Flags;
pub use group::GroupProblem;
pub use recording::RecordingSetting;
pub(crate) use value::host_of;
pub use value::{LogFormat, LogLevel};

/// Makes [`Config`] and [`SETTINGS`] from one table.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty = $default:expr, $unit:literal;)+) => {
        /// How a node runs.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: $kind,)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// All settings, in the order in which people should meet them.
        pub const SETTINGS: &[Setting] = &[
            $(Setting {
                name: stringify!($name),
                unit: $unit,
                doc: concat!($($doc),+),
            },)+
        ];

        impl Config {
            /// Sets one setting from its text.
            fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $(stringify!($name) => self.$name = Value::parse(text)?,)+
                    _ => unreachable!("callers look the name up in SETTINGS"),
                }
                Ok(())
            }

            /// Shows one setting as text that [`Config::load`] would read back.
            ///
            /// # Panics
            ///
            /// For a name that is not in [`SETTINGS`].
            #[must_use]
            pub fn show(&self, name: &str) -> String {
                match name {
                    $(stringify!($name) => Value::show(&self.$name),)+
                    _ => unreachable!("callers look the name up in SETTINGS"),
                }
            }
        }
    };
}

settings! {
    /// The folder that holds the log, its index, the superblock and, unless `certs` says
    /// otherwise, the certificates. Made by the first start.
    data: PathBuf = PathBuf::from("quorate-data"), "path";
    /// Where the node listens: UDP for QUIC and TCP for HTTP, on the same port.
    listen: String = "127.0.0.1:2113".into(), "host:port";
    /// Where clients and other nodes reach this one. Empty: as `listen` says, with this machine's name
    /// where that is every address.
    advertise: Option<String> = None, "host:port";
    /// The node's name within its group; where its certificate names a node, the one there.
    node: Name = group::name("n1"), "name";
    /// Where the node stands: nodes of one zone may fail together.
    zone: Name = group::name("z1"), "name";
    /// Where the nodes of the group are, separated by commas; this one may be among them. Empty: the
    /// node is a group of one.
    join: Vec<String> = Vec::new(), "host:port,host:port";
    /// How many voters the group has. Empty: as many as `join` has addresses, or 1.
    voters: Option<u32> = None, "count";
    /// Zones in which a leader is wanted, separated by commas, the most wanted first.
    leader_zones: Vec<Name> = Vec::new(), "name,name";
    /// How often a leader says that it is there.
    heartbeat_ms: u32 = 30, "ms";
    /// How long a leader must be silent before another is elected; a follower waits up to half as
    /// long more.
    election_timeout_ms: u32 = 240, "ms";
    /// The folder with the node's certificate and key. Empty: `certs` in the data folder, filled
    /// with development certificates by the first start.
    certs: Option<PathBuf> = None, "path";
    /// The certificate of the private CA that issues the nodes' certificates, in PEM. Empty: `ca.pem`
    /// in the certificates' folder.
    peer_ca: Option<PathBuf> = None, "path";
    /// Whether HTTP without TLS is answered on addresses other than loopback.
    http_plain: bool = false, "true|false";
    /// How files are written: io_uring, plain system calls, or io_uring where the kernel allows it.
    disk: DiskChoice = DiskChoice::Auto, "auto|uring|fallback";
    /// The least important messages that are logged.
    log_level: LogLevel = LogLevel::Info, "error|warn|info|debug";
    /// How log lines look on standard error.
    log_format: LogFormat = LogFormat::Text, "text|json";
    /// The folder to which all inputs of the core are recorded, and what that may take (256M where
    /// nothing is said), for `quorate-sim replay`; a folder for each node. Event data is in it.
    /// Empty: nothing is recorded.
    record: Option<RecordingSetting> = None, "path[:size]";
    /// The longest event, encoded.
    event_bytes_max: u32 = Limits::PRODUCTION.event_bytes_max, "bytes";
    /// The longest append, all its events together; at most 256 MiB.
    append_bytes_max: u32 = Limits::PRODUCTION.append_bytes_max, "bytes";
    /// The longest name of a stream.
    stream_name_bytes_max: u32 = Limits::PRODUCTION.stream_name_bytes_max, "bytes";
    /// The longest event type.
    event_type_bytes_max: u32 = Limits::PRODUCTION.event_type_bytes_max, "bytes";
    /// The longest metadata of an event.
    event_metadata_bytes_max: u32 = Limits::PRODUCTION.event_metadata_bytes_max, "bytes";
    /// The longest metadata of a stream.
    stream_metadata_bytes_max: u32 = Limits::PRODUCTION.stream_metadata_bytes_max, "bytes";
    /// The longest filter: its prefixes together, or its expression.
    filter_bytes_max: u32 = Limits::PRODUCTION.filter_bytes_max, "bytes";
    /// What one log entry gathers while earlier ones are being written.
    entry_bytes_target: u32 = Limits::PRODUCTION.entry_bytes_target, "bytes";
    /// Log entries that are being written at once.
    log_writes_in_flight_max: u32 = Limits::PRODUCTION.log_writes_in_flight_max, "count";
    /// Appends that wait for a decision or the disk, in bytes; more are refused as overloaded.
    pending_bytes_max: u32 = Limits::PRODUCTION.pending_bytes_max, "bytes";
    /// Appends that wait for a decision or the disk; more are refused as overloaded.
    pending_appends_max: u32 = Limits::PRODUCTION.pending_appends_max, "count";
    /// Streams whose last revision is kept in memory.
    heads_max: u32 = Limits::PRODUCTION.heads_max, "count";
    /// Stream metadata that is kept in memory with them.
    heads_metadata_bytes_max: u32 = Limits::PRODUCTION.heads_metadata_bytes_max, "bytes";
    /// Newest events whose ids are remembered, so that a repeated append is recognised.
    recent_ids_max: u32 = Limits::PRODUCTION.recent_ids_max, "count";
    /// One file of the log. Fixed by the first start in a data folder.
    segment_bytes: u32 = Limits::PRODUCTION.segment_bytes, "bytes";
    /// Newest part of the log that is kept in memory for readers.
    tail_cache_bytes_max: u32 = 32 << 20, "bytes";
    /// Blocks of index files that are kept in memory.
    index_cache_bytes_max: u32 = 32 << 20, "bytes";
    /// Events that the index gathers in memory before it writes them to a file.
    index_memtable_events_max: u32 = 1 << 18, "count";
    /// How fast old segments are verified in the background; 0 turns it off.
    scrub_bytes_per_s: u32 = 16 << 20, "bytes/s";
    /// Client connections at once.
    connections_max: u32 = 1024, "count";
    /// Reads and subscriptions of one connection at once.
    reads_per_connection_max: u32 = 256, "count";
    /// Append bytes of one connection that wait for an answer; more are left in the network until
    /// some are answered. One append that is longer is taken alone.
    connection_bytes_max: u32 = 8 << 20, "bytes";
    /// HTTP connections at once.
    http_connections_max: u32 = 64, "count";
    /// How long a new connection, or a new stream of one, may take to say what it wants.
    hello_timeout_ms: u32 = 5_000, "ms";
    /// How long a stopping node waits for what is under way.
    shutdown_timeout_ms: u32 = 5_000, "ms";
}

/// One setting, as people see it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the file; see [`Setting::environment`] and [`Setting::flag`] for the others.
    pub name: &'static str,
    /// The unit of its value, or the values that it may have.
    pub unit: &'static str,
    doc: &'static str,
}

impl Setting {
    /// What it means, in one or two sentences.
    #[must_use]
    pub fn doc(&self) -> &'static str {
        self.doc.trim()
    }

    /// Its name in the environment.
    #[must_use]
    pub fn environment(&self) -> String {
        format!("QUORATE_{}", self.name.to_ascii_uppercase())
    }

    /// Its name on the command line, without the dashes before it.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// An environment variable.
    Environment,
    /// A flag.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::File(path) => write!(out, "file {}", path.display()),
            Self::Environment => out.write_str("environment"),
            Self::Flag => out.write_str("flag"),
        }
    }
}

/// What is wrong with the configuration, in words for the person who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("the configuration file {path} can't be read: {message}")]
    Unreadable {
        /// Which file.
        path: String,
        /// What the system said.
        message: String,
    },
    /// The file is not TOML, or has tables.
    #[error("the configuration file {path} is not valid: {message}")]
    Malformed {
        /// Which file.
        path: String,
        /// Where and why.
        message: String,
    },
    /// The file has a key that is no setting.
    #[error("{path} sets `{name}`, which is no setting; did you mean `{nearest}`?")]
    Unknown {
        /// Which file.
        path: String,
        /// The key.
        name: String,
        /// The setting whose name is most like it.
        nearest: &'static str,
    },
    /// A value does not parse, or is out of bounds.
    #[error("{name} = {text:?} (from {origin}): {message}")]
    Value {
        /// Which setting.
        name: &'static str,
        /// Its text.
        text: String,
        /// Where it came from.
        origin: String,
        /// What it should be.
        message: String,
    },
    /// Values that don't fit each other.
    #[error("the limits don't fit each other: {0}")]
    Limits(&'static str),
    /// Timers that don't fit each other.
    #[error("heartbeat_ms and election_timeout_ms don't fit each other: {0}")]
    Timing(&'static str),
    /// An authority for certificates that the node makes and signs by itself.
    #[error(
        "peer_ca goes with certs: it is the authority of the certificates in that folder, and without \
         one the node makes its own"
    )]
    PeerCaAlone,
    /// Settings of a group that don't fit each other.
    #[error(transparent)]
    Group(#[from] GroupProblem),
}

/// A configuration, and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Where the value of this setting came from.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    fn set(&mut self, setting: &Setting, text: &str, origin: Origin) -> Result<(), ConfigError> {
        self.config.set(setting.name, text).map_err(|message| ConfigError::Value {
            name: setting.name,
            text: text.to_owned(),
            origin: origin.to_string(),
            message,
        })?;
        self.origins.insert(setting.name, origin);
        Ok(())
    }
}

impl Config {
    /// Puts file, environment and flags together.
    ///
    /// - `environment`: looks a variable up; the process's own outside of tests
    ///
    /// # Errors
    ///
    /// [`ConfigError`], for the first thing that is wrong.
    pub fn load(
        flags: &Flags,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigError> {
        let mut loaded = Loaded { config: Self::default(), origins: BTreeMap::new() };
        let file = flags.config.clone().or_else(|| environment("QUORATE_CONFIG").map(Into::into));
        if let Some(path) = file {
            load_file(&mut loaded, &path)?;
        }
        for setting in SETTINGS {
            if let Some(text) = environment(&setting.environment()) {
                loaded.set(setting, &text, Origin::Environment)?;
            }
            if let Some(text) = flags.value(setting.name) {
                loaded.set(setting, text, Origin::Flag)?;
            }
        }
        if let Some(problem) = loaded.config.limits().problem() {
            return Err(ConfigError::Limits(problem));
        }
        if let Some(problem) = loaded.config.timing().problem() {
            return Err(ConfigError::Timing(problem));
        }
        if loaded.config.peer_ca.is_some() && loaded.config.certs.is_none() {
            return Err(ConfigError::PeerCaAlone);
        }
        loaded.config.check_group()?;
        Ok(loaded)
    }

    /// The bounds of the core.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits {
            event_bytes_max: self.event_bytes_max,
            append_bytes_max: self.append_bytes_max,
            stream_name_bytes_max: self.stream_name_bytes_max,
            event_type_bytes_max: self.event_type_bytes_max,
            event_metadata_bytes_max: self.event_metadata_bytes_max,
            stream_metadata_bytes_max: self.stream_metadata_bytes_max,
            filter_bytes_max: self.filter_bytes_max,
            entry_bytes_target: self.entry_bytes_target,
            log_writes_in_flight_max: self.log_writes_in_flight_max,
            pending_bytes_max: self.pending_bytes_max,
            pending_appends_max: self.pending_appends_max,
            heads_max: self.heads_max,
            heads_metadata_bytes_max: self.heads_metadata_bytes_max,
            recent_ids_max: self.recent_ids_max,
            segment_bytes: self.segment_bytes,
            ..Limits::PRODUCTION
        }
    }

    /// The folder with the certificates.
    #[must_use]
    pub fn certs_folder(&self) -> PathBuf {
        self.certs.clone().unwrap_or_else(|| self.data.join("certs"))
    }
}

fn load_file(loaded: &mut Loaded, path: &Path) -> Result<(), ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
        path: shown.clone(),
        message: error.to_string(),
    })?;
    let malformed = |message: String| ConfigError::Malformed { path: shown.clone(), message };
    let table: toml::Table = text.parse().map_err(|error| malformed(format!("{error}")))?;
    for (name, value) in &table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let nearest = nearest(name);
            return Err(ConfigError::Unknown { path: shown, name: name.clone(), nearest });
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Float(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                return Err(malformed(format!("`{name}` must be text, a whole number or a truth")));
            }
        };
        loaded.set(setting, &text, Origin::File(path.to_owned()))?;
    }
    Ok(())
}

/// The setting whose name takes the fewest edits.
fn nearest(name: &str) -> &'static str {
    let distance = |setting: &&Setting| edit_distance(name, setting.name);
    SETTINGS.iter().min_by_key(distance).expect("there are settings").name
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        environment: &[(&str, &str)],
        flags: &[&str],
    ) -> Result<Loaded, ConfigError> {
        let path = std::env::temp_dir().join(format!(
            "quorate-config-{}-{:?}.toml",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::write(&path, file).expect("the temporary folder can be written");
        let shown = path.display().to_string();
        let arguments = ["quorate", "--config", &shown].into_iter().chain(flags.iter().copied());
        let flags = Flags::for_test(arguments);
        let loaded = Config::load(&flags, |name| {
            let found = environment.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        std::fs::remove_file(&path).expect("it was written above");
        loaded
    }

    #[test]
    fn later_sources_win_and_are_named() {
        let file = "heads_max = 1\nrecent_ids_max = 1\ndata = 'from-file'";
        let environment = [("QUORATE_HEADS_MAX", "2"), ("QUORATE_RECENT_IDS_MAX", "2")];
        let loaded = load(file, &environment, &["--heads-max", "3"]).unwrap();
        assert_eq!(loaded.config.heads_max, 3);
        assert_eq!(loaded.origin("heads_max"), Origin::Flag);
        assert_eq!(loaded.config.recent_ids_max, 2);
        assert_eq!(loaded.origin("recent_ids_max"), Origin::Environment);
        assert_eq!(loaded.config.data, PathBuf::from("from-file"));
        assert!(matches!(loaded.origin("data"), Origin::File(_)));
        assert_eq!(loaded.origin("listen"), Origin::Default);
    }

    /// The error's text has `words` in it.
    fn check_refused(file: &str, flags: &[&str], words: &str) {
        let error = load(file, &[], flags).expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        check_refused("evnt_bytes_max = 5", &[], "did you mean `event_bytes_max`?");
        check_refused("listenn = 'x'", &[], "did you mean `listen`?");
        check_refused("data = [1]", &[], "`data` must be text");
        check_refused("data = ", &[], "not valid");
        check_refused("", &["--disk", "tape"], "auto, uring or fallback");
        check_refused("", &["--heads-max", "many"], "a whole number");
        check_refused("", &["--append-bytes-max", "300MiB"], "at most 256 MiB");
        check_refused("", &["--append-bytes-max", "128MiB"], "pending_bytes_max");
        check_refused("", &["--heads-max", "0"], "heads_max");
    }

    #[test]
    fn sizes_take_units_and_every_default_reads_back() {
        let loaded = load("index_cache_bytes_max = '8 MiB'", &[], &[]).unwrap();
        assert_eq!(loaded.config.index_cache_bytes_max, 8 << 20);
        let mut again = Config::default();
        for setting in SETTINGS {
            again.set(setting.name, &Config::default().show(setting.name)).unwrap();
        }
        assert_eq!(again, Config::default());
    }

    #[test]
    fn every_setting_is_in_the_handbook() {
        let handbook = include_str!("../../docs/operating.md");
        for setting in SETTINGS {
            let default = Config::default().show(setting.name);
            let shown = if default.is_empty() { String::new() } else { format!("`{default}`") };
            let unit = setting.unit.replace('|', ", ");
            let row = format!("| `{}` | {unit} | {shown} | {} |", setting.name, setting.doc());
            assert!(handbook.contains(&row), "docs/operating.md lacks {row}");
        }
    }
}
