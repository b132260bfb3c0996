/** What a reader takes home. */

import { niftiFile } from "../files/nifti";
import { stacked, type PlacedPlane } from "../files/stack";
import type { Link } from "../model/link";
import { planeOf, type PixelStore } from "../model/pixels";
import type { Scan } from "../model/store";
import { FileFormat, ImageKind, type Image } from "../proto/boreside/v1/images_pb";
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
 * Gives what is to be said of the file.
 */
export async function saveNifti(panel: Panel, session: Session, pixels: PixelStore): Promise<string | undefined> {
  const shown = panel.frame;
  if (!shown) return undefined;
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
  const n = all ? planes.length : 1;
  const wanted = panel.content.frames.length;
  return n < wanted ? `The file holds ${n} of ${wanted} frames: the others ${all ? "are not on the server any more" : "do not lie beside it"}.` : undefined;
}

/** All images of a panel as a file of the server's. */
export async function saveExport(panel: Panel, { isFromBefore }: Scan, format: FileFormat, link: Link): Promise<void> {
  // Its numbers may mean other images by now.
  if (isFromBefore) throw new Error("the server was restarted and does not have this scan any more; PNG and NIfTI are made of what is in this page");
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
