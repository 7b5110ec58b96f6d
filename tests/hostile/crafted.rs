//! Cases that are a micro model with one network changed.

use std::path::Path;

use prost::Message as _;
use tract_onnx::pb::ModelProto;

use super::language::Snippet;
use super::micro::{self, UNET};
use super::watch::{Case, Right};

/// The U-Net with these nodes, of which `value` gets into the picture. A refusal names the file.
pub(crate) fn crafted(
    name: impl Into<String>,
    right: Right,
    snippet: Snippet,
    value: &'static str,
) -> Case {
    let make = move |folder: &Path| {
        micro::write(folder);
        let network = micro::unet_with(snippet.clone(), value);
        micro::put(folder, UNET, network.encode_to_vec());
    };
    let case = Case::new(name, right, make);
    if right == Right::Refused {
        case.saying(&[UNET])
    } else {
        case
    }
}

/// As [`crafted`], of nodes as text, of which the last one's first output gets into the picture.
pub(crate) fn text(name: impl Into<String>, right: Right, text: &str) -> Case {
    let snippet = Snippet::of("k", text);
    crafted(name, right, snippet, "y")
}

/// A model of which this network is `network`. A refusal names the file.
pub(crate) fn network_case(
    name: impl Into<String>,
    right: Right,
    file: &'static str,
    network: ModelProto,
) -> Case {
    let make = move |folder: &Path| {
        micro::write(folder);
        micro::put(folder, file, network.encode_to_vec());
    };
    Case::new(name, right, make).saying(if right == Right::Refused {
        std::slice::from_ref(&file)
    } else {
        &[]
    })
}
