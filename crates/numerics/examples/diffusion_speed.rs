//! Times of a diffusion series of 128 × 128 pixels and 96 images.
//!
//! `cargo run --release -p numerics --example diffusion_speed`, and with a Python that has DIPY, e.g.
//! `-- .venv/bin/python`, DIPY's linear fit of as many pixels and images in the same run.

use std::process::Command;
use std::time::Instant;

use ndarray::{Array3, Axis};
use numerics::denoise::mp_pca;
use numerics::diffusion::{
    BMatrix, FitMethod, MotionOptions, TensorPlan, WallAxes, each_pixel, eigen, fibre_angles,
    register_diffusion,
};

const EDGE: usize = 128;

/// The best of five times of DIPY's linear fit, ms.
const DIPY: &str = "
import time, numpy as np
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
k = np.arange(96) % 12
z = (k + 0.5) / 12; r = np.sqrt(1 - z * z)
g = np.stack([r * np.cos(2.4 * k), r * np.sin(2.4 * k), z], 1); g[k == 0] = 0
table = gradient_table(np.where(k == 0, 0.0, 500.0), bvecs=g)
model = TensorModel(table, fit_method='LS')
data = np.random.default_rng(1).uniform(20, 100, (128, 128, 1, 96))
times = []
for _ in range(5):
    start = time.perf_counter()
    fit = model.fit(data); fit.evals, fit.evecs, fit.fa, fit.md
    times.append(time.perf_counter() - start)
print(1e3 * min(times))
";

fn main() {
    // Twelve directions and one image without weighting, eight times, less eight images.
    let encodings: Vec<BMatrix> = (0..96)
        .map(|image| {
            let k = image % 12;
            let z = (k as f64 + 0.5) / 12.0;
            let (sin, cos) = (2.4 * k as f64).sin_cos();
            let r = (1.0 - z * z).sqrt();
            BMatrix::along(if k == 0 { 0.0 } else { 500.0 }, [r * cos, r * sin, z])
        })
        .collect();
    let images = Array3::from_shape_fn((96, EDGE, EDGE), |(image, y, x)| {
        let (dy, dx) = (y as f64 - 64.0, x as f64 - 64.0);
        let radius = dy.hypot(dx);
        let inside = radius > 10.0 && radius < 20.0;
        let b = 1e-3 * encodings[image].b_value_s_per_mm2();
        let d = if inside { 1.0 + 0.5 * encodings[image].0[0] / b.max(1e-9) } else { 2.5 };
        let noise = (((image * EDGE + y) * EDGE + x) as f64 * 0.7311).sin();
        (100.0 * (-b * d).exp() + 4.0 * noise).abs() as f32
    });
    let plan = TensorPlan::new(&encodings).expect("enough directions");
    let flat = images.to_shape((96, EDGE * EDGE)).expect("contiguous");
    let best = |what: &str, n: usize, run: &dyn Fn()| -> f64 {
        let times = (0..n).map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        });
        let best = times.fold(f64::INFINITY, f64::min);
        println!("{what}: {best:.2} ms");
        best
    };
    let linear_ms = best("linear fit, eigenvectors, MD and FA of all pixels", 20, &|| {
        std::hint::black_box(plan.fit_linear(flat.view()));
    });
    if let Some(python) = std::env::args().nth(1) {
        let answer = Command::new(&python).args(["-c", DIPY]).output();
        let text = answer.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned());
        match text.map(|text| text.parse::<f64>()) {
            Ok(Ok(dipy_ms)) => {
                let ratio = dipy_ms / linear_ms;
                println!(
                    "DIPY's linear fit with the same: {dipy_ms:.1} ms, {ratio:.0} times as long"
                );
            }
            other => println!("{python} does not run DIPY: {other:?}"),
        }
    }
    let mut sum_ms = 0.0;
    let axes = WallAxes::of_short_axis(1.0, 0.3);
    for (what, method) in [
        ("weighted fit and angles of all pixels", FitMethod::Weighted { reweightings: 2 }),
        ("non-linear fit and angles of all pixels", FitMethod::NonLinear),
    ] {
        let time_ms = best(what, 3, &|| {
            std::hint::black_box(each_pixel(EDGE * EDGE, |pixel| {
                let signals: Vec<f64> = flat.column(pixel).iter().map(|v| f64::from(*v)).collect();
                plan.fit_pixel(&signals, method)
                    .map(|fit| fibre_angles(&eigen(&fit.tensor), &axes).helix_deg)
            }));
        });
        if method != FitMethod::NonLinear {
            sum_ms += time_ms;
        }
    }
    sum_ms += best("MP-PCA, patches of 5 x 5", 2, &|| {
        std::hint::black_box(mp_pca(images.view().insert_axis(Axis(1)), [0, 2, 2]).is_ok());
    });
    let options = MotionOptions {
        center_px: [64.0, 64.0],
        radius_px: 24.0,
        max_displacement_px: 8.0,
        max_angle_rad: 0.17,
        is_deformable: true,
    };
    sum_ms += best("registration, rigid and deformable", 2, &|| {
        std::hint::black_box(register_diffusion(images.view(), &plan, &options));
    });
    best("registration, rigid only", 2, &|| {
        let options = MotionOptions { is_deformable: false, ..options };
        std::hint::black_box(register_diffusion(images.view(), &plan, &options));
    });
    println!("registration, MP-PCA, weighted fit and angles: {sum_ms:.0} ms");
}
