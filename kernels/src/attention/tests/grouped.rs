//! Heads that pass in groups, as their packed keys and values would together be large.

use super::*;

/// Heads whose packed keys and values do not fit together: not as int8 and bfloat16 either.
fn large() -> Case {
    let mut case = Case::new(Shape {
        batch: 2,
        heads: 17,
        ..shape(19, 1100, 40, 44)
    });
    case.head_major = true;
    case
}

#[test]
fn a_group_of_heads_gives_the_bits_of_each_alone() {
    let case = large();
    for precision in [Precision::Float, Precision::Low] {
        let together = case.runs(&threads(2), &case.attention(precision, None));
        for sequence in 0..2 * 17 {
            let part = |data: &[f32]| {
                data.chunks(data.len() / (2 * 17))
                    .nth(sequence)
                    .map(<[f32]>::to_vec)
            };
            let alone = Case {
                shape: Shape {
                    batch: 1,
                    heads: 1,
                    ..case.shape
                },
                head_major: true,
                q: part(&case.q).expect("a head"),
                k: part(&case.k).expect("a head"),
                v: part(&case.v).expect("a head"),
                relative: None,
            };
            let attention = alone.attention(precision, None);
            let alone = alone.runs(&Threads::single(), &attention);
            for ((kernels, together), (_, alone)) in together.iter().zip(&alone) {
                assert_eq!(
                    part(together).as_ref(),
                    Some(alone),
                    "{kernels}: head {sequence}"
                );
            }
        }
    }
}

#[test]
fn what_is_packed_is_bounded() {
    let sizes = [1, 63, 64, 65, 77, 1000, 4096, 20_000];
    for (heads, keys) in [1, 3, 40]
        .into_iter()
        .flat_map(|heads| sizes.map(|keys| (heads, keys)))
    {
        for features in [1, 8, 40, 160, 512] {
            let shape = Shape {
                heads,
                ..shape(5, keys, features, features + 1)
            };
            let plans = [
                Plan::new::<Plain, 2, 16>(&shape),
                Plan::new::<Plain, 4, 16>(&shape),
                Plan::new::<Plain, 8, 16>(&shape),
            ];
            for plan in plans {
                let each = plan.blocks * plan.block_units();
                let bytes = together(each, heads) * each * size_of::<f32>();
                assert!(bytes <= shape.most_packed(), "{shape:?}: {bytes}");
                assert!(bytes <= PACKED.max(each * size_of::<f32>()));
            }
        }
    }
    // Stable Diffusion's 64 × 64 tokens: groups of about the same size.
    assert_eq!(together(1 << 18, 16), 4);
    assert_eq!(together(3 << 17, 10), 2);
}
