import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { PixelStore, type Wanted } from "../src/model/pixels";
import { ElementType, ImageSchema, PixelsSchema } from "../src/proto/boreside/v1/images_pb";

const wanted = (key: string, id: bigint): Wanted => ({ key, image: create(ImageSchema, { id }) });
const pixels = create(PixelsSchema, { elementType: ElementType.FLOAT32, shape: [1, 1, 1, 1], data: new Uint8Array(4) });
const settled = () => new Promise((resolve) => setTimeout(resolve));

test("what could not be fetched is fetched when the connection is there again", async () => {
  let isThere = false;
  const asked: bigint[] = [];
  const fetch = async ({ id }: { id: bigint }) => {
    asked.push(id);
    if (!isThere) throw new Error("no connection");
    return pixels;
  };
  const came: string[] = [];
  const store = new PixelStore(fetch, (key) => came.push(key), () => true);
  for (let id = 1n; id <= 6n; id++) store.get(wanted(`a:${id}`, id));
  await settled();
  assert.equal(asked.length, 6, "once each, not again and again");
  store.drop(["a:6"]);
  isThere = true;
  store.retry();
  await settled();
  assert.deepEqual(came.sort(), ["a:1", "a:2", "a:3", "a:4", "a:5"]);
  store.retry();
  await settled();
  assert.equal(asked.length, 11);
});

test("an image of before a restart is lost unless it is there, and is never asked for", async () => {
  let epoch = "a";
  const asked: bigint[] = [];
  const fetch = async ({ id }: { id: bigint }) => {
    asked.push(id);
    await settled();
    return pixels;
  };
  const store = new PixelStore(fetch, () => {}, (key) => key.startsWith(epoch));
  store.put("a:1", pixels);
  for (let id = 1n; id <= 6n; id++) store.get(wanted(`a:${id}`, id));
  // Two wait for a place.
  epoch = "b";
  await settled();
  await settled();
  assert.deepEqual(asked, [2n, 3n, 4n, 5n]);
  assert.ok(store.get(wanted("a:1", 1n)));
  assert.deepEqual([store.isLost("a:1"), store.isLost("a:6")], [false, true]);
  assert.equal(await store.fetched(wanted("a:6", 6n)), undefined);
  assert.equal(asked.length, 4);
});
