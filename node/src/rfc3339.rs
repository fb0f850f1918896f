//! Time stamps as people and programs read them: RFC 3339 in UTC with all seven digits.
//!
//! A civil date from a count of days is twenty lines (Howard Hinnant, "chrono-compatible low-level
//! date algorithms", `civil_from_days`), which is less than a calendar library costs.

use std::fmt;

use quorate_core::time::Created;

const TICKS_PER_SECOND: u64 = 10_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

/// Shows a time stamp as `2013-01-01T10:00:00.0000000Z`.
pub struct Rfc3339(pub Created);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticks = self.0.ticks();
        let (seconds, fraction) = (ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND);
        let (days, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        write!(out, ".{fraction:07}Z")
    }
}

/// Year, month and day, `days` after 1970-01-01.
///
/// Years are counted from 1 March of year 0, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: u64, fraction: u64, expected: &str) {
        let created = Created::from_ticks(seconds * TICKS_PER_SECOND + fraction);
        assert_eq!(Rfc3339(created).to_string(), expected);
    }

    #[test]
    fn known_moments() {
        check(0, 0, "1970-01-01T00:00:00.0000000Z");
        check(951_782_399, 9_999_999, "2000-02-28T23:59:59.9999999Z");
        check(951_782_400, 1, "2000-02-29T00:00:00.0000001Z");
        check(951_868_800, 0, "2000-03-01T00:00:00.0000000Z");
        check(1_357_034_400, 1_234_567, "2013-01-01T10:00:00.1234567Z");
        check(4_107_542_399, 0, "2100-02-28T23:59:59.0000000Z");
        check(4_107_542_400, 0, "2100-03-01T00:00:00.0000000Z");
    }

    #[test]
    fn the_last_tick_is_a_date_too() {
        assert!(Rfc3339(Created::from_ticks(u64::MAX)).to_string().starts_with("60425-"));
    }

    #[test]
    fn each_day_of_four_centuries_follows_the_one_before() {
        let mut before = civil(0);
        for day in 1..146_097 {
            let now = civil(day);
            let next_day = now == (before.0, before.1, before.2 + 1);
            let next_month = now == (before.0, before.1 + 1, 1) && before.2 >= 28;
            let next_year = now == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31);
            assert!(next_day || next_month || next_year, "{before:?} then {now:?}");
            before = now;
        }
        assert_eq!(before, (2369, 12, 31));
    }
}
