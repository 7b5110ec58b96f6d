//! The weights of a network by the names that diffusers and transformers give them, wherever they come from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::error::{ImportError, quoted, shown};
use super::safetensors::Tensor;

/// The weights of one network: name in diffusers or transformers ("down_blocks.0.resnets.0.conv1.weight") → weight.
pub(crate) type Weights = BTreeMap<String, Weight>;

/// A weight as its network has it, output channels first: `[out, in]` of a linear layer, `[out, in, height, width]` of a
/// convolution. Its numbers are read by rows, one row an output channel, so that the largest need not be in memory.
#[derive(Clone)]
pub(crate) struct Weight {
    stored: Tensor,
    shape: Vec<usize>,
    /// Rows of the stored tensor before its own: checkpoints keep some layers in one.
    first_row: usize,
    /// Stored as `[in, out]`.
    transposed: bool,
    changes: Vec<Arc<dyn Change>>,
}

/// What is added to a weight before it is stored: a LoRA.
pub(crate) trait Change: Send + Sync {
    /// Adds to `rows` of the weight, whose numbers are `values`: so many rows of `values.len() / rows.len()` numbers.
    fn add(&self, rows: Range<usize>, values: &mut [f32]) -> Result<(), ImportError>;
}

impl Weight {
    /// A weight that is stored as the network has it.
    pub(crate) fn new(stored: Tensor) -> Self {
        Self {
            shape: stored.shape().to_vec(),
            stored,
            first_row: 0,
            transposed: false,
            changes: Vec::new(),
        }
    }

    /// So many of its rows, from one on.
    pub(crate) fn part(mut self, rows: Range<usize>) -> Result<Self, ImportError> {
        if self.transposed || self.shape.first().is_none_or(|all| rows.end > *all) {
            return Err(self.problem("has fewer rows than its parts need"));
        }
        self.first_row += rows.start;
        self.shape[0] = rows.len();
        Ok(self)
    }

    /// A matrix with its axes exchanged.
    pub(crate) fn transposed(mut self) -> Result<Self, ImportError> {
        if self.shape.len() != 2 || self.first_row != 0 {
            return Err(self.problem("is no matrix"));
        }
        self.shape.reverse();
        self.transposed = !self.transposed;
        Ok(self)
    }

    /// The same numbers in another shape, whose rows are the same: a convolution of one pixel is a linear layer.
    pub(crate) fn shaped(mut self, shape: &[usize]) -> Result<Self, ImportError> {
        let same = shape.iter().product::<usize>() == self.len();
        if self.transposed || !same || shape.first() != self.shape.first() {
            let wanted = shown(shape);
            return Err(self.problem(&format!("should be {wanted}")));
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// The same numbers as so many rows of a length, whatever its shape says.
    pub(crate) fn rows_of(mut self, rows: usize, length: usize) -> Self {
        debug_assert_eq!(rows * length, self.len());
        self.shape = vec![rows, length];
        self
    }

    /// Adds to what it is when it is read.
    pub(crate) fn change(&mut self, change: Arc<dyn Change>) {
        self.changes.push(change);
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many numbers it has.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Rows, one an output channel, and the numbers of each. A single number is a row.
    pub(crate) fn rows(&self) -> (usize, usize) {
        let rows = self.shape.first().copied().unwrap_or(1);
        (rows, self.shape.iter().skip(1).product())
    }

    /// Reads `rows` into `out`, which is emptied before.
    pub(crate) fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<(), ImportError> {
        out.clear();
        let (all, length) = self.rows();
        if self.transposed {
            self.read_transposed(&rows, all, out)?;
        } else {
            let first = (self.first_row + rows.start) * length;
            self.stored.read(first, rows.len() * length, out)?;
        }
        for change in &self.changes {
            change.add(rows.clone(), out)?;
        }
        Ok(())
    }

    /// One stored row is one column: each is read whole, and a part of it taken. Such weights are small.
    fn read_transposed(
        &self,
        rows: &Range<usize>,
        all: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), ImportError> {
        let columns = self.shape[1];
        out.resize(rows.len() * columns, 0.0);
        let mut stored = Vec::new();
        for column in 0..columns {
            stored.clear();
            self.stored
                .read(column * all + rows.start, rows.len(), &mut stored)?;
            for (row, value) in stored.iter().enumerate() {
                out[row * columns + column] = *value;
            }
        }
        Ok(())
    }

    fn problem(&self, problem: &str) -> ImportError {
        let is = shown(&self.shape);
        ImportError::bad(
            self.stored.path(),
            format_args!("a weight of {is} {problem}"),
        )
    }
}

/// Adds all of a file's tensors to `weights` under their own names.
///
/// # Errors
/// A name that is there already.
pub(crate) fn take_all(
    weights: &mut Weights,
    file: &super::safetensors::SafeTensors,
) -> Result<(), ImportError> {
    for name in file.names() {
        let Some(tensor) = file.get(name) else {
            continue;
        };
        let path = tensor.path().to_owned();
        if weights
            .insert(name.to_owned(), Weight::new(tensor))
            .is_some()
        {
            let name = quoted(name);
            return Err(ImportError::bad(
                &path,
                format_args!("{name} is in another file, too"),
            ));
        }
    }
    Ok(())
}
