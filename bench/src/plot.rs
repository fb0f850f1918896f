//! A plot of latency against throughput, as SVG, both axes logarithmic.
//!
//! It has no background, and its greys and colours stand out on white as well as on black.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 540.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 84.0;
const TOP: f64 = 58.0;
const BOTTOM: f64 = 96.0;
const GREY: &str = "#7d8590";
/// Told apart by people with any kind of colour vision, with the markers' help.
const COLOURS: [&str; 6] = ["#2f81f7", "#d9730d", "#2da44e", "#bf5af2", "#c9a227", "#e5534b"];

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    /// A line under the plot.
    pub(crate) below: String,
    pub(crate) series: Vec<Series>,
}

/// Points that a line joins.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<Point>,
}

/// One load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Appends per second.
    pub(crate) rate: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// A logarithmic axis on the screen.
#[derive(Clone, Copy, Debug)]
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// - `from`, `to`: where on the screen its ends are
    fn over(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        // The logarithm has no zero.
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            least = least.min(value);
            most = most.max(value);
        }
        if least > most {
            (least, most) = (1.0, 10.0);
        }
        Self { least: step_below(least), most: step_above(most), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.least).ln() / (self.most / self.least).ln();
        self.from + part * (self.to - self.from)
    }

    /// 1, 2 and 5 of each power of ten.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        let mut tick = self.least;
        while tick <= self.most * 1.001 {
            ticks.push(tick);
            tick = step_above(tick * 1.001);
        }
        ticks
    }
}

/// The largest of 1, 2, 5, 10 … that is not above.
fn step_below(value: f64) -> f64 {
    let power = 10_f64.powf((value * 1.000_1).log10().floor());
    [5.0, 2.0]
        .iter()
        .map(|step| step * power)
        .find(|step| *step <= value * 1.000_1)
        .unwrap_or(power)
}

/// The smallest of 1, 2, 5, 10 … that is not below.
fn step_above(value: f64) -> f64 {
    let below = step_below(value);
    if below >= value * 0.999_9 {
        return below;
    }
    let power = 10_f64.powf((below * 1.000_1).log10().floor());
    let step = (below / power).round();
    power
        * if step < 2.0 {
            2.0
        } else if step < 5.0 {
            5.0
        } else {
            10.0
        }
}

impl Plot {
    /// The whole file.
    pub(crate) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let rates = Axis::over(points().map(|point| point.rate), LEFT, WIDTH - RIGHT);
        let times = points().flat_map(|point| [point.p50_us, point.p99_us]);
        let times = Axis::over(times, HEIGHT - BOTTOM, TOP);
        let mut out = String::new();
        self.frame(&mut out, &rates, &times).expect("a string takes any text");
        let mut labels = Labels::default();
        for (number, series) in self.series.iter().enumerate() {
            let drawn = series.draw(&mut out, number, &rates, &times, &mut labels);
            drawn.expect("a string takes any text");
        }
        out.push_str("</svg>\n");
        out
    }

    fn frame(&self, out: &mut String, rates: &Axis, times: &Axis) -> std::fmt::Result {
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{GREY}\">"
        )?;
        writeln!(out, "<title>{}</title>", escape(&self.title))?;
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        text(out, middle, 26.0, "middle", "font-size=\"16\" font-weight=\"600\"", &self.title)?;
        let legend = "solid: half of all appends are faster (p50); dashed: 99 of 100 are (p99)";
        text(out, middle, 45.0, "middle", "", legend)?;
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in rates.ticks() {
            let x = rates.place(tick);
            line(out, [x, TOP, x, bottom])?;
            text(out, x, bottom + 19.0, "middle", "", &rate_label(tick))?;
        }
        for tick in times.ticks() {
            let y = times.place(tick);
            line(out, [LEFT, y, right, y])?;
            text(out, LEFT - 9.0, y + 4.5, "end", "", &time_label(tick))?;
        }
        text(out, middle, bottom + 44.0, "middle", "", "durable appends per second")?;
        let (x, y) = (20.0, f64::midpoint(TOP, bottom));
        let turned = format!("transform=\"rotate(-90 {x} {y})\"");
        text(out, x, y, "middle", &turned, "latency of one append")?;
        text(out, middle, HEIGHT - 20.0, "middle", "font-size=\"12\"", &self.below)
    }
}

impl Series {
    fn draw(
        &self,
        out: &mut String,
        number: usize,
        rates: &Axis,
        times: &Axis,
        labels: &mut Labels,
    ) -> std::fmt::Result {
        let colour = COLOURS[number % COLOURS.len()];
        for (dashes, time) in [("", Point::p50 as fn(&Point) -> f64), ("5 4", Point::p99)] {
            let places: Vec<_> = self
                .points
                .iter()
                .map(|point| (rates.place(point.rate), times.place(time(point))))
                .collect();
            let path: Vec<_> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let width = if dashes.is_empty() { 2.2 } else { 1.4 };
            writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" \
                 stroke-width=\"{width}\" stroke-dasharray=\"{dashes}\"/>",
                path.join(" ")
            )?;
            if !dashes.is_empty() {
                continue;
            }
            for (x, y) in &places {
                marker(out, number, *x, *y, colour)?;
            }
            if let Some((x, y)) = places.last() {
                let y = labels.free(*y);
                let fill = format!("fill=\"{colour}\" font-weight=\"600\"");
                text(out, x.max(WIDTH - RIGHT) + 8.0, y + 4.5, "start", &fill, &self.name)?;
            }
        }
        Ok(())
    }
}

impl Point {
    fn p50(&self) -> f64 {
        self.p50_us
    }

    fn p99(&self) -> f64 {
        self.p99_us
    }
}

/// Where the names of series are, so that none hides another.
#[derive(Default)]
struct Labels(Vec<f64>);

impl Labels {
    const APART: f64 = 17.0;

    /// The nearest place below that nobody has.
    fn free(&mut self, wanted: f64) -> f64 {
        let mut place = wanted;
        while let Some(taken) = self.0.iter().find(|taken| (**taken - place).abs() < Self::APART) {
            place = taken + Self::APART;
        }
        self.0.push(place);
        place
    }
}

/// Another shape for each series.
fn marker(out: &mut String, number: usize, x: f64, y: f64, colour: &str) -> std::fmt::Result {
    let at = format!("transform=\"translate({x:.1} {y:.1})\" fill=\"{colour}\"");
    match number % 4 {
        0 => writeln!(out, "<circle {at} r=\"4\"/>"),
        1 => writeln!(out, "<rect {at} x=\"-4\" y=\"-4\" width=\"8\" height=\"8\"/>"),
        2 => writeln!(out, "<path {at} d=\"M0 -5 5 4 -5 4Z\"/>"),
        _ => writeln!(out, "<path {at} d=\"M0 -5.5 5.5 0 0 5.5 -5.5 0Z\"/>"),
    }
}

fn line(out: &mut String, [x1, y1, x2, y2]: [f64; 4]) -> std::fmt::Result {
    writeln!(
        out,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{GREY}\" stroke-opacity=\"0.28\"/>"
    )
}

fn text(
    out: &mut String,
    x: f64,
    y: f64,
    anchor: &str,
    more: &str,
    words: &str,
) -> std::fmt::Result {
    let words = escape(words);
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {more}>{words}</text>")
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn rate_label(rate: f64) -> String {
    if rate < 1000.0 { format!("{rate:.0}") } else { format!("{:.0} k", rate / 1000.0) }
}

fn time_label(micros: f64) -> String {
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.0} ms", micros / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_begins_and_ends_at_round_numbers() {
        let axis = Axis::over([310.0, 4100.0, 0.0].into_iter(), 0.0, 100.0);
        assert_eq!(axis.ticks().len(), 5, "{:?}", axis.ticks());
        assert_eq!((step_below(310.0), step_above(4100.0)), (200.0, 5000.0));
        assert!((axis.place(200.0)).abs() < 0.01);
        assert!((axis.place(5000.0) - 100.0).abs() < 0.01);
        for round in [1.0, 2.0, 5.0, 10.0, 20_000.0] {
            assert_eq!((step_below(round), step_above(round)), (round, round));
        }
        assert_eq!(Axis::over(std::iter::empty(), 0.0, 1.0).ticks().len(), 4);
    }

    #[test]
    fn a_plot_has_a_line_for_each_percentile_and_a_name_for_each_series() {
        let points = vec![
            Point { rate: 2_000.0, p50_us: 450.0, p99_us: 900.0 },
            Point { rate: 90_000.0, p50_us: 2_000.0, p99_us: 6_000.0 },
        ];
        let series =
            ["64 B", "<4 KiB>"].map(|name| Series { name: name.into(), points: points.clone() });
        let plot = Plot { title: "A & B".into(), below: "here".into(), series: series.into() };
        let svg = plot.svg();
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.contains("A &amp; B") && svg.contains("&lt;4 KiB&gt;"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let ys: Vec<_> = svg.lines().filter(|line| line.contains("font-weight=\"600\">")).collect();
        assert_eq!(ys.len(), 3, "two names that don't hide each other, and the title");
    }
}
