//! Protocol buffers' wire format (protobuf.dev/programming-guides/encoding): a message is a sequence of fields, each a tag (number · 8 +
//! kind) and a value.

use std::io;

use prost::encoding::encode_varint;

/// A value that is a number, of one byte for each 7 bits.
pub(super) const VARINT: u64 = 0;
/// Of 8 bytes.
pub(super) const FIXED_64: u64 = 1;
/// Of as many bytes as the number before it says: text, bytes, a message, or many numbers.
pub(super) const LENGTH: u64 = 2;
/// Of 4 bytes.
pub(super) const FIXED_32: u64 = 5;

/// A field's tag: its number, and the kind of its value.
pub(super) fn number_and_kind(tag: u64) -> (u64, u64) {
    (tag >> 3, tag & 7)
}

/// A number, of the bytes that `next` gives one by one.
pub(super) fn varint(mut next: impl FnMut() -> io::Result<u8>) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = next()?;
        // Of the tenth one bit is left.
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(invalid("a number of more than 64 bits"))
}

/// Writes a number as a field.
pub(super) fn write_number(field: u64, number: u64, out: &mut Vec<u8>) {
    encode_varint(field << 3 | VARINT, out);
    encode_varint(number, out);
}

/// Writes text, bytes or a message as a field.
pub(super) fn write_bytes(field: u64, bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(field << 3 | LENGTH, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// An error of a file that is no network.
pub(super) fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_64_bits() {
        for number in [0, 1, 127, 128, 300, u64::MAX >> 1, u64::MAX] {
            let mut bytes = Vec::new();
            encode_varint(number, &mut bytes);
            let mut bytes = bytes.into_iter();
            let end = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let read = varint(|| bytes.next().ok_or_else(end));
            assert_eq!(read.expect("it is one"), number);
        }
        for last in [0x02, 0x7f, 0x80] {
            let mut bytes = [0xff; 9].into_iter().chain([last, 0]);
            assert!(varint(|| Ok(bytes.next().unwrap_or(0))).is_err(), "{last}");
        }
    }
}
