//! What is known of a value before the network runs.

use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

/// Numbers of a value are followed as long as there are no more of them: shapes, axes, ranges of positions.
pub(super) const MOST_NUMBERS: usize = 4096;

/// The same of whole numbers that the file has, which may be indices into something.
const MOST_INDICES: usize = 1 << 20;

/// More axes no network has.
const MOST_AXES: usize = 12;

/// A value: its type, its shape, and its numbers where they are few and known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) element: DataType,
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Option<Numbers>,
    /// Whether it is the same whatever the inputs are: such values are computed while the network is built.
    pub(super) constant: bool,
}

/// A value's numbers, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Numbers {
    /// Of whole numbers and truths.
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Value {
    /// One whose numbers are not known.
    pub(super) fn new(element: DataType, shape: Vec<usize>) -> Self {
        Self {
            element,
            shape,
            numbers: None,
            constant: false,
        }
    }

    /// A list of whole numbers.
    pub(super) fn whole(shape: Vec<usize>, numbers: Vec<i64>) -> Self {
        Self {
            numbers: Some(Numbers::Whole(numbers)),
            ..Self::new(DataType::Int64, shape)
        }
    }

    /// A constant of the network.
    pub(super) fn of(tensor: &TensorProto) -> Result<Self, String> {
        let element = DataType::try_from(tensor.data_type).unwrap_or_default();
        let shape = tensor.dims.iter().map(|side| usize::try_from(*side).ok());
        let shape: Option<Vec<usize>> = shape.collect();
        let shape = shape.ok_or_else(|| format!("has the shape {:?}", tensor.dims))?;
        let mut value = Self {
            constant: true,
            ..Self::new(element, shape)
        };
        let most = if matches!(element, DataType::Int32 | DataType::Int64) {
            MOST_INDICES
        } else {
            MOST_NUMBERS
        };
        if value.volume()? <= most {
            value.numbers = numbers(tensor, element);
        }
        Ok(value)
    }

    /// A constant of these numbers, if they are known and whole.
    pub(super) fn to_tensor(&self, name: &str) -> Option<TensorProto> {
        Some(TensorProto {
            name: name.to_owned(),
            dims: self.shape.iter().map(|side| *side as i64).collect(),
            data_type: DataType::Int64 as i32,
            int64_data: self.as_whole()?.to_vec(),
            ..TensorProto::default()
        })
    }

    /// Elements.
    pub(super) fn volume(&self) -> Result<usize, String> {
        volume(&self.shape)
    }

    /// Bytes of its tensor.
    pub(super) fn bytes(&self) -> Result<usize, String> {
        let bytes = self.volume()?.checked_mul(width(self.element).unwrap_or(1));
        bytes.ok_or_else(|| too_large(&self.shape))
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Makes its numbers those that a tensor of its type has.
    pub(super) fn round(&mut self) -> Result<(), String> {
        self.numbers = match (self.numbers.take(), self.element) {
            (Some(Numbers::Whole(numbers)), DataType::Int32) => {
                if numbers.iter().any(|number| i32::try_from(*number).is_err()) {
                    return Err("computes a number of more than 32 bits".into());
                }
                Some(Numbers::Whole(numbers))
            }
            (Some(Numbers::Real(numbers)), DataType::Float) => {
                let rounded = numbers.iter().map(|number| f64::from(*number as f32));
                Some(Numbers::Real(rounded.collect()))
            }
            (numbers, DataType::Int64 | DataType::Bool | DataType::Double) => numbers,
            // Of bytes and halves no shape is made.
            _ => None,
        };
        Ok(())
    }

    /// Its whole numbers.
    pub(super) fn as_whole(&self) -> Option<&[i64]> {
        match &self.numbers {
            Some(Numbers::Whole(numbers)) => Some(numbers),
            _ => None,
        }
    }

    /// Its numbers, whole or not.
    pub(super) fn as_real(&self) -> Option<Vec<f64>> {
        Some(match self.numbers.as_ref()? {
            Numbers::Real(numbers) => numbers.clone(),
            Numbers::Whole(numbers) => numbers.iter().map(|number| *number as f64).collect(),
        })
    }

    pub(super) fn is_whole(&self) -> bool {
        is_whole(self.element)
    }
}

impl Numbers {
    /// Those with these indices, which are all there.
    pub(super) fn select(&self, indices: &[usize]) -> Self {
        match self {
            Self::Whole(numbers) => Self::Whole(indices.iter().map(|at| numbers[*at]).collect()),
            Self::Real(numbers) => Self::Real(indices.iter().map(|at| numbers[*at]).collect()),
        }
    }
}

/// Elements of a tensor of this shape.
pub(super) fn volume(shape: &[usize]) -> Result<usize, String> {
    if shape.len() > MOST_AXES {
        return Err(format!("a value of {} axes", shape.len()));
    }
    let product = shape
        .iter()
        .try_fold(1_usize, |product, side| product.checked_mul(*side));
    product
        .filter(|product| isize::try_from(*product).is_ok())
        .ok_or_else(|| too_large(shape))
}

fn too_large(shape: &[usize]) -> String {
    format!("a value of the shape {shape:?}, which no machine has room for")
}

/// Bytes of an element; `None` for types that easel does not know.
pub(super) fn width(element: DataType) -> Option<usize> {
    Some(match element {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => 2,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        _ => return None,
    })
}

fn is_whole(element: DataType) -> bool {
    use DataType::{Bfloat16, Double, Float, Float16};
    !matches!(element, Float | Float16 | Bfloat16 | Double)
}

/// The shape that values of these shapes have together, each of length 1 along an axis, or as long as the others.
pub(super) fn broadcast<'v>(
    shapes: impl IntoIterator<Item = &'v [usize]>,
) -> Result<Vec<usize>, String> {
    let mut result: Vec<usize> = Vec::new();
    for shape in shapes {
        if shape.len() > result.len() {
            let missing = shape.len() - result.len();
            result.splice(0..0, std::iter::repeat_n(1, missing));
        }
        let behind = result.len() - shape.len();
        for (ours, theirs) in result[behind..].iter_mut().zip(shape) {
            match (*ours, *theirs) {
                (a, b) if a == b => {}
                (1, other) => *ours = other,
                (_, 1) => {}
                (a, b) => return Err(format!("{a} and {b} elements do not go together")),
            }
        }
    }
    Ok(result)
}

/// The numbers of a tensor that has its bytes inline.
fn numbers(tensor: &TensorProto, element: DataType) -> Option<Numbers> {
    let raw = &tensor.raw_data[..];
    if raw.is_empty() && !tensor.external_data.is_empty() {
        return None;
    }
    fn each<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.as_chunks::<N>().0.iter().map(|b| read(*b)).collect()
    }
    let thirty_two = || tensor.int32_data.iter().map(|n| i64::from(*n)).collect();
    Some(match element {
        DataType::Int64 if raw.is_empty() => Numbers::Whole(tensor.int64_data.clone()),
        DataType::Int64 => Numbers::Whole(each(raw, i64::from_le_bytes)),
        DataType::Int32 if !raw.is_empty() => {
            Numbers::Whole(each(raw, |b| i64::from(i32::from_le_bytes(b))))
        }
        DataType::Bool | DataType::Uint8 if !raw.is_empty() => {
            Numbers::Whole(raw.iter().map(|b| i64::from(*b)).collect())
        }
        DataType::Int8 if !raw.is_empty() => {
            Numbers::Whole(raw.iter().map(|b| i64::from(b.cast_signed())).collect())
        }
        DataType::Int32 | DataType::Bool | DataType::Uint8 | DataType::Int8 => {
            Numbers::Whole(thirty_two())
        }
        DataType::Float if raw.is_empty() => {
            Numbers::Real(tensor.float_data.iter().map(|n| f64::from(*n)).collect())
        }
        DataType::Float => Numbers::Real(each(raw, |b| f64::from(f32::from_le_bytes(b)))),
        DataType::Double if raw.is_empty() => Numbers::Real(tensor.double_data.clone()),
        DataType::Double => Numbers::Real(each(raw, f64::from_le_bytes)),
        _ => return None,
    })
}
