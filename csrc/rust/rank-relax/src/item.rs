/// What lists may be made of. Integers and bools are compared as they are: see
/// [`hard_rank`](crate::hard_rank) and the targets of [`spearman_loss`](crate::spearman_loss).
pub trait Real: sealed::Sealed + Copy + Default + Send + Sync + 'static {}

/// What values may be: they have soft ranks, and derivatives of the same type.
pub trait Float: Real {
    /// What passes between forward and backward.
    type Statistics: Real;
}

/// What this crate computes with itself, beside the library.
pub trait Native: Float {
    fn to_f64(self) -> f64;
    fn from_f64(value: f64) -> Self;
}

/// The bits of an IEEE half. It is computed with as `f32`, and results are rounded.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct F16(pub u16);

/// The bits of a bfloat16, the upper half of those of an `f32`.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BF16(pub u16);

pub(crate) mod sealed {
    /// DLPack's code and the bits of a type whose every value is one of that dtype, and whose every
    /// value that the library writes is one of the type.
    pub trait Sealed {
        const CODE: u8;
        const BITS: u8;
    }
}

macro_rules! items {
    ($($item:ty: $code:literal, $bits:literal;)*) => {$(
        impl sealed::Sealed for $item {
            const CODE: u8 = $code;
            const BITS: u8 = $bits;
        }
        impl Real for $item {}
    )*};
}

items! {
    i8: 0, 8; i16: 0, 16; i32: 0, 32; i64: 0, 64;
    u8: 1, 8; u16: 1, 16; u32: 1, 32; u64: 1, 64;
    F16: 2, 16; f32: 2, 32; f64: 2, 64;
    BF16: 4, 16;
    bool: 6, 8;
}

impl Float for f64 {
    type Statistics = f64;
}
impl Float for f32 {
    type Statistics = f32;
}
impl Float for F16 {
    type Statistics = f32;
}
impl Float for BF16 {
    type Statistics = f32;
}

impl Native for f64 {
    fn to_f64(self) -> f64 {
        self
    }
    fn from_f64(value: f64) -> Self {
        value
    }
}
impl Native for f32 {
    fn to_f64(self) -> f64 {
        self.into()
    }
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}
