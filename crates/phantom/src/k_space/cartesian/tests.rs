//! The fast way against the direct sum.

use super::*;
use crate::coils::LoopArray;
use crate::k_space::direct;
use crate::shepp_logan::shepp_logan;

fn grid(matrix_size: [usize; 2], readout_oversampling: usize) -> CartesianGrid {
    CartesianGrid { matrix_size, field_of_view_mm: [240.0, 200.0], readout_oversampling }
}

fn largest(values: impl IntoIterator<Item = Complex64>) -> f64 {
    values.into_iter().map(|value| value.norm()).fold(0.0, f64::max)
}

fn double(value: Complex32) -> Complex64 {
    Complex64::new(value.re.into(), value.im.into())
}

#[test]
fn k_space_is_the_sum_of_shifted_spectra_at_every_oversampling() {
    let mut components = shepp_logan(100.0, 1, 3);
    components[3].amplitude = Complex64::new(0.3, -0.7);
    let coils = LoopArray::new(5, 100.0, [240.0, 200.0]).sensitivities(0.0);
    for (matrix_size, oversampling) in
        [([30, 25], 1), ([16, 18], 2), ([15, 16], 3), ([9, 13], 4), ([1, 1], 1), ([2, 3], 5)]
    {
        let grid = grid(matrix_size, oversampling);
        let sampler = CartesianSampler::new(grid, &coils);
        let k_space = sampler.k_space(&Object::Ellipses(components.clone()));
        let n_samples = matrix_size[0] * oversampling;
        assert_eq!(k_space.dim(), (matrix_size[1], 5, n_samples));
        let direct = direct::samples(&components, &coils, grid, &sampler.places());
        let peak = largest(direct.iter().copied());
        let worst = largest(k_space.indexed_iter().map(|((line, channel, sample), value)| {
            double(*value) - direct[[channel, line * n_samples + sample]]
        }));
        // Some roundings to single precision; the largest value of larger grids stands out
        // more, so they come closer.
        assert!(worst < 4e-7 * peak, "{matrix_size:?} × {oversampling}: {worst} of {peak}");
    }
}

fn chest() -> (CartesianGrid, CoilSensitivities) {
    let grid = CartesianGrid {
        matrix_size: [192, 160],
        field_of_view_mm: [360.0, 300.0],
        readout_oversampling: 2,
    };
    let array = LoopArray::around(6, [165.0, 115.0], [-10.0, 0.0], grid.field_of_view_mm);
    (grid, array.sensitivities(10.0))
}

#[test]
fn a_full_size_line_is_the_direct_sum() {
    let (grid, coils) = chest();
    let components = shepp_logan(140.0, 0, 1);
    let sampler = CartesianSampler::new(grid, &coils);
    let k_space = sampler.k_space(&Object::Ellipses(components.clone()));
    let peak = k_space.iter().map(|value| f64::from(value.norm())).fold(0.0, f64::max);
    for line in [0, 80, 93] {
        let samples: Vec<usize> = (0..384).step_by(11).collect();
        let places: Vec<_> = samples.iter().map(|&n| grid.k_per_mm(line, n)).collect();
        let direct = direct::samples(&components, &coils, grid, &places);
        for ((channel, n), direct) in direct.indexed_iter() {
            let error = (double(k_space[[line, channel, samples[n]]]) - direct).norm();
            // Rounding to single precision of the largest values, and everywhere the noise
            // of transforms in single precision, which goes with the root mean square.
            assert!(error < 2e-7 * direct.norm() + 5e-8 * peak, "{error} of {peak}");
        }
    }
}

#[test]
fn shapes_and_basis_add_up_to_the_object() {
    let coils = LoopArray::new(3, 100.0, [240.0, 200.0]).sensitivities(0.0);
    let sampler = CartesianSampler::new(grid([20, 17], 2), &coils);
    let mut components = shepp_logan(100.0, 0, 2);
    components[2].amplitude = Complex64::new(0.1, 0.9);
    let ellipses: Vec<Ellipse> = components.iter().map(|part| part.ellipse).collect();
    let amplitudes: Vec<Complex64> = components.iter().map(|part| part.amplitude).collect();
    let k_space = sampler.k_space(&Object::Ellipses(components));
    let shapes = sampler.shapes(&ellipses);
    assert_eq!(shapes.ellipses(), ellipses);
    let of_shapes = sampler.k_space_of_shapes(&shapes, &amplitudes);
    let basis = sampler.basis(&ellipses);
    let peak = k_space.iter().map(|value| value.norm()).fold(0.0, f32::max);
    for (place, value) in k_space.indexed_iter() {
        assert!((value - of_shapes[place]).norm() < 1e-6 * peak);
        let (line, channel, sample) = place;
        let sum: Complex64 = amplitudes
            .iter()
            .enumerate()
            .map(|(e, amplitude)| amplitude * double(basis[[e, line, channel, sample]]))
            .sum();
        assert!((sum - double(*value)).norm() < 1e-6 * f64::from(peak));
    }
}

#[test]
fn thread_count_and_kept_coils_change_no_bit() {
    let (grid, coils) = chest();
    let mut sampler = CartesianSampler::new(grid, &coils);
    let object = Object::Ellipses(shepp_logan(140.0, 1, 2));
    let with_threads = |sampler: &CartesianSampler, n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        pool.expect("threads").install(|| sampler.k_space(&object))
    };
    let single = with_threads(&sampler, 1);
    assert_eq!(single, with_threads(&sampler, 8));
    if let Route::Fourier(coils) = &mut sampler.route {
        assert!(coils.kept.take().is_some());
    }
    assert_eq!(single, with_threads(&sampler, 2));
}

#[test]
fn images_are_the_object_times_the_coils() {
    let (grid, coils) = chest();
    let sampler = CartesianSampler::new(grid, &coils);
    let ellipse = Ellipse { semi_axes_mm: [100.0, 80.0], center_mm: [10.0, -5.0], angle_rad: 0.2 };
    let amplitude = Complex64::new(0.5, 2.0);
    let object = Object::Ellipses(vec![Component { ellipse, amplitude }]);
    let images = sampler.images(sampler.k_space(&object).view());
    let maps = coils.maps(grid.matrix_size);
    for ((channel, y, x), value) in images.indexed_iter() {
        let (x_mm, y_mm) = (1.875 * (x as f64 - 96.0), 1.875 * (y as f64 - 80.0));
        let inner = Ellipse { semi_axes_mm: [60.0, 40.0], ..ellipse };
        if inner.contains(x_mm, y_mm) {
            let expected = amplitude * double(maps[[channel, y, x]]);
            // Ringing 20 pixels from an edge.
            assert!((double(*value) - expected).norm() < 0.03, "{value} and {expected}");
        }
    }
}

#[test]
fn nothing_and_points_without_extent_give_no_signal() {
    let (grid, coils) = chest();
    let sampler = CartesianSampler::new(grid, &coils);
    let ellipse = Ellipse { semi_axes_mm: [0.0; 2], center_mm: [1.0; 2], angle_rad: 0.0 };
    for object in [Object::Ellipses(Vec::new()), unit(ellipse)] {
        assert!(sampler.k_space(&object).iter().all(|value| *value == Complex32::ZERO));
    }
    assert_eq!(sampler.basis(&[]).dim(), (0, 160, 6, 384));
    let none = sampler.k_space_of_shapes(&sampler.shapes(&[]), &[]);
    assert!(none.iter().all(|value| *value == Complex32::ZERO));
}
