// A scan whose values are known, for PretendServer: a heart of rings.

import { Component, ImageKind, MotionState, Notice_Level, SessionState, Verdict_Decision } from "../build/browser/proto.mjs";

export const SIZE = 96;
export const CENTER = { x: 50, y: 46 };

/** T1 in ms: blood, wall (its right half 1200, its left half 1000), chest; 0 outside. */
export function t1At(x, y) {
  const radius = Math.hypot(x - CENTER.x, y - CENTER.y);
  if (radius < 10) return 1600;
  if (radius < 17) return x > CENTER.x ? 1200 : 1000;
  if (Math.hypot((x - 48) / 44, (y - 48) / 36) < 1) return 700 + 2 * x;
  return 0;
}

export const sdAt = (x, y) => (t1At(x, y) > 0 ? 20 + y / 10 : 0);

/** A plane of values. */
export function plane(of) {
  return Array.from({ length: SIZE * SIZE }, (_, i) => of(i % SIZE, Math.floor(i / SIZE)));
}

const GEOMETRY = {
  positionMm: [0, 0, 0],
  readDir: [0.6, 0.8, 0],
  phaseDir: [0.2, -0.1, -0.97],
  sliceDir: [-0.776, 0.582, -0.22],
  fieldOfViewMm: [288, 288, 8],
  voxelSizeMm: [3, 3, 8],
  patientFromVoxel: [1.8, 0.6, -6.2, 10, 2.4, -0.3, 4.66, -20, 0, -2.91, -1.76, 30, 0, 0, 0, 1],
};

export const WALL = {
  quantity: "T1",
  unit: "ms",
  whole: { mean: 1098.2, sd: 101.3, n: 420 },
  segments: [
    { segment: 7, name: "mid anterior", mean: 1098, sd: 100, n: 70 },
    { segment: 8, name: "mid anteroseptal", mean: 1000, sd: 0, n: 70 },
    { segment: 9, name: "mid inferoseptal", mean: 1001, sd: 2, n: 70 },
    { segment: 10, name: "mid inferior", mean: 1102, sd: 100, n: 70 },
    { segment: 11, name: "mid inferolateral", mean: 1200, sd: 0, n: 70 },
    { segment: 12, name: "mid anterolateral", n: 2 },
  ],
  reference: { low: 934, high: 1058, source: "Granitz 2019, MOLLI 5(3)3", within: false },
};

const TIMES = [120, 200, 1120, 1200, 2120, 2200, 3120, 4120];
const GADGETS = ["adjust_noise", "remove_oversampling", "collect_readouts", "grappa", "correct_motion", "map_t1", "finish_images"];

const image = (fields) => ({
  index: 1,
  counters: {},
  component: Component.MAGNITUDE,
  shape: [1, 1, SIZE, SIZE],
  storedType: "u16",
  geometry: GEOMETRY,
  ...fields,
});

/** A session that begins. */
export function beginning(id, fields = {}) {
  return {
    id,
    state: SessionState.RECEIVING,
    peer: "127.0.0.1:5000",
    startedUnixMs: Date.now() - 9000,
    chain: "molli_t1.toml",
    chainDescription: "MOLLI of any scheme: images, T1 in ms with its standard deviation and R², and a verdict",
    protocol: { name: "MOLLI_native_mid", patientPosition: "HFS", fieldStrengthT: 1.5 },
    nReadouts: 700n,
    nReadoutsExpected: 1320n,
    nBytesIn: 5_400_000n,
    gadgets: GADGETS.map((gadget, i) => ({ gadget, messagesIn: 10n, messagesOut: 10n, busyMs: 3 + 17 * i, longestMs: 2 + 9 * i })),
    ...fields,
  };
}

/** Pictures before and after motion correction. */
export function pictures(server, session, firstId) {
  let id = firstId;
  for (const [motion, title, series] of [
    [MotionState.UNCORRECTED, "as measured", 1],
    [MotionState.CORRECTED, "motion corrected", 2],
  ]) {
    TIMES.forEach((time, set) => {
      const shift = motion === MotionState.UNCORRECTED ? 3 * Math.sin(set) : 0;
      const signal = (x, y) => {
        const t1 = t1At(Math.round(x), Math.round(y - shift));
        return t1 > 0 ? 400 * Math.abs(1 - 2 * Math.exp(-time / t1)) : 4;
      };
      const fields = { id: id++, session, series, index: set + 1, counters: { set }, kind: ImageKind.PICTURE, role: motion === 1 ? "Uncorrected" : "MotionCorrected", motion, title, palette: "grey", timesMs: [time] };
      server.image(image(fields), plane(signal));
    });
  }
  return id;
}

/** T1, its standard deviation and R². */
export function maps(server, session, firstId, { decision = Verdict_Decision.CHECK, reason = "breathing moved the heart by 4.2 px: look at the borders", slice = 0, readyUnixMs, hasReport = true, quantity = "T1" } = {}) {
  const about = { session, quantity, counters: { slice }, timesMs: TIMES, method: "T1: MOLLI, Look-Locker corrected, 3 parameters", readyUnixMs: readyUnixMs ?? Date.now() };
  const latency = { sinceLastReadoutMs: 213, sinceStartMs: 9311, stages: GADGETS.map((gadget, i) => ({ gadget, busyMs: [0.4, 0.9, 1.2, 34, 121, 41, 0.3][i] })) };
  const models = [{ model: "moconet 1.0.0", sha256: "9f2c0a", provider: "cpu", runtime: "onnxruntime 1.27", timeMs: 38.4, waitedMs: 0.2, guards: "none", fallback: "" }];
  const meta = [
    ...(hasReport ? [{ key: "BoresideMyocardium", values: [JSON.stringify(WALL)] }] : []),
    { key: "BoresideUnit", values: ["ms"] },
  ];
  server.image(
    image({ ...about, id: firstId, series: 110, kind: ImageKind.MAP, role: "T1", title: "T1", unit: "ms", zeroIsInvalid: true, window: { center: 1300, width: 1300 }, palette: "lipari", verdict: { decision, reason }, latency, models, meta, comments: ["T1 x1 ms", "myocardium 1098 ± 101 ms (n 420)"] }),
    plane(t1At),
  );
  server.image(
    image({ ...about, id: firstId + 1, series: 111, kind: ImageKind.UNCERTAINTY, role: "T1SD", title: "T1 standard deviation", unit: "ms", zeroIsInvalid: true, window: { center: 200, width: 400 }, palette: "lipari", latency }),
    plane(sdAt),
  );
  server.image(
    image({ ...about, id: firstId + 2, series: 112, kind: ImageKind.GOODNESS_OF_FIT, role: "T1R2", title: "T1 R²", zeroIsInvalid: true, palette: "grey", latency }),
    plane((x, y) => (t1At(x, y) > 0 ? 0.98 + x / 10000 : 0)),
  );
  return firstId + 3;
}

/** Where the wall and both ventricles' blood are; the right ventricle is to the left. */
export function labels(server, session, id) {
  const label = (x, y) => {
    const radius = Math.hypot(x - CENTER.x, y - CENTER.y);
    return radius < 10 ? 2 : radius < 17 ? 1 : Math.hypot(x - CENTER.x + 26, y - CENTER.y) < 8 ? 3 : 0;
  };
  const comments = ["labels: 0 background, 1 myocardium, 2 left_blood, 3 right_blood"];
  server.image(image({ id, session, series: 120, kind: ImageKind.LABELS, role: "Labels", title: "left ventricle", comments }), plane(label));
}

export const WARNING = { level: Notice_Level.WARNING, unixMs: Date.now(), source: "correct_motion", slice: 0, what: "model moconet 1.0.0 gave a displacement of 14.2 px, its guard is 8 px", remedy: "classical registration was used and marked in the image; check frame 6 before reading the map" };
export const FAILURE = { level: Notice_Level.ERROR, unixMs: Date.now(), source: "map_t1", slice: 2, what: "1 of 8 inversion times arrived before CLOSE; source images sent, no T1 map", remedy: "repeat this slice; the raw data are kept: boreside replay 41" };
