//! rank-relax-tch's functions for a program in C: tensors are borrowed, and the result belongs to
//! the caller. NULL, and the sentence in `error`, where there is none.

use std::ffi::{c_char, c_void, CStr};
use std::mem::ManuallyDrop;
use std::ptr;

use tch::Tensor;

unsafe fn borrowed(handle: *mut c_void) -> ManuallyDrop<Tensor> {
    ManuallyDrop::new(unsafe { Tensor::from_ptr(handle.cast()) })
}

unsafe fn text<'a>(string: *const c_char) -> &'a str {
    unsafe { CStr::from_ptr(string) }.to_str().unwrap()
}

fn given(result: Result<Tensor, rank_relax_tch::Error>, error: &mut [u8]) -> *mut c_void {
    match result {
        Ok(tensor) => ManuallyDrop::new(tensor).as_mut_ptr().cast(),
        Err(why) => {
            let why = why.to_string();
            let length = why.len().min(error.len() - 1);
            error[..length].copy_from_slice(&why.as_bytes()[..length]);
            error[length] = 0;
            ptr::null_mut()
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn load(library: *const c_char) -> bool {
    unsafe { rank_relax_tch::load(text(library)).is_ok() }
}

#[no_mangle]
pub unsafe extern "C" fn soft_rank(
    input: *mut c_void,
    strength: f64,
    method: *const c_char,
    error: &mut [u8; 1024],
) -> *mut c_void {
    unsafe { given(rank_relax_tch::soft_rank(&borrowed(input), strength, text(method)), error) }
}

#[no_mangle]
pub unsafe extern "C" fn spearman_loss(
    predictions: *mut c_void,
    targets: *mut c_void,
    strength: f64,
    method: *const c_char,
    target_ranks: *const c_char,
    error: &mut [u8; 1024],
) -> *mut c_void {
    unsafe {
        let (p, t) = (borrowed(predictions), borrowed(targets));
        let (method, target_ranks) = (text(method), text(target_ranks));
        given(rank_relax_tch::spearman_loss(&p, &t, strength, method, target_ranks), error)
    }
}
