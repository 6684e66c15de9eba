//! Bars that begin at zero, each with its name and its value. One that is many times as long as the others is broken, so that
//! these can be told apart.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::paper::{Area, Drawn, FAINT, INK, draw, pixel, write};
use crate::text::time;

const WIDTH: i32 = 840;
const NAMES: i32 = 330;
const ROW: i32 = 24;
const HEAD: i32 = 44;
const FOOT: i32 = 16;
const MANY_TIMES: f64 = 5.0;

pub struct Bar {
    pub name: String,
    pub ns: f64,
    pub color: RGBColor,
}

pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

/// The panels below each other, each with a scale of its own.
pub fn chart(panels: &[Panel]) -> Result<String, Box<dyn Error>> {
    let heights = panels.iter().map(height);
    let whole = heights.sum::<i32>() + FOOT;
    draw((WIDTH.unsigned_abs(), whole.unsigned_abs()), |area| {
        let mut top = 0;
        for panel in panels {
            draw_panel(area, panel, top)?;
            top += height(panel);
        }
        Ok(())
    })
}

fn height(panel: &Panel) -> i32 {
    panel.bars.iter().fold(HEAD, |height, _| height + ROW)
}

fn draw_panel(area: &Area<'_>, panel: &Panel, top: i32) -> Drawn {
    write(area, &panel.title, (16, top + 26), HPos::Left, 16, INK)?;
    let (longest, room) = (longest(panel), f64::from(WIDTH - NAMES - 90));
    let mut middle = top + HEAD + ROW / 2;
    for bar in &panel.bars {
        write(area, &bar.name, (NAMES - 10, middle), HPos::Right, 13, INK)?;
        let end = NAMES + pixel((bar.ns.max(0.0) / longest).min(1.0) * room).max(1);
        let corners = [(NAMES, middle - 8), (end, middle + 8)];
        area.draw(&Rectangle::new(corners, bar.color.filled()))?;
        if bar.ns > longest {
            let gap = [(end - 36, middle + 9), (end - 28, middle - 9)];
            area.draw(&PathElement::new(gap, WHITE.stroke_width(5)))?;
        }
        write(area, &time(bar.ns), (end + 8, middle), HPos::Left, 13, INK)?;
        middle += ROW;
    }
    let ends = [(NAMES, top + HEAD - 2), (NAMES, middle - ROW / 2 + 2)];
    area.draw(&PathElement::new(ends, FAINT))?;
    Ok(())
}

/// What is as long as there is room for.
fn longest(panel: &Panel) -> f64 {
    let mut values: Vec<f64> = panel.bars.iter().map(|bar| bar.ns).collect();
    values.sort_by(f64::total_cmp);
    let of_most = values.get(values.len() / 2).copied().unwrap_or_default() * MANY_TIMES;
    let longest = values.into_iter().rfind(|value| *value <= of_most);
    longest.unwrap_or(1.0).max(1.0)
}
