//! Damage to the files of a server.

use std::fs;
use std::path::{Path, PathBuf};

/// The files of messages below a folder that hold this text.
fn blocks_with(folder: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            blocks_with(&path, text, found);
        } else if path.extension().is_some_and(|extension| extension == "blk")
            && path.components().any(|part| part.as_os_str() == "streams")
            && fs::read(&path).is_ok_and(|bytes| place_of(&bytes, text).is_some())
        {
            found.push(path);
        }
    }
}

fn place_of(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Flips a bit of the payload that has this text, in every block below the folder; how many.
pub(crate) fn flip(folder: &Path, text: &str) -> usize {
    let mut blocks = Vec::new();
    blocks_with(folder, text.as_bytes(), &mut blocks);
    for block in &blocks {
        let mut bytes = fs::read(block).unwrap();
        let place = place_of(&bytes, text.as_bytes()).unwrap();
        bytes[place] ^= 1;
        fs::write(block, bytes).unwrap();
    }
    blocks.len()
}
