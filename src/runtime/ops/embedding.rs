//! `EaselEmbedding`: rows of a table that stays in its file.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tract_core::internal::*;
use tract_onnx::pb::{NodeProto, tensor_proto::DataType};

use super::{Engine, Operator, output};
use crate::files::open_file;
use crate::weights::{bfloats_to_f32, halves_to_f32, to_f32, unreadable};

/// Inputs: ids of any integer type and shape; for int8 tables the scales, and perhaps the zero points, one for all or one for
/// each row or column. Output: f32, the shape of the ids and the width of the table.
#[derive(Debug, Clone)]
pub(super) struct Embedding {
    file: PathBuf,
    offset: u64,
    rows: usize,
    width: usize,
    element: DataType,
    /// Whether scales are a row's, else a column's.
    along_rows: bool,
    open: Arc<OnceLock<File>>,
}

impl PartialEq for Embedding {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, self.offset, self.rows, self.width, self.element)
            == (
                &other.file,
                other.offset,
                other.rows,
                other.width,
                other.element,
            )
    }
}

impl Embedding {
    /// The table, which is opened when it is first needed, and stays the same file then, whatever takes its name.
    fn table(&self) -> TractResult<&File> {
        if let Some(file) = self.open.get() {
            return Ok(file);
        }
        let file = open_file(&self.file)
            .map_err(|error| format_err!("{}", unreadable(&self.file, &error)))?;
        Ok(self.open.get_or_init(|| file))
    }

    /// The bytes of a row.
    fn row(&self, row: usize, bytes: &mut [u8]) -> TractResult<()> {
        let at = self.offset + (row * bytes.len()) as u64;
        let read = self.table()?.read_exact_at(bytes, at);
        read.map_err(|error| format_err!("{}", unreadable(&self.file, &error)))
    }

    fn element_bytes(&self) -> usize {
        match self.element {
            DataType::Float => 4,
            DataType::Float16 | DataType::Bfloat16 => 2,
            _ => 1,
        }
    }
}

impl Operator for Embedding {
    const NAME: &'static str = "EaselEmbedding";

    fn parse(node: &NodeProto) -> TractResult<Self> {
        let file: String = node.get_attr("file")?;
        let element: i32 = node.get_attr("element")?;
        let element = DataType::try_from(element).context("a table of unknown elements")?;
        if !matches!(
            element,
            DataType::Float
                | DataType::Float16
                | DataType::Bfloat16
                | DataType::Int8
                | DataType::Uint8
        ) {
            bail!("a table of {element:?}");
        }
        let offset: i64 = node.get_attr("offset")?;
        Ok(Self {
            file: Path::new(&file).to_owned(),
            offset: offset.try_into()?,
            rows: node.get_attr("rows")?,
            width: node.get_attr("width")?,
            element,
            along_rows: node.get_attr::<i64>("along_rows")? != 0,
            open: Arc::default(),
        })
    }

    fn output_shape(&self, inputs: &[&[usize]]) -> TractResult<Vec<usize>> {
        let mut shape = inputs[0].to_vec();
        shape.push(self.width);
        Ok(shape)
    }

    fn run(&self, _engine: &Engine, inputs: &mut [TValue]) -> TractResult<Tensor> {
        let shape = self.output_shape(&[inputs[0].shape()])?;
        let ids = inputs[0].cast_to::<i64>()?;
        let ids = ids.try_as_plain_ram()?.as_slice::<i64>()?;
        let numbers = |tensor: &TValue| -> TractResult<Vec<f32>> {
            let tensor = tensor.cast_to::<f32>()?;
            Ok(tensor.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
        };
        let scales = inputs.get(1).map(numbers).transpose()?;
        let zeros = inputs.get(2).map(numbers).transpose()?;
        // One for all, one for the row, or those of the columns.
        let of = |values: &[f32], row: usize, column: usize| match values {
            [value] => *value,
            _ if self.along_rows => values[row],
            _ => values[column],
        };
        let mut bytes = vec![0; self.width * self.element_bytes()];
        output(&shape, |out| {
            for (id, out) in ids.iter().zip(out.chunks_exact_mut(self.width)) {
                let wrapped = if *id < 0 { id + self.rows as i64 } else { *id };
                let row = usize::try_from(wrapped).ok().filter(|row| *row < self.rows);
                let row = row.with_context(|| format!("token {id} of a table of {}", self.rows))?;
                self.row(row, &mut bytes)?;
                match self.element {
                    DataType::Float => out.copy_from_slice(&to_f32(&bytes)),
                    DataType::Float16 => out.copy_from_slice(&halves_to_f32(&bytes)),
                    DataType::Bfloat16 => out.copy_from_slice(&bfloats_to_f32(&bytes)),
                    kind => {
                        for (column, (out, byte)) in out.iter_mut().zip(&bytes).enumerate() {
                            let value = if kind == DataType::Int8 {
                                f32::from(byte.cast_signed())
                            } else {
                                f32::from(*byte)
                            };
                            let zero = zeros.as_ref().map_or(0.0, |zeros| of(zeros, row, column));
                            let scale = scales
                                .as_ref()
                                .map_or(1.0, |scales| of(scales, row, column));
                            *out = (value - zero) * scale;
                        }
                    }
                }
            }
            Ok(())
        })
    }
}
