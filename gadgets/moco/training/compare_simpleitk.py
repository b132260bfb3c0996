#!/usr/bin/env python3
"""SimpleITK on the series of `boreside evaluate moco`: end-point errors, Dice, time.

    pip install SimpleITK numpy
    python compare_simpleitk.py --boreside ../../../target/release/boreside --cases 30 --seed 1

Each frame is registered to the reference frame, as one would without knowing more: by B-splines
and mutual information on three levels, and by demons on three levels after their histograms were
matched. Case n of a seed is that of `boreside evaluate moco --seed`; still series are left out.
"""

import argparse
import pathlib
import subprocess
import tempfile
import time

import numpy
import SimpleITK as sitk

SCHEMES = ["3(3)3(3)5", "5(3)3", "5(1)1(1)1"]


def simulate(boreside, folder, scheme, cases, seed, motion):
    command = [boreside, "simulate", "dataset", "molli", "--scheme", scheme, "--cases", str(cases)]
    command += ["--seed", str(seed), "--complex", "--field-strengths", "1.5,3"]
    command += ["--motion", str(motion), "-o", str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return {path.stem: numpy.load(path, mmap_mode="r") for path in folder.glob("*.npy")}


def as_image(pixels):
    return sitk.GetImageFromArray(numpy.ascontiguousarray(pixels, dtype=numpy.float32))


def field_of(transform, fixed):
    """(dy, dx) in px: where in the moving image to look."""
    to_field = sitk.TransformToDisplacementFieldFilter()
    to_field.SetReferenceImage(fixed)
    field = sitk.GetArrayFromImage(to_field.Execute(transform))
    return numpy.stack([field[..., 1], field[..., 0]])


def b_spline(fixed, moving):
    transform = sitk.BSplineTransformInitializer(fixed, [8, 8])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=100)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, inPlace=True)
    return field_of(method.Execute(fixed, moving), fixed)


def demons(fixed, moving):
    moving = sitk.HistogramMatching(moving, fixed, 256, 15)
    field = None
    for shrink in (4, 2, 1):
        small = [sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, shrink / 2), [shrink] * 2)
                 if shrink > 1 else image for image in (fixed, moving)]
        start = sitk.Resample(field, small[0]) if field is not None else sitk.Image(
            small[0].GetSize(), sitk.sitkVectorFloat64, 2)
        start.CopyInformation(small[0])
        method = sitk.DiffeomorphicDemonsRegistrationFilter()
        method.SetNumberOfIterations(50)
        method.SetStandardDeviations(2.0)
        field = method.Execute(small[0], small[1], start)
    return field_of(sitk.DisplacementFieldTransform(sitk.Image(field)), fixed)


def dice(field, truth, wall):
    """Overlap of the reference's wall with that of the frame after correction."""
    from scipy.ndimage import map_coordinates

    y, x = numpy.mgrid[: wall.shape[0], : wall.shape[1]].astype(float)
    place = numpy.stack([y + field[0], x + field[1]])
    origin = place.copy()
    for _ in range(15):
        at = [map_coordinates(truth[k], origin, order=1, mode="nearest") for k in (0, 1)]
        origin = place - numpy.stack(at)
    last = numpy.array(wall.shape) - 1
    at = [numpy.clip(numpy.rint(origin[k]), 0, last[k]).astype(int) for k in (0, 1)]
    corrected = wall[at[0], at[1]]
    return 2 * (corrected & wall).sum() / (corrected.sum() + wall.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boreside", default="boreside")
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--motion", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(options.threads)
    methods = {"b_spline_mutual_information": b_spline, "demons": demons}
    errors = {name: [] for name in methods}
    overlaps = {name: [] for name in methods}
    times_ms = {name: [] for name in methods}
    before = []
    with tempfile.TemporaryDirectory() as scratch:
        sets = [
            simulate(options.boreside, pathlib.Path(scratch) / str(n), scheme, options.cases,
                     options.seed, options.motion)
            for n, scheme in enumerate(SCHEMES)
        ]
        for case in range(options.cases):
            data = {name: array[case] for name, array in sets[case % len(SCHEMES)].items()}
            if data["is_still"]:
                continue
            magnitudes = abs(data["images"])
            reference, wall = int(data["reference_frame"]), data["myocardium_mask"].astype(bool)
            fixed = as_image(magnitudes[reference])
            frames = [n for n in range(len(magnitudes)) if n != reference]
            for n in frames:
                before.append(numpy.hypot(*data["displacement_field_px"][n])[wall])
            for name, method in methods.items():
                start = time.perf_counter()
                fields = [method(fixed, as_image(magnitudes[n])) for n in frames]
                times_ms[name].append(1e3 * (time.perf_counter() - start))
                for n, field in zip(frames, fields):
                    truth = data["displacement_field_px"][n]
                    errors[name].append(numpy.hypot(*(field - truth))[wall])
                    overlaps[name].append(dice(field, truth, wall))
    print(f"{options.cases} cases, seed {options.seed}, SimpleITK {sitk.Version.VersionString()}")
    print("uncorrected: epe median {:.3f} px, 95 % {:.3f} px".format(
        *numpy.percentile(numpy.concatenate(before), [50, 95])))
    for name in methods:
        median, most = numpy.percentile(numpy.concatenate(errors[name]), [50, 95])
        print(f"{name}: epe median {median:.3f} px, 95 % {most:.3f} px, "
              f"dice {numpy.mean(overlaps[name]):.3f}, time {numpy.median(times_ms[name]):.0f} ms")


if __name__ == "__main__":
    main()
