//! How much memory a network's file takes once it is decoded, counted before it is.
//!
//! A message of no fields is two bytes in the file and hundreds in memory: what is small enough to be read may be too large to be
//! decoded. Which [field](super::wire) is which message is onnx.proto's.

use std::io;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

use super::wire::{self, FIXED_32, FIXED_64, LENGTH, VARINT, invalid, number_and_kind};

/// Bytes that a network may take without the weights that stay in files. The largest known take 30 MiB.
const LARGEST: u64 = 512 << 20;
/// Messages within messages: as many as the decoder takes.
const DEEPEST: usize = 100;

/// Refuses what would take too much.
pub(super) fn check(network: &[u8]) -> io::Result<()> {
    let mut census = Census { left: LARGEST };
    census.count(network, Message::Model, 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    /// Any other. Whatever is in it is taken for more messages.
    Other,
}

/// What a field with a length is.
enum Field {
    Message(Message),
    /// Text, or bytes.
    Bytes,
    /// Numbers that may have one byte in the file.
    Numbers,
}

impl Message {
    fn field(self, number: u64) -> Field {
        use Field::{Bytes, Numbers};
        use Message::{Attribute, Graph, Model, Node, Other, Tensor, ValueInfo};
        match (self, number) {
            (Model, 7) | (Attribute, 6 | 11) => Field::Message(Graph),
            (Graph, 1) => Field::Message(Node),
            (Graph, 5) | (Attribute, 5 | 10) => Field::Message(Tensor),
            (Graph, 11..=13) => Field::Message(ValueInfo),
            (Node, 5) => Field::Message(Attribute),
            (Model, 2..=4 | 6) | (Graph, 2 | 10) | (Node, 1..=4 | 6 | 7) => Bytes,
            (Attribute, 1 | 4 | 7 | 9 | 13 | 21) => Bytes,
            (Attribute, 8) | (Tensor, 1 | 5 | 7 | 11) => Numbers,
            (Tensor, 4 | 6 | 8..=10 | 12) | (ValueInfo, 1 | 3) => Bytes,
            _ => Field::Message(Other),
        }
    }

    /// Of the decoded message, in a list that has grown.
    fn bytes(self) -> u64 {
        let one = match self {
            Self::Model | Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Other => 2 * size_of::<String>(),
        };
        2 * one as u64
    }
}

struct Census {
    left: u64,
}

impl Census {
    fn take(&mut self, bytes: u64) -> io::Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            invalid(&format!(
                "it would take more than {} MiB without its weights",
                LARGEST >> 20
            ))
        })?;
        Ok(())
    }

    /// Counts a message. What is cut short or malformed is left to the decoder, which stops there, too.
    fn count(&mut self, mut bytes: &[u8], message: Message, depth: usize) -> io::Result<()> {
        self.take(message.bytes())?;
        if depth > DEEPEST {
            return Err(invalid("too many messages within messages"));
        }
        while !bytes.is_empty() {
            let Some(tag) = varint(&mut bytes) else {
                return Ok(());
            };
            let (field, kind) = number_and_kind(tag);
            let value = match kind {
                VARINT => varint(&mut bytes).map(|_| &[][..]),
                FIXED_64 => bytes.split_off(..8),
                LENGTH => varint(&mut bytes).and_then(|length| {
                    let length = usize::try_from(length).ok()?;
                    bytes.split_off(..length)
                }),
                FIXED_32 => bytes.split_off(..4),
                _ => return Err(invalid("a field of an unknown kind")),
            };
            let Some(value) = value else {
                return Ok(());
            };
            let length = value.len() as u64;
            match message.field(field) {
                _ if kind != LENGTH => self.take(2 * size_of::<u64>() as u64)?,
                Field::Message(Message::Other) => {
                    // At most messages of two bytes, each of two texts.
                    self.take(Message::Other.bytes() * (1 + length / 2))?;
                }
                Field::Message(inner) => self.count(value, inner, depth + 1)?,
                Field::Bytes => self.take(2 * size_of::<String>() as u64 + length)?,
                Field::Numbers => self.take(2 * size_of::<u64>() as u64 * (1 + length))?,
            }
        }
        Ok(())
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut next = || bytes.split_off_first().copied();
    wire::varint(|| next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use tract_onnx::pb::ModelProto;

    fn network(nodes: Vec<NodeProto>) -> Vec<u8> {
        let graph = GraphProto {
            node: nodes,
            ..GraphProto::default()
        };
        ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn the_default_models_networks_are_small() {
        let models = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/pocket");
        for component in ["text_encoder", "unet", "vae_decoder"] {
            let bytes = std::fs::read(models.join(component).join("model.onnx"));
            let mut census = Census { left: LARGEST };
            let counted = census.count(&bytes.expect("a network"), Message::Model, 0);
            counted.expect("it fits");
            assert!(LARGEST - census.left < 32 << 20, "{component}");
        }
    }

    #[test]
    fn little_that_becomes_much_is_refused() {
        check(&network(vec![NodeProto::default(); 1000])).expect("it is little");
        for bytes in [
            network(vec![NodeProto::default(); 3_000_000]),
            network(vec![NodeProto {
                attribute: vec![AttributeProto::default(); 2_000_000],
                ..NodeProto::default()
            }]),
            network(vec![NodeProto {
                input: vec![String::new(); 12_000_000],
                ..NodeProto::default()
            }]),
        ] {
            assert!(bytes.len() < 32 << 20);
            let error = check(&bytes).expect_err("it is much");
            assert!(error.to_string().contains("512 MiB"), "{error}");
        }
    }

    #[test]
    fn graphs_within_graphs_end() {
        let mut graph = GraphProto::default();
        for _ in 0..200 {
            let attribute = AttributeProto {
                g: Some(graph),
                ..AttributeProto::default()
            };
            let node = NodeProto {
                attribute: vec![attribute],
                ..NodeProto::default()
            };
            graph = GraphProto {
                node: vec![node],
                ..GraphProto::default()
            };
        }
        assert!(check(&network(graph.node)).is_err());
    }
}
