//! What rank-relax-tch uses of tch 0.24.0, with its signatures: tensors are `at::Tensor*`, by
//! libtorch's C shim. It stands in for tch, which these tests cannot have.

use std::ffi::c_void;

#[repr(C)]
pub struct C_tensor {
    _private: [u8; 0],
}

pub struct Tensor {
    c_tensor: *mut C_tensor,
}

extern "C" {
    fn aoti_torch_new_tensor_handle(from: *mut c_void, to: *mut *mut c_void) -> i32;
    fn aoti_torch_delete_tensor_object(tensor: *mut c_void) -> i32;
}

impl Tensor {
    /// # Safety
    ///
    /// The tensor is the caller's to give away.
    pub unsafe fn from_ptr(c_tensor: *mut C_tensor) -> Self {
        Self { c_tensor }
    }

    pub fn as_mut_ptr(&mut self) -> *mut C_tensor {
        self.c_tensor
    }

    pub fn shallow_clone(&self) -> Tensor {
        let mut clone = std::ptr::null_mut();
        let status = unsafe { aoti_torch_new_tensor_handle(self.c_tensor.cast(), &mut clone) };
        assert_eq!(status, 0);
        Tensor { c_tensor: clone.cast() }
    }
}

impl Drop for Tensor {
    fn drop(&mut self) {
        unsafe { aoti_torch_delete_tensor_object(self.c_tensor.cast()) };
    }
}
