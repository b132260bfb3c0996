//! `cargo bench -p phantom --bench dataset`

use divan::Bencher;
use divan::counter::ItemsCount;
use phantom::{
    CmrfDataset, CmrfOptions, Dataset, DtiDataset, DtiOptions, ImageOptions, MolliSeries,
    MotionOptions, Protocol, Route, SegmentationContrast, SegmentationDataset, SeriesDataset,
    SeriesOptions,
};

fn main() {
    divan::main();
}

/// Eleven images of 192 × 160 pixels.
fn molli(route: Route, elastic_share: f64) -> SeriesDataset {
    let scheme = "3(3)3(3)5".parse().expect("a scheme");
    let options = SeriesOptions {
        images: ImageOptions { route, ..ImageOptions::default() },
        motion: MotionOptions { elastic_share, ..MotionOptions::default() },
        ..SeriesOptions::default()
    };
    let protocol = Protocol::Molli(MolliSeries { scheme, ..MolliSeries::default() });
    SeriesDataset::new(protocol, options).expect("options")
}

/// One group after the other on one thread.
fn groups(bencher: Bencher, dataset: &dyn Dataset) {
    let mut index = 0;
    bencher.counter(ItemsCount::new(dataset.group_len())).bench_local(|| {
        index += 1;
        dataset.group(index)
    });
}

#[divan::bench]
fn molli_of_usual_motion(bencher: Bencher) {
    groups(bencher, &molli(Route::ShortCut, MotionOptions::default().elastic_share));
}

#[divan::bench]
fn molli_of_shifts_and_turns(bencher: Bencher) {
    groups(bencher, &molli(Route::ShortCut, 0.0));
}

#[divan::bench]
fn molli_through_k_space(bencher: Bencher) {
    groups(bencher, &molli(Route::KSpace { n_channels: 1 }, 0.0));
}

#[divan::bench]
fn segmentation(bencher: Bencher) {
    let contrasts = SegmentationContrast::ALL.to_vec();
    let set = SegmentationDataset::new(ImageOptions::default(), contrasts).expect("options");
    groups(bencher, &set);
}

#[divan::bench]
fn cmrf(bencher: Bencher) {
    groups(bencher, &CmrfDataset::new(CmrfOptions::default()).expect("options"));
}

#[divan::bench]
fn dti(bencher: Bencher) {
    groups(bencher, &DtiDataset::new(DtiOptions::default()).expect("options"));
}
