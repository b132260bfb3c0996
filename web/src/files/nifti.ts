/**
 * NIfTI-1 files: 32-bit floats with the image's place in the patient.
 *
 * Source: nifti1.h of the NIfTI Data Format Working Group.
 */

export interface Volume {
  /** `[t, z, y, x]`, x contiguous. */
  readonly values: Float32Array;
  /** x, y, z, t. */
  readonly size: readonly [number, number, number, number];
  /** 4 × 4, row after row: from voxels (their centres, from 0) to the patient, LPS, mm. */
  readonly patientFromVoxel: readonly number[];
  /** At most 79 letters of ASCII are kept. */
  readonly description: string;
  /** At most 15 letters of ASCII are kept. */
  readonly quantity: string;
}

const HEADER_BYTES = 352;
const FLOAT32 = 16;
const UNITS_MM = 2;
const SCANNER_ANATOMICAL = 1;

/** A volume as a `.nii` file. */
export function niftiFile(volume: Volume): ArrayBuffer {
  const { values, size } = volume;
  if (values.length !== size.reduce((product, n) => product * n, 1)) {
    throw new RangeError(`${values.length} values are not ${size.join(" × ")}`);
  }
  const file = new ArrayBuffer(HEADER_BYTES + 4 * values.length);
  const header = new DataView(file);
  const put16 = (offset: number, value: number) => header.setInt16(offset, value, true);
  const putFloat = (offset: number, value: number) => header.setFloat32(offset, value, true);
  const putText = (offset: number, text: string, most: number) => {
    const letters = text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, most);
    for (let i = 0; i < letters.length; i++) header.setUint8(offset + i, letters.charCodeAt(i));
  };

  // NIfTI's x leads to the right's opposite, y to the front: both are turned round against LPS.
  const world = rasFromVoxel(volume.patientFromVoxel);
  const voxelMm = [0, 1, 2].map((axis) => Math.hypot(...world.map((row) => row[axis] ?? 0)));
  const { qfac, quaternion } = rotationOf(world, voxelMm);

  header.setInt32(0, 348, true);
  put16(40, size[3] > 1 ? 4 : 3);
  size.forEach((n, axis) => put16(42 + 2 * axis, n));
  [5, 6, 7].forEach((axis) => put16(40 + 2 * axis, 1));
  put16(70, FLOAT32);
  put16(72, 32);
  putFloat(76, qfac);
  voxelMm.forEach((mm, axis) => putFloat(80 + 4 * axis, mm));
  putFloat(92, 1);
  putFloat(108, HEADER_BYTES);
  putFloat(112, 1);
  header.setUint8(123, UNITS_MM);
  putText(148, volume.description, 79);
  put16(252, SCANNER_ANATOMICAL);
  put16(254, SCANNER_ANATOMICAL);
  quaternion.forEach((part, i) => putFloat(256 + 4 * i, part));
  world.forEach((row, i) => putFloat(268 + 4 * i, row[3] ?? 0));
  world.forEach((row, i) => row.forEach((value, j) => putFloat(280 + 16 * i + 4 * j, value)));
  putText(328, volume.quantity, 15);
  putText(344, "n+1", 4);
  values.forEach((value, i) => putFloat(HEADER_BYTES + 4 * i, value));
  return file;
}

/** The upper three rows. */
function rasFromVoxel(patientFromVoxel: readonly number[]): number[][] {
  return [-1, -1, 1].map((sign, row) =>
    // An empty sum, lest 0 become −0.
    [0, 1, 2, 3].map((column) => 0 + sign * (patientFromVoxel[4 * row + column] ?? 0)),
  );
}

/** The rotation as b, c, d of a quaternion whose a is not negative. */
function rotationOf(world: readonly number[][], voxelMm: readonly number[]) {
  const r = world.map((row) => [0, 1, 2].map((axis) => (row[axis] ?? 0) / (voxelMm[axis] || 1)));
  const at = (i: number, j: number) => r[i]?.[j] ?? 0;
  const determinant =
    at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1)) -
    at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0)) +
    at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0));
  const qfac = determinant < 0 ? -1 : 1;
  for (const row of r) row[2] = (row[2] ?? 0) * qfac;
  const trace = at(0, 0) + at(1, 1) + at(2, 2);
  let [a, b, c, d] = [0, 0, 0, 0];
  if (trace > 0) {
    a = Math.sqrt(1 + trace) / 2;
    b = (at(2, 1) - at(1, 2)) / (4 * a);
    c = (at(0, 2) - at(2, 0)) / (4 * a);
    d = (at(1, 0) - at(0, 1)) / (4 * a);
  } else {
    const root = (i: number, j: number, k: number) => Math.sqrt(Math.max(1 + at(i, i) - at(j, j) - at(k, k), 0)) / 2;
    const parts = [root(0, 1, 2), root(1, 2, 0), root(2, 0, 1)];
    const largest = parts.indexOf(Math.max(...parts));
    if (largest === 0) {
      b = parts[0] ?? 0;
      c = (at(0, 1) + at(1, 0)) / (4 * b);
      d = (at(0, 2) + at(2, 0)) / (4 * b);
      a = (at(2, 1) - at(1, 2)) / (4 * b);
    } else if (largest === 1) {
      c = parts[1] ?? 0;
      b = (at(0, 1) + at(1, 0)) / (4 * c);
      d = (at(1, 2) + at(2, 1)) / (4 * c);
      a = (at(0, 2) - at(2, 0)) / (4 * c);
    } else {
      d = parts[2] ?? 0;
      b = (at(0, 2) + at(2, 0)) / (4 * d);
      c = (at(1, 2) + at(2, 1)) / (4 * d);
      a = (at(1, 0) - at(0, 1)) / (4 * d);
    }
    if (a < 0) [b, c, d] = [-b, -c, -d];
  }
  return { qfac, quaternion: [b, c, d] };
}
