//! Daubechies' filters.

use std::sync::LazyLock;

/// Daubechies' wavelets with 1 to 5 vanishing moments, filters of 2 to 10 taps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// Haar's.
    #[default]
    Db1,
    /// 4 taps.
    Db2,
    /// 6 taps.
    Db3,
    /// 8 taps.
    Db4,
    /// 10 taps.
    Db5,
}

/// Low and high pass, each of energy ½.
type Filters = (Vec<f32>, Vec<f32>);

impl Family {
    /// All of them, by their number of vanishing moments.
    pub const ALL: [Self; 5] = [Self::Db1, Self::Db2, Self::Db3, Self::Db4, Self::Db5];

    /// Samples that its filters span.
    pub fn n_taps(self) -> usize {
        2 * (self as usize + 1)
    }

    /// Low and high pass for a transform without decimation: both of energy ½.
    pub(super) fn filters(self) -> (&'static [f32], &'static [f32]) {
        static FILTERS: LazyLock<[Filters; 5]> = LazyLock::new(|| {
            Family::ALL.map(|family| {
                let low = family.orthonormal();
                let n = low.len();
                let high =
                    (0..n).map(|tap| if tap % 2 == 0 { 1.0 } else { -1.0 } * low[n - 1 - tap]);
                let half = |value: f64| (value * std::f64::consts::FRAC_1_SQRT_2) as f32;
                (low.iter().copied().map(half).collect(), high.map(half).collect())
            })
        });
        let (low, high) = &FILTERS[self as usize];
        (low, high)
    }

    /// The low pass of the orthonormal transform.
    fn orthonormal(self) -> &'static [f64] {
        match self {
            Self::Db1 => &[std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::FRAC_1_SQRT_2],
            Self::Db2 => &[
                0.482_962_913_144_690_25,
                0.836_516_303_737_469,
                0.224_143_868_041_857_35,
                -0.129_409_522_550_921_45,
            ],
            Self::Db3 => &[
                0.332_670_552_950_956_9,
                0.806_891_509_313_338_8,
                0.459_877_502_119_331_3,
                -0.135_011_020_010_390_84,
                -0.085_441_273_882_241_49,
                0.035_226_291_882_100_656,
            ],
            Self::Db4 => &[
                0.230_377_813_308_855_23,
                0.714_846_570_552_541_5,
                0.630_880_767_929_590_4,
                -0.027_983_769_416_983_85,
                -0.187_034_811_718_881_14,
                0.030_841_381_835_986_965,
                0.032_883_011_666_982_945,
                -0.010_597_401_784_997_278,
            ],
            Self::Db5 => &[
                0.160_102_397_974_125,
                0.603_829_269_797_472_9,
                0.724_308_528_438_574_4,
                0.138_428_145_901_103_42,
                -0.242_294_887_066_190_15,
                -0.032_244_869_585_029_52,
                0.077_571_493_840_065_15,
                -0.006_241_490_213_011_705,
                -0.012_580_751_999_015_526,
                0.003_335_725_285_001_549,
            ],
        }
    }
}
