//! The build compiles the files that csrc/CMakeLists.txt names, and no others.

#[path = "../../csrc/rust/rank-relax-sys/sources.rs"]
mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a shell finds in csrc.
fn listed(command: &str) -> Vec<PathBuf> {
    let output = Command::new("sh").args(["-c", command]).current_dir(csrc()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut files: Vec<_> = text.lines().map(|line| csrc().join(line)).collect();
    files.sort();
    files
}

fn csrc() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_files_are_those_of_cmake() {
    let cmake = fs::read_to_string(csrc().join("CMakeLists.txt")).unwrap();
    assert!(cmake.contains("file(GLOB doors CONFIGURE_DEPENDS c/*.cpp)"));
    assert!(cmake.contains("file(GLOB_RECURSE kernels CONFIGURE_DEPENDS cpu/*.cpp)"));
    let doors = sources::doors(&csrc());
    assert!(doors.contains(&csrc().join("c/soft_rank.cpp")));
    assert_eq!(doors, listed("ls c/*.cpp"));
    assert_eq!(sources::kernels(&csrc()), listed("find cpu -name '*.cpp'"));
}
