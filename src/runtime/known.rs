//! Inputs that are constants for a picture: they become tensors of the network, so that tract computes what depends on them alone once,
//! and knows the shapes that follow from them.

use tract_core::prelude::{Datum, DatumType, Tensor};
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

use crate::inputs::KnownInput;

/// Makes inputs of a network constants: each with its type and whole shape; values are repeated for an axis of the batch.
pub(super) fn settle(
    model: &mut ModelProto,
    known: &[(KnownInput, DatumType, Vec<usize>)],
) -> Result<(), String> {
    let Some(graph) = model.graph.as_mut() else {
        return Ok(());
    };
    for (input, element, shape) in known {
        graph.input.retain(|declared| declared.name != input.name);
        graph.initializer.push(tensor(input, *element, shape)?);
    }
    Ok(())
}

fn tensor(input: &KnownInput, element: DatumType, shape: &[usize]) -> Result<TensorProto, String> {
    let count: usize = shape.iter().product();
    let values = input.values.iter().copied().cycle().take(count);
    let made = || -> Result<Tensor, String> {
        if input.values.is_empty() || !count.is_multiple_of(input.values.len()) {
            return Err(format!(
                "has {shape:?}, {} values are known",
                input.values.len()
            ));
        }
        let values = Tensor::from_shape(shape, &values.collect::<Vec<i32>>());
        let values = values.map_err(|error| error.to_string())?;
        let cast = values
            .cast_to_dt(element)
            .map_err(|error| error.to_string())?;
        Ok(cast.into_owned())
    };
    let name = input.name;
    let values = made().map_err(|problem| format!("input `{name}`: {problem}"))?;
    let mut proto = TensorProto {
        name: name.to_owned(),
        dims: shape.iter().map(|&length| length as i64).collect(),
        ..TensorProto::default()
    };
    // Little-endian, as the format wants it.
    let bytes = |kind: DataType, raw: Vec<u8>| (kind as i32, raw);
    (proto.data_type, proto.raw_data) = if element == i64::datum_type() {
        bytes(DataType::Int64, raw(&values, |v: i64| v.to_le_bytes())?)
    } else if element == i32::datum_type() {
        bytes(DataType::Int32, raw(&values, |v: i32| v.to_le_bytes())?)
    } else if element == f32::datum_type() {
        bytes(DataType::Float, raw(&values, |v: f32| v.to_le_bytes())?)
    } else {
        return Err(format!(
            "input `{name}` is {element:?}: int64 and float are known"
        ));
    };
    Ok(proto)
}

fn raw<T: Datum + Copy, const N: usize>(
    tensor: &Tensor,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>, String> {
    let values = tensor
        .try_as_plain_ram()
        .and_then(|plain| plain.as_slice::<T>());
    let values = values.map_err(|error| error.to_string())?;
    Ok(values.iter().flat_map(|value| bytes(*value)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::passes::testing::{evaluate, model, random};
    use super::*;

    #[test]
    fn a_known_input_is_a_constant_of_the_network() {
        let mut model = model("y = Add(x, place)", vec![], &["y"]);
        let known = |values: &[i32]| KnownInput {
            name: "place",
            values: values.to_vec(),
        };
        let shape = vec![2, 2];
        let wrong = (known(&[1, 2, 3]), f32::datum_type(), shape.clone());
        settle(&mut model.clone(), &[wrong]).expect_err("three values are no four");
        let right = (known(&[1, 2]), f32::datum_type(), shape);
        settle(&mut model, &[right]).expect("it is an input");
        let x = random(&[2, 2], 1);
        let sum = evaluate(&model, std::slice::from_ref(&x));
        let pairs = [1.0, 2.0, 1.0, 2.0];
        let x = crate::runtime::values(&x).to_vec();
        for ((sum, x), place) in crate::runtime::values(&sum).iter().zip(x).zip(pairs) {
            assert_eq!(*sum, x + place);
        }
    }
}
