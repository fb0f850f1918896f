//! Logarithms and the like from plain arithmetic, so that a run is the same on every machine: what
//! a system's own library gives may differ in the last bit.

use quorate_storage::disk::simulated::Random;

const LN_2: f64 = std::f64::consts::LN_2;

/// The natural logarithm of a positive number.
#[must_use]
pub fn ln(value: f64) -> f64 {
    assert!(value > 0.0, "only positive numbers have a logarithm");
    let bits = value.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // ln m = 2 artanh((m - 1) / (m + 1)), and the argument is at most a third.
    let part = (mantissa - 1.0) / (mantissa + 1.0);
    let square = part * part;
    let (mut sum, mut power) = (0.0, part);
    for summand in 0..24 {
        sum += power / f64::from(2 * summand + 1);
        power *= square;
    }
    2.0 * sum + exponent as f64 * LN_2
}

/// Two point seven to this power, for powers that a latency can need.
#[must_use]
pub fn exp(power: f64) -> f64 {
    let power = power.clamp(-700.0, 700.0);
    let twos = (power / LN_2).round();
    let rest = power - twos * LN_2;
    let (mut sum, mut summand) = (1.0, 1.0);
    for place in 1..20 {
        summand *= rest / f64::from(place);
        sum += summand;
    }
    sum * f64::from_bits(((1023 + twos as i64) as u64) << 52)
}

/// Below which value a normal variable is with this probability (Acklam's approximation; its
/// relative error is below 1.2e-9).
#[must_use]
pub fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let polynomial = |factors: &[f64], at: f64| factors.iter().fold(0.0, |sum, it| sum * at + it);
    let tail = |share: f64| {
        let at = (-2.0 * ln(share)).sqrt();
        polynomial(&C, at) / (polynomial(&D, at) * at + 1.0)
    };
    let share = share.clamp(1e-15, 1.0 - 1e-15);
    if share < 0.02425 {
        tail(share)
    } else if share > 1.0 - 0.02425 {
        -tail(1.0 - share)
    } else {
        let centred = share - 0.5;
        let square = centred * centred;
        polynomial(&A, square) * centred / (polynomial(&B, square) * square + 1.0)
    }
}

/// A number between zero and one, neither of them.
pub fn share(random: &mut Random) -> f64 {
    ((random.number() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_the_machine_has() {
        for value in [1e-9, 0.3, 1.0, 2.5, 1e6, 3.7e12] {
            assert!((ln(value) - f64::ln(value)).abs() < 1e-12 * (1.0 + f64::ln(value).abs()));
        }
        for power in [-20.0, -0.5, 0.0, 1.0, 3.3, 25.0] {
            assert!((exp(power) / f64::exp(power) - 1.0).abs() < 1e-13);
        }
        for (share, expected) in [(0.5, 0.0), (0.99, 2.326_347_874), (0.001, -3.090_232_306)] {
            assert!((normal_quantile(share) - expected).abs() < 1e-6, "{share}");
        }
    }
}
