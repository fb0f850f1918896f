//! The settings as flags of a command: one flag for each, made from the table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{Config, SETTINGS};

/// What was set on the command line; flatten it into a command that starts or shows a node.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// The configuration file, where one was named.
    pub config: Option<PathBuf>,
    values: BTreeMap<&'static str, String>,
}

impl Flags {
    /// No flags but these; for programs that start a node by themselves.
    #[must_use]
    pub fn of(values: &[(&'static str, String)]) -> Self {
        Self { config: None, values: values.iter().cloned().collect() }
    }

    /// The text of this setting's flag, where it was given.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn for_test<'a>(arguments: impl Iterator<Item = &'a str>) -> Self {
        let matches = Self::augment_args(Command::new("quorate")).get_matches_from(arguments);
        Self::from_arg_matches(&matches).expect("it reads what it defined")
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .overrides_with("config")
            .help("Read settings from this TOML file (or the one that QUORATE_CONFIG names)");
        let defaults = Config::default();
        let flags = SETTINGS.iter().map(|setting| {
            let shown = defaults.show(setting.name);
            let default = if shown.is_empty() { "none" } else { &shown };
            let help = format!("{} [default: {default}]", setting.doc());
            // The last of several wins, so that a wrapper's own can be overridden.
            let flag = Arg::new(setting.name).long(setting.flag()).overrides_with(setting.name);
            flag.value_name(setting.unit).help(help)
        });
        command.arg(file).args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        if let Some(path) = matches.get_one::<String>("config") {
            self.config = Some(path.into());
        }
        for setting in SETTINGS {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                self.values.insert(setting.name, text.clone());
            }
        }
        Ok(())
    }
}
