//! Strings somewhere in a payload that was read before, at a place that the configuration names.

use super::json::{Flaw, OneOrMany, Reader};

/// The strings at the end of a path; `None` if it does not lead anywhere. What is there and is no string is an error, and so
/// is something other than an object on the way.
pub(super) fn strings_at<'t, S: AsRef<str>>(
    payload: &'t [u8],
    path: &[S],
) -> Result<Option<OneOrMany<'t>>, Flaw> {
    walk(&mut Reader::new(payload)?, path)
}

/// Walks down objects to the member that a path names.
fn walk<'t, S: AsRef<str>>(value: &mut Reader<'t>, path: &[S]) -> Result<Option<OneOrMany<'t>>, Flaw> {
    let Some((wanted, rest)) = path.split_first() else {
        return value.read().map(Some);
    };
    let mut found = None;
    value.each_member(|name, value| {
        if name == wanted.as_ref() {
            found = walk(value, rest)?;
            Ok(())
        } else {
            value.skip()
        }
    })?;
    Ok(found)
}
