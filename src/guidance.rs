//! Classifier-free guidance.

/// `prediction ← unguided + scale · (prediction − unguided)` (Ho & Salimans 2022, equation 6), then, with
/// `rescale` above 0, pulled towards the standard deviation it had (Lin et al., arXiv 2305.08891, equations 15–16).
pub(crate) fn apply(prediction: &mut [f32], unguided: &[f32], scale: f32, rescale: f32) {
    let before = (rescale > 0.0).then(|| deviation(prediction));
    for (guided, unguided) in prediction.iter_mut().zip(unguided) {
        *guided = unguided + scale * (*guided - unguided);
    }
    if let Some(before) = before {
        let after = deviation(prediction);
        if after > 0.0 {
            let factor = (f64::from(rescale) * before / after + 1.0 - f64::from(rescale)) as f32;
            prediction.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

/// For a model that is told a picture and a text: `prediction ← nothing + scale · (prediction − picture) + image_scale · (picture −
/// nothing)` (Brooks et al., arXiv 2211.09800, equation 3).
pub(crate) fn apply_both(
    prediction: &mut [f32],
    picture: &[f32],
    nothing: &[f32],
    scale: f32,
    image_scale: f32,
) {
    let others = picture.iter().zip(nothing);
    for (guided, (picture, nothing)) in prediction.iter_mut().zip(others) {
        *guided = nothing + scale * (*guided - picture) + image_scale * (picture - nothing);
    }
}

/// Sample standard deviation, as torch's `std`.
fn deviation(values: &[f32]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let squares = values.iter().map(|v| (f64::from(*v) - mean).powi(2));
    (squares.sum::<f64>() / (count - 1.0).max(1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_rescale_restores_the_deviation_and_none_leaves_the_formula() {
        let (conditional, unguided) = ([1.0, -2.0, 0.5, 3.0], [0.5, 0.0, -1.0, 1.0]);
        let mut plain = conditional;
        apply(&mut plain, &unguided, 2.0, 0.0);
        assert_eq!(plain, [1.5, -4.0, 2.0, 5.0]);
        let mut rescaled = conditional;
        apply(&mut rescaled, &unguided, 2.0, 1.0);
        assert!((deviation(&rescaled) - deviation(&conditional)).abs() < 1e-6);
    }
}
