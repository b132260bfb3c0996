import assert from "node:assert/strict";
import { test } from "node:test";
import { Shared } from "../src/ui/shared";

test("nothing that was drawn is left when all of it is removed", () => {
  const shared = new Shared(() => {});
  const region = { kind: "ellipse" as const, center: { x: 0.5, y: 0.5 }, radii: [0.1, 0.1] as const };
  shared.addRegion(region);
  shared.drawing.preview = region;
  shared.drawing.line = { from: { x: 0, y: 0 }, to: { x: 1, y: 1 } };
  shared.drawing.contours = { outer: region };
  shared.drawing.open = [{ x: 0, y: 0 }];
  shared.clear();
  assert.deepEqual(shared.drawing, new Shared(() => {}).drawing);
  assert.equal(shared.selected, undefined);
});
