//! Dates as people write them. A date is the time since 1970.

use std::time::Duration;

use super::super::json::LATEST_DATE;
use crate::writing::to_the_second;

const DAY: u64 = 86_400;

/// `2027-01-15T08:05:00Z` (RFC 3339), to the second. No token is dated after the year 9999; a clock that stands there is
/// told in seconds.
pub(super) fn moment(date: Duration) -> String {
    if date.as_secs() > LATEST_DATE {
        return format!("{} s after 1970", date.as_secs());
    }
    to_the_second(date.as_secs()) + "Z"
}

/// `5 min 30 s ago`, `in 2 d 3 h`.
pub(super) fn from_now(date: Duration, now: Duration) -> String {
    if date > now {
        format!("in {}", span(date.saturating_sub(now)))
    } else {
        format!("{} ago", span(now.saturating_sub(date)))
    }
}

/// A length of time in its two largest units.
pub(super) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [
        (seconds / DAY, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let largest = units.iter().skip_while(|(count, _)| *count == 0).take(2);
    let parts: Vec<String> = largest
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "253402300800 s after 1970"),
            (u64::MAX, "18446744073709551615 s after 1970"),
        ] {
            assert_eq!(moment(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (330, "5 min 30 s"),
            (3_600, "1 h"),
            (3_601, "1 h"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
