//! Damage to files, as bytes tell it: what a fuzzer changes is where and how, not whole files.

/// The bytes that one edit takes.
const EDIT_BYTES: usize = 6;

const SECTOR: usize = 512;

/// A file with the edits made that these bytes tell.
pub(super) fn edited(mut file: Vec<u8>, edits: &[u8]) -> Vec<u8> {
    for edit in edits.as_chunks::<EDIT_BYTES>().0 {
        one(&mut file, *edit);
    }
    file
}

/// The edits as pairs: which file, and what becomes of it.
pub(super) fn by_file(edits: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    edits
        .chunks_exact(EDIT_BYTES + 1)
        .filter_map(|edit| edit.split_first())
        .map(|(file, edit)| (usize::from(*file), edit))
}

/// Edits of a file that has a header of 4096 bytes.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let edits: [&[u8]; 5] = [
        &[],
        &[0x08, 0, 0, 2, 0, 0],
        &[0x98, 0, 2, 0, 0, 0],
        &[0xb0, 0, 3, 1, 1, 0],
        &[0, 0x10, 1, 0xff, 0xff, 0x7f],
    ];
    edits.map(<[u8]>::to_vec).into()
}

fn one(file: &mut Vec<u8>, [low, high, operation, value, a, b]: [u8; EDIT_BYTES]) {
    let at = usize::from(u16::from_le_bytes([low, high]));
    let sector = at / SECTOR * SECTOR;
    let other = usize::from(u16::from_le_bytes([a, b])) / SECTOR * SECTOR;
    match operation % 8 {
        0 => put(file, at, &[value]),
        1 => put(file, at, &[value, a, b]),
        2 => put(file, at, &[0xff; 8]),
        3 => put(
            file,
            at,
            &u32::from_le_bytes([value, a, b, 0]).to_le_bytes(),
        ),
        4 => file.truncate(at),
        5 => file.resize(at.max(file.len()), value),
        6 => put(file, sector, &[value; SECTOR]),
        _ => {
            let from = file.get(other..other + SECTOR).map(<[u8]>::to_vec);
            put(file, sector, &from.unwrap_or_default());
        }
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let rest = file.iter_mut().skip(at);
    rest.zip(bytes).for_each(|(byte, new)| *byte = *new);
}
