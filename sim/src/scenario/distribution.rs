//! How a time differs from one occasion to the next.

use quorate_storage::disk::simulated::Random;

use super::number;

/// Nanoseconds, drawn anew each time.
#[derive(Clone, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Constant(u64),
    /// Each value of a range as often as any other.
    Uniform {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// The logarithm is normal: a body and a long tail, as networks and disks have.
    Lognormal {
        /// Nothing is shorter.
        min: u64,
        /// Half are shorter.
        p50: u64,
        /// One in a hundred is longer.
        p99: u64,
    },
    /// As measured: pairs of a percentile and its value, both growing. Between two of them it is
    /// linear.
    Empirical(Vec<(f64, u64)>),
}

/// How many standard deviations the 99th percentile is above the middle.
const DEVIATIONS_P99: f64 = 2.326_347_874_040_841;

impl Distribution {
    /// Draws one.
    pub fn draw(&self, random: &mut Random) -> u64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => min + random.below(max - min + 1),
            Self::Lognormal { .. } | Self::Empirical(_) => self.quantile(number::share(random)),
        }
    }

    /// The value that this share of all draws is below.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform { min, max } => min + ((max - min) as f64 * share) as u64,
            Self::Lognormal { min, p50, p99 } => {
                let middle = number::ln((*p50).max(1) as f64);
                let deviation = (number::ln((*p99).max(1) as f64) - middle) / DEVIATIONS_P99;
                let value = number::exp(middle + deviation * number::normal_quantile(share));
                (value as u64).max(*min)
            }
            Self::Empirical(points) => {
                let percent = share * 100.0;
                let above = points.iter().position(|(at, _)| *at >= percent);
                let Some(above) = above else { return points.last().map_or(0, |it| it.1) };
                let (to, high) = points[above];
                let (from, low) = above.checked_sub(1).map_or((0.0, high), |it| points[it]);
                let part = if to > from { (percent - from) / (to - from) } else { 1.0 };
                low + ((high - low) as f64 * part) as u64
            }
        }
    }

    /// The same with every value multiplied by a ratio.
    #[must_use]
    pub fn scaled(&self, times: u64, by: u64) -> Self {
        let scale = |value: u64| (u128::from(value) * u128::from(times) / u128::from(by)) as u64;
        match self {
            Self::Constant(value) => Self::Constant(scale(*value)),
            Self::Uniform { min, max } => Self::Uniform { min: scale(*min), max: scale(*max) },
            Self::Lognormal { min, p50, p99 } => {
                Self::Lognormal { min: scale(*min), p50: scale(*p50), p99: scale(*p99) }
            }
            Self::Empirical(points) => {
                Self::Empirical(points.iter().map(|(at, value)| (*at, scale(*value))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(distribution: &Distribution, p50: u64, p99: u64) {
        let mut random = Random::stream(3, "distribution");
        let mut drawn: Vec<u64> = (0..20_000).map(|_| distribution.draw(&mut random)).collect();
        drawn.sort_unstable();
        for (got, wanted) in [(drawn[10_000], p50), (drawn[19_800], p99)] {
            let difference = got.abs_diff(wanted) as f64 / wanted as f64;
            assert!(difference < 0.06, "{got} instead of {wanted}");
        }
    }

    #[test]
    fn what_is_drawn_is_what_was_asked_for() {
        check(&Distribution::Constant(500), 500, 500);
        check(&Distribution::Uniform { min: 1_000, max: 2_000 }, 1_500, 1_990);
        check(&Distribution::Lognormal { min: 0, p50: 120_000, p99: 300_000 }, 120_000, 300_000);
        let points = vec![(0.0, 100), (50.0, 1_000), (99.0, 5_000), (100.0, 90_000)];
        check(&Distribution::Empirical(points), 1_000, 5_000);
    }
}
