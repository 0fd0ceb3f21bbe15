//! Which files librank_relax is made of: those of csrc/CMakeLists.txt without CUDA.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// The functions of the header. Those of folders in it are for CUDA.
pub fn doors(csrc: &Path) -> Vec<PathBuf> {
    sources(&csrc.join("c"), false)
}

pub fn kernels(csrc: &Path) -> Vec<PathBuf> {
    sources(&csrc.join("cpu"), true)
}

fn sources(folder: &Path, of_its_folders_too: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() && of_its_folders_too {
            found.append(&mut sources(&path, true));
        } else if path.extension() == Some(OsStr::new("cpp")) {
            found.push(path);
        }
    }
    found.sort();
    found
}
