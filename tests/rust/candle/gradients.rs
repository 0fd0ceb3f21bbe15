//! rank-relax-candle through candle's own autograd: gradients are slopes, strides are respected.

#[path = "../numbers/mod.rs"]
mod numbers;

use candle_core::{Device, Result, Tensor, Var};
use numbers::{assert_close, dot, random, slopes};
use rank_relax_candle::{soft_rank, spearman_loss, Method, Options};

const LISTS: usize = 3;
const N: usize = 11;
const SHAPE: (usize, usize) = (LISTS, N);

fn tensor(values: &[f64]) -> Tensor {
    Tensor::from_slice(values, SHAPE, &Device::Cpu).unwrap()
}

fn items(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn gradients_of_ranks_are_slopes() -> Result<()> {
    let (x, weights) = (random(LISTS * N, 1), random(LISTS * N, 2));
    for method in [Method::Sigmoid, Method::Gaussian, Method::L2] {
        let options = Options::new(0.7).method(method).threads(2);
        let values = Var::from_slice(&x, SHAPE, &Device::Cpu)?;
        let sum = soft_rank(&values, options)?.mul(&tensor(&weights))?.sum_all()?;
        let gradient = items(sum.backward()?.get(&values).unwrap());
        let of_ranks = |x: &[f64]| dot(&weights, &items(&soft_rank(&tensor(x), options).unwrap()));
        assert_close(&gradient, &slopes(&x, of_ranks), 1e-8);
        assert!(gradient.iter().any(|slope| slope.abs() > 1e-3));
    }
    Ok(())
}

#[test]
fn gradients_of_losses_are_slopes() -> Result<()> {
    let (p, t) = (random(LISTS * N, 3), random(LISTS * N, 4));
    let labels: Vec<i64> = t.iter().map(|t| (t * 3.0) as i64).collect();
    let labels = Tensor::from_slice(&labels, SHAPE, &Device::Cpu)?;
    let options = Options::new(2.0);
    let predictions = Var::from_slice(&p, SHAPE, &Device::Cpu)?;
    let sum = spearman_loss(&predictions, &labels, options)?.sum_all()?;
    let gradient = items(sum.backward()?.get(&predictions).unwrap());
    let of_losses = |p: &[f64]| {
        let losses = spearman_loss(&tensor(p), &labels, options).unwrap();
        losses.to_vec1::<f64>().unwrap().iter().sum()
    };
    assert_close(&gradient, &slopes(&p, of_losses), 1e-8);
    Ok(())
}

#[test]
fn columns_are_lists_where_they_lie() -> Result<()> {
    let x = random(LISTS * N, 5);
    let transposed: Vec<f64> = (0..LISTS * N).map(|i| x[i % LISTS * N + i / LISTS]).collect();
    let columns = Tensor::from_slice(&transposed, (N, LISTS), &Device::Cpu)?.t()?;
    let ranks = items(&soft_rank(&columns, Options::new(3.0))?);
    assert_eq!(ranks, items(&soft_rank(&tensor(&x), Options::new(3.0))?));
    Ok(())
}

#[test]
fn errors_are_the_sentences_of_the_library() {
    let x = tensor(&random(LISTS * N, 6));
    let error = soft_rank(&x, Options::new(-1.0)).err().unwrap().to_string();
    assert!(error.contains("soft_rank: regularization_strength must be positive"), "{error}");
    let integers = Tensor::from_slice(&[1i64, 2], 2, &Device::Cpu).unwrap();
    let error = soft_rank(&integers, Options::new(1.0)).err().unwrap().to_string();
    assert!(error.contains("takes F32 and F64"), "{error}");
}

#[test]
fn masks_and_offsets_are_refused() {
    let (x, y) = (tensor(&random(LISTS * N, 7)), tensor(&random(LISTS * N, 8)));
    let flat = x.flatten_all().unwrap();
    for (options, what) in [
        (Options::new(1.0).mask(&[true; N]), "no mask"),
        (Options::new(1.0).offsets(&[0, 3, (LISTS * N) as i64]), "no offsets"),
    ] {
        for result in [
            soft_rank(&x, options),
            soft_rank(&flat, options),
            spearman_loss(&x, &y, options),
            spearman_loss(&flat, &flat, options),
        ] {
            let error = result.err().expect(what).to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
