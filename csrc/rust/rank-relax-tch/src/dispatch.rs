//! torch's dispatcher through libtorch's C shim (torch/csrc/stable/c/shim.h), which tch has no
//! door to.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::Tensor;

/// An argument of an operator, as its schema has it.
pub enum Argument {
    Tensor(Tensor),
    Float(f64),
    Text(Text),
    /// The None of an optional argument.
    Nothing,
}

impl Argument {
    /// What the dispatcher takes over, and frees, once it has found the operator. tch's tensors are
    /// `at::Tensor*`, and so are those of libtorch's C shim.
    fn hand_over(self) -> u64 {
        match self {
            Self::Tensor(tensor) => ManuallyDrop::new(tensor).as_mut_ptr() as u64,
            Self::Float(value) => value.to_bits(),
            Self::Text(text) => ManuallyDrop::new(text).0 as u64,
            Self::Nothing => 0,
        }
    }
}

/// A string of libtorch's.
pub struct Text(*mut c_void);

impl Text {
    pub fn new(text: &str) -> Result<Self, String> {
        let mut handle = ptr::null_mut();
        // SAFETY: the text is copied.
        let status =
            unsafe { torch_new_string_handle(text.as_ptr().cast(), text.len(), &mut handle) };
        match status {
            0 => Ok(Self(handle)),
            _ => Err(last_error()),
        }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle. There is nothing to do where that fails.
        unsafe { torch_delete_string(self.0) };
    }
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
    fn torch_delete_string(handle: *mut c_void) -> i32;
    fn torch_delete_list(handle: *mut c_void) -> i32;
}

extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlerror() -> *const c_char;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}
const RTLD_NOW: c_int = 2;

/// Opens a library for good, so that what it registers stays.
///
/// # Safety
///
/// Code of the library runs when it is opened: it must be sound to run it.
pub unsafe fn load(path: &CStr) -> Result<(), String> {
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
/// It is an operator of rank_relax's library that has a tensor for its result, and its schema has
/// these arguments.
pub unsafe fn call<const N: usize>(
    operator: &CStr,
    arguments: [Argument; N],
) -> Result<*mut c_void, String> {
    find_operators()?;
    let mut stack = arguments.map(Argument::hand_over);
    unsafe { dispatch(operator, &mut stack)? };
    Ok(stack[0] as *mut c_void)
}

/// Whether the library is loaded, asked of its operator that takes nothing: where the dispatcher
/// finds none of a name, it leaves what it was given to nobody.
fn find_operators() -> Result<(), String> {
    static FOUND: AtomicBool = AtomicBool::new(false);
    if FOUND.load(Ordering::Relaxed) {
        return Ok(()); // they stay
    }
    let mut list = [0];
    // SAFETY: it has no arguments, and its result is a list.
    unsafe {
        dispatch(c"rank_relax::_devices_without_float64", &mut list).map_err(|why| {
            format!("the operators of rank_relax are not loaded, call load first: {why}")
        })?;
        torch_delete_list(list[0] as *mut c_void);
    }
    FOUND.store(true, Ordering::Relaxed);
    Ok(())
}

unsafe fn dispatch(operator: &CStr, stack: &mut [u64]) -> Result<(), String> {
    let overload = c"".as_ptr();
    let status = unsafe {
        torch_call_dispatcher(operator.as_ptr(), overload, stack.as_mut_ptr(), BUILD_VERSION)
    };
    match status {
        0 => Ok(()),
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
