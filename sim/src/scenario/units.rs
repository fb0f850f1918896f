//! Times, sizes and rates as people write them. A bare number is none: nobody knows of what.

/// Nanoseconds of a duration like `1.5ms`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn duration(text: &str) -> Result<u64, String> {
    let units = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("min", 60e9),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3600e9),
    ];
    let nanos = scaled(text, &units, "a time", "250us, 1.5ms, 20s or 2min")?;
    whole(nanos, text)
}

/// A duration that may be negative, like `-3s`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn signed_duration(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = i64::try_from(duration(rest)?).map_err(|_| format!("`{text}` is too long"))?;
    Ok(sign * nanos)
}

/// Bytes of a size like `8KiB`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1024.0),
        ("MiB", 1024.0 * 1024.0),
        ("GiB", 1024.0 * 1024.0 * 1024.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("B", 1.0),
    ];
    whole(scaled(text, &units, "a size", "512B, 8KiB or 1MiB")?, text)
}

/// Events a second of a rate like `20k/s`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn rate(text: &str) -> Result<f64, String> {
    let units = [("k/s", 1e3), ("/s", 1.0), ("/min", 1.0 / 60.0)];
    scaled(text, &units, "a rate", "200/s, 20k/s or 6/min")
}

/// Bits a second of a bandwidth like `500Mbit/s`.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn bandwidth(text: &str) -> Result<u64, String> {
    let units = [("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)];
    whole(scaled(text, &units, "a bandwidth", "500Mbit/s or 10Gbit/s")?, text)
}

fn scaled(text: &str, units: &[(&str, f64)], what: &str, like: &str) -> Result<f64, String> {
    let digits = text.find(|it: char| !it.is_ascii_digit() && it != '.' && it != '_');
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let parsed = number.replace('_', "").parse::<f64>();
    let unit = unit.trim_start();
    match (parsed, units.iter().find(|(name, _)| *name == unit)) {
        (Ok(number), Some((_, factor))) => Ok(number * factor),
        (Ok(_), None) if unit.is_empty() => {
            Err(format!("`{text}` has no unit; {what} is written like {like}"))
        }
        _ => Err(format!("`{text}` is not {what}; it is written like {like}")),
    }
}

fn whole(number: f64, text: &str) -> Result<u64, String> {
    if number < 9e18 { Ok(number.round() as u64) } else { Err(format!("`{text}` is too much")) }
}

/// A duration as short as it can be written exactly.
#[must_use]
pub fn show_exactly(nanos: u64) -> String {
    for (unit, name) in [(1_000_000_000_u64, "s"), (1_000_000, "ms"), (1_000, "us")] {
        // Not more than three digits behind the point, or it is not easier to read.
        if nanos >= unit && nanos.is_multiple_of(unit / 1_000) {
            let text = format!("{}.{:03}", nanos / unit, nanos % unit / (unit / 1_000));
            return format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    if nanos == 0 {
        return "0s".to_owned();
    }
    format!("{nanos}ns")
}

/// A duration for a person: three digits are enough.
#[must_use]
pub fn show(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_strictly() {
        assert_eq!(duration("1.5ms"), Ok(1_500_000));
        assert_eq!(duration("120 us"), Ok(120_000));
        assert_eq!(duration("2min"), Ok(120_000_000_000));
        assert_eq!(signed_duration("-3s"), Ok(-3_000_000_000));
        assert_eq!(bytes("8KiB"), Ok(8192));
        assert_eq!(rate("20k/s"), Ok(20_000.0));
        assert_eq!(bandwidth("500Mbit/s"), Ok(500_000_000));
        for wrong in ["15", "s", "1.5.2s", "3 parsecs", "", "1e3s", "-2s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("15").unwrap_err().contains("has no unit"));
        assert!(bytes("8Kib").is_err());
    }

    #[test]
    fn durations_are_shown_as_they_can_be_read() {
        for nanos in [0, 7, 120_000, 1_234_567, 1_500_000, 2_000_000_000, 61_500_000_000] {
            assert_eq!(duration(&show_exactly(nanos)), Ok(nanos));
        }
        assert_eq!(show_exactly(1_250_000), "1.25ms");
        assert_eq!(show(1_624_000_000), "1.62 s");
        assert_eq!(show(214_300), "214 us");
        assert_eq!(show(41_700_000), "41.7 ms");
    }
}
