//! Brings external tensors in: from here on every initializer that is left has its bytes inline.

use tract_onnx::pb::{ModelProto, tensor_proto::DataLocation};

use super::PassContext;

pub(super) fn run(model: &mut ModelProto, context: &mut PassContext) -> Result<(), String> {
    let graph = model.graph.iter_mut();
    for tensor in graph.flat_map(|graph| &mut graph.initializer) {
        if tensor.data_location == Some(DataLocation::External as i32) {
            let bytes = context.tensors.bring(tensor);
            tensor.raw_data =
                bytes.map_err(|problem| format!("tensor `{}`: {problem}", tensor.name))?;
            tensor.data_location = None;
            tensor.external_data.clear();
        }
    }
    Ok(())
}
