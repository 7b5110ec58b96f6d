//! `EaselConcat`: values side by side along an axis: skip connections meet images of channels last, and text meets a picture's tokens
//! before attention.

use tract_core::internal::*;
use tract_onnx::pb::NodeProto;

use super::{Engine, Operator, floats, output};

/// Numbers that are copied by one thread: enough to be worth it.
const PIECE: usize = 1 << 15;

#[derive(Debug, Clone, PartialEq)]
pub(in crate::runtime) struct Concat {
    /// Axes behind the one along which values lie side by side: 0 for the last.
    pub(in crate::runtime) behind: usize,
}

impl Concat {
    fn axis(&self, rank: usize) -> TractResult<usize> {
        let axis = rank.checked_sub(1 + self.behind);
        axis.context("there is no such axis to join along")
    }
}

impl Operator for Concat {
    const NAME: &'static str = "EaselConcat";

    /// As passes write it: along the last axis.
    fn parse(_node: &NodeProto) -> TractResult<Self> {
        Ok(Self { behind: 0 })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let mut shape = inputs[0].to_vec();
        let axis = self.axis(shape.len())?;
        let fits = |input: &&[usize]| {
            let same = |at: usize| at == axis || input[at] == shape[at];
            input.len() == shape.len() && (0..shape.len()).all(same)
        };
        if !inputs.iter().all(fits) {
            bail!("{inputs:?} do not fit side by side");
        }
        shape[axis] = inputs.iter().map(|input| input[axis]).sum();
        Ok(shape)
    }

    fn run(&self, engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let shape = self.output_shape(&shapes)?;
        let axis = self.axis(shape.len())?;
        // Of each input what lies together, again and again.
        let parts: Vec<(usize, &[f32])> = inputs
            .iter()
            .zip(&shapes)
            .map(|(input, shape)| Ok((shape[axis..].iter().product(), floats(input)?)))
            .collect::<TractResult<_>>()?;
        output(&shape, |out| {
            engine
                .threads
                .chunks(out, PIECE, |number, out| copy(&parts, number * PIECE, out));
            Ok(())
        })
    }
}

/// Fills `out`, which begins at number `first` of all that lies side by side, in turns so much of each part.
fn copy(parts: &[(usize, &[f32])], first: usize, mut out: &mut [f32]) {
    let whole: usize = parts.iter().map(|(length, _)| length).sum();
    let (mut turn, mut skip) = (first / whole.max(1), first % whole.max(1));
    while !out.is_empty() {
        for (length, values) in parts {
            let begin = skip.min(*length);
            skip -= begin;
            let count = (length - begin).min(out.len());
            let (now, later) = out.split_at_mut(count);
            now.copy_from_slice(&values[turn * length + begin..][..count]);
            out = later;
        }
        turn += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `outer` turns: each number of the whole by itself, from wherever it lies.
    fn plain(parts: &[(usize, &[f32])], outer: usize) -> Vec<f32> {
        let mut all = Vec::new();
        for turn in 0..outer {
            for (length, values) in parts {
                for at in 0..*length {
                    all.push(values[turn * length + at]);
                }
            }
        }
        all
    }

    #[test]
    fn pieces_from_anywhere_are_what_lies_there() {
        let outer = 4;
        let lengths = [3, 0, 7, 1];
        let values: Vec<Vec<f32>> = lengths
            .iter()
            .enumerate()
            .map(|(part, length)| {
                let numbers = 0..outer * length;
                numbers.map(|at| (100 * part + at) as f32).collect()
            })
            .collect();
        let parts: Vec<(usize, &[f32])> = lengths
            .iter()
            .zip(&values)
            .map(|(length, values)| (*length, &values[..]))
            .collect();
        let wanted = plain(&parts, outer);
        for first in 0..wanted.len() {
            for length in 0..=wanted.len() - first {
                let mut out = vec![-1.0; length];
                copy(&parts, first, &mut out);
                assert_eq!(out, wanted[first..][..length], "{first}, {length}");
            }
        }
    }

    #[test]
    fn shapes_meet_along_one_axis() {
        let shape = |behind, inputs: &[&[usize]]| Concat { behind }.output_shape(inputs).ok();
        assert_eq!(shape(0, &[&[2, 3], &[2, 4]]), Some(vec![2, 7]));
        assert_eq!(shape(1, &[&[2, 3], &[5, 3]]), Some(vec![7, 3]));
        assert_eq!(shape(1, &[&[2, 3], &[2, 4]]), None);
        assert_eq!(shape(2, &[&[2, 3], &[2, 3]]), None);
        assert_eq!(shape(0, &[&[2, 3], &[2, 3, 1]]), None);
    }
}
