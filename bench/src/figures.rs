//! Figures of several turns: median, spread, ratios, and whether a reach was reached.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;

/// One figure, measured several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The middle one; zero of none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            len if len % 2 == 1 => sorted[len / 2],
            len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
        }
    }

    /// The least and the greatest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (
            sorted.first().copied().unwrap_or(0.0),
            sorted.last().copied().unwrap_or(0.0),
        )
    }

    /// This by that, turn by turn.
    pub(crate) fn over(&self, that: &Self) -> Self {
        let pairs = self.0.iter().zip(&that.0);
        Self(
            pairs
                .map(|(this, that)| this / that.max(f64::MIN_POSITIVE))
                .collect(),
        )
    }

    /// This less that, turn by turn.
    pub(crate) fn less(&self, that: &Self) -> Self {
        let pairs = self.0.iter().zip(&that.0);
        Self(pairs.map(|(this, that)| this - that).collect())
    }

    /// So many times this.
    pub(crate) fn times(&self, factor: f64) -> Self {
        self.0.iter().map(|sample| sample * factor).collect()
    }

    /// Median and spread, each written by `write`.
    pub(crate) fn shown(&self, write: impl Fn(f64) -> String) -> String {
        let (least, greatest) = self.spread();
        if self.0.len() < 2 {
            return write(self.median());
        }
        format!(
            "{} ({}–{})",
            write(self.median()),
            write(least),
            write(greatest)
        )
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        Self(samples.into_iter().collect())
    }
}

/// A count in thousands of digits.
pub(crate) fn whole(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds as milliseconds.
pub(crate) fn millis(micros: f64) -> String {
    format!("{:.2}", micros / 1000.0)
}

/// What was wanted of a ratio, or of a figure by itself.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    what: String,
    ratio: Samples,
    wanted: f64,
    at_least: bool,
    unit: &'static str,
}

impl Reach {
    /// The ratio is wanted to be this or more.
    pub(crate) fn at_least(what: impl Into<String>, ratio: Samples, wanted: f64) -> Self {
        Self {
            what: what.into(),
            ratio,
            wanted,
            at_least: true,
            unit: "x",
        }
    }

    /// The figure, in this unit, is wanted to be this or less.
    pub(crate) fn within(
        what: impl Into<String>,
        figure: Samples,
        wanted: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            unit,
            ..Self::at_most(what, figure, wanted)
        }
    }

    /// The ratio is wanted to be this or less.
    pub(crate) fn at_most(what: impl Into<String>, ratio: Samples, wanted: f64) -> Self {
        Self {
            at_least: false,
            ..Self::at_least(what, ratio, wanted)
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.ratio.median();
        let (word, side) = match (self.at_least, median >= self.wanted, median <= self.wanted) {
            (true, true, _) => ("reached", "at least"),
            (true, ..) => ("**missed**", "at least"),
            (false, _, true) => ("reached", "at most"),
            (false, ..) => ("**missed**", "at most"),
        };
        let (least, greatest) = self.ratio.spread();
        write!(
            f,
            "{}: {word}: {median:.2}{unit} of {side} {}{unit} (spread {least:.2}–{greatest:.2})",
            self.what,
            self.wanted,
            unit = self.unit
        )
    }
}

/// What a load took.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    latency: Histogram<u64>,
    elapsed: Duration,
    /// Answers within that time.
    pub(crate) answered: u64,
    /// Answers that were errors.
    pub(crate) failed: u64,
}

impl Load {
    pub(crate) fn new() -> Self {
        Self {
            // Microseconds up to a minute, three digits.
            latency: Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are valid"),
            elapsed: Duration::ZERO,
            answered: 0,
            failed: 0,
        }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
    }

    /// Takes in what another worker measured in the same time.
    pub(crate) fn join(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("the bounds are the same");
        self.answered += other.answered;
        self.failed += other.failed;
    }

    pub(crate) fn lasted(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    /// Microseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_says_plainly_that_it_was_missed() {
        let ratio: Samples = [3.0, 3.1, 4.0].into_iter().collect();
        let missed = Reach::at_least("puts", ratio.clone(), 5.0).to_string();
        assert!(
            missed.contains("missed**: 3.10x of at least 5x"),
            "{missed}"
        );
        assert!(
            Reach::at_most("p99", ratio, 5.0)
                .to_string()
                .contains(": reached:")
        );
    }

    #[test]
    fn a_figure_by_itself_has_its_unit() {
        let seconds: Samples = [9.5, 10.0, 30.0].into_iter().collect();
        assert_eq!(
            Reach::within("to Ready", seconds, 20.0, " s").to_string(),
            "to Ready: reached: 10.00 s of at most 20 s (spread 9.50–30.00)"
        );
    }

    #[test]
    fn figures_are_read_by_people() {
        assert_eq!(whole(1_234_567.4), "1,234,567");
        let samples: Samples = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        let ones: Samples = [1.0; 4].into_iter().collect();
        assert!((samples.less(&ones).times(10.0).median() - 15.0).abs() < 1e-9);
        assert_eq!(
            samples.shown(|ratio| format!("{ratio:.2}")),
            "2.50 (1.00–4.00)"
        );
    }
}
