//! Moments as RFC 3339 writes them, in UTC and to the microsecond: texts of one length, which sort as the moments do.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::writing::to_the_second;

/// The last moment that has a form, in seconds since 1970: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// `2026-11-22T17:33:05.250000Z`. What lies before 1970 or after 9999 gets the nearest moment that has a form.
pub(super) fn text(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(LAST);
    let micros = since.subsec_micros();
    format!("{}.{micros:06}Z", to_the_second(seconds))
}
