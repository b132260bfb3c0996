//! Time of the checks before and after a network, for a mask of four classes of 160 × 192 pixels.

use inference::manifest::{Input, Output};
use inference::{Tensor, features, guard};

const N_Y: usize = 160;
const N_X: usize = 192;

fn main() {
    divan::main();
}

#[divan::bench]
fn output_of_probabilities(bencher: divan::Bencher<'_, '_>) {
    let output: Output = toml::from_str(
        "name = \"p\"\nkind = \"probability\"\naxes = [\"batch\", \"channel\", \"y\", \"x\"]\n\
         shape = [\"n\", 4, 160, 192]\nguard = { range = [0.0, 1.0], sum_tolerance = 1e-3 }\n",
    )
    .expect("an output");
    let tensor = Tensor::from_f32(&[1, 4, N_Y, N_X], vec![0.25; 4 * N_Y * N_X]).expect("whole");
    bencher.bench(|| guard::check_output(&output, &tensor).expect("good"));
}

#[divan::bench]
fn input_in_its_range(bencher: divan::Bencher<'_, '_>) {
    let input: Input = toml::from_str(
        "name = \"x\"\nrole = \"image\"\naxes = [\"batch\", \"channel\", \"y\", \"x\"]\n\
         shape = [\"n\", 1, 160, 192]\nrange = [0.0, 5000.0]\n",
    )
    .expect("an input");
    let values = vec![1000.0; N_Y * N_X];
    bencher.bench(|| guard::check_values(&input, &values).expect("good"));
}

#[divan::bench]
fn features_of_an_image(bencher: divan::Bencher<'_, '_>) {
    let values: Vec<f32> = (0..N_Y * N_X).map(|place| ((place * 7919) % 1000) as f32).collect();
    bencher.bench(|| features::features(&values, N_Y, N_X));
}
