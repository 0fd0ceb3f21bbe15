use std::sync::OnceLock;

use rank_relax_sys as sys;

use crate::error::{Error, Result};

/// Another minor version lays its arguments out otherwise: nothing may be passed to it.
pub fn check_library() -> Result<()> {
    static LINKED: OnceLock<u32> = OnceLock::new();
    // SAFETY: a function without arguments, which every version has.
    check(*LINKED.get_or_init(|| unsafe { sys::rank_relax_version() }))
}

fn check(linked: u32) -> Result<()> {
    let [major, minor] = major_and_minor(sys::RANK_RELAX_VERSION);
    if major_and_minor(linked) == [major, minor] {
        return Ok(());
    }
    Err(Error::internal(format!(
        "rank_relax must be linked with librank_relax {major}.{minor}, got the version number {linked}"
    )))
}

fn major_and_minor(version: u32) -> [u32; 2] {
    [version / 10_000, version / 100 % 100]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_another_minor_version_are_refused() {
        check_library().unwrap();
        check(sys::RANK_RELAX_VERSION + 7).unwrap();
        for other in [0, sys::RANK_RELAX_VERSION + 100, sys::RANK_RELAX_VERSION + 10_000] {
            let error = check(other).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Internal);
            assert!(error.to_string().contains("librank_relax 0.1, got the version number"));
        }
    }
}
