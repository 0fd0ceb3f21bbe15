//! torch's dispatcher through libtorch's C shim (torch/csrc/stable/c/shim.h), which tch has no
//! door to.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::ptr;

/// An argument of an operator, as its schema has it.
pub enum Argument<'a> {
    /// An `at::Tensor*`, which the call takes over.
    Tensor(*mut c_void),
    Float(f64),
    Text(&'a str),
    /// The None of an optional argument.
    Nothing,
}

/// The version of torch whose shim this is written after, as torch/headeronly/version.h writes it.
const BUILD_VERSION: u64 = (2 << 56) | (11 << 48);

// Of libtorch, which tch links.
extern "C" {
    fn torch_call_dispatcher(
        operator: *const c_char,
        overload: *const c_char,
        stack: *mut u64,
        build_version: u64,
    ) -> i32;
    fn torch_new_string_handle(data: *const c_char, len: usize, handle: *mut *mut c_void) -> i32;
}

extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}
const RTLD_NOW: c_int = 2;

/// Opens a library for good, so that what it registers stays.
pub fn load(path: &CStr) -> Result<(), String> {
    // SAFETY: paths and messages are strings that end; the message is copied at once.
    unsafe {
        if dlopen(path.as_ptr(), RTLD_NOW).is_null() {
            return Err(text(dlerror()).unwrap_or_else(|| "dlopen failed".to_owned()));
        }
    }
    Ok(())
}

/// The first result, an `at::Tensor*` that belongs to the caller.
///
/// # Safety
///
/// The operator has a tensor for its result, and its schema has these arguments; handles are live,
/// and used by nobody else.
pub unsafe fn call(operator: &CStr, arguments: &[Argument]) -> Result<*mut c_void, String> {
    let mut stack = Vec::with_capacity(arguments.len().max(1));
    for argument in arguments {
        stack.push(match *argument {
            Argument::Tensor(handle) => handle as u64,
            Argument::Float(value) => value.to_bits(),
            Argument::Text(value) => {
                let mut handle = ptr::null_mut();
                let data = value.as_ptr().cast();
                if unsafe { torch_new_string_handle(data, value.len(), &mut handle) } != 0 {
                    return Err(last_error());
                }
                handle as u64
            }
            Argument::Nothing => 0,
        });
    }
    let overload = c"".as_ptr();
    let status = unsafe {
        torch_call_dispatcher(operator.as_ptr(), overload, stack.as_mut_ptr(), BUILD_VERSION)
    };
    match status {
        0 => Ok(stack[0] as *mut c_void),
        _ => Err(last_error()),
    }
}

/// What the last call of this thread threw: torch tells since 2.13, and before prints it alone.
fn last_error() -> String {
    type What = unsafe extern "C" fn() -> *const c_char;
    let name = c"torch_exception_get_what_without_backtrace";
    // SAFETY: a function of that type, where there is one of that name.
    let what = unsafe {
        let function = dlsym(ptr::null_mut(), name.as_ptr());
        if function.is_null() {
            None
        } else {
            text(std::mem::transmute::<*mut c_void, What>(function)())
        }
    };
    what.unwrap_or_else(|| "torch refused the call, and has printed why".to_owned())
}

unsafe fn text(string: *const c_char) -> Option<String> {
    if string.is_null() {
        return None;
    }
    Some(unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned())
}
