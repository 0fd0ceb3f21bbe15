//! Links librank_relax.a from the folder that RANK_RELAX_LIB_DIR names, or compiles it: the kernels
//! take some minutes. They lie in csrc beside this file in a published package, and two folders up
//! in the repository.

mod sources;

use std::env;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=RANK_RELAX_LIB_DIR");
    if let Some(folder) = env::var_os("RANK_RELAX_LIB_DIR") {
        link_from(&PathBuf::from(folder));
    } else {
        compile(&csrc());
    }
}

fn link_from(folder: &Path) {
    let library = folder.join("librank_relax.a");
    assert!(
        library.is_file(),
        "RANK_RELAX_LIB_DIR must name the folder of librank_relax.a, got {}",
        folder.display()
    );
    println!("cargo:rerun-if-changed={}", library.display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=rank_relax");
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let standard_library = if os == "macos" { "c++" } else { "stdc++" };
    println!("cargo:rustc-link-lib={standard_library}");
}

fn csrc() -> PathBuf {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    [package.join("csrc"), package.join("../..")]
        .iter()
        .find(|csrc| csrc.join("c/include/rank_relax.h").is_file())
        .and_then(|csrc| csrc.canonicalize().ok())
        .expect("neither csrc nor ../.. has the sources of librank_relax")
}

/// Two libraries, since objects are named after files, and a kernel and its door have one name. No
/// file needs flags of its own: instruction sets are pragmas in the sources.
fn compile(csrc: &Path) {
    let libraries = [
        ("rank_relax_doors", sources::doors(csrc)),
        ("rank_relax_kernels", sources::kernels(csrc)),
    ];
    for (library, files) in libraries {
        cc::Build::new()
            .cpp(true)
            .flag("-std=c++17")
            .opt_level(3)
            .debug(false)
            .warnings(false)
            .include(csrc)
            .files(files)
            .compile(library);
    }
    for folder in ["c", "core", "cpu"] {
        println!("cargo:rerun-if-changed={}", csrc.join(folder).display());
    }
}
