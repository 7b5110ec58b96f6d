//! The few NumPy and PyTorch functions whose rounding shapes a schedule, in their order of operations.

/// `np.linspace(start, stop, count)`.
pub(super) fn linspace(start: f64, stop: f64, count: usize) -> Vec<f64> {
    let step = (stop - start) / (count.max(2) - 1) as f64;
    let mut values: Vec<f64> = (0..count).map(|i| i as f64 * step + start).collect();
    if let [.., last] = &mut values[1.min(count)..] {
        *last = stop;
    }
    values
}

/// `torch.linspace(start, stop, count)` in `f32`: counted from the nearer end.
pub(super) fn linspace_f32(start: f32, stop: f32, count: usize) -> Vec<f32> {
    if count == 1 {
        return vec![start];
    }
    let step = (stop - start) / (count - 1) as f32;
    (0..count)
        .map(|i| {
            if i < count / 2 {
                start + step * i as f32
            } else {
                stop - step * (count - i - 1) as f32
            }
        })
        .collect()
}

/// `np.arange(start, 0, -step)`, at most `most` values.
pub(super) fn arange_down(start: f64, step: f64, most: usize) -> Vec<f64> {
    // NumPy computes the second value, and continues with the difference that came out.
    let delta = (start - step) - start;
    (0..most)
        .map(|i| start + i as f64 * delta)
        .take_while(|value| *value > 0.0)
        .collect()
}

/// `np.interp(x, range(len(values)), values)`.
pub(super) fn interp(x: f64, values: &[f32]) -> f64 {
    let last = values.len() - 1;
    if x >= last as f64 {
        return f64::from(values[last]);
    }
    let low = x.max(0.0).floor();
    let (a, b) = (
        f64::from(values[low as usize]),
        f64::from(values[low as usize + 1]),
    );
    (b - a) * (x.max(0.0) - low) + a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact() {
        assert_eq!(linspace(0.0, 999.0, 1), [0.0]);
        assert_eq!(linspace(0.0, 999.0, 2), [0.0, 999.0]);
        assert_eq!(linspace(1.0, 0.3, 7)[6], 0.3);
        assert!(linspace(0.0, 1.0, 0).is_empty());
        assert_eq!(linspace_f32(0.1, 0.7, 1), [0.1]);
        assert_eq!(linspace_f32(0.1, 0.7, 5)[4], 0.7);
    }

    #[test]
    fn arange_has_no_stray_last_value() {
        // NumPy returns 62 values here, the last one 2e-13: the step rounds down.
        assert_eq!(arange_down(1000.0, 1000.0 / 61.0, 61).len(), 61);
        assert_eq!(arange_down(10.0, 4.0, 9), [10.0, 6.0, 2.0]);
    }

    #[test]
    fn interp_clamps() {
        let values = [1.0, 2.0, 4.0];
        for (x, y) in [(-1.0, 1.0), (0.5, 1.5), (1.25, 2.5), (2.0, 4.0), (9.0, 4.0)] {
            assert_eq!(interp(x, &values), y);
        }
    }
}
