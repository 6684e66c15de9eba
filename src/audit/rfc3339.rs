//! Moments as RFC 3339 writes them, in UTC and to the microsecond: texts of one length, which sort as the moments do.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;
/// The last moment that has a form, in seconds since 1970: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// `2026-11-22T17:33:05.250000Z`. What lies before 1970 or after 9999 gets the nearest moment that has a form.
pub(super) fn text(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST);
    let (year, month, day) = date(seconds / DAY);
    let (hour, minute, second) = (seconds % DAY / 3600, seconds % 3600 / 60, seconds % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a day since 1970, in years that begin in March: then a leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097; // days of 400 years
    let from_march_of_0 = days + 719_468;
    let (era, day_of_era) = (from_march_of_0 / ERA, from_march_of_0 % ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}
