//! Raw bindings of librank_relax: each function, struct and constant of its header
//! `csrc/c/include/rank_relax.h`, which documents them, by its own name. The crate `rank-relax` is
//! the safe door.
//!
//! The build compiles the library with a C++17 compiler, or links `librank_relax.a` from the folder
//! that the environment variable `RANK_RELAX_LIB_DIR` names.

#![allow(non_camel_case_types)]
#![no_std]

use core::ffi::{c_char, c_void};
use core::ptr;

/// Of the header that this was written after.
pub const RANK_RELAX_VERSION: u32 = 100;

pub type rank_relax_status = i32;

pub const RANK_RELAX_OK: rank_relax_status = 0;
pub const RANK_RELAX_INVALID_ARGUMENT: rank_relax_status = 1;
pub const RANK_RELAX_OUT_OF_MEMORY: rank_relax_status = 2;
pub const RANK_RELAX_UNSUPPORTED: rank_relax_status = 3;
pub const RANK_RELAX_DEVICE_ERROR: rank_relax_status = 4;
pub const RANK_RELAX_INTERNAL_ERROR: rank_relax_status = 5;

/// The struct `device` of a tensor, which has no name in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct rank_relax_device {
    pub type_: i32,
    pub id: i32,
}

/// The struct `dtype` of a tensor, which has no name in C.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct rank_relax_dtype {
    pub code: u8,
    pub bits: u8,
    pub lanes: u16,
}

/// Laid out as DLPack's `DLTensor`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rank_relax_tensor {
    pub data: *mut c_void,
    pub device: rank_relax_device,
    pub ndim: i32,
    pub dtype: rank_relax_dtype,
    pub shape: *mut i64,
    pub strides: *mut i64,
    pub byte_offset: u64,
}

pub type rank_relax_work = Option<unsafe extern "C" fn(work: *mut c_void, begin: i64, end: i64)>;

pub type rank_relax_parallel_for = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        count: i64,
        grain: i64,
        run: rank_relax_work,
        work: *mut c_void,
    ),
>;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rank_relax_options {
    pub struct_size: usize,
    pub regularization_strength: f64,
    pub method: *const c_char,
    pub mask: *const rank_relax_tensor,
    pub offsets: *const rank_relax_tensor,
    pub parallel_for: rank_relax_parallel_for,
    pub parallel_context: *mut c_void,
    pub cuda_stream: *mut c_void,
    pub workspace: *mut c_void,
    pub workspace_size: usize,
}

/// What the macro of this name is in C.
pub const RANK_RELAX_OPTIONS: rank_relax_options = rank_relax_options {
    struct_size: size_of::<rank_relax_options>(),
    regularization_strength: 1.0,
    method: c"sigmoid".as_ptr(),
    mask: ptr::null(),
    offsets: ptr::null(),
    parallel_for: None,
    parallel_context: ptr::null_mut(),
    cuda_stream: ptr::null_mut(),
    workspace: ptr::null_mut(),
    workspace_size: 0,
};

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct rank_relax_points {
    pub struct_size: usize,
    pub points: *const rank_relax_tensor,
    pub values: *const rank_relax_tensor,
    pub weights: *const rank_relax_tensor,
    pub point_offsets: *const rank_relax_tensor,
    pub value_keys: *const rank_relax_tensor,
    pub point_keys: *const rank_relax_tensor,
    pub order: i64,
}

extern "C" {
    pub fn rank_relax_version() -> u32;
    pub fn rank_relax_last_error() -> *const c_char;
    pub fn rank_relax_threads(
        context: *mut c_void,
        count: i64,
        grain: i64,
        run: rank_relax_work,
        work: *mut c_void,
    );
    pub fn rank_relax_methods() -> *const c_char;
    pub fn rank_relax_max_order(method: *const c_char) -> i32;

    pub fn rank_relax_soft_rank_workspace(
        input: *const rank_relax_tensor,
        order: i32,
        options: *const rank_relax_options,
        bytes: *mut usize,
    ) -> rank_relax_status;
    pub fn rank_relax_spearman_loss_workspace(
        predictions: *const rank_relax_tensor,
        targets: *const rank_relax_tensor,
        options: *const rank_relax_options,
        bytes: *mut usize,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_sort_workspace(
        input: *const rank_relax_tensor,
        options: *const rank_relax_options,
        bytes: *mut usize,
    ) -> rank_relax_status;

    pub fn rank_relax_soft_rank(
        input: *const rank_relax_tensor,
        options: *const rank_relax_options,
        ranks: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_rank_derivative(
        input: *const rank_relax_tensor,
        directions: *const *const rank_relax_tensor,
        order: i32,
        options: *const rank_relax_options,
        output: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_hard_rank(
        input: *const rank_relax_tensor,
        descending: i32,
        normalize: i32,
        options: *const rank_relax_options,
        ranks: *const rank_relax_tensor,
    ) -> rank_relax_status;

    pub fn rank_relax_spearman_loss(
        predictions: *const rank_relax_tensor,
        targets: *const rank_relax_tensor,
        target_ranks: *const c_char,
        options: *const rank_relax_options,
        loss: *const rank_relax_tensor,
        rank_gradient_predictions: *const rank_relax_tensor,
        rank_gradient_targets: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_spearman_loss_backward(
        grad_loss: *const rank_relax_tensor,
        values: *const rank_relax_tensor,
        rank_gradient: *const rank_relax_tensor,
        options: *const rank_relax_options,
        gradient: *const rank_relax_tensor,
    ) -> rank_relax_status;

    pub fn rank_relax_soft_sort(
        input: *const rank_relax_tensor,
        options: *const rank_relax_options,
        values: *const rank_relax_tensor,
        points: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_sort_product(
        vector: *const rank_relax_tensor,
        input: *const rank_relax_tensor,
        points: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
        transposed: i32,
        options: *const rank_relax_options,
        output: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_quantile(
        input: *const rank_relax_tensor,
        q: *const rank_relax_tensor,
        options: *const rank_relax_options,
        quantiles: *const rank_relax_tensor,
        points: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_quantile_product(
        vector: *const rank_relax_tensor,
        input: *const rank_relax_tensor,
        points: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
        transposed: i32,
        options: *const rank_relax_options,
        output: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_topk(
        input: *const rank_relax_tensor,
        k: *const rank_relax_tensor,
        options: *const rank_relax_options,
        chosen: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_topk_product(
        vector: *const rank_relax_tensor,
        densities: *const rank_relax_tensor,
        options: *const rank_relax_options,
        output: *const rank_relax_tensor,
    ) -> rank_relax_status;
    pub fn rank_relax_soft_count(
        points: *const rank_relax_points,
        options: *const rank_relax_options,
        output: *const rank_relax_tensor,
    ) -> rank_relax_status;

    pub fn spearman_loss_ffi(
        predictions: *const f64,
        predictions_len: usize,
        targets: *const f64,
        targets_len: usize,
        regularization_strength: f64,
    ) -> f64;
    pub fn spearman_loss_batch(
        predictions: *const f64,
        targets: *const f64,
        batch_size: usize,
        n_items: usize,
        regularization_strength: f64,
        losses: *mut f64,
    );
    pub fn spearman_loss_batch_gradient(
        predictions: *const f64,
        targets: *const f64,
        batch_size: usize,
        n_items: usize,
        regularization_strength: f64,
        grad_losses: *const f64,
        losses: *mut f64,
        grad_predictions: *mut f64,
        grad_targets: *mut f64,
    ) -> rank_relax_status;
}
