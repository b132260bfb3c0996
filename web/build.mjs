// Builds the viewer.
//
//   node build.mjs           writes dist/, which the server carries in itself
//   node build.mjs --check   fails where dist/ is not what the sources give, or the sources are not
//                            what proto/ gives
//   node build.mjs --tests   writes what the tests need to build/

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PAGES = ["index.html", "style.css", "icon.svg"];

const OPTIONS = {
  bundle: true,
  format: "esm",
  target: "es2022",
  // The palettes lie where the command line has them from.
  loader: { ".txt": "text" },
  logLevel: "warning",
  absWorkingDir: import.meta.dirname,
};

/** Name and content of every file of dist/. */
async function page() {
  const bundle = await build({
    ...OPTIONS,
    entryPoints: ["src/main.ts"],
    outfile: "viewer.js",
    minify: true,
    legalComments: "inline",
    write: false,
  });
  const files = new Map([["viewer.js", Buffer.from(bundle.outputFiles[0].contents)]]);
  for (const name of PAGES) {
    files.set(name, await readFile(new URL(`src/${name}`, import.meta.url)));
  }
  return files;
}

/** Fails where src/proto is not what proto/ gives. */
async function checkGenerated() {
  const fresh = await mkdtemp(join(tmpdir(), "boreside-proto-"));
  const bin = join(import.meta.dirname, "node_modules/.bin");
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  execFileSync(join(bin, "buf"), ["generate", "--output", fresh], { cwd: import.meta.dirname, env, stdio: "inherit" });
  const folder = "src/proto/boreside/v1";
  const names = new Set([...(await readdir(join(fresh, folder))), ...(await readdir(join(import.meta.dirname, folder)))]);
  for (const name of names) {
    const [wanted, found] = await Promise.all([fresh, import.meta.dirname].map((root) => readFile(join(root, folder, name)).catch(() => undefined)));
    if (!wanted || !found?.equals(wanted)) {
      console.error(`web/${folder}/${name} is not what proto/ gives: type \`npm run generate && npm run build\` in web/`);
      process.exit(1);
    }
  }
  await rm(fresh, { recursive: true });
}

const dist = new URL("dist/", import.meta.url);
if (process.argv.includes("--tests")) {
  const tests = (await readdir(new URL("tests/", import.meta.url))).filter((name) => name.endsWith(".test.ts"));
  await build({
    ...OPTIONS,
    entryPoints: tests.map((name) => `tests/${name}`),
    outdir: "build/tests",
    outExtension: { ".js": ".mjs" },
    platform: "node",
  });
  await build({
    ...OPTIONS,
    entryPoints: ["browser/proto.ts"],
    outfile: "build/browser/proto.mjs",
    platform: "node",
    packages: "external",
  });
} else if (process.argv.includes("--check")) {
  await checkGenerated();
  const files = await page();
  const differ = [];
  for (const [name, content] of files) {
    const found = await readFile(new URL(name, dist)).catch(() => undefined);
    if (!found?.equals(content)) differ.push(name);
  }
  const found = await readdir(dist).catch(() => []);
  differ.push(...found.filter((name) => !files.has(name)));
  if (differ.length > 0) {
    console.error(`web/dist is not what the sources give (${differ.join(", ")}): type \`npm run build\` in web/`);
    process.exit(1);
  }
} else {
  await mkdir(dist, { recursive: true });
  for (const [name, content] of await page()) await writeFile(new URL(name, dist), content);
}
