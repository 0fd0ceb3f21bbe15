use std::ffi::CStr;
use std::fmt;

use rank_relax_sys as sys;

/// Why a function did not do what it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    InvalidArgument,
    OutOfMemory,
    /// Such as a device that the library was built without.
    Unsupported,
    /// What the library does not know about itself, or a library of another version.
    Internal,
}

/// A kind and a sentence: the function, the argument, what was given and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    sentence: String,
}

/// What fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn invalid(sentence: String) -> Self {
        Self { kind: ErrorKind::InvalidArgument, sentence }
    }

    pub(crate) fn internal(sentence: String) -> Self {
        Self { kind: ErrorKind::Internal, sentence }
    }

    pub(crate) fn out_of_memory() -> Self {
        Self { kind: ErrorKind::OutOfMemory, sentence: "there is not enough memory".to_owned() }
    }

    /// What the library said about the call that this thread has just made.
    pub(crate) fn last(status: sys::rank_relax_status) -> Self {
        // SAFETY: a string of this thread, good until its next call that fails.
        let sentence = unsafe { CStr::from_ptr(sys::rank_relax_last_error()) };
        let kind = match status {
            sys::RANK_RELAX_INVALID_ARGUMENT => ErrorKind::InvalidArgument,
            sys::RANK_RELAX_OUT_OF_MEMORY => ErrorKind::OutOfMemory,
            sys::RANK_RELAX_UNSUPPORTED => ErrorKind::Unsupported,
            _ => ErrorKind::Internal,
        };
        Self { kind, sentence: sentence.to_string_lossy().into_owned() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl std::error::Error for Error {}
