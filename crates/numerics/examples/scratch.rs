//! scratch
use ndarray::Array4;
use num_complex::Complex32;
use numerics::coil_maps::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    s.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e6
}
fn time(name: &str, n: usize, mut f: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..n {
        let t = cpu();
        f();
        best = best.min(cpu() - t);
    }
    println!("{name:40} {best:8.2} ms cpu");
}
fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    for nc in [10, 16, 32] {
        let images = Array4::from_shape_fn((nc, 1, 256, 256), |(channel, _, y, x)| {
            let n = ((channel * 256 + y) * 256 + x) as f32;
            Complex32::new((n * 0.37).sin() + 1.0, (n * 0.91).cos() + 0.1 * channel as f32)
        });
        use ndarray::{Array2, Axis, s};
        use numerics::coil_compression::*;
        use numerics::grappa::*;
        let maps = inati(images.view(), &InatiOptions::default());
        time(&format!("inati {nc}"), 10, || {
            std::hint::black_box(inati(images.view(), &InatiOptions::default()));
        });
        time(&format!("compression ref {nc}"), 5, || {
            std::hint::black_box(
                Compression::from_reference(
                    images.slice(s![.., .., 116..140, ..]),
                    Axis(0),
                    Keep::All,
                )
                .unwrap(),
            );
        });
        let compression = Compression::from_reference(images.view(), Axis(0), Keep::All).unwrap();
        time(&format!("compression apply {nc}"), 5, || {
            std::hint::black_box(compression.apply(images.view(), Axis(0)));
        });
        let cal = images.slice(s![.., .., 116..140, ..]).to_owned();
        let mut kernel = None;
        time(&format!("calibrate {nc}"), 5, || {
            kernel = Some(
                Kernel::calibrate(cal.view(), [2, 1], &CalibrationOptions::default()).unwrap(),
            );
        });
        let kernel = kernel.unwrap();
        time(&format!("hybrid {nc}"), 5, || {
            std::hint::black_box(kernel.in_hybrid_space(256));
        });
        let hybrid = kernel.in_hybrid_space(256);
        let sampled = Array2::from_shape_fn((1, 256), |(_, y)| y % 2 == 0);
        let mut out = hybrid.fill(images.view(), sampled.view());
        time(&format!("fill {nc}"), 10, || {
            std::hint::black_box(hybrid.fill(images.view(), sampled.view()));
        });
        time(&format!("fill_into {nc}"), 10, || {
            hybrid.fill_into(images.view(), sampled.view(), out.view_mut());
        });
        time(&format!("unmixing {nc}"), 10, || {
            std::hint::black_box(unmixing(&kernel, maps.view()));
        });
        let u = unmixing(&kernel, maps.view());
        time(&format!("g {nc}"), 10, || {
            std::hint::black_box(g_factor(u.view(), [2, 1]));
        });
        let n = nc * 20;
        let m = Array2::from_shape_fn((n, n), |(i, j)| numerics_c(i, j, n));
        let mut l = None;
        time(&format!("cholesky {n}"), 3, || {
            l = Some(numerics::cholesky::factor(m.view()).unwrap());
        });
        let b = Array2::from_shape_fn((n, nc), |(i, j)| numerics_c(i, j, n));
        time(&format!("solve {n}"), 3, || {
            let mut b = b.clone();
            numerics::cholesky::solve(l.as_ref().unwrap().view(), b.view_mut());
        });
    }
}
fn numerics_c(i: usize, j: usize, n: usize) -> num_complex::Complex64 {
    let d = i as f64 - j as f64;
    num_complex::Complex64::new(if i == j { n as f64 } else { d.cos() }, d.sin())
}
