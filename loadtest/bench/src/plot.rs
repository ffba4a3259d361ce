//! Plots of reports, as SVG files beside them.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;

/// Size of a plot of lines, in pixels.
const SIZE: (u32, u32) = (760, 420);
/// Of these the right ones are for the names of the lines, each in a line of so many.
const LEGEND_WIDTH: u32 = 160;
const LEGEND_LINE: i32 = 20;
/// Height of one bar with its space, and of what lies around the bars.
const BAR: (u32, u32) = (30, 110);
/// Lines and bars: first those that people who see few colours tell apart, too (Okabe and Ito).
const COLORS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(150, 150, 150),
    RGBColor(140, 81, 10),
    RGBColor(107, 142, 35),
];
/// What is added on either side of the values, as a part of their range.
const MARGIN: f64 = 0.08;

/// What stands around the values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: &'a str,
    pub(crate) y: &'a str,
}

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from zero.
    Linear,
    /// By powers; values that are not positive are left out.
    Logarithmic,
}

/// A named line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// A named bar, with the least and the most of what it is the middle of.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) spread: (f64, f64),
}

/// Draws lines with a dot at each point.
pub(crate) fn lines(
    path: &Path,
    labels: Labels<'_>,
    scales: (Scale, Scale),
    series: &[Series],
) -> Result<()> {
    let x = range(scales.0, series.iter().flat_map(|one| one.points.iter().map(|point| point.0)));
    let y = range(scales.1, series.iter().flat_map(|one| one.points.iter().map(|point| point.1)));
    let kept: Vec<Series> = series.iter().map(|one| drawable(one, scales)).collect();
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).context("fill")?;
        match scales {
            (Scale::Linear, Scale::Linear) => draw(&root, labels, x, y, &kept)?,
            (Scale::Linear, Scale::Logarithmic) => draw(&root, labels, x, y.log_scale(), &kept)?,
            (Scale::Logarithmic, Scale::Linear) => draw(&root, labels, x.log_scale(), y, &kept)?,
            (Scale::Logarithmic, Scale::Logarithmic) => {
                draw(&root, labels, x.log_scale(), y.log_scale(), &kept)?;
            }
        }
        root.present().context("draw")?;
    }
    write(path, &svg)
}

/// Draws a bar for each value, in the given order from above, with a thin line from the least to the most.
pub(crate) fn bars(path: &Path, labels: Labels<'_>, bars: &[Bar]) -> Result<()> {
    let count = u32::try_from(bars.len())?;
    let x = range(Scale::Linear, bars.iter().flat_map(|bar| [bar.value, bar.spread.1]));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (SIZE.0, BAR.0 * count + BAR.1)).into_drawing_area();
        root.fill(&WHITE).context("fill")?;
        let mut chart = ChartBuilder::on(&root)
            .caption(labels.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(45)
            .y_label_area_size(190)
            .build_cartesian_2d(x, 0.0..f64::from(count.max(1)))
            .context("axes")?;
        let name = |place: &f64| name_at(bars, *place);
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .y_labels(2 * bars.len() + 1)
            .y_label_formatter(&name)
            .x_label_formatter(&|value| short(*value))
            .x_desc(labels.x)
            .y_desc(labels.y)
            .draw()
            .context("axes")?;
        for (place, bar) in bars.iter().enumerate() {
            let middle = centre(bars.len(), place);
            let color = color(place).mix(0.8).filled();
            let (low, high) = bar.spread;
            let line = vec![(low, middle), (high, middle)];
            chart
                .draw_series([Rectangle::new([(0.0, middle - 0.3), (bar.value, middle + 0.3)], color)])
                .context("a bar")?;
            chart.draw_series([PathElement::new(line, BLACK.stroke_width(1))]).context("a spread")?;
        }
        root.present().context("draw")?;
    }
    write(path, &svg)
}

fn draw<X, Y>(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    labels: Labels<'_>,
    x: X,
    y: Y,
    series: &[Series],
) -> Result<()>
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
    Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
{
    let (plot, legend) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
    let mut chart = ChartBuilder::on(&plot)
        .caption(labels.title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(x, y)
        .context("axes")?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .x_desc(labels.x)
        .y_desc(labels.y)
        .draw()
        .context("axes")?;
    for (place, one) in series.iter().enumerate() {
        let color = color(place);
        chart
            .draw_series(LineSeries::new(one.points.iter().copied(), color.stroke_width(2)).point_size(3))
            .context("a line")?;
    }
    for (place, one) in series.iter().enumerate() {
        let y = LEGEND_LINE * i32::try_from(place + 2)?;
        let line = vec![(8, y), (28, y)];
        legend.draw(&PathElement::new(line, color(place).stroke_width(2))).context("the legend")?;
        legend.draw(&Text::new(one.name.as_str(), (34, y - 6), ("sans-serif", 13))).context("the legend")?;
    }
    Ok(())
}

fn color(place: usize) -> RGBColor {
    COLORS[place % COLORS.len()]
}

/// The points that the scales can show.
fn drawable(series: &Series, scales: (Scale, Scale)) -> Series {
    let shown = |scale, value: f64| value.is_finite() && (scale == Scale::Linear || value > 0.0);
    let points = series.points.iter().copied().filter(|(x, y)| shown(scales.0, *x) && shown(scales.1, *y));
    Series { name: series.name.clone(), points: points.collect() }
}

/// From a bit before the least to a bit behind the most of the values; never empty.
fn range(scale: Scale, values: impl Iterator<Item = f64>) -> Range<f64> {
    let shown = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
    let (low, high) =
        shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    match scale {
        _ if low > high => 0.1..1.0,
        Scale::Linear => low.min(0.0)..(high.max(f64::MIN_POSITIVE) * (1.0 + MARGIN)),
        Scale::Logarithmic => {
            let margin = (high / low).powf(MARGIN).max(1.1);
            low / margin..high * margin
        }
    }
}

/// The middle of the bar at this place of so many, counted from above.
#[allow(clippy::cast_precision_loss, reason = "a handful of bars")]
fn centre(count: usize, place: usize) -> f64 {
    (count - place) as f64 - 0.5
}

/// The name of the bar whose middle is here.
fn name_at(bars: &[Bar], at: f64) -> String {
    let hit = (0..bars.len()).find(|place| (centre(bars.len(), *place) - at).abs() < 1e-6);
    hit.map(|place| bars[place].name.clone()).unwrap_or_default()
}

/// A number with few digits: 1500 is 1.5k.
fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        1e6.. => (value / 1e6, "M"),
        1e3.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = if scaled.abs() >= 100.0 || scaled == 0.0 { 0 } else { 3 };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn write(path: &Path, svg: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    fs::write(path, svg).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels { title: "A & B", x: "backlog", y: "jobs a second" };

    fn drawn(draw: impl FnOnce(&Path) -> Result<()>) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new").join("plot.svg");
        draw(&path).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_named_and_values_that_a_scale_cannot_show_are_left_out() {
        let series = [
            Series { name: "this".into(), points: vec![(1e3, 5.0), (1e6, 7.0)] },
            Series { name: "that".into(), points: vec![(1e3, 0.0), (1e6, f64::NAN)] },
        ];
        let svg = drawn(|path| lines(path, LABELS, (Scale::Logarithmic, Scale::Logarithmic), &series));
        for text in ["this", "that", "A &amp; B", "backlog", "jobs a second", "10k"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN"));
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
    }

    #[test]
    fn every_bar_has_its_name_beside_it() {
        let bar = |name: &str, value| Bar { name: name.into(), value, spread: (value / 2.0, value * 2.0) };
        let svg =
            drawn(|path| bars(path, LABELS, &[bar("first", 1500.0), bar("second", 20.0), bar("third", 0.0)]));
        let height = |name: &str| -> f64 {
            let (before, _) = svg.split_once(&format!("\n{name}\n")).unwrap();
            let (_, text) = before.rsplit_once(" y=\"").unwrap();
            text.split('"').next().unwrap().parse().unwrap()
        };
        let heights = ["first", "second", "third"].map(height);
        assert!(heights.is_sorted() && heights[0] + 20.0 < heights[1], "{heights:?}");
    }

    #[test]
    fn nothing_to_draw_is_an_empty_plot() {
        let svg = drawn(|path| lines(path, LABELS, (Scale::Linear, Scale::Logarithmic), &[]));
        assert!(svg.contains("</svg>"));
        let svg = drawn(|path| bars(path, LABELS, &[]));
        assert!(svg.contains("</svg>"));
    }

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 0.5, 12.0, 1500.0, 100_000.0, 2_500_000.0].map(short);
        assert_eq!(texts, ["0", "0.5", "12", "1.5k", "100k", "2.5M"]);
    }
}
