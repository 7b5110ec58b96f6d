//! Random numbers that are the same on every machine.
//!
//! A picture is named by its seed, so the noise behind a seed must not depend on the processor, the
//! number of threads, or the order in which parts of a latent are filled. A *counter-based* generator
//! gives that by construction: each block of four numbers is a pure function of (seed, draw, block
//! index), and there is no state to share. The generator is Philox4x32-10 (Salmon, Moraes, Dror and
//! Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011); the normal distribution comes from the
//! Box–Muller transform, computed in `f64` with `libm`, whose functions are plain Rust and therefore
//! round alike everywhere. `docs/numerics.md` has the layout to the bit, with test vectors.

/// Where a pipeline gets its noise from: the seeded generator, or a recording in tests.
pub trait NoiseSource {
    /// Fills `out` with independent standard normals. Each call is a fresh draw.
    fn fill(&mut self, out: &mut [f32]);
}

/// Standard normals from a 64-bit seed. Draw 0 is meant for the initial latents, the draws after it
/// for the steps of stochastic schedulers, in order.
///
/// ```
/// use easel::noise::{NoiseSource, PhiloxNoise};
/// let (mut first, mut again) = ([0.0; 6], [0.0; 6]);
/// PhiloxNoise::new(7).fill(&mut first);
/// PhiloxNoise::new(7).fill(&mut again);
/// assert_eq!(first, again);
/// ```
#[derive(Debug, Clone)]
pub struct PhiloxNoise {
    key: [u32; 2],
    draw: u64,
}

impl PhiloxNoise {
    /// A generator whose next draw is draw 0. All 64 bits of the seed count.
    pub fn new(seed: u64) -> Self {
        Self {
            key: split(seed),
            draw: 0,
        }
    }
}

impl NoiseSource for PhiloxNoise {
    fn fill(&mut self, out: &mut [f32]) {
        let draw = split(self.draw);
        for (block, four) in (0u64..).zip(out.chunks_mut(4)) {
            let block = split(block);
            let words = philox4x32_10([block[0], block[1], draw[0], draw[1]], self.key);
            let (a, b) = (
                box_muller(words[0], words[1]),
                box_muller(words[2], words[3]),
            );
            four.copy_from_slice(&[a.0, a.1, b.0, b.1][..four.len()]);
        }
        self.draw = self.draw.wrapping_add(1);
    }
}

/// The low and the high half.
fn split(value: u64) -> [u32; 2] {
    [value as u32, (value >> 32) as u32]
}

/// Ten rounds of Philox on a 128-bit counter with a 64-bit key (section 3.3 of the paper).
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let [low0, high0] = split(u64::from(counter[0]) * 0xD251_1F53);
        let [low1, high1] = split(u64::from(counter[2]) * 0xCD9E_8D57);
        counter = [
            high1 ^ counter[1] ^ key[0],
            low1,
            high0 ^ counter[3] ^ key[1],
            low0,
        ];
        // The Weyl constants: the golden ratio and √3 − 1, as 32-bit fractions.
        key = [
            key[0].wrapping_add(0x9E37_79B9),
            key[1].wrapping_add(0xBB67_AE85),
        ];
    }
    counter
}

/// Two words to two independent standard normals, |z| ≤ 6.77.
fn box_muller(radius: u32, angle: u32) -> (f32, f32) {
    // The half keeps the uniform inside (0, 1): no logarithm of zero, no bias towards either end.
    let unit = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
    let r = libm::sqrt(-2.0 * libm::log(unit(radius)));
    let theta = std::f64::consts::TAU * unit(angle);
    ((r * libm::cos(theta)) as f32, (r * libm::sin(theta)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors published with the authors' library Random123 (`tests/kat_vectors`).
    #[test]
    fn philox_known_answers() {
        let cases: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, expected) in cases {
            assert_eq!(philox4x32_10(counter, key), expected);
        }
    }

    fn draw(seed: u64, skip: usize, len: usize) -> Vec<f32> {
        let mut noise = PhiloxNoise::new(seed);
        (0..skip).for_each(|_| noise.fill(&mut []));
        let mut out = vec![0.0; len];
        noise.fill(&mut out);
        out
    }

    #[test]
    fn moments_of_a_standard_normal() {
        let n = 400_000;
        let z: Vec<f64> = draw(1, 0, n).into_iter().map(f64::from).collect();
        let moment = |power: i32| z.iter().map(|v| v.powi(power)).sum::<f64>() / n as f64;
        // Five standard errors of each sample moment: sqrt(E z^{2k} / n).
        for (power, expected, spread) in [
            (1, 0.0, 1.0),
            (2, 1.0, 3.0),
            (3, 0.0, 15.0),
            (4, 3.0, 105.0),
        ] {
            let bound = 5.0 * f64::sqrt(spread / n as f64);
            let found = moment(power);
            assert!(
                (found - expected).abs() < bound,
                "moment {power}: {found} is not {expected} ± {bound}"
            );
        }
        for lag in [1, 2, 3, 4, 64] {
            let correlation: f64 = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum();
            assert!(
                correlation.abs() / (n as f64) < 5.0 / f64::sqrt(n as f64),
                "lag {lag}"
            );
        }
        // Tails exist: about 4.3 in 10 000 lie beyond 3.5 (both sides 4.65e-4).
        let beyond = z.iter().filter(|v| v.abs() > 3.5).count();
        assert!((120..260).contains(&beyond), "{beyond} beyond 3.5");
    }

    #[test]
    fn a_value_depends_on_seed_draw_and_position_only() {
        let long = draw(5, 2, 1000);
        assert_eq!(
            draw(5, 2, 37),
            long[..37],
            "the length of a draw changes nothing"
        );
        assert_ne!(draw(5, 3, 37), long[..37], "draws differ");
        for bit in [0, 31, 32, 63] {
            assert_ne!(
                draw(5 ^ (1 << bit), 2, 37),
                long[..37],
                "seed bit {bit} counts"
            );
        }
    }

    #[test]
    fn extreme_words_are_finite() {
        for radius in [0, 1, u32::MAX] {
            for angle in [0, 1 << 30, 1 << 31, u32::MAX] {
                let (a, b) = box_muller(radius, angle);
                assert!(a.is_finite() && b.is_finite() && a.abs().max(b.abs()) < 6.77);
            }
        }
    }
}
