//! Chance that can be repeated: what is drawn depends on a seed and on how many were drawn before, so a restart goes on.

/// `SplitMix64` (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014): small, and good enough to
/// choose pictures.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// For draw `turn` of those that `seed` makes.
    pub(super) fn at(seed: u64, turn: u64) -> Self {
        Self(Self(Self(seed).next() ^ turn).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0. The bias of the product is at most `limit` in 2⁶⁴.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(limit.max(1));
        u64::try_from(product >> 64).unwrap_or_default()
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are exact in f64.
        ((self.next() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }
}

/// Number `turn` of endless rounds in which each of `len` comes once, in an order that is new in each round. Never the same
/// twice in a row, unless there is only one.
pub(super) fn shuffled(seed: u64, len: usize, turn: u64) -> usize {
    let rounds = len.max(1) as u64;
    let place = usize::try_from(turn % rounds).unwrap_or_default();
    match len {
        0 | 1 => 0,
        // Two can only take turns.
        2 => place ^ usize::from(Chance::at(seed, 0).chance(0.5)),
        _ => round(seed, len, turn / rounds)[place],
    }
}

/// One round of three or more.
fn round(seed: u64, len: usize, number: u64) -> Vec<usize> {
    let mut order = fisher_yates(seed, len, number);
    // The exchange leaves the last one in place, so the round before needs no look at the one before it.
    let last_before = number
        .checked_sub(1)
        .and_then(|before| fisher_yates(seed, len, before).last().copied());
    if last_before == order.first().copied() {
        order.swap(0, 1);
    }
    order
}

fn fisher_yates(seed: u64, len: usize, number: u64) -> Vec<usize> {
    let mut rng = Chance::at(seed, number);
    let mut order: Vec<usize> = (0..len).collect();
    for place in (1..len).rev() {
        order.swap(place, rng.index(place + 1));
    }
    order
}

/// One of these weights, by weight; not `last`, unless nothing else weighs anything.
pub(super) fn weighted(rng: &mut Chance, weights: &[u32], last: Option<usize>) -> usize {
    let weigh = |but: Option<usize>| {
        let each = weights.iter().enumerate();
        let each = each.map(move |(i, &weight)| if Some(i) == but { 0 } else { u64::from(weight) });
        each.collect::<Vec<u64>>()
    };
    let mut weights = weigh(last);
    if weights.iter().sum::<u64>() == 0 {
        weights = weigh(None);
    }
    let mut left = rng.below(weights.iter().sum());
    for (i, &weight) in weights.iter().enumerate() {
        if left < weight {
            return i;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The first outputs for seed 1234567 that are published with the generator's reference code.
        let mut rng = Chance::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| rng.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn weights_are_kept() {
        let mut counts = [0_u32; 4];
        for turn in 0..10_000 {
            counts[weighted(&mut Chance::at(7, turn), &[1, 0, 3, 6], None)] += 1;
        }
        // Four standard deviations of a binomial distribution.
        for (count, expected) in counts.iter().zip([1000.0, 0.0, 3000.0, 6000.0_f64]) {
            let deviation = (expected * (1.0 - expected / 10_000.0)).sqrt();
            assert!(
                (f64::from(*count) - expected).abs() <= 4.0 * deviation,
                "{counts:?}"
            );
        }
        assert_eq!(weighted(&mut Chance::new(1), &[0, 5], Some(1)), 1);
        let certain = (0..100)
            .filter(|&turn| Chance::at(3, turn).chance(0.0) || !Chance::at(3, turn).chance(1.0));
        assert_eq!(certain.count(), 0);
    }

    proptest! {
        #[test]
        fn each_comes_once_a_round_and_never_twice_in_a_row(seed: u64, len in 1_usize..40, first in 0_u64..1000) {
            let rounds = len as u64;
            let start = first * rounds;
            let drawn: Vec<usize> = (start..start + 3 * rounds).map(|turn| shuffled(seed, len, turn)).collect();
            for round in drawn.chunks(len) {
                let mut round = round.to_vec();
                round.sort_unstable();
                prop_assert!(round.iter().copied().eq(0..len));
            }
            prop_assert!(len == 1 || drawn.windows(2).all(|two| two[0] != two[1]), "{:?}", drawn);
        }

        #[test]
        fn weighted_draws_never_repeat_and_never_take_what_weighs_nothing(
            seed: u64, weights in prop::collection::vec(0_u32..4, 1..10), last in 0_usize..10,
        ) {
            let drawn = weighted(&mut Chance::new(seed), &weights, Some(last));
            prop_assert!(drawn < weights.len());
            let others = weights.iter().enumerate().any(|(i, &weight)| i != last && weight > 0);
            prop_assert!(!others || drawn != last && weights[drawn] > 0);
        }
    }
}
