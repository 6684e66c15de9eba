//! A row for each situation, and on it a dot for each percentile, on a logarithmic axis of time.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::paper::{Area, Drawn, FAINT, INK, LIMIT, OTHERS, OURS, WARM, draw, line, pixel, write};
use crate::text::time;

const WIDTH: i32 = 840;
const NAMES: i32 = 220;
const ROW: i32 = 26;
const HEAD: i32 = 66;
const FOOT: i32 = 40;
/// What the three dots stand for.
const DOTS: [(&str, RGBColor); 3] = [("p50", LIMIT), ("p99", OURS), ("p99.9", WARM)];

/// A situation, and its three times in nanoseconds.
pub struct Situation {
    pub name: String,
    pub ns: [Option<f64>; 3],
}

pub fn chart(title: &str, situations: &[Situation]) -> Result<String, Box<dyn Error>> {
    let height = situations.iter().fold(HEAD + FOOT, |height, _| height + ROW);
    let axis = Axis::of(situations);
    draw((WIDTH.unsigned_abs(), height.unsigned_abs()), |area| {
        write(area, title, (16, 22), HPos::Left, 16, INK)?;
        legend(area)?;
        axis.draw(area, height - FOOT)?;
        let mut middle = HEAD + ROW / 2;
        for situation in situations {
            write(area, &situation.name, (NAMES - 14, middle), HPos::Right, 13, INK)?;
            line(area, (NAMES, middle), (WIDTH - 30, middle), OTHERS)?;
            for (ns, (_, color)) in situation.ns.iter().zip(DOTS) {
                if let Some(ns) = ns {
                    area.draw(&Circle::new((axis.at(*ns), middle), 6, color.filled()))?;
                }
            }
            middle += ROW;
        }
        Ok(())
    })
}

fn legend(area: &Area<'_>) -> Drawn {
    let mut left = NAMES;
    for (name, color) in DOTS {
        area.draw(&Circle::new((left, 48), 6, color.filled()))?;
        write(area, name, (left + 12, 48), HPos::Left, 13, INK)?;
        left += 80;
    }
    Ok(())
}

/// From a power of ten to a power of ten.
struct Axis {
    first: f64,
    last: f64,
}

impl Axis {
    fn of(situations: &[Situation]) -> Self {
        let all = || situations.iter().flat_map(|situation| situation.ns).flatten();
        let least = all().fold(f64::MAX, f64::min).max(1.0);
        let most = all().fold(10.0, f64::max);
        let first = least.min(most).log10().floor();
        let end = most.log10().ceil().max(first + 1.0);
        Self { first, last: end }
    }

    fn at(&self, ns: f64) -> i32 {
        let share = (ns.max(1.0).log10() - self.first) / (self.last - self.first);
        NAMES + pixel(share * f64::from(WIDTH - NAMES - 40))
    }

    fn draw(&self, area: &Area<'_>, bottom: i32) -> Drawn {
        let mut power = self.first;
        while power <= self.last {
            let ns = 10_f64.powf(power);
            line(area, (self.at(ns), HEAD), (self.at(ns), bottom), FAINT)?;
            write(area, &tick(ns), (self.at(ns), bottom + 16), HPos::Center, 13, INK)?;
            power += 1.0;
        }
        Ok(())
    }
}

/// Powers of ten need no decimals.
fn tick(ns: f64) -> String {
    time(ns).replace(".00", "").replace(".0 ", " ")
}
