/** What a reader takes home. */

import { niftiFile } from "../files/nifti";
import { stacked, type PlacedPlane } from "../files/stack";
import type { Link } from "../model/link";
import { planeOf, type PixelStore } from "../model/pixels";
import { FileFormat, ImageKind, type Image } from "../proto/boreside/v1/images_pb";
import type { Scan } from "../model/store";
import type { Panel } from "./panel";
import { nameOf } from "./wording";
import type { Session } from "../proto/boreside/v1/sessions_pb";

export const FORMAT_NAMES: Partial<Record<FileFormat, string>> = {
  [FileFormat.MRD_STREAM]: "MRD stream",
  [FileFormat.MRD_HDF5]: "MRD (HDF5)",
  [FileFormat.DICOM]: "DICOM",
};

export function savePicture(panel: Panel, session: Session): void {
  panel.snapshot().toBlob((blob) => {
    if (blob) save(`${fileName(panel, session)}.png`, blob);
  }, "image/png");
}

/**
 * Values of all frames of a panel; of the frame that is shown where they have no place together.
 * Gives what is to be said where frames are left out.
 */
export async function saveNifti(panel: Panel, session: Session, pixels: PixelStore): Promise<string | undefined> {
  const shown = panel.frame;
  if (!shown) return;
  if (shown.source.image.kind === ImageKind.COLOR) throw new Error("a picture in colours is no NIfTI: save it as PNG or MRD");
  const planes: { plane: PlacedPlane; image: Image; isShown: boolean }[] = [];
  for (const frame of panel.content.frames) {
    const { image } = frame.source;
    const values = await pixels.fetched(frame.source);
    const plane = values && planeOf(image, values, frame.channel, frame.z);
    if (!plane) continue;
    planes.push({ plane: { ...plane, patientFromVoxel: placeOf(image, frame.z) }, image, isShown: frame === shown });
  }
  const all = stacked(planes.map(({ plane }) => plane));
  const volume = all ?? stacked(planes.filter(({ isShown }) => isShown).map(({ plane }) => plane));
  if (!volume) throw new Error("the pixels are not on the server any more");
  const { image } = shown.source;
  const description = [image.title, image.unit, image.method].filter(Boolean).join(", ");
  const file = niftiFile({ ...volume, description, quantity: image.quantity || image.role });
  save(`${fileName(panel, session)}.nii`, new Blob([file], { type: "application/octet-stream" }));
  return leftOut(panel.content.frames.length, planes.length, all !== undefined);
}

/** Which frames a file does not have, and why. */
function leftOut(nFrames: number, nThere: number, isStacked: boolean): string | undefined {
  if (nThere === nFrames && isStacked) return undefined;
  const n = isStacked ? nThere : 1;
  const why = isStacked
    ? "the server does not have the others any more"
    : "all of them do not make one volume, so the file has the one that is shown";
  return `${n} of ${nFrames} frames ${n === 1 ? "is" : "are"} in the NIfTI file: ${why}.`;
}

/** All images of a panel as a file of the server's. */
export async function saveExport(panel: Panel, format: FileFormat, link: Link, scan: Scan): Promise<void> {
  // The server would give what has these numbers now.
  if (scan.isFromBefore) throw new Error("this scan is from before the restart of the server, which does not have it any more; PNG and NIfTI are saved by this page");
  const ids = [...new Set(panel.content.frames.map(({ source }) => source.image.id))];
  const { name, blob } = await link.exported(ids, format);
  save(name, blob);
}

/** The matrix of one plane of an image. */
function placeOf(image: Image, z: number): number[] {
  const matrix = image.geometry?.patientFromVoxel ?? [];
  if (matrix.length !== 16) return [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, z, 0, 0, 0, 1];
  const placed = [...matrix];
  for (const row of [0, 1, 2]) placed[4 * row + 3] = (matrix[4 * row + 3] ?? 0) + z * (matrix[4 * row + 2] ?? 0);
  return placed;
}

/** Without the patient's name: files wander. */
function fileName(panel: Panel, session: Session): string {
  const parts = [`session${session.id}`, nameOf(session), panel.content.title];
  return parts.join("_").replaceAll(/[^A-Za-z0-9.-]+/g, "_");
}

function save(name: string, blob: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The browser has taken hold of it by then.
  window.setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
