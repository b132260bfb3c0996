//! Compiles inner loops for the registers that the processor has.
//!
//! The build is for the oldest x86-64; a [`Job`] is compiled for newer ones too and the best
//! one is taken at run time. Fused multiply-adds round once, so a result may differ in the last
//! bits from processor to processor, never from run to run or with the number of threads.

/// `f32` that are worked on together: two AVX2 registers, one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// [`LANES`] numbers.
pub(crate) type Lanes = [f32; LANES];

/// Work whose loops vectorise.
pub(crate) trait Job {
    /// What it gives.
    type Output;

    /// Does the work. Must be `#[inline(always)]`, as must everything hot that it calls.
    ///
    /// * `FMA`: whether [`f32::mul_add`] is an instruction (and not a slow function).
    fn run<const FMA: bool>(self) -> Self::Output;
}

/// Runs `job` in the version for this processor.
pub(crate) fn run<J: Job>(job: J) -> J::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor has these.
            return unsafe { run_avx512(job) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            // SAFETY: the processor has these.
            return unsafe { run_avx2(job) };
        }
        job.run::<false>()
    }
    // Every processor of this kind has it.
    #[cfg(target_arch = "aarch64")]
    {
        job.run::<true>()
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        job.run::<false>()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn run_avx512<J: Job>(job: J) -> J::Output {
    job.run::<true>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<J: Job>(job: J) -> J::Output {
    job.run::<true>()
}

/// a · b + c.
#[inline(always)]
pub(crate) fn multiply_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// As [`multiply_add`] in double precision.
#[inline(always)]
pub(crate) fn multiply_add_f64<const FMA: bool>(a: f64, b: f64, c: f64) -> f64 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// sum + a · b.
#[inline(always)]
pub(crate) fn add_product<const FMA: bool>(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] = multiply_add::<FMA>(a[lane], b[lane], sum[lane]);
    }
}

/// sum − a · b.
#[inline(always)]
pub(crate) fn subtract_product<const FMA: bool>(sum: &mut Lanes, a: &Lanes, b: &Lanes) {
    for lane in 0..LANES {
        sum[lane] = multiply_add::<FMA>(-a[lane], b[lane], sum[lane]);
    }
}
