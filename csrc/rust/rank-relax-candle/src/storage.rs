use candle_core::{CpuStorage, Error, Layout, Result};
use rank_relax::{Float, Real, View};

/// What candle stores, and has gradients of.
pub trait Item: Float {
    fn of(storage: &CpuStorage) -> Result<&[Self]>;
    fn store(values: Vec<Self>) -> CpuStorage;
}

macro_rules! items {
    ($($item:ty: $variant:ident),*) => {$(
        impl Item for $item {
            fn of(storage: &CpuStorage) -> Result<&[Self]> {
                match storage {
                    CpuStorage::$variant(values) => Ok(values),
                    _ => Err(Error::msg("gradients must have the dtype of the values")),
                }
            }
            fn store(values: Vec<Self>) -> CpuStorage {
                CpuStorage::$variant(values)
            }
        }
    )*};
}

items! { f32: F32, f64: F64 }

/// `$body` with the items of the storage, of the type that they are of.
macro_rules! each_value {
    ($storage:expr, |$items:ident| $body:expr) => {
        match $storage {
            candle_core::CpuStorage::F32($items) => $body,
            candle_core::CpuStorage::F64($items) => $body,
            _ => {
                return Err(candle_core::Error::msg(
                    "rank_relax takes F32 and F64; convert with to_dtype",
                ))
            }
        }
    };
}

/// The same with those of targets.
macro_rules! each_real {
    ($storage:expr, |$items:ident| $body:expr) => {
        match $storage {
            candle_core::CpuStorage::U8($items) => $body,
            candle_core::CpuStorage::U32($items) => $body,
            candle_core::CpuStorage::I64($items) => $body,
            candle_core::CpuStorage::F32($items) => $body,
            candle_core::CpuStorage::F64($items) => $body,
            _ => {
                return Err(candle_core::Error::msg(
                    "rank_relax takes targets of U8, U32, I64, F32 and F64; convert with to_dtype",
                ))
            }
        }
    };
}

pub(crate) use {each_real, each_value};

pub fn refused(error: rank_relax::Error) -> Error {
    Error::wrap(error)
}

/// The lists of a tensor where they lie.
pub fn view<'a, T: Real>(items: &'a [T], layout: &Layout) -> Result<View<'a, T>> {
    let strides: Vec<isize> = layout.stride().iter().map(|&stride| stride as isize).collect();
    View::strided(items, layout.start_offset(), layout.dims(), &strides).map_err(refused)
}
