//! Makes a U-Net take sizes that its levels do not halve evenly: what is upsampled is cropped to the skip it meets.
//!
//! The tracer writes `Resize` by 2 for every upsampler, so that 9 rows, which the way down made 5, come back as 10 and do not
//! fit their skip connection. diffusers upsamples to the size of the skip instead. By nearest neighbour both are one: row *i* of *s*
//! is row ⌊*i*·⌈*s*/2⌉/*s*⌋ = ⌊*i*/2⌋ of what came up, so the crop is exact. Where the sizes agree, tract drops it again.
//!
//! The pattern is `Concat(Conv(Resize(x)), skip)` along the channels.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, tensor_proto::DataType};

use super::{PassContext, node};

pub(super) fn run(model: &mut ModelProto, _context: &mut PassContext) -> Result<(), String> {
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let skips = skips(graph);
    if skips.is_empty() {
        return Ok(());
    }
    let [rows, end, axes, start] = ["2", "4", "2,3", "0,0"].map(|v| format!("easel/crop/{v}"));
    graph.initializer.extend([
        integers(&rows, &[2]),
        integers(&end, &[4]),
        integers(&axes, &[2, 3]),
        integers(&start, &[0, 0]),
    ]);
    for (resize, skip) in skips {
        let cropped = graph.node[resize].output[0].clone();
        let [whole, shape, size] =
            ["whole", "skip_shape", "skip_size"].map(|part| format!("{cropped}/{part}"));
        graph.node[resize].output[0].clone_from(&whole);
        graph.node.extend([
            node("Shape", &[&skip], &shape),
            node("Slice", &[&shape, &rows, &end], &size),
            node("Slice", &[&whole, &start, &size, &axes], &cropped),
        ]);
    }
    graph.node = super::sorted(std::mem::take(&mut graph.node))?;
    Ok(())
}

/// Each `Resize` of the pattern, by index, and the skip that it has to fit.
fn skips(graph: &GraphProto) -> Vec<(usize, String)> {
    let makers: HashMap<&str, usize> = graph
        .node
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .collect();
    let maker = |name: &str, op: &str| {
        let index = *makers.get(name)?;
        (graph.node[index].op_type == op).then_some(index)
    };
    let mut found: Vec<(usize, String)> = Vec::new();
    for concat in graph.node.iter().filter(|n| n.op_type == "Concat") {
        let [upsampled, skip] = &concat.input[..] else {
            continue;
        };
        let channels = concat
            .attribute
            .iter()
            .any(|a| a.name == "axis" && a.i == 1);
        let resize = maker(upsampled, "Conv")
            .and_then(|conv| maker(graph.node[conv].input.first()?, "Resize"))
            .filter(|resize| nearest(&graph.node[*resize]));
        if let (true, Some(resize)) = (channels, resize)
            && found.iter().all(|(known, _)| *known != resize)
        {
            found.push((resize, skip.clone()));
        }
    }
    found
}

fn nearest(resize: &NodeProto) -> bool {
    let mode = resize.attribute.iter().find(|a| a.name == "mode");
    mode.is_none_or(|mode| mode.s == b"nearest")
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![i64::try_from(values.len()).unwrap_or(0)],
        data_type: DataType::Int64 as i32,
        raw_data: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..TensorProto::default()
    }
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{AttributeProto, attribute_proto::AttributeType};

    use super::*;

    fn with(mut made: NodeProto, name: &str, i: i64, s: &[u8]) -> NodeProto {
        made.attribute.push(AttributeProto {
            name: name.into(),
            r#type: AttributeType::Int as i32,
            i,
            s: s.to_vec(),
            ..AttributeProto::default()
        });
        made
    }

    fn network(axis: i64, mode: &[u8]) -> ModelProto {
        let nodes = vec![
            with(node("Resize", &["x", "", "scales"], "up"), "mode", 0, mode),
            node("Conv", &["up", "w"], "conv"),
            with(node("Concat", &["conv", "skip"], "y"), "axis", axis, b""),
        ];
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn an_upsampler_that_meets_a_skip_is_cropped_and_nothing_else() {
        let mut model = network(1, b"nearest");
        run(&mut model, &mut PassContext::new(std::path::Path::new(""))).expect("valid");
        let graph = model.graph.expect("it had one");
        assert_eq!(graph.node.len(), 6);
        assert_eq!(graph.node[0].output, ["up/whole"]);
        assert_eq!(graph.node[3].output, ["up"]);
        assert_eq!(graph.node[4].input, ["up", "w"]);
        for mut other in [network(2, b"nearest"), network(1, b"linear")] {
            run(&mut other, &mut PassContext::new(std::path::Path::new(""))).expect("valid");
            assert_eq!(other.graph.expect("it had one").node.len(), 3);
        }
    }
}
