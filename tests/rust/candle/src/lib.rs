//! Tensors of candle, as far as custom operations, products with a constant and sums go.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug)]
pub struct Error(String);

impl Error {
    pub fn wrap(error: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self(error.to_string())
    }
    pub fn msg(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

pub enum Device {
    Cpu,
}

#[derive(Clone, Debug)]
pub enum CpuStorage {
    U8(Vec<u8>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
}

impl CpuStorage {
    fn len(&self) -> usize {
        match self {
            Self::U8(items) => items.len(),
            Self::U32(items) => items.len(),
            Self::I64(items) => items.len(),
            Self::F32(items) => items.len(),
            Self::F64(items) => items.len(),
            Self::I32(items) => items.len(),
        }
    }
}

pub trait WithDType: Copy {
    fn store(values: Vec<Self>) -> CpuStorage;
    fn of(storage: &CpuStorage) -> Result<&[Self]>;
}

macro_rules! dtypes {
    ($($item:ty: $variant:ident),*) => {$(
        impl WithDType for $item {
            fn store(values: Vec<Self>) -> CpuStorage {
                CpuStorage::$variant(values)
            }
            fn of(storage: &CpuStorage) -> Result<&[Self]> {
                match storage {
                    CpuStorage::$variant(values) => Ok(values),
                    _ => Err(Error::msg("unexpected dtype")),
                }
            }
        }
    )*};
}

dtypes! { u8: U8, u32: U32, i64: I64, f32: F32, f64: F64, i32: I32 }

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<usize>);

impl Shape {
    pub fn dims(&self) -> &[usize] {
        &self.0
    }
    pub fn elem_count(&self) -> usize {
        self.0.iter().product()
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}
impl From<usize> for Shape {
    fn from(dim: usize) -> Self {
        Self(vec![dim])
    }
}
impl From<(usize, usize)> for Shape {
    fn from(dims: (usize, usize)) -> Self {
        Self(vec![dims.0, dims.1])
    }
}

#[derive(Clone, Debug)]
pub struct Layout {
    shape: Shape,
    stride: Vec<usize>,
    start_offset: usize,
}

impl Layout {
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }
    pub fn stride(&self) -> &[usize] {
        &self.stride
    }
    pub fn start_offset(&self) -> usize {
        self.start_offset
    }
    fn contiguous(shape: Shape) -> Self {
        let mut stride = vec![1; shape.0.len()];
        for dim in (1..stride.len()).rev() {
            stride[dim - 1] = stride[dim] * shape.0[dim];
        }
        Self { shape, stride, start_offset: 0 }
    }
    /// The places of the items in row-major order.
    fn places(&self) -> Vec<usize> {
        let mut places = vec![self.start_offset];
        for (&size, &stride) in self.dims().iter().zip(&self.stride) {
            places = places.iter().flat_map(|at| (0..size).map(move |i| at + i * stride)).collect();
        }
        places
    }
}

pub trait CustomOp1 {
    fn name(&self) -> &'static str;
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)>;
    fn bwd(&self, arg: &Tensor, res: &Tensor, grad_res: &Tensor) -> Result<Option<Tensor>>;
}

pub trait CustomOp2 {
    fn name(&self) -> &'static str;
    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)>;
    fn bwd(
        &self,
        _arg1: &Tensor,
        _arg2: &Tensor,
        _res: &Tensor,
        _grad_res: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Err(Error::msg(format!("{} has no backward", self.name())))
    }
}

pub trait CustomOp3 {
    fn name(&self) -> &'static str;
    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)>;
}

enum Op {
    Custom1(Tensor, Box<dyn CustomOp1 + Send + Sync>),
    Custom2(Tensor, Tensor, Box<dyn CustomOp2 + Send + Sync>),
    Times(Tensor, Tensor),
    Sum(Tensor),
}

struct Inner {
    id: usize,
    storage: CpuStorage,
    layout: Layout,
    op: Option<Op>,
}

#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

impl Tensor {
    fn new(storage: CpuStorage, layout: Layout, op: Option<Op>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Inner { id, storage, layout, op }))
    }

    fn of((storage, shape): (CpuStorage, Shape), op: Option<Op>) -> Self {
        assert_eq!(storage.len(), shape.elem_count(), "the storage is of the shape");
        Self::new(storage, Layout::contiguous(shape), op)
    }

    pub fn from_slice<S: Into<Shape>, D: WithDType>(
        array: &[D],
        shape: S,
        _device: &Device,
    ) -> Result<Self> {
        Ok(Self::of((D::store(array.to_vec()), shape.into()), None))
    }

    fn items<D: WithDType>(&self) -> Result<Vec<D>> {
        let items = D::of(&self.0.storage)?;
        Ok(self.0.layout.places().into_iter().map(|place| items[place]).collect())
    }

    pub fn to_vec1<D: WithDType>(&self) -> Result<Vec<D>> {
        assert_eq!(self.0.layout.dims().len(), 1);
        self.items()
    }

    pub fn flatten_all(&self) -> Result<Tensor> {
        let flat = Shape::from(self.0.layout.shape.elem_count());
        let storage = match &self.0.storage {
            CpuStorage::F32(_) => CpuStorage::F32(self.items()?),
            _ => CpuStorage::F64(self.items()?),
        };
        Ok(Self::of((storage, flat), None))
    }

    pub fn t(&self) -> Result<Tensor> {
        let Layout { shape, stride, start_offset } = self.0.layout.clone();
        let layout = Layout {
            shape: Shape::from((shape.0[1], shape.0[0])),
            stride: vec![stride[1], stride[0]],
            start_offset,
        };
        Ok(Self::new(self.0.storage.clone(), layout, None))
    }

    pub fn contiguous(&self) -> Result<Tensor> {
        let flat = self.flatten_all()?;
        Ok(Self::of((flat.0.storage.clone(), self.0.layout.shape.clone()), None))
    }

    /// With a constant of the same shape.
    pub fn mul(&self, constant: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.items::<f64>()?, constant.items::<f64>()?);
        let product = a.iter().zip(b).map(|(a, b)| a * b).collect();
        let shape = self.0.layout.shape.clone();
        let op = Op::Times(self.clone(), constant.clone());
        Ok(Self::of((CpuStorage::F64(product), shape), Some(op)))
    }

    pub fn sum_all(&self) -> Result<Tensor> {
        let sum = CpuStorage::F64(vec![self.items::<f64>()?.iter().sum()]);
        Ok(Self::of((sum, Shape::from(&[][..])), Some(Op::Sum(self.clone()))))
    }

    pub fn apply_op1<C: 'static + CustomOp1 + Send + Sync>(&self, c: C) -> Result<Self> {
        let result = c.cpu_fwd(&self.0.storage, &self.0.layout)?;
        Ok(Self::of(result, Some(Op::Custom1(self.clone(), Box::new(c)))))
    }

    pub fn apply_op2<C: 'static + CustomOp2 + Send + Sync>(&self, r: &Self, c: C) -> Result<Self> {
        let result = c.cpu_fwd(&self.0.storage, &self.0.layout, &r.0.storage, &r.0.layout)?;
        Ok(Self::of(result, Some(Op::Custom2(self.clone(), r.clone(), Box::new(c)))))
    }

    pub fn apply_op2_no_bwd<C: CustomOp2>(&self, rhs: &Self, c: &C) -> Result<Self> {
        let (r, l) = (&rhs.0.storage, &rhs.0.layout);
        Ok(Self::of(c.cpu_fwd(&self.0.storage, &self.0.layout, r, l)?, None))
    }

    pub fn apply_op3_no_bwd<C: CustomOp3>(&self, t2: &Self, t3: &Self, c: &C) -> Result<Self> {
        let (s2, l2) = (&t2.0.storage, &t2.0.layout);
        let (s3, l3) = (&t3.0.storage, &t3.0.layout);
        Ok(Self::of(c.cpu_fwd(&self.0.storage, &self.0.layout, s2, l2, s3, l3)?, None))
    }

    /// The gradient of the sum of this, along a chain of operations.
    pub fn backward(&self) -> Result<GradStore> {
        let mut gradients = HashMap::new();
        let mut at = self.clone();
        let ones = match &self.0.storage {
            CpuStorage::F32(_) => CpuStorage::F32(vec![1.0; self.0.layout.shape.elem_count()]),
            _ => CpuStorage::F64(vec![1.0; self.0.layout.shape.elem_count()]),
        };
        let mut grad = Self::of((ones, self.0.layout.shape.clone()), None);
        loop {
            gradients.insert(at.0.id, grad.clone());
            let (next, gradient) = match &at.0.op {
                None => return Ok(GradStore(gradients)),
                Some(Op::Custom1(x, op)) => (x.clone(), op.bwd(x, &at, &grad)?),
                Some(Op::Custom2(x, y, op)) => (x.clone(), op.bwd(x, y, &at, &grad)?.0),
                Some(Op::Times(x, constant)) => (x.clone(), Some(grad.mul(constant)?)),
                Some(Op::Sum(x)) => {
                    // As candle has it: one number, at strides of 0.
                    let shape = x.0.layout.shape.clone();
                    let stride = vec![0; shape.0.len()];
                    let layout = Layout { shape, stride, start_offset: 0 };
                    (x.clone(), Some(Self::new(grad.0.storage.clone(), layout, None)))
                }
            };
            at = next;
            grad = gradient.expect("a gradient of the first argument");
        }
    }
}

pub struct GradStore(HashMap<usize, Tensor>);

impl GradStore {
    pub fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.0.id)
    }
}

pub struct Var(Tensor);

impl Var {
    pub fn from_slice<S: Into<Shape>, D: WithDType>(
        array: &[D],
        shape: S,
        device: &Device,
    ) -> Result<Self> {
        Tensor::from_slice(array, shape, device).map(Self)
    }
}

impl Deref for Var {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}
