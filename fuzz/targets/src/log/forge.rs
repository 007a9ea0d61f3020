//! Segments' records and hints that pass every check, whatever they say.
//!
//! The formats are written here once more, from the drawings in `kvserver/src/log/`: what is to be
//! tried is just what the log's own code would never write.

use crate::input::Input;

use super::LOG_ID;

/// Bytes of a segment's head, both copies.
pub(super) const HEAD_BYTES: usize = 128;

const COPY_BYTES: usize = 64;
const HEADER_BYTES: usize = 24;
const HINT_HEAD_BYTES: usize = 60;

/// The head of a segment.
pub(super) fn head(log: u128, segment: u32, format: u32) -> Vec<u8> {
    let mut copy = [0; COPY_BYTES];
    copy[..8].copy_from_slice(b"KVSRLOG\0");
    copy[8..12].copy_from_slice(&format.to_le_bytes());
    copy[12..16].copy_from_slice(&segment.to_le_bytes());
    copy[16..32].copy_from_slice(&log.to_le_bytes());
    let crc = crc32fast::hash(&copy[..60]);
    copy[60..].copy_from_slice(&crc.to_le_bytes());
    [copy, copy].concat()
}

/// A record that passes its checks at the end of `file`, with any kind, slot and body.
pub(super) fn push(file: &mut Vec<u8>, segment: u32, kind: u8, slot: u16, body: &[u8]) {
    let at = file.len();
    file.extend_from_slice(&[0; HEADER_BYTES]);
    file.extend_from_slice(body);
    let length = u32::try_from(body.len()).expect("small");
    let header = &mut file[at..at + HEADER_BYTES];
    header[..2].copy_from_slice(&[0xB7, 0x4C]);
    header[2] = kind;
    header[4..6].copy_from_slice(&slot.to_le_bytes());
    header[6..8].copy_from_slice(&slot.to_le_bytes());
    header[8..12].copy_from_slice(&length.to_le_bytes());
    seal(&mut file[at..], segment, at);
}

/// Makes both checksums of the record right that `record` begins with and that lies at `at`.
fn seal(record: &mut [u8], segment: u32, at: usize) {
    let length = record[8..12].try_into().expect("four bytes");
    let length = u32::from_le_bytes(length) as usize;
    if let Some(body) = record.get(HEADER_BYTES..HEADER_BYTES.saturating_add(length)) {
        let crc = crc32fast::hash(body).to_le_bytes();
        record[16..20].copy_from_slice(&crc);
    }
    let mut salt = crc32fast::Hasher::new();
    salt.update(&LOG_ID.to_le_bytes());
    salt.update(&segment.to_le_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(salt.finalize());
    crc.update(&(at as u64).to_le_bytes());
    crc.update(&record[..20]);
    let crc = crc.finalize().to_le_bytes();
    record[20..24].copy_from_slice(&crc);
}

/// Changes some bytes of one record of a segment and makes its checksums right again.
pub(super) fn edit(file: &mut [u8], segment: u32, input: &mut Input<'_>) {
    let mut records = Vec::new();
    let mut at = HEAD_BYTES;
    while let Some(header) = file.get(at..at + HEADER_BYTES) {
        let length = header[8..12].try_into().expect("four bytes");
        let next = at + HEADER_BYTES + u32::from_le_bytes(length) as usize;
        if header[..2] != [0xB7, 0x4C] || next > file.len() {
            break;
        }
        records.push(at..next);
        at = next;
    }
    let Some(range) = records.get(input.index(records.len())).cloned() else {
        return;
    };
    let (place, start) = (usize::from(input.byte()), range.start);
    let piece = input.piece();
    let record = &mut file[range];
    for (byte, &new) in record.iter_mut().skip(place).zip(piece) {
        *byte = new;
    }
    seal(record, segment, start);
}

/// A hint with right checksums over any lines.
pub(super) fn hint(segment: u32, segment_bytes: u64, count: u32, lines: &[u8]) -> Vec<u8> {
    let mut out = b"KVSRHINT".to_vec();
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&segment.to_le_bytes());
    out.extend_from_slice(&LOG_ID.to_le_bytes());
    out.extend_from_slice(&segment_bytes.to_le_bytes());
    out.extend_from_slice(&(lines.len() as u64).to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(lines);
    seal_hint(&mut out);
    out
}

/// Makes both checksums of a hint right.
pub(super) fn seal_hint(hint: &mut [u8]) {
    if hint.len() < HINT_HEAD_BYTES {
        return;
    }
    let crc = crc32fast::hash(&hint[HINT_HEAD_BYTES..]).to_le_bytes();
    hint[52..56].copy_from_slice(&crc);
    let crc = crc32fast::hash(&hint[..56]).to_le_bytes();
    hint[56..60].copy_from_slice(&crc);
}
