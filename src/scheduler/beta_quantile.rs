//! Quantiles of one beta distribution, the only one that schedules use.

/// Both parameters.
const SHAPE: f64 = 0.6;

/// The value below which the share `p` of the beta distribution lies; `p` is between 0 and 1.
pub(super) fn beta_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return 1.0 - lower_quantile(1.0 - p);
    }
    lower_quantile(p)
}

/// For `p` up to one half, by halving in the logarithm of the value: it goes down to p^(1/0.6).
fn lower_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (-750.0, -std::f64::consts::LN_2);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if lower_share(libm::exp(middle)) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    libm::exp(f64::midpoint(low, high))
}

/// The share of the distribution below `x`, `x` up to one half, by the power series of the incomplete
/// beta function (Abramowitz and Stegun, 26.5.4 with b not whole): its terms fall at least as 2⁻ⁿ.
fn lower_share(x: f64) -> f64 {
    let mut coefficient = 1.0;
    let mut sum = 0.0;
    for n in 0..200 {
        let n = f64::from(n);
        let term = coefficient / (SHAPE + n);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
        coefficient *= (n + 1.0 - SHAPE) / (n + 1.0) * x;
    }
    let gamma = libm::tgamma(SHAPE);
    let complete = gamma * gamma / libm::tgamma(2.0 * SHAPE);
    libm::pow(x, SHAPE) * sum / complete
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_quantiles() {
        // scipy.stats.beta.ppf(p, 0.6, 0.6)
        for (p, expected) in [
            (0.0, 0.0),
            (1e-6, 1.8558824624053043e-10),
            (0.125, 0.05715636362241408),
            (0.25, 0.17568037865269498),
            (0.5, 0.5),
            (0.75, 0.824319621347305),
            (0.999, 0.9999814412614826),
            (1.0, 1.0),
        ] {
            let found = beta_quantile(p);
            assert!((found - expected).abs() <= 1e-12 * expected, "{p}: {found}");
        }
    }
}
