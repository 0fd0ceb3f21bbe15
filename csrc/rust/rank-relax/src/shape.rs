use crate::error::{Error, Result};

/// The most dimensions that a [`View`](crate::View) has.
pub const MAX_DIMS: usize = 8;

/// With that of the weights of counts.
pub(crate) const DIMS: usize = MAX_DIMS + 1;

/// Sizes, as the library reads them, without memory of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    sizes: [i64; DIMS],
    dims: usize,
    numel: usize,
}

impl Shape {
    pub fn of(sizes: &[usize]) -> Result<Self> {
        Self::within(MAX_DIMS, sizes)
    }

    fn within(most: usize, sizes: &[usize]) -> Result<Self> {
        let too_large = || Error::invalid(format!("shape {sizes:?} is larger than memory can be"));
        if sizes.len() > most {
            return Err(Error::invalid(format!(
                "shape must have 0 to {most} dimensions, got {sizes:?}"
            )));
        }
        let mut shape = Self { sizes: [0; DIMS], dims: sizes.len(), numel: 0 };
        let mut product: i64 = 1;
        for (to, &size) in shape.sizes.iter_mut().zip(sizes) {
            *to = i64::try_from(size).map_err(|_| too_large())?;
            // Of the others, if one is 0, so that sizes alone decide what is too large.
            product = product.checked_mul((*to).max(1)).ok_or_else(too_large)?;
        }
        shape.numel = match sizes.contains(&0) {
            true => 0,
            false => usize::try_from(product).map_err(|_| too_large())?,
        };
        Ok(shape)
    }

    pub fn sizes(&self) -> &[i64] {
        &self.sizes[..self.dims]
    }

    pub fn numel(&self) -> usize {
        self.numel
    }

    /// The items of one list.
    pub fn last(&self) -> usize {
        self.sizes().last().map_or(1, |&size| size as usize)
    }

    fn in_usize(&self) -> Vec<usize> {
        self.sizes().iter().map(|&size| size as usize).collect()
    }

    /// Without the last dimension.
    pub fn batch(&self) -> Self {
        let mut sizes = self.in_usize();
        sizes.pop();
        Self::within(DIMS, &sizes).expect("no larger than this")
    }

    pub fn with(&self, last: usize) -> Result<Self> {
        let mut sizes = self.in_usize();
        sizes.push(last);
        Self::within(DIMS, &sizes)
    }
}
