//! How a cost grows with a number, which has a logarithmic axis.

use std::error::Error;

use plotters::prelude::*;

use crate::paper::{FAINT, INK, LIMIT, OURS, WARM, draw};
use crate::text::count;

const COLORS: [RGBColor; 5] = [OURS, LIMIT, WARM, RGBColor(130, 80, 223), RGBColor(207, 34, 46)];

/// What grows, and how often the cost of the smallest number goes into that of each.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

pub fn chart(title: &str, lines: &[Line]) -> Result<String, Box<dyn Error>> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let right = points().map(|point| point.0).fold(10.0, f64::max);
    let top = points().map(|point| point.1).fold(1.5, f64::max) * 1.1;
    draw((840, 400), |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 16).into_font().color(&INK))
            .margin(16)
            .margin_right(40)
            .x_label_area_size(36)
            .y_label_area_size(44)
            .build_cartesian_2d((1.0..right).log_scale(), 0.0..top)?;
        chart
            .configure_mesh()
            .label_style(("sans-serif", 13).into_font().color(&INK))
            .axis_style(FAINT)
            .bold_line_style(FAINT.mix(0.3))
            .light_line_style(WHITE)
            .x_desc("how many")
            .x_label_formatter(&|number| short(*number))
            .y_label_formatter(&|ratio| format!("{ratio:.1}"))
            .draw()?;
        for (line, color) in lines.iter().zip(COLORS) {
            let style = color.stroke_width(2);
            let series = LineSeries::new(line.points.iter().copied(), style).point_size(4);
            let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style);
            chart.draw_series(series)?.label(&line.name).legend(legend);
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .label_font(("sans-serif", 13).into_font().color(&INK))
            .background_style(WHITE)
            .border_style(FAINT)
            .draw()?;
        Ok(())
    })
}

fn short(number: f64) -> String {
    let text = count(number);
    let thousands = text.strip_suffix("000").map(|rest| format!("{rest}k"));
    let millions = text.strip_suffix("000000").map(|rest| format!("{rest}m"));
    millions.or(thousands).unwrap_or(text)
}
