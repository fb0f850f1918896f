//! Values of settings as text: how they are read and shown.

use std::path::PathBuf;

use quorate_core::member::Name;
use quorate_net::wire::peer::ADDRESS_BYTES_MAX;
use quorate_storage::disk::probe::DiskChoice;

/// Something that a setting may hold.
pub(super) trait Value: Sized {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What the text should have been.
    fn parse(text: &str) -> Result<Self, String>;

    /// Shows it such that `parse` reads it back.
    fn show(&self) -> String;
}

impl Value for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("must not be empty".into()) } else { Ok(text.to_owned()) }
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(Self::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Option<PathBuf> {
    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Value::show)
    }
}

impl Value for Option<String> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { address(text).map(Some) }
    }

    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for Option<u32> {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { u32::parse(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Value::show)
    }
}

impl Value for Name {
    fn parse(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Vec<Name> {
    fn parse(text: &str) -> Result<Self, String> {
        parts(text).map(Name::parse).collect()
    }

    fn show(&self) -> String {
        self.iter().map(Name::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Addresses, each once.
impl Value for Vec<String> {
    fn parse(text: &str) -> Result<Self, String> {
        let mut addresses = Self::new();
        for part in parts(text) {
            let part = address(part)?;
            if !addresses.contains(&part) {
                addresses.push(part);
            }
        }
        Ok(addresses)
    }

    fn show(&self) -> String {
        self.join(",")
    }
}

/// The parts between commas; none of an empty text.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// The host of `host:port`, as a certificate has it.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Checks that a text is `host:port`.
fn address(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} must be host:port, such as n1.example:2113 or [::1]:2113");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host_of(text);
    let is_host = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_graphic());
    let is_whole = !bare.contains(':') || host.starts_with('[') && host.ends_with(']');
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if is_host && is_whole && is_port && text.len() <= ADDRESS_BYTES_MAX {
        Ok(text.to_owned())
    } else {
        Err(wrong())
    }
}

impl Value for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "must be true or false".into())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    /// Takes `16777216` and `16 MiB` alike.
    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || "must be a whole number below 4 Gi, such as 65536, 64KiB or 16MiB".to_owned();
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()).trim_end();
        let unit = match text[digits.len()..].trim_start() {
            "" | "B" => 1_u64,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).and_then(|number| number.try_into().ok()).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// Makes an enum of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $($(#[$each:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }

        impl Value for $name {
            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(concat!("must be ", $expected).into()),
                }
            }

            fn show(&self) -> String {
                match self {
                    $(Self::$variant => $word.into(),)+
                }
            }
        }
    };
}

impl Value for DiskChoice {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "uring" => Ok(Self::Uring),
            "fallback" => Ok(Self::Fallback),
            _ => Err("must be auto, uring or fallback".into()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Auto => "auto".into(),
            Self::Uring => "uring".into(),
            Self::Fallback => "fallback".into(),
        }
    }
}

words! {
    /// How important a log line is.
    LogLevel, "error, warn, info or debug",
    /// The node stops or can't do its work.
    Error = "error",
    /// Somebody should look.
    Warn = "warn",
    /// What a person wants to know of a day.
    Info = "info",
    /// Each connection and each notice.
    Debug = "debug",
}

words! {
    /// How log lines look.
    LogFormat, "text or json",
    /// For people.
    Text = "text",
    /// One object a line.
    Json = "json",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_certificates_are_for() {
        for (address, host) in [
            ("n1.example:2113", "n1.example"),
            ("10.0.0.1:2113", "10.0.0.1"),
            ("[::1]:2113", "::1"),
        ] {
            assert_eq!(host_of(address), host);
        }
    }
}
