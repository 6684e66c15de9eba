//! What all charts have in common. The background is painted, so that they are readable on dark pages as well.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub type Drawn = Result<(), Box<dyn Error>>;

pub const INK: RGBColor = RGBColor(31, 35, 40);
pub const FAINT: RGBColor = RGBColor(140, 149, 159);
pub const OURS: RGBColor = RGBColor(9, 105, 218);
pub const LIMIT: RGBColor = RGBColor(26, 127, 55);
pub const OTHERS: RGBColor = RGBColor(175, 184, 193);
pub const WARM: RGBColor = RGBColor(191, 88, 0);

/// An SVG document of this size.
pub fn draw(size: (u32, u32), drawing: impl Fn(&Area<'_>) -> Drawn) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        drawing(&area)?;
        area.present()?;
    }
    Ok(svg)
}

pub fn write(area: &Area<'_>, text: &str, at: (i32, i32), side: HPos, height: u32, color: RGBColor) -> Drawn {
    let style = ("sans-serif", height).into_font().color(&color);
    let style = style.pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))?;
    Ok(())
}

pub fn line(area: &Area<'_>, from: (i32, i32), to: (i32, i32), color: RGBColor) -> Drawn {
    area.draw(&PathElement::new(vec![from, to], color))?;
    Ok(())
}

/// A pixel; what does not fit on any paper is drawn at its edge.
#[expect(clippy::cast_possible_truncation, reason = "no chart has as many pixels")]
pub fn pixel(value: f64) -> i32 {
    value.round() as i32
}
