//! Operators that work on each element by itself, or on elements at the same place.

use tract_onnx::pb::tensor_proto::DataType;

use super::super::node::{Node, axis, known};
use super::super::value::{MOST_NUMBERS, Numbers, Value, broadcast, volume};

type Outputs = Result<Vec<Value>, String>;

/// The input, with its numbers.
pub(super) fn identity(node: &Node<'_>) -> Outputs {
    Ok(vec![node.input(0)?.clone()])
}

pub(super) fn unary(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let mut output = Value::new(x.element, x.shape.clone());
    output.numbers = match (node.proto.op_type.as_str(), &x.numbers) {
        ("Abs", Some(Numbers::Whole(numbers))) => each(numbers, |n| n.checked_abs())?,
        ("Neg", Some(Numbers::Whole(numbers))) => each(numbers, |n| n.checked_neg())?,
        ("Not", Some(Numbers::Whole(numbers))) => each(numbers, |n| Some(i64::from(n == 0)))?,
        ("Sign", Some(Numbers::Whole(numbers))) => each(numbers, |n| Some(n.signum()))?,
        (op, Some(Numbers::Real(numbers))) => {
            let function: Option<fn(f64) -> f64> = match op {
                "Abs" => Some(f64::abs),
                "Neg" => Some(|n| -n),
                "Ceil" => Some(f64::ceil),
                "Floor" => Some(f64::floor),
                "Round" => Some(f64::round_ties_even),
                "Sqrt" => Some(f64::sqrt),
                "Reciprocal" => Some(f64::recip),
                "Log" => Some(f64::ln),
                "Exp" => Some(f64::exp),
                _ => None,
            };
            function.map(|function| Numbers::Real(numbers.iter().map(|n| function(*n)).collect()))
        }
        _ => None,
    };
    Ok(vec![output])
}

fn each(numbers: &[i64], function: impl Fn(i64) -> Option<i64>) -> Result<Option<Numbers>, String> {
    let numbers: Option<Vec<i64>> = numbers.iter().map(|n| function(*n)).collect();
    let numbers = numbers.ok_or("computes a number of more than 64 bits")?;
    Ok(Some(Numbers::Whole(numbers)))
}

/// True or false for each.
pub(super) fn test(node: &Node<'_>) -> Outputs {
    Ok(vec![Value::new(
        DataType::Bool,
        node.input(0)?.shape.clone(),
    )])
}

/// Along an axis; the shape stays.
pub(super) fn along(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let usual = if node.opset < 13 && node.proto.op_type != "LpNormalization" {
        1
    } else {
        -1
    };
    if x.rank() > 0 {
        node.axis("axis", usual, x.rank())?;
    }
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

pub(super) fn cast(node: &Node<'_>) -> Outputs {
    let element = node.element("to")?.ok_or("has no `to`")?;
    Ok(vec![as_element(node.input(0)?, element)])
}

pub(super) fn cast_like(node: &Node<'_>) -> Outputs {
    Ok(vec![as_element(node.input(0)?, node.input(1)?.element)])
}

fn as_element(x: &Value, element: DataType) -> Value {
    let mut output = Value::new(element, x.shape.clone());
    output.numbers = match &x.numbers {
        Some(Numbers::Whole(numbers)) if element == DataType::Bool => Some(Numbers::Whole(
            numbers.iter().map(|n| i64::from(*n != 0)).collect(),
        )),
        Some(Numbers::Real(numbers)) if output.is_whole() => {
            // Toward zero, as hardware and tract do it; what has no number becomes 0 or the nearest that there is.
            Some(Numbers::Whole(numbers.iter().map(|n| *n as i64).collect()))
        }
        Some(Numbers::Whole(numbers)) if !output.is_whole() => {
            Some(Numbers::Real(numbers.iter().map(|n| *n as f64).collect()))
        }
        numbers => numbers.clone(),
    };
    output
}

pub(super) fn dropout(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    node.single(1)?;
    node.single(2)?;
    if node
        .optional(2)
        .is_some_and(|training| training.element != DataType::Bool)
    {
        return Err("has a training_mode that is neither true nor false".into());
    }
    Ok(vec![x.clone(), Value::new(DataType::Bool, x.shape.clone())])
}

pub(super) fn clip(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    node.single(1)?;
    node.single(2)?;
    let mut output = Value::new(x.element, x.shape.clone());
    let bound = |at: usize| match node.optional(at) {
        None => Some(None),
        Some(bound) => bound.as_whole().and_then(|n| n.first().copied()).map(Some),
    };
    if let (Some(numbers), Some(least), Some(most)) = (x.as_whole(), bound(1), bound(2)) {
        let clipped = numbers.iter().map(|n| {
            let n = least.map_or(*n, |least| least.max(*n));
            most.map_or(n, |most| most.min(n))
        });
        output.numbers = Some(Numbers::Whole(clipped.collect()));
    }
    Ok(vec![output])
}

/// All inputs, in the shape that they have together; numbers are not followed.
pub(super) fn together(node: &Node<'_>) -> Outputs {
    let values = node.inputs.iter().flatten();
    let shape = broadcast(values.map(|value| &value.shape[..]))?;
    Ok(vec![Value::new(node.input(0)?.element, shape)])
}

pub(super) fn comparison(node: &Node<'_>) -> Outputs {
    let mut output = together(node)?.swap_remove(0);
    output.element = DataType::Bool;
    let compare: fn(f64, f64) -> bool = match node.proto.op_type.as_str() {
        "Equal" => |a, b| a == b,
        "Greater" => |a, b| a > b,
        "GreaterOrEqual" => |a, b| a >= b,
        "Less" => |a, b| a < b,
        "LessOrEqual" => |a, b| a <= b,
        "And" => |a, b| a != 0.0 && b != 0.0,
        "Or" => |a, b| a != 0.0 || b != 0.0,
        _ => |a, b| (a != 0.0) != (b != 0.0),
    };
    let (a, b) = (node.input(0)?, node.input(1)?);
    if let (Some(x), Some(y)) = (a.as_real(), b.as_real())
        && let Some(pairs) = places(&[a, b], &output.shape)?
    {
        let truths = pairs
            .iter()
            .map(|at| i64::from(compare(x[at[0]], y[at[1]])));
        output.numbers = Some(Numbers::Whole(truths.collect()));
    }
    Ok(vec![output])
}

/// Sums, products, quotients and the like, whose numbers become shapes.
pub(super) fn arithmetic(node: &Node<'_>) -> Outputs {
    let mut output = together(node)?.swap_remove(0);
    let mut numbers = node.input(0)?.numbers.clone();
    let mut shape = node.input(0)?.shape.clone();
    let op = node.proto.op_type.as_str();
    for other in node.inputs.iter().skip(1).flatten() {
        let one = Value {
            numbers: numbers.take(),
            ..Value::new(output.element, shape)
        };
        shape = broadcast([&one.shape[..], &other.shape[..]])?;
        // Division by zero is found whatever it is divided.
        if matches!(op, "Div" | "Mod")
            && output.is_whole()
            && other.as_whole().is_some_and(|numbers| numbers.contains(&0))
        {
            return Err("divides by zero".into());
        }
        let Some(pairs) = places(&[&one, other], &shape)? else {
            continue;
        };
        numbers = match (&one.numbers, &other.numbers) {
            (Some(Numbers::Whole(a)), Some(Numbers::Whole(b))) => {
                let results = pairs.iter().map(|at| whole(op, a[at[0]], b[at[1]]));
                let results: Option<Vec<i64>> = results.collect();
                let results = results.ok_or("computes a number of more than 64 bits")?;
                Some(Numbers::Whole(results))
            }
            (Some(_), Some(_)) if !output.is_whole() => {
                let (a, b) = (one.as_real(), other.as_real());
                a.zip(b).map(|(a, b)| {
                    let results = pairs.iter().map(|at| real(op, a[at[0]], b[at[1]]));
                    Numbers::Real(results.collect())
                })
            }
            _ => None,
        };
    }
    output.numbers = numbers;
    Ok(vec![output])
}

/// Numbers to the power of numbers, of the types that have powers.
pub(super) fn power(node: &Node<'_>) -> Outputs {
    use DataType::{Double, Float, Float16, Int32, Int64};
    for at in [0, 1] {
        let element = node.input(at)?.element;
        if !matches!(element, Double | Float | Float16 | Int32 | Int64) {
            return Err(format!("makes powers of {}", element.as_str_name()));
        }
    }
    arithmetic(node)
}

fn whole(op: &str, a: i64, b: i64) -> Option<i64> {
    match op {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        // As in Python, the result has the divisor's sign.
        "Mod" => a.checked_rem(b).map(|rest| {
            if rest != 0 && (rest < 0) != (b < 0) {
                rest + b
            } else {
                rest
            }
        }),
        "Pow" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
        "Max" => Some(a.max(b)),
        _ => Some(a.min(b)),
    }
}

fn real(op: &str, a: f64, b: f64) -> f64 {
    match op {
        "Add" => a + b,
        "Sub" => a - b,
        "Mul" => a * b,
        "Div" => a / b,
        "Mod" => a % b,
        "Pow" => a.powf(b),
        "Max" => a.max(b),
        _ => a.min(b),
    }
}

pub(super) fn choice(node: &Node<'_>) -> Outputs {
    let mut output = together(node)?.swap_remove(0);
    let (which, a, b) = (node.input(0)?, node.input(1)?, node.input(2)?);
    output.element = a.element;
    if let (Some(choices), Some(x), Some(y)) = (which.as_whole(), a.as_whole(), b.as_whole())
        && let Some(places) = places(&[which, a, b], &output.shape)?
    {
        let chosen = places.iter().map(|at| {
            if choices[at[0]] != 0 {
                x[at[1]]
            } else {
                y[at[2]]
            }
        });
        output.numbers = Some(Numbers::Whole(chosen.collect()));
    }
    Ok(vec![output])
}

pub(super) fn running_sum(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    let along = known(node.input(1)?, "its axis")?;
    let [along] = along else {
        return Err("has no single axis".into());
    };
    axis(*along, x.rank())?;
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

pub(super) fn triangle(node: &Node<'_>) -> Outputs {
    let x = node.input(0)?;
    node.single(1)?;
    if x.rank() < 2 {
        return Err("needs a matrix".into());
    }
    Ok(vec![Value::new(x.element, x.shape.clone())])
}

/// For each element of a small value of this shape, where its parts are in the inputs; `None` if there are many.
fn places(inputs: &[&Value], shape: &[usize]) -> Result<Option<Vec<Vec<usize>>>, String> {
    let count = volume(shape)?;
    if count > MOST_NUMBERS {
        return Ok(None);
    }
    let place = |index: usize, input: &Value| {
        let (mut rest, mut at, mut stride) = (index, 0, 1);
        for (axis, side) in shape.iter().enumerate().rev() {
            let position = rest % side;
            rest /= side;
            let own = (axis + input.rank()).checked_sub(shape.len());
            if let Some(own) = own {
                if input.shape[own] != 1 {
                    at += position * stride;
                }
                stride *= input.shape[own];
            }
        }
        at
    };
    let each = |index| inputs.iter().map(|input| place(index, input)).collect();
    Ok(Some((0..count).map(each).collect()))
}
