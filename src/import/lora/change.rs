//! What a LoRA adds to a weight.
//!
//! ```text
//! LoRA                  scale · alpha / rank · up[out, rank] · down[rank, in·h·w]
//! of a convolution that is decomposed: down is Σ mid[rank, r, h, w] · down[r, in]
//! LoHa                  scale · alpha / rank · (w1_a · w1_b) ∘ (w2_a · w2_b)
//! ```
//!
//! Matrices are read when they are needed: a file may have hundreds of them, and a board little memory.

use std::ops::Range;

use super::super::error::{ImportError, shown};
use super::super::safetensors::Tensor;
use super::super::weights::{Change, Weight};
use super::LARGEST_ALPHA;

/// The tensors of a layer.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) alpha: Option<Tensor>,
    pub(super) down: Option<Tensor>,
    pub(super) mid: Option<Tensor>,
    pub(super) up: Option<Tensor>,
    pub(super) hadamard: [Option<Tensor>; 4],
}

/// A change of a weight with `length` numbers a row.
pub(super) struct Added {
    factor: f32,
    length: usize,
    kind: Kind,
}

enum Kind {
    Product(Product),
    Hadamard([Product; 2]),
}

/// A product of two matrices.
struct Product {
    rank: usize,
    /// `[out, rank]`.
    up: Tensor,
    down: Down,
}

enum Down {
    /// `[rank, length]`.
    Whole(Tensor),
    /// `[rank, rank, height, width]` and `[rank, in]`.
    Decomposed { mid: Tensor, down: Tensor },
}

impl Parts {
    /// The change that the tensors are, of a weight. Without an alpha it is `stated`, or the rank.
    pub(super) fn change(
        self,
        weight: &Weight,
        stated: Option<f32>,
        scale: f32,
    ) -> Result<Added, String> {
        let (rows, length) = weight.rows();
        let product = |up: Tensor, down: Tensor, mid: Option<Tensor>| {
            let fits = Product::of(up, down, mid, rows, length);
            fits.map_err(|shapes| {
                let shape = shown(weight.shape());
                format!("{shapes} do not fit a weight of {shape}: take one that was made for this kind of model")
            })
        };
        let kind = match (self.up, self.down, self.mid, self.hadamard) {
            (Some(up), Some(down), mid, [None, None, None, None]) => {
                Kind::Product(product(up, down, mid)?)
            }
            (None, None, None, [Some(up), Some(down), Some(other_up), Some(other_down)]) => {
                Kind::Hadamard([
                    product(up, down, None)?,
                    product(other_up, other_down, None)?,
                ])
            }
            _ => return Err("lacks one of its matrices".into()),
        };
        let rank = match &kind {
            Kind::Product(product) | Kind::Hadamard([product, _]) => product.rank as f32,
        };
        let alpha = match self.alpha {
            Some(alpha) => number(&alpha)?,
            None => stated.unwrap_or(rank),
        };
        Ok(Added {
            factor: scale * alpha / rank,
            length,
            kind,
        })
    }
}

/// The one number that a tensor is.
fn number(tensor: &Tensor) -> Result<f32, String> {
    let mut values = Vec::new();
    if tensor.shape().iter().product::<usize>() == 1 {
        let read = tensor.read(0, 1, &mut values);
        read.map_err(|error| error.to_string())?;
    }
    match values[..] {
        [alpha] if alpha.abs() <= LARGEST_ALPHA => Ok(alpha),
        _ => Err("its alpha is no number that can be".into()),
    }
}

impl Product {
    /// If the shapes fit a weight; or else the shapes.
    fn of(
        up: Tensor,
        down: Tensor,
        mid: Option<Tensor>,
        rows: usize,
        length: usize,
    ) -> Result<Self, String> {
        let all: Vec<_> = [Some(&down), mid.as_ref(), Some(&up)]
            .into_iter()
            .flatten()
            .map(|tensor| shown(tensor.shape()))
            .collect();
        let misfit = || all.join(" and ");
        let (&[up_rows, rank, ..], &[down_rank, ..]) = (up.shape(), down.shape()) else {
            return Err(misfit());
        };
        let numbers = |tensor: &Tensor| tensor.shape().iter().product::<usize>();
        let mut fits = rank > 0
            && up_rows == rows
            && Some(numbers(&up)) == rows.checked_mul(rank)
            && down_rank == rank;
        let down = match mid {
            None => {
                fits &= Some(numbers(&down)) == rank.checked_mul(length);
                Down::Whole(down)
            }
            Some(mid) => {
                let kernel = match *mid.shape() {
                    [one, other, height, width] if one == rank && other == rank => height * width,
                    _ => 0,
                };
                fits &= kernel > 0
                    && Some(numbers(&down)) == (length / kernel.max(1)).checked_mul(rank);
                fits &= kernel > 0 && length.is_multiple_of(kernel);
                Down::Decomposed { mid, down }
            }
        };
        if fits {
            Ok(Self { rank, up, down })
        } else {
            Err(misfit())
        }
    }

    /// Some rows of it, `[rows, length]`, are added to `out`, so many times.
    fn add(
        &self,
        rows: &Range<usize>,
        length: usize,
        factor: f32,
        out: &mut [f32],
    ) -> Result<(), ImportError> {
        let rank = self.rank;
        let (mut up, mut down) = (Vec::new(), Vec::new());
        self.up
            .read(rows.start * rank, rows.len() * rank, &mut up)?;
        self.down.read(rank, length, &mut down)?;
        for (out, up) in out.chunks_exact_mut(length).zip(up.chunks_exact(rank)) {
            for (up, down) in up.iter().zip(down.chunks_exact(length)) {
                add_scaled(out, factor * up, down);
            }
        }
        Ok(())
    }
}

impl Down {
    /// Puts `[rank, length]` into `out`, which is empty.
    fn read(&self, rank: usize, length: usize, out: &mut Vec<f32>) -> Result<(), ImportError> {
        let (mid, down) = match self {
            Self::Whole(down) => return down.read(0, rank * length, out),
            Self::Decomposed { mid, down } => (mid, down),
        };
        let kernel: usize = mid.shape().iter().skip(2).product();
        let channels = length / kernel;
        let (mut middle, mut inner) = (Vec::new(), Vec::new());
        mid.read(0, rank * rank * kernel, &mut middle)?;
        down.read(0, rank * channels, &mut inner)?;
        out.resize(rank * length, 0.0);
        for (out, middle) in out
            .chunks_exact_mut(length)
            .zip(middle.chunks_exact(rank * kernel))
        {
            for (middle, inner) in middle
                .chunks_exact(kernel)
                .zip(inner.chunks_exact(channels))
            {
                for (out, inner) in out.chunks_exact_mut(kernel).zip(inner) {
                    add_scaled(out, *inner, middle);
                }
            }
        }
        Ok(())
    }
}

/// Adds a multiple of a row to another.
fn add_scaled(out: &mut [f32], factor: f32, row: &[f32]) {
    for (out, value) in out.iter_mut().zip(row) {
        *out += factor * value;
    }
}

impl Change for Added {
    fn add(&self, rows: Range<usize>, values: &mut [f32]) -> Result<(), ImportError> {
        if self.length == 0 {
            return Ok(());
        }
        match &self.kind {
            Kind::Product(product) => product.add(&rows, self.length, self.factor, values),
            Kind::Hadamard([one, other]) => {
                let mut left = vec![0.0; values.len()];
                let mut right = vec![0.0; values.len()];
                one.add(&rows, self.length, self.factor, &mut left)?;
                other.add(&rows, self.length, 1.0, &mut right)?;
                for ((value, left), right) in values.iter_mut().zip(left).zip(right) {
                    *value += left * right;
                }
                Ok(())
            }
        }
    }
}
