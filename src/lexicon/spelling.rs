//! How far two words are from each other.

/// How many letters may be wrong in a word of so many: with more, every short word would be some other.
pub(super) fn allowed(letters: usize) -> usize {
    match letters {
        0..4 => 0,
        4..7 => 1,
        _ => 2,
    }
}

/// Letters left out, put in, exchanged or swapped with their neighbour, between two words (optimal string alignment: Boytsov 2011,
/// "Indexing methods for approximate dictionary searching", section 2.2); `None` when they are more than `most`.
pub(super) fn distance(a: &[char], b: &[char], most: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(last.len());
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let exchanged = last[j] + usize::from(x != y);
            let mut least = exchanged.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        if row.iter().min().is_some_and(|least| *least > most) {
            return None;
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn between(a: &str, b: &str, most: usize) -> Option<usize> {
        let letters = |text: &str| text.chars().collect::<Vec<_>>();
        distance(&letters(a), &letters(b), most)
    }

    /// By its definition, without a table.
    fn naive(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([.., x], [.., y]) => {
                let (a1, b1) = (&a[..a.len() - 1], &b[..b.len() - 1]);
                let mut least = naive(a1, b1) + usize::from(x != y);
                least = least.min(naive(a1, b) + 1).min(naive(a, b1) + 1);
                if let ([.., u, _], [.., v, _]) = (a, b)
                    && u == y
                    && x == v
                {
                    let shorter = naive(&a[..a.len() - 2], &b[..b.len() - 2]);
                    least = least.min(shorter + 1);
                }
                least
            }
        }
    }

    #[test]
    fn slips_of_the_fingers_are_one_letter() {
        for (typed, meant) in [
            ("elefant", "elephant"),
            ("gutiar", "guitar"),
            ("bananna", "banana"),
        ] {
            let most = allowed(typed.len());
            assert!(between(typed, meant, most).is_some(), "{typed}");
        }
        assert_eq!(between("gutiar", "guitar", 2), Some(1));
        assert_eq!(between("cat", "cat", 0), Some(0));
        assert_eq!(between("hat", "cat", allowed(3)), None);
    }

    proptest! {
        #[test]
        fn it_is_as_defined(a in "[abc]{0,6}", b in "[abc]{0,6}", most in 0_usize..7) {
            let letters = |text: &str| text.chars().collect::<Vec<_>>();
            let wanted = Some(naive(&letters(&a), &letters(&b))).filter(|d| *d <= most);
            prop_assert_eq!(between(&a, &b, most), wanted);
        }
    }
}
